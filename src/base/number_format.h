// SPDX-License-Identifier: Apache-2.0
// Any dtype's format as numbers: one piece of code for the formats that have no loops of their own, and for rounding
// that the loops do not have (docs/VALUES.md, section 9).
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "fanin/dtype.h"

namespace fanin::detail {

// Patterns are an element's bits in the low bits of an integer: a sign, then exponent and mantissa.
class NumberFormat {
 public:
  explicit NumberFormat(DType dtype);

  // Each rounds a number that is not beyond the largest finite value. The first rounds to nearest even. The other
  // rounds away from zero if the word is less than 2^32 times the distance from the neighbour nearer to zero, in
  // spacings.
  std::uint64_t nearest(double v) const {
    const Split split = split_of(v);
    const bool is_tie = split.fraction == half && !split.has_more;
    const bool up = is_tie ? (split.pattern & 1) != 0 : split.fraction >= half;
    return with_sign(split.pattern + (up ? 1 : 0), v);
  }
  std::uint64_t stochastic(double v, std::uint32_t word) const {
    const Split split = split_of(v);
    return with_sign(split.pattern + (word < split.fraction ? 1 : 0), v);
  }

  // NaN for the one NaN of the formats without -0 and of float8_e8m0fnu; otherwise the pattern must be finite.
  double decode(std::uint64_t pattern) const;

  // The outermost finite value that does not pass the bound and, if `strict`, does not equal it. `side` is +1 for an
  // upper bound and -1 for a lower one. NaN if there is no such value. A zero is -0 as a lower limit and +0 as an upper
  // one.
  double outermost(double bound, int side, bool strict) const;

  // The pattern of element `number` in memory; packed elements are a stream of bits.
  std::uint64_t element(const unsigned char* memory, std::size_t number) const;

  // Stores one pattern as an element that is not packed, in 1 byte if it has fewer bits.
  void store(std::uint64_t pattern, void* to) const { std::memcpy(to, &pattern, bytes_); }

  unsigned bits() const { return bits_; }
  std::size_t bytes() const { return bytes_; }  // of an element that is not packed
  bool has_sign() const { return has_sign_; }

 private:
  static constexpr std::uint32_t half = std::uint32_t{1} << 31;

  struct Split {
    std::uint64_t pattern;   // of the magnitude, rounded toward zero
    std::uint32_t fraction;  // the rest in spacings, times 2^32, rounded toward zero
    bool has_more;           // the fraction is not exact
  };

  Split split_of(double v) const {
    std::uint64_t bits = 0;
    std::memcpy(&bits, &v, sizeof bits);
    const auto field = static_cast<int>(bits >> 52 & 0x7ff);
    std::uint64_t significand = bits & ((std::uint64_t{1} << 52) - 1);
    if (field != 0) significand |= std::uint64_t{1} << 52;
    const int exponent = (field == 0 ? 1 : field) - 1023;
    const int least = 1 - bias_;  // exponent of the smallest normal number
    const int used = exponent < least ? least : exponent;
    const int shift = 52 - mantissa_ + (used - exponent);  // >= 0
    Split split{};
    const std::uint64_t quotient = shift < 64 ? significand >> shift : 0;
    split.pattern = (static_cast<std::uint64_t>(used - least) << mantissa_) + quotient;
    if (shift <= 32) {
      split.fraction = static_cast<std::uint32_t>(significand << (32 - shift));
    } else {
      const int beyond = shift - 32 < 63 ? shift - 32 : 63;
      split.fraction = static_cast<std::uint32_t>(significand >> beyond);
      split.has_more = (significand & ((std::uint64_t{1} << beyond) - 1)) != 0;
    }
    return split;
  }

  std::uint64_t with_sign(std::uint64_t magnitude, double v) const {
    std::uint64_t bits = 0;
    std::memcpy(&bits, &v, sizeof bits);
    const bool negative = bits >> 63 != 0 && (has_negative_zero_ || magnitude != 0);
    return negative ? magnitude | sign_ : magnitude;
  }

  double magnitude_of(std::uint64_t pattern) const;

  unsigned bits_;
  std::size_t bytes_;
  int mantissa_, bias_;
  std::uint64_t sign_;
  std::uint64_t largest_;  // the pattern
  bool has_sign_, has_negative_zero_;
};

}  // namespace fanin::detail
