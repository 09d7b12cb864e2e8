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
    return type.code == facts.dlpack_code && type.bits == 8 * facts.size && type.lanes == 1;
  });
}

inline std::optional<DType> dtype_of_xla(xla::DataType type) {
  static constexpr std::array<xla::DataType, 6> in_order{xla::DataType::f32,      xla::DataType::f64,
                                                         xla::DataType::f16,      xla::DataType::bf16,
                                                         xla::DataType::f8e4m3fn, xla::DataType::f8e5m2};
  return dtype_where([&](const DTypeFacts& facts) { return in_order[static_cast<std::size_t>(facts.dtype)] == type; });
}

}  // namespace fanin::python
