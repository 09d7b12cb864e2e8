// SPDX-License-Identifier: Apache-2.0
// The products of matrices of all instruction sets: Highway compiles this file once for each.
#define HWY_IS_DEBUG_BUILD 0  // Highway's assertions would need its library
// The targets of run.cpp, but for SVE: vectors without a size cannot be kept in arrays.
#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_SVE | HWY_SVE2 | HWY_SVE2_128 | HWY_SVE_256 | HWY_AVX3_DL)
#define HWY_DISABLE_PCLMUL_AES
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cpu/simd/orthogonal.cpp"
#include <hwy/foreach_target.h>
//
#include <hwy/highway.h>

#include <cstddef>

#include "cpu/orthogonal_kernels.h"
#include "fanin/core/arithmetic.h"

// This excludes Highway's baseline without vector instructions.
#if HWY_TARGET != HWY_SCALAR && HWY_TARGET != HWY_EMU128

#include "cpu/simd/arithmetic-inl.h"

HWY_BEFORE_NAMESPACE();
namespace fanin::cpu::HWY_NAMESPACE {

#include "cpu/orthogonal_kernels-inl.h"

// Two vectors, of at most `most` lanes each.
template <class Element, std::size_t most>
struct Vectors {
  using Real = Element;
  using Tag = hn::CappedTag<Real, most>;
  using Vector = hn::Vec<Tag>;
  static constexpr std::size_t lanes = hn::MaxLanes(Tag()), vectors = 2, width = lanes * vectors;

  static HWY_INLINE Vector load(const Real* from) { return hn::LoadU(Tag(), from); }
  static HWY_INLINE void store(Vector v, Real* to) { hn::StoreU(v, Tag(), to); }
  static HWY_INLINE Vector all(Real v) { return hn::Set(Tag(), v); }
  static HWY_INLINE Vector zero() { return hn::Zero(Tag()); }
  static HWY_INLINE Vector negative(Vector v) { return hn::Neg(v); }
  static HWY_INLINE Vector add(Vector a, Vector b) { return hn::Add(a, b); }
  static HWY_INLINE Vector fma(Vector a, Vector b, Vector c) {
#if HWY_NATIVE_FMA
    return hn::MulAdd(a, b, c);
#else
    return HWY_NAMESPACE::fma(a, b, c);
#endif
  }
};

template <class Real>
constexpr OrthogonalTable<Real> table{kernels_of<Vectors<Real, 16>>(), kernels_of<Vectors<Real, 8>>(),
                                      kernels_of<Scalar<Real>>()};

}  // namespace fanin::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // vectors

#if HWY_ONCE
namespace fanin::cpu {

namespace {

namespace portable {

#include "cpu/orthogonal_kernels-inl.h"

template <class Real>
constexpr OrthogonalTable<Real> table{kernels_of<Scalar<Real>>(), kernels_of<Scalar<Real>>(),
                                      kernels_of<Scalar<Real>>()};

}  // namespace portable

}  // namespace

template <class Real>
const OrthogonalTable<Real>& orthogonal_table(CpuTarget target) noexcept {
  switch (target) {
#if HWY_TARGETS & HWY_AVX3
    case CpuTarget::avx512:
    case CpuTarget::avx512_vbmi:
      return N_AVX3::table<Real>;
#endif
#if HWY_TARGETS & HWY_AVX2
    case CpuTarget::avx2:
      return N_AVX2::table<Real>;
#endif
#if HWY_TARGETS & HWY_SSE4
    case CpuTarget::sse4:
      return N_SSE4::table<Real>;
#endif
#if HWY_TARGETS & HWY_NEON
    case CpuTarget::neon:
    case CpuTarget::sve:
      return N_NEON::table<Real>;
#endif
    default:
      return portable::table<Real>;
  }
}

template const OrthogonalTable<float>& orthogonal_table(CpuTarget target) noexcept;
template const OrthogonalTable<double>& orthogonal_table(CpuTarget target) noexcept;

}  // namespace fanin::cpu
#endif  // HWY_ONCE
