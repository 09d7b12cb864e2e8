// SPDX-License-Identifier: Apache-2.0
// Blocks of many tensors. Their places and their generators are in device memory, and the kernel makes a job for each
// row.
#pragma once

#include <cstdint>

#include "cuda/kernel/pattern.cuh"
#include "cuda/kernel/position.cuh"

namespace fanin::gpu {

// Writes zeros to a row's elements beyond the tensor, if they are in slots begin ... end - 1 of the whole row.
__device__ __forceinline__ void fill_beyond(const EncodedJob& row, const EncodedBlock& block, std::uint64_t begin,
                                            std::uint64_t end) {
  const std::uint32_t size = element_size(row.dtype);
  const std::uint64_t past = row.start % 4;
  const std::uint64_t to = min(block.run, 4 * end - past);
  std::uint64_t at = max(row.count, begin == 0 ? 0 : 4 * begin - past) + lane_number();
#pragma unroll 1
  for (; at < to; at += 32) store_bits(reinterpret_cast<std::uint64_t>(row.address) + at * size, 0, size);
}

// Writes the job for a row to `row`, in the warp's shared memory. The job covers only the elements that are inside the
// tensor, which come first in the row. The function itself fills the other elements of tiles begin ... end - 1. It is
// not inlined, because most launches do not call it.
static __device__ __noinline__ void begin_row(const EncodedJob* job, const EncodedBlock* block, std::uint32_t row_tiles,
                                              std::uint32_t number, std::uint32_t begin, std::uint32_t end,
                                              EncodedJob* row) {
  const auto* const loops = reinterpret_cast<const BlockLoop*>(block + 1);
  const auto in_tensor = [&](const BlockLoop& loop, std::uint64_t c) {
    return loop.step != 0 ? static_cast<std::uint64_t>(block->number[loop.axis]) * loop.step + c : c;
  };
  std::uint64_t left = number % block->rows;
  std::uint64_t start = 0;
  bool inside = true;
#pragma unroll 1
  for (std::uint32_t j = static_cast<std::uint32_t>(block->rank) - 1; j-- > 0; left /= loops[j].extent) {
    const std::uint64_t c = in_tensor(loops[j], left % loops[j].extent);
    inside = inside && c < loops[j].bound;
    start += c * loops[j].stride;
  }
  const BlockLoop& inner = loops[block->rank - 1];
  const std::uint64_t first = in_tensor(inner, 0);
  inside = inside && first < inner.bound;
  EncodedJob its = *job;
  its.start = inside ? start + first : 0;
  its.count = inside ? min(block->run, inner.bound - first) : 0;
  const std::uint32_t size = element_size(its.dtype);
  const std::uint64_t address = reinterpret_cast<std::uint64_t>(its.address) + number * block->run * size;
  its.address = reinterpret_cast<void*>(address);
  its.aligned = (address - its.start % 4 * size) % min(4 * size, 16u) == 0 ? 1 : 0;
  its.tile_begin = number * row_tiles;
  if (static_cast<Draw>(its.draw) != Draw::constant) {
    const std::uint32_t* const generator = block->generators + number / block->rows * 4;
    its.seed = generator[0] | std::uint64_t{generator[1]} << 32;
    its.bits = generator[2] | std::uint64_t{generator[3]} << 32;
  }
  __syncwarp();  // all lanes have read the previous row
  if (lane_number() == 0) *row = its;
  __syncwarp();
  fill_beyond(its, *block, std::uint64_t{begin - its.tile_begin} * its.tile_slots,
              std::uint64_t{end - its.tile_begin} * its.tile_slots);
}

}  // namespace fanin::gpu
