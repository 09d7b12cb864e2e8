// SPDX-License-Identifier: Apache-2.0
// Operations of the value contract that instruction sets lack or leave open.
#if defined(FANIN_SRC_CPU_SIMD_ARITHMETIC_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef FANIN_SRC_CPU_SIMD_ARITHMETIC_INL_H
#undef FANIN_SRC_CPU_SIMD_ARITHMETIC_INL_H
#else
#define FANIN_SRC_CPU_SIMD_ARITHMETIC_INL_H
#endif

#include <hwy/highway.h>

#include <cstddef>
#include <cstdint>

#include "cpu/simd/vectors-inl.h"
#include "fanin/core/arithmetic.h"

HWY_BEFORE_NAMESPACE();
namespace fanin::cpu::HWY_NAMESPACE {

// These functions return the lower or the upper half of a vector's elements in binary64.
HWY_INLINE VF64 lower_half(VF32 v) { return hn::PromoteTo(F64(), hn::LowerHalf(hn::Half<F32>(), v)); }
HWY_INLINE VF64 upper_half(VF32 v) { return hn::PromoteTo(F64(), hn::UpperHalf(hn::Half<F32>(), v)); }
HWY_INLINE VF64 lower_half(VI32 v) { return hn::PromoteTo(F64(), hn::LowerHalf(hn::Half<I32>(), v)); }
HWY_INLINE VF64 upper_half(VI32 v) { return hn::PromoteTo(F64(), hn::UpperHalf(hn::Half<I32>(), v)); }

#if HWY_NATIVE_FMA

HWY_INLINE VF32 fma(VF32 a, VF32 b, VF32 c) { return hn::MulAdd(a, b, c); }
HWY_INLINE VF64 fma(VF64 a, VF64 b, VF64 c) { return hn::MulAdd(a, b, c); }

#else

// Returns the sum of an fma of binary32 numbers in binary64. The product is exact there, and the sum is rounded to odd.
// Rounding it to binary32 therefore rounds the exact sum (Boldo and Melquiond 2008). Knuth's TwoSum gives the sum and
// its error.
HWY_INLINE VF64 fused_sum(VF64 product, VF64 c) {
  const VF64 sum = hn::Add(product, c);
  const VF64 t = hn::Sub(sum, product);
  const VF64 error = hn::Add(hn::Sub(product, hn::Sub(sum, t)), hn::Sub(c, t));
  const VU64 bits = hn::BitCast(U64(), sum);
  const VU64 one = hn::Set(U64(), 1);
  // An even sum that is not exact moves one step towards the exact one.
  const auto inexact = hn::MaskFromVec(hn::BitCast(U64(), hn::VecFromMask(F64(), hn::Ne(error, hn::Zero(F64())))));
  const auto even = hn::Eq(hn::And(bits, one), hn::Zero(U64()));
  const VU64 away = hn::ShiftRight<63>(hn::Xor(bits, hn::BitCast(U64(), error)));  // 1: towards zero
  const VU64 moved = hn::Sub(hn::Add(bits, one), hn::Add(away, away));
  return hn::BitCast(F64(), hn::IfThenElse(hn::And(inexact, even), moved, bits));
}

HWY_INLINE VF32 fma(VF32 a, VF32 b, VF32 c) {
  const hn::Half<F32> half;
  const VF64 low = fused_sum(hn::Mul(lower_half(a), lower_half(b)), lower_half(c));
  const VF64 high = fused_sum(hn::Mul(upper_half(a), upper_half(b)), upper_half(c));
  return hn::Combine(F32(), hn::DemoteTo(half, high), hn::DemoteTo(half, low));
}

HWY_INLINE VF64 fma(VF64 a, VF64 b, VF64 c) {
  HWY_ALIGN double factors[2][hn::MaxLanes(F64())];
  HWY_ALIGN double sums[hn::MaxLanes(F64())];
  hn::Store(a, F64(), factors[0]);
  hn::Store(b, F64(), factors[1]);
  hn::Store(c, F64(), sums);
  for (std::size_t i = 0; i < hn::Lanes(F64()); ++i) sums[i] = core::fma(factors[0][i], factors[1][i], sums[i]);
  return hn::Load(F64(), sums);
}

#endif

// core::clamp. If both operands are zeros, some instruction sets return the second operand, and others order -0 before
// +0. A lower bound of zero is -0 and an upper one is +0, so v keeps its sign either way.
template <class V>
HWY_INLINE V clamp(V v, V lo, V hi) {
  return hn::Min(hi, hn::Max(lo, v));
}

}  // namespace fanin::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
