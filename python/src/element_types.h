// SPDX-License-Identifier: Apache-2.0
// The library's dtypes by the codes of others. NumPy, PyTorch and TensorFlow have the library's names.
#pragma once

#include <nanobind/ndarray.h>

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>

#include "fanin/dtype.h"
#include "xla_ffi.h"

namespace fanin::python {

template <class Predicate>
std::optional<DType> dtype_where(const Predicate& matches) {
  const auto found = std::find_if(dtypes().begin(), dtypes().end(), matches);
  if (found == dtypes().end()) return std::nullopt;
  return found->dtype;
}

inline std::optional<DType> dtype_named(std::string_view name) {
  return dtype_where([&](const DTypeFacts& facts) { return facts.name == name; });
}

inline std::optional<DType> dtype_of_dlpack(nanobind::dlpack::dtype type) {
  return dtype_where([&](const DTypeFacts& facts) {
    return type.code == facts.dlpack_code && type.bits == facts.bits && type.lanes == 1 && !facts.is_packed();
  });
}

inline std::optional<DType> dtype_of_xla(xla::DataType type) {
  static constexpr std::array<xla::DataType, 8> in_order{
      xla::DataType::f32,      xla::DataType::f64,    xla::DataType::f16,        xla::DataType::bf16,
      xla::DataType::f8e4m3fn, xla::DataType::f8e5m2, xla::DataType::f8e4m3fnuz, xla::DataType::f8e5m2fnuz};
  const auto* const found = std::find(in_order.begin(), in_order.end(), type);  // XLA's calls have no others
  return found == in_order.end() ? std::nullopt : std::optional(dtypes()[found - in_order.begin()].dtype);
}

}  // namespace fanin::python
