// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cuda_runtime.h>

#include "cuda/encoded_job.h"

namespace fanin::gpu {

// With at most this many threads in a block, a thread has the 168 registers that the kernels need to keep nothing in
// local memory.
inline constexpr unsigned max_threads_per_block = 384;

// The kernels run in any grid of blocks that consist of whole warps, have up to max_threads_per_block threads and have
// shared_bytes() of dynamic shared memory. Kernel says which jobs belong to which kernel. A kernel reads its jobs from
// its parameters or, if header.data is not null, from device memory.
__global__ void fill_fast_small(const __grid_constant__ SmallParameters p);
__global__ void fill_fast_large(const __grid_constant__ LargeParameters p);
__global__ void fill_general_small(const __grid_constant__ SmallParameters p);
__global__ void fill_general_large(const __grid_constant__ LargeParameters p);

}  // namespace fanin::gpu
