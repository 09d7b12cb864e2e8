// SPDX-License-Identifier: Apache-2.0
// Constants and identities: nothing is drawn.
#pragma once

#include <cstdint>

#include "cuda/encoded_job.h"
#include "cuda/kernel/store.cuh"
#include "fanin/dtype.h"

namespace fanin::gpu {

__device__ __forceinline__ std::uint32_t element_size(std::uint32_t dtype) {
  switch (static_cast<DType>(dtype)) {
    case DType::float64:
      return 8;
    case DType::float32:
      return 4;
    case DType::float16:
    case DType::bfloat16:
      return 2;
    default:
      return 1;
  }
}

__device__ __forceinline__ void store_bits(std::uint64_t address, std::uint64_t bits, std::uint32_t size) {
  if (size == 1) {
    store(address, static_cast<std::uint8_t>(bits));
  } else if (size == 2) {
    store(address, static_cast<std::uint16_t>(bits));
  } else if (size == 4) {
    store(address, static_cast<std::uint32_t>(bits));
  } else {
    store(address, bits);
  }
}

// Slots begin ... end - 1, whose memory is dense.
__device__ __forceinline__ void fill_pattern(const EncodedJob& job, const std::uint64_t* data, std::uint64_t begin,
                                             std::uint64_t end) {
  const std::uint32_t size = element_size(job.dtype);
  const std::uint32_t lane = lane_number();
  const bool constant = static_cast<Draw>(job.draw) == Draw::constant;
  std::uint64_t repeated = constant ? job.bits : 0;
  if (size == 1) repeated *= 0x0101010101010101u;
  if (size == 2) repeated *= 0x0001000100010001u;
  if (size == 4) repeated *= 0x0000000100000001u;
  // Indices of elements.
  const std::uint64_t quad = job.start / 4;
  const std::uint64_t from = max(job.start, 4 * (quad + begin));
  const std::uint64_t to = min(job.start + job.count, 4 * (quad + end));
  const std::uint64_t base = reinterpret_cast<std::uint64_t>(job.address) - job.start * size;
  const std::uint64_t head_begin = base + from * size;
  const std::uint64_t tail_end = base + to * size;
  const std::uint64_t first = min((head_begin + 15) / 16 * 16, tail_end);  // [first, last) is stored by 16 bytes
  const std::uint64_t last = first + (tail_end - first) / 16 * 16;
#pragma unroll 4
  for (std::uint64_t at = first + lane * 16; at < last; at += 32 * 16) store(at, make_ulonglong2(repeated, repeated));
  if (lane < 16) {  // at most 15 elements on either side
    if (head_begin + lane * size < first) store_bits(head_begin + lane * size, repeated, size);
    if (last + lane * size < tail_end) store_bits(last + lane * size, repeated, size);
  }
  if (constant) return;
  // The diagonal of a matrix has the indices row * (columns + 1), row < columns.
  __syncwarp();
  const std::uint64_t columns = data[job.extension];
#pragma unroll 1
  for (std::uint64_t row = (from + columns) / (columns + 1) + lane; row < columns; row += 32) {
    const std::uint64_t index = row * (columns + 1);
    if (index >= to) break;
    store_bits(base + index * size, job.bits, size);
  }
}

}  // namespace fanin::gpu
