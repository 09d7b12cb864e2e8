// SPDX-License-Identifier: Apache-2.0
#include "fanin/distribution.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/fp_environment.h"

namespace fanin {

std::string_view name_of(Distribution::Kind kind) {
  switch (kind) {
    case Distribution::Kind::constant:
      return "constant";
    case Distribution::Kind::identity:
      return "identity";
    case Distribution::Kind::uniform:
      return "uniform";
    case Distribution::Kind::normal:
      return "normal";
    case Distribution::Kind::truncated_normal:
      return "truncated_normal";
    case Distribution::Kind::computed:
      return "computed";
    case Distribution::Kind::orthogonal:
      return "orthogonal";
  }
  return "";
}

namespace {

// Mean and standard deviation of a standard normal in a window that contains most of it: Johnson, Kotz, Balakrishnan,
// "Continuous univariate distributions" 1, section 10.1.
Moments wide_window(double lower, double upper) {
  const auto density = [](double x) {
    return std::isinf(x) ? 0.0 : std::exp(-x * x / 2) / std::sqrt(2 * std::acos(-1.0));
  };
  const auto tail = [](double x) { return std::erfc(x / std::sqrt(2.0)) / 2; };
  const auto moment = [&](double x) { return std::isinf(x) ? 0.0 : x * density(x); };
  const double mass = tail(lower) - tail(upper);
  const double mean = (density(lower) - density(upper)) / mass;
  return {mean, std::sqrt(1 + (moment(lower) - moment(upper)) / mass - mean * mean)};
}

// The same for any other window, where those formulas cancel. Simpson's rule integrates over the distance t from the
// bound a, where the density is proportional to exp(-(a t + t^2 / 2)), until it is below exp(-60).
Moments narrow_window(double lower, double upper) {
  if (upper <= 0 && lower < 0) {
    const Moments mirrored = narrow_window(-upper, -lower);
    return {-mirrored.mean, mirrored.stddev};
  }
  const double a = lower;
  const double nearest = std::max(a, 0.0);
  const double length = std::min(upper - a, 120 / (nearest + std::sqrt(nearest * nearest + 120)) + (nearest - a));
  constexpr int intervals = 4096;
  double mass = 0;
  double first = 0;
  double second = 0;
  for (int i = 0; i <= intervals; ++i) {
    const double x = static_cast<double>(i) / intervals;  // t / length, whose squares do not underflow
    const double t = length * x;
    const double weight = (i == 0 || i == intervals ? 1 : i % 2 != 0 ? 4 : 2) * std::exp(-t * (a + t / 2));
    mass += weight;
    first += weight * x;
    second += weight * x * x;
  }
  const double mean = first / mass;
  return {a + length * mean, length * std::sqrt(std::max(second / mass - mean * mean, 0.0))};
}

Moments moments_in_default_environment(const Distribution& d) {
  const std::uint64_t larger = std::max(d.rows, d.columns);  // of a matrix
  switch (d.kind) {
    case Distribution::Kind::constant:
      return {d.value, 0};
    case Distribution::Kind::identity: {  // min(rows, columns) of rows * columns elements are the gain
      if (d.rows == 0 || d.columns == 0) return {0, 0};
      const auto length = static_cast<double>(larger);
      return {d.value / length, std::abs(d.value) * (std::sqrt(length - 1) / length)};
    }
    case Distribution::Kind::uniform:
      return {d.low + (d.high - d.low) / 2, (d.high - d.low) / std::sqrt(12.0)};
    case Distribution::Kind::normal:
      return {d.mean, d.stddev};
    case Distribution::Kind::truncated_normal:
      break;
    case Distribution::Kind::orthogonal:  // columns, or rows, of length |gain|
      return {0, larger == 0 ? 0 : std::abs(d.value) / std::sqrt(static_cast<double>(larger))};
    case Distribution::Kind::computed:
      return {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::quiet_NaN()};
  }
  const bool wide = d.lower <= 0 && d.upper >= 0 && d.upper - d.lower >= 2.5;
  const Moments z = wide ? wide_window(d.lower, d.upper) : narrow_window(d.lower, d.upper);
  return {d.mean + d.stddev * z.mean, d.stddev * z.stddev};
}

}  // namespace

Moments moments_of(const Distribution& d) {
  return detail::in_default_fp_environment([&] { return moments_in_default_environment(d); });
}

}  // namespace fanin
