// SPDX-License-Identifier: Apache-2.0
// The interface to the loops of the instruction sets.
#pragma once

#include <cstdint>

#include "fanin/core/window.h"
#include "fanin/cpu.h"
#include "fanin/fill_params.h"

namespace fanin::cpu {

// Writes the elements with indices [index, index + count) to dense memory at `out`. Requires the default floating-point
// environment.
using Run = void (*)(const FillParams& params, void* out, std::uint64_t index, std::uint64_t count) noexcept;

// Clamps and rounds `count` values of a random fill, which are binary32, to params.dtype, which is not float64.
// Requires the default floating-point environment.
using Round = void (*)(const FillParams& params, const float* values, void* out, std::uint64_t count) noexcept;

// Writes every kind of fill that needs no more than params and an index (FillParams::is_from_host).
void run_portable(const FillParams& params, void* out, std::uint64_t index, std::uint64_t count) noexcept;
void round_portable(const FillParams& params, const float* values, void* out, std::uint64_t count) noexcept;

// Both functions return a vector loop of the target for random fills that suit it, or null if this build has none. The
// loop of vector_run writes the dtypes for which in_vector_loops holds. The loop of vector_round makes the other dtypes
// from float32 values. This compiles in half the time and is as fast.
Run vector_run(CpuTarget target) noexcept;
Round vector_round(CpuTarget target) noexcept;

// Returns whether the loop of vector_run writes the fill's dtype. Windows other than [-2, 2] that reject many elements
// have loops only for float32 and float64.
inline bool in_vector_loops(const FillParams& params) {
  if (!params.is_random() || params.dtype == DType::float32 || params.dtype == DType::float64) return true;
  const bool narrow =
      params.kind == FillParams::Kind::normal && core::is_narrow(core::sampler_of(params.lower, params.upper));
  return params.dtype == DType::bfloat16 && !narrow;
}

// Returns whether the vector loops can write a random fill, and do so faster than the portable loop, which wins for the
// short rows of blocks. The vector loops compute a uniform as one product with scale * 2^-31 (or 2^-24, or, in
// binary64, 2^-53). This product has the bits of the contract's two products if that factor is exact. It is exact
// unless the scale is close to the smallest numbers.
inline bool suits_vectors(const FillParams& params, std::uint64_t count) {
  constexpr std::uint64_t least_count = 32;
  if (count < least_count || params.kind != FillParams::Kind::uniform) return count >= least_count;
  if (params.dtype == DType::float64) return params.scale * 0x1p-53 * 0x1p53 == params.scale;
  const auto scale = static_cast<float>(params.scale);
  return scale * 0x1p-31F * 0x1p31F == scale;
}

// Writes the same fills. It uses the vector loop `run`, which can be null, where that loop is
// right and faster.
inline void run_best(const FillParams& params, void* out, std::uint64_t index, std::uint64_t count, Run run) noexcept {
  const bool in_vectors = run != nullptr && params.is_random() && suits_vectors(params, count);
  (in_vectors ? run : run_portable)(params, out, index, count);
}

}  // namespace fanin::cpu
