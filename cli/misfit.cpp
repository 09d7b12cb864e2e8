// SPDX-License-Identifier: Apache-2.0
#include "cli/misfit.h"

#include <algorithm>
#include <cmath>

#include "cli/table.h"

namespace fanin::cli {

namespace {

// The largest magnitude of the values within three standard deviations of the mean. If the window leaves none of these,
// it is that of the value nearest to the mean.
double reach_of(const Distribution& d, const Moments& moments) {
  using Kind = Distribution::Kind;
  if (d.kind == Kind::constant || d.kind == Kind::identity) return std::abs(d.value);
  if (d.kind == Kind::uniform) return std::max(std::abs(d.low), std::abs(d.high));
  if (d.kind == Kind::orthogonal) return std::min(3 * moments.stddev, std::abs(d.value));
  if (d.kind == Kind::computed) return moments.mean;  // unknown: NaN
  const double low = std::max(d.mean + std::clamp(-3.0, d.lower, d.upper) * d.stddev, d.least);
  const double high = std::min(d.mean + std::clamp(3.0, d.lower, d.upper) * d.stddev, d.most);
  return std::max(std::abs(low), std::abs(high));
}

}  // namespace

std::string misfit_of(const Distribution& d, DType dtype, double scale, Rounding rounding) {
  const DTypeFacts& facts = facts_of(dtype);
  const std::string name(facts.name);
  const double largest = facts.largest * scale;
  const double half_of_smallest = std::ldexp(scale, 1 - facts.exponent_bias - facts.significant_bits);
  const bool is_one_value = d.kind == Distribution::Kind::constant || d.kind == Distribution::Kind::identity;
  const Moments moments = moments_of(d);
  const double reach = reach_of(d, moments);
  const std::string values =
      is_one_value ? exact_number(d.value)
                   : "a mean of " + exact_number(moments.mean) + " and a stddev of " + exact_number(moments.stddev);
  if (std::isfinite(reach) && reach > largest) {
    return (is_one_value ? values + " is outside " : "values with " + values + " go beyond ") + name +
           ", whose largest value is " + exact_number(largest);
  }
  const double size = is_one_value ? reach : std::abs(moments.mean) + moments.stddev;
  // float8_e8m0fnu has no 0.
  if (rounding == Rounding::nearest && size > 0 && size <= half_of_smallest && dtype != DType::float8_e8m0fnu) {
    return values + " is too small for " + name + ", in which it is 0";
  }
  return "";
}

}  // namespace fanin::cli
