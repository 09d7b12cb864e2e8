// SPDX-License-Identifier: Apache-2.0
// Uniform values, one word each (docs/VALUES.md, sections 2 and 4).
#if defined(FANIN_SRC_CPU_SIMD_UNIFORM_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef FANIN_SRC_CPU_SIMD_UNIFORM_INL_H
#undef FANIN_SRC_CPU_SIMD_UNIFORM_INL_H
#else
#define FANIN_SRC_CPU_SIMD_UNIFORM_INL_H
#endif

#include <hwy/highway.h>

#include <cstddef>
#include <cstdint>

#include "cpu/simd/arithmetic-inl.h"
#include "cpu/simd/convert-inl.h"
#include "cpu/simd/philox-inl.h"
#include "cpu/simd/tables.h"
#include "cpu/simd/vectors-inl.h"
#include "fanin/core/counter.h"
#include "fanin/core/values.h"

HWY_BEFORE_NAMESPACE();
namespace fanin::cpu::HWY_NAMESPACE {

// Returns the odd k of a centred fraction as k * 2^7, a signed number (core::centred).
HWY_INLINE VI32 centred(VU32 word) { return hn::BitCast(I32(), hn::OrAnd(set32(0x80u), word, set32(0xffffff00u))); }

// Returns 2r + 1 - 2^29 of a refinement word (core::centred_refinement).
HWY_INLINE VI32 centred_refinement(VU32 word) {
  return hn::Sub(hn::BitCast(I32(), hn::Or(hn::ShiftRight<2>(word), set32(1u))), hn::Set(I32(), 1 << 29));
}

// Both functions compute the integers of fractions in binary64, for the lower and the upper half of a vector's
// elements. centred64 computes K of centred fractions, and unit64 computes the integers of unit fractions.
#if HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX3

// Converts integers of 64 bits from their high and their low halves.
HWY_INLINE void converted(VU32 high, VU32 low, VF64& a, VF64& b) {
  const __m512i order = _mm512_load_si512(vector_orders.pairs);
  const __m512i upper_order = _mm512_load_si512(vector_orders.upper_pairs);
  a = VF64{_mm512_cvtepi64_pd(_mm512_permutex2var_epi32(low.raw, order, high.raw))};
  b = VF64{_mm512_cvtepi64_pd(_mm512_permutex2var_epi32(low.raw, upper_order, high.raw))};
}
// K is s * 2^30 + 2r + 1, where s is the high 24 bits of the head word.
HWY_INLINE void centred64(VU32 head, VU32 refinement, VF64& a, VF64& b) {
  const VU32 high = hn::BitCast(U32(), hn::ShiftRight<10>(hn::BitCast(I32(), head)));
  const VU32 low = hn::Or(hn::ShiftRight<2>(refinement), set32(1u));
  converted(high, hn::OrAnd(low, hn::ShiftLeft<22>(head), set32(3u << 30)), a, b);
}
HWY_INLINE void unit64(VU32 head, VU32 refinement, VF64& a, VF64& b) {
  const VU32 low = hn::OrAnd(hn::ShiftRight<3>(refinement), hn::ShiftLeft<21>(head), set32(7u << 29));
  converted(hn::ShiftRight<11>(head), low, a, b);
}

#else

HWY_INLINE void centred64(VU32 head, VU32 refinement, VF64& a, VF64& b) {
  const VI32 k = centred(head), c = centred_refinement(refinement);
  a = hn::Add(hn::Mul(lower_half(k), set64(0x1p22)), lower_half(c));
  b = hn::Add(hn::Mul(upper_half(k), set64(0x1p22)), upper_half(c));
}
HWY_INLINE void unit64(VU32 head, VU32 refinement, VF64& a, VF64& b) {
  const VI32 k = hn::BitCast(I32(), hn::ShiftRight<8>(head)), c = hn::BitCast(I32(), hn::ShiftRight<3>(refinement));
  a = hn::Add(hn::Mul(lower_half(k), set64(0x1p29)), lower_half(c));
  b = hn::Add(hn::Mul(upper_half(k), set64(0x1p29)), upper_half(c));
}

#endif

template <bool shifted, class Output>
struct UniformFloats {
  static constexpr bool refined = false, in_order = Output::in_order, among_rounds = true;
  float scale, shift;  // for the integer of a word
  Output output;

  HWY_INLINE VF32 value(VU32 word) const {
    if constexpr (shifted) {
      return fma(hn::ConvertTo(F32(), hn::BitCast(I32(), hn::ShiftRight<8>(word))), set32(scale), set32(shift));
    }
    return hn::Mul(hn::ConvertTo(F32(), centred(word)), set32(scale));
  }
  HWY_INLINE void operator()(const std::uint32_t* words, int, std::size_t at, VU32&) const {
    const std::size_t n = hn::Lanes(U32());
    output(value(hn::Load(U32(), words)), value(hn::Load(U32(), words + n)), at);
    output(value(hn::Load(U32(), words + 2 * n)), value(hn::Load(U32(), words + 3 * n)), at + 2 * n);
  }
};

template <bool shifted>
struct UniformDoubles {
  static constexpr bool refined = true, in_order = true, among_rounds = true;
  double scale, shift;  // for the integer of two words
  Doubles output;

  HWY_INLINE VF64 value(VF64 v) const {
    if constexpr (shifted) return fma(v, set64(scale), set64(shift));
    return hn::Mul(v, set64(scale));
  }
  HWY_INLINE void operator()(const std::uint32_t* words, int, std::size_t at, VU32&) const {
    const std::size_t n = hn::Lanes(U32());
    for (std::size_t j = 0; j < 4; ++j) {
      const VU32 head = hn::Load(U32(), words + j * n), refinement = hn::Load(U32(), words + (4 + j) * n);
      VF64 a, b;
      if constexpr (shifted) {
        unit64(head, refinement, a, b);
      } else {
        centred64(head, refinement, a, b);
      }
      output(value(a), value(b), at + j * n);
    }
  }
};

// Draws uniform values in binary32. It has the same functions as Normals and rejects nothing.
template <bool shifted>
class FloatUniforms {
 public:
  using Real = float;
  static constexpr bool in_quads = true;
  FloatUniforms(const core::Generator& generator, const core::Affine<float>& map) : generator_(generator), map_(map) {}

  void begin(std::uint64_t quad) { quad_ = quad; }
  template <class Output>
  HWY_NOINLINE void first(std::uint64_t place, std::size_t count, std::uint64_t, std::uint64_t, Output output) const {
    UniformFloats<shifted, Output> body{map_.scale * (shifted ? 0x1p-24F : 0x1p-31F), map_.shift, output};
    for_words(generator_, quad_ + place / 4, count, 0, body);
  }
  std::size_t retry(bool) const { return 0; }
  const std::uint32_t* keys() const { return nullptr; }
  Real* retried() const { return nullptr; }

 private:
  core::Generator generator_;
  core::Affine<float> map_;
  std::uint64_t quad_ = 0;
};

// Draws uniform values in binary64.
template <bool shifted>
class DoubleUniforms {
 public:
  using Real = double;
  static constexpr bool in_quads = true;
  DoubleUniforms(const core::Generator& generator, const core::Affine<double>& map)
      : generator_(generator), map_(map) {}

  void begin(std::uint64_t quad) { quad_ = quad; }
  HWY_NOINLINE void first(std::uint64_t place, std::size_t count, std::uint64_t, std::uint64_t, Doubles output) const {
    UniformDoubles<shifted> body{map_.scale * 0x1p-53, map_.shift, output};
    for_words(generator_, quad_ + place / 4, count, 0, body);
  }
  std::size_t retry(bool) const { return 0; }
  const std::uint32_t* keys() const { return nullptr; }
  Real* retried() const { return nullptr; }

 private:
  core::Generator generator_;
  core::Affine<double> map_;
  std::uint64_t quad_ = 0;
};

}  // namespace fanin::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
