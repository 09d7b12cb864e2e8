// SPDX-License-Identifier: Apache-2.0
#include "cpu/fill.h"

#include <hwy/cache_control.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <limits>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "base/fp_environment.h"
#include "cpu/computed.h"
#include "cpu/low_precision.h"
#include "cpu/orthogonal.h"
#include "cpu/run.h"
#include "cpu/shares.h"
#include "cpu/threads.h"
#include "fanin/dtype.h"
#include "params/index_map.h"
#include "params/output_scale.h"

namespace fanin::cpu {

namespace {

struct Loops {
  Run run;      // null: run_portable
  Round round;  // used only by fill_pass
};

// Calls piece(element, index, count) for pieces of a job's elements [first, first + count). The elements of a piece
// have consecutive indices and are in one row, and there are at most `most`.
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
  return static_cast<std::byte*>(job.address) + detail::bytes_in_memory(job.params, place_of(job, element));
}

// Writes elements [first, first + count) of a job, in the order of memory.
void fill_alone(const FillJob& job, std::uint64_t first, std::uint64_t count, Run run) {
  for_rows(job.params.index, first, count, count, [&](std::uint64_t element, std::uint64_t index, std::uint64_t n) {
    run_best(job.params, address_of(job, element), index, n, run);
  });
}

// Does the same for a leader and its copies, or for a job in a format that the vector loops do not write. It draws once
// and rounds for each job.
void fill_pass(const FillJob* jobs, const FillJob& job, std::uint64_t first, std::uint64_t count, const Loops& loops) {
  constexpr std::uint64_t piece = 2048;  // fits into the first-level cache
  alignas(64) float values[piece];
  FillParams params = job.params;
  params.dtype = DType::float32;
  params.clamped = false;
  params.min = -std::numeric_limits<double>::infinity();
  params.max = std::numeric_limits<double>::infinity();
  for_rows(params.index, first, count, piece, [&](std::uint64_t element, std::uint64_t index, std::uint64_t n) {
    run_best(params, values, index, n, loops.run);
    std::uint64_t begin = 0;
    for (const FillJob* to = &job;; to = &jobs[to->next_copy], begin = to->copy_begin) {
      const std::uint64_t from = std::max(element, begin);
      const std::uint64_t end = std::min(element + n, begin + to->params.index.count);
      if (from < end) loops.round(to->params, values + (from - element), address_of(*to, from - begin), end - from);
      if (to->next_copy == FillJob::none) break;
    }
  });
  hwy::FlushStream();  // large copies bypass the cache
}

// The computed values of all jobs, by the number of the job.
using AllComputed = std::vector<std::unique_ptr<const Computed>>;

// Returns an empty vector if no job has computed values.
AllComputed computed_of(const FillJob* jobs, std::size_t count) {
  AllComputed all;
  for (std::size_t j = 0; j < count; ++j) {
    const FillParams& params = jobs[j].params;
    if (params.kind != FillParams::Kind::computed) continue;
    all.resize(count);
    all[j] = std::make_unique<const Computed>(params.is_low_precision() ? values_of(params) : params);
  }
  return all;
}

// Calls work(arithmetic), which is null if the values need none.
template <class Work>
void with_arithmetic(const Computed& computed, const Work& work) {
  std::optional<Arithmetic> arithmetic;
  if (computed.uses_exact_functions()) arithmetic.emplace();
  work(arithmetic ? &*arithmetic : nullptr);
}

// Writes elements [first, first + count) of a job of low precision. values(buffer, index, n) computes values.
template <class Real, class Values>
void fill_low_precision(const FillJob& job, std::uint64_t first, std::uint64_t count, Round round,
                        const Values& values) {
  constexpr std::uint64_t piece = 2048;  // a multiple of every group of a scale; fits into the first-level cache
  alignas(64) Real buffer[piece];
  const LowPrecision elements(job.params, round);
  for_rows(job.params.index, first, count, piece, [&](std::uint64_t element, std::uint64_t index, std::uint64_t n) {
    values(buffer, index, n);
    elements.write(buffer, job.params.index.first + element, index, n, address_of(job, element));
  });
}

// Does the same for a job whose values are no matrix. `computed` is null unless they are computed.
void fill_low_precision(const FillJob& job, std::uint64_t first, std::uint64_t count, const Computed* computed,
                        const Loops& loops) {
  if (computed != nullptr) {
    with_arithmetic(*computed, [&](Arithmetic* arithmetic) {
      fill_low_precision<double>(job, first, count, loops.round, [&](double* to, std::uint64_t index, std::uint64_t n) {
        computed->write(to, index, n, loops.run, arithmetic);
      });
    });
    return;
  }
  const FillParams params = values_of(job.params);
  const auto values = [&](auto* to, std::uint64_t index, std::uint64_t n) {
    run_best(params, to, index, n, loops.run);
  };
  if (params.dtype == DType::float64) {
    fill_low_precision<double>(job, first, count, loops.round, values);
  } else {
    fill_low_precision<float>(job, first, count, loops.round, values);
  }
}

// Writes the elements in [first, last) of the work of all jobs.
void fill_share(const FillJob* jobs, const AllComputed& computed, std::uint64_t first, std::uint64_t last,
                const Loops& loops) {
  detail::in_default_fp_environment([&] {
    for_parts(jobs, first, last, [&](const FillJob& job, std::uint64_t from, std::uint64_t count) {
      const bool is_computed = job.params.kind == FillParams::Kind::computed;
      if (job.params.is_low_precision()) {
        const Computed* values = is_computed ? computed[static_cast<std::size_t>(&job - jobs)].get() : nullptr;
        fill_low_precision(job, from, count, values, loops);
      } else if (is_computed) {
        const Computed& values = *computed[static_cast<std::size_t>(&job - jobs)];
        with_arithmetic(values, [&](Arithmetic* arithmetic) {
          for_rows(job.params.index, from, count, count,
                   [&](std::uint64_t element, std::uint64_t index, std::uint64_t n) {
                     values.write(address_of(job, element), index, n, loops.run, arithmetic);
                   });
        });
      } else if (job.next_copy == FillJob::none && (loops.run == nullptr || in_vector_loops(job.params))) {
        fill_alone(job, from, count, loops.run);
      } else {
        fill_pass(jobs, job, from, count, loops);
      }
    });
  });
}

// Calls share(first, last) for equal shares of work, on several threads if it is worth that. With run.pause, it does so
// for one slice of the work after the other.
template <class Share>
void in_shares(std::uint64_t total, const HostRun& run, const Share& share) {
  std::uint64_t threads = std::max<std::uint64_t>(total / least_work_per_thread, 1);
  if (threads > 1) {
    threads = std::min(threads, static_cast<std::uint64_t>(run.most_threads()));
  }
  const std::uint64_t slice = run.pause == nullptr ? total : threads * work_between_pauses;
  std::uint64_t begin = 0;
  do {
    if (begin > 0) run.pause();
    const std::uint64_t work = std::min(slice, total - begin);
    on_threads(threads, [&](std::uint64_t number) {
      share(begin + share_begin(number, threads, work), begin + share_begin(number + 1, threads, work));
    });
    begin += work;
  } while (begin < total);
}

// Throws InvalidArgument for the first element of a job that is not finite.
void check(const FillJob& job, const Computed& computed, const HostRun& run) {
  bool is_finite = job.params.finite;
  if (!is_finite) {
    with_arithmetic(computed, [&](Arithmetic* arithmetic) { is_finite = computed.is_finite(arithmetic); });
  }
  if (is_finite) return;
  std::atomic<std::uint64_t> first_element{Computed::none}, its_index{Computed::none};
  std::mutex finding;
  const Run loop = vector_run(run.target);
  in_shares(work_of(&job, 1), run, [&](std::uint64_t begin, std::uint64_t end) {
    detail::in_default_fp_environment([&] {
      for_parts(&job, begin, end, [&](const FillJob&, std::uint64_t from, std::uint64_t count) {
        with_arithmetic(computed, [&](Arithmetic* arithmetic) {
          constexpr std::uint64_t piece = 1 << 16;  // after each, a share looks whether another has found one
          for_rows(job.params.index, from, count, piece,
                   [&](std::uint64_t element, std::uint64_t index, std::uint64_t n) {
                     if (element > first_element.load(std::memory_order_relaxed)) return;
                     const std::uint64_t found = computed.first_not_finite(index, n, loop, arithmetic);
                     if (found == Computed::none) return;
                     const std::lock_guard lock(finding);
                     if (element + (found - index) > first_element) return;
                     first_element = element + (found - index);
                     its_index = found;
                   });
        });
      });
    });
  });
  if (its_index != Computed::none) computed.refuse(its_index);
}

// Computes the matrix of a job and writes its elements.
void fill_orthogonal(const FillJob& job, const HostRun& run, Round round) {
  if (job.params.index.count == 0) return;
  const bool is_low_precision = job.params.is_low_precision();
  const Orthogonal matrix(is_low_precision ? values_of(job.params) : job.params, job.params.index.count, run);
  const auto write_low_precision = [&](auto real, std::uint64_t element, std::uint64_t count) {
    fill_low_precision<decltype(real)>(job, element, count, round, [&](void* to, std::uint64_t index, std::uint64_t n) {
      matrix.write(to, index, n, round_portable);  // the vector loop's large fills bypass the cache
    });
  };
  in_shares(job.params.index.count * round_work, run, [&](std::uint64_t first, std::uint64_t last) {
    const auto element_at = [&](std::uint64_t work) {
      const std::uint64_t all = job.params.index.count;
      return work == all * round_work ? all : work / round_work / share_granularity * share_granularity;
    };
    const std::uint64_t element = element_at(first);
    const std::uint64_t end = element_at(last);
    detail::in_default_fp_environment([&] {
      if (is_low_precision) {
        job.params.dtype == DType::float64 ? write_low_precision(double{}, element, end - element)
                                           : write_low_precision(float{}, element, end - element);
        return;
      }
      for_rows(job.params.index, element, end - element, end - element,
               [&](std::uint64_t at, std::uint64_t index, std::uint64_t n) {
                 matrix.write(address_of(job, at), index, n, round);
               });
      hwy::FlushStream();  // large fills bypass the cache
    });
  });
}

AllComputed checked(const FillJob* jobs, std::size_t count, const HostRun& run) {
  for (std::size_t j = 0; j < count; ++j) {
    const FillParams& params = jobs[j].params;
    if (params.kind == FillParams::Kind::orthogonal && params.index.count != 0) check_orthogonal(params);
  }
  return detail::in_default_fp_environment([&] {
    AllComputed all = computed_of(jobs, count);
    for (std::size_t j = 0; j < all.size(); ++j) {
      if (all[j] != nullptr) check(jobs[j], *all[j], run);
    }
    return all;
  });
}

}  // namespace

void check(const FillJob* jobs, std::size_t count, const HostRun& run) { checked(jobs, count, run); }

void prepare(const FillParams& params, const HostRun& run) {
  const FillJob job{nullptr, params};
  checked(&job, 1, run);
  const std::uint64_t size = params.rows * params.columns;
  if (params.kind == FillParams::Kind::orthogonal && size != 0) Orthogonal(params, 0, run);
}

void fill(const FillJob* jobs, std::size_t count, const HostRun& run) {
  const Round round = vector_round(run.target);
  const Loops loops{vector_run(run.target), round != nullptr ? round : round_portable};
  const AllComputed computed = checked(jobs, count, run);
  for (std::size_t j = 0; j < count; ++j) {
    if (jobs[j].params.kind == FillParams::Kind::orthogonal) fill_orthogonal(jobs[j], run, loops.round);
  }
  in_shares(work_of(jobs, count), run,
            [&](std::uint64_t first, std::uint64_t last) { fill_share(jobs, computed, first, last, loops); });
}

}  // namespace fanin::cpu
