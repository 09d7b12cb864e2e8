// SPDX-License-Identifier: Apache-2.0
#include "cli/statistics.h"

#include <algorithm>
#include <array>

namespace fanin::cli {

void Statistics::add(const void* elements, std::uint64_t count, DType dtype) {
  const auto* next = static_cast<const unsigned char*>(elements);
  std::array<double, 1024> values{};
  while (count > 0) {
    const std::uint64_t part = std::min<std::uint64_t>(count, values.size());
    to_binary64(values.data(), next, dtype, part);
    PowerSums sums;
    for (std::uint64_t j = 0; j < part; ++j) sums.add(values[j]);
    sums_ = merged(sums_, sums.moments());
    next += part * size_of(dtype);
    count -= part;
  }
}

}  // namespace fanin::cli
