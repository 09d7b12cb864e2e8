// SPDX-License-Identifier: Apache-2.0
// The kernel of nearly all fills: jobs that are EncodedJob::fast, constants and identities.
#include "cuda/fill_kernels.h"
#include "cuda/kernel/fill.cuh"

namespace fanin::gpu {

namespace {

struct FillFast {
  static constexpr bool only_copies = false;
  __device__ __forceinline__ bool takes(const EncodedJob& job) const { return job.copies == 0; }
  __device__ __forceinline__ void operator()(const EncodedJob& job, const Extension& more, const Share& share,
                                             const Generator& generator, const SharedMemory& shared) const {
    with_format(
        job.dtype, [&](auto format) __attribute__((always_inline)) {
          fill_fast<Writer<decltype(format), false>>(job, more, share, generator, shared);
        });
  }
};

struct FillCopies {
  static constexpr bool only_copies = true;
  __device__ __forceinline__ bool takes(const EncodedJob& job) const { return job.copies != 0; }
  __device__ __forceinline__ void operator()(const EncodedJob& job, const Extension& more, const Share& share,
                                             const Generator& generator, const SharedMemory& shared) const {
    fill_fast<CopyWriter>(job, more, share, generator, shared);
  }
};

__device__ __forceinline__ void fill_all(const Header& header, const std::uint64_t* behind) {
  SharedMemory(header).make_tables();
  // Jobs with copies have a loop of their own, so that they add no register pressure to the other loop. If their loop
  // came second, it would cost that loop one register (CUDA 13.0).
  if (header.copies != 0) fill(header, behind, FillCopies{});
  fill(header, behind, FillFast{});
}

}  // namespace

__global__ void __launch_bounds__(max_threads_per_block) fill_fast_small(const __grid_constant__ SmallParameters p) {
  fill_all(p.header, p.data);
}

__global__ void __launch_bounds__(max_threads_per_block) fill_fast_large(const __grid_constant__ LargeParameters p) {
  fill_all(p.header, p.data);
}

}  // namespace fanin::gpu
