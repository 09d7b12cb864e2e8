// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "fanin/distribution.h"
#include "fanin/dtype.h"
#include "fanin/fill_params.h"
#include "fanin/low_precision.h"
#include "fanin/shape.h"

namespace fanin::detail {

// Turns a distribution into a back end's parameters. It rounds each parameter once to the compute type, moves bounds
// onto the output type's values, and throws InvalidArgument for what docs/VALUES.md, sections 4 and 9, refuses. Call it
// in the default floating-point environment.
FillParams make_params(const Distribution& distribution, const Shape& shape, const IndexMap& index, DType dtype,
                       std::uint64_t seed, std::uint64_t subsequence, const OutputScale& output_scale = {},
                       Rounding rounding = Rounding::nearest);

}  // namespace fanin::detail
