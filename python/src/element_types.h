// SPDX-License-Identifier: Apache-2.0
// The library's dtypes as DLPack and XLA encode them. NumPy, PyTorch and TensorFlow have the library's names.
#pragma once

#include <nanobind/ndarray.h>

#include <array>
#include <optional>
#include <string_view>

#include "fanin/dtype.h"
#include "xla_ffi.h"

namespace fanin::python {

struct ElementType {
  DType dtype;
  nanobind::dlpack::dtype dlpack;  // code, bits, lanes
  xla::DataType xla;
};

// DLPack's codes of integers, unsigned integers and IEEE floating-point numbers are 0, 1 and 2.
inline constexpr std::array<ElementType, 6> element_types{{
    {DType::float32, {2, 32, 1}, xla::DataType::f32},
    {DType::float64, {2, 64, 1}, xla::DataType::f64},
    {DType::float16, {2, 16, 1}, xla::DataType::f16},
    {DType::bfloat16, {4, 16, 1}, xla::DataType::bf16},
    {DType::float8_e4m3fn, {10, 8, 1}, xla::DataType::f8e4m3fn},
    {DType::float8_e5m2, {12, 8, 1}, xla::DataType::f8e5m2},
}};

template <class Predicate>
std::optional<DType> dtype_where(Predicate matches) {
  for (const ElementType& type : element_types) {
    if (matches(type)) return type.dtype;
  }
  return std::nullopt;
}

inline std::optional<DType> dtype_named(std::string_view name) {
  return dtype_where([&](const ElementType& type) { return name_of(type.dtype) == name; });
}

}  // namespace fanin::python
