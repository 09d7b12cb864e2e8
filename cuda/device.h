// SPDX-License-Identifier: Apache-2.0
// Facts about CUDA devices. Each device is queried only once.
#pragma once

#include <cuda_runtime.h>

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "cuda/backend.h"
#include "cuda/encode.h"

namespace fanin::gpu {

// Throws DeviceError. The message consists of `what`, the device's name if `ordinal` is not negative, and CUDA's text.
// It is built only if there is an error.
[[noreturn]] void fail(cudaError_t error, const char* what, int ordinal);
inline void check(cudaError_t error, const char* what, int ordinal = -1) {
  if (error != cudaSuccess) fail(error, what, ordinal);
}

// The number of kernels: `fast` and `general`, each with small and with large parameters.
inline constexpr std::size_t kernels = 4;

// The shared memory of a block that a launch leaves free, for what the kernels keep there in addition to the launch's
// dynamic shared memory.
inline constexpr std::uint32_t fixed_shared_bytes = 1024;

struct DeviceState {
  DeviceFacts facts;
  bool reads_pageable_memory;  // whether kernels can access ordinary host memory (HMM, GH200)
  // Whether each kernel is loaded and allowed to have facts.shared_bytes_per_block.
  mutable std::atomic<bool> prepared[kernels];
  // The primary context. It is retained when it first becomes the current one, and it is never released; the CUDA
  // runtime does the same.
  mutable std::atomic<void*> context;
};

// Returns the state of a device. The first call for a device queries it. Throws DeviceError if there is no such device.
const DeviceState& state_of(int ordinal);

}  // namespace fanin::gpu
