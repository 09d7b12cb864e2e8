// SPDX-License-Identifier: Apache-2.0
// Hints without which the compiler makes worse code. Each states what it saves; scripts/count_instructions measures it
// again.
#pragma once

#include <cstdint>

namespace fanin::gpu {

// A number that the compiler does not work out anew where it is used: for Philox's round keys, which it would rather
// add up again for every block, and for a table's cell_bytes, 0.2 instructions an element (CUDA 13.0).
__device__ __forceinline__ std::uint32_t opaque(std::uint32_t v) {
  asm volatile("" : "+r"(v));
  return v;
}

// An address that is not taken apart again: 3 instructions fewer for a store to address + 4 * n (CUDA 13.0).
__device__ __forceinline__ std::uint64_t opaque(std::uint64_t v) {
  asm volatile("" : "+l"(v));
  return v;
}

// 16 bytes to global memory by one store, where the compiler makes four of them because some numbers have been words
// before (CUDA 13.0).
__device__ __forceinline__ void store_vector(std::uint64_t address, float x, float y, float z, float w) {
  asm volatile("st.global.v4.f32 [%0], {%1, %2, %3, %4};" ::"l"(address), "f"(x), "f"(y), "f"(z), "f"(w) : "memory");
}

}  // namespace fanin::gpu
