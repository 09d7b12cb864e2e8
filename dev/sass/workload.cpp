// SPDX-License-Identifier: Apache-2.0
// Launches one fill, with copies or without, for recorder.cpp to write down, and writes what the CPU back end makes of
// it:
//   workload INITIALIZER DTYPE ROWS COLUMNS FIRST COUNT OFFSET PITCH EXPECTED-FILE [COPY ...]
// fills columns FIRST ... FIRST + COUNT - 1 of a matrix, in rows that are PITCH elements apart (0: dense), at an
// address OFFSET bytes past a multiple of 512. The initializer is a class name or TruncatedNormal[LOWER,UPPER]. A copy
// is its dtype. Prints the address and the number of bytes of each
// tensor, and writes their elements to the file, unless it is "-": then nothing is filled on the CPU. Exit status 3:
// the library refuses the initializer.
#include <cuda_runtime.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
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
  if (argc < 10) return 2;
  const auto number = [&](int n) { return std::strtoll(argv[n], nullptr, 10); };
  const std::int64_t rows = number(3);
  const std::int64_t columns = number(4);
  const std::int64_t count = number(6);
  const auto offset = static_cast<std::size_t>(number(7));
  const auto pitch = static_cast<std::size_t>(number(8));
  const std::string file = argv[9];
  fanin::TensorOptions options;
  if (count != columns) options.block = {{0, number(5)}, {rows, count}};

  // The tensor and its copies.
  std::vector<fanin::View> views;
  for (int n = 9; n < argc; ++n) {
    const fanin::DType dtype = fanin::parse_dtype(argv[n == 9 ? 2 : n]);
    const auto elements = static_cast<std::size_t>(pitch == 0 ? rows * count : (rows - 1) * number(8) + count);
    const std::size_t bytes = elements * fanin::size_of(dtype);
    void* memory = nullptr;
    if (cudaMalloc(&memory, bytes + offset) != cudaSuccess) return 1;
    views.push_back({static_cast<char*>(memory) + offset, dtype, bytes, fanin::cuda(0), pitch});
    std::printf("%p %zu\n", views.back().address, bytes);
  }
  const fanin::Initializer initializer = made(argv[1]);
  fanin::Plan plan;
  try {
    plan.add(initializer, views[0], {rows, columns}, options);
  } catch (const fanin::InvalidArgument& e) {
    std::fprintf(stderr, "%s\n", e.what());
    return 3;
  }
  for (std::size_t n = 1; n < views.size(); ++n) plan.add_copy(0, views[n]);
  if (file != "-") {
    std::FILE* out = std::fopen(file.c_str(), "wb");
    if (out == nullptr) return 1;
    for (const fanin::View& view : views) {
      std::vector<char> expected(view.capacity);
      initializer.fill({expected.data(), view.dtype, view.capacity, fanin::host, pitch}, {rows, columns}, options);
      if (std::fwrite(expected.data(), 1, expected.size(), out) != expected.size()) return 1;
    }
    if (std::fclose(out) != 0) return 1;
  }
  plan.fill();
  return 0;
} catch (const std::exception& e) {
  std::fprintf(stderr, "workload: %s\n", e.what());
  return 1;
}
