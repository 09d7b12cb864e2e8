// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "fanin/export.h"
#include "fanin/fill_params.h"
#include "fanin/shape.h"
#include "fanin/view.h"

namespace fanin {

/// One block of each of many tensors of one shape. Only the device knows the seeds and the block's position: the kernel
/// reads them from device memory when the stream reaches the fill. Every tensor is cut into the same grid of blocks;
/// the last blocks of a dimension may extend beyond the tensor.
struct DeviceBlocks {
  Shape shape;            ///< extents of a whole tensor
  Shape parts;            ///< number of blocks in each dimension; a block's extent is the quotient, rounded up
  std::uint64_t tensors;  ///< number of tensors; their blocks are consecutive in memory
  const std::uint32_t* generators;  ///< four words per tensor: seed and subsequence, low word first
  const std::int32_t* number;       ///< the block's position, one number per dimension; null if nothing is cut
};

/// Fills device memory with these blocks in one asynchronous launch on `stream`. Initializer::params has prepared
/// `params` for a whole tensor. Elements beyond a tensor are zero. Throws InvalidArgument, also for an identity, and
/// DeviceError.
FANIN_API void fill(const View& view, const FillParams& params, const DeviceBlocks& blocks,
                    CudaStream stream = nullptr);

}  // namespace fanin
