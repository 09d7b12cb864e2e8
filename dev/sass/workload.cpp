// SPDX-License-Identifier: Apache-2.0
// Launches one fill, for recorder.cpp to write down, and writes what the CPU back end makes of it:
//   workload INITIALIZER DTYPE ROWS COLUMNS FIRST COUNT OFFSET [EXPECTED-FILE]
// fills columns FIRST ... FIRST + COUNT - 1 of a matrix, at an address OFFSET bytes past a multiple of 512, which it
// prints. The initializer is a class name or TruncatedNormal[LOWER,UPPER]. Without a file nothing is filled on the CPU.
// Exit status 3: the library refuses the initializer.
#include <cuda_runtime.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <optional>
#include <string>
#include <vector>

#include "fanin/fanin.hpp"

namespace {

fanin::Initializer made(const std::string& name) {
  constexpr std::uint64_t seed = 42;
  double lower = 0;
  double upper = 0;
  if (std::sscanf(name.c_str(), "TruncatedNormal[%lf,%lf]", &lower, &upper) == 2) {
    return fanin::TruncatedNormal(0.0, 0.05, seed, lower, upper);
  }
  return fanin::make(name, seed);
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc < 8) return 2;
  const fanin::DType dtype = fanin::parse_dtype(argv[2]);
  const auto number = [&](int n) { return std::strtoll(argv[n], nullptr, 10); };
  const std::int64_t rows = number(3);
  const std::int64_t columns = number(4);
  const std::int64_t count = number(6);
  fanin::TensorOptions options;
  if (count != columns) options.block = {{0, number(5)}, {rows, count}};
  std::optional<fanin::FillParams> params;
  try {
    params = made(argv[1]).params({rows, columns}, dtype, options);
  } catch (const fanin::InvalidArgument& e) {
    std::fprintf(stderr, "%s\n", e.what());
    return 3;
  }
  const auto bytes = static_cast<std::size_t>(rows * count) * fanin::size_of(dtype);
  if (argc > 8) {
    std::vector<char> expected(bytes);
    fanin::fill({expected.data(), dtype, bytes, fanin::host}, *params);
    std::FILE* out = std::fopen(argv[8], "wb");
    if (out == nullptr || std::fwrite(expected.data(), 1, bytes, out) != bytes || std::fclose(out) != 0) return 1;
  }
  const auto offset = static_cast<std::size_t>(number(7));
  void* memory = nullptr;
  if (cudaMalloc(&memory, bytes + offset) != cudaSuccess) return 1;
  void* const address = static_cast<char*>(memory) + offset;
  std::printf("%p\n", address);
  fanin::fill({address, dtype, bytes, fanin::cuda(0)}, *params);
  return 0;
} catch (const std::exception& e) {
  std::fprintf(stderr, "workload: %s\n", e.what());
  return 1;
}
