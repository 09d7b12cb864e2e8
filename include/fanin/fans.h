// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "fanin/export.h"
#include "fanin/shape.h"

namespace fanin {

/// The number of inputs that feed one output, and of outputs that one input feeds.
struct Fans {
  std::uint64_t fan_in;
  std::uint64_t fan_out;
};

/// Which axes of a kernel are its channels. The layout affects fans only, not the order of elements.
enum class Layout : std::uint8_t {
  hwio,  ///< Keras, JAX: (..., in, out); a matrix is (in, out)
  oihw   ///< PyTorch: (out, in, ...); a matrix is (out, in)
};

/// "hwio" or "oihw". Throws InvalidArgument for a number outside the enumeration.
FANIN_API std::string_view name_of(Layout layout);
/// Reads "hwio" or "oihw". Throws InvalidArgument for other names.
FANIN_API Layout parse_layout(std::string_view name);

/// Keras 3.15's input_axes and output_axes. If both are given, each fan is the product of its axes' extents, and other
/// axes and the layout do not matter. If only one is given, it is ignored, as in Keras.
struct FanAxes {
  std::optional<std::vector<std::int64_t>> input = {};  ///< negative axes count from the end
  std::optional<std::vector<std::int64_t>> output = {};
};

/// The fans that Keras's compute_fans computes: (1, 1) for a scalar, (n, n) for a vector of n, the two extents of a
/// matrix, and for a kernel of more dimensions the channels times the receptive field, which is the product of the
/// other extents. Throws InvalidArgument for a negative extent, an axis outside the shape, or a fan of 2^63 or more; an
/// empty tensor has 2^63 - 1 instead.
FANIN_API Fans compute_fans(const Shape& shape, Layout layout = Layout::hwio, const FanAxes& axes = {});

}  // namespace fanin
