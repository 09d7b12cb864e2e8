// SPDX-License-Identifier: Apache-2.0
// From a tile of float32 values to the output: clamping, and rounding to the narrow formats (core/rounding.h).
#if defined(FANIN_SRC_CPU_SIMD_CONVERT_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef FANIN_SRC_CPU_SIMD_CONVERT_INL_H
#undef FANIN_SRC_CPU_SIMD_CONVERT_INL_H
#else
#define FANIN_SRC_CPU_SIMD_CONVERT_INL_H
#endif

#include <hwy/highway.h>

#include <cstddef>
#include <cstdint>

#include "core/rounding.h"
#include "cpu/simd/arithmetic-inl.h"
#include "cpu/simd/vectors-inl.h"

HWY_BEFORE_NAMESPACE();
namespace fanin::cpu::HWY_NAMESPACE {

// Clamps `count` values in place; those up to the next multiple of the vector's length may be overwritten.
template <class Real>
void clamp_values(Real* values, std::size_t count, Real lo, Real hi) {
  const hn::ScalableTag<Real> d;
  for (std::size_t i = 0; i < count; i += hn::Lanes(d)) {
    hn::StoreU(clamp(hn::LoadU(d, values + i), hn::Set(d, lo), hn::Set(d, hi)), d, values + i);
  }
}

// bfloat16 in the upper half of binary32: what is to be cut off has been added up to it. Subnormals are binary32's.
template <class Format>
HWY_INLINE VU32 rounded_up(VF32 v) {
  constexpr int shift = 23 - Format::mantissa_digits;
  const VU32 bits = hn::BitCast(U32(), v);
  const VU32 odd = hn::And(hn::ShiftRight<shift>(bits), set32(1u));
  return hn::Add(hn::Add(bits, set32((1u << (shift - 1)) - 1)), odd);
}

// core::Narrow::encode, the pattern in the low bits of each lane.
template <class Format>
HWY_INLINE VU32 encode(VF32 v) {
  constexpr int shift = 23 - Format::mantissa_digits;
  constexpr std::uint32_t rebias = static_cast<std::uint32_t>(127 - Format::bias) << 23;
  if constexpr (rebias == 0) {
    return hn::ShiftRight<shift>(rounded_up<Format>(v));
  } else {
    const VU32 bits = hn::BitCast(U32(), v);
    const VU32 magnitude = hn::And(bits, set32(0x7fffffffu));
    const VU32 shifted = hn::Sub(magnitude, set32(rebias));
    const VU32 odd = hn::And(hn::ShiftRight<shift>(shifted), set32(1u));
    const VU32 normal = hn::ShiftRight<shift>(hn::Add(hn::Add(shifted, set32((1u << (shift - 1)) - 1)), odd));
    constexpr std::uint32_t step = static_cast<std::uint32_t>(127 + 23 + 1 - Format::bias - Format::mantissa_digits)
                                   << 23;
    const VF32 sum = hn::Add(hn::BitCast(F32(), magnitude), hn::BitCast(F32(), set32(step)));
    const VU32 subnormal = hn::Sub(hn::BitCast(U32(), sum), set32(step));
    const auto is_normal = hn::Gt(hn::BitCast(I32(), magnitude), hn::Set(I32(), rebias + (1u << 23) - 1));
    const VU32 pattern = hn::IfThenElse(hn::RebindMask(U32(), is_normal), normal, subnormal);
    constexpr int sign_shift = 31 - (31 - __builtin_clz(Format::sign));
    return hn::OrAnd(pattern, hn::ShiftRight<sign_shift>(bits), set32(Format::sign));
  }
}

// Rounds `count` values, clamped if need be.
template <class Format, bool clamped>
void narrow(const float* values, std::size_t count, float lo, float hi, typename Format::Storage* out) {
  const auto value = [&](std::size_t i) HWY_ATTR {
    const VF32 v = hn::LoadU(F32(), values + i);
    return clamped ? clamp(v, set32(lo), set32(hi)) : v;
  };
  const hn::Rebind<typename Format::Storage, U32> d;
  const std::size_t n = hn::Lanes(U32());
  std::size_t i = 0;
  if constexpr (Format::bias == 127) {  // the pattern is the upper half
    const hn::Repartition<std::uint16_t, U32> halves;
    for (; i + 2 * n <= count; i += 2 * n) {
      const VU32 a = rounded_up<Format>(value(i)), b = rounded_up<Format>(value(i + n));
      hn::StoreU(hn::ConcatOdd(halves, hn::BitCast(halves, b), hn::BitCast(halves, a)), halves, out + i);
    }
  }
  for (; i + n <= count; i += n) {
    const VU32 pattern = encode<Format>(value(i));
    if constexpr (sizeof(typename Format::Storage) == 1) {  // TruncateTo of Highway 1.0.3 is wrong here for AVX3_DL
      hn::StoreU(hn::DemoteTo(d, hn::BitCast(I32(), pattern)), d, out + i);
    } else {
      hn::StoreU(hn::TruncateTo(d, pattern), d, out + i);
    }
  }
  for (; i < count; ++i) out[i] = Format::encode(clamped ? core::clamp(values[i], lo, hi) : values[i]);
}

template <class Format>
void narrow(const float* values, std::size_t count, bool clamped, float lo, float hi, typename Format::Storage* out) {
  clamped ? narrow<Format, true>(values, count, lo, hi, out) : narrow<Format, false>(values, count, lo, hi, out);
}

}  // namespace fanin::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
