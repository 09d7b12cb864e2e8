// SPDX-License-Identifier: Apache-2.0
// The edge boxes of the normal's table (docs/VALUES.md, section 3), arranged so that one comparison finds a box.
#pragma once

#include <cstdint>

#include "core/normal.h"

namespace fanin::gpu {

struct EdgeTables {
  static constexpr std::uint32_t first_bits = 10;

  // By a word's high bits: the first box of such words, in the low byte, and the other bits of its last word in front
  // of it, all ones if no box ends there. No two boxes do, as the compiler checks below.
  std::uint32_t first[1u << first_bits];
  struct alignas(16) Box : core::EdgeBox {};
  Box box[core::boxes];
};

// A threshold of which only these bits count is compared as if the others were ones.
constexpr EdgeTables make_edge_tables() {
  EdgeTables tables{};
  std::uint32_t box = 0;
  for (std::uint32_t i = 0; i < 1u << EdgeTables::first_bits; ++i) {
    const std::uint32_t word = i << (32 - EdgeTables::first_bits);
    while (box < core::boxes - 1 && core::normal_table.threshold[box] <= word) ++box;
    const bool ends =
        box < core::boxes - 1 && (core::normal_table.threshold[box] - 1) >> (32 - EdgeTables::first_bits) == i;
    const std::uint32_t last = ends ? core::normal_table.threshold[box] - 1 : 0xffffffffu;
    tables.first[i] = last << EdgeTables::first_bits | box;
  }
  for (std::uint32_t b = 0; b < core::boxes; ++b) {
    tables.box[b].x_low = core::normal_table.x_low[b];
    tables.box[b].dx = core::normal_table.dx[b];
    tables.box[b].y_low = core::normal_table.y_low[b];
    tables.box[b].dy = core::normal_table.dy[b];
  }
  // The tail: y is the fraction itself, and x begins at the largest width.
  tables.box[0].x_low = core::normal_table.x0;
  tables.box[0].dx = 1;
  tables.box[0].y_low = -0.0F;
  tables.box[0].dy = 1;
  return tables;
}

constexpr bool one_comparison_finds_a_box() {
  for (std::uint32_t b = 0; b + 2 < core::boxes; ++b) {
    constexpr std::uint32_t shift = 32 - EdgeTables::first_bits;
    if (core::normal_table.threshold[b] >> shift == core::normal_table.threshold[b + 1] >> shift) return false;
  }
  return true;
}
static_assert(one_comparison_finds_a_box());

}  // namespace fanin::gpu
