// SPDX-License-Identifier: Apache-2.0
// A standard normal by exact rejection from 256 cells of equal area under exp(-x^2/2) (docs/VALUES.md, section 3):
// the ziggurat of Marsaglia and Tsang (2000), with rectangles that lie wholly under the curve, so that 98.4 % of the
// trials need one word, one look-up and one multiplication, and with one table of boxes for all that they leave.
#pragma once

#include <cstdint>

#include "core/fractions.h"
#include "core/neglog.h"
#include "core/streams.h"
#include "core/ziggurat.h"

namespace fanin::core {

// Bounds of an accepted value in standard deviations, both included; infinite for an untruncated normal.
struct Window {
  float lower, upper;
};

// One trial: z, and whether the point lies under the curve. Truncation is not applied yet.
struct Trial {
  float z;
  bool kept;
};

FANIN_HOST_DEVICE std::uint32_t cell_of(std::uint32_t head) { return head & 0xffu; }
FANIN_HOST_DEVICE bool is_edge(std::uint32_t head) { return cell_of(head) >= rectangles; }

// A rectangle's point is always kept.
FANIN_HOST_DEVICE float rectangle_point(std::uint32_t head, const Ziggurat& table) {
  return mul(static_cast<float>(centred(head)), table.x_scaled[cell_of(head)]);
}

// How many of the 252 thresholds are <= word.
FANIN_HOST_DEVICE std::uint32_t box_of(std::uint32_t word, const Ziggurat& table) {
  std::uint32_t low = 0;
  std::uint32_t size = boxes - 1;
  while (size > 0) {
    const std::uint32_t half = size / 2;
    if (table.threshold[low + half] <= word) {
      low += half + 1;
      size -= half + 1;
    } else {
      size = half;
    }
  }
  return low;
}

struct EdgeBox {
  float x_low, dx, y_low, dy;
};

// A point of an edge box, chosen by words z and w of the retry block; its sign is that of the head's fraction. Box 0 is
// the tail beyond X[0].
FANIN_HOST_DEVICE Trial point_of_box(std::uint32_t head, std::uint32_t box, const EdgeBox& edges, const Words& next) {
  const float ux = edge_fraction(next.z);
  const float uy = edge_fraction(next.w);
  float x;
  bool kept;
  if (box > 0) {
    x = fma(ux, edges.dx, edges.x_low);
    const float l = neglog(fma(uy, edges.dy, edges.y_low));
    kept = mul(x, x) < add(l, l);
  } else {  // Marsaglia's method
    constexpr float x0 = ziggurat.x0;
    constexpr float inverse_x0 = ziggurat.inverse_x0;
    const float a = mul(neglog(ux), inverse_x0);
    const float b = neglog(uy);
    x = add(x0, a);
    kept = mul(a, a) < add(b, b);
  }
  return {centred(head) < 0 ? -x : x, kept};
}

// The same, with the box chosen by word y.
FANIN_HOST_DEVICE Trial edge_point(std::uint32_t head, const Words& next, const Ziggurat& table) {
  const std::uint32_t box = box_of(next.y, table);
  return point_of_box(head, box, {table.x_low[box], table.dx[box], table.y_low[box], table.dy[box]}, next);
}

// The first accepted trial of an element: its number, its head word and its value.
struct Accepted {
  float z;
  std::uint32_t head;
  std::uint32_t trial;  // == trials if all failed; z is then +0
};

// Continues element i from trial `trial`, whose head word is `head`.
template <class Bits>
FANIN_HOST_DEVICE Accepted first_accepted(const Stream& stream, std::uint64_t i, std::uint32_t head, Window window,
                                          const Ziggurat& table, std::uint32_t trial = 0) {
  for (; trial < trials; ++trial) {
    Trial point;
    Words next;
    if (is_edge(head)) {
      next = retry<Bits>(stream, i, trial + 1);
      point = edge_point(head, next, table);
      if (point.kept && point.z >= window.lower && point.z <= window.upper) return {point.z, head, trial};
    } else {
      point.z = rectangle_point(head, table);
      if (point.z >= window.lower && point.z <= window.upper) return {point.z, head, trial};
      next = retry<Bits>(stream, i, trial + 1);
    }
    head = next.x;
  }
  return {0.0F, head, trials};
}

// The binary64 value of an accepted trial: more digits of the same number, never another draw.
FANIN_HOST_DEVICE double refine(const Accepted& accepted, std::uint32_t refinement_word, const Ziggurat& table) {
  if (accepted.trial == trials) return 0.0;
  if (is_edge(accepted.head)) {
    const double z = accepted.z;
    return fma(z, mul(static_cast<double>(centred_refinement(refinement_word)), 0x1p-53), z);
  }
  return mul(refined(centred(accepted.head), refinement_word), table.x_scaled64[cell_of(accepted.head)]);
}

}  // namespace fanin::core
