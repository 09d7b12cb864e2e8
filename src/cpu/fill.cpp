// SPDX-License-Identifier: Apache-2.0
#include "cpu/fill.h"

#include <hwy/cache_control.h>

#include <algorithm>
#include <cstddef>
#include <limits>
#include <thread>
#include <vector>

#include "base/fp_environment.h"
#include "cpu/run.h"
#include "cpu/shares.h"
#include "fanin/dtype.h"
#include "params/index_map.h"

namespace fanin::cpu {

namespace {

struct Loops {
  Run run;      // null: the portable ones
  Round round;  // is needed for copies alone
};

// Calls piece(element, index, count) for pieces of a job's elements [first, first + count) that have consecutive
// indices and are in one row.
template <class Piece>
void for_rows(const IndexMap& map, std::uint64_t first, std::uint64_t count, std::uint64_t most, const Piece& piece) {
  const std::uint64_t run = map.extent[map.rank - 1];
  while (count > 0) {
    const std::uint64_t at = map.first + first;
    const std::uint64_t n = std::min({count, run - at % run, most});
    piece(first, detail::index_of(map, at), n);
    first += n;
    count -= n;
  }
}

std::byte* address_of(const FillJob& job, std::uint64_t element) {
  return static_cast<std::byte*>(job.address) + place_of(job, element) * size_of(job.params.dtype);
}

void draw(const FillParams& params, void* out, std::uint64_t index, std::uint64_t count, Run run) {
  const bool in_vectors = run != nullptr && params.is_random() && suits_vectors(params, count);
  (in_vectors ? run : run_portable)(params, out, index, count);
}

// Writes elements [first, first + count) of a job, in the order of memory.
void fill_alone(const FillJob& job, std::uint64_t first, std::uint64_t count, Run run) {
  for_rows(job.params.index, first, count, count, [&](std::uint64_t element, std::uint64_t index, std::uint64_t n) {
    draw(job.params, address_of(job, element), index, n, run);
  });
}

// The same for a job and its copies, or for a format that the vector loops do not write: draws once, rounds for each.
void fill_pass(const FillJob* jobs, const FillJob& job, std::uint64_t first, std::uint64_t count, const Loops& loops) {
  constexpr std::uint64_t piece = 2048;  // stays in the innermost cache
  alignas(64) float values[piece];
  FillParams params = job.params;
  params.dtype = DType::float32;
  params.clamped = false;
  params.min = -std::numeric_limits<double>::infinity();
  params.max = std::numeric_limits<double>::infinity();
  for_rows(params.index, first, count, piece, [&](std::uint64_t element, std::uint64_t index, std::uint64_t n) {
    draw(params, values, index, n, loops.run);
    std::uint64_t begin = 0;
    for (const FillJob* to = &job;; to = &jobs[to->next_copy], begin = to->copy_begin) {
      const std::uint64_t from = std::max(element, begin);
      const std::uint64_t end = std::min(element + n, begin + to->params.index.count);
      if (from < end) loops.round(to->params, values + (from - element), address_of(*to, from - begin), end - from);
      if (to->next_copy == FillJob::none) break;
    }
  });
  hwy::FlushStream();  // large copies are written past the cache
}

// Writes the elements in [first, last) of the work of all jobs.
void fill_share(const FillJob* jobs, std::uint64_t first, std::uint64_t last, const Loops& loops) {
  detail::in_default_fp_environment([&] {
    for_parts(jobs, first, last, [&](const FillJob& job, std::uint64_t from, std::uint64_t count) {
      if (job.next_copy == FillJob::none && (loops.run == nullptr || in_vector_loops(job.params))) {
        fill_alone(job, from, count, loops.run);
      } else {
        fill_pass(jobs, job, from, count, loops);
      }
    });
  });
}

}  // namespace

void fill(const FillJob* jobs, std::size_t count, int threads, CpuTarget target) {
  const Round round = vector_round(target);
  const Loops loops{vector_run(target), round != nullptr ? round : round_portable};
  const std::uint64_t total = work_of(jobs, count);
  std::uint64_t shares = std::max<std::uint64_t>(total / least_work_per_thread, 1);
  if (shares > 1) {
    shares = std::min(shares, static_cast<std::uint64_t>(threads > 0 ? threads : available_threads()));
  }
  const auto bound = [&](std::uint64_t share) { return share_begin(share, shares, total); };

  std::vector<std::thread> workers;
  workers.reserve(shares - 1);
  std::uint64_t started = 1;
  try {
    for (; started < shares; ++started) {
      workers.emplace_back([=] { fill_share(jobs, bound(started), bound(started + 1), loops); });
    }
  } catch (...) {
    // The system gives no more threads, so the caller does the rest.
  }
  fill_share(jobs, 0, bound(1), loops);
  if (started < shares) fill_share(jobs, bound(started), total, loops);
  for (std::thread& worker : workers) worker.join();
}

}  // namespace fanin::cpu
