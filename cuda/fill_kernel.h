// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cuda_runtime.h>

#include "cuda/job.h"

namespace fanin::gpu {

inline constexpr unsigned threads_per_block = 128;

// Kernels for any grid of blocks of threads_per_block threads, with shared_bytes() of dynamic shared memory. The small
// one reads jobs from its parameters, or from device memory if the header says where.
__global__ void fill_small(const __grid_constant__ SmallParameters p);
__global__ void fill_large(const __grid_constant__ LargeParameters p);

}  // namespace fanin::gpu
