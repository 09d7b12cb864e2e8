// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "fanin/export.h"

namespace fanin {

/// Element types. Weights are floating point; there are no others.
enum class DType : std::uint8_t { float32, float64, float16, bfloat16, float8_e4m3fn, float8_e5m2 };

/// Bytes of one element: 8, 4, 2 or 1.
FANIN_API std::size_t size_of(DType dtype);

/// "float32", "float64", "float16", "bfloat16", "float8_e4m3fn" or "float8_e5m2".
FANIN_API std::string_view name_of(DType dtype);

/// The dtype of that name. Throws InvalidArgument for any other, with the nearest name.
FANIN_API DType parse_dtype(std::string_view name);

}  // namespace fanin
