// SPDX-License-Identifier: Apache-2.0
// Launches, with every choice open: what the back end uses, and what tests turn the knobs of.
#pragma once

#include "cuda/encode.h"
#include "fanin/view.h"

namespace fanin::gpu {

// Fills by one launch, on the current device; batch.header says all. At most `max_blocks` blocks; 0: as the batch has
// it. Throws DeviceError.
void launch(const Batch& batch, CudaStream stream, std::uint32_t max_blocks = 0);

// The policy for the current device.
Policy policy_here(std::uint64_t quads);

// Whether the current device can launch it: others may have more shared memory, or more registers for a block.
bool can_launch(const Policy& policy);

}  // namespace fanin::gpu
