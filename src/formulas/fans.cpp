// SPDX-License-Identifier: Apache-2.0
#include "fanin/fans.h"

#include <algorithm>
#include <limits>
#include <string>

#include "fanin/error.h"

namespace fanin {

namespace {

// The product of factor(0) ... factor(count - 1), 0 if a factor is 0. It is below 2^63, so that the sum of two fans
// fits 64 bits.
template <class Factor>
std::uint64_t product(const Shape& shape, std::size_t count, const Factor& factor) {
  for (std::size_t j = 0; j < count; ++j) {
    if (factor(j) == 0) return 0;
  }
  constexpr auto most = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  std::uint64_t result = 1;
  for (std::size_t j = 0; j < count; ++j) {
    const auto next = static_cast<std::uint64_t>(factor(j));
    if (next > most / result) {
      if (std::find(shape.begin(), shape.end(), 0) != shape.end())
        return most;  // nothing is filled, so any value will do
      throw InvalidArgument("A fan of shape " + to_string(shape) + " is over 2^63 - 1");
    }
    result *= next;
  }
  return result;
}

std::uint64_t axes_product(const Shape& shape, const std::vector<std::int64_t>& axes) {
  const auto rank = static_cast<std::int64_t>(shape.size());
  for (const std::int64_t axis : axes) {
    if (axis < -rank || axis >= rank) {
      throw InvalidArgument("Axis " + std::to_string(axis) + " is outside shape " + to_string(shape) + " of rank " +
                            std::to_string(rank));
    }
  }
  return product(shape, axes.size(), [&](std::size_t j) {
    return shape[static_cast<std::size_t>(axes[j] < 0 ? axes[j] + rank : axes[j])];
  });
}

// The product of all extents but one.
std::uint64_t product_without(const Shape& shape, std::size_t dimension) {
  return product(shape, shape.size(), [&](std::size_t j) { return j == dimension ? 1 : shape[j]; });
}

// A caller may have converted any number to the enumeration.
void check(Layout layout) {
  if (layout == Layout::hwio || layout == Layout::oihw) return;
  throw InvalidArgument("layout number " + std::to_string(static_cast<int>(layout)) + " does not exist");
}

}  // namespace

std::string_view name_of(Layout layout) {
  check(layout);
  return layout == Layout::hwio ? "hwio" : "oihw";
}

Layout parse_layout(std::string_view name) {
  if (name == "hwio") return Layout::hwio;
  if (name == "oihw") return Layout::oihw;
  throw InvalidArgument("A layout is \"hwio\" (Keras, JAX: channels last) or \"oihw\" (PyTorch). Received: \"" +
                        std::string(name) + "\"");
}

Fans compute_fans(const Shape& shape, Layout layout, const FanAxes& axes) {
  check(layout);
  for (const std::int64_t extent : shape) {
    if (extent < 0) throw InvalidArgument("Extents must not be negative. Received: shape=" + to_string(shape));
  }
  if (axes.input && axes.output) return {axes_product(shape, *axes.input), axes_product(shape, *axes.output)};
  if (shape.empty()) return {1, 1};
  if (shape.size() == 1) {
    const std::uint64_t extent = product_without(shape, 1);
    return {extent, extent};
  }
  const bool channels_last = layout == Layout::hwio;
  const std::size_t in = channels_last ? shape.size() - 2 : 1;
  const std::size_t out = channels_last ? shape.size() - 1 : 0;
  return {product_without(shape, out), product_without(shape, in)};
}

}  // namespace fanin
