// SPDX-License-Identifier: Apache-2.0
// Writes float32 values to the output: clamps them and rounds them to the narrow formats (core/rounding.h).
#if defined(FANIN_SRC_CPU_SIMD_CONVERT_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef FANIN_SRC_CPU_SIMD_CONVERT_INL_H
#undef FANIN_SRC_CPU_SIMD_CONVERT_INL_H
#else
#define FANIN_SRC_CPU_SIMD_CONVERT_INL_H
#endif

#include <hwy/highway.h>

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "cpu/simd/arithmetic-inl.h"
#include "cpu/simd/tables.h"
#include "cpu/simd/vectors-inl.h"
#include "fanin/core/rounding.h"

HWY_BEFORE_NAMESPACE();
namespace fanin::cpu::HWY_NAMESPACE {

// Clamps `count` values in place. It may overwrite the values up to the next multiple of the vector's length.
template <class T>
void clamp_values(T* values, std::size_t count, T lo, T hi) {
  const hn::ScalableTag<T> d;
  for (std::size_t i = 0; i < count; i += hn::Lanes(d)) {
    hn::StoreU(clamp(hn::LoadU(d, values + i), hn::Set(d, lo), hn::Set(d, hi)), d, values + i);
  }
}

// Rounds to bfloat16 in the upper half of binary32. The caller cuts off the lower half. bfloat16 has the subnormals of
// binary32, so they need no case of their own.
template <class Format>
HWY_INLINE VU32 rounded_up(VF32 v) {
  constexpr int shift = 23 - Format::mantissa_digits;
  const VU32 bits = hn::BitCast(U32(), v);
  const VU32 odd = hn::And(hn::ShiftRight<shift>(bits), set32(1u));
  return hn::Add(hn::Add(bits, set32((1u << (shift - 1)) - 1)), odd);
}

// core::Narrow::encode, with the pattern in the low bits of each lane.
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

// Bounds as patterns of bfloat16. As signed numbers, the patterns of positive values are in order and above all others.
// As unsigned numbers, the patterns of negative values are in reverse order and above all others. Bounds on both sides
// of zero are most_positive and most_negative. If both are on one side, `nearest` is the bound nearer to zero, which
// clamp_values applies; otherwise it is 0.
struct BFloat16Bounds {
  std::uint16_t most_positive = 0x7fff, most_negative = 0xffff, nearest = 0;
  BFloat16Bounds(float lo, float hi) {
    const std::uint16_t low = core::BFloat16::encode(lo), high = core::BFloat16::encode(hi);
    constexpr std::uint32_t sign = core::BFloat16::sign;
    ((high & sign) != 0 ? nearest : most_positive) = high;
    ((low & sign) != 0 ? most_negative : nearest) = low;
  }
};

// An output of for_words puts two vectors of values somewhere. The first value has number `at`. Floats writes binary32
// to memory.
template <bool bypassing>  // bypasses the cache, and requires an aligned address
struct Floats {
  static constexpr bool in_order = true;
  float* out;

  HWY_INLINE void put(VF32 v, float* to) const { bypassing ? hn::Stream(v, F32(), to) : hn::StoreU(v, F32(), to); }
  HWY_INLINE void operator()(VF32 a, VF32 b, std::size_t at) const {
    put(a, out + at);
    put(b, out + at + hn::Lanes(F32()));
  }
};
// Writes binary64 to memory.
struct Doubles {
  static constexpr bool in_order = true;
  double* out;

  HWY_INLINE void operator()(VF64 a, VF64 b, std::size_t at) const {
    hn::StoreU(a, F64(), out + at);
    hn::StoreU(b, F64(), out + at + hn::Lanes(F64()));
  }
};
// Rounds to bfloat16 and writes the patterns to memory. The patterns are the upper halves of binary32 numbers. AVX-512
// collects them from any order, which saves for_words two operations.
template <bool clamped, bool bypassing = false>
struct BFloat16s {
  static constexpr bool in_order = !(HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX3);
  using D = hn::Repartition<std::uint16_t, U32>;
  using V = hn::Vec<D>;
  std::uint16_t* out;
  BFloat16Bounds bounds;

  HWY_INLINE V within_bounds(V pattern) const {
    const hn::RebindToSigned<D> i;
    const auto most = hn::Set(i, static_cast<std::int16_t>(bounds.most_positive));
    return hn::Min(hn::BitCast(D(), hn::Min(hn::BitCast(i, pattern), most)), hn::Set(D(), bounds.most_negative));
  }
  HWY_INLINE void operator()(VF32 a, VF32 b, std::size_t at) const {
    const D d;
#if HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX3
    const auto halves = [&](const std::uint16_t* order) HWY_ATTR {
      return V{_mm512_permutex2var_epi16(hn::BitCast(d, a).raw, _mm512_load_si512(order), hn::BitCast(d, b).raw)};
    };
    const V high = halves(vector_orders.upper_halves), low = halves(vector_orders.lower_halves);
    // Rounds up if the part that is cut off is more than half of the last place, or if it is exactly half and the last
    // place is odd.
    const auto up = hn::Gt(hn::OrAnd(low, high, hn::Set(d, 1)), hn::Set(d, 0x8000));
    const V pattern{_mm512_mask_add_epi16(high.raw, up.raw, high.raw, _mm512_set1_epi16(1))};
#else
    const V pattern =
        hn::ConcatOdd(d, hn::BitCast(d, rounded_up<core::BFloat16>(b)), hn::BitCast(d, rounded_up<core::BFloat16>(a)));
#endif
    const V element = clamped ? within_bounds(pattern) : pattern;
    bypassing ? hn::Stream(element, d, out + at) : hn::StoreU(element, d, out + at);
  }
};

// Rounds `count` values. It clamps them first if `clamped`.
template <class Format, bool clamped>
void narrow(const float* values, std::size_t count, float lo, float hi, typename Format::Storage* out) {
  const auto value = [&](std::size_t i) HWY_ATTR {
    const VF32 v = hn::LoadU(F32(), values + i);
    return clamped ? clamp(v, set32(lo), set32(hi)) : v;
  };
  const hn::Rebind<typename Format::Storage, U32> d;
  const std::size_t n = hn::Lanes(U32());
  std::size_t i = 0;
  for (; i + n <= count; i += n) {
#if HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX2
    if constexpr (std::is_same_v<Format, core::Float16>) {  // the processor's conversion rounds to nearest even
      const hn::Rebind<hwy::float16_t, F32> half;
      hn::StoreU(hn::BitCast(d, hn::DemoteTo(half, value(i))), d, out + i);
      continue;
    }
#endif
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
