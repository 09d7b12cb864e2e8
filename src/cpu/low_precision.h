// SPDX-License-Identifier: Apache-2.0
// Turns values of the compute type into elements as docs/VALUES.md, section 9, says: divides by the scale, clamps,
// rounds and packs.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/number_format.h"
#include "cpu/run.h"
#include "fanin/fill_params.h"
#include "params/output_scale.h"

namespace fanin::cpu {

// The fill that computes the values, in the compute type, which is binary64 for a Formula. It does not clamp them.
FillParams values_of(const FillParams& params);

// Immutable. Requires the default floating-point environment.
class LowPrecision {
 public:
  // `round` rounds to nearest to the dtypes that have loops.
  LowPrecision(const FillParams& params, Round round)
      : params_(params), format_(params.dtype), limits_(params), round_(round) {}

  // Writes the elements of `count` values to `out`. `number` is that of the first one among the fill's elements, and
  // `index` its index in the whole tensor. Real is float or double. Changes the values.
  template <class Real>
  void write(Real* values, std::uint64_t number, std::uint64_t index, std::uint64_t count, std::byte* out) const;

 private:
  FillParams params_;
  detail::NumberFormat format_;
  detail::ScaledLimits limits_;
  Round round_;
};

}  // namespace fanin::cpu
