// SPDX-License-Identifier: Apache-2.0
// Launches one fill, for recorder.cpp to write down, and writes what the CPU back end makes of it:
//   workload INITIALIZER DTYPE ELEMENTS EXPECTED-FILE     prints the address that the launch was given
#include <cuda_runtime.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "fanin/fanin.hpp"

namespace {

fanin::FillParams prepared(const std::string& initializer, fanin::DType dtype, std::size_t count) {
  const fanin::Shape shape{static_cast<std::int64_t>(count / 1024), 1024};
  return fanin::make(initializer, 42).params(shape, dtype);
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc != 5) return 2;
  const fanin::DType dtype = fanin::parse_dtype(argv[2]);
  const std::size_t count = std::strtoull(argv[3], nullptr, 10);
  const std::size_t bytes = count * fanin::size_of(dtype);
  const fanin::FillParams params = prepared(argv[1], dtype, count);
  std::vector<char> expected(bytes);
  fanin::fill({expected.data(), dtype, bytes, fanin::host}, params);
  std::FILE* out = std::fopen(argv[4], "wb");
  if (out == nullptr || std::fwrite(expected.data(), 1, bytes, out) != bytes || std::fclose(out) != 0) return 1;
  void* memory = nullptr;
  cudaMalloc(&memory, bytes);
  std::printf("%p\n", memory);
  fanin::fill({memory, dtype, bytes, fanin::cuda(0)}, params);
  return 0;
} catch (const std::exception& e) {
  std::fprintf(stderr, "workload: %s\n", e.what());
  return 1;
}
