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

// v * factor + c, exact where it is used: K of a centred fraction, or the 53 bits of a unit fraction.
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
  HWY_INLINE void operator()(const std::uint32_t* words, std::size_t at, VU32&) const {
    const std::size_t n = hn::Lanes(U32());
    for (std::size_t j = 0; j < 4; ++j) one(hn::Load(U32(), words + j * n), at + j * n);
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
  HWY_INLINE void operator()(const std::uint32_t* words, std::size_t at, VU32&) const {
    const std::size_t n = hn::Lanes(U32());
    for (std::size_t j = 0; j < 4; ++j) one(hn::Load(U32(), words + j * n), at + j * n);
  }
};

// Uniform values in binary32. `first` as in Normals; nothing is rejected.
template <bool shifted>
class FloatUniforms {
 public:
  using Real = float;
  FloatUniforms(const core::Stream& stream, const core::Affine<float>& map) : stream_(stream), map_(map) {}

  void begin(std::uint64_t quad) { quad_ = quad; }
  void first(std::uint64_t place, std::size_t count, std::uint64_t, std::uint64_t, float* out) const {
    make<false>(place, count, out);
  }
  // The same past the cache, to an aligned address.
  void first_past_cache(std::uint64_t place, std::size_t count, float* out) const { make<true>(place, count, out); }
  std::size_t retry(bool) const { return 0; }
  const std::uint32_t* keys() const { return nullptr; }
  Real* retried() const { return nullptr; }

 private:
  template <bool streaming>
  HWY_NOINLINE void make(std::uint64_t place, std::size_t count, float* out) const {
    UniformFloats<shifted, streaming> body{map_.scale * (shifted ? 0x1p-24F : 0x1p-31F), map_.shift, out};
    for_words(stream_, quad_ + place / 4, 0, count, 0, body);
  }

  core::Stream stream_;
  core::Affine<float> map_;
  std::uint64_t quad_ = 0;
};

// Uniform values in binary64.
template <bool shifted, std::size_t most_first>
class DoubleUniforms {
 public:
  using Real = double;
  DoubleUniforms(const core::Stream& stream, const core::Affine<double>& map) : stream_(stream), map_(map) {}

  void begin(std::uint64_t quad) { quad_ = quad; }
  HWY_NOINLINE void first(std::uint64_t place, std::size_t count, std::uint64_t, std::uint64_t, double* out) {
    StoreWords store{refinement_};
    for_words(stream_, quad_ + place / 4, core::first_refinement_tag, count, 0, store);
    UniformDoubles<shifted> body{map_.scale, map_.shift, refinement_, out};
    for_words(stream_, quad_ + place / 4, 0, count, 0, body);
  }
  std::size_t retry(bool) const { return 0; }
  const std::uint32_t* keys() const { return nullptr; }
  Real* retried() const { return nullptr; }

 private:
  core::Stream stream_;
  core::Affine<double> map_;
  std::uint64_t quad_ = 0;
  HWY_ALIGN std::uint32_t refinement_[most_first];
};

}  // namespace fanin::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
