// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>

#include "cuda/backend.h"
#include "fanin/options.h"
#include "fanin/view.h"
#include "params/fill_job.h"

namespace fanin::detail {

// Throws InvalidArgument for options that no fill on the device can have.
void check(const RunOptions& options, Device device);

// A device to write to: the one place where a fill is handed to a back end. While it lives, a CUDA device is the
// calling thread's current one.
class Destination {
 public:
  // Throws InvalidArgument as check does, and DeviceError if the device is not there.
  explicit Destination(Device device, const RunOptions& options = {});

  Device device() const { return current_ ? cuda(current_->ordinal()) : host; }

  // The view's address, as the device's back end knows it. Throws InvalidArgument if the memory cannot hold so many
  // elements: null, too small, misaligned, or somewhere else.
  void* address_of(const View& view, std::uint64_t count) const;

  // Only for a CUDA device.
  const gpu::CurrentDevice& current() const { return *current_; }

  // Host memory is filled on return, device memory in the order of the stream. The job's address is from address_of.
  void fill(const FillJob& job) const;

 private:
  RunOptions options_;
  std::optional<gpu::CurrentDevice> current_;
};

}  // namespace fanin::detail
