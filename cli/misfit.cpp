// SPDX-License-Identifier: Apache-2.0
#include "cli/misfit.h"

#include <cmath>

#include "cli/table.h"

namespace fanin::cli {

std::string misfit_of(const Distribution& d, DType dtype, double scale, Rounding rounding) {
  const DTypeFacts& facts = facts_of(dtype);
  const std::string name(facts.name);
  const double largest = facts.largest * scale;
  const double half_of_smallest = std::ldexp(scale, 1 - facts.exponent_bias - facts.significant_bits);
  const bool is_one_value = d.kind == Distribution::Kind::constant || d.kind == Distribution::Kind::identity;
  const Moments moments = moments_of(d);
  const double size = is_one_value ? std::abs(d.value) : std::abs(moments.mean) + moments.stddev;
  const std::string values =
      is_one_value ? exact_number(d.value)
                   : "a mean of " + exact_number(moments.mean) + " and a stddev of " + exact_number(moments.stddev);
  if (std::isfinite(size) && size > largest) {
    return values + " is outside " + name + ", whose largest value is " + exact_number(largest);
  }
  // float8_e8m0fnu has no 0.
  if (rounding == Rounding::nearest && size > 0 && size <= half_of_smallest && dtype != DType::float8_e8m0fnu) {
    return values + " is too small for " + name + ", in which it is 0";
  }
  return "";
}

}  // namespace fanin::cli
