// SPDX-License-Identifier: Apache-2.0
// Blocks whose place only the device knows: the loops over them, and what is refused. tests/python/own/test_xla.py
// fills them.
#include "api/device_blocks.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "fanin/fanin.hpp"

namespace {

using fanin::DeviceBlocks;
using fanin::Shape;
using fanin::detail::BlockLoops;

constexpr std::int64_t outside = -1;

// The index in the tensor of each element of a block, in the order of memory, as a back end computes it.
std::vector<std::int64_t> by_loops(const BlockLoops& loops) {
  std::vector<std::int64_t> indices;
  for (std::uint64_t n = 0; n < loops.map.count; ++n) {
    std::int64_t index = 0;
    std::uint64_t rest = n;
    for (std::uint32_t j = loops.map.rank; j-- > 0;) {
      const std::uint64_t c = rest % loops.map.extent[j];
      rest /= loops.map.extent[j];
      const std::uint64_t begin =
          loops.block.step[j] == 0
              ? 0
              : static_cast<std::uint64_t>(loops.block.number[loops.block.axis[j]]) * loops.block.step[j];
      if (begin + c >= loops.block.bound[j]) index = outside;
      if (index != outside) index += static_cast<std::int64_t>((begin + c) * loops.map.stride[j]);
    }
    indices.push_back(index);
  }
  return indices;
}

// The same, from the definition.
std::vector<std::int64_t> by_definition(const Shape& shape, const Shape& parts,
                                        const std::vector<std::int32_t>& number) {
  std::vector<std::int64_t> indices{0};
  for (std::size_t j = 0; j < shape.size(); ++j) {
    std::vector<std::int64_t> longer;
    const std::int64_t extent = (shape[j] + parts[j] - 1) / parts[j];
    for (const std::int64_t index : indices) {
      for (std::int64_t c = 0; c < extent; ++c) {
        const std::int64_t coordinate = number[j] * extent + c;
        longer.push_back(index == outside || coordinate >= shape[j] ? outside : index * shape[j] + coordinate);
      }
    }
    indices = longer;
  }
  return indices;
}

DeviceBlocks blocks_of(const Shape& shape, const Shape& parts, const std::int32_t* number) {
  static const std::uint32_t streams[4] = {};
  return {shape, parts, 1, streams, number};
}

TEST(DeviceBlocks, LoopsReachTheElementsOfEveryBlock) {
  struct Case {
    Shape shape, parts;
  };
  int partly = 0;
  int none = 0;
  for (const Case& c :
       {Case{{}, {}}, Case{{7}, {1}}, Case{{7}, {2}}, Case{{5}, {4}}, Case{{1}, {3}}, Case{{4, 6}, {1, 1}},
        Case{{5, 6}, {2, 1}}, Case{{5, 6}, {1, 4}}, Case{{5, 7}, {3, 2}}, Case{{1, 1, 4, 6}, {1, 1, 2, 1}},
        Case{{3, 1, 4, 5}, {1, 2, 1, 1}}, Case{{3, 4, 5, 2}, {2, 1, 3, 1}}, Case{{3, 4, 5, 1}, {1, 3, 1, 1}},
        Case{{2, 3, 2, 3}, {2, 2, 2, 2}}, Case{{0, 4}, {2, 2}}, Case{{4, 0, 3}, {1, 2, 1}}}) {
    std::vector<std::int32_t> number(c.shape.size(), 0);
    std::size_t j = 0;
    do {
      const BlockLoops loops = fanin::detail::loops_of(blocks_of(c.shape, c.parts, number.data()));
      const std::vector<std::int64_t> got = by_loops(loops);
      EXPECT_EQ(got, by_definition(c.shape, c.parts, number)) << fanin::to_string(c.shape) << fanin::to_string(c.parts);
      EXPECT_EQ(loops.map.stride[loops.map.rank - 1], 1u);
      const auto beyond = std::count(got.begin(), got.end(), outside);
      partly += beyond > 0 && beyond < static_cast<std::ptrdiff_t>(got.size());
      none += beyond > 0 && beyond == static_cast<std::ptrdiff_t>(got.size());
      for (j = 0; j < number.size() && ++number[j] == c.parts[j]; ++j) number[j] = 0;
    } while (j < number.size());
  }
  EXPECT_GT(partly, 5);
  EXPECT_GT(none, 2);
}

TEST(DeviceBlocks, LoopsAreAsFewAsThereAreCuts) {
  const std::int32_t number[4] = {};
  const auto rank = [&](const Shape& shape, const Shape& parts) {
    return fanin::detail::loops_of(blocks_of(shape, parts, number)).map.rank;
  };
  EXPECT_EQ(rank({3, 3, 64, 64}, {1, 1, 1, 1}), 1u);
  EXPECT_EQ(rank({64, 3, 3, 64}, {8, 1, 1, 1}), 1u);  // whole rows: one segment
  EXPECT_EQ(rank({1, 1, 64, 64}, {1, 1, 1, 2}), 2u);
  EXPECT_EQ(rank({1, 1, 64, 64}, {1, 1, 2, 1}), 1u);
  EXPECT_EQ(rank({8, 8, 8, 8}, {1, 1, 1, 2}), 2u);
  EXPECT_EQ(rank({8, 8, 8, 8}, {2, 1, 1, 2}), 2u);
  EXPECT_EQ(rank({8, 8, 8, 8}, {2, 2, 2, 2}), 4u);
}

TEST(DeviceBlocks, Refused) {
  const std::int32_t number[2] = {};
  const fanin::HeNormal init(1);
  const fanin::View view{nullptr, fanin::DType::float32, 0, fanin::cuda(0)};
  const auto params = init.params({4, 6}, fanin::DType::float32);
  std::vector<float> memory(24);
  EXPECT_THROW(fill(fanin::view(memory.data(), 24), params, blocks_of({4, 6}, {1, 1}, number)), fanin::InvalidArgument);
  EXPECT_THROW(fill(view, params, blocks_of({4, 7}, {1, 1}, number)), fanin::InvalidArgument);
  EXPECT_THROW(fill(view, init.params({4, 6}, fanin::DType::float64), blocks_of({4, 6}, {1, 1}, number)),
               fanin::InvalidArgument);
  EXPECT_THROW(fill(view, fanin::Identity().params({4, 6}, fanin::DType::float32), blocks_of({4, 6}, {1, 1}, number)),
               fanin::InvalidArgument);
  for (const Shape& parts : {Shape{1}, Shape{1, 0}, Shape{-1, 1}, Shape{1, 1, 1}}) {
    EXPECT_THROW(fanin::detail::loops_of(blocks_of({4, 6}, parts, number)), fanin::InvalidArgument);
  }
  EXPECT_THROW(fanin::detail::loops_of(blocks_of({4, 6}, {2, 1}, nullptr)), fanin::InvalidArgument);
  EXPECT_NO_THROW(fanin::detail::loops_of(blocks_of({4, 6}, {1, 1}, nullptr)));
}

}  // namespace
