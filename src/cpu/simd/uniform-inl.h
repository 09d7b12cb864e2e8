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

#include "core/streams.h"
#include "core/values.h"
#include "cpu/simd/arithmetic-inl.h"
#include "cpu/simd/philox-inl.h"
#include "cpu/simd/vectors-inl.h"

HWY_BEFORE_NAMESPACE();
namespace fanin::cpu::HWY_NAMESPACE {

// The odd k of a centred fraction as k * 2^7, a signed number (core::centred).
HWY_INLINE VI32 centred(VU32 word) { return hn::BitCast(I32(), hn::OrAnd(set32(0x80u), word, set32(0xffffff00u))); }

// 2r + 1 - 2^29 of a refinement word (core::centred_refinement).
HWY_INLINE VI32 centred_refinement(VU32 word) {
  return hn::Sub(hn::BitCast(I32(), hn::Or(hn::ShiftRight<2>(word), set32(1u))), hn::Set(I32(), 1 << 29));
}

// v * 2^22 + c, exact where it is used: v * 2^22 is k * 2^29, or the high 24 bits of a word.
HWY_INLINE VF64 refined(VF64 v, VF64 c, double factor) { return hn::Add(hn::Mul(v, set64(factor)), c); }

// Streams a vector past the cache, or stores it.
template <bool streaming, class D, class V>
HWY_INLINE void put(D d, V v, hn::TFromD<D>* out) {
  if constexpr (streaming) {
    hn::Stream(v, d, out);
  } else {
    hn::StoreU(v, d, out);
  }
}

template <bool shifted, bool streaming>
struct UniformFloats {
  float scale, shift;  // of the integer that a word is turned into
  float* out;

  HWY_INLINE void one(VU32 word, std::size_t at) const {
    VF32 v;
    if constexpr (shifted) {
      v = fma(hn::ConvertTo(F32(), hn::BitCast(I32(), hn::ShiftRight<8>(word))), set32(scale), set32(shift));
    } else {
      v = hn::Mul(hn::ConvertTo(F32(), centred(word)), set32(scale));
    }
    put<streaming>(F32(), v, out + at);
  }
  HWY_INLINE void operator()(VU32 a, VU32 b, VU32 c, VU32 d, std::size_t at, VU32) const {
    const std::size_t n = hn::Lanes(U32());
    one(a, at);
    one(b, at + n);
    one(c, at + 2 * n);
    one(d, at + 3 * n);
  }
};

template <bool shifted>
struct UniformDoubles {
  double scale, shift;
  const std::uint32_t* refinement;
  double* out;

  HWY_INLINE void half(VF64 v, VF64 c, std::size_t at) const {
    if constexpr (shifted) {
      v = fma(hn::Mul(refined(v, c, 0x1p29), set64(0x1p-53)), set64(scale), set64(shift));
    } else {
      v = hn::Mul(hn::Mul(refined(v, c, 0x1p22), set64(0x1p-53)), set64(scale));
    }
    hn::StoreU(v, F64(), out + at);
  }
  HWY_INLINE void one(VU32 word, std::size_t at) const {
    const VU32 more = hn::LoadU(U32(), refinement + at);
    VI32 k, c;
    if constexpr (shifted) {
      k = hn::BitCast(I32(), hn::ShiftRight<8>(word));
      c = hn::BitCast(I32(), hn::ShiftRight<3>(more));
    } else {
      k = centred(word);
      c = centred_refinement(more);
    }
    half(lower_half(k), lower_half(c), at);
    half(upper_half(k), upper_half(c), at + hn::Lanes(F64()));
  }
  HWY_INLINE void operator()(VU32 a, VU32 b, VU32 c, VU32 d, std::size_t at, VU32) const {
    const std::size_t n = hn::Lanes(U32());
    one(a, at);
    one(b, at + n);
    one(c, at + 2 * n);
    one(d, at + 3 * n);
  }
};

// Stores words.
struct StoreWords {
  std::uint32_t* out;
  HWY_INLINE void operator()(VU32 a, VU32 b, VU32 c, VU32 d, std::size_t at, VU32) const {
    const std::size_t n = hn::Lanes(U32());
    hn::StoreU(a, U32(), out + at);
    hn::StoreU(b, U32(), out + at + n);
    hn::StoreU(c, U32(), out + at + 2 * n);
    hn::StoreU(d, U32(), out + at + 3 * n);
  }
};

// Elements quad * 4 ... quad * 4 + count - 1; `count` is a multiple of words_group().
template <bool shifted, bool streaming>
void uniform_floats(const core::Stream& stream, const core::Affine<float>& map, std::uint64_t quad, std::size_t count,
                    float* out) {
  UniformFloats<shifted, streaming> body{map.scale * (shifted ? 0x1p-24F : 0x1p-31F), map.shift, out};
  for_words(stream, quad, 0, count, body);
}

template <bool shifted>
void uniform_doubles(const core::Stream& stream, const core::Affine<double>& map, std::uint64_t quad, std::size_t count,
                     std::uint32_t* refinement, double* out) {
  StoreWords store{refinement};
  for_words(stream, quad, core::first_refinement_tag, count, store);
  UniformDoubles<shifted> body{map.scale, map.shift, refinement, out};
  for_words(stream, quad, 0, count, body);
}

}  // namespace fanin::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
