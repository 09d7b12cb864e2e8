// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cuda_runtime.h>

#include "cuda/encoded_job.h"

namespace fanin::gpu {

// So that a thread has the 168 registers that the kernels need to keep nothing in local memory.
inline constexpr unsigned max_threads_per_block = 384;

// Kernels for any grid of blocks of up to max_threads_per_block threads, whole warps, with shared_bytes() of dynamic
// shared memory. Which jobs belong to which, Kernel says. The small ones read jobs from their parameters, or from
// device memory if the header says where.
__global__ void fill_fast_small(const __grid_constant__ SmallParameters p);
__global__ void fill_fast_large(const __grid_constant__ LargeParameters p);
__global__ void fill_general_small(const __grid_constant__ SmallParameters p);
__global__ void fill_general_large(const __grid_constant__ LargeParameters p);

}  // namespace fanin::gpu
