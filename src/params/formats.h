// SPDX-License-Identifier: Apache-2.0
// From what a fill says when the program runs to what the loops are compiled for.
#pragma once

#include "core/rounding.h"
#include "core/values.h"
#include "fanin/fill_params.h"

namespace fanin::cpu {

// Calls f(Format{}) with the dtype's format.
template <class F>
void with_format(DType dtype, const F& f) {
  switch (dtype) {
    case DType::float32:
      return f(core::Float32{});
    case DType::float64:
      return f(core::Float64{});
    case DType::float16:
      return f(core::Float16{});
    case DType::bfloat16:
      return f(core::BFloat16{});
    case DType::float8_e4m3fn:
      return f(core::Float8E4M3FN{});
    case DType::float8_e5m2:
      return f(core::Float8E5M2{});
  }
}

template <class Real>
core::Affine<Real> affine_of(const FillParams& params) {
  return {static_cast<Real>(params.scale), static_cast<Real>(params.shift), static_cast<Real>(params.min),
          static_cast<Real>(params.max), params.shifted};
}

}  // namespace fanin::cpu
