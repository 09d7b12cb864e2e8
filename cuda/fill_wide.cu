// SPDX-License-Identifier: Apache-2.0
// Jobs that are computed in binary64.
#include "cuda/fill_kernels.h"
#include "cuda/kernel/fill.cuh"

namespace fanin::gpu {

namespace {

__device__ __noinline__ void fill_wide(const Header& header, const std::uint64_t* behind) {
  fill(
      header, behind,
      [](const Job& job, const Extension& more, const Share& share, const Stream& stream, const Shared& shared)
          __attribute__((always_inline)) { fill_any<Writer<AsFloat64, true>>(job, more, share, stream, shared); });
}

}  // namespace

__global__ void __launch_bounds__(max_threads_per_block) fill_wide_small(const __grid_constant__ SmallParameters p) {
  fill_wide(p.header, p.data);
}

__global__ void __launch_bounds__(max_threads_per_block) fill_wide_large(const __grid_constant__ LargeParameters p) {
  fill_wide(p.header, p.data);
}

}  // namespace fanin::gpu
