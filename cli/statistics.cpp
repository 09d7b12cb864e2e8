// SPDX-License-Identifier: Apache-2.0
#include "cli/statistics.h"

#include <algorithm>
#include <cmath>

#include "core/rounding.h"

namespace fanin::tool {

namespace {

struct Sums {
  double sum = 0;
  double squares = 0;
  double min = std::numeric_limits<double>::infinity();
  double max = -std::numeric_limits<double>::infinity();
};

// Sums of distances from `centre`, a value near the mean, so that the squares do not cancel.
template <class Storage, class Decode>
Sums sums_of(const void* elements, std::uint64_t count, double centre, const Decode& decode) {
  const auto* element = static_cast<const Storage*>(elements);
  Sums sums;
  for (std::uint64_t j = 0; j < count; ++j) {
    const double v = decode(element[j]);
    const double distance = v - centre;
    sums.sum += distance;
    sums.squares += distance * distance;
    sums.min = std::min(sums.min, v);
    sums.max = std::max(sums.max, v);
  }
  return sums;
}

template <class Format>
Sums narrow_sums(const void* elements, std::uint64_t count, double centre) {
  return sums_of<typename Format::Storage>(elements, count, centre,
                                           [](auto pattern) { return double{Format::decode(pattern)}; });
}

Sums sums_of(const void* elements, std::uint64_t count, DType dtype, double centre) {
  const auto same = [](auto v) { return double{v}; };
  switch (dtype) {
    case DType::float64:
      return sums_of<double>(elements, count, centre, same);
    case DType::float32:
      return sums_of<float>(elements, count, centre, same);
    case DType::float16:
      return narrow_sums<core::Float16>(elements, count, centre);
    case DType::bfloat16:
      return narrow_sums<core::BFloat16>(elements, count, centre);
    case DType::float8_e4m3fn:
      return narrow_sums<core::Float8E4M3FN>(elements, count, centre);
    case DType::float8_e5m2:
      break;
  }
  return narrow_sums<core::Float8E5M2>(elements, count, centre);
}

}  // namespace

void Statistics::add(const void* elements, std::uint64_t count, DType dtype) {
  if (count == 0) return;
  const double centre = count_ > 0 ? mean_ : sums_of(elements, 1, dtype, 0).sum;
  const Sums part = sums_of(elements, count, dtype, centre);
  const auto n = static_cast<double>(count);
  const double part_mean = centre + part.sum / n;
  const double part_squares = std::max(0.0, part.squares - part.sum / n * part.sum);
  // Chan, Golub, LeVeque (1979): joining two parts.
  const double total = static_cast<double>(count_) + n;
  const double apart = part_mean - mean_;
  squares_ += part_squares + apart * apart * (static_cast<double>(count_) * (n / total));
  mean_ += apart * (n / total);
  min_ = std::min(min_, part.min);
  max_ = std::max(max_, part.max);
  count_ += count;
}

double Statistics::stddev() const { return count_ == 0 ? 0 : std::sqrt(squares_ / static_cast<double>(count_)); }

}  // namespace fanin::tool
