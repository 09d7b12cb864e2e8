// SPDX-License-Identifier: Apache-2.0
// A model's tensors and their blocks in plans, compared with fill(), which writes ranges of a tensor part by part.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "fanin/fanin.hpp"
#include "support/test_support.h"

namespace {

using fanin::Block;
using fanin::DType;
using fanin::ElementRange;
using fanin::ModelPart;
using fanin::ModelTensor;
using fanin::Shape;
using fanin::test::expect_refused;

using Bytes = std::vector<std::byte>;

constexpr std::byte untouched{0x5a};

ModelPart part(const std::string& name, const Shape& shape, std::uint64_t size, fanin::Initializer initializer) {
  ModelPart made;
  made.name = name;
  made.shape = shape;
  made.size = size;
  made.initializer = std::move(initializer);
  return made;
}

ModelTensor tensor_of(const Shape& shape, int axis, std::vector<ModelPart> parts, DType dtype = DType::float32) {
  ModelTensor tensor;
  tensor.name = "whole";
  tensor.shape = shape;
  tensor.dtype = dtype;
  tensor.axis = axis;
  tensor.parts = std::move(parts);
  return tensor;
}

std::uint64_t count_of(const Shape& shape) { return fanin::element_count(shape); }

Bytes whole_of(const ModelTensor& tensor) {
  Bytes bytes(count_of(tensor.shape) * size_of(tensor.dtype));
  fanin::fill(tensor, 0, count_of(tensor.shape), bytes.data());
  return bytes;
}

// What add() writes into memory of `elements` elements for the block.
Bytes planned(const ModelTensor& tensor, const Block& block, std::uint64_t elements, std::size_t leading = 0) {
  Bytes bytes(elements * size_of(tensor.dtype), untouched);
  fanin::View view{bytes.data(), tensor.dtype, bytes.size(), fanin::host};
  view.leading_dimension = leading;
  fanin::Plan plan;
  add(plan, tensor, view, block);
  plan.fill();
  return bytes;
}

// The block of the whole, in rows at a distance of `leading` elements.
Bytes block_of(const ModelTensor& tensor, const Bytes& whole, const Block& block, std::size_t leading) {
  const std::size_t size = size_of(tensor.dtype);
  const Shape& extent = block.extent;
  const std::uint64_t row = static_cast<std::uint64_t>(extent.back());
  const std::uint64_t rows = row == 0 ? 0 : count_of(extent) / row;
  Bytes bytes(rows == 0 ? 0 : ((rows - 1) * leading + row) * size, untouched);
  for (std::uint64_t n = 0; n < rows; ++n) {
    std::uint64_t rest = n;
    std::uint64_t index = static_cast<std::uint64_t>(block.offset.back());
    std::uint64_t stride = static_cast<std::uint64_t>(tensor.shape.back());
    for (std::size_t j = extent.size() - 1; j-- > 0;) {
      const auto at = static_cast<std::uint64_t>(block.offset[j]) + rest % static_cast<std::uint64_t>(extent[j]);
      rest /= static_cast<std::uint64_t>(extent[j]);
      index += at * stride;
      stride *= static_cast<std::uint64_t>(tensor.shape[j]);
    }
    std::memcpy(bytes.data() + n * leading * size, whole.data() + index * size, row * size);
  }
  return bytes;
}

// Tensors of three parts along each axis, of one part, and with parts that have other shapes.
std::vector<ModelTensor> tensors() {
  const fanin::HeNormal he(3);
  const fanin::RandomUniform uniform(-1, 1, 4);
  std::vector<ModelTensor> all;
  all.push_back(tensor_of({5, 6, 7}, 0, {part("whole", {5, 6, 7}, 5, he)}));
  all.push_back(tensor_of(
      {6, 5, 4}, 0, {part("q", {3, 5, 4}, 3, he), part("k", {1, 5, 4}, 1, uniform), part("v", {2, 5, 4}, 2, he)}));
  all.push_back(tensor_of({4, 6, 5}, 1,
                          {part("q", {4, 3, 5}, 3, he), part("k", {4, 1, 5}, 1, uniform), part("v", {4, 2, 5}, 2, he)},
                          DType::bfloat16));
  all.push_back(tensor_of({4, 5, 6}, 2,
                          {part("q", {4, 5, 3}, 3, he), part("k", {4, 5, 1}, 1, uniform), part("v", {4, 5, 2}, 2, he)},
                          DType::float8_e4m3fn));
  all.push_back(
      tensor_of({3, 4, 5}, 0, {part("0", {4, 5}, 1, he), part("1", {4, 5}, 1, he), part("2", {4, 5}, 1, uniform)}));
  all.push_back(
      tensor_of({2, 3, 4, 5}, 2, {part("gate", {2, 3, 2, 5}, 2, he), part("up", {2, 3, 2, 5}, 2, he)}, DType::float64));
  return all;
}

TEST(ModelPlan, WholeTensors) {
  for (const ModelTensor& tensor : tensors()) {
    SCOPED_TRACE(fanin::to_string(tensor.shape) + " axis " + std::to_string(tensor.axis));
    EXPECT_EQ(planned(tensor, {}, count_of(tensor.shape)), whole_of(tensor));
  }
}

// Every block of every tensor, dense and in wider rows.
TEST(ModelPlan, EveryBlock) {
  std::size_t blocks = 0;
  for (const ModelTensor& tensor : tensors()) {
    const Bytes whole = whole_of(tensor);
    Block block{Shape(std::vector<std::int64_t>(tensor.shape.size())), tensor.shape};
    // Counts through all offsets and extents of two numbers each: an axis is cut at 1, 2 or not at all.
    const std::size_t rank = tensor.shape.size();
    for (std::size_t code = 0; code < std::size_t{1} << (2 * rank); ++code) {
      for (std::size_t j = 0; j < rank; ++j) {
        const auto cut = static_cast<std::int64_t>(code >> (2 * j) & 3);
        block.offset[j] = cut / 2;
        block.extent[j] = tensor.shape[j] - block.offset[j] - cut % 2;
      }
      SCOPED_TRACE(fanin::to_string(tensor.shape) + " axis " + std::to_string(tensor.axis) + " offset " +
                   fanin::to_string(block.offset) + " extent " + fanin::to_string(block.extent));
      const auto row = static_cast<std::size_t>(block.extent.back());
      for (const std::size_t leading : {row, row + 3}) {
        const Bytes wanted = block_of(tensor, whole, block, leading);
        EXPECT_EQ(planned(tensor, block, wanted.size() / size_of(tensor.dtype), leading == row ? 0 : leading), wanted);
        ++blocks;
      }
    }
  }
  EXPECT_EQ(blocks, 2u * (5u * 64u + 256u));
}

TEST(ModelPlan, EveryRange) {
  for (const ModelTensor& tensor : tensors()) {
    const Bytes whole = whole_of(tensor);
    const std::size_t size = size_of(tensor.dtype);
    const std::uint64_t count = count_of(tensor.shape);
    for (std::uint64_t first = 0; first <= count; first += 7) {
      for (std::uint64_t last = first; last <= count; last += 11) {
        SCOPED_TRACE(fanin::to_string(tensor.shape) + " axis " + std::to_string(tensor.axis) + " range " +
                     std::to_string(first) + " to " + std::to_string(last));
        Block block;
        block.elements = ElementRange{first, last - first};
        const Bytes wanted(whole.begin() + static_cast<std::ptrdiff_t>(first * size),
                           whole.begin() + static_cast<std::ptrdiff_t>(last * size));
        EXPECT_EQ(planned(tensor, block, last - first), wanted);
      }
    }
  }
}

// A part whose elements have another shape: only its own axis can be cut.
TEST(ModelPlan, PartsOfOtherShapes) {
  const fanin::HeNormal he(3);
  const ModelTensor tensor = tensor_of({4, 6}, 0, {part("a", {12}, 2, he), part("b", {2, 3, 2}, 2, he)});
  const Bytes whole = whole_of(tensor);
  EXPECT_EQ(planned(tensor, {}, 24), whole);
  const Block rows{{1, 0}, {2, 6}};
  EXPECT_EQ(planned(tensor, rows, 12), block_of(tensor, whole, rows, 6));
  expect_refused([&] { planned(tensor, {{0, 1}, {4, 3}}, 12); }, {"\"a\"", "[12]", "axis 0"});
  expect_refused([&] { planned(tensor, {}, 40, 8); }, {"\"a\"", "without gaps"});
  // One row: a part of it has no gaps, whatever the distance of rows is.
  const ModelTensor row = tensor_of({6}, 0, {part("a", {2, 1}, 2, he), part("b", {2, 2}, 4, he)});
  EXPECT_EQ(planned(row, {}, 6), whole_of(row));
  EXPECT_EQ(planned(row, {{1}, {4}}, 4), block_of(row, whole_of(row), {{1}, {4}}, 4));
}

// An element of four bits in a byte of its own, as ml_dtypes has it.
TEST(ModelPlan, UnpackedElements) {
  const fanin::HeNormal he(3);
  const ModelTensor tensor =
      tensor_of({4, 6}, 0, {part("a", {1, 6}, 1, he), part("b", {3, 6}, 3, he)}, DType::float4_e2m1fn);
  for (const std::size_t leading : {0U, 6U, 8U}) {
    const std::size_t pitch = leading == 0 ? 6 : leading;
    Bytes bytes(4 * pitch, untouched);
    fanin::View view{bytes.data(), tensor.dtype, bytes.size(), fanin::host, leading, true};
    fanin::Plan plan;
    add(plan, tensor, view);
    plan.fill();
    Bytes wanted(4 * pitch, untouched);
    for (const std::size_t row : {0U, 1U}) {
      fanin::View rest{
          wanted.data() + row * pitch, tensor.dtype, wanted.size() - row * pitch, fanin::host, pitch, true};
      he.fill(rest, tensor.parts[row].shape, tensor.parts[row].options());
    }
    EXPECT_EQ(bytes, wanted);
  }
}

TEST(ModelPlan, Refusals) {
  const fanin::HeNormal he(3);
  ModelTensor tensor = tensor_of({4, 6}, 0, {part("a", {2, 6}, 2, he), part("b", {2, 6}, 2, he)});
  expect_refused([&] { planned(tensor, {{3, 0}, {2, 6}}, 12); }, {"outside the tensor"});
  expect_refused([&] { planned(tensor, {}, 23); }, {"too small", "44"});
  for (const std::size_t more : {0U, 1U, 8U}) {
    expect_refused([&] { planned(tensor, {}, 24, (std::size_t{1} << 62) + more); },
                   {"4 rows of 6 elements", "do not fit"});
  }
  tensor.parts[1].initializer.reset();
  tensor.parts[1].load_file = "base.safetensors";
  expect_refused([&] { planned(tensor, {}, 24); }, {"\"b\"", "base.safetensors"});
  EXPECT_EQ(planned(tensor, {{0, 0}, {0, 6}}, 0), Bytes());
}

}  // namespace
