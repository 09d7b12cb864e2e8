// SPDX-License-Identifier: Apache-2.0
// Turns words into fractions (docs/VALUES.md, section 2).
#pragma once

#include "fanin/core/arithmetic.h"
#include "fanin/core/integers.h"

namespace fanin::core {

// The high 24 bits of a word as an odd integer k, |k| < 2^24: k * 2^-24 is in (-1, 1), symmetric, never 0 or +-1,
// takes 2^24 values and is exact in binary32.
FANIN_HOST_DEVICE int32_t centred(uint32_t word) {
  // k * 2^7 in two's complement; the division is exact and, unlike a shift, defined for negative numbers.
  return static_cast<int32_t>((word & 0xffffff00u) | 0x80u) / 128;
}

// The 29 bits that refine a fraction in binary64.
FANIN_HOST_DEVICE int64_t refinement(uint32_t word) { return static_cast<int64_t>(word >> 3); }

// 2r + 1 - 2^29: odd, in (-2^29, 2^29).
FANIN_HOST_DEVICE int64_t centred_refinement(uint32_t word) { return 2 * refinement(word) + 1 - (int64_t{1} << 29); }

// K = k * 2^29 + (2r + 1 - 2^29): odd, |K| < 2^53, exact in binary64.
FANIN_HOST_DEVICE double refined(int32_t k, uint32_t refinement_word) {
  return static_cast<double>(k * (int64_t{1} << 29) + centred_refinement(refinement_word));
}

FANIN_HOST_DEVICE float centred_fraction(uint32_t word) { return mul(static_cast<float>(centred(word)), 0x1p-24F); }

FANIN_HOST_DEVICE double centred_fraction(uint32_t word, uint32_t refinement_word) {
  return mul(refined(centred(word), refinement_word), 0x1p-53);
}

// 2^24 values in [0, 1): 0 to 1 - 2^-24.
FANIN_HOST_DEVICE float unit_fraction(uint32_t word) { return mul(static_cast<float>(word >> 8), 0x1p-24F); }

// 2^53 values in [0, 1): 0 to 1 - 2^-53.
FANIN_HOST_DEVICE double unit_fraction(uint32_t word, uint32_t refinement_word) {
  const int64_t n = static_cast<int64_t>(word >> 8) * (int64_t{1} << 29) + refinement(refinement_word);
  return mul(static_cast<double>(n), 0x1p-53);
}

// 2n + 1 rounded to binary32, where n is the high 24 bits.
FANIN_HOST_DEVICE float edge_number(uint32_t word) { return static_cast<float>(2 * (word >> 8) + 1); }

// edge_number times 2^-25, in (0, 1].
FANIN_HOST_DEVICE float edge_fraction(uint32_t word) { return mul(edge_number(word), 0x1p-25F); }

// (2n + 1) * 2^-54 rounded to binary64, in (0, 1], where n has 53 bits.
FANIN_HOST_DEVICE double edge_fraction(uint32_t word, uint32_t refinement_word) {
  const int64_t n = static_cast<int64_t>(word >> 8) * (int64_t{1} << 29) + refinement(refinement_word);
  return mul(static_cast<double>(2 * n + 1), 0x1p-54);
}

}  // namespace fanin::core
