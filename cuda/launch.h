// SPDX-License-Identifier: Apache-2.0
// Launches with explicit settings, for tests and benchmarks.
#pragma once

#include <cstdint>

#include "cuda/encode.h"

namespace fanin::gpu {

// Fills by one launch, on the current device. `words` are the launch's, unless these are in device memory. Throws
// DeviceError.
void launch(const Launch& launch, const std::uint64_t* words, const DeviceRun& run = {});

// Those of the current device. Throws DeviceError.
DeviceFacts facts_here();

// Whether the current device can launch it: others may have more shared memory, or more registers for a block.
bool can_launch(const Launch& launch);

}  // namespace fanin::gpu
