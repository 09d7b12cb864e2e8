// SPDX-License-Identifier: Apache-2.0
// What few fills are: float64, windows of their own, memory that is not aligned, copies, values that are clamped.
#include "cuda/fill_kernels.h"
#include "cuda/kernel/fill.cuh"

namespace fanin::gpu {

namespace {

struct FillAny {
  __device__ __forceinline__ void operator()(const Job& job, const Extension& more, const Share& share,
                                             const Stream& stream, const Shared& shared) const {
    if (static_cast<DType>(job.dtype) == DType::float64) {
      fill_any<Writer<AsFloat64, true>>(job, more, share, stream, shared);
    } else {
      fill_any<AnyWriter>(job, more, share, stream, shared);
    }
  }
};

}  // namespace

__global__ void __launch_bounds__(max_threads_per_block) fill_any_small(const __grid_constant__ SmallParameters p) {
  fill(p.header, p.data, FillAny{});
}

__global__ void __launch_bounds__(max_threads_per_block) fill_any_large(const __grid_constant__ LargeParameters p) {
  fill(p.header, p.data, FillAny{});
}

}  // namespace fanin::gpu
