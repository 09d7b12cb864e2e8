// SPDX-License-Identifier: Apache-2.0
// Calls code that is compiled for a format, for a dtype that is known at run time.
#pragma once

#include "fanin/core/rounding.h"
#include "fanin/dtype.h"

namespace fanin::detail {

// Returns f(Format{}) for the dtype's format. The small formats of base/number_format.h are drawn in float32.
template <class F>
auto with_format(DType dtype, const F& f) {
  switch (dtype) {
    case DType::float32:
    case DType::float8_e4m3fnuz:
    case DType::float8_e5m2fnuz:
    case DType::float8_e8m0fnu:
    case DType::float6_e2m3fn:
    case DType::float6_e3m2fn:
    case DType::float4_e2m1fn:
      break;
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
  return f(core::Float32{});
}

// Whether elements have the compute type, so that values need no rounding.
template <class Format>
constexpr bool is_compute_type = sizeof(typename Format::Storage) == sizeof(typename Format::Compute);

}  // namespace fanin::detail
