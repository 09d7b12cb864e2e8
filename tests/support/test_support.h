// SPDX-License-Identifier: Apache-2.0
// Helpers that several test programs share.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cfenv>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "fanin/fanin.hpp"

namespace fanin::test {

using Bytes = std::vector<unsigned char>;

inline constexpr std::array<DType, 6> all_dtypes{DType::float32,  DType::float64,       DType::float16,
                                                 DType::bfloat16, DType::float8_e4m3fn, DType::float8_e5m2};

// Memory has this byte before a fill, which shows bytes that were not written.
inline constexpr unsigned char poison = 0xca;

// ---------------------------------------------------------------- refusals

// Returns the text of the Error that f() must throw. Any other exception fails the test.
template <class Error = InvalidArgument, class F>
std::string refusal(const F& f) {
  try {
    f();
  } catch (const Error& error) {
    return error.what();
  }
  ADD_FAILURE() << "nothing was refused";
  return {};
}

// Expects that f() throws InvalidArgument with a text that contains each of the parts.
template <class F>
void expect_refused(const F& f, std::initializer_list<std::string_view> parts) {
  const std::string text = refusal(f);
  for (const std::string_view part : parts) {
    EXPECT_NE(text.find(part), std::string::npos) << "\"" << part << "\" is not in: " << text;
  }
}

// ---------------------------------------------------------------- fills

inline View view_of(Bytes& bytes, DType dtype) { return {bytes.data(), dtype, bytes.size(), host}; }

// The bytes of a tensor, or of a block of it, after a fill of host memory.
inline Bytes filled(const Initializer& initializer, const Shape& shape, DType dtype = DType::float32,
                    const TensorOptions& options = {}, const RunOptions& run = {}) {
  const Block& block = options.block;
  const bool whole = block.offset.empty() && block.extent.empty();
  const std::uint64_t count = block.elements ? block.elements->count : element_count(whole ? shape : block.extent);
  Bytes bytes(count * size_of(dtype), poison);
  initializer.fill(view_of(bytes, dtype), shape, options, run);
  return bytes;
}

inline RunOptions on_threads(int threads) { return {nullptr, threads}; }

inline TensorOptions with_name(std::string name) {
  TensorOptions options;
  options.name = std::move(name);
  return options;
}

inline TensorOptions with_subsequence(std::uint64_t subsequence) {
  TensorOptions options;
  options.subsequence = subsequence;
  return options;
}

inline TensorOptions with_block(Shape offset, Shape extent) {
  TensorOptions options;
  options.block = {std::move(offset), std::move(extent)};
  return options;
}

// The elements of a block, copied one by one from the whole tensor's bytes.
inline Bytes slice(const Bytes& tensor, const Shape& shape, const Block& block, std::size_t element_size) {
  Bytes result;
  const std::uint64_t count = element_count(block.extent);
  for (std::uint64_t element = 0; element < count; ++element) {
    std::uint64_t rest = element;
    std::uint64_t index = 0;
    std::uint64_t stride = 1;
    for (std::size_t j = shape.size(); j-- > 0;) {
      const auto extent = static_cast<std::uint64_t>(block.extent[j]);
      index += (static_cast<std::uint64_t>(block.offset[j]) + rest % extent) * stride;
      rest /= extent;
      stride *= static_cast<std::uint64_t>(shape[j]);
    }
    const unsigned char* first = tensor.data() + index * element_size;
    result.insert(result.end(), first, first + element_size);
  }
  return result;
}

template <class T>
std::vector<T> values_of(const Bytes& bytes) {
  std::vector<T> values(bytes.size() / sizeof(T));
  if (!values.empty()) std::memcpy(values.data(), bytes.data(), values.size() * sizeof(T));
  return values;
}

inline bool all_poison(const unsigned char* first, const unsigned char* last) {
  return std::all_of(first, last, [](unsigned char byte) { return byte == poison; });
}

// ---------------------------------------------------------------- environment

// Sets the calling thread's rounding mode during its lifetime.
class RoundingMode {
 public:
  explicit RoundingMode(int mode) : saved_(std::fegetround()) { std::fesetround(mode); }
  ~RoundingMode() { std::fesetround(saved_); }
  RoundingMode(const RoundingMode&) = delete;
  RoundingMode& operator=(const RoundingMode&) = delete;

 private:
  int saved_;
};

// Makes random choices that are the same on every machine; std::uniform_int_distribution's are not.
class Choices {
 public:
  explicit Choices(std::uint64_t seed) : state_(seed) {}

  // A number in [0, bound).
  std::uint64_t below(std::uint64_t bound) {
    state_ = state_ * 6364136223846793005u + 1442695040888963407u;
    return (state_ >> 33) % bound;
  }

 private:
  std::uint64_t state_;
};

// A box of at least one element in a tensor that has some.
inline TensorOptions random_box(Choices& choices, const Shape& shape) {
  Shape offset, extent;
  for (const auto length : shape) {
    offset.push_back(static_cast<std::int64_t>(choices.below(static_cast<std::uint64_t>(length))));
    extent.push_back(static_cast<std::int64_t>(choices.below(static_cast<std::uint64_t>(length - offset.back())) + 1));
  }
  return with_block(std::move(offset), std::move(extent));
}

// ---------------------------------------------------------------- shards

// Expects that a 4-D tensor on a grid of 2 x 3 x 1 x 2 processes, none of whose extents divides evenly, has the bytes
// of the whole, for every dtype and sampler, in memory of the device. Returns the number of tensors compared.
inline int expect_grid_equals_whole(Device device) {
  const Shape shape{5, 7, 3, 9};
  const std::int64_t grid[] = {2, 3, 1, 2};
  std::vector<Block> blocks;
  for (std::int64_t rank = 0; rank < 12; ++rank) {
    const std::int64_t at[] = {rank / 6, rank / 2 % 3, 0, rank % 2};
    Block block;
    for (std::size_t j = 0; j < 4; ++j) {
      block.offset.push_back(shape[j] * at[j] / grid[j]);
      block.extent.push_back(shape[j] * (at[j] + 1) / grid[j] - block.offset[j]);
    }
    blocks.push_back(block);
  }
  constexpr double infinity = std::numeric_limits<double>::infinity();
  const Initializer samplers[] = {HeNormal(5),
                                  RandomNormal(0.5, 2, 5),
                                  HeUniform(5),
                                  RandomUniform(1, 3, 5),
                                  TruncatedNormal(0, 1, 5, -3, 3),
                                  TruncatedNormal(0, 1, 5, 0, infinity),
                                  TruncatedNormal(0, 1, 5, 1, 2),
                                  TruncatedNormal(0, 1, 5, -0.5, 0.5),
                                  TruncatedNormal(0, 1, 5, 3, infinity),
                                  Constant(0.75)};
  int compared = 0;
  for (const Initializer& sampler : samplers) {
    for (const DType dtype : all_dtypes) {
      TensorOptions options;
      options.name = "grid";
      const Bytes whole = filled(sampler, shape, dtype, options);
      std::vector<Tensor> memory;
      Plan plan;
      for (const Block& block : blocks) {
        memory.emplace_back(block.extent, dtype, device);
        options.block = block;
        plan.add(sampler, memory.back().view(), shape, options);
      }
      plan.fill();
      Bytes joined(whole.size(), poison);
      for (std::size_t n = 0; n < blocks.size(); ++n) {
        const Tensor values = memory[n].to(host);
        const auto* from = static_cast<const unsigned char*>(values.data());
        const Shape& offset = blocks[n].offset;
        const Shape& extent = blocks[n].extent;
        const std::size_t row = static_cast<std::size_t>(extent[3]) * size_of(dtype);
        for (std::int64_t i = 0; i < extent[0]; ++i) {
          for (std::int64_t j = 0; j < extent[1]; ++j) {
            for (std::int64_t k = 0; k < extent[2]; ++k, from += row) {
              const std::int64_t index =
                  (((offset[0] + i) * shape[1] + offset[1] + j) * shape[2] + offset[2] + k) * shape[3] + offset[3];
              std::memcpy(joined.data() + static_cast<std::size_t>(index) * size_of(dtype), from, row);
            }
          }
        }
      }
      EXPECT_EQ(joined, whole) << sampler.class_name() << ' ' << name_of(dtype);
      ++compared;
    }
  }
  return compared;
}

}  // namespace fanin::test
