// SPDX-License-Identifier: Apache-2.0
#include "fanin/fans.h"

#include <algorithm>
#include <limits>
#include <string>

#include "fanin/error.h"

namespace fanin {

namespace {

// Fans stay below 2^63, so that their sum fits 64 bits. A zero wins over everything.
std::uint64_t product(const std::vector<std::int64_t>& factors, const Shape& shape) {
  for (const std::int64_t factor : factors) {
    if (factor == 0) return 0;
  }
  constexpr auto most = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  std::uint64_t result = 1;
  for (const std::int64_t factor : factors) {
    if (static_cast<std::uint64_t>(factor) > most / result) {
      if (std::find(shape.begin(), shape.end(), 0) != shape.end()) return most;  // nothing is filled: any will do
      throw InvalidArgument("A fan of shape " + to_string(shape) + " is over 2^63 - 1");
    }
    result *= static_cast<std::uint64_t>(factor);
  }
  return result;
}

std::uint64_t axes_product(const Shape& shape, const std::vector<std::int64_t>& axes) {
  const auto rank = static_cast<std::int64_t>(shape.size());
  std::vector<std::int64_t> factors;
  for (const std::int64_t axis : axes) {
    if (axis < -rank || axis >= rank) {
      throw InvalidArgument("Axis " + std::to_string(axis) + " is outside shape " + to_string(shape) + " of rank " +
                            std::to_string(rank));
    }
    factors.push_back(shape[static_cast<std::size_t>(axis < 0 ? axis + rank : axis)]);
  }
  return product(factors, shape);
}

}  // namespace

std::string_view name_of(Layout layout) { return layout == Layout::hwio ? "hwio" : "oihw"; }

Layout parse_layout(std::string_view name) {
  if (name == "hwio") return Layout::hwio;
  if (name == "oihw") return Layout::oihw;
  throw InvalidArgument("A layout is \"hwio\" (Keras, JAX: channels last) or \"oihw\" (PyTorch). Received: \"" +
                        std::string(name) + "\"");
}

Fans compute_fans(const Shape& shape, Layout layout, const FanAxes& axes) {
  for (const std::int64_t extent : shape) {
    if (extent < 0) throw InvalidArgument("Extents must not be negative. Received: shape=" + to_string(shape));
  }
  if (axes.input && axes.output) return {axes_product(shape, *axes.input), axes_product(shape, *axes.output)};
  if (shape.empty()) return {1, 1};
  if (shape.size() == 1) return {product(shape, shape), product(shape, shape)};
  const bool channels_last = layout == Layout::hwio;
  const std::size_t in = channels_last ? shape.size() - 2 : 1;
  const std::size_t out = channels_last ? shape.size() - 1 : 0;
  Shape without_in;
  Shape without_out;
  for (std::size_t j = 0; j < shape.size(); ++j) {
    if (j != in) without_in.push_back(shape[j]);
    if (j != out) without_out.push_back(shape[j]);
  }
  return {product(without_out, shape), product(without_in, shape)};
}

}  // namespace fanin
