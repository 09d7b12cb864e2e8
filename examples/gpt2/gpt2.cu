// SPDX-License-Identifier: Apache-2.0
// GPT-2's parameters as a trainer with ZeRO-1 holds them. Every rank has all weights in bfloat16 and its range of the
// float32 masters, counted through all parameters; both are in one allocation, and one launch fills them. The weights
// are those of `fanin model examples/models/gpt2.json`, for any number of ranks.
//
// This program plays all ranks, one after the other, on one device. It writes PREFIX.RANK.weights and
// PREFIX.RANK.master, if --out gives a prefix.
#include <cuda_runtime.h>
#include <fanin/cuda_types.h>
#include <fanin/fanin.hpp>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>
#include <vector>

namespace {

struct Options {
  std::uint64_t ranks = 2, seed = 42, layers = 12, width = 768, vocabulary = 50257, context = 1024;
  std::string out;
};

// Exit status 2: wrong options.
Options parse(int argc, char** argv) {
  Options options;
  struct Number {
    const char* name;
    std::uint64_t* value;
  };
  const Number numbers[] = {{"--ranks", &options.ranks},           {"--seed", &options.seed},
                            {"--layers", &options.layers},         {"--width", &options.width},
                            {"--vocabulary", &options.vocabulary}, {"--context", &options.context}};
  for (int i = 1; i < argc; i += 2) {
    const std::string name = argv[i];
    const char* const value = i + 1 < argc ? argv[i + 1] : "";
    char* end = nullptr;
    bool known = name == "--out" && *value != '\0';
    if (known) options.out = value;
    for (const Number& number : numbers) {
      if (name != number.name) continue;
      *number.value = std::strtoull(value, &end, 10);
      known = end != value && *end == '\0' && *value != '-' && (*number.value > 0 || number.value == &options.seed);
    }
    if (!known) {
      std::fprintf(stderr,
                   "usage: gpt2 [--ranks N] [--seed N] [--layers N] [--width N] [--vocabulary N] [--context N] "
                   "[--out PREFIX]\n%s needs a number\n",
                   name.c_str());
      std::exit(2);
    }
  }
  return options;
}

void check(cudaError_t error) {
  if (error == cudaSuccess) return;
  std::fprintf(stderr, "CUDA: %s\n", cudaGetErrorString(error));
  std::exit(1);
}

struct Parameter {
  std::string name;
  fanin::Shape shape;
  fanin::Initializer initializer;
  std::uint64_t first, count;  // its elements among those of all parameters
};

// The names, shapes and rules of examples/models/gpt2.json, in its order. Hugging Face's Conv1D keeps a projection as
// (in, out), row-major. To cuBLAS, which is column-major, that same memory is the (out, in) matrix with a leading
// dimension of `out`: a trainer that thinks in (out, in) needs another transposition flag, not other weights.
std::vector<Parameter> gpt2(const Options& o) {
  std::vector<Parameter> list;
  std::uint64_t end = 0;
  const fanin::Initializer normal = fanin::RandomNormal(0.0, 0.02, o.seed);
  const double residual_stddev = 0.02 / std::sqrt(2.0 * static_cast<double>(o.layers));
  const fanin::Initializer residual = fanin::RandomNormal(0.0, residual_stddev, o.seed);
  const fanin::Initializer ones = fanin::Ones();
  const fanin::Initializer zeros = fanin::Zeros();
  const auto add = [&](const std::string& name, const fanin::Shape& shape, const fanin::Initializer& initializer) {
    const std::uint64_t count = fanin::element_count(shape);
    list.push_back({name, shape, initializer, end, count});
    end += count;
  };
  add("wte.weight", {o.vocabulary, o.width}, normal);
  add("wpe.weight", {o.context, o.width}, normal);
  const auto norm = [&](const std::string& name) {
    add(name + ".weight", {o.width}, ones);
    add(name + ".bias", {o.width}, zeros);
  };
  const auto linear = [&](const std::string& name, std::uint64_t in, std::uint64_t out,
                          const fanin::Initializer& initializer) {
    add(name + ".weight", {in, out}, initializer);
    add(name + ".bias", {out}, zeros);
  };
  for (std::uint64_t layer = 0; layer < o.layers; ++layer) {
    const std::string h = "h." + std::to_string(layer) + ".";
    norm(h + "ln_1");
    linear(h + "attn.c_attn", o.width, 3 * o.width, normal);
    linear(h + "attn.c_proj", o.width, o.width, residual);
    norm(h + "ln_2");
    linear(h + "mlp.c_fc", o.width, 4 * o.width, normal);
    linear(h + "mlp.c_proj", 4 * o.width, o.width, residual);
  }
  norm("ln_f");
  return list;
}

// One rank's memory: the weights, then its masters.
struct Arena {
  __nv_bfloat16* weights = nullptr;
  float* masters = nullptr;
  std::uint64_t first, count;  // the rank's range of all parameters

  Arena(std::uint64_t parameters, std::uint64_t rank, std::uint64_t ranks) {
    const std::uint64_t each = (parameters + ranks - 1) / ranks;
    first = std::min(rank * each, parameters);
    count = std::min(each, parameters - first);
    const std::uint64_t weight_bytes = (parameters * sizeof *weights + 255) / 256 * 256;
    void* memory = nullptr;
    check(cudaMalloc(&memory, weight_bytes + count * sizeof *masters));
    weights = static_cast<__nv_bfloat16*>(memory);
    masters = reinterpret_cast<float*>(static_cast<char*>(memory) + weight_bytes);
  }
  ~Arena() { cudaFree(weights); }
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;
};

// All of a rank's memory in one plan: a weight is whole, and its master is the part that lies in the rank's range. The
// pass that draws a weight writes both.
fanin::Plan plan_of(const std::vector<Parameter>& parameters, const Arena& arena) {
  fanin::Plan plan;
  for (const Parameter& p : parameters) {
    const std::size_t entry = plan.add(p.initializer, arena.weights + p.first, p.shape, p.name);
    const std::uint64_t begin = std::max(p.first, arena.first);
    const std::uint64_t end = std::min(p.first + p.count, arena.first + arena.count);
    if (begin >= end) continue;
    fanin::Block part;
    part.elements = fanin::ElementRange{begin - p.first, end - begin};
    plan.add_copy(entry, arena.masters + (begin - arena.first), part);
  }
  return plan;
}

void write(const std::string& path, const void* device, std::size_t bytes) {
  std::vector<char> host(bytes);
  check(cudaMemcpy(host.data(), device, bytes, cudaMemcpyDeviceToHost));
  std::ofstream file(path, std::ios::binary);
  file.write(host.data(), static_cast<std::streamsize>(bytes));
  if (file.flush()) return;
  std::fprintf(stderr, "Cannot write %s: %s\n", path.c_str(), std::strerror(errno));
  std::exit(1);
}

}  // namespace

int main(int argc, char** argv) try {
  const Options options = parse(argc, argv);
  if (const fanin::Availability available = fanin::available(); available.cuda_devices == 0) {
    std::fprintf(stderr, "%s\n", available.reason.c_str());
    return 77;
  }
  const std::vector<Parameter> parameters = gpt2(options);
  const std::uint64_t count = parameters.back().first + parameters.back().count;
  std::printf("%llu parameters in %zu tensors\n", static_cast<unsigned long long>(count), parameters.size());
  cudaStream_t stream = nullptr;
  check(cudaStreamCreate(&stream));
  for (std::uint64_t rank = 0; rank < options.ranks; ++rank) {
    const Arena arena(count, rank, options.ranks);
    fanin::Plan plan = plan_of(parameters, arena);
    plan.prepare(0, stream);
    fanin::RunOptions run;
    run.stream = stream;
    plan.fill(run);
    check(cudaStreamSynchronize(stream));
    std::printf("rank %llu: masters [%llu, %llu), %zu entries, launches: %zu\n", static_cast<unsigned long long>(rank),
                static_cast<unsigned long long>(arena.first),
                static_cast<unsigned long long>(arena.first + arena.count), plan.size(), plan.launches(0));
    if (options.out.empty()) continue;
    const std::string prefix = options.out + "." + std::to_string(rank);
    write(prefix + ".weights", arena.weights, count * sizeof *arena.weights);
    write(prefix + ".master", arena.masters, arena.count * sizeof *arena.masters);
  }
  check(cudaStreamDestroy(stream));
  return 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
