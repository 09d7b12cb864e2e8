// SPDX-License-Identifier: Apache-2.0
// CUDA's element types: with this header, pointers to __half, __nv_bfloat16 and __nv_fp8_* tell their dtype. Needs the
// CUDA toolkit's headers, and no CUDA compiler; fanin.hpp does not include it.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_fp8.h>

#include "fanin/dtype.h"

namespace fanin {

template <>
struct ElementType<__half> {
  static constexpr DType dtype = DType::float16;
};
template <>
struct ElementType<__nv_bfloat16> {
  static constexpr DType dtype = DType::bfloat16;
};
template <>
struct ElementType<__nv_fp8_e4m3> {
  static constexpr DType dtype = DType::float8_e4m3fn;
};
template <>
struct ElementType<__nv_fp8_e5m2> {
  static constexpr DType dtype = DType::float8_e5m2;
};

}  // namespace fanin
