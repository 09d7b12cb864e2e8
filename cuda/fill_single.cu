// SPDX-License-Identifier: Apache-2.0
// Jobs that are computed in binary32, constants and identities.
#include "cuda/fill_kernels.h"
#include "cuda/kernel/fill.cuh"

namespace fanin::gpu {

namespace {

// Called by both kernels, so that its machine code stands once.
__device__ __noinline__ void fill_single(const Header& header, const std::uint64_t* behind) {
  fill(
      header, behind,
      [](const Job& job, const Extension& more, const Share& share, const Stream& stream, const Shared& shared)
          __attribute__((always_inline)) {
            if (job.usual == 0) return fill_any<AnyWriter>(job, more, share, stream, shared);
            with_format(
                job.dtype, [&](auto format) __attribute__((always_inline)) {
                  fill_usual<Writer<decltype(format), false>>(job, more, share, stream, shared);
                });
          });
}

}  // namespace

__global__ void __launch_bounds__(max_threads_per_block) fill_single_small(const __grid_constant__ SmallParameters p) {
  fill_single(p.header, p.data);
}

__global__ void __launch_bounds__(max_threads_per_block) fill_single_large(const __grid_constant__ LargeParameters p) {
  fill_single(p.header, p.data);
}

}  // namespace fanin::gpu
