// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "fanin/export.h"

namespace fanin {

/// Element types. All are floating point, because weights are.
enum class DType : std::uint8_t { float32, float64, float16, bfloat16, float8_e4m3fn, float8_e5m2 };

/// The dtype of a C++ type: ElementType<float>::dtype. Only element types have the member; fanin/cuda_types.h gives it
/// to CUDA's.
template <class T>
struct ElementType {};
template <>
struct ElementType<float> {
  static constexpr DType dtype = DType::float32;
};
template <>
struct ElementType<double> {
  static constexpr DType dtype = DType::float64;
};

/// Facts about a dtype. docs/architecture.md lists what a new dtype needs.
struct DTypeFacts {
  DType dtype;
  std::string_view name;
  std::size_t size;              ///< bytes of one element: 8, 4, 2 or 1
  int significant_bits;          ///< of a normal number, including the leading one
  double largest;                ///< largest finite value
  std::string_view safetensors;  ///< the name in a safetensors file
  std::string_view numpy;        ///< NumPy's typestr; an unsigned integer of that size where NumPy lacks the type
  std::uint8_t dlpack_code;      ///< DLDataTypeCode of DLPack 1.1; its `bits` is 8 * size
};

/// All dtypes, in the order of the enumeration.
FANIN_API const std::array<DTypeFacts, 6>& dtypes();

/// Throws InvalidArgument for a number outside the enumeration.
FANIN_API const DTypeFacts& facts_of(DType dtype);

inline std::size_t size_of(DType dtype) { return facts_of(dtype).size; }
inline std::string_view name_of(DType dtype) { return facts_of(dtype).name; }

/// The dtype of that name. Throws InvalidArgument for any other, with the nearest name.
FANIN_API DType parse_dtype(std::string_view name);

/// Converts `count` elements in host memory, aligned to their size, to binary64 without loss.
FANIN_API void to_binary64(double* values, const void* elements, DType dtype, std::size_t count);

}  // namespace fanin
