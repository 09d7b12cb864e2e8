// SPDX-License-Identifier: Apache-2.0
// Measures ways to start threads, the size from which threads pay, and the relative cost of the kinds of elements:
// src/cpu/shares.h uses these figures. All rows are interleaved, in touched memory, with a pause before each call, so
// that the spinning threads of one runtime do not run beside those of another.
#include <tbb/parallel_for.h>
#include <tbb/partitioner.h>
#include <tbb/task_arena.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <fanin/fanin.hpp>
#include <functional>
#include <numeric>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace {

using fanin::DType;
using fanin::FillParams;

struct Spread {
  double low, median, high;  // low and high are quartiles
};

// Microseconds of each way over interleaved repetitions: quartiles and median.
std::vector<Spread> measure(const std::vector<std::function<void()>>& ways, int repetitions) {
  std::vector<std::vector<double>> times(ways.size());
  std::vector<std::size_t> order(ways.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::mt19937 random;  // the order matters: a call is faster after one that woke the other cores
  for (int repetition = -1; repetition < repetitions; ++repetition) {  // the first one starts the runtimes' threads
    std::shuffle(order.begin(), order.end(), random);
    for (const std::size_t way : order) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
      const auto begin = std::chrono::steady_clock::now();
      ways[way]();
      const std::chrono::duration<double, std::micro> time = std::chrono::steady_clock::now() - begin;
      if (repetition >= 0) times[way].push_back(time.count());
    }
  }
  std::vector<Spread> spreads;
  for (std::vector<double>& t : times) {
    std::sort(t.begin(), t.end());
    spreads.push_back({t[t.size() / 4], t[t.size() / 2], t[t.size() * 3 / 4]});
  }
  return spreads;
}

// A fill in `parts` even parts, each of which any thread can do.
class Parts {
 public:
  Parts(const fanin::View& view, const FillParams& whole, int parts) {
    const auto number = static_cast<std::uint64_t>(parts);
    const auto begin = [&](std::uint64_t j) {
      return j == number ? whole.index.count : whole.index.count / number * j / 64 * 64;
    };
    for (std::uint64_t j = 0; j < number; ++j) {
      fanin::View place = view;
      place.address = static_cast<char*>(view.address) + begin(j) * size_of(view.dtype);
      place.capacity = (begin(j + 1) - begin(j)) * size_of(view.dtype);
      parts_.emplace_back(place, part_of(whole, begin(j), begin(j + 1) - begin(j)));
    }
  }

  int count() const { return static_cast<int>(parts_.size()); }

  void fill(int part) const {
    const auto& [place, params] = parts_[static_cast<std::size_t>(part)];
    fanin::fill(place, params, {nullptr, 1});
  }

 private:
  std::vector<std::pair<fanin::View, FillParams>> parts_;
};

void by_std_thread(const Parts& parts) {
  std::vector<std::thread> threads;
  for (int part = 1; part < parts.count(); ++part) threads.emplace_back([&parts, part] { parts.fill(part); });
  parts.fill(0);
  for (std::thread& thread : threads) thread.join();
}

void by_openmp(const Parts& parts) {
#pragma omp parallel for schedule(static, 1) num_threads(parts.count())
  for (int part = 0; part < parts.count(); ++part) parts.fill(part);
}

void by_tbb(const Parts& parts, tbb::task_arena& arena) {
  arena.execute([&] {
    tbb::parallel_for(
        0, parts.count(), [&](int part) { parts.fill(part); }, tbb::static_partitioner());
  });
}

void cost_of_a_thread() {
  const auto spreads = measure({[] { std::thread([] {}).join(); },
                                [] {
                                  for (int j = 0; j < 100; ++j) std::thread([] {}).join();
                                }},
                               101);
  std::printf("std::thread, started and joined: %.0f us (%.0f-%.0f) after a pause, %.0f us one after the other\n\n",
              spreads[0].median, spreads[0].low, spreads[0].high, spreads[1].median / 100);
}

void ways_by_size(fanin::Tensor& memory, const char* name, int threads) {
  const fanin::Initializer init = fanin::make(name, 1);
  std::printf("%s, float32, %d threads: microseconds, medians (quartiles), and 1 thread's median over the median\n",
              name, threads);
  std::printf("%10s %30s %30s %30s %30s %30s\n", "KiB", "1 thread", "fill(threads=0)", "std::thread", "OpenMP",
              "oneTBB");
  tbb::task_arena arena(threads);
  for (std::int64_t kib = 16; kib <= 256 << 10; kib *= kib < 4096 ? 2 : 4) {
    const std::int64_t count = kib * 256;
    const FillParams params = init.params({count}, DType::float32);
    const Parts parts(memory.view(), params, threads);
    const auto spreads = measure({[&] {
                                    fanin::fill(memory.view(), params, {nullptr, 1});
                                  },
                                  [&] { fanin::fill(memory.view(), params); }, [&] { by_std_thread(parts); },
                                  [&] { by_openmp(parts); }, [&] { by_tbb(parts, arena); }},
                                 kib < 16384 ? 51 : 25);
    std::printf("%10lld", static_cast<long long>(kib));
    for (const Spread& s : spreads) {
      char text[64];
      std::snprintf(text, sizeof text, "%.0f (%.0f-%.0f) %.2fx", s.median, s.low, s.high, spreads[0].median / s.median);
      std::printf(" %30s", text);
    }
    std::printf("\n");
  }
  std::printf("\n");
}

// Measures the cost of an element in units of work. A unit is the time in which a fill of zeros writes a byte of memory
// that is not in the cache.
void weights(fanin::Tensor& memory) {
  constexpr std::int64_t count = std::int64_t{1} << 21;
  const auto nanoseconds = [&](const char* name, DType dtype, std::int64_t n) {
    const FillParams params = fanin::make(name, 1).params({n}, dtype);
    fanin::View view = memory.view();
    view.dtype = dtype;
    return measure({[&] { fanin::fill(view, params, {nullptr, 1}); }}, 25)[0].median * 1000 / static_cast<double>(n);
  };
  const double byte = nanoseconds("zeros", DType::float32, std::int64_t{1} << 26) / 4;
  std::printf("writing a byte: %.4f ns; an element of 2^21 on one thread, in ns and in bytes' time\n%16s", byte, "");
  const char* names[] = {"zeros", "ones", "he_uniform", "random_normal", "he_normal"};
  for (const char* name : names) std::printf(" %20s", name);
  for (const DType dtype : {DType::float8_e4m3fn, DType::bfloat16, DType::float16, DType::float32, DType::float64}) {
    std::printf("\n%16s", std::string(name_of(dtype)).c_str());
    for (const char* name : names) {
      const double ns = nanoseconds(name, dtype, count);
      char text[64];
      std::snprintf(text, sizeof text, "%.3f %.1f", ns, ns / byte);
      std::printf(" %20s", text);
    }
  }
  std::printf("\n\n");
}

// Measures the cost of a tensor in a plan, and of a row in a block, besides their elements.
void overheads(fanin::Tensor& memory) {
  const fanin::HeNormal init(1);
  constexpr std::int64_t tensors = 10000;
  fanin::Plan plan;
  for (std::int64_t j = 0; j < tensors; ++j) {
    plan.add(init, fanin::view(memory.as<float>() + j * 4, 4), {4}, std::to_string(j));
  }
  const std::int64_t rows = 1 << 16;
  const auto block = [&](std::int64_t columns) {
    fanin::TensorOptions options;
    options.block = {{0, 0}, {rows, columns}};
    return init.params({rows, 1024}, DType::float32, options);
  };
  const FillParams narrow = block(1);
  const FillParams wide = block(64);
  const auto spreads = measure({[&] {
                                  plan.fill({nullptr, 1});
                                },
                                [&] {
                                  fanin::fill(memory.view(), narrow, {nullptr, 1});
                                },
                                [&] {
                                  fanin::fill(memory.view(), wide, {nullptr, 1});
                                }},
                               25);
  std::printf("a tensor of 4 elements in a plan: %.0f ns; a row of 1 element of a block: %.0f ns, of 64: %.0f ns\n",
              spreads[0].median * 1000 / tensors, spreads[1].median * 1000 / static_cast<double>(rows),
              spreads[2].median * 1000 / static_cast<double>(rows));
}

}  // namespace

int main() {
  fanin::Tensor memory({std::int64_t{1} << 26}, DType::float32);
  std::memset(memory.view().address, 1, memory.bytes());
  const auto threads = static_cast<int>(std::thread::hardware_concurrency());
  cost_of_a_thread();
  ways_by_size(memory, "he_normal", threads);
  ways_by_size(memory, "zeros", threads);  // the ceiling: how memory bandwidth scales
  weights(memory);
  overheads(memory);
  return 0;
}
