// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

#include "fanin/shape.h"
#include "fanin/view.h"
#include "fill_job.h"

namespace fanin::detail {

// Throws InvalidArgument if memory cannot hold the tensor (null, too small, misaligned), DeviceError if its device is
// not there.
void check_view(const View& view, const Shape& written);
void check_view(const View& view, std::uint64_t count);

// How jobs are to be run, as in FillOptions.
struct RunOptions {
  CudaStream stream;
  int threads;
  CpuTarget target;
  const std::uint64_t* device_seed;
};

// Throws InvalidArgument for a negative number of threads, and for a device's seed where there is no device.
void check_run(const RunOptions& options, Place place);

// Hands jobs of one place to that place's back end. Host memory is filled on return. Throws as check_run does.
void run(const FillJob* jobs, std::size_t count, Place place, const RunOptions& options);

}  // namespace fanin::detail
