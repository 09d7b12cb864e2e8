// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cuda_runtime.h>

#include "cuda/job.h"

namespace fanin::gpu {

// So that a thread has the registers that the kernel needs: 128, and on sm_100 some more.
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 1000
inline constexpr unsigned max_threads_per_block = 384;
#else
inline constexpr unsigned max_threads_per_block = 512;
#endif

// Kernels for any grid of blocks of whole warps, with shared_bytes() of dynamic shared memory. The small
// one reads jobs from its parameters, or from device memory if the header says where.
__global__ void fill_small(const __grid_constant__ SmallParameters p);
__global__ void fill_large(const __grid_constant__ LargeParameters p);

}  // namespace fanin::gpu
