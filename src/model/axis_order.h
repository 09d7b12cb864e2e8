// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "fanin/fans.h"
#include "fanin/shape.h"

namespace fanin::detail {

// A layout by name: where a kernel's input and output channels are. A letter is an axis: I, O, and D, H or W for one in
// space, in either case. Axes before those in space count from the beginning, axes behind them from the end, so that a
// name stands for kernels of any rank: OIHW and OI are (out, in, ...), HWIO and IO (..., in, out).
class AxisOrder {
 public:
  // Throws InvalidArgument.
  explicit AxisOrder(std::string_view name);

  const std::string& name() const { return name_; }
  // The library's layout with the same fans, if there is one.
  std::optional<Layout> layout() const;

  // The numbers of the input and the output axis in a kernel of at least two dimensions.
  std::pair<std::size_t, std::size_t> axes(std::size_t rank) const;

 private:
  std::string name_;
  std::int64_t in_ = 0;  // negative: from the end
  std::int64_t out_ = 0;
};

// Fans by that order, without the batch axes (JAX's batch_axis: independent kernels), and with input and output
// exchanged for the kernel of a transposed convolution. `groups` divides the fan whose axis counts the channels of all
// groups. Throws InvalidArgument.
struct KernelOptions {
  std::vector<std::int64_t> batch_axes;  // negative: from the end
  std::int64_t groups = 1;
  bool is_transposed = false;
};
Fans fans_of(const Shape& shape, const AxisOrder& order, const KernelOptions& options);

}  // namespace fanin::detail
