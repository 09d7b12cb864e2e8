// SPDX-License-Identifier: Apache-2.0
// Compares fills of device memory with memset, a plain store kernel, cuRAND and hand-written kernels, timed by CUDA
// events. It does not use Google Benchmark, because few machines with a GPU have it.
#include <cuda_runtime.h>
#include <curand_kernel.h>
#include <thrust/device_ptr.h>
#include <thrust/execution_policy.h>
#include <thrust/iterator/counting_iterator.h>
#include <thrust/transform.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <random>
#include <sstream>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "cuda/fill_kernels.h"
#include "cuda/launch.h"
#include "fanin/fanin.hpp"
#ifdef FANIN_HAS_CURAND
#include <curand.h>
#endif

namespace {

using fanin::DType;
using Clock = std::chrono::steady_clock;

void check(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return;
  cudaGetLastError();
  throw std::runtime_error(std::string(what) + ": " + cudaGetErrorString(error));
}
#define CUDA_CHECK(call) check(call, #call)

double seconds_since(Clock::time_point begin) { return std::chrono::duration<double>(Clock::now() - begin).count(); }

// ---- rivals -------------------------------------------------------------------------------------------------------

__global__ void store_16_bytes(uint4* out, std::size_t count, uint4 value) {
  const std::size_t step = std::size_t{gridDim.x} * blockDim.x;
  for (std::size_t j = std::size_t{blockIdx.x} * blockDim.x + threadIdx.x; j < count; j += step) out[j] = value;
}

__global__ void do_nothing() {}

constexpr unsigned store_threads = 256;
constexpr const char* nothing = "a kernel of nothing";

void store(void* memory, std::size_t bytes, unsigned max_blocks, cudaStream_t stream) {
  const std::size_t count = bytes / 16;
  const std::size_t blocks = std::min<std::size_t>((count + store_threads - 1) / store_threads, max_blocks);
  // A device may compress zeros.
  store_16_bytes<<<static_cast<unsigned>(blocks), store_threads, 0, stream>>>(
      static_cast<uint4*>(memory), count, make_uint4(0x3c9d2f41u, 0xbd1b7a63u, 0x3e27c095u, 0xbf0d56e7u));
  CUDA_CHECK(cudaGetLastError());
}

// The usual hand-written kernel: a state per element, so that the values do not depend on the grid.
struct ByHand {
  enum Kind { normal, truncated_normal, uniform } kind;
  __device__ float operator()(std::uint64_t i) const {
    curandStatePhilox4_32_10_t state;
    curand_init(42, i, 0, &state);
    if (kind == uniform) return 0.1F * curand_uniform(&state) - 0.05F;
    float z = curand_normal(&state);
    while (kind == truncated_normal && fabsf(z) > 2.0F) z = curand_normal(&state);
    return 0.02F * z;
  }
};

void fill_by_hand(float* memory, std::size_t count, ByHand how, cudaStream_t stream) {
  const thrust::counting_iterator<std::uint64_t> first(0);
  thrust::transform(thrust::cuda::par_nosync.on(stream), first, first + static_cast<std::ptrdiff_t>(count),
                    thrust::device_pointer_cast(memory), how);
}

#ifdef FANIN_HAS_CURAND
void check_curand(curandStatus_t status, const char* what) {
  if (status != CURAND_STATUS_SUCCESS) {
    throw std::runtime_error(std::string(what) + ": curandStatus_t " + std::to_string(status));
  }
}
#define CURAND_CHECK(call) check_curand(call, #call)

class Generator {
 public:
  explicit Generator(curandOrdering_t ordering) {
    CURAND_CHECK(curandCreateGenerator(&generator_, CURAND_RNG_PSEUDO_PHILOX4_32_10));
    CURAND_CHECK(curandSetPseudoRandomGeneratorSeed(generator_, 42));
    CURAND_CHECK(curandSetGeneratorOrdering(generator_, ordering));
  }
  ~Generator() {
    if (generator_ != nullptr) curandDestroyGenerator(generator_);
  }
  Generator(const Generator&) = delete;
  Generator& operator=(const Generator&) = delete;

  curandGenerator_t on(cudaStream_t stream) {
    CURAND_CHECK(curandSetStream(generator_, stream));
    return generator_;
  }

 private:
  curandGenerator_t generator_ = nullptr;
};
#endif

// ---- measurements -------------------------------------------------------------------------------------------------

struct Options {
  bool quick = false;
  int device = 0;
  int repetitions = 15;
  std::size_t max_bytes = std::size_t{1} << 32;
  double seconds = 1e9;
  std::string json;
  std::vector<std::string> only;
};

// Something to time. `run` puts work on the stream and does not wait.
struct Workload {
  std::string group;  // the report's section
  std::string name;
  std::string dtype;  // "bytes" for memset and stores
  std::size_t bytes;
  std::size_t elements;
  std::function<void(cudaStream_t)> run;
  std::string how = "stream";
  std::string policy;      // in a sweep: "table_copies threads_per_block blocks"
  double fills = 1;        // in one run
  bool only_warm = false;  // measure only with a warm cache
  int lead = 2;            // flushes before it, which give the host time to put it on the stream
};

struct Row {
  Workload what;
  std::string l2;
  int launches = 1;
  std::vector<double> seconds;  // of one fill
};

class Bench {
 public:
  explicit Bench(const Options& options) : options_(options), begin_(Clock::now()) {
    CUDA_CHECK(cudaSetDevice(options_.device));
    CUDA_CHECK(cudaGetDeviceProperties(&device_, options_.device));
    CUDA_CHECK(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking));
    CUDA_CHECK(cudaStreamCreateWithFlags(&second_stream_, cudaStreamNonBlocking));
    CUDA_CHECK(cudaEventCreateWithFlags(&fork_, cudaEventDisableTiming));
    CUDA_CHECK(cudaEventCreateWithFlags(&join_, cudaEventDisableTiming));
    CUDA_CHECK(cudaEventCreate(&before_));
    CUDA_CHECK(cudaEventCreate(&after_));
    std::size_t free = 0;
    std::size_t total = 0;
    CUDA_CHECK(cudaMemGetInfo(&free, &total));
    while (options_.max_bytes > free / 2) options_.max_bytes /= 2;
    CUDA_CHECK(cudaMalloc(&memory_, options_.max_bytes));
    // Twice the cache's size, so that all cache lines are dirty and a fill must wait until they are written back.
    flush_bytes_ = options_.quick ? 1 << 16 : 2 * static_cast<std::size_t>(std::max(device_.l2CacheSize, 1 << 20));
    CUDA_CHECK(cudaMalloc(&flush_, flush_bytes_));
  }

  // Returns false if a measurement fails; earlier ones are kept.
  bool measure_all() {
    try {
      warm_up();
      make_generators();
      plan();
      // The largest sizes come first, because the bars use them and time may run out.
      const std::size_t step = options_.quick ? 16 : 4;
      size(options_.max_bytes);
      layouts(options_.max_bytes / 4);
      for (std::size_t bytes = options_.max_bytes; bytes >= 1024; bytes /= 64) zeros(bytes);
      middle();
      for (std::size_t bytes = options_.max_bytes / step; bytes >= 1024; bytes /= step) size(bytes);
      for (std::size_t bytes = 1024; bytes <= std::min(options_.max_bytes, std::size_t{1} << 17); bytes *= 2) {
        small(bytes);
      }
      for (std::size_t bytes = options_.max_bytes / 4; bytes >= 1 << 16; bytes /= 16) policies(bytes);
      return true;
    } catch (const std::exception& error) {
      left_out_["what came after an error"] = error.what();
      return false;
    }
  }

  void print() const;
  void write_json(const std::string& path) const;

 private:
  bool wanted(const Workload& w) const {
    const std::string text = w.group + " " + w.name + " " + w.dtype;
    return options_.only.empty() ||
           std::any_of(options_.only.begin(), options_.only.end(),
                       [&](const std::string& part) { return text.find(part) != std::string::npos; });
  }
  fanin::Device place() const { return fanin::cuda(options_.device); }
  unsigned multiprocessors() const { return static_cast<unsigned>(device_.multiProcessorCount); }

  // Work raises the clocks.
  void warm_up() {
    const auto start = Clock::now();
    do {
      store(memory_, options_.max_bytes, ~0u, stream_);
      CUDA_CHECK(cudaStreamSynchronize(stream_));
    } while (!options_.quick && seconds_since(start) < 0.5);
  }

  // The time of one fill. The stream is busy before the first event, so that the host's time for a single launch is
  // hidden. For many small launches it is not, as in a program that makes them.
  double time(const Workload& w, bool cold, int launches) {
    if (cold) {
      for (int j = 0; j < w.lead; ++j) store(flush_, flush_bytes_, ~0u, stream_);
    } else {
      w.run(stream_);
    }
    CUDA_CHECK(cudaEventRecord(before_, stream_));
    for (int j = 0; j < launches; ++j) w.run(stream_);
    CUDA_CHECK(cudaEventRecord(after_, stream_));
    CUDA_CHECK(cudaEventSynchronize(after_));
    float milliseconds = 0;
    CUDA_CHECK(cudaEventElapsedTime(&milliseconds, before_, after_));
    return static_cast<double>(milliseconds) * 1e-3 / launches / w.fills;
  }

  // Each round runs every workload once, in a random order, so that changes of the machine's speed affect all alike.
  void measure(const std::vector<Workload>& workloads, int repetitions) {
    const std::size_t first = rows_.size();
    for (const Workload& w : workloads) {
      if (!wanted(w)) continue;
      if (seconds_since(begin_) > options_.seconds) {
        left_out_[w.group + ", " + std::to_string(w.bytes) + " bytes and what follows"] = "no time left";
        break;
      }
      try {
        time(w, false, 1);  // loads the kernels
        const double once = time(w, false, 1) * w.fills;
        const double launches = std::clamp(2e-4 / std::max(once, 1e-9), 1.0, options_.quick ? 2.0 : 64.0);
        const bool can_be_warm = w.bytes <= flush_bytes_;
        if (!w.only_warm || !can_be_warm) rows_.push_back({w, "cold", 1, {}});
        if (can_be_warm) rows_.push_back({w, "warm", static_cast<int>(launches), {}});
      } catch (const std::exception& error) {
        left_out_[w.name + ", " + w.how] = error.what();
        cudaStreamSynchronize(stream_);
        cudaGetLastError();
      }
    }
    std::vector<std::size_t> order;
    for (std::size_t j = first; j < rows_.size(); ++j) order.push_back(j);
    for (int round = 0; round < repetitions; ++round) {
      std::shuffle(order.begin(), order.end(), random_);
      for (const std::size_t j : order) {
        Row& row = rows_[j];
        row.seconds.push_back(time(row.what, row.l2 == "cold", row.launches));
      }
    }
    for (std::size_t j = first; j < rows_.size(); ++j) rows_[j].what.run = nullptr;  // it may refer to objects that end
  }

  void add_memory(std::vector<Workload>& to, const std::string& group, std::size_t bytes) {
    void* const p = memory_;
    to.push_back({group, "cudaMemset", "bytes", bytes, bytes,
                  [=](cudaStream_t s) { CUDA_CHECK(cudaMemsetAsync(p, 0x3c, bytes, s)); }});
    to.push_back({group, "store kernel", "bytes", bytes, bytes, [=](cudaStream_t s) { store(p, bytes, ~0u, s); }});
    const unsigned blocks =
        multiprocessors() * (static_cast<unsigned>(device_.maxThreadsPerMultiProcessor) / store_threads);
    to.push_back({group, "store kernel, grid-stride", "bytes", bytes, bytes,
                  [=](cudaStream_t s) { store(p, bytes, blocks, s); }});
  }

  // A matrix with fan-in 64.
  static fanin::Shape shape_of(std::size_t elements) { return {64, static_cast<std::int64_t>(elements / 64)}; }

  using Run = std::function<void(cudaStream_t)>;
  static Run filling(const fanin::Initializer& init, const fanin::View& view, const fanin::Shape& shape,
                     const fanin::Block& block = {}) {
    return [=](cudaStream_t stream) {
      fanin::TensorOptions options;
      options.block = block;
      init.fill(view, shape, options, {stream});
    };
  }

  fanin::View view_at(std::size_t offset, DType dtype, std::size_t bytes) const {
    return {static_cast<char*>(memory_) + offset, dtype, bytes, place()};
  }

  Workload fill_of(const std::string& group, const std::string& name, const fanin::Initializer& init, DType dtype,
                   std::size_t bytes, fanin::Shape shape = {}, const fanin::Block& block = {}, std::size_t offset = 0) {
    const std::size_t elements = bytes / fanin::size_of(dtype);
    if (shape.empty()) shape = shape_of(elements);
    Run run = filling(init, view_at(offset, dtype, bytes), shape, block);
    return {group, "fanin " + name, std::string(fanin::name_of(dtype)), bytes, elements, std::move(run)};
  }

  void make_generators() {
#ifdef FANIN_HAS_CURAND
    try {
      default_ = std::make_unique<Generator>(CURAND_ORDERING_PSEUDO_DEFAULT);
      dynamic_ = std::make_unique<Generator>(CURAND_ORDERING_PSEUDO_DYNAMIC);
    } catch (const std::exception& error) {
      left_out_["cuRAND"] = error.what();
    }
#else
    left_out_["cuRAND"] = "the host library was not there when this was built";
#endif
  }

  void add_curand(std::vector<Workload>& to, const std::string& group, std::size_t bytes) {
#ifdef FANIN_HAS_CURAND
    for (Generator* const generator : {default_.get(), dynamic_.get()}) {
      if (generator == nullptr) continue;
      const std::string label = generator == default_.get() ? "" : ", dynamic ordering";
      auto* const p = static_cast<float*>(memory_);
      auto* const wide = static_cast<double*>(memory_);
      const std::size_t n = bytes / 4;
      const auto add = [&](const std::string& name, const char* dtype, std::size_t count, auto run) {
        to.push_back({group, "cuRAND " + name + label, dtype, bytes, count, std::move(run)});
      };
      add("uniform", "float32", n,
          [=](cudaStream_t s) { CURAND_CHECK(curandGenerateUniform(generator->on(s), p, n)); });
      add("normal", "float32", n,
          [=](cudaStream_t s) { CURAND_CHECK(curandGenerateNormal(generator->on(s), p, n, 0.0F, 0.02F)); });
      add("normal", "float64", n / 2,
          [=](cudaStream_t s) { CURAND_CHECK(curandGenerateNormalDouble(generator->on(s), wide, n / 2, 0.0, 0.02)); });
    }
#else
    static_cast<void>(to), static_cast<void>(group), static_cast<void>(bytes);
#endif
  }

  void size(std::size_t bytes) {
    std::vector<Workload> all;
    add_memory(all, "size", bytes);
    for (const DType dtype : {DType::float32, DType::bfloat16, DType::float16, DType::float64, DType::float8_e4m3fn}) {
      all.push_back(fill_of("size", "HeNormal", he_normal_, dtype, bytes));
      all.push_back(fill_of("size", "normal", normal_, dtype, bytes));
      all.push_back(fill_of("size", "uniform", uniform_, dtype, bytes));
    }
    add_curand(all, "size", bytes);
    for (const auto& [kind, name] :
         {std::pair(ByHand::normal, "normal"), std::pair(ByHand::truncated_normal, "truncated normal"),
          std::pair(ByHand::uniform, "uniform")}) {
      const ByHand how{kind};
      auto* const p = static_cast<float*>(memory_);
      all.push_back({"size", std::string("Thrust ") + name, "float32", bytes, bytes / 4,
                     [=](cudaStream_t s) { fill_by_hand(p, bytes / 4, how, s); }});
    }
    measure(all, options_.repetitions);
  }

  // ---- shards, unaligned memory, windows, copies

  void layouts(std::size_t bytes) {
    std::vector<Workload> all;
    add_memory(all, "layout", bytes);
    for (const DType dtype : {DType::float32, DType::bfloat16}) {
      all.push_back(fill_of("layout", "HeNormal", he_normal_, dtype, bytes));
      for (const auto& [part, columns, name] :
           {std::tuple(1024, 2048, "left half of rows of 2048"), std::tuple(64, 512, "64 of 512 columns")}) {
        const auto rows = static_cast<std::int64_t>(bytes / fanin::size_of(dtype)) / part;
        all.push_back(fill_of("layout", std::string("HeNormal, ") + name, he_normal_, dtype, bytes, {rows, columns},
                              {{0, 0}, {rows, part}}));
      }
      all.push_back(fill_of("layout", "HeNormal, unaligned", he_normal_, dtype, bytes - 256, {}, {}, 4));
    }
    for (const auto& [lower, upper, name] :
         {std::tuple(1.0, 2.0, "[1, 2]"), std::tuple(-0.5, 0.5, "[-0.5, 0.5]"), std::tuple(3.0, 8.0, "[3, 8]")}) {
      const fanin::TruncatedNormal init(0.0, 0.05, 42, lower, upper);
      all.push_back(fill_of("layout", std::string("window ") + name, init, DType::float32, bytes));
    }
    // A float32 master and its bfloat16 copy.
    const fanin::Shape shape = shape_of(bytes / 4);
    const fanin::View master = view_at(0, DType::float32, bytes);
    const fanin::View copy = view_at(bytes, DType::bfloat16, bytes / 2);
    const auto plan = std::make_shared<fanin::Plan>();
    plan->add(he_normal_, master, shape);
    plan->add_copy(0, copy);
    const auto add_both = [&](const char* name, Run run) {
      all.push_back({"layout", name, "float32+bfloat16", bytes + bytes / 2, bytes / 4, std::move(run)});
    };
    add_both("fanin HeNormal, master and copy", [plan](cudaStream_t s) { plan->fill({s}); });
    add_both("fanin HeNormal, master, then copy",
             [first = filling(he_normal_, master, shape), then = filling(he_normal_, copy, shape)](cudaStream_t s) {
               first(s);
               then(s);
             });
    measure(all, options_.repetitions);
    for (std::size_t half = bytes / 2; half >= 1024; half /= options_.quick ? 64 : 16) streams(half);
  }

  // Two fills of this size, in sequence and concurrently.
  void streams(std::size_t bytes) {
    const fanin::Shape shape = shape_of(bytes / 4);
    const Run first = filling(he_normal_, view_at(0, DType::float32, bytes), shape);
    const Run second = filling(he_normal_, view_at(bytes, DType::float32, bytes), shape);
    const std::string dtype(fanin::name_of(DType::float32));
    std::vector<Workload> all;
    all.push_back(
        {"streams", "fanin HeNormal, two fills in one stream", dtype, 2 * bytes, bytes / 2, [=](cudaStream_t s) {
           first(s);
           second(s);
         }});
    all.push_back(
        {"streams", "fanin HeNormal, two fills in two streams", dtype, 2 * bytes, bytes / 2, [=](cudaStream_t s) {
           CUDA_CHECK(cudaEventRecord(fork_, s));
           CUDA_CHECK(cudaStreamWaitEvent(second_stream_, fork_, 0));
           first(s);
           second(second_stream_);
           CUDA_CHECK(cudaEventRecord(join_, second_stream_));
           CUDA_CHECK(cudaStreamWaitEvent(s, join_, 0));
         }});
    measure(all, options_.repetitions);
  }

  void zeros(std::size_t bytes) {
    void* const p = memory_;
    std::vector<Workload> all;
    all.push_back({"zeros", "cudaMemset of zeros", "bytes", bytes, bytes,
                   [=](cudaStream_t s) { CUDA_CHECK(cudaMemsetAsync(p, 0, bytes, s)); }});
    all.push_back(fill_of("zeros", "Zeros", zeros_, DType::float32, bytes));
    measure(all, options_.repetitions);
    if (bytes >= std::size_t{64} * 1024) return;
    for (const Workload& w : all) {
      if (wanted(w)) time_host(w, 200);
    }
  }

  // Sizes of a model's matrices, where the balance between multiprocessors matters.
  void middle() {
    const std::size_t most = std::min<std::size_t>(std::size_t{1} << 23, options_.max_bytes / 4);
    std::vector<std::size_t> counts;
    for (std::size_t count = most; count >= most >> (options_.quick ? 1 : 7); count /= 2) counts.push_back(count);
    for (const std::size_t count : {std::size_t{768} * 3072, std::size_t{1600} * 1600, (std::size_t{1} << 20) + 4}) {
      if (count <= most) counts.push_back(count);
    }
    for (const std::size_t count : counts) {
      std::vector<Workload> all;
      add_memory(all, "middle", count * 4);
      const fanin::Shape shape{4, static_cast<std::int64_t>(count / 4)};
      all.push_back(fill_of("middle", "HeNormal", he_normal_, DType::float32, count * 4, shape));
      all.push_back(fill_of("middle", "HeNormal", he_normal_, DType::bfloat16, count * 2, shape));
      all.push_back(fill_of("middle", "uniform", uniform_, DType::float32, count * 4, shape));
      measure(all, options_.repetitions);
    }
  }

  // ---- a model

  struct Tensor {
    std::string name;
    fanin::Shape shape;
  };

  // GPT-2's parameters, as in examples/models/gpt2.json; narrower by a power of two if the memory is too small.
  static std::vector<Tensor> gpt2(int narrower) {
    const std::int64_t width = 768 >> narrower;
    std::vector<Tensor> all{{"wte.weight", {50257 >> narrower, width}}, {"wpe.weight", {1024 >> narrower, width}}};
    for (int layer = 0; layer < 12; ++layer) {
      const std::string h = "h." + std::to_string(layer);
      const auto both = [&](const std::string& name, fanin::Shape weight) {
        const std::int64_t out = weight.back();
        all.push_back({h + name + ".weight", std::move(weight)});
        all.push_back({h + name + ".bias", {out}});
      };
      both(".ln_1", {width});
      both(".attn.c_attn", {width, 3 * width});
      both(".attn.c_proj", {width, width});
      both(".ln_2", {width});
      both(".mlp.c_fc", {width, 4 * width});
      both(".mlp.c_proj", {4 * width, width});
    }
    all.push_back({"ln_f.weight", {width}});
    all.push_back({"ln_f.bias", {width}});
    return all;
  }

  static bool ends_with(const std::string& text, const std::string& end) {
    return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
  }

  void plan() {
    for (int narrower = 0; narrower < 8; ++narrower) {
      const std::vector<Tensor> tensors = gpt2(narrower);
      std::vector<std::size_t> places;
      std::size_t bytes = 0;
      std::size_t elements = 0;
      for (const Tensor& tensor : tensors) {
        std::size_t count = 1;
        for (const std::int64_t extent : tensor.shape) count *= static_cast<std::size_t>(extent);
        places.push_back(bytes);
        elements += count;
        bytes += (count * 4 + 255) / 256 * 256;  // the alignment of allocators
      }
      if (bytes > options_.max_bytes) continue;
      const fanin::Zeros zeros;
      const fanin::Ones ones;
      const fanin::RandomNormal projection(0.0, 0.004082482904638631, 42);
      const fanin::RandomNormal other(0.0, 0.02, 42);
      fanin::Plan model;
      for (std::size_t j = 0; j < tensors.size(); ++j) {
        const std::string& name = tensors[j].name;
        const bool norm = name.find("ln_") != std::string::npos;
        const fanin::Initializer& rule = ends_with(name, ".bias") ? static_cast<const fanin::Initializer&>(zeros)
                                         : norm                   ? static_cast<const fanin::Initializer&>(ones)
                                         : ends_with(name, ".c_proj.weight") ? projection
                                                                             : other;
        model.add(rule, {static_cast<char*>(memory_) + places[j], DType::float32, bytes - places[j], place()},
                  tensors[j].shape, name);
      }
      std::vector<Workload> all;
      add_memory(all, "plan", elements * 4);
      const std::string which = narrower == 0 ? "" : ", narrower";
      all.push_back({"plan", "fanin plan, GPT-2" + which, "float32", elements * 4, elements,
                     [&](cudaStream_t s) { model.fill({s}); }});
      all.push_back({"plan", "fanin, one fill of the same size", "float32", elements * 4, elements,
                     fill_of("", "", normal_, DType::float32, elements / 64 * 64 * 4).run});
      for (Workload& w : all) w.lead = 10;  // the host takes longer for many tensors
      measure(all, options_.repetitions);
      if (wanted(all[all.size() - 2])) time_host(all[all.size() - 2], 10);
      return;
    }
    left_out_["GPT-2"] = "no room";
  }

  // ---- small fills: the cost of a launch

  // A graph with several runs.
  Workload in_graph(const Workload& w) {
    constexpr int fills = 100;
    CUDA_CHECK(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal));
    cudaGraph_t graph = nullptr;
    try {
      for (int j = 0; j < fills; ++j) w.run(stream_);
    } catch (...) {
      cudaStreamEndCapture(stream_, &graph);
      cudaGetLastError();
      throw;
    }
    CUDA_CHECK(cudaStreamEndCapture(stream_, &graph));
    cudaGraphExec_t exec = nullptr;
    CUDA_CHECK(cudaGraphInstantiate(&exec, graph, 0));
    CUDA_CHECK(cudaGraphDestroy(graph));
    const std::shared_ptr<CUgraphExec_st> shared(exec, [](cudaGraphExec_t e) { cudaGraphExecDestroy(e); });
    Workload result = w;
    result.how = "graph";
    result.fills = fills;
    result.run = [shared](cudaStream_t s) { CUDA_CHECK(cudaGraphLaunch(shared.get(), s)); };
    return result;
  }

  // The host's time for a call that only puts work on the stream.
  void time_host(const Workload& w, int calls) {
    Row row{w, "warm", calls, {}};
    row.what.how = "host";
    row.what.run = nullptr;
    for (int j = 0; j < options_.repetitions; ++j) {
      const auto start = Clock::now();
      for (int k = 0; k < row.launches; ++k) w.run(stream_);
      row.seconds.push_back(seconds_since(start) / row.launches);
      CUDA_CHECK(cudaStreamSynchronize(stream_));
    }
    rows_.push_back(std::move(row));
  }

  void small(std::size_t bytes) {
    std::vector<Workload> all;
    all.push_back({"small", nothing, "bytes", bytes, bytes, [](cudaStream_t s) {
                     do_nothing<<<1, 32, 0, s>>>();
                     CUDA_CHECK(cudaGetLastError());
                   }});
    add_memory(all, "small", bytes);
    all.push_back(fill_of("small", "HeNormal", he_normal_, DType::float32, bytes));
    all.push_back(fill_of("small", "uniform", uniform_, DType::float32, bytes));
    const fanin::FillParams prepared = he_normal_.params(shape_of(bytes / 4), DType::float32);
    const fanin::View view{memory_, DType::float32, bytes, place()};
    all.push_back({"small", "fanin HeNormal, prepared", "float32", bytes, bytes / 4,
                   [=](cudaStream_t s) { fanin::fill(view, prepared, {s}); }});
    add_curand(all, "small", bytes);
    std::vector<Workload> with_graphs;
    for (Workload& w : all) {
      if (!wanted(w)) continue;
      w.only_warm = true;
      with_graphs.push_back(w);
      try {
        with_graphs.push_back(in_graph(w));
      } catch (const std::exception& error) {
        left_out_[w.name + ", graph"] = error.what();
      }
    }
    measure(with_graphs, options_.repetitions);
    if (bytes != 1024) return;
    for (const Workload& w : all) {
      if (wanted(w)) time_host(w, 200);
    }
  }

  // ---- every way to cut up a launch

  void policies(std::size_t bytes) {
    struct Kind {
      std::string name;
      const fanin::Initializer& init;
      DType dtype;
      bool has_table;
    };
    const std::vector<Kind> kinds{{"HeNormal", he_normal_, DType::float32, true},
                                  {"HeNormal", he_normal_, DType::bfloat16, true},
                                  {"uniform", uniform_, DType::float32, false}};
    std::vector<Workload> all;
    for (const Kind& kind : kinds) {
      const std::size_t elements = bytes / fanin::size_of(kind.dtype);
      const fanin::FillJob job{memory_, kind.init.params(shape_of(elements), kind.dtype)};
      std::vector<std::uint64_t> words(sizeof fanin::gpu::SmallParameters::data / 8);
      fanin::gpu::Launch usual;
      const fanin::gpu::DeviceFacts facts = fanin::gpu::facts_here();
      fanin::gpu::encode_launch(&job, 0, 1, fanin::gpu::Kernel::fast, facts, words.data(), words.size(), &usual);
      const auto add = [&](const fanin::gpu::Launch& launch, const std::string& remark) {
        Workload w{"policy",
                   "fanin " + kind.name,
                   std::string(fanin::name_of(kind.dtype)),
                   bytes,
                   elements,
                   [=](cudaStream_t s) { fanin::gpu::launch(launch, words.data(), fanin::DeviceRun{s}); }};
        w.policy = std::to_string(launch.header.table_copies) + " " + std::to_string(launch.threads) + " " +
                   std::to_string(launch.blocks) + remark;
        w.only_warm = true;
        all.push_back(std::move(w));
      };
      add(usual, " (fanin's)");
      const std::vector<std::uint32_t> copies = !kind.has_table  ? std::vector<std::uint32_t>{1}
                                                : options_.quick ? std::vector<std::uint32_t>{1, 16}
                                                                 : std::vector<std::uint32_t>{1, 8, 16, 32};
      for (const std::uint32_t c : copies) {
        for (const std::uint32_t threads : {64u, 128u, 256u, 384u, 512u}) {
          fanin::gpu::Launch launch = usual;
          launch.header.table_copies = c;
          launch.threads = threads;
          launch.shared_bytes = fanin::gpu::shared_bytes(usual.header.tables, c, kind.has_table, threads);
          if (!fanin::gpu::can_launch(launch)) continue;
          const std::uint32_t resident = blocks_per_sm(launch.shared_bytes, threads);
          // A second wave can balance the first one.
          for (const std::uint32_t waves : {1u, 2u}) {
            launch.blocks = static_cast<std::uint32_t>(facts.multiprocessors) * resident * waves;
            add(launch, "");
          }
        }
      }
    }
    measure(all, options_.quick ? 1 : 7);
  }

  std::uint32_t blocks_per_sm(std::uint32_t shared, std::uint32_t threads) const {
    const auto* kernel = reinterpret_cast<const void*>(fanin::gpu::fill_fast_small);
    CUDA_CHECK(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(shared)));
    int blocks = 0;
    CUDA_CHECK(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, kernel, static_cast<int>(threads), shared));
    return static_cast<std::uint32_t>(blocks);
  }

  Options options_;
  Clock::time_point begin_;
  cudaDeviceProp device_{};
  cudaStream_t stream_ = nullptr;
  cudaStream_t second_stream_ = nullptr;
  cudaEvent_t fork_ = nullptr;
  cudaEvent_t join_ = nullptr;
  cudaEvent_t before_ = nullptr;
  cudaEvent_t after_ = nullptr;
  void* memory_ = nullptr;
  void* flush_ = nullptr;
  std::size_t flush_bytes_ = 0;
  std::mt19937 random_{1};
  std::vector<Row> rows_;
  std::map<std::string, std::string> left_out_;
  const fanin::HeNormal he_normal_{42};
  const fanin::RandomNormal normal_{0.0, 0.02, 42};
  const fanin::RandomUniform uniform_{-0.05, 0.05, 42};
  const fanin::Zeros zeros_{};
#ifdef FANIN_HAS_CURAND
  std::unique_ptr<Generator> default_, dynamic_;
#endif
};

// ---- output -------------------------------------------------------------------------------------------------------

double quantile(std::vector<double> values, double q) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  const double at = q * static_cast<double>(values.size() - 1);
  const auto below = static_cast<std::size_t>(at);
  const std::size_t above = std::min(below + 1, values.size() - 1);
  return values[below] + (at - static_cast<double>(below)) * (values[above] - values[below]);
}

void Bench::print() const {
  // The fastest of memset and the store kernels, by group, bytes, cache and way.
  const auto place = [](const Row& row) {
    return row.what.group + " " + std::to_string(row.what.bytes) + " " + row.l2 + " " + row.what.how;
  };
  std::map<std::string, double> ceilings;
  for (const Row& row : rows_) {
    if (row.what.dtype != "bytes" || row.what.name == nothing) continue;
    const double median = quantile(row.seconds, 0.5);
    const auto [at, added] = ceilings.emplace(place(row), median);
    if (!added) at->second = std::min(at->second, median);
  }
  std::printf("%-8s %-34s %-14s %12s %-5s %-6s %12s %7s %10s %10s %8s %s\n", "group", "what", "dtype", "bytes", "L2",
              "how", "median us", "spread", "G elem/s", "GB/s", "ceiling", "policy");
  for (const Row& row : rows_) {
    const double median = quantile(row.seconds, 0.5);
    const double spread = quantile(row.seconds, 0.75) - quantile(row.seconds, 0.25);
    const Workload& w = row.what;
    const auto ceiling = ceilings.find(place(row));
    std::printf("%-8s %-34s %-14s %12zu %-5s %-6s %12.2f %6.1f%% %10.2f %10.2f %7.1f%% %s\n", w.group.c_str(),
                w.name.c_str(), w.dtype.c_str(), w.bytes, row.l2.c_str(), w.how.c_str(), median * 1e6,
                100 * spread / median, static_cast<double>(w.elements) / median * 1e-9,
                static_cast<double>(w.bytes) / median * 1e-9,
                ceiling == ceilings.end() ? 0 : 100 * ceiling->second / median, w.policy.c_str());
  }
  for (const auto& [what, why] : left_out_) std::printf("left out: %s: %s\n", what.c_str(), why.c_str());
}

std::string quoted(const std::string& text) {
  std::string result = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') result += '\\';
    result += static_cast<unsigned char>(c) < 32 ? ' ' : c;
  }
  return result + '"';
}

void Bench::write_json(const std::string& path) const {
  std::ofstream out(path);
  int driver = 0;
  int runtime = 0;
  cudaDriverGetVersion(&driver);
  cudaRuntimeGetVersion(&runtime);
  out << "{\"device\": " << quoted(device_.name) << ", \"compute_capability\": " << device_.major * 10 + device_.minor
      << ", \"multiprocessors\": " << device_.multiProcessorCount << ", \"l2_bytes\": " << device_.l2CacheSize
      << ", \"cuda_driver\": " << driver << ", \"cuda_runtime\": " << runtime
      << ", \"quick\": " << (options_.quick ? "true" : "false") << ", \"repetitions\": " << options_.repetitions
      << ", \"max_bytes\": " << options_.max_bytes << ", \"wall_seconds\": " << seconds_since(begin_)
      << ",\n\"left_out\": {";
  const char* comma = "";
  for (const auto& [what, why] : left_out_) {
    out << comma << quoted(what) << ": " << quoted(why);
    comma = ", ";
  }
  out << "},\n\"rows\": [";
  comma = "\n";
  out.precision(6);
  for (const Row& row : rows_) {
    const Workload& w = row.what;
    out << comma << "{\"group\": " << quoted(w.group) << ", \"name\": " << quoted(w.name)
        << ", \"dtype\": " << quoted(w.dtype) << ", \"bytes\": " << w.bytes << ", \"elements\": " << w.elements
        << ", \"l2\": " << quoted(row.l2) << ", \"how\": " << quoted(w.how) << ", \"policy\": " << quoted(w.policy)
        << ", \"launches\": " << row.launches << ", \"seconds\": [";
    for (std::size_t j = 0; j < row.seconds.size(); ++j) out << (j == 0 ? "" : ", ") << row.seconds[j];
    out << "]}";
    comma = ",\n";
  }
  out << "\n]}\n";
  out.close();
  if (!out) throw std::runtime_error("cannot write " + path);
}

constexpr const char* usage =
    R"(gpu_benchmark: fills of device memory beside memset, a store kernel, cuRAND and Thrust
  --quick            3 repetitions, fewer sizes and policies: a rehearsal, no result
  --repetitions N    default: 15
  --max-bytes N      largest fill, a power of two from 1024 on; default: 2^32, or what fits into half the memory
  --only A,B,...     only what has one of these in its group, name and dtype; groups are size, layout, streams, zeros,
                     middle, plan, small, policy
  --device N         default: 0; exit status 77 if there are fewer
  --seconds N        begins no measurement after so many
  --json FILE        writes every sample
)";

Options parse(int argc, char** argv) {
  Options options;
  bool repetitions_given = false;
  for (int j = 1; j < argc; ++j) {
    const std::string name = argv[j];
    const auto value = [&]() -> std::string {
      if (j + 1 == argc) throw std::invalid_argument(name + " needs a value");
      return argv[++j];
    };
    if (name == "--quick") {
      options.quick = true;
    } else if (name == "--repetitions") {
      options.repetitions = std::max(1, std::stoi(value()));
      repetitions_given = true;
    } else if (name == "--max-bytes") {
      const std::size_t bytes = std::stoull(value());
      if (bytes < 1024 || (bytes & (bytes - 1)) != 0)
        throw std::invalid_argument("--max-bytes: a power of two from 1024 on");
      options.max_bytes = bytes;
    } else if (name == "--only") {
      std::istringstream parts(value());
      for (std::string part; std::getline(parts, part, ',');) options.only.push_back(part);
    } else if (name == "--device") {
      options.device = std::stoi(value());
    } else if (name == "--seconds") {
      options.seconds = std::stod(value());
    } else if (name == "--json") {
      options.json = value();
    } else {
      throw std::invalid_argument("unknown: " + name);
    }
  }
  if (options.quick && !repetitions_given) options.repetitions = 3;
  return options;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  try {
    options = parse(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n%s", error.what(), usage);
    return 2;
  }
  try {
    int devices = 0;
    CUDA_CHECK(cudaGetDeviceCount(&devices));
    if (options.device >= devices) {
      std::fprintf(stderr, "gpu_benchmark: there is no device %d\n", options.device);
      return 77;
    }
    Bench bench(options);
    const bool all = bench.measure_all();
    bench.print();
    if (!options.json.empty()) bench.write_json(options.json);
    return all ? 0 : 1;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "gpu_benchmark: %s\n", error.what());
    return 1;
  }
}
