// SPDX-License-Identifier: Apache-2.0
// How a fill is split among threads: all jobs are laid end to end by the work that they are, and cut into equal shares.
// A share is therefore contiguous within each tensor, and the thread that writes it is the first to touch its pages.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "fanin/dtype.h"
#include "params/fill_job.h"

namespace fanin::cpu {

// A unit of work takes about as long as writing a byte. What follows is measured (bench/RESULTS.md): a normal takes 1.9
// uniforms, one in a narrow window or in one that rejects a good part of the normals 5 to 11, and binary64 twice as
// long.
inline constexpr std::uint64_t uniform_work = 16;
inline constexpr std::uint64_t normal_work = 32;
inline constexpr std::uint64_t narrow_work = 128;

// Below this much work a thread costs more to start than it saves.
inline constexpr std::uint64_t least_work_per_thread = std::uint64_t{1} << 23;

// Shares of elements begin at multiples of this, so that threads seldom meet in a cache line or a Philox block.
inline constexpr std::uint64_t share_granularity = 64;

// Work per element.
inline std::uint64_t work_of(const FillParams& params) {
  const std::uint64_t size = size_of(params.dtype);
  if (!params.is_random()) return size;
  const bool normal = params.kind == FillParams::Kind::normal;
  const bool narrow = normal && !(params.lower <= -2 && params.upper >= 2);
  return (narrow ? narrow_work : normal ? normal_work : uniform_work) * (size == 8 ? 2 : 1);
}

inline std::uint64_t work_of(const FillJob* jobs, std::size_t count) {
  std::uint64_t total = 0;
  for (std::size_t j = 0; j < count; ++j) total += jobs[j].params.index.count * work_of(jobs[j].params);
  return total;
}

// Where share number `share` of `shares` begins in `total` work; for share == shares, where the last one ends.
inline std::uint64_t share_begin(std::uint64_t share, std::uint64_t shares, std::uint64_t total) {
  return share == shares ? total : total / shares * share;
}

// Calls part(job, first element, count) for each job of which something lies in [first, last) of the work of all.
template <class Part>
void for_parts(const FillJob* jobs, std::uint64_t first, std::uint64_t last, const Part& part) {
  for (std::uint64_t begin = 0; begin < last; ++jobs) {
    const FillParams& params = jobs->params;
    const auto element_at = [&](std::uint64_t at) {
      return (at - begin) / work_of(params) / share_granularity * share_granularity;
    };
    const std::uint64_t end = begin + params.index.count * work_of(params);
    if (end > first) {
      const std::uint64_t from = first > begin ? element_at(first) : 0;
      const std::uint64_t to = last < end ? element_at(last) : params.index.count;
      if (to > from) part(*jobs, from, to - from);
    }
    begin = end;
  }
}

}  // namespace fanin::cpu
