// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "fanin/device_blocks.h"
#include "params/fill_job.h"

namespace fanin::detail {

// The loops over a block's elements in the order of memory, and their position in the whole tensor. Throws
// InvalidArgument.
struct BlockLoops {
  IndexMap map;
  DeviceBlock block;
};
BlockLoops loops_of(const DeviceBlocks& blocks);

}  // namespace fanin::detail
