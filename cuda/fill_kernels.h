// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cuda_runtime.h>

#include "cuda/job.h"

namespace fanin::gpu {

// So that a thread has the 128 registers that the kernels need.
inline constexpr unsigned max_threads_per_block = 512;

// Kernels for any grid of blocks of up to max_threads_per_block threads, whole warps, with shared_bytes() of dynamic
// shared memory. `single` fills what is computed in binary32, and constants and identities; `wide` what is computed in
// binary64. The small ones read jobs from their parameters, or from device memory if the header says where.
__global__ void fill_single_small(const __grid_constant__ SmallParameters p);
__global__ void fill_single_large(const __grid_constant__ LargeParameters p);
__global__ void fill_wide_small(const __grid_constant__ SmallParameters p);
__global__ void fill_wide_large(const __grid_constant__ LargeParameters p);

}  // namespace fanin::gpu
