// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <type_traits>

#include "core/rounding.h"
#include "core/values.h"

namespace fanin::cpu {

// Whether clamping changes what is written for this fraction. Values and their rounding grow with the fraction (or
// fall, for a negative scale): if it matters at neither end, it matters nowhere.
template <class Format>
bool clamping_matters(typename Format::Compute fraction, const core::Affine<typename Format::Compute>& map) {
  const auto v = core::unclamped_value(fraction, map);
  const auto clamped = core::clamp(v, map.min, map.max);
  if (v == clamped) return false;
  if constexpr (std::is_same_v<typename Format::Storage, typename Format::Compute>) {
    return true;
  } else {
    const float largest = Format::decode(Format::largest);
    return v < -largest || v > largest || Format::encode(v) != Format::encode(clamped);
  }
}

}  // namespace fanin::cpu
