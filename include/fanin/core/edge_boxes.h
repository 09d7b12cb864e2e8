// SPDX-License-Identifier: Apache-2.0
// The edge boxes of a table (docs/VALUES.md, section 3) in the form that loops use: one look-up and one comparison find
// a word's box.
#pragma once

#include "fanin/core/host_device.h"
#include "fanin/core/integers.h"
#include "fanin/core/ziggurat.h"

namespace fanin::core {

// A point of a box is (x_low + u_x dx, y_low + u_y dy). The tail, box 0, has x_low = X[0], dx = 1, y_low = 0, dy = 1;
// in all other boxes dx < 1.
struct EdgeBox {
  float x_low, dx, y_low, dy;
};

struct EdgeBoxes {
  static constexpr uint32_t first_bits = 10;
  static constexpr uint32_t first_size = 1u << first_bits;

  // Indexed by the first_bits high bits of a word. The low bits of an entry are the box of the smallest such word; the
  // bits above are the other bits of that box's last word, or ones if the box extends beyond these words.
  uint32_t first[first_size];
  struct alignas(16) Box : EdgeBox {};
  Box box[boxes];

  static constexpr FANIN_HOST_DEVICE uint32_t entry_of(uint32_t word) { return word >> (32 - first_bits); }
  // The box of a word with this entry. Words past the last one of the entry's box are in the next box.
  static constexpr FANIN_HOST_DEVICE uint32_t box_of(uint32_t word, uint32_t entry) {
    return (entry & (first_size - 1)) + ((word << first_bits | (first_size - 1)) > (entry | (first_size - 1)) ? 1 : 0);
  }
};

constexpr EdgeBoxes make_edge_boxes(const Ziggurat& table) {
  EdgeBoxes edges{};
  constexpr uint32_t rest = 32 - EdgeBoxes::first_bits;
  uint32_t box = 0;
  for (uint32_t i = 0; i < EdgeBoxes::first_size; ++i) {
    const uint32_t word = i << rest;
    while (box < boxes - 1 && table.threshold[box] <= word) ++box;
    const bool ends = box < boxes - 1 && (table.threshold[box] - 1) >> rest == i;
    edges.first[i] = (ends ? table.threshold[box] - 1 : ~0u) << EdgeBoxes::first_bits | box;
    const bool another = ends && box + 1 < boxes - 1 && (table.threshold[box + 1] - 1) >> rest == i;
    if (another) throw "two boxes end in one entry";  // fails to compile
  }
  for (uint32_t b = 0; b < boxes; ++b) {
    edges.box[b].x_low = table.x_low[b];
    edges.box[b].dx = table.dx[b];
    edges.box[b].y_low = table.y_low[b];
    edges.box[b].dy = table.dy[b];
    if (b > 0 && table.dx[b] >= 1) throw "a box is as wide as the tail's sign";  // fails to compile
  }
  edges.box[0].x_low = table.x0;
  edges.box[0].dx = 1;
  edges.box[0].y_low = 0;
  edges.box[0].dy = 1;
  return edges;
}

inline constexpr EdgeBoxes normal_edges = make_edge_boxes(normal_table);
inline constexpr EdgeBoxes cut_edges = make_edge_boxes(cut_table);

}  // namespace fanin::core
