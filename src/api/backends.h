// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "cuda/backend.h"
#include "fanin/cpu.h"
#include "fanin/view.h"
#include "params/fill_job.h"

namespace fanin::detail {

// How jobs are to be run, as in FillOptions.
struct RunOptions {
  CudaStream stream;
  int threads;
  CpuTarget target;
  const std::uint64_t* device_seed;
};

// Throws InvalidArgument for a negative number of threads, and for a device's seed where there is no device.
void check_run(const RunOptions& options, Place place);

// A place to write to. While it lives, its device, if it is one, is the calling thread's current one.
class Destination {
 public:
  // Throws DeviceError if the device is not there.
  explicit Destination(Place place);

  Place place() const { return device_ ? cuda(device_->ordinal()) : host; }

  // The address of the view, which is there, as the place's back end knows it. Throws InvalidArgument if the memory
  // cannot hold so many elements: null, too small, misaligned, or somewhere else.
  void* address_of(const View& view, std::uint64_t count) const;

  // Only of a device.
  const gpu::CurrentDevice& device() const { return *device_; }

  // Hands a job to the place's back end. Host memory is filled on return. check_run has passed the options.
  void fill(const FillJob& job, const RunOptions& options) const;

 private:
  std::optional<gpu::CurrentDevice> device_;
};

}  // namespace fanin::detail
