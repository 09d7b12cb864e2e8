// SPDX-License-Identifier: Apache-2.0
// What nearly all fills are (EncodedJob::fast), constants and identities.
#include "cuda/fill_kernels.h"
#include "cuda/kernel/fill.cuh"

namespace fanin::gpu {

namespace {

struct FillFast {
  __device__ __forceinline__ void operator()(const EncodedJob& job, const Extension& more, const Share& share,
                                             const Generator& generator, const SharedMemory& shared) const {
    with_format(
        job.dtype, [&](auto format) __attribute__((always_inline)) {
          fill_fast<Writer<decltype(format), false>>(job, more, share, generator, shared);
        });
  }
};

}  // namespace

__global__ void __launch_bounds__(max_threads_per_block) fill_fast_small(const __grid_constant__ SmallParameters p) {
  fill(p.header, p.data, FillFast{});
}

__global__ void __launch_bounds__(max_threads_per_block) fill_fast_large(const __grid_constant__ LargeParameters p) {
  fill(p.header, p.data, FillFast{});
}

}  // namespace fanin::gpu
