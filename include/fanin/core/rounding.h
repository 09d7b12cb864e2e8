// SPDX-License-Identifier: Apache-2.0
// Rounds binary32 to the narrow formats, once, to nearest even. The caller has clamped to the finite range.
#pragma once

#include "fanin/core/arithmetic.h"
#include "fanin/core/integers.h"

namespace fanin::core {

// A sign-magnitude format: 1 sign bit, then exponent and mantissa. `largest` is its largest finite pattern.
template <int exponent_bits, int mantissa_bits, uint32_t largest_pattern, class StorageType>
struct Narrow {
  using Storage = StorageType;
  using Compute = float;
  static constexpr int bias = (1 << (exponent_bits - 1)) - 1;
  static constexpr int mantissa_digits = mantissa_bits;
  static constexpr uint32_t sign = 1u << (exponent_bits + mantissa_bits);
  static constexpr uint32_t largest = largest_pattern;

  static FANIN_HOST_DEVICE Storage encode(float v) {
    const uint32_t bits = bits_of(v);
    const uint32_t magnitude = bits & 0x7fffffffu;
    constexpr uint32_t rebias = static_cast<uint32_t>(127 - bias) << 23;
    uint32_t pattern;
    if (magnitude >= rebias + (1u << 23)) {
      constexpr int shift = 23 - mantissa_bits;
      const uint32_t shifted = magnitude - rebias;
      // Adds just under half of the last place, or half if the result would be odd; a carry runs into the exponent.
      pattern = (shifted + (1u << (shift - 1)) - 1 + ((shifted >> shift) & 1u)) >> shift;
    } else {
      // Subnormal in this format: adding a number whose last place is the smallest step makes the adder round.
      const float step = float_of(static_cast<uint32_t>(127 + 23 + 1 - bias - mantissa_bits) << 23);
      pattern = bits_of(add(float_of(magnitude), step)) - bits_of(step);
    }
    return static_cast<Storage>(pattern | ((bits >> 31) != 0 ? sign : 0u));
  }

  // Exact: every value of a narrow format is a binary32 number. The pattern must be finite.
  static FANIN_HOST_DEVICE float decode(uint32_t pattern) {
    const uint32_t magnitude = pattern & (sign - 1);
    const uint32_t exponent = magnitude >> mantissa_bits;
    const uint32_t mantissa = magnitude & ((1u << mantissa_bits) - 1);
    float v;
    if (exponent == 0 && bias < 127) {
      v = mul(static_cast<float>(mantissa), float_of(static_cast<uint32_t>(127 + 1 - bias - mantissa_bits) << 23));
    } else {  // bfloat16 has the subnormals of binary32
      v = float_of((exponent + 127 - bias) << 23 | mantissa << (23 - mantissa_bits));
    }
    return (pattern & sign) != 0 ? -v : v;
  }
};

using Float16 = Narrow<5, 10, 0x7bff, uint16_t>;
using BFloat16 = Narrow<8, 7, 0x7f7f, uint16_t>;
using Float8E4M3FN = Narrow<4, 3, 0x7e, uint8_t>;
using Float8E5M2 = Narrow<5, 2, 0x7b, uint8_t>;

struct Float32 {
  using Storage = float;
  using Compute = float;
  static FANIN_HOST_DEVICE Storage encode(float v) { return v; }
  static FANIN_HOST_DEVICE float decode(Storage v) { return v; }
};

struct Float64 {
  using Storage = double;
  using Compute = double;
  static FANIN_HOST_DEVICE Storage encode(double v) { return v; }
  static FANIN_HOST_DEVICE double decode(Storage v) { return v; }
};

}  // namespace fanin::core
