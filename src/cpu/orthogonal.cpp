// SPDX-License-Identifier: Apache-2.0
#include "cpu/orthogonal.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <exception>
#include <limits>
#include <memory>
#include <new>
#include <string>
#include <vector>

#include "base/fp_environment.h"
#include "cpu/orthogonal_kernels.h"
#include "cpu/threads.h"
#include "fanin/core/arithmetic.h"
#include "fanin/core/values.h"
#include "fanin/error.h"
#include "formulas/matrix_store.h"

namespace fanin::cpu {

namespace {

// The contract's numbers.
constexpr std::size_t panel_width = 48;
constexpr std::size_t chunk_rows = 256;

// Matrices with fewer columns are computed column by column: slivers would be empty for the most part.
constexpr std::size_t least_columns = 16;

// Columns of Q that a thread works on at a time, with a chunk of a panel in the second-level cache.
constexpr std::size_t strip_columns = 128;

// A thread with fewer multiplications than this costs more to start than it saves.
constexpr double least_products_per_thread = 2e6;

// Calls RunOptions::pause on the caller's thread, number 0, every 10 ms or so. When that has thrown, all threads end.
class Pauses {
 public:
  explicit Pauses(void (*pause)()) : pause_(pause) {}

  // Whether the thread, which asks between two steps of its work, goes on.
  bool go_on(std::size_t thread) noexcept {
    if (pause_ != nullptr && thread == 0 && !thrown_ && Clock::now() > next_) {
      try {
        pause_();
      } catch (...) {
        thrown_ = std::current_exception();
        has_ended_ = true;
      }
      next_ = Clock::now() + interval;
    }
    return !has_ended_.load(std::memory_order_relaxed);
  }

  void rethrow() const {
    if (thrown_) std::rethrow_exception(thrown_);
  }

 private:
  using Clock = std::chrono::steady_clock;
  static constexpr std::chrono::milliseconds interval{10};

  void (*pause_)();
  Clock::time_point next_ = Clock::now() + interval;
  std::exception_ptr thrown_;
  std::atomic<bool> has_ended_{false};
};

// Calls f(task) for all tasks, on up to `threads` threads. Tasks begin in ascending order.
template <class F>
void for_tasks(std::size_t count, std::size_t threads, Pauses& pauses, const F& f) {
  std::atomic<std::size_t> next{0};
  on_threads(std::min(threads, count), [&](std::size_t thread) {
    detail::in_default_fp_environment([&] {
      for (std::size_t task = next++; task < count && pauses.go_on(thread); task = next++) f(task, thread);
    });
  });
  pauses.rethrow();
}

std::size_t round_up(std::size_t n, std::size_t step) { return (n + step - 1) / step * step; }

// The sizes of the tall matrix of m rows and n columns, and of its panels.
struct Sizes {
  explicit Sizes(const FillParams& params)
      : m(std::max(params.rows, params.columns)),
        n(std::min(params.rows, params.columns)),
        is_wide(params.rows < params.columns),
        panels((n + panel_width - 1) / panel_width) {}

  std::size_t begin(std::size_t panel) const { return panel * panel_width; }
  std::size_t columns(std::size_t panel) const { return std::min(panel_width, n - begin(panel)); }
  std::size_t rows(std::size_t panel) const { return m - begin(panel); }
  // The distance between rows of a panel: whole vectors, except where single columns are computed.
  std::size_t pitch(std::size_t panel) const { return n < least_columns ? n : round_up(columns(panel), least_columns); }

  std::size_t m, n;
  bool is_wide;
  std::size_t panels;
};

// Panels of the vectors v, and the products of the vectors of a panel.
template <class Real>
struct Reflections {
  explicit Reflections(const Sizes& sizes) : signs(sizes.n) {
    std::size_t size = 0;
    for (std::size_t p = 0; p < sizes.panels; ++p) {
      at.push_back(size);
      size += sizes.rows(p) * sizes.pitch(p);
    }
    vectors.reset(new Real[size]);
    products.resize(sizes.panels * panel_width * panel_width);
  }

  Real* panel(std::size_t p) { return vectors.get() + at[p]; }
  const Real* panel(std::size_t p) const { return vectors.get() + at[p]; }
  Real* triangle(std::size_t p) { return products.data() + p * panel_width * panel_width; }
  const Real* triangle(std::size_t p) const { return products.data() + p * panel_width * panel_width; }

  std::unique_ptr<Real[]> vectors;
  std::vector<std::size_t> at;  // where each panel begins
  std::vector<Real> products;   // a matrix of panel_width columns for each panel
  std::vector<Real> signs;      // of D
};

// Writes the normals of rows [first, last) to the panels; zeros above the diagonal. `row` has room for one row.
template <class Real>
void draw_rows(const FillParams& draws, const Sizes& sizes, std::size_t first, std::size_t last, Run run, Real* row,
               Reflections<Real>& to) {
  for (std::size_t i = first; i < last; ++i) {
    const std::size_t count = std::min(sizes.n, i + 1);
    run_best(draws, row, std::uint64_t{i} * sizes.n, count, run);
    std::fill(row + count, row + sizes.n, Real{0});
    for (std::size_t p = 0; p < sizes.panels && sizes.begin(p) <= i; ++p) {
      const std::size_t pitch = sizes.pitch(p);
      Real* out = to.panel(p) + (i - sizes.begin(p)) * pitch;
      const Real* from = row + sizes.begin(p);
      std::copy(from, from + sizes.columns(p), out);
      std::fill(out + sizes.columns(p), out + pitch, Real{0});
    }
  }
}

// Turns a panel's normals into the vectors v, and computes their products.
template <class Real>
void reflect(const Sizes& sizes, std::size_t p, const OrthogonalTable<Real>& table, Reflections<Real>& reflections) {
  const std::size_t rows = sizes.rows(p), columns = sizes.columns(p), pitch = sizes.pitch(p);
  Real* const x = reflections.panel(p);
  double squares[panel_width] = {};
  for (std::size_t first = 0; first < rows; first += chunk_rows) {
    double sums[panel_width] = {};
    const std::size_t last = std::min(rows, first + chunk_rows);
    for (std::size_t i = first; i < last; ++i) {
      for (std::size_t j = 0; j < columns; ++j) {
        const auto at = static_cast<double>(x[i * pitch + j]);
        if constexpr (sizeof(Real) == sizeof(float)) {
          sums[j] += at * at;  // the product is exact
        } else {
          sums[j] = core::fma(at, at, sums[j]);
        }
      }
    }
    for (std::size_t j = 0; j < columns; ++j) squares[j] += sums[j];
  }
  double scales[panel_width];
  Real heads[panel_width];
  for (std::size_t j = 0; j < columns; ++j) {
    auto head = static_cast<double>(x[j * pitch + j]);
    if (squares[j] == 0) squares[j] = head = 1;
    const double norm = std::sqrt(squares[j]);
    const double sum = norm + std::abs(head);
    scales[j] = 1 / std::sqrt(norm * sum);
    heads[j] = static_cast<Real>(std::copysign(sum * scales[j], head));
    reflections.signs[sizes.begin(p) + j] = static_cast<Real>(std::signbit(head) ? 1 : -1);
  }
  for (std::size_t i = 0; i < rows; ++i) {
    for (std::size_t j = 0; j < columns; ++j) {
      x[i * pitch + j] = static_cast<Real>(static_cast<double>(x[i * pitch + j]) * scales[j]);
    }
  }
  for (std::size_t j = 0; j < columns; ++j) x[j * pitch + j] = heads[j];

  const OrthogonalKernels<Real>& kernels = sizes.n < least_columns ? table.narrow : table.panels;
  Real* const triangle = reflections.triangle(p);
  std::fill_n(triangle, panel_width * panel_width, Real{0});
  for (std::size_t first = 0; first < rows; first += chunk_rows) {
    const std::size_t count = std::min(chunk_rows, rows - first);
    for (std::size_t j = 0; j < columns; j += kernels.width) {
      kernels.dots(x + first * pitch, pitch, columns, x + first * pitch + j, pitch, count, triangle + j, panel_width);
    }
  }
}

// Columns of Q as slivers, each dense, one after the other.
template <class Real>
class Strip {
 public:
  Strip(const Sizes& sizes, const OrthogonalKernels<Real>& kernels, std::size_t columns)
      : sizes_(sizes),
        kernels_(kernels),
        slivers_(new Real[columns * sizes.m]),
        sums_(new Real[columns * panel_width]) {}

  // Computes the columns [first, last) of Q D while go_on().
  template <class GoOn>
  void compute(const Reflections<Real>& reflections, std::size_t first, std::size_t last, const GoOn& go_on) {
    const std::size_t width = kernels_.width, m = sizes_.m;
    const std::size_t count = round_up(last - first, width) / width;
    std::fill_n(slivers_.get(), count * m * width, Real{0});
    for (std::size_t j = first; j < last; ++j) *at(j, j - first) = 1;
    // A panel that begins after a column finds zeros there, and leaves them.
    for (std::size_t p = std::min(sizes_.panels, (last + panel_width - 1) / panel_width); p-- > 0 && go_on();) {
      apply(reflections, p, count);
    }
    for (std::size_t j = first; j < last; ++j) {
      if (reflections.signs[j] > 0) continue;
      for (std::size_t i = 0; i < m; ++i) *at(i, j - first) = -*at(i, j - first);
    }
  }

  Real* at(std::size_t row, std::size_t column) {
    const std::size_t width = kernels_.width;
    return slivers_.get() + (column / width * sizes_.m + row) * width + column % width;
  }

 private:
  void apply(const Reflections<Real>& reflections, std::size_t p, std::size_t count) {
    const std::size_t width = kernels_.width, k = sizes_.begin(p), rows = sizes_.rows(p), columns = sizes_.columns(p);
    const std::size_t pitch = sizes_.pitch(p);
    const Real* const v = reflections.panel(p);
    const auto sums = [&](std::size_t sliver) { return sums_.get() + sliver * width * panel_width; };
    const auto in_chunks = [&](const auto& part) {  // a chunk of the panel stays in the cache for all slivers
      for (std::size_t first = 0; first < rows; first += chunk_rows) {
        const std::size_t n = std::min(chunk_rows, rows - first);
        for (std::size_t s = 0; s < count; ++s) part(v + first * pitch, at(k + first, s * width), n, sums(s));
      }
    };
    std::fill_n(sums_.get(), count * width * panel_width, Real{0});
    in_chunks([&](const Real* left, Real* sliver, std::size_t n, Real* w) {
      kernels_.dots(left, pitch, columns, sliver, width, n, w, width);
    });
    for (std::size_t s = 0; s < count; ++s) kernels_.solve(reflections.triangle(p), panel_width, columns, sums(s));
    in_chunks([&](const Real* left, Real* sliver, std::size_t n, const Real* w) {
      kernels_.update(left, pitch, n, columns, w, sliver);
    });
  }

  const Sizes& sizes_;
  const OrthogonalKernels<Real>& kernels_;
  std::unique_ptr<Real[]> slivers_;
  std::unique_ptr<Real[]> sums_;  // w of each sliver
};

FillParams draws_of(const FillParams& params) {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  FillParams draws = params;
  draws.kind = FillParams::Kind::normal;
  draws.dtype = params.dtype == DType::float64 ? DType::float64 : DType::float32;
  draws.shifted = draws.clamped = false;
  draws.scale = 1;
  draws.lower = draws.min = -infinity;
  draws.upper = draws.max = infinity;
  return draws;
}

template <class Real>
std::shared_ptr<const void> computed(const FillParams& params, const HostRun& how) {
  const Sizes sizes(params);
  const std::size_t m = sizes.m, n = sizes.n;
  const OrthogonalTable<Real>& table = orthogonal_table<Real>(how.target);
  const OrthogonalKernels<Real>& kernels = n < least_columns ? table.narrow : table.slivers;

  const double products = 2 * static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(n);
  const auto threads = static_cast<std::size_t>(
      std::max(1.0, std::min(static_cast<double>(how.most_threads()), products / least_products_per_thread)));
  // Two strips or more for each thread, so that they end together.
  const std::size_t strip = std::min(strip_columns, round_up((n + 2 * threads - 1) / (2 * threads), kernels.width));
  const std::size_t strips = (n + strip - 1) / strip;

  const std::shared_ptr<Real[]> result(new Real[m * n]);
  Real* const out = result.get();
  Reflections<Real> reflections(sizes);
  std::vector<Strip<Real>> work;
  work.reserve(threads);
  for (std::size_t t = 0; t < std::min(threads, strips); ++t) work.emplace_back(sizes, kernels, strip);

  const std::unique_ptr<Real[]> drawn(new Real[threads * n]);  // a row for each thread
  const FillParams draws = draws_of(params);
  const Run run = vector_run(how.target);
  Pauses pauses(how.pause);
  const std::size_t rows_each = std::max<std::size_t>(1, std::min<std::size_t>(chunk_rows, m / threads / 4));
  for_tasks((m + rows_each - 1) / rows_each, threads, pauses, [&](std::size_t task, std::size_t thread) {
    draw_rows(draws, sizes, task * rows_each, std::min(m, (task + 1) * rows_each), run, drawn.get() + thread * n,
              reflections);
  });
  for_tasks(sizes.panels, threads, pauses, [&](std::size_t p, std::size_t) { reflect(sizes, p, table, reflections); });
  for_tasks(strips, work.size(), pauses, [&](std::size_t task, std::size_t thread) {
    const std::size_t first = (strips - 1 - task) * strip;  // the last ones take the longest
    const std::size_t last = std::min(n, first + strip);
    Strip<Real>& q = work[thread];
    q.compute(reflections, first, last, [&] { return pauses.go_on(thread); });
    if (sizes.is_wide) {
      for (std::size_t j = first; j < last; ++j) {
        for (std::size_t i = 0; i < m; ++i) out[j * m + i] = *q.at(i, j - first);
      }
    } else {
      for (std::size_t i = 0; i < m; ++i) {
        for (std::size_t j = first; j < last; ++j) out[i * n + j] = *q.at(i, j - first);
      }
    }
  });
  return {result, out};
}

}  // namespace

void check_orthogonal(const FillParams& params) {
  const Sizes sizes(params);
  const std::size_t size = params.dtype == DType::float64 ? sizeof(double) : sizeof(float);
  // The matrix and its reflections, each padded.
  const double bytes = 2.0 * static_cast<double>(sizes.m) * static_cast<double>(sizes.n) * static_cast<double>(size);
  const double memory = static_cast<double>(sysconf(_SC_PHYS_PAGES)) * static_cast<double>(sysconf(_SC_PAGESIZE));
  if (bytes > memory) {
    throw InvalidArgument("An orthogonal matrix is computed as a whole, also for a block, which takes twice its " +
                          std::string("memory in ") + (size == sizeof(double) ? "float64" : "float32") + ". " +
                          std::to_string(params.rows) + " x " + std::to_string(params.columns) +
                          " elements need more memory than this machine has");
  }
  // A compiler may leave out a new expression, but not these calls.
  ::operator delete(::operator new(static_cast<std::size_t>(bytes)));
}

Orthogonal::Orthogonal(const FillParams& params, std::uint64_t count, const HostRun& run) : params_(params) {
  const bool is_binary64 = params.dtype == DType::float64;
  HostRun how = run;
  // Other threads wait for a matrix of which parts are needed, so the caller's must not wait for them in a pause.
  if (count != params.rows * params.columns) how.pause = nullptr;
  const auto make = [&] { return (is_binary64 ? computed<double> : computed<float>)(params, how); };
  matrix_ =
      params.matrices->get({params.rows, params.columns, params.seed, params.subsequence, is_binary64}, count, make);
}

void Orthogonal::write(void* out, std::uint64_t index, std::uint64_t count, Round round) const noexcept {
  if (params_.dtype == DType::float64) {
    const double* from = static_cast<const double*>(matrix_.get()) + index;
    auto* to = static_cast<double*>(out);
    for (std::uint64_t k = 0; k < count; ++k) to[k] = core::clamp(from[k] * params_.scale, params_.min, params_.max);
    return;
  }
  constexpr std::size_t piece = 512;
  const float* from = static_cast<const float*>(matrix_.get()) + index;
  const auto gain = static_cast<float>(params_.scale);
  auto* to = static_cast<std::byte*>(out);
  for (std::uint64_t first = 0; first < count; first += piece) {
    const std::uint64_t n = std::min<std::uint64_t>(piece, count - first);
    float values[piece];
    for (std::uint64_t k = 0; k < n; ++k) values[k] = from[first + k] * gain;
    round(params_, values, to + first * size_of(params_.dtype), n);
  }
}

}  // namespace fanin::cpu
