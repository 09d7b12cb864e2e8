// SPDX-License-Identifier: Apache-2.0
// Checks that are too large for the tests: compares fills of 4 GiB of device memory, and of two concurrent streams,
// with the host's, bit for bit. With --profile it only runs two fills, for a profiler.
#include <cuda_runtime.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <exception>
#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "fanin/fanin.hpp"

namespace {

using fanin::DType;
using Clock = std::chrono::steady_clock;

void check(cudaError_t error, const char* what) {
  if (error != cudaSuccess) throw std::runtime_error(std::string(what) + ": " + cudaGetErrorString(error));
}
#define CUDA_CHECK(call) check(call, #call)

struct Result {
  std::string name;
  std::size_t bytes;
  bool equal;
  std::uint64_t checksum;  // of the host's bytes
  double seconds;
};

std::uint64_t checksum_of(std::uint64_t sum, const std::vector<char>& bytes) {
  for (std::size_t at = 0; at + 8 <= bytes.size(); at += 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, &bytes[at], 8);
    sum = (sum ^ word) * 0x9E3779B97F4A7C15u;
    sum ^= sum >> 32;
  }
  return sum;
}

class Checks {
 public:
  explicit Checks(std::size_t bytes) {
    std::size_t free = 0;
    std::size_t total = 0;
    CUDA_CHECK(cudaMemGetInfo(&free, &total));
    while (bytes > free / 2) bytes /= 2;
    bytes_ = bytes;
    CUDA_CHECK(cudaMalloc(&memory_, bytes_));
  }
  Checks(const Checks&) = delete;
  Checks& operator=(const Checks&) = delete;
  ~Checks() { cudaFree(memory_); }

  void all() {
    const auto dense = [&](const std::string& name, const fanin::Initializer& init, DType dtype) {
      const auto columns = static_cast<std::int64_t>(bytes_ / fanin::size_of(dtype) / 64);
      compare(name + " " + std::string(fanin::name_of(dtype)), init.params({64, columns}, dtype));
    };
    dense("HeNormal", fanin::HeNormal(42), DType::float32);
    dense("HeNormal", fanin::HeNormal(42), DType::bfloat16);
    dense("HeUniform", fanin::HeUniform(42), DType::float32);
    dense("window [1, 2]", fanin::TruncatedNormal(0.0, 0.05, 42, 1.0, 2.0), DType::float32);
    dense("RandomNormal", fanin::RandomNormal(0.0, 0.02, 42), DType::float64);
    const auto rows = static_cast<std::int64_t>(bytes_ / 4 / 1024);
    fanin::TensorOptions left;
    left.block = {{0, 0}, {rows, 1024}};
    compare("HeNormal float32, left half of rows of 2048",
            fanin::HeNormal(42).params({rows, 2048}, DType::float32, left));
    two_streams();
  }

  // The fill that count_instructions counts, twice: the first one loads the kernel.
  void two_fills() {
    const fanin::FillParams params =
        fanin::HeNormal(42).params({64, static_cast<std::int64_t>(bytes_ / 256)}, DType::float32);
    for (int n = 0; n < 2; ++n) fanin::fill(view(DType::float32), params);
    CUDA_CHECK(cudaDeviceSynchronize());
  }

  bool all_equal() const {
    return std::all_of(results_.begin(), results_.end(), [](const Result& r) { return r.equal; });
  }

  void write_json(const std::string& path) const {
    std::ofstream out(path);
    out << "{\"checks\": [";
    const char* comma = "\n";
    for (const Result& r : results_) {
      out << comma << R"({"name": ")" << r.name << R"(", "bytes": )" << r.bytes
          << ", \"equal\": " << (r.equal ? "true" : "false") << ", \"checksum\": \"" << std::hex << r.checksum
          << std::dec << "\", \"seconds\": " << r.seconds << "}";
      comma = ",\n";
    }
    out << "\n]}\n";
    out.close();
    if (!out) throw std::runtime_error("cannot write " + path);
  }

 private:
  static constexpr std::size_t piece = std::size_t{1} << 28;

  fanin::View view(DType dtype) const { return {memory_, dtype, bytes_, fanin::cuda(0)}; }

  void add(const std::string& name, std::size_t bytes, bool equal, std::uint64_t checksum, Clock::time_point begin) {
    const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
    results_.push_back({name, bytes, equal, checksum, seconds});
    std::printf("%-45s %12zu bytes, checksum %016llx, %6.2f s: %s\n", name.c_str(), bytes,
                static_cast<unsigned long long>(checksum), seconds, equal ? "the host's bits" : "DIFFERS");
    std::fflush(stdout);
  }

  // Fills all elements at once on the device, and in pieces on the host.
  void compare(const std::string& name, const fanin::FillParams& params) {
    const auto begin = Clock::now();
    CUDA_CHECK(cudaMemset(memory_, 0xA5, bytes_));
    fanin::fill(view(params.dtype), params);
    const std::size_t size = fanin::size_of(params.dtype);
    const std::uint64_t total = params.index.count;
    bool equal = true;
    std::uint64_t checksum = 0;
    std::vector<char> expected;
    std::vector<char> got;
    for (std::uint64_t first = 0; first < total; first += piece / size) {
      const std::uint64_t count = std::min<std::uint64_t>(piece / size, total - first);
      expected.resize(count * size);
      got.resize(count * size);
      fanin::fill({expected.data(), params.dtype, expected.size(), fanin::host}, fanin::part_of(params, first, count));
      fanin::read(got.data(), {static_cast<char*>(memory_) + first * size, params.dtype, got.size(), fanin::cuda(0)});
      equal = equal && got == expected;
      checksum = checksum_of(checksum, expected);
    }
    add(name, total * size, equal, checksum, begin);
  }

  // Fills both halves concurrently, ten times.
  void two_streams() {
    const auto begin = Clock::now();
    const std::size_t half = std::min(bytes_ / 2, piece / 4) / 256 * 256;
    const fanin::Shape shape{64, static_cast<std::int64_t>(half / 256)};
    std::vector<cudaStream_t> streams(2);
    for (cudaStream_t& stream : streams) CUDA_CHECK(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
    bool equal = true;
    std::uint64_t checksum = 0;
    for (std::uint64_t round = 0; round < 10; ++round) {
      std::vector<fanin::View> places;
      for (std::size_t n = 0; n < 2; ++n) {
        places.push_back({static_cast<char*>(memory_) + n * half, DType::float32, half, fanin::cuda(0)});
        fanin::HeNormal(2 * round + n).fill(places[n], shape, {}, {streams[n]});
      }
      for (std::size_t n = 0; n < 2; ++n) {
        std::vector<char> expected(half);
        std::vector<char> got(half);
        fanin::HeNormal(2 * round + n).fill({expected.data(), DType::float32, half, fanin::host}, shape);
        fanin::read(got.data(), places[n], streams[n]);
        equal = equal && got == expected;
        checksum = checksum_of(checksum, expected);
      }
    }
    for (const cudaStream_t stream : streams) CUDA_CHECK(cudaStreamDestroy(stream));
    add("HeNormal float32, ten times two streams at once", 20 * half, equal, checksum, begin);
  }

  std::size_t bytes_ = 0;
  void* memory_ = nullptr;
  std::vector<Result> results_;
};

}  // namespace

int main(int argc, char** argv) {
  try {
    std::size_t bytes = std::size_t{1} << 32;
    std::string json;
    bool profile = false;
    for (int j = 1; j < argc; ++j) {
      const std::string name = argv[j];
      if (name == "--profile") {
        profile = true;
      } else if (name == "--bytes" && j + 1 < argc) {
        bytes = std::max<std::size_t>(std::stoull(argv[++j]), 8192) / 8192 * 8192;
      } else if (name == "--json" && j + 1 < argc) {
        json = argv[++j];
      } else {
        std::fprintf(stderr,
                     "usage: gpu_checks [--bytes N] [--json FILE]   default: 2^32 bytes\n"
                     "       gpu_checks --profile [--bytes N]       nothing but two fills\n");
        return 2;
      }
    }
    Checks checks(bytes);
    if (profile) {
      checks.two_fills();
      return 0;
    }
    checks.all();
    if (!json.empty()) checks.write_json(json);
    return checks.all_equal() ? 0 : 1;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "gpu_checks: %s\n", error.what());
    return 1;
  }
}
