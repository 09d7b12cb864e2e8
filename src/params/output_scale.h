// SPDX-License-Identifier: Apache-2.0
// The scale of each element of a fill, and the limits of the scaled values: docs/VALUES.md, section 9.
#pragma once

#include <cmath>
#include <cstdint>
#include <utility>

#include "base/number_format.h"
#include "fanin/fill_params.h"
#include "fanin/shape.h"

namespace fanin::detail {

// The bytes in memory of so many elements. Packed elements must fill whole bytes.
inline std::uint64_t bytes_in_memory(DType dtype, bool unpacked, std::uint64_t elements) {
  return unpacked && facts_of(dtype).is_packed() ? elements : bytes_of(dtype, elements);
}
inline std::uint64_t bytes_in_memory(const FillParams& params, std::uint64_t elements) {
  return bytes_in_memory(params.dtype, params.unpacked, elements);
}

inline DType compute_type_of(DType dtype) { return dtype == DType::float64 ? DType::float64 : DType::float32; }

// Throws InvalidArgument for a scale that is not positive and finite in the compute type, for scales that do not fit
// the tensor's shape, and for a block that cuts the group of a scale. Reads all scales.
void check_output_scale(const FillParams& params, const Shape& shape);

// Throws InvalidArgument if packed elements of the fill do not begin and end with a byte of the whole tensor.
void check_packing(const FillParams& params);

// Scales are numbered in the order of the fill's elements.
class ScaledLimits {
 public:
  explicit ScaledLimits(const FillParams& params)
      : scale_(params.output_scale),
        format_(params.dtype),
        number_(rounded(scale_.number, params)),
        low_(params.min),
        high_(params.max),
        open_(params.open),
        binary64_(params.dtype == DType::float64) {}

  std::uint64_t groups() const { return scale_.blocks == nullptr ? 1 : scale_.count; }

  // The scale in the compute type.
  double scale_of(std::uint64_t group) const {
    if (scale_.blocks == nullptr) return number_;
    double scale = 0;
    to_binary64(&scale, static_cast<const unsigned char*>(scale_.blocks) + group * size_of(scale_.dtype), scale_.dtype,
                1);
    return binary64_ ? scale : static_cast<double>(static_cast<float>(scale));
  }

  // The least and the largest element for values that are divided by the scale.
  std::pair<double, double> at(double scale) const {
    return {format_.outermost(divided(low_, scale), -1, false), format_.outermost(divided(high_, scale), +1, open_)};
  }

 private:
  static double rounded(double v, const FillParams& params) {
    return params.dtype == DType::float64 ? v : static_cast<double>(static_cast<float>(v));
  }
  double divided(double bound, double scale) const {
    if (binary64_) return bound / scale;
    return static_cast<double>(static_cast<float>(bound) / static_cast<float>(scale));
  }

  OutputScale scale_;
  NumberFormat format_;
  double number_, low_, high_;
  bool open_, binary64_;
};

}  // namespace fanin::detail
