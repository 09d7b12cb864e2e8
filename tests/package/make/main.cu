// SPDX-License-Identifier: Apache-2.0
// A CUDA program that fills host memory, and device memory if there is a device. Both must have the known bits. With
// the argument --device, a device is required.
#include <cuda_runtime.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fanin/fanin.hpp>
#include <vector>

#include "../checksum.h"

namespace {

constexpr std::size_t count = 512 * 2048;
constexpr std::size_t bytes = count * sizeof(float);

// The program's own kernel: it must work beside fanin's.
__global__ void negate(float* values) {
  const std::size_t j = std::size_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (j < count) values[j] = -values[j];
}

void check(cudaError_t error) {
  if (error == cudaSuccess) return;
  std::fprintf(stderr, "consumer: %s\n", cudaGetErrorString(error));
  std::exit(1);
}

void check(const std::vector<float>& weights, const char* where) {
  if (checksum(weights.data(), bytes) == EXPECTED_CHECKSUM) return;
  std::fprintf(stderr, "consumer: a fill of %s memory has wrong bits\n", where);
  std::exit(1);
}

}  // namespace

int main(int argc, char** argv) {
  const bool device_required = argc == 2 && std::strcmp(argv[1], "--device") == 0;
  const fanin::Shape shape{512, 2048};
  std::vector<float> weights(count);
  fanin::HeNormal(42).fill(fanin::view(weights.data(), count), shape);
  check(weights, "host");

  const fanin::Availability there = fanin::available();
  int devices = 0;
  if (cudaGetDeviceCount(&devices) != cudaSuccess) devices = 0;
  if (devices != there.cuda_devices) {
    std::fprintf(stderr, "consumer: the program sees %d devices, fanin %d\n", devices, there.cuda_devices);
    return 1;
  }
  if (devices == 0) {
    std::printf("host memory; no device: %s\n", there.reason.c_str());
    return device_required ? 1 : 0;
  }

  float* memory = nullptr;
  cudaStream_t stream = nullptr;
  check(cudaMalloc(&memory, bytes));
  check(cudaStreamCreate(&stream));
  fanin::RunOptions run;
  run.stream = stream;
  fanin::HeNormal(42).fill({memory, fanin::DType::float32, bytes, fanin::cuda(0)}, shape, {}, run);
  negate<<<count / 256, 256, 0, stream>>>(memory);
  negate<<<count / 256, 256, 0, stream>>>(memory);
  check(cudaGetLastError());
  check(cudaMemcpyAsync(weights.data(), memory, bytes, cudaMemcpyDeviceToHost, stream));
  check(cudaStreamSynchronize(stream));
  check(weights, "device");
  check(cudaStreamDestroy(stream));
  check(cudaFree(memory));
  std::printf("host and device memory\n");
  return 0;
}
