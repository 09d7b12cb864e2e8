// SPDX-License-Identifier: Apache-2.0
#include "cpu/fill.h"

#if defined(__linux__)
#include <sched.h>
#endif

#include <algorithm>
#include <thread>
#include <vector>

#include "cpu/run.h"
#include "fanin/dtype.h"
#include "fp_environment.h"

namespace fanin::cpu {

namespace {

// Below this many elements a thread costs more to start than it saves.
constexpr std::uint64_t least_per_thread = 1 << 16;

// Writes elements [first, first + count) of a job, in the order of memory.
void fill_part(const FillJob& job, std::uint64_t first, std::uint64_t count) {
  const IndexMap& map = job.params.index;
  const std::size_t size = size_of(job.params.dtype);
  auto* out = static_cast<std::byte*>(job.address) + first * size;
  const std::uint64_t run = map.extent[map.rank - 1];
  for (first += map.first; count > 0;) {
    std::uint64_t rest = first / run;
    const std::uint64_t column = first % run;
    std::uint64_t index = map.start + column;
    for (std::uint32_t j = map.rank - 1; j-- > 0; rest /= map.extent[j]) index += rest % map.extent[j] * map.stride[j];
    const std::uint64_t n = std::min(count, run - column);
    run_portable(job.params, out, index, n);
    out += n * size;
    first += n;
    count -= n;
  }
}

// Writes elements [first, last) of all jobs laid end to end.
void fill_share(const FillJob* jobs, std::uint64_t first, std::uint64_t last) {
  const detail::DefaultFpEnvironment environment;
  for (std::uint64_t begin = 0; begin < last; ++jobs) {
    const std::uint64_t end = begin + jobs->params.index.count;
    if (end > first) fill_part(*jobs, std::max(first, begin) - begin, std::min(last, end) - std::max(first, begin));
    begin = end;
  }
}

}  // namespace

int available_threads() {
#if defined(__linux__)
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) return std::max(1, CPU_COUNT(&set));
#endif
  return static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
}

void fill(const FillJob* jobs, std::size_t count, int threads) {
  std::uint64_t total = 0;
  for (std::size_t j = 0; j < count; ++j) total += jobs[j].params.index.count;
  if (threads <= 0) threads = available_threads();
  const std::uint64_t shares =
      std::clamp<std::uint64_t>(total / least_per_thread, 1, static_cast<std::uint64_t>(threads));
  // Shares begin at multiples of 64 elements, so that threads seldom meet in a cache line or a Philox block.
  const auto bound = [&](std::uint64_t share) { return share == shares ? total : total / shares * share / 64 * 64; };

  std::vector<std::thread> workers;
  workers.reserve(shares - 1);
  std::uint64_t started = 1;
  try {
    for (; started < shares; ++started) {
      workers.emplace_back(fill_share, jobs, bound(started), bound(started + 1));
    }
  } catch (...) {
    // No more threads to be had: the caller does what is left.
  }
  fill_share(jobs, 0, bound(1));
  if (started < shares) fill_share(jobs, bound(started), total);
  for (std::thread& worker : workers) worker.join();
}

}  // namespace fanin::cpu
