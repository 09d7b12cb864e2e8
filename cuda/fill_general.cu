// SPDX-License-Identifier: Apache-2.0
// The kernel of all other fills: float64, windows other than [-2, 2], short rows, memory that is not aligned, and
// values that are clamped.
#include "cuda/fill_kernels.h"
#include "cuda/kernel/fill.cuh"
#include "cuda/kernel/narrow.cuh"

namespace fanin::gpu {

namespace {

template <class Writer>
__device__ __forceinline__ void fill_narrow_spans(const EncodedJob& job, const Extension& more, const Share& share,
                                                  const Generator& generator) {
  if (more.narrow->tail) {
    fill_narrow_spans<Writer, Proposal::tail>(job, more, share, generator);
  } else {
    fill_narrow_spans<Writer, Proposal::box>(job, more, share, generator);
  }
}

struct FillGeneral {
  static constexpr bool only_copies = false;
  __device__ __forceinline__ bool takes(const EncodedJob&) const { return true; }
  __device__ __forceinline__ void operator()(const EncodedJob& job, const Extension& more, const Share& share,
                                             const Generator& generator, const SharedMemory& shared) const {
    const auto dtype = static_cast<DType>(job.dtype);
    const bool wide = dtype == DType::float64;
    if (static_cast<Draw>(job.draw) == Draw::narrow_normal) {
      const bool dense = !share.has_short_rows() && job.copies == 0;
      if (dense && dtype == DType::float32 && more.values->max == INFINITY) {
        fill_narrow_spans<Writer<AsFloat32, false>>(job, more, share, generator);
      } else if (dense && dtype == DType::bfloat16) {
        fill_narrow_spans<Writer<AsBFloat16, true>>(job, more, share, generator);
      } else if (wide) {
        fill_narrow_slots<Writer<AsFloat64, true>>(job, more, share, generator);
      } else {
        fill_narrow_slots<GeneralWriter>(job, more, share, generator);
      }
    } else if (wide) {
      fill_general<Writer<AsFloat64, true>>(job, more, share, generator, shared);
    } else {
      fill_general<GeneralWriter>(job, more, share, generator, shared);
    }
  }
};

__device__ __forceinline__ void fill_all(const Header& header, const std::uint64_t* behind) {
  SharedMemory(header).make_tables();
  fill(header, behind, FillGeneral{});
}

}  // namespace

__global__ void __launch_bounds__(max_threads_per_block) fill_general_small(const __grid_constant__ SmallParameters p) {
  fill_all(p.header, p.data);
}

__global__ void __launch_bounds__(max_threads_per_block) fill_general_large(const __grid_constant__ LargeParameters p) {
  fill_all(p.header, p.data);
}

}  // namespace fanin::gpu
