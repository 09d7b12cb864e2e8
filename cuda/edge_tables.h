// SPDX-License-Identifier: Apache-2.0
// The edge boxes of the normal's table (docs/VALUES.md, section 3), arranged so that one comparison finds a box.
#pragma once

#include <cstdint>

#include "core/normal.h"

namespace fanin::gpu {

struct EdgeTables {
  static constexpr std::uint32_t first_box_bits = 10;

  // The box of the smallest word with these high bits. No two thresholds share them, as the compiler checks below.
  std::uint8_t first_box[1u << first_box_bits];
  // The next box is that of words > last_word[box].
  std::uint32_t last_word[core::boxes];
  struct alignas(16) Box : core::EdgeBox {};
  Box box[core::boxes];
};

constexpr EdgeTables make_edge_tables() {
  EdgeTables tables{};
  std::uint32_t box = 0;
  for (std::uint32_t i = 0; i < 1u << EdgeTables::first_box_bits; ++i) {
    const std::uint32_t word = i << (32 - EdgeTables::first_box_bits);
    while (box < core::boxes - 1 && core::ziggurat.threshold[box] <= word) ++box;
    tables.first_box[i] = static_cast<std::uint8_t>(box);
  }
  for (std::uint32_t b = 0; b < core::boxes; ++b) {
    tables.last_word[b] = b < core::boxes - 1 ? core::ziggurat.threshold[b] - 1 : 0xffffffffu;
    tables.box[b].x_low = core::ziggurat.x_low[b];
    tables.box[b].dx = core::ziggurat.dx[b];
    tables.box[b].y_low = core::ziggurat.y_low[b];
    tables.box[b].dy = core::ziggurat.dy[b];
  }
  return tables;
}

constexpr bool one_comparison_finds_a_box() {
  for (std::uint32_t b = 0; b + 2 < core::boxes; ++b) {
    constexpr std::uint32_t shift = 32 - EdgeTables::first_box_bits;
    if (core::ziggurat.threshold[b] >> shift == core::ziggurat.threshold[b + 1] >> shift) return false;
  }
  return true;
}
static_assert(one_comparison_finds_a_box());

}  // namespace fanin::gpu
