// SPDX-License-Identifier: Apache-2.0
// Random bits: cuRAND's Philox4x32-10 with the counters of the value contract (docs/VALUES.md, section 1).
#pragma once

#include <curand_kernel.h>

#include <cstdint>

#include "cuda/kernel/hints.cuh"
#include "fanin/core/counter.h"

namespace fanin::gpu {

using core::Words;

// The generator of a job: its key for each round, and its subsequence.
class Generator {
 public:
  __device__ __forceinline__ Generator(std::uint64_t seed, std::uint64_t subsequence)
      : z_(static_cast<std::uint32_t>(subsequence)), w_(static_cast<std::uint32_t>(subsequence >> 32)) {
#pragma unroll
    for (std::uint32_t r = 0; r < rounds; ++r) {
      keys_[r] = make_uint2(opaque(static_cast<std::uint32_t>(seed) + r * PHILOX_W32_0),
                            opaque(static_cast<std::uint32_t>(seed >> 32) + r * PHILOX_W32_1));
    }
  }

  // Returns the block for the lower words of a counter: an index and, in the top byte of y, a tag. The loop is the ten
  // rounds of curand_Philox4x32_10.
  __device__ __forceinline__ Words block(std::uint32_t x, std::uint32_t y) const {
    uint4 state = make_uint4(x, y, z_, w_);
#pragma unroll
    for (std::uint32_t r = 0; r < rounds; ++r) state = _philox4x32round(state, keys_[r]);
    return {state.x, state.y, state.z, state.w};
  }
  __device__ __forceinline__ Words block(std::uint64_t index, std::uint32_t tag) const {
    return block(static_cast<std::uint32_t>(index), static_cast<std::uint32_t>(index >> 32) | tag << 24);
  }

 private:
  static constexpr std::uint32_t rounds = 10;
  uint2 keys_[rounds];
  std::uint32_t z_, w_;
};

__device__ __forceinline__ std::uint32_t word_of(const Words& words, std::uint32_t n) {
  const std::uint32_t low = n % 2 == 0 ? words.x : words.y;
  const std::uint32_t high = n % 2 == 0 ? words.z : words.w;
  return n < 2 ? low : high;
}

}  // namespace fanin::gpu
