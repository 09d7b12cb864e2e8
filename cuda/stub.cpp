// SPDX-License-Identifier: Apache-2.0
// The back end of a build without CUDA: there is no device.
#include <string>

#include "cuda/backend.h"
#include "fanin/error.h"

namespace fanin::gpu {

namespace {

constexpr const char* reason = "this build of fanin has no CUDA back end";

[[noreturn]] void refuse(int device) { throw DeviceError("Cannot use " + to_string(cuda(device)) + ": " + reason); }

}  // namespace

Availability available() { return {false, 0, reason}; }

void check_device(int device) { refuse(device); }

void check_address(const void*, int device) { refuse(device); }

Place place_of(const void*) { return host; }

void preload(int device) { refuse(device); }

void fill(const FillJob*, std::size_t, int device, CudaStream, const std::uint64_t*) { refuse(device); }

std::size_t upload_bytes(const FillJob*, std::size_t, int device) { refuse(device); }

std::shared_ptr<const Uploaded> upload(const FillJob*, std::size_t, void*, int device, CudaStream) { refuse(device); }

void fill(const Uploaded&, int device, CudaStream, const std::uint64_t*) { refuse(device); }

void* allocate(std::size_t, int device) { refuse(device); }

void release(void*, int) noexcept {}

void read(void*, const void*, std::size_t, int device, CudaStream) { refuse(device); }

void copy(void*, Place to, const void*, Place from, std::size_t) {
  refuse(to.is_host() ? from.cuda_device : to.cuda_device);
}

}  // namespace fanin::gpu
