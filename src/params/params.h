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
FillParams make_params(const Distribution& distribution, const Shape& shape, DType dtype, std::uint64_t seed,
                       std::uint64_t subsequence, const Block& block);

// The indices of a block in the row-major order of the whole tensor. Throws InvalidArgument for a block of another rank
// or outside the tensor.
IndexMap make_index_map(const Shape& shape, const Block& block);

// Two empty vectors mean the whole tensor.
inline bool is_whole(const Block& block) { return block.offset.empty() && block.extent.empty(); }

// The extents of what is written: the block's, or the whole tensor's.
inline const Shape& written_shape(const Shape& shape, const Block& block) {
  return is_whole(block) ? shape : block.extent;
}

}  // namespace fanin::detail
