// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "fanin/export.h"

namespace fanin {

/// Element types. Weights are floating point; there are no others.
enum class DType : std::uint8_t { float32, float64, float16, bfloat16, float8_e4m3fn, float8_e5m2 };

/// What others must know of a dtype. A new dtype is a line of this table and a format in src/base/formats.h.
struct DTypeFacts {
  DType dtype;
  std::string_view name;
  std::size_t size;              ///< bytes of one element: 8, 4, 2 or 1
  int significant_bits;          ///< of a normal number, the leading one included
  double largest;                ///< finite value
  std::string_view safetensors;  ///< the name in a safetensors file
  std::string_view numpy;        ///< NumPy's typestr; unsigned integers of that size where NumPy has no such type
  std::uint8_t dlpack_code;      ///< DLDataTypeCode of DLPack 1.1; the bits are 8 * size
};

/// All dtypes, in the order of the enumeration.
FANIN_API const std::array<DTypeFacts, 6>& dtypes();

/// Throws InvalidArgument for a number that is not one of the enumeration.
FANIN_API const DTypeFacts& facts_of(DType dtype);

inline std::size_t size_of(DType dtype) { return facts_of(dtype).size; }
inline std::string_view name_of(DType dtype) { return facts_of(dtype).name; }

/// The dtype of that name. Throws InvalidArgument for any other, with the nearest name.
FANIN_API DType parse_dtype(std::string_view name);

/// Converts elements, which are aligned to their size, to binary64 without loss.
FANIN_API void to_binary64(double* values, const void* elements, DType dtype, std::size_t count);

}  // namespace fanin
