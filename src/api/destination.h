// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>

#include "cpu/fill.h"
#include "cuda/backend.h"
#include "fanin/options.h"
#include "fanin/view.h"
#include "params/fill_job.h"

namespace fanin::detail {

// Throws InvalidArgument for a number that is no device.
void check(Device device);

// Throws InvalidArgument for a number that no CUDA device has.
void check_cuda(int ordinal);

// The options with the CPU target that a fill on the device uses. Throws InvalidArgument for options that are wrong for
// every fill there, an unusable CPU target included.
RunOptions checked(RunOptions options, Device device);

// What the host's back end takes of options that are checked for the host.
cpu::HostRun host_run(const RunOptions& options);

// A device to write to: hands a fill to its back end. While it lives, a CUDA device is the calling thread's current
// one.
class Destination {
 public:
  // Throws InvalidArgument as check and checked do, and DeviceError if the device is not there.
  explicit Destination(Device device);
  Destination(Device device, const RunOptions& options);

  Device device() const { return current_ ? cuda(current_->ordinal()) : host; }

  // The view's address as the back end uses it. Throws InvalidArgument if the memory is null, misaligned, too small for
  // `count` elements one after the other, or not accessible to the device.
  void* address_of(const View& view, std::uint64_t count) const;

  // The job that writes a fill to dense memory. Throws as address_of does, and for packed elements that begin or end
  // within a byte.
  FillJob job_for(const View& view, const FillParams& params) const;

  // The job that writes a tensor or its block, in rows of `row` elements, to a view with any leading dimension. Throws
  // as address_of does, also for a leading dimension below `row`.
  FillJob job_for(const View& view, const FillParams& params, std::uint64_t row) const;

  // Requires a CUDA device.
  const gpu::CurrentDevice& current() const { return *current_; }

  // Fills host memory before it returns, device memory in the order of the stream; values that the host
  // computes before it returns.
  void fill(const FillJob& job) const;

 private:
  void fill_from_host(const FillJob& job) const;

  RunOptions options_;
  std::optional<gpu::CurrentDevice> current_;
};

}  // namespace fanin::detail
