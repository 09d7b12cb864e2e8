// SPDX-License-Identifier: Apache-2.0
// Turns values into elements, four at a time. Each value is clamped and rounded once.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_fp8.h>

#include <cstdint>
#include <cstring>

#include "cuda/encoded_job.h"
#include "cuda/kernel/draw.cuh"
#include "fanin/dtype.h"

namespace fanin::gpu {

template <class Real>
struct Limits {
  Real min, max;
};

__device__ __forceinline__ float clamp(float v, const Limits<float>& limits) {
  return fminf(fmaxf(v, limits.min), limits.max);
}
__device__ __forceinline__ double clamp(double v, const Limits<double>& limits) {
  return fmin(fmax(v, limits.min), limits.max);
}

// A format has Real, Element, Packed (four elements), Clamp (the limits in the form that it needs), encode(), and
// round() for values that need no clamp.
template <class RealType>
struct Wide {
  using Real = RealType;
  using Element = Real;
  struct alignas(16) Packed {
    Real of[4];
  };
  using Clamp = Limits<Real>;
  static __device__ __forceinline__ Packed round(const Four<Real>& v) { return {{v.x, v.y, v.z, v.w}}; }
  template <bool clamped>
  static __device__ __forceinline__ Packed encode(const Four<Real>& v, const Clamp& limits) {
    if constexpr (clamped) return {{clamp(v.x, limits), clamp(v.y, limits), clamp(v.z, limits), clamp(v.w, limits)}};
    return round(v);
  }
};
using AsFloat32 = Wide<float>;
using AsFloat64 = Wide<double>;

__device__ __forceinline__ __nv_bfloat162 round_pair(float a, float b, __nv_bfloat162) {
  return __floats2bfloat162_rn(a, b);
}
__device__ __forceinline__ __half2 round_pair(float a, float b, __half2) { return __floats2half2_rn(a, b); }

// A format of 16 bits. It clamps pairs after it rounds them. The result is the same, because rounding is monotone and
// the limits are values of the format. A value that has become infinite returns to the limit.
template <class Pair, class ElementType>
struct Halves {
  using Real = float;
  using Element = ElementType;
  struct alignas(8) Packed {
    Pair of[2];
  };
  struct Clamp {
    Pair min, max;
    __device__ __forceinline__ Clamp(const Limits<float>& limits)
        : min(round_pair(limits.min, limits.min, Pair{})), max(round_pair(limits.max, limits.max, Pair{})) {}
  };
  static __device__ __forceinline__ Packed round(const Four<float>& v) {
    return {{round_pair(v.x, v.y, Pair{}), round_pair(v.z, v.w, Pair{})}};
  }
  template <bool>
  static __device__ __forceinline__ Packed encode(const Four<float>& v, const Clamp& clamp) {
    const Packed p = round(v);
    return {{__hmin2(__hmax2(p.of[0], clamp.min), clamp.max), __hmin2(__hmax2(p.of[1], clamp.min), clamp.max)}};
  }
};
using AsFloat16 = Halves<__half2, __half>;
using AsBFloat16 = Halves<__nv_bfloat162, __nv_bfloat16>;

template <__nv_fp8_interpretation_t format>
struct Bytes {
  using Real = float;
  using Element = std::uint8_t;
  struct alignas(4) Packed {
    __nv_fp8x2_storage_t of[2];
  };
  using Clamp = Limits<float>;
  static __device__ __forceinline__ Packed round(const Four<float>& v) { return {{pair(v.x, v.y), pair(v.z, v.w)}}; }
  template <bool>
  static __device__ __forceinline__ Packed encode(const Four<float>& v, const Clamp& limits) {
    return round({clamp(v.x, limits), clamp(v.y, limits), clamp(v.z, limits), clamp(v.w, limits)});
  }

 private:
  static __device__ __forceinline__ __nv_fp8x2_storage_t pair(float a, float b) {
    return __nv_cvt_float2_to_fp8x2(make_float2(a, b), __NV_SATFINITE, format);
  }
};
using AsFloat8E4M3FN = Bytes<__NV_E4M3>;
using AsFloat8E5M2 = Bytes<__NV_E5M2>;

// Calls f(format) with the format of a dtype, if the dtype is computed in binary32.
template <class F>
__device__ __forceinline__ void with_format(std::uint32_t dtype, const F& f) {
  switch (static_cast<DType>(dtype)) {
    case DType::float32:
      return f(AsFloat32{});
    case DType::float16:
      return f(AsFloat16{});
    case DType::bfloat16:
      return f(AsBFloat16{});
    case DType::float8_e4m3fn:
      return f(AsFloat8E4M3FN{});
    case DType::float8_e5m2:
      return f(AsFloat8E5M2{});
    default:  // float64; the host computes fills of other dtypes
      return;
  }
}

}  // namespace fanin::gpu
