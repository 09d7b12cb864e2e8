// SPDX-License-Identifier: Apache-2.0
// The arithmetic of the value contract: each function is one IEEE 754 operation, rounded once to nearest even, under
// whatever flags device code is compiled with. The compiler never contracts the rounding intrinsics, and a PTX
// instruction keeps subnormal numbers unless it is written with .ftz.
#pragma once

#include "fanin/core/host_device.h"
#include "fanin/core/integers.h"

#if defined(__FAST_MATH__) && !defined(__CUDA_ARCH__)
#error "fanin's value code must not be compiled with -ffast-math: it would change the weights"
#endif
#if defined(__FLT_EVAL_METHOD__) && __FLT_EVAL_METHOD__ != 0
#error "fanin's value code needs binary32 and binary64 arithmetic without excess precision (use -mfpmath=sse)"
#endif

#if defined(__CUDACC__) && !defined(__CUDACC_RTC__)
extern "C" __device__ int __nvvm_reflect(const void*);  // LLVM's "User Guide for NVPTX Back-end"; NVRTC declares it
#endif

namespace fanin::core {

#if defined(__CUDA_ARCH__)
// Whether flags (-ftz=true, --use_fast_math) make the compiler write .ftz. It is a constant when code is generated.
__device__ __forceinline__ bool flushes_subnormals() { return __nvvm_reflect("__CUDA_FTZ") != 0; }
#endif

FANIN_HOST_DEVICE uint32_t bits_of(float v) {
#if defined(__CUDA_ARCH__)
  return __float_as_uint(v);
#else
  uint32_t u;
  __builtin_memcpy(&u, &v, sizeof u);
  return u;
#endif
}

FANIN_HOST_DEVICE float float_of(uint32_t u) {
#if defined(__CUDA_ARCH__)
  return __uint_as_float(u);
#else
  float v;
  __builtin_memcpy(&v, &u, sizeof v);
  return v;
#endif
}

FANIN_HOST_DEVICE float mul(float a, float b) {
#if defined(__CUDA_ARCH__)
  if (flushes_subnormals()) {
    float result;
    asm("mul.rn.f32 %0, %1, %2;" : "=f"(result) : "f"(a), "f"(b));
    return result;
  }
  return __fmul_rn(a, b);
#else
  return a * b;
#endif
}

FANIN_HOST_DEVICE double mul(double a, double b) {
#if defined(__CUDA_ARCH__)
  return __dmul_rn(a, b);
#else
  return a * b;
#endif
}

FANIN_HOST_DEVICE float add(float a, float b) {
#if defined(__CUDA_ARCH__)
  if (flushes_subnormals()) {
    float result;
    asm("add.rn.f32 %0, %1, %2;" : "=f"(result) : "f"(a), "f"(b));
    return result;
  }
  return __fadd_rn(a, b);
#else
  return a + b;
#endif
}

// Fused multiply-add. On a host without the instruction the compiler calls the C library's fma, which IEEE 754
// defines to the last bit; it is the only function of that library that value code uses.
FANIN_HOST_DEVICE float fma(float a, float b, float c) {
#if defined(__CUDA_ARCH__)
  if (flushes_subnormals()) {
    float result;
    asm("fma.rn.f32 %0, %1, %2, %3;" : "=f"(result) : "f"(a), "f"(b), "f"(c));
    return result;
  }
  return __fmaf_rn(a, b, c);
#else
  return __builtin_fmaf(a, b, c);
#endif
}

FANIN_HOST_DEVICE double fma(double a, double b, double c) {
#if defined(__CUDA_ARCH__)
  return __fma_rn(a, b, c);
#else
  return __builtin_fma(a, b, c);
#endif
}

FANIN_HOST_DEVICE float negative(float v) {
#if defined(__CUDA_ARCH__)
  if (flushes_subnormals()) return float_of(bits_of(v) ^ 0x80000000u);
#endif
  return -v;
}

FANIN_HOST_DEVICE double to_binary64(float v) {
#if defined(__CUDA_ARCH__)
  if (flushes_subnormals()) {
    double result;
    asm("cvt.f64.f32 %0, %1;" : "=d"(result) : "f"(v));
    return result;
  }
#endif
  return static_cast<double>(v);
}

FANIN_HOST_DEVICE bool less(float a, float b) {
#if defined(__CUDA_ARCH__)
  if (flushes_subnormals()) {
    uint32_t result;
    asm("set.lt.u32.f32 %0, %1, %2;" : "=r"(result) : "f"(a), "f"(b));
    return result != 0;
  }
#endif
  return a < b;
}

FANIN_HOST_DEVICE bool less(double a, double b) { return a < b; }

// v limited to [lo, hi]. A zero keeps its sign; v is never NaN.
template <class Real>
FANIN_HOST_DEVICE Real clamp(Real v, Real lo, Real hi) {
  return less(v, lo) ? lo : less(hi, v) ? hi : v;
}

}  // namespace fanin::core
