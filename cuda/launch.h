// SPDX-License-Identifier: Apache-2.0
// Launches with explicit settings, for tests and benchmarks.
#pragma once

#include <cstdint>

#include "cuda/encode.h"

namespace fanin::gpu {

// Runs one launch on the current device. `words` are the launch's words. They are not read if the launch has its words
// in device memory. Throws DeviceError.
void launch(const Launch& launch, const std::uint64_t* words, const DeviceRun& run = {});

// Returns the facts of the current device. Throws DeviceError.
DeviceFacts facts_here();

// Returns whether the current device can run the launch. The launch may be meant for a device with more shared memory,
// or more registers per block.
bool can_launch(const Launch& launch);

}  // namespace fanin::gpu
