// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "fanin/core/arithmetic.h"
#include "fanin/core/integers.h"

namespace fanin::core {

// The contract's coefficients C[0] ... C[8], and ln 2. They are single constants, not an array, for device code.
inline constexpr float neglog_c0 = -0x1.fffff8p-2F;
inline constexpr float neglog_c1 = 0x1.55555p-2F;
inline constexpr float neglog_c2 = -0x1.000426p-2F;
inline constexpr float neglog_c3 = 0x1.99a3f6p-3F;
inline constexpr float neglog_c4 = -0x1.54275cp-3F;
inline constexpr float neglog_c5 = 0x1.22716cp-3F;
inline constexpr float neglog_c6 = -0x1.0f37a2p-3F;
inline constexpr float neglog_c7 = 0x1.08496ap-3F;
inline constexpr float neglog_c8 = -0x1.38319p-4F;
inline constexpr float neglog_ln2 = 0x1.62e430p-1F;

// -ln(u) of a normal binary32 u in (0, 1], within 0.87 ulp and monotone (docs/VALUES.md, section 3).
// u = m * 2^e with m in [sqrt(1/2), sqrt(2)); a polynomial in f = m - 1 by Horner's scheme, every step correctly
// rounded.
FANIN_HOST_DEVICE float neglog(float u) {
  const uint32_t ix = bits_of(u) - 0x3f3504f3u;
  const int32_t exponent = static_cast<int32_t>(ix & 0xff800000u) / (1 << 23);  // exact
  const auto e = static_cast<float>(exponent);
  const float f = add(float_of((ix & 0x7fffffu) + 0x3f3504f3u), -1.0F);
  float p = neglog_c8;
  p = fma(p, f, neglog_c7);
  p = fma(p, f, neglog_c6);
  p = fma(p, f, neglog_c5);
  p = fma(p, f, neglog_c4);
  p = fma(p, f, neglog_c3);
  p = fma(p, f, neglog_c2);
  p = fma(p, f, neglog_c1);
  p = fma(p, f, neglog_c0);
  return negative(fma(e, neglog_ln2, fma(mul(f, f), p, f)));
}

}  // namespace fanin::core
