// SPDX-License-Identifier: Apache-2.0
// Measures fills of host memory on one thread, with memset as the ceiling: scripts/benchmark.
#include <benchmark/benchmark.h>

#include <cstring>
#include <fanin/fanin.hpp>
#include <limits>
#include <string>
#include <utility>

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr std::int64_t elements = std::int64_t{1} << 24;

void count(benchmark::State& state, std::size_t bytes) {
  const auto runs = static_cast<std::int64_t>(state.iterations());
  state.SetItemsProcessed(runs * elements);
  state.SetBytesProcessed(runs * static_cast<std::int64_t>(bytes));
}

void memset_of(benchmark::State& state) {
  fanin::Tensor memory({elements}, fanin::DType::float32);
  std::memset(memory.data(), 1, memory.bytes());  // so that page faults are not timed
  for (auto _ : state) {
    std::memset(memory.data(), 0x3c, memory.bytes());  // some processors write zeros over zeros much faster
    benchmark::ClobberMemory();
  }
  count(state, memory.bytes());
}

void fill_with(benchmark::State& state, const fanin::Initializer& init, fanin::DType dtype) {
  fanin::Tensor memory({elements}, dtype);
  std::memset(memory.data(), 1, memory.bytes());
  fanin::RunOptions options;
  options.threads = 1;
  for (auto _ : state) init.fill(memory.view(), {elements}, {}, options);
  count(state, memory.bytes());
}

// A tensor and its copy in another dtype, drawn once.
void fill_with_copy(benchmark::State& state, const fanin::Initializer& init, fanin::DType dtype, fanin::DType copied) {
  fanin::Tensor memory({elements}, dtype), copy({elements}, copied);
  std::memset(memory.data(), 1, memory.bytes());
  std::memset(copy.data(), 1, copy.bytes());
  fanin::Plan plan;
  plan.add_copy(plan.add(init, memory.view(), {elements}), copy.view());
  fanin::RunOptions options;
  options.threads = 1;
  for (auto _ : state) plan.fill(options);
  count(state, memory.bytes() + copy.bytes());
}

}  // namespace

int main(int argc, char** argv) {
  benchmark::RegisterBenchmark("memset/float32", memset_of);
  for (const fanin::DType dtype : {fanin::DType::float32, fanin::DType::bfloat16, fanin::DType::float64}) {
    for (const char* name : {"he_normal", "random_normal", "he_uniform", "zeros"}) {
      const std::string label = std::string(name) + "/" + std::string(fanin::name_of(dtype));
      benchmark::RegisterBenchmark(label.c_str(), fill_with, fanin::make(name, 1), dtype);
    }
    // Narrow windows, which have their own sampler, and half of a normal, which rejects half of the draws.
    for (const auto& [lower, upper] : {std::pair(1.0, 2.0), {-0.5, 0.5}, {3.0, 8.0}, {0.0, infinity}}) {
      const std::string label = "truncated_normal from " + std::to_string(lower) + " to " + std::to_string(upper) +
                                "/" + std::string(fanin::name_of(dtype));
      benchmark::RegisterBenchmark(label.c_str(), fill_with, fanin::TruncatedNormal(0, 1, 1, lower, upper), dtype);
    }
  }
  for (const char* name : {"he_normal", "he_uniform"}) {
    for (const fanin::DType copied : {fanin::DType::bfloat16, fanin::DType::float16, fanin::DType::float8_e4m3fn}) {
      const std::string label = std::string(name) + "/float32 and " + std::string(fanin::name_of(copied));
      benchmark::RegisterBenchmark(label.c_str(), fill_with_copy, fanin::make(name, 1), fanin::DType::float32, copied);
    }
  }
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}
