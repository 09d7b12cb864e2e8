// SPDX-License-Identifier: Apache-2.0
// The layout of a block's shared memory: the launch's tables, then the rejected elements of each warp. In a launch with
// an EncodedBlock the row of each warp follows, and in a launch with copies the turn of each warp.
#pragma once

#include <cstdint>

#include "cuda/encoded_job.h"
#include "cuda/kernel/hints.cuh"
#include "cuda/kernel/normal.cuh"

namespace fanin::gpu {

// Addresses are computed where they are used, so that they add no register pressure.
class SharedMemory {
 public:
  __device__ __forceinline__ explicit SharedMemory(const Header& header) : header_(header) {}

  __device__ __forceinline__ void make_tables() const {
    if ((header_.tables & 1) != 0) make_table(normal_table, false);
    if ((header_.tables & 2) != 0) make_table(cut_table, true);
    __syncthreads();
  }
  // Returns the lane's copy of a table.
  __device__ __forceinline__ Table table(bool cut) const {
    const float* const lanes = table_begin(cut) + (threadIdx.x & (header_.table_copies - 1));
    return {static_cast<std::uint32_t>(__cvta_generic_to_shared(lanes)), opaque(4 * header_.table_copies), header_.half,
            cut};
  }
  __device__ __forceinline__ Waiting* waiting() const { return waiting_begin() + threadIdx.x / 32; }
  __device__ __forceinline__ EncodedJob* row() const {
    return static_cast<EncodedJob*>(behind_waiting()) + threadIdx.x / 32;
  }
  __device__ __forceinline__ std::uint32_t turn() const {
    return static_cast<std::uint32_t>(__cvta_generic_to_shared(behind_waiting())) + threadIdx.x / 32 * turn_bytes;
  }

 private:
  __device__ __forceinline__ std::uint32_t table_size() const { return table_entries * header_.table_copies; }
  __device__ __forceinline__ float* table_begin(bool behind_other) const {
    extern __shared__ float4 memory[];
    return reinterpret_cast<float*>(memory) + (behind_other && (header_.tables & 1) != 0 ? table_size() : 0);
  }
  __device__ __forceinline__ Waiting* waiting_begin() const {
    return reinterpret_cast<Waiting*>(table_begin(true) + ((header_.tables & 2) != 0 ? table_size() : 0));
  }
  __device__ __forceinline__ void* behind_waiting() const {
    return waiting_begin() + header_.waits * (blockDim.x / 32);
  }
  __device__ __forceinline__ void make_table(const core::Ziggurat& from, bool cut) const {
    float* const memory = table_begin(cut);
    for (std::uint32_t n = threadIdx.x; n < table_size(); n += blockDim.x) {
      const std::uint32_t cell = n / header_.table_copies;
      // The entry is multiplied by centred_number(), which is 2^7 times too large.
      memory[n] = cell < core::rectangles ? core::mul(from.x_scaled[cell], 0x1p-7F * Table::unit) : INFINITY;
    }
  }

  const Header& header_;
};

}  // namespace fanin::gpu
