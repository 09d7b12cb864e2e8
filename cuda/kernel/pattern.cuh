// SPDX-License-Identifier: Apache-2.0
// Constants and identities. They draw nothing.
#pragma once

#include <cstdint>

#include "cuda/encoded_job.h"
#include "cuda/kernel/position.cuh"
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

// Repeats the pattern of a job's constant to 8 bytes.
__device__ __forceinline__ std::uint64_t repeated(std::uint64_t bits, std::uint32_t size) {
  if (size == 1) return bits * 0x0101010101010101u;
  if (size == 2) return bits * 0x0001000100010001u;
  return size == 4 ? bits * 0x0000000100000001u : bits;
}

// Fills the memory between the addresses of two elements, with stores of 16 bytes where they are possible.
__device__ __forceinline__ void fill_run(std::uint64_t begin, std::uint64_t end, std::uint64_t pattern,
                                         std::uint32_t size) {
  const std::uint32_t lane = lane_number();
  const std::uint64_t first = min((begin + 15) / 16 * 16, end);  // stores of 16 bytes fill [first, last)
  const std::uint64_t last = first + (end - first) / 16 * 16;
#pragma unroll 4
  for (std::uint64_t at = first + lane * 16; at < last; at += 32 * 16) store(at, make_ulonglong2(pattern, pattern));
  if (lane < 16) {  // at most 15 elements on either side
    if (begin + lane * size < first) store_bits(begin + lane * size, pattern, size);
    if (last + lane * size < end) store_bits(last + lane * size, pattern, size);
  }
}

// Fills slots begin ... end - 1 of a job whose memory is dense.
__device__ __forceinline__ void fill_pattern(const EncodedJob& job, const std::uint64_t* data, std::uint64_t begin,
                                             std::uint64_t end) {
  const std::uint32_t size = element_size(job.dtype);
  const bool constant = static_cast<Draw>(job.draw) == Draw::constant;
  // `from` and `to` are indices of elements.
  const std::uint64_t quad = job.start / 4;
  const std::uint64_t from = max(job.start, 4 * (quad + begin));
  const std::uint64_t to = min(job.start + job.count, 4 * (quad + end));
  const std::uint64_t base = reinterpret_cast<std::uint64_t>(job.address) - job.start * size;
  fill_run(base + from * size, base + to * size, constant ? repeated(job.bits, size) : 0, size);
  if (constant) return;
  // The diagonal of a matrix has the indices row * (columns + 1), row < columns.
  __syncwarp();
  const std::uint64_t columns = data[job.extension];
#pragma unroll 1
  for (std::uint64_t row = (from + columns) / (columns + 1) + lane_number(); row < columns; row += 32) {
    const std::uint64_t index = row * (columns + 1);
    if (index >= to) break;
    store_bits(base + index * size, job.bits, size);
  }
}

// Returns the distance from an index to the next index on the diagonal, or the largest number if there is none.
__device__ __forceinline__ std::uint64_t to_diagonal(std::uint64_t index, std::uint64_t columns) {
  const std::uint64_t row = (index + columns) / (columns + 1);
  return row < columns ? row * (columns + 1) - index : ~std::uint64_t{0};
}

// Does the same for rows that are apart in memory. It is not inlined, because few launches call it.
static __device__ __noinline__ void fill_pattern_in_rows(const EncodedJob* job, const std::uint64_t* data,
                                                         std::uint64_t begin, std::uint64_t end) {
  const Extension more(*job, data);
  const std::uint32_t size = element_size(job->dtype);
  const bool constant = static_cast<Draw>(job->draw) == Draw::constant;
  const std::uint64_t pattern = constant ? repeated(job->bits, size) : 0;
  const std::uint64_t columns = more.rows->run;  // of an identity
  const auto base = reinterpret_cast<std::uint64_t>(job->address);
#pragma unroll 1
  for (; begin < end; begin += max_share) {
    const Share share(*job, more, begin, static_cast<std::uint32_t>(min(end - begin, std::uint64_t{max_share})));
    if (!share.has_short_rows()) {  // handles row by row
#pragma unroll 1
      for (std::uint32_t slot = 0; slot < share.count();) {
        const Span span = share.span(slot);
        slot += span.count;
        const std::uint64_t address = base + (span.element + span.from) * size;
        const std::uint64_t count = span.to - span.from;
        fill_run(address, address + count * size, pattern, size);
        if (constant) continue;
        __syncwarp();
        const std::uint64_t n = to_diagonal(4 * span.index + span.from, columns);
        if (n < count && lane_number() == 0) store_bits(address + n * size, job->bits, size);
      }
      continue;
    }
    // Each lane handles a slot.
#pragma unroll 1
    for (std::uint32_t slot = lane_number(); slot < share.count(); slot += 32) {
      const Quad quad = share.quad(slot);
      const std::uint64_t address = base + quad.element * size;
      std::uint64_t left = constant ? ~std::uint64_t{0} : to_diagonal(4 * quad.index + quad.from, columns);
      for (std::int32_t j = quad.from; j < quad.to; ++j, --left) {
        store_bits(address + j * size, left == 0 ? job->bits : pattern, size);
      }
    }
  }
}

}  // namespace fanin::gpu
