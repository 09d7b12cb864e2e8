// SPDX-License-Identifier: Apache-2.0
// What the compiler would do worse by itself. Each hint says what it is worth; scripts/count_instructions counts anew.
#pragma once

#include <cstdint>

namespace fanin::gpu {

// A number that the compiler does not work out anew where it is used: for Philox's round keys, which it would rather
// add up again for every block.
__device__ __forceinline__ std::uint32_t opaque(std::uint32_t v) {
  asm volatile("" : "+r"(v));
  return v;
}

// An address that is not taken apart again: 3 instructions for a store to address + 4 * n (CUDA 13.0).
__device__ __forceinline__ std::uint64_t opaque(std::uint64_t v) {
  asm volatile("" : "+l"(v));
  return v;
}

}  // namespace fanin::gpu
