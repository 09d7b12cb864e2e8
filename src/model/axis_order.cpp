// SPDX-License-Identifier: Apache-2.0
#include "model/axis_order.h"

#include <algorithm>

#include "fanin/error.h"

namespace fanin::detail {

AxisOrder::AxisOrder(std::string_view name) : name_(name) {
  for (char& c : name_) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  const auto refuse = [&] {
    throw InvalidArgument(
        "A layout has one I (input channels), one O (output channels), and D, H and W together at one place, each at "
        "most once, such as \"OIHW\" (PyTorch), \"HWIO\" (Keras, JAX), \"OI\" or \"OHWI\". Received: \"" +
        std::string(name) + "\"");
  };
  const auto size = name_.size();
  const std::size_t in = name_.find('I');
  const std::size_t out = name_.find('O');
  const std::size_t first = name_.find_first_of("DHW");
  const std::size_t last = name_.find_last_of("DHW");
  const bool has_space = first != std::string::npos;
  const std::size_t in_space = has_space ? last - first + 1 : 0;
  if (in == std::string::npos || out == std::string::npos || size != in_space + 2) refuse();
  for (std::size_t j = 0; j < size; ++j) {
    if (std::string_view("IODHW").find(name_[j]) == std::string_view::npos || name_.find(name_[j], j + 1) < size) {
      refuse();
    }
  }
  const auto place = [&](std::size_t axis) {
    // Without axes in space, OI is PyTorch's order and IO Keras's.
    const bool from_end = has_space ? axis > last : in < out;
    return static_cast<std::int64_t>(axis) - (from_end ? static_cast<std::int64_t>(size) : 0);
  };
  in_ = place(in);
  out_ = place(out);
}

std::optional<Layout> AxisOrder::layout() const {
  if (in_ == -2 && out_ == -1) return Layout::hwio;
  if (in_ == 1 && out_ == 0) return Layout::oihw;
  return std::nullopt;
}

std::pair<std::size_t, std::size_t> AxisOrder::axes(std::size_t rank) const {
  // In a matrix the only question is which one comes first.
  const auto order = [](std::int64_t axis) { return axis < 0 ? axis + 1000 : axis; };
  if (rank == 2)
    return order(in_) < order(out_) ? std::pair<std::size_t, std::size_t>{0, 1}
                                    : std::pair<std::size_t, std::size_t>{1, 0};
  const auto number = [&](std::int64_t axis) {
    return static_cast<std::size_t>(axis < 0 ? axis + static_cast<std::int64_t>(rank) : axis);
  };
  return {number(in_), number(out_)};
}

Fans fans_of(const Shape& shape, const AxisOrder& order, const KernelOptions& options) {
  const auto rank = static_cast<std::int64_t>(shape.size());
  std::vector<std::int64_t> kernel;  // the axes that are not batch axes
  for (std::int64_t j = 0; j < rank; ++j) kernel.push_back(j);
  for (const std::int64_t axis : options.batch_axes) {
    if (axis < -rank || axis >= rank) {
      throw InvalidArgument("the batch axis " + std::to_string(axis) + " is outside shape " + to_string(shape));
    }
    const auto at = std::find(kernel.begin(), kernel.end(), axis < 0 ? axis + rank : axis);
    if (at == kernel.end()) throw InvalidArgument("the batch axis " + std::to_string(axis) + " occurs twice");
    kernel.erase(at);
  }
  FanAxes all{kernel, kernel};
  if (kernel.size() >= 2) {
    auto [in, out] = order.axes(kernel.size());
    if (options.is_transposed) std::swap(in, out);
    all.input->erase(all.input->begin() + static_cast<std::ptrdiff_t>(out));
    all.output->erase(all.output->begin() + static_cast<std::ptrdiff_t>(in));
  }
  Fans fans = compute_fans(shape, Layout::hwio, all);
  if (options.groups == 1) return fans;
  const auto groups = static_cast<std::uint64_t>(options.groups);
  std::uint64_t& fan = options.is_transposed ? fans.fan_in : fans.fan_out;
  if (options.groups < 1 || fan % groups != 0) {
    throw InvalidArgument(std::to_string(options.groups) + " groups do not divide the channels of shape " +
                          to_string(shape) + ", whose " + (options.is_transposed ? "fan_in" : "fan_out") + " is " +
                          std::to_string(fan));
  }
  fan /= groups;
  return fans;
}

}  // namespace fanin::detail
