// SPDX-License-Identifier: Apache-2.0
// The seam between host logic and the CUDA back end. A build has one implementation of it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "fanin/device.h"
#include "params/fill_job.h"

namespace fanin::gpu {

Availability available();

// The device that new memory goes to, the calling thread's current one, or the host if there is none.
// Throws DeviceError.
Device current_device();

// The device that owns the memory, or the host. Makes no context. Throws DeviceError.
Device device_of(const void* address);

// While it lives, the calling thread's current context belongs to the device: the context that was current if it does,
// else the device's primary context. No other device gets a context. Throws DeviceError if the device cannot be used.
class CurrentDevice {
 public:
  explicit CurrentDevice(int ordinal);
  ~CurrentDevice();  // NOLINT(performance-trivially-destructible): it is so only where there is no CUDA
  CurrentDevice(const CurrentDevice&) = delete;
  CurrentDevice& operator=(const CurrentDevice&) = delete;
  int ordinal() const { return ordinal_; }

 private:
  enum class Change { none, pushed, set };
  int ordinal_;
  // Not used where there is no device.
  [[maybe_unused]] int before_ = 0;  // if set
  [[maybe_unused]] Change change_ = Change::none;
};

// Where kernels on the device find what is at the address. Throws InvalidArgument if they cannot, DeviceError.
void* device_address(void* address, const CurrentDevice& device);

// Loads the kernels. May be called while a stream is captured. Throws DeviceError.
void preload(int device);

// Asynchronous on run.stream. A seed in device memory takes the place of the job's, and a call number there is
// added to its subsequence. Throws DeviceError.
void fill(const FillJob& job, const CurrentDevice& device, const DeviceRun& run);

// Many jobs, encoded for a device: launches that are ready to go, as often as one likes.
struct Launches;

// Reads only the device's facts. The jobs are in the launches' parameters or, with far fewer launches, in memory, to
// which they must be uploaded. Throws DeviceError.
enum class JobsIn { parameters, memory };
std::shared_ptr<const Launches> encode(const FillJob* jobs, std::size_t count, int device, JobsIn where);

std::size_t count(const Launches& launches);

// Jobs in memory must have been uploaded. A call number is added to every job's subsequence.
void fill(const Launches& launches, const CurrentDevice& device, const DeviceRun& run);

// Copies jobs that were encoded for memory to a workspace of at least upload_bytes(), aligned to 16 bytes, in the
// order of the stream, and keeps them until they have been copied. Throws InvalidArgument if the stream is being
// captured, DeviceError.
std::size_t upload_bytes(const Launches& launches);
// Throws InvalidArgument, which names what cannot be captured, if the stream is being captured, DeviceError.
void check_not_captured(const CurrentDevice& device, CudaStream stream, const char* what = "An upload");
// Waits for the stream's work. Throws DeviceError.
void wait(const CurrentDevice& device, CudaStream stream);
std::shared_ptr<const Launches> upload(const std::shared_ptr<const Launches>& launches, void* workspace,
                                       const CurrentDevice& device, CudaStream stream);

// Throws DeviceError or std::bad_alloc.
void* allocate(std::size_t bytes, int device);
void release(void* memory, int device) noexcept;

// To the host, in the order of the stream, and waits for it. Throws DeviceError.
void read(void* to, const void* from, std::size_t bytes, const CurrentDevice& device, CudaStream stream);

// From the host, in the order of the stream; the source must not change before a wait for it. Throws DeviceError.
void write(void* to, const void* from, std::size_t bytes, const CurrentDevice& device, CudaStream stream);

// Between devices, or a device and the host; waits for the devices, before and after. Throws DeviceError.
void copy(void* to, Device to_device, const void* from, Device from_device, std::size_t bytes);

}  // namespace fanin::gpu
