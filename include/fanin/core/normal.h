// SPDX-License-Identifier: Apache-2.0
// A standard normal within a window, by exact rejection (docs/VALUES.md, section 3). Two tables of 256 cells of equal
// area cover exp(-x^2/2): the ziggurat of Marsaglia and Tsang (2000), with rectangles that lie entirely under the
// curve, so that 98.4 % of the trials need one word, one look-up and one multiplication. Narrow windows have no table.
#pragma once

#include "fanin/core/counter.h"
#include "fanin/core/fractions.h"
#include "fanin/core/integers.h"
#include "fanin/core/neglog.h"
#include "fanin/core/window.h"
#include "fanin/core/ziggurat.h"

namespace fanin::core {

// One trial: z, and whether the point lies under the curve. The window is not applied yet.
struct Trial {
  float z;
  bool kept;
};

FANIN_HOST_DEVICE uint32_t cell_of(uint32_t head) { return head & 0xffu; }
FANIN_HOST_DEVICE bool is_edge(uint32_t head) { return cell_of(head) >= rectangles; }

// A rectangle's point is always kept.
FANIN_HOST_DEVICE float rectangle_point(uint32_t head, const Ziggurat& table) {
  return mul(static_cast<float>(centred(head)), table.x_scaled[cell_of(head)]);
}

// How many of the 252 thresholds are <= word.
FANIN_HOST_DEVICE uint32_t box_of(uint32_t word, const Ziggurat& table) {
  uint32_t low = 0;
  uint32_t size = boxes - 1;
  while (size > 0) {
    const uint32_t half = size / 2;
    if (table.threshold[low + half] <= word) {
      low += half + 1;
      size -= half + 1;
    } else {
      size = half;
    }
  }
  return low;
}

// A point of the box that word y of the retry block chooses. Words z and w choose the point, and the sign of the head's
// fraction is its sign.
FANIN_HOST_DEVICE Trial edge_point(uint32_t head, const Words& next, const Ziggurat& table) {
  const uint32_t box = box_of(next.y, table);
  const float ux = edge_fraction(next.z);
  const float uy = edge_fraction(next.w);
  float x;
  bool kept;
  if (box > 0) {
    x = fma(ux, table.dx[box], table.x_low[box]);
    const float l = neglog(fma(uy, table.dy[box], table.y_low[box]));
    kept = mul(x, x) < add(l, l);
  } else {  // the tail, by Marsaglia's method
    const float a = mul(neglog(ux), table.inverse_x0);
    const float b = neglog(uy);
    x = add(table.x0, a);
    kept = mul(a, a) < add(b, b);
  }
  return {centred(head) < 0 ? negative(x) : x, kept};
}

// A trial of a narrow window, from words z and w of its block.
FANIN_HOST_DEVICE Trial narrow_point(const Words& words, const NarrowWindow& window) {
  const float ux = edge_fraction(words.z);
  const float l = neglog(edge_fraction(words.w));
  float x;
  bool kept;
  if (window.tail) {
    const float s = mul(neglog(ux), window.inverse_rate);
    x = add(window.nearest, s);
    const float q = add(s, negative(window.delta));
    kept = mul(q, q) < add(l, l);
  } else {
    x = fma(ux, window.width, window.low);
    kept = mul(add(x, negative(window.nearest)), add(x, window.nearest)) < add(l, l);
  }
  return {window.negative ? negative(x) : x, kept && x >= window.low && x <= window.high};
}

// The first accepted trial of an element: its value, the word that binary64 refines, and its number.
struct Accepted {
  float z;
  uint32_t word;   // with a table the head, else word z of the block
  uint32_t trial;  // == trials if all failed
};

// Continues element i from trial `trial`, whose head word is `head`.
template <class Bits>
FANIN_HOST_DEVICE Accepted first_accepted(const Generator& generator, uint64_t i, uint32_t head, Window window,
                                          const Ziggurat& table, uint32_t trial = 0) {
  for (; trial < trials; ++trial) {
    Trial point;
    Words next;
    if (is_edge(head)) {
      next = retry<Bits>(generator, i, trial + 1);
      point = edge_point(head, next, table);
      if (point.kept && point.z >= window.lower && point.z <= window.upper) return {point.z, head, trial};
    } else {
      point.z = rectangle_point(head, table);
      if (point.z >= window.lower && point.z <= window.upper) return {point.z, head, trial};
      next = retry<Bits>(generator, i, trial + 1);
    }
    head = next.x;
  }
  return {0.0F, head, trials};
}

// The same in a narrow window.
template <class Bits>
FANIN_HOST_DEVICE Accepted first_accepted(const Generator& generator, uint64_t i, const NarrowWindow& window,
                                          uint32_t trial = 0) {
  for (; trial < trials; ++trial) {
    const Words words = retry<Bits>(generator, i, trial + 1);
    const Trial point = narrow_point(words, window);
    if (point.kept) return {point.z, words.z, trial};
  }
  return {window.negative ? negative(window.nearest) : window.nearest, 0, trials};
}

// Adds digits to a number that no fraction determines.
FANIN_HOST_DEVICE double with_more_digits(float z, uint32_t refinement_word) {
  const double z64 = to_binary64(z);
  return fma(z64, mul(static_cast<double>(centred_refinement(refinement_word)), 0x1p-53), z64);
}

// The binary64 value of an accepted trial: more digits of the same number, never another draw. The caller clamps it to
// the window.
FANIN_HOST_DEVICE double refine(const Accepted& accepted, uint32_t refinement_word, const Ziggurat& table) {
  if (accepted.trial == trials) return 0.0;
  if (is_edge(accepted.word)) return with_more_digits(accepted.z, refinement_word);
  return mul(refined(centred(accepted.word), refinement_word), table.x_scaled64[cell_of(accepted.word)]);
}

FANIN_HOST_DEVICE double refine(const Accepted& accepted, uint32_t refinement_word, const NarrowWindow& window) {
  if (accepted.trial == trials) return window.negative ? -window.nearest64 : window.nearest64;
  if (window.tail) return with_more_digits(accepted.z, refinement_word);
  const double x = fma(edge_fraction(accepted.word, refinement_word), window.width64, window.low64);
  return window.negative ? -x : x;
}

}  // namespace fanin::core
