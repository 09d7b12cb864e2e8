// SPDX-License-Identifier: Apache-2.0
#include "cpu/fill.h"

#include <algorithm>
#include <thread>
#include <vector>

#include "base/fp_environment.h"
#include "cpu/run.h"
#include "cpu/shares.h"
#include "fanin/dtype.h"
#include "params/index_map.h"

namespace fanin::cpu {

namespace {

// Writes elements [first, first + count) of a job, in the order of memory.
void fill_part(const FillJob& job, std::uint64_t first, std::uint64_t count, Run vectors) {
  const IndexMap& map = job.params.index;
  const std::size_t size = size_of(job.params.dtype);
  auto* out = static_cast<std::byte*>(job.address) + first * size;
  const std::uint64_t run = map.extent[map.rank - 1];
  for (first += map.first; count > 0;) {
    const std::uint64_t index = detail::index_of(map, first);
    const std::uint64_t n = std::min(count, run - first % run);
    const bool in_vectors = vectors != nullptr && job.params.is_random() && suits_vectors(job.params, n);
    (in_vectors ? vectors : run_portable)(job.params, out, index, n);
    out += n * size;
    first += n;
    count -= n;
  }
}

// Writes the elements in [first, last) of the work of all jobs.
void fill_share(const FillJob* jobs, std::uint64_t first, std::uint64_t last, Run vectors) {
  detail::in_default_fp_environment([&] {
    for_parts(jobs, first, last, [&](const FillJob& job, std::uint64_t from, std::uint64_t count) {
      fill_part(job, from, count, vectors);
    });
  });
}

}  // namespace

void fill(const FillJob* jobs, std::size_t count, int threads, CpuTarget target) {
  const Run vectors = vector_run(target);
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
      workers.emplace_back([=] { fill_share(jobs, bound(started), bound(started + 1), vectors); });
    }
  } catch (...) {
    // The system gives no more threads, so the caller does the rest.
  }
  fill_share(jobs, 0, bound(1), vectors);
  if (started < shares) fill_share(jobs, bound(started), total, vectors);
  for (std::thread& worker : workers) worker.join();
}

}  // namespace fanin::cpu
