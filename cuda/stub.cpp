// SPDX-License-Identifier: Apache-2.0
// The back end of the library fanin_host, and of fanin in a build without CUDA. It has no device.
#include <string>

#include "cuda/backend.h"
#include "fanin/error.h"

namespace fanin::gpu {

namespace {

#ifdef FANIN_STUB_BESIDE_CUDA
constexpr const char* reason =
    "this program is linked with fanin::host (libfanin_host), which fills only host memory; link fanin::fanin "
    "(libfanin) instead";
#else
constexpr const char* reason = "this build of fanin has no CUDA back end";
#endif

[[noreturn]] void refuse(int device) { throw DeviceError("Cannot use " + to_string(cuda(device)) + ": " + reason); }

}  // namespace

Availability available() { return {false, 0, reason}; }

Device current_device() { return host; }

Device device_of(const void*) { return host; }

CurrentDevice::CurrentDevice(int ordinal) : ordinal_(ordinal) { refuse(ordinal); }
CurrentDevice::~CurrentDevice() = default;

void* device_address(void*, const CurrentDevice& device) { refuse(device.ordinal()); }

void preload(int device) { refuse(device); }

void fill(const FillJob&, const CurrentDevice& device, const DeviceRun&) { refuse(device.ordinal()); }

std::shared_ptr<const Launches> encode(const FillJob*, std::size_t, int device, JobsIn) { refuse(device); }

std::size_t count(const Launches&) { return 0; }

void fill(const Launches&, const CurrentDevice& device, const DeviceRun&) { refuse(device.ordinal()); }

void check_not_captured(const CurrentDevice& device, CudaStream, const char*) { refuse(device.ordinal()); }

void wait(const CurrentDevice& device, CudaStream) { refuse(device.ordinal()); }

std::size_t upload_bytes(const Launches&) { return 0; }

std::shared_ptr<const Launches> upload(const std::shared_ptr<const Launches>&, void*, const CurrentDevice& device,
                                       CudaStream) {
  refuse(device.ordinal());
}

void* allocate(std::size_t, int device) { refuse(device); }

void release(void*, int) noexcept {}

void read(void*, const void*, std::size_t, const CurrentDevice& device, CudaStream) { refuse(device.ordinal()); }

void write(void*, const void*, std::size_t, const CurrentDevice& device, CudaStream) { refuse(device.ordinal()); }

void copy(void*, Device to, const void*, Device from, std::size_t) {
  refuse(to.is_host() ? from.cuda_device : to.cuda_device);
}

}  // namespace fanin::gpu
