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

// Throws InvalidArgument for a negative number.
void check_threads(int threads);

// Hands jobs of one place to that place's back end. Host memory is filled on return. Throws InvalidArgument for a
// negative number of threads.
void run(const FillJob* jobs, std::size_t count, Place place, CudaStream stream, int threads, CpuTarget target);

}  // namespace fanin::detail
