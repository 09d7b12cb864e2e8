// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>

#include "fanin/dtype.h"
#include "fanin/moment_sums.h"

namespace fanin::cli {

// Count, mean, standard deviation and range of finite elements that come in parts.
class Statistics {
 public:
  void add(const void* elements, std::uint64_t count, DType dtype);

  std::uint64_t count() const { return sums_.count; }
  double mean() const { return sums_.mean; }
  double stddev() const { return count() == 0 ? 0 : std::sqrt(sums_.m2 / static_cast<double>(count())); }
  double min() const { return sums_.min; }
  double max() const { return sums_.max; }

 private:
  MomentSums sums_{0, 0, 0, 0, 0, std::numeric_limits<double>::infinity(), -std::numeric_limits<double>::infinity()};
};

}  // namespace fanin::cli
