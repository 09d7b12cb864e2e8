// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "fanin/export.h"
#include "fanin/shape.h"

namespace fanin {

/// How many inputs feed an output, and how many outputs an input feeds.
struct Fans {
  std::uint64_t fan_in;
  std::uint64_t fan_out;
};

/// Where a kernel's channels are. It changes fans only, never the order of elements.
enum class Layout : std::uint8_t {
  hwio,  ///< Keras, JAX: (..., in, out); a matrix is (in, out)
  oihw   ///< PyTorch: (out, in, ...); a matrix is (out, in)
};

FANIN_API std::string_view name_of(Layout layout);
/// "hwio" or "oihw", else throws InvalidArgument.
FANIN_API Layout parse_layout(std::string_view name);

/// Keras 3.15's input_axes and output_axes. Both present: the fans are the products of these axes' extents, the other
/// axes being left out, and the layout does not matter. One or both absent: neither counts, as in Keras.
struct FanAxes {
  std::optional<std::vector<std::int64_t>> input = {};  ///< negative axes count from the end
  std::optional<std::vector<std::int64_t>> output = {};
};

/// Fans as Keras's compute_fans: a scalar has (1, 1), a vector of n has (n, n), a matrix its two extents, and a
/// kernel of more dimensions its channels times the product of the others (the receptive field).
/// Throws InvalidArgument for a negative extent, an axis outside the shape, or a fan of 2^63 or more
/// (of an empty tensor it is 2^63 - 1).
FANIN_API Fans compute_fans(const Shape& shape, Layout layout = Layout::hwio, const FanAxes& axes = {});

}  // namespace fanin
