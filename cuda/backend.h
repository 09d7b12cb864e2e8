// SPDX-License-Identifier: Apache-2.0
// The interface between host logic and the CUDA back end. A library contains one implementation of it: backend.cpp and
// device.cpp, or stub.cpp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "fanin/device.h"
#include "params/fill_job.h"

namespace fanin::gpu {

Availability available();

// Returns the device on which new memory is allocated: the calling thread's current device, or the host if there is no
// device. Throws DeviceError.
Device current_device();

// Returns the device that owns the memory at the address, or the host. It creates no context. Throws DeviceError.
Device device_of(const void* address);

// Makes a context of the device current in the calling thread for as long as this object lives. If the thread's current
// context belongs to the device, it stays current; otherwise the device's primary context becomes current. No other
// device gets a context. Throws DeviceError if the device cannot be used.
class CurrentDevice {
 public:
  explicit CurrentDevice(int ordinal);
  ~CurrentDevice();  // NOLINT(performance-trivially-destructible): it is trivial only in stub.cpp
  CurrentDevice(const CurrentDevice&) = delete;
  CurrentDevice& operator=(const CurrentDevice&) = delete;
  int ordinal() const { return ordinal_; }

 private:
  enum class Change { none, pushed, set };
  int ordinal_;
  // stub.cpp uses neither of these.
  [[maybe_unused]] int before_ = 0;  // the device to restore, for Change::set
  [[maybe_unused]] Change change_ = Change::none;
};

// Returns the address at which kernels on the device find the memory at `address`. Throws InvalidArgument if they
// cannot access it, and DeviceError if CUDA reports an error.
void* device_address(void* address, const CurrentDevice& device);

// Loads the kernels. It can be called while a stream is captured. Throws DeviceError.
void preload(int device);

// Starts a fill on run.stream and does not wait for it. A seed in device memory replaces the job's seed, and a call
// number in device memory is added to the job's subsequence. Throws DeviceError.
void fill(const FillJob& job, const CurrentDevice& device, const DeviceRun& run);

// Many jobs that are encoded for a device as launches. The launches can be started any number of times.
struct Launches;

// Says where the kernels find encoded jobs: in the launches' parameters, or in device memory. Memory takes far fewer
// launches, but the jobs must be uploaded before a fill.
enum class JobsIn { parameters, memory };
// Encodes jobs for a device. It reads only the device's facts. Throws DeviceError.
std::shared_ptr<const Launches> encode(const FillJob* jobs, std::size_t count, int device, JobsIn where);

std::size_t count(const Launches& launches);

// Starts all launches on run.stream. Jobs in memory must have been uploaded. A call number in device memory is added to
// every job's subsequence.
void fill(const Launches& launches, const CurrentDevice& device, const DeviceRun& run);

// Returns the size of the workspace for an upload.
std::size_t upload_bytes(const Launches& launches);
// Throws InvalidArgument if the stream is being captured, with the message that `what` cannot be captured. Throws
// DeviceError.
void check_not_captured(const CurrentDevice& device, CudaStream stream, const char* what = "An upload");
// Waits for the stream's work. Throws DeviceError.
void wait(const CurrentDevice& device, CudaStream stream);
// Copies jobs that were encoded for memory to a workspace, in the order of the stream, and keeps them until they have
// been copied. The workspace has at least upload_bytes() bytes and is aligned to 16 bytes. Throws InvalidArgument if
// the stream is being captured, and DeviceError if CUDA reports an error.
std::shared_ptr<const Launches> upload(const std::shared_ptr<const Launches>& launches, void* workspace,
                                       const CurrentDevice& device, CudaStream stream);

// Allocates memory on the device. Throws DeviceError or std::bad_alloc.
void* allocate(std::size_t bytes, int device);
void release(void* memory, int device) noexcept;

// Copies to the host, in the order of the stream, and waits for the copy. Throws DeviceError.
void read(void* to, const void* from, std::size_t bytes, const CurrentDevice& device, CudaStream stream);

// Copies from the host, in the order of the stream. The source must not change until the caller has waited for the
// copy. Throws DeviceError.
void write(void* to, const void* from, std::size_t bytes, const CurrentDevice& device, CudaStream stream);

// Copies between devices, or between a device and the host. It waits for the devices before and after the copy. Throws
// DeviceError.
void copy(void* to, Device to_device, const void* from, Device from_device, std::size_t bytes);

}  // namespace fanin::gpu
