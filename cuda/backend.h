// SPDX-License-Identifier: Apache-2.0
// The seam between host logic and the CUDA back end. A build has one implementation of it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "fanin/available.h"
#include "fanin/view.h"
#include "fill_job.h"

namespace fanin::gpu {

Availability available();

// Throws DeviceError unless the device can be used.
void check_device(int device);

// Throws InvalidArgument if a kernel on the device cannot write there, DeviceError.
void check_address(const void* address, int device);

// The device that owns the memory, or the host. Throws DeviceError.
Place place_of(const void* address);

// Loads the kernels. Throws DeviceError.
void preload(int device);

// Asynchronous on the stream. A seed in device memory, if not null, takes the place of all jobs'. Throws DeviceError.
void fill(const FillJob* jobs, std::size_t count, int device, CudaStream stream, const std::uint64_t* device_seed);

// Jobs that lie in device memory. 0 bytes: they fit into the parameters of one launch, nothing needs to be uploaded.
std::size_t upload_bytes(const FillJob* jobs, std::size_t count, int device);

struct Uploaded;

// Copies jobs to `workspace`, at least upload_bytes() long and aligned to 16 bytes, in the order of the stream.
// Throws DeviceError.
std::shared_ptr<const Uploaded> upload(const FillJob* jobs, std::size_t count, void* workspace, int device,
                                       CudaStream stream);
void fill(const Uploaded& jobs, int device, CudaStream stream, const std::uint64_t* device_seed);

// Throws DeviceError or std::bad_alloc.
void* allocate(std::size_t bytes, int device);
void release(void* memory, int device) noexcept;

// To the host, in the order of the stream, and waits for it. Throws DeviceError.
void read(void* to, const void* from, std::size_t bytes, int device, CudaStream stream);

// Between devices, or a device and the host; waits for the devices, before and after. Throws DeviceError.
void copy(void* to, Place to_place, const void* from, Place from_place, std::size_t bytes);

}  // namespace fanin::gpu
