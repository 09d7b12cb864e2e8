// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "fanin/core/values.h"
#include "fanin/fill_params.h"

namespace fanin::detail {

// Returns the map from fractions and normals to values, in the compute type.
template <class Real>
core::Affine<Real> affine_of(const FillParams& params) {
  return {static_cast<Real>(params.scale), static_cast<Real>(params.shift), static_cast<Real>(params.min),
          static_cast<Real>(params.max), params.shifted};
}

}  // namespace fanin::detail
