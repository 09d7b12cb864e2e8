// SPDX-License-Identifier: Apache-2.0
#include "fanin/distribution.h"

#include <cmath>

#include "fp_environment.h"

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
  }
  return "";
}

namespace {

Moments moments_in_default_environment(const Distribution& d) {
  switch (d.kind) {
    case Distribution::Kind::constant:
      return {d.value, 0};
    case Distribution::Kind::identity:
      return {0, 0};
    case Distribution::Kind::uniform:
      return {d.low + (d.high - d.low) / 2, (d.high - d.low) / std::sqrt(12.0)};
    case Distribution::Kind::normal:
      return {d.mean, d.stddev};
    case Distribution::Kind::truncated_normal:
      break;
  }
  // Johnson, Kotz, Balakrishnan, "Continuous univariate distributions" 1, section 10.1.
  const auto density = [](double x) {
    return std::isinf(x) ? 0.0 : std::exp(-x * x / 2) / std::sqrt(2 * std::acos(-1.0));
  };
  const auto tail = [](double x) { return std::erfc(x / std::sqrt(2.0)) / 2; };
  const auto moment = [&](double x) { return std::isinf(x) ? 0.0 : x * density(x); };
  const double mass = tail(d.lower) - tail(d.upper);
  const double shift = (density(d.lower) - density(d.upper)) / mass;
  const double variance = 1 + (moment(d.lower) - moment(d.upper)) / mass - shift * shift;
  return {d.mean + d.stddev * shift, d.stddev * std::sqrt(variance)};
}

}  // namespace

Moments moments_of(const Distribution& d) {
  return detail::in_default_fp_environment([&] { return moments_in_default_environment(d); });
}

}  // namespace fanin
