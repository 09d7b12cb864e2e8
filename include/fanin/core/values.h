// SPDX-License-Identifier: Apache-2.0
// Turns fractions and standard normals into values of the compute type (docs/VALUES.md, section 4).
#pragma once

#include "fanin/core/arithmetic.h"

namespace fanin::core {

// value = fraction * scale, or fma(fraction, scale, shift), clamped to [min, max]: the outermost finite values of the
// output type that do not pass its bounds.
template <class Real>
struct Affine {
  Real scale, shift, min, max;
  bool shifted;
};

template <class Real>
FANIN_HOST_DEVICE Real unclamped_value(Real fraction, const Affine<Real>& map) {
  return map.shifted ? fma(fraction, map.scale, map.shift) : mul(fraction, map.scale);
}

template <class Real>
FANIN_HOST_DEVICE Real value(Real fraction, const Affine<Real>& map) {
  return clamp(unclamped_value(fraction, map), map.min, map.max);
}

}  // namespace fanin::core
