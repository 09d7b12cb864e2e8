// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <limits>

#include "fanin/dtype.h"

namespace fanin::cli {

// Count, mean, standard deviation and range of finite elements that come in parts. Nothing overflows, because the sums
// are those of the elements over a power of two.
class Statistics {
 public:
  void add(const void* elements, std::uint64_t count, DType dtype);
  void add(Statistics other);

  std::uint64_t count() const { return count_; }
  double mean() const;
  double stddev() const;
  double min() const { return min_; }
  double max() const { return max_; }

 private:
  void add_block(const double* values, std::uint64_t count, int exponent);
  void add_histogram(const std::uint32_t* counts, const double* values, std::uint64_t bins);
  void scale_to(int exponent);

  std::uint64_t count_ = 0;
  int exponent_ = 0;  // mean_ and m2_ are those of the elements times 2^-exponent_
  double mean_ = 0;
  double m2_ = 0;  // the sum of the squared deviations from the mean
  double min_ = std::numeric_limits<double>::infinity();
  double max_ = -std::numeric_limits<double>::infinity();
};

}  // namespace fanin::cli
