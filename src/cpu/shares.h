// SPDX-License-Identifier: Apache-2.0
// Splits a fill among threads. The work of all jobs, laid end to end, is cut into equal shares. A share is contiguous
// within each tensor, so the thread that writes it is the first to touch its pages.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "fanin/dtype.h"
#include "formulas/computed_value.h"
#include "params/fill_job.h"

namespace fanin::cpu {

// A unit of work takes about as long as writing a byte. According to bench/RESULTS.md, a normal takes as long as 1.9
// uniforms. A normal in a narrow window, or in a window that rejects many normals, takes as long as 5 to 11 uniforms.
// Binary64 takes twice as long.
inline constexpr std::uint64_t uniform_work = 16;
inline constexpr std::uint64_t normal_work = 32;
inline constexpr std::uint64_t narrow_work = 128;
inline constexpr std::uint64_t round_work = 8;  // for each copy of a leader, and for an element of a matrix

inline constexpr std::uint64_t low_precision_work = 64;

// The work of a computed value: for each operation, each correctly rounded function, and each place in an order.
inline constexpr std::uint64_t operation_work = 8;
inline constexpr std::uint64_t exact_work = 10000;
inline constexpr std::uint64_t place_work = 20000;

// A thread with less work than this costs more to start than it saves.
inline constexpr std::uint64_t least_work_per_thread = std::uint64_t{1} << 23;

// The work of each thread between two pauses (RunOptions::pause), which takes some 10 ms.
inline constexpr std::uint64_t work_between_pauses = std::uint64_t{1} << 29;

// Shares begin at multiples of this many elements, so that threads rarely share a cache line or a Philox block.
inline constexpr std::uint64_t share_granularity = 64;

// Returns the work per element without copies.
inline std::uint64_t work_of(const FillParams& params) {
  if (params.is_low_precision() && params.kind != FillParams::Kind::computed) return low_precision_work;
  const std::uint64_t size = facts_of(params.dtype).bits / 8;
  if (params.kind == FillParams::Kind::computed) {
    const detail::Expression& expression = params.computed->expression();
    const auto& meanings = params.computed->meanings();
    const auto is_place = [](const auto& meaning) {
      return meaning.kind == detail::ComputedValue::Meaning::Kind::place;
    };
    const auto places = static_cast<std::uint64_t>(std::count_if(meanings.begin(), meanings.end(), is_place));
    return normal_work + expression.operations() * operation_work + expression.exact_functions() * exact_work +
           places * place_work;
  }
  if (!params.is_random()) return size;
  const bool normal = params.kind == FillParams::Kind::normal;
  const bool narrow = normal && !(params.lower <= -2 && params.upper >= 2);
  return (narrow ? narrow_work : normal ? normal_work : uniform_work) * (size == 8 ? 2 : 1);
}

// Returns the work per element of a job with its copies. A copy has none of its own. A matrix is not among the shares,
// because it is computed as a whole.
inline std::uint64_t work_of(const FillJob* jobs, const FillJob& job) {
  if (job.is_copy || job.params.kind == FillParams::Kind::orthogonal) return 0;
  std::uint64_t work = work_of(job.params);
  for (std::size_t at = job.next_copy; at != FillJob::none; at = jobs[at].next_copy) work += round_work;
  return work;
}

inline std::uint64_t work_of(const FillJob* jobs, std::size_t count) {
  std::uint64_t total = 0;
  for (std::size_t j = 0; j < count; ++j) total += jobs[j].params.index.count * work_of(jobs, jobs[j]);
  return total;
}

// Returns the start of share number `share` of `shares` in `total` work. For share == shares, it returns the end of the
// last share.
inline std::uint64_t share_begin(std::uint64_t share, std::uint64_t shares, std::uint64_t total) {
  return share == shares ? total : total / shares * share;
}

// Calls part(job, first element, count) for each job that has elements in [first, last) of the work of all jobs. Copies
// are written with their leaders.
template <class Part>
void for_parts(const FillJob* jobs, std::uint64_t first, std::uint64_t last, const Part& part) {
  std::uint64_t begin = 0;
  for (const FillJob* job = jobs; begin < last; ++job) {
    const std::uint64_t work = work_of(jobs, *job);
    if (work == 0) continue;
    const auto element_at = [&](std::uint64_t at) {
      return (at - begin) / work / share_granularity * share_granularity;
    };
    const std::uint64_t end = begin + job->params.index.count * work;
    if (end > first) {
      const std::uint64_t from = first > begin ? element_at(first) : 0;
      const std::uint64_t to = last < end ? element_at(last) : job->params.index.count;
      if (to > from) part(*job, from, to - from);
    }
    begin = end;
  }
}

}  // namespace fanin::cpu
