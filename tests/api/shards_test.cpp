// SPDX-License-Identifier: Apache-2.0
// Tests shards as custom trainers have them: ranges of elements, rows apart in memory, and copies of parts of a tensor
// in one pass. Everything is compared with slices of the whole tensor.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <numeric>
#include <set>
#include <string>
#include <vector>

#include "api/memory_regions.h"
#include "fanin/fanin.hpp"
#include "params/index_map.h"
#include "support/test_support.h"

namespace {

using fanin::Block;
using fanin::DType;
using fanin::ElementRange;
using fanin::Initializer;
using fanin::InvalidArgument;
using fanin::Plan;
using fanin::RunOptions;
using fanin::Shape;
using fanin::size_of;
using fanin::TensorOptions;
using fanin::View;
using fanin::detail::Region;
using fanin::test::all_dtypes;
using fanin::test::Bytes;
using fanin::test::Choices;
using fanin::test::filled;
using fanin::test::poison;

Block range(std::uint64_t first, std::uint64_t count) { return {{}, {}, ElementRange{first, count}}; }

TensorOptions named(const Block& block) {
  TensorOptions options;
  options.name = "shard";
  options.block = block;
  return options;
}

std::vector<Initializer> initializers() {
  return {fanin::HeNormal(3),
          fanin::GlorotUniform(3),
          fanin::RandomUniform(-1, 3, 3),
          fanin::RandomNormal(1, 2, 3),
          fanin::VarianceScaling(2, "fan_out", "untruncated_normal", 3),
          fanin::Constant(0.75),
          fanin::Zeros()};
}

// The indices that a block has, one by one from its definition.
std::vector<std::uint64_t> indices_of(const Shape& shape, const Block& block) {
  std::vector<std::uint64_t> list;
  const std::uint64_t size = fanin::element_count(shape);
  for (std::uint64_t index = 0; index < size; ++index) {
    bool inside = true;
    if (block.elements) {
      inside = index >= block.elements->first && index - block.elements->first < block.elements->count;
    } else if (!block.offset.empty()) {
      std::uint64_t left = index;
      for (std::size_t j = shape.size(); j-- > 0;) {
        const auto extent = static_cast<std::uint64_t>(shape[j]);
        const auto c = static_cast<std::int64_t>(left % extent);
        left /= extent;
        inside = inside && c >= block.offset[j] && c < block.offset[j] + block.extent[j];
      }
    }
    if (inside) list.push_back(index);
  }
  return list;
}

Shape random_shape(Choices& choices, std::uint64_t most_elements) {
  for (;;) {
    Shape shape;
    const std::uint64_t rank = 1 + choices.below(4);
    for (std::uint64_t j = 0; j < rank; ++j) shape.push_back(static_cast<std::int64_t>(1 + choices.below(40)));
    if (fanin::element_count(shape) <= most_elements) return shape;
  }
}

Block random_block(Choices& choices, const Shape& shape) {
  const std::uint64_t size = fanin::element_count(shape);
  switch (choices.below(3)) {
    case 0:
      return {};
    case 1: {
      const std::uint64_t first = choices.below(size + 1);
      return range(first, choices.below(size - first + 1));
    }
    default: {
      Block block;
      for (const std::int64_t extent : shape) {
        block.offset.push_back(static_cast<std::int64_t>(choices.below(static_cast<std::uint64_t>(extent) + 1)));
        block.extent.push_back(
            static_cast<std::int64_t>(choices.below(static_cast<std::uint64_t>(extent - block.offset.back()) + 1)));
      }
      return block;
    }
  }
}

// The elements of a whole tensor that a block has.
Bytes slice(const Bytes& whole, std::size_t size, const Shape& shape, const Block& block) {
  Bytes part;
  for (const std::uint64_t index : indices_of(shape, block)) {
    part.insert(part.end(), whole.begin() + static_cast<std::ptrdiff_t>(index * size),
                whole.begin() + static_cast<std::ptrdiff_t>((index + 1) * size));
  }
  return part;
}

// ---------------------------------------------------------------- shapes

TEST(Shapes, TakeIntegersOfAnyType) {
  const std::size_t rows = 3;
  const int columns = 4;
  const Shape shape{rows, columns, 5u, std::uint8_t{6}};
  EXPECT_EQ(shape, (std::vector<std::int64_t>{3, 4, 5, 6}));
  enum Sizes { width = 768, vocabulary = 50257 };
  EXPECT_EQ((Shape{vocabulary, width}), (std::vector<std::int64_t>{50257, 768}));
  EXPECT_TRUE(Shape{}.empty());
  std::vector<float> memory(12);
  fanin::HeNormal(1).fill(fanin::view(memory), {rows, columns});
  EXPECT_EQ(std::memcmp(memory.data(), filled(fanin::HeNormal(1), {3, 4}).data(), 48), 0);
  // A number that int64 does not hold must not turn into another extent.
  EXPECT_THROW(fanin::element_count({std::uint64_t{1} << 63}), InvalidArgument);
  EXPECT_THROW(fanin::element_count({~std::uint64_t{0}, std::size_t{0} + 2}), InvalidArgument);
}

// ---------------------------------------------------------------- ranges of elements

TEST(Grids, AreTheWholeTensor) { EXPECT_EQ(fanin::test::expect_grid_equals_whole(fanin::host), 60); }

TEST(Ranges, AreSlicesOfTheWholeTensor) {
  Choices choices(1);
  for (int n = 0; n < 300; ++n) {
    const Initializer init = initializers()[choices.below(initializers().size())];
    const DType dtype = all_dtypes[choices.below(std::size(all_dtypes))];
    const Shape shape = random_shape(choices, 9000);
    const std::uint64_t size = fanin::element_count(shape);
    const std::uint64_t first = choices.below(size + 1);
    const Block block = range(first, choices.below(size - first + 1));
    const Bytes whole = filled(init, shape, dtype, named({}));
    ASSERT_EQ(filled(init, shape, dtype, named(block)), slice(whole, size_of(dtype), shape, block))
        << init.class_name() << " " << to_string(shape) << " from " << first << ", " << name_of(dtype);
  }
}

TEST(Ranges, OfATensorThatACallMakes) {
  const fanin::Tensor tensor = fanin::HeNormal(3)({7, 9}, DType::float32, named(range(5, 20)));
  EXPECT_EQ(tensor.shape(), (Shape{20}));
}

TEST(Ranges, Refusals) {
  const auto refused = [](const Block& block, const char* text) {
    std::vector<float> memory(100);
    try {
      fanin::HeNormal(1).fill(fanin::view(memory), {10, 10}, named(block));
      ADD_FAILURE() << text;
    } catch (const InvalidArgument& error) {
      EXPECT_NE(std::string(error.what()).find(text), std::string::npos) << error.what();
    }
    EXPECT_TRUE(std::all_of(memory.begin(), memory.end(), [](float v) { return v == 0; }));
  };
  refused(range(101, 0), "reaches outside the tensor of 100 elements");
  refused(range(90, 11), "first=90, count=11");
  refused(range(1, ~std::uint64_t{0}), "reaches outside");
  refused({{0, 0}, {10, 10}, ElementRange{0, 4}}, "Received: both");
}

// ---------------------------------------------------------------- rows apart in memory

TEST(LeadingDimensions, EveryRowIsWrittenAndNothingBetween) {
  Choices choices(2);
  for (int n = 0; n < 300; ++n) {
    std::vector<Initializer> all = initializers();
    all.emplace_back(fanin::Identity(2));
    const Initializer init = all[choices.below(all.size())];
    const DType dtype = all_dtypes[choices.below(std::size(all_dtypes))];
    const bool identity = init.class_name() == "Identity";
    const Shape shape = identity ? Shape{1 + choices.below(30), 1 + choices.below(30)} : random_shape(choices, 9000);
    Block block = random_block(choices, shape);
    const Bytes expected = slice(filled(init, shape, dtype, named({})), size_of(dtype), shape, block);
    const std::size_t size = size_of(dtype);
    const std::uint64_t row = fanin::detail::row_length(shape, block);
    const std::uint64_t count = expected.size() / size;
    const std::uint64_t rows = count == 0 ? 0 : count / row;
    const std::uint64_t pitch = row + choices.below(7);
    const std::size_t bytes = rows == 0 ? 0 : ((rows - 1) * pitch + row) * size;
    std::vector<double> memory(bytes / 8 + 4);
    auto* const begin = reinterpret_cast<unsigned char*>(memory.data());
    std::memset(begin, poison, memory.size() * 8);
    const std::size_t shift = choices.below(3) * size;
    View view{begin + shift, dtype, bytes, fanin::host, pitch};
    if (choices.below(2) == 0) {
      init.fill(view, shape, named(block));
    } else {
      Plan plan;
      plan.add(init, view, shape, named(block));
      plan.fill();
    }
    std::vector<unsigned char> wanted(memory.size() * 8, poison);
    for (std::uint64_t r = 0; r < rows; ++r) {
      std::memcpy(wanted.data() + shift + r * pitch * size, expected.data() + r * row * size, row * size);
    }
    ASSERT_EQ(std::memcmp(wanted.data(), begin, wanted.size()), 0)
        << init.class_name() << " " << to_string(shape) << " rows of " << row << ", " << pitch << " apart, "
        << name_of(dtype);
  }
}

TEST(LeadingDimensions, Refusals) {
  std::vector<float> memory(100, 5);
  const auto refused = [&](std::size_t pitch, std::size_t elements, const char* text) {
    const View view{memory.data(), DType::float32, elements * 4, fanin::host, pitch};
    try {
      fanin::HeNormal(1).fill(view, {10, 8});
      ADD_FAILURE() << text;
    } catch (const InvalidArgument& error) {
      EXPECT_NE(std::string(error.what()).find(text), std::string::npos) << error.what();
    }
    EXPECT_TRUE(std::all_of(memory.begin(), memory.end(), [](float v) { return v == 5; }));
  };
  refused(7, 100, "leading_dimension=7");
  EXPECT_THROW(
      fanin::HeNormal(1).fill({memory.data(), DType::float32, 400, fanin::host, 8}, {4, 4}, named(range(0, 16))),
      InvalidArgument);  // a range is one row
  EXPECT_THROW(fanin::HeNormal(1).fill(
                   {memory.data(), DType::float32, ~std::size_t{0}, fanin::host, ~std::size_t{0} / 8}, {3, 4}),
               InvalidArgument);
  refused(10, 97, "10 rows of 8 elements");
  refused(~std::size_t{0}, 100, "do not fit");
  refused(~std::size_t{0} / 4, 100, "do not fit");
  // These distances are 0, 4 and 32 bytes in 64 bits.
  for (const std::size_t more : {0U, 1U, 8U}) refused((std::size_t{1} << 62) + more, 100, "do not fit");
  const View enough{memory.data(), DType::float32, 98 * 4, fanin::host, 10};
  EXPECT_NO_THROW(fanin::HeNormal(1).fill(enough, {10, 8}));
  EXPECT_THROW(fanin::fill(enough, fanin::HeNormal(1).params({10, 8}, DType::float32)), InvalidArgument);
}

TEST(LeadingDimensions, SlicesOfAFusedTensorInOnePlan) {
  // Three matrices side by side, as in a fused projection; a fourth one would overlap the last.
  constexpr std::size_t width = 5, rows = 7, pitch = 3 * width;
  std::vector<float> fused(rows * pitch);
  const auto columns = [&](std::size_t first) {
    return View{fused.data() + first, DType::float32, ((rows - 1) * pitch + width) * 4, fanin::host, pitch};
  };
  Plan plan;
  for (std::size_t j = 0; j < 3; ++j)
    plan.add(fanin::HeNormal(1), columns(j * width), {rows, width}, std::to_string(j));
  EXPECT_THROW(plan.add(fanin::HeNormal(1), columns(width + 1), {rows, width}, "overlaps"), InvalidArgument);
  plan.fill();
  for (std::size_t j = 0; j < 3; ++j) {
    const Bytes expected =
        filled(fanin::HeNormal(1), {rows, width}, DType::float32, fanin::test::with_name(std::to_string(j)));
    for (std::size_t r = 0; r < rows; ++r) {
      EXPECT_EQ(std::memcmp(fused.data() + r * pitch + j * width, expected.data() + r * width * 4, width * 4), 0);
    }
  }
}

// ---------------------------------------------------------------- copies of parts

// A plan of one tensor and copies of blocks of it, in a random order; small ones, and with threads.
void expect_copies(Choices& choices, const Initializer& init, const Shape& shape, std::size_t copies, int threads) {
  std::vector<DType> dtypes;
  std::vector<Block> blocks;
  std::vector<std::vector<double>> memory;
  std::vector<View> views;
  for (std::size_t j = 0; j <= copies; ++j) {
    dtypes.push_back(all_dtypes[choices.below(std::size(all_dtypes))]);
    blocks.push_back(random_block(choices, shape));
    const std::size_t bytes = indices_of(shape, blocks[j]).size() * size_of(dtypes[j]);
    memory.emplace_back(bytes / 8 + 3);
    std::memset(memory[j].data(), poison, memory[j].size() * 8);
    auto* const begin = reinterpret_cast<unsigned char*>(memory[j].data());
    views.push_back({begin + choices.below(4) * size_of(dtypes[j]) % 16, dtypes[j], bytes});
  }
  Plan plan;
  plan.add(init, views[0], shape, named(blocks[0]));
  for (std::size_t j = 1; j <= copies; ++j) plan.add_copy(choices.below(j), views[j], blocks[j]);
  RunOptions run;
  run.threads = threads;
  plan.fill(run);
  for (std::size_t j = 0; j <= copies; ++j) {
    const Bytes expected = slice(filled(init, shape, dtypes[j], named({})), size_of(dtypes[j]), shape, blocks[j]);
    ASSERT_TRUE(std::equal(expected.begin(), expected.end(), static_cast<const unsigned char*>(views[j].address)))
        << "entry " << j << ", " << init.class_name() << " " << to_string(shape) << " " << name_of(dtypes[j]);
    const auto* const begin = reinterpret_cast<const unsigned char*>(memory[j].data());
    const auto* const first = static_cast<const unsigned char*>(views[j].address);
    EXPECT_TRUE(fanin::test::all_poison(begin, first));
    EXPECT_TRUE(fanin::test::all_poison(first + expected.size(), begin + memory[j].size() * 8));
  }
}

TEST(CopiesOfParts, AreSlicesOfTheWholeTensor) {
  Choices choices(3);
  for (int n = 0; n < 300; ++n) {
    const Initializer init = initializers()[choices.below(initializers().size())];
    expect_copies(choices, init, random_shape(choices, 20000), 1 + choices.below(10), 1);
  }
}

TEST(CopiesOfParts, OfManyElementsOnManyThreads) {
  Choices choices(4);
  for (int n = 0; n < 4; ++n) {
    expect_copies(choices, n % 2 == 0 ? Initializer(fanin::HeNormal(3)) : fanin::RandomUniform(-1, 3, 3), {1000, 1300},
                  3, 3);
  }
}

TEST(CopiesOfParts, ZeroShards) {
  // ZeRO-1 on 6 ranks: all weights in bfloat16 on each rank, and each rank's range of the float32 master.
  const Shape shape{1024, 768};
  constexpr std::uint64_t size = 1024 * 768, ranks = 6, each = (size + ranks - 1) / ranks;
  const fanin::RandomNormal init(0, 0.02, 42);
  const Bytes whole = filled(init, shape, DType::float32, named({}));
  const Bytes rounded = filled(init, shape, DType::bfloat16, named({}));
  for (std::uint64_t rank = 0; rank < ranks; ++rank) {
    const std::uint64_t first = rank * each, count = std::min(each, size - first);
    std::vector<std::uint16_t> weights(size);
    std::vector<float> master(count);
    Plan plan;
    const std::size_t entry = plan.add(init, {weights.data(), DType::bfloat16, size * 2}, shape, "shard");
    plan.add_copy(entry, fanin::view(master), range(first, count));
    plan.fill();
    EXPECT_EQ(std::memcmp(weights.data(), rounded.data(), rounded.size()), 0);
    EXPECT_EQ(std::memcmp(master.data(), whole.data() + first * 4, count * 4), 0) << rank;
  }
}

TEST(CopiesOfParts, Refusals) {
  std::vector<float> a(100), b(100);
  Plan plan;
  plan.add(fanin::HeNormal(1), fanin::view(a), {10, 10}, "a");
  plan.add(fanin::Identity(), fanin::view(b), {10, 10});
  std::vector<float> c(100);
  EXPECT_THROW(plan.add_copy(0, fanin::view(c), range(99, 2)), InvalidArgument);
  EXPECT_THROW(plan.add_copy(0, fanin::view(c), {{0, 0}, {11, 1}}), InvalidArgument);
  EXPECT_THROW(plan.add_copy(2, fanin::view(c), range(0, 2)), InvalidArgument);
  EXPECT_EQ(plan.size(), 2u);
  EXPECT_NO_THROW(plan.add_copy(0, fanin::view(c), range(99, 1)));
}

TEST(CopiesOfParts, AtPointers) {
  std::vector<float> a(100), b(30);
  std::vector<double> c(100);
  Plan plan;
  const std::size_t entry = plan.add(fanin::HeNormal(1), a.data(), {10, 10}, "w");
  plan.add_copy(entry, b.data(), range(7, 30));
  plan.add(fanin::HeNormal(2), c.data(), {10, 10}, TensorOptions{});
  plan.fill();
  const Bytes whole = filled(fanin::HeNormal(1), {10, 10}, DType::float32, fanin::test::with_name("w"));
  EXPECT_EQ(std::memcmp(a.data(), whole.data(), 400), 0);
  EXPECT_EQ(std::memcmp(b.data(), whole.data() + 28, 120), 0);
  EXPECT_EQ(std::memcmp(c.data(), filled(fanin::HeNormal(2), {10, 10}, DType::float64).data(), 800), 0);
}

TEST(CopiesOfParts, TheirDrawsAreTaken) {
  std::vector<float> a(50), b(50), c(50);
  Plan plan;
  plan.add(fanin::HeNormal(1), fanin::view(a), {10, 10}, named(range(0, 50)));
  plan.add_copy(0, fanin::view(b), range(50, 50));
  // The copy's half of the tensor, again: an accident.
  EXPECT_THROW(plan.add(fanin::HeNormal(1), fanin::view(c), {10, 10}, named({{5, 0}, {5, 10}})), InvalidArgument);
}

// ---------------------------------------------------------------- what the checks rest on

TEST(SharedIndices, AreFoundExactlyForRangesAndBlocks) {
  Choices choices(5);
  int shared = 0;
  for (int n = 0; n < 3000; ++n) {
    const Shape shape = random_shape(choices, 400);
    const Block a = random_block(choices, shape);
    const Block b = random_block(choices, shape);
    if (!a.offset.empty() && !b.offset.empty()) continue;  // by coordinates
    const auto in_a = indices_of(shape, a), in_b = indices_of(shape, b);
    std::vector<std::uint64_t> both;
    std::set_intersection(in_a.begin(), in_a.end(), in_b.begin(), in_b.end(), std::back_inserter(both));
    const auto map = [&](const Block& block) { return fanin::detail::make_index_map(shape, block); };
    ASSERT_EQ(fanin::detail::share_index(map(a), map(b)), !both.empty()) << to_string(shape);
    shared += both.empty() ? 0 : 1;
  }
  EXPECT_GT(shared, 300);
}

TEST(SharedMemory, IsFoundExactlyForRowsOfOnePitch) {
  Choices choices(6);
  int overlapping = 0;
  for (int n = 0; n < 20000; ++n) {
    const std::uint64_t pitch = 1 + choices.below(12);
    const auto region = [&] {
      Region r{100 + choices.below(60), 1 + choices.below(5), 1 + choices.below(pitch), pitch};
      if (r.rows == 1) r.width = 1 + choices.below(20);
      return r;
    };
    const Region a = region(), b = region();
    std::set<std::uintptr_t> bytes;
    const auto each = [](const Region& r, const auto& f) {
      for (std::uint64_t row = 0; row < r.rows; ++row) {
        for (std::uint64_t j = 0; j < r.width; ++j) f(r.first + row * r.pitch + j);
      }
    };
    each(a, [&](std::uintptr_t at) { bytes.insert(at); });
    bool meet = false;
    each(b, [&](std::uintptr_t at) { meet = meet || bytes.count(at) != 0; });
    ASSERT_EQ(overlap(a, b), meet) << a.first << " " << a.rows << " " << a.width << ", " << b.first << " " << b.rows
                                   << " " << b.width << ", pitch " << pitch;
    overlapping += meet ? 1 : 0;
  }
  EXPECT_GT(overlapping, 1000);
}

}  // namespace
