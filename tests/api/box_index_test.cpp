// SPDX-License-Identifier: Apache-2.0
#include "api/box_index.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

#include "api/memory_regions.h"

namespace {

using fanin::detail::Box;
using fanin::detail::BoxIndex;
using fanin::detail::MemoryRegions;
using fanin::detail::Region;

constexpr std::uint64_t last = ~std::uint64_t{0};

bool meet(const Box& a, const Box& b) {
  for (std::size_t j = 0; j < a.size(); ++j) {
    if (a[j].last < b[j].first || b[j].last < a[j].first) return false;
  }
  return true;
}

TEST(BoxIndex, FindsEveryBoxThatMeetsAnother) {
  std::mt19937_64 random(7);
  const auto interval = [&]() -> fanin::detail::Interval {
    const std::uint64_t kind = random() % 16;
    if (kind == 0) return {0, last};
    if (kind == 1) return {last - random() % 4, last};
    const std::uint64_t first = random() % 1000;
    return {first, first + (random() & ((std::uint64_t{1} << random() % 10) - 1))};
  };
  for (std::size_t rank = 1; rank <= 3; ++rank) {
    BoxIndex index;
    std::vector<Box> boxes;
    for (std::size_t n = 0; n < 500; ++n) {
      Box box;
      for (std::size_t j = 0; j < rank; ++j) box.push_back(interval());
      const std::vector<std::size_t> found = index.candidates(box);
      for (std::size_t k = 0; k < boxes.size(); ++k) {
        const bool is_there = std::count(found.begin(), found.end(), k) == 1;
        if (k % 5 == 4) {
          EXPECT_FALSE(is_there);  // removed
        } else if (meet(boxes[k], box)) {
          EXPECT_TRUE(is_there) << rank << ' ' << n << ' ' << k;
        }
      }
      EXPECT_GE(index.candidates(box, 20).size(), std::min<std::size_t>(found.size(), 20));
      EXPECT_LE(index.candidates(box, 20).size(), 20u);
      index.add(box, n);
      if (n % 5 == 4) index.remove(box, n);
      boxes.push_back(box);
    }
    index.remove(boxes[4], 4);  // again
  }
}

// Blocks of a tensor have few candidates, however many they are, whatever axes they are cut along.
TEST(BoxIndex, LooksAtFewBoxesOfATiling) {
  constexpr std::uint64_t all = 1u << 20;
  for (const std::uint64_t columns : {1U, 64U, 4096U}) {
    const std::uint64_t rows = 4096 / columns;
    BoxIndex index;
    std::size_t looked_at = 0;
    for (std::uint64_t n = 0; n < 4096; ++n) {
      const std::uint64_t row = n / columns * (all / rows);
      const std::uint64_t column = n % columns * (all / columns);
      // The first axis has the flat indices from the first to the last.
      const Box box{{row * all + column, (row + all / rows - 1) * all + column + all / columns - 1},
                    {row, row + all / rows - 1},
                    {column, column + all / columns - 1}};
      looked_at += index.candidates(box).size();
      index.add(box, n);
    }
    EXPECT_LT(looked_at, 4096u * (columns == 64 ? 160 : 16)) << columns;
  }
}

TEST(MemoryRegions, ColumnsOfOneMatrixAndManyMatrices) {
  constexpr std::uint64_t base = 1000003;  // so that rows do not begin at multiples of their pitch
  constexpr std::uint64_t rows = 50, width = 24, columns = 300, pitch = width * columns + 8;
  MemoryRegions regions;
  std::size_t owners = 0;
  const auto add = [&](const Region& region) {
    EXPECT_FALSE(regions.owner_in(region).has_value()) << owners;
    regions.add(region, owners++);
  };
  for (std::uint64_t n = 0; n < columns; ++n) add({base + n * width, rows, width, pitch});
  const std::uint64_t end = base + rows * pitch;
  for (std::uint64_t n = 0; n < 200; ++n) add({end + n * 1000, 10, 40, 50 + n % 50});
  add({base + width * columns, 1, 8, 0});  // the gap behind the first row
  add({base + pitch + width * columns, rows - 1, 8, pitch});
  for (std::uint64_t n = 0; n < columns; ++n) {
    EXPECT_EQ(regions.owner_in({base + n * width + width - 1, rows, 1, pitch}), n);
    EXPECT_EQ(regions.owner_in({base + 7 * pitch + n * width, 1, width, 0}), n);
    EXPECT_EQ(regions.owner_in({base + 7 * pitch + n * width + width - 1, 3, 1, pitch + 1}).has_value(), true);
  }
  for (std::uint64_t n = 0; n < 200; ++n) {
    EXPECT_EQ(regions.owner_in({end + n * 1000, 1, 1000, 0}), columns + n);
  }
  EXPECT_TRUE(regions.owner_in({base + 3 * pitch, 1, 2 * pitch, 0}).has_value());
  EXPECT_FALSE(regions.owner_in({base - 10, 1, 10, 0}).has_value());
  EXPECT_FALSE(regions.owner_in({end + 200 * 1000, 5, 10, 20}).has_value());
}

}  // namespace
