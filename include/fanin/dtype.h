// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "fanin/export.h"

namespace fanin {

/// Element types. All are floating point, because weights are. float8_e8m0fnu holds scales: it has powers of two only,
/// and only constants fill it. docs/low-precision.md explains those after float8_e5m2.
enum class DType : std::uint8_t {
  float32,
  float64,
  float16,
  bfloat16,
  float8_e4m3fn,
  float8_e5m2,
  float8_e4m3fnuz,
  float8_e5m2fnuz,
  float8_e8m0fnu,
  float6_e2m3fn,
  float6_e3m2fn,
  float4_e2m1fn
};

/// Whether a dtype has no loops and kernels of its own, so that the host computes its elements: those after
/// float8_e5m2.
constexpr bool is_low_precision(DType dtype) { return dtype > DType::float8_e5m2; }

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
  std::size_t bits;              ///< of one element: 64, 32, 16, 8, 6 or 4
  int significant_bits;          ///< of a normal number, including the leading one
  int exponent_bias;             ///< the exponent field of 1
  double largest;                ///< largest finite value
  std::string_view safetensors;  ///< the name in a safetensors file
  std::string_view numpy;        ///< NumPy's typestr; an unsigned integer of that size where NumPy lacks the type
  std::uint8_t dlpack_code;      ///< DLDataTypeCode of DLPack 1.1

  /// Elements of fewer than 8 bits are packed: memory is a stream of bits, lowest bit of each byte first.
  constexpr bool is_packed() const { return bits < 8; }
  /// Elements in the fewest whole bytes: 2 for 4 bits, 4 for 6 bits, else 1.
  constexpr std::size_t elements_together() const { return bits == 4 ? 2 : bits == 6 ? 4 : 1; }
};

/// All dtypes, in the order of the enumeration.
FANIN_API const std::array<DTypeFacts, 12>& dtypes();

/// Throws InvalidArgument for a number outside the enumeration.
FANIN_API const DTypeFacts& facts_of(DType dtype);

/// The bytes of one element. Throws InvalidArgument for a packed dtype, whose elements are smaller than a byte.
FANIN_API std::size_t size_of(DType dtype);

/// The bytes of `count` elements, of which there are at most max_elements. Packed elements begin and end with a whole
/// byte, so there must be a multiple of DTypeFacts::elements_together: throws InvalidArgument for another number.
FANIN_API std::uint64_t bytes_of(DType dtype, std::uint64_t count);

inline std::string_view name_of(DType dtype) { return facts_of(dtype).name; }

/// The dtype of that name. Throws InvalidArgument for any other, with the nearest name.
FANIN_API DType parse_dtype(std::string_view name);

/// Converts `count` elements in host memory, aligned to their size, to binary64 without loss. Packed elements begin
/// with the first byte.
FANIN_API void to_binary64(double* values, const void* elements, DType dtype, std::size_t count);

}  // namespace fanin
