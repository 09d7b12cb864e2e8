// SPDX-License-Identifier: Apache-2.0
#include "fanin/low_precision.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "fanin/error.h"

namespace fanin {

Rounding parse_rounding(std::string_view name) {
  if (name == "nearest") return Rounding::nearest;
  if (name == "stochastic") return Rounding::stochastic;
  throw InvalidArgument("The rounding is \"nearest\" or \"stochastic\". Received: rounding=\"" + std::string(name) +
                        "\"");
}

void mx_scales(const float* values, std::size_t count, DType dtype, std::uint8_t* scales, std::uint32_t group) {
  const DTypeFacts& facts = facts_of(dtype);
  if (group != 32 && group != 16) {
    throw InvalidArgument("A scale is for 32 or 16 elements. Received: group=" + std::to_string(group));
  }
  if (count % group != 0) {
    throw InvalidArgument("The number of values must be a multiple of the group of a scale. Received: " +
                          std::to_string(count) + " values, group=" + std::to_string(group));
  }
  if (dtype == DType::float8_e8m0fnu) {
    throw InvalidArgument(
        "float8_e8m0fnu is the dtype of the scales. Name that of the elements, such as float4_e2m1fn");
  }
  if (count != 0 && (values == nullptr || scales == nullptr)) {
    throw InvalidArgument("The values and the scales need memory. Received: a null pointer");
  }
  const int largest_exponent = std::ilogb(facts.largest);
  constexpr int bias = 127;
  for (std::size_t k = 0; k < count; ++k) {
    if (std::isfinite(values[k])) continue;
    throw InvalidArgument("Scales are for finite values. Received: value number " + std::to_string(k) +
                          " is not finite");
  }
  for (std::size_t j = 0; j < count; j += group) {
    float largest = 0;
    for (std::size_t k = j; k < j + group; ++k) largest = std::max(largest, std::abs(values[k]));
    const int exponent = largest == 0 ? -bias : std::ilogb(largest) - largest_exponent;
    scales[j / group] = static_cast<std::uint8_t>(std::clamp(exponent, -bias, bias) + bias);
  }
}

}  // namespace fanin
