// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "fanin/export.h"
#include "fanin/fill_params.h"
#include "fanin/shape.h"
#include "fanin/view.h"

namespace fanin {

/// A block of each of many tensors of one shape, whose seeds and place only the device knows: they lie in its memory
/// and are read when the stream comes to the fill. Every tensor is cut into the same blocks, of which the last ones of
/// a dimension may reach beyond it.
struct DeviceBlocks {
  Shape shape;            ///< of a whole tensor
  Shape parts;            ///< into how many blocks each dimension is cut; a block has the quotient, rounded up
  std::uint64_t tensors;  ///< their blocks lie one after the other in memory
  const std::uint32_t* generators;  ///< of each tensor the seed and the subsequence, low word first: four words
  const std::int32_t* number;       ///< of each dimension, which block it is of all tensors; null if nothing is cut
};

/// Fills device memory with these blocks of what Initializer::params has prepared for a whole tensor, in one launch
/// that waits for nothing. Elements beyond a tensor are zero. Throws InvalidArgument, also for an identity, and
/// DeviceError.
FANIN_API void fill(const View& view, const FillParams& params, const DeviceBlocks& blocks,
                    CudaStream stream = nullptr);

}  // namespace fanin
