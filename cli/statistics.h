// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>

#include "fanin/dtype.h"

namespace fanin::tool {

// Count, mean, standard deviation and range of elements that come in parts.
class Statistics {
 public:
  void add(const void* elements, std::uint64_t count, DType dtype);

  std::uint64_t count() const { return count_; }
  double mean() const { return mean_; }
  double stddev() const;
  double min() const { return min_; }
  double max() const { return max_; }

 private:
  std::uint64_t count_ = 0;
  double mean_ = 0;
  double squares_ = 0;  // sum of squared distances from the mean
  double min_ = std::numeric_limits<double>::infinity();
  double max_ = -std::numeric_limits<double>::infinity();
};

}  // namespace fanin::tool
