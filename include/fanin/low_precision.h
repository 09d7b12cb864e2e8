// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "fanin/dtype.h"
#include "fanin/export.h"

namespace fanin {

/// How a value that no element equals becomes an element (docs/low-precision.md).
enum class Rounding : std::uint8_t {
  nearest,    ///< to the nearest element; of two, to the one whose last bit is 0
  stochastic  ///< to one of the two neighbours, so that the mean is the value; for dtypes narrower than float32
};

/// "nearest" or "stochastic". Throws InvalidArgument for another text.
FANIN_API Rounding parse_rounding(std::string_view name);

/// What values are divided by before they are rounded, so that values of any size use the range of a narrow dtype. The
/// weight is the element times its scale.
struct OutputScale {
  double number = 1;  ///< > 0 and finite, also in float32 unless the dtype is float64

  /// Scales in host memory instead of the number, one for each `group` elements along the last axis of the tensor or
  /// its block, in row-major order. Fills that are prepared (Plan, Initializer::params) need the memory until they have
  /// run.
  const void* blocks = nullptr;
  DType dtype = DType::float8_e8m0fnu;  ///< of the scales
  std::size_t count = 0;                ///< of the scales
  std::uint32_t group = 32;             ///< 32 (OCP MX) or 16 (NVFP4)
};

/// Computes the scales of the OCP MX formats (version 1.0, section 6.3) for float32 values in host memory: for each
/// group of `group` consecutive values the power of two floor(log2(largest magnitude)) - floor(log2(largest value of
/// `dtype`)), at least 2^-127, as float8_e8m0fnu. `scales` has count / group elements. Throws InvalidArgument for a
/// null pointer, a group other than 32 or 16, a count that is not a multiple of it, float8_e8m0fnu as dtype, and for
/// values that are not finite.
FANIN_API void mx_scales(const float* values, std::size_t count, DType dtype, std::uint8_t* scales,
                         std::uint32_t group = 32);

}  // namespace fanin
