// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "fanin/distribution.h"
#include "fanin/dtype.h"
#include "fanin/fill_params.h"
#include "fanin/shape.h"

namespace fanin::detail {

// From what to draw to what a back end sees: every parameter rounded once to the compute type, bounds moved onto the
// output type's values, and everything refused that docs/VALUES.md, section 4, refuses. Throws InvalidArgument.
// Call it in the default floating-point environment.
FillParams make_params(const Distribution& distribution, const Shape& shape, const IndexMap& index, DType dtype,
                       std::uint64_t seed, std::uint64_t subsequence);

}  // namespace fanin::detail
