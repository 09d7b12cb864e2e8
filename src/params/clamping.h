// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <type_traits>

#include "core/rounding.h"
#include "core/values.h"
#include "fanin/fill_params.h"

namespace fanin::cpu {

// The smallest and the largest fraction or normal that can be drawn.
template <class Real>
struct Range {
  Real least, most;
};

template <class Real>
Range<Real> range_of(const FillParams& params) {
  if (params.kind == FillParams::Kind::uniform) {
    const Real most = sizeof(Real) == 8 ? Real(1 - 0x1p-53) : Real(1 - 0x1p-24);
    return {params.shifted ? Real(0) : -most, most};
  }
  // No point lies farther out than a tail reaches, whose u is 2^-25 at least: 25 ln 2 < 18 from the nearer bound, or,
  // with the table of the whole curve, X[0] + 25 ln 2 / X[0] < 9.
  const double least = std::max(params.lower, std::min(-9.0, params.upper - 18));
  const double most = std::min(params.upper, std::max(9.0, params.lower + 18));
  return {static_cast<Real>(least), static_cast<Real>(most)};
}

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
