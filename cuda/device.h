// SPDX-License-Identifier: Apache-2.0
// Facts about CUDA devices, queried once for each.
#pragma once

#include <cuda_runtime.h>

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "cuda/backend.h"
#include "cuda/encode.h"

namespace fanin::gpu {

// Throws DeviceError with the text, the device's name if it is one, and CUDA's text. The message is built
// only if there is an error.
[[noreturn]] void fail(cudaError_t error, const char* what, int ordinal);
inline void check(cudaError_t error, const char* what, int ordinal = -1) {
  if (error != cudaSuccess) fail(error, what, ordinal);
}

// The kernels of a fill: `fast` and `general`, each with small and with large parameters.
inline constexpr std::size_t kernels = 4;

// Kept free in a block's shared memory for what the kernels have there besides what a launch gives them.
inline constexpr std::uint32_t fixed_shared_bytes = 1024;

struct DeviceState {
  DeviceFacts facts;
  bool reads_pageable_memory;  // ordinary host memory: HMM, GH200
  // Loaded and allowed to have facts.shared_bytes_per_block.
  mutable std::atomic<bool> prepared[kernels];
  // The primary context, retained when it is first made the current one, and kept, as the CUDA runtime does.
  mutable std::atomic<void*> context;
};

// Throws DeviceError if there is no such device. Asks the device the first time.
const DeviceState& state_of(int ordinal);

}  // namespace fanin::gpu
