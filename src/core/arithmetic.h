// SPDX-License-Identifier: Apache-2.0
// The arithmetic of the value contract: each function is one IEEE 754 operation, rounded once to nearest even. Device
// code uses the rounding intrinsics because the compiler never contracts them.
#pragma once

#include <cstdint>

#include "core/host_device.h"

#if defined(__FAST_MATH__)
#error "fanin's value code must not be compiled with -ffast-math: it would change the weights"
#endif
#if defined(__FLT_EVAL_METHOD__) && __FLT_EVAL_METHOD__ != 0
#error "fanin's value code needs binary32 and binary64 arithmetic without excess precision (use -mfpmath=sse)"
#endif

namespace fanin::core {

FANIN_HOST_DEVICE float mul(float a, float b) {
#if defined(__CUDA_ARCH__)
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
  return __fadd_rn(a, b);
#else
  return a + b;
#endif
}

// Fused multiply-add. On a host without the instruction the compiler calls the C library's fma, which IEEE 754
// defines to the last bit; it is the only function of that library that value code uses.
FANIN_HOST_DEVICE float fma(float a, float b, float c) {
#if defined(__CUDA_ARCH__)
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

FANIN_HOST_DEVICE std::uint32_t bits_of(float v) {
#if defined(__CUDA_ARCH__)
  return __float_as_uint(v);
#else
  std::uint32_t u;
  __builtin_memcpy(&u, &v, sizeof u);
  return u;
#endif
}

FANIN_HOST_DEVICE float float_of(std::uint32_t u) {
#if defined(__CUDA_ARCH__)
  return __uint_as_float(u);
#else
  float v;
  __builtin_memcpy(&v, &u, sizeof v);
  return v;
#endif
}

// v limited to [lo, hi]. A zero keeps its sign; v is never NaN.
template <class Real>
FANIN_HOST_DEVICE Real clamp(Real v, Real lo, Real hi) {
  return v < lo ? lo : v > hi ? hi : v;
}

}  // namespace fanin::core
