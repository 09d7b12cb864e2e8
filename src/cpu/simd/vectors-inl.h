// SPDX-License-Identifier: Apache-2.0
// Names for the vectors of one instruction set.
#if defined(FANIN_SRC_CPU_SIMD_VECTORS_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef FANIN_SRC_CPU_SIMD_VECTORS_INL_H
#undef FANIN_SRC_CPU_SIMD_VECTORS_INL_H
#else
#define FANIN_SRC_CPU_SIMD_VECTORS_INL_H
#endif

#include <hwy/highway.h>

#include <cstdint>

HWY_BEFORE_NAMESPACE();
namespace fanin::cpu::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// Highway's tags of full vectors, and the types of these vectors.
using U32 = hn::ScalableTag<std::uint32_t>;
using I32 = hn::ScalableTag<std::int32_t>;
using F32 = hn::ScalableTag<float>;
using U64 = hn::ScalableTag<std::uint64_t>;
using I64 = hn::ScalableTag<std::int64_t>;
using F64 = hn::ScalableTag<double>;
using VU32 = hn::Vec<U32>;
using VI32 = hn::Vec<I32>;
using VF32 = hn::Vec<F32>;
using VU64 = hn::Vec<U64>;
using VF64 = hn::Vec<F64>;
using Mask32 = hn::Mask<U32>;

HWY_INLINE VU32 set32(std::uint32_t v) { return hn::Set(U32(), v); }
HWY_INLINE VF32 set32(float v) { return hn::Set(F32(), v); }
HWY_INLINE VU64 set64(std::uint64_t v) { return hn::Set(U64(), v); }
HWY_INLINE VF64 set64(double v) { return hn::Set(F64(), v); }

}  // namespace fanin::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
