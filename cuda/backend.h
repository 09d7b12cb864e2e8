// SPDX-License-Identifier: Apache-2.0
// The seam between host logic and the CUDA back end. A build has one implementation of it.
#pragma once

#include <cstddef>

#include "fanin/available.h"
#include "fanin/view.h"
#include "fill_job.h"

namespace fanin::gpu {

Availability available();

// Throws DeviceError unless the device can be used.
void check_device(int device);

// Asynchronous on the stream. Throws DeviceError.
void fill(const FillJob* jobs, std::size_t count, int device, CudaStream stream);

// Throws DeviceError or std::bad_alloc.
void* allocate(std::size_t bytes, int device);
void release(void* memory, int device) noexcept;

}  // namespace fanin::gpu
