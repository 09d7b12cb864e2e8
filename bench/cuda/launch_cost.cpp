// SPDX-License-Identifier: Apache-2.0
// Measures what a fill of device memory costs the host: time, calls of the CUDA runtime and driver, and allocations. A
// runtime that does nothing replaces CUDA's. So no device is needed, and the time is fanin's own. Only public headers
// are included, so that this file also compiles with older versions of the library.
#include <cuda.h>
#include <cuda_runtime_api.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <string>
#include <vector>

#include "fanin/fanin.hpp"

namespace {

std::size_t calls = 0;  // except launches
std::size_t launches = 0;
std::size_t allocations = 0;
int current = 0;

int contexts[2];
CUcontext context_of(int device) { return reinterpret_cast<CUcontext>(&contexts[device]); }
int before[8];  // the devices below the current one on the stack of contexts
int depth = 0;

CUresult context_device(CUdevice* device) {
  ++calls;
  *device = current;
  return CUDA_SUCCESS;
}
CUresult push(CUcontext context) {
  ++calls;
  before[depth++] = current;
  current = static_cast<int>(reinterpret_cast<int*>(context) - contexts);
  return CUDA_SUCCESS;
}
CUresult pop(CUcontext* context) {
  ++calls;
  *context = context_of(current);
  current = before[--depth];
  return CUDA_SUCCESS;
}
CUresult retain(CUcontext* context, CUdevice device) {
  ++calls;
  *context = context_of(device);
  return CUDA_SUCCESS;
}
CUresult state(CUdevice, unsigned*, int* active) {
  ++calls;
  *active = 1;
  return CUDA_SUCCESS;
}

}  // namespace

[[gnu::noinline]] void* operator new(std::size_t bytes) {
  ++allocations;
  if (void* memory = std::malloc(bytes == 0 ? 1 : bytes)) return memory;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

extern "C" {

cudaError_t cudaGetDeviceCount(int* count) {
  ++calls;
  *count = 2;
  return cudaSuccess;
}
cudaError_t cudaGetDevice(int* device) {
  ++calls;
  *device = current;
  return cudaSuccess;
}
cudaError_t cudaSetDevice(int device) {
  ++calls;
  current = device;
  return cudaSuccess;
}
cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr what, int) {
  ++calls;
  *value = what == cudaDevAttrComputeCapabilityMajor             ? 9
           : what == cudaDevAttrMultiProcessorCount              ? 132
           : what == cudaDevAttrMaxSharedMemoryPerBlockOptin     ? 232448
           : what == cudaDevAttrMaxSharedMemoryPerMultiprocessor ? 233472
                                                                 : 0;
  return cudaSuccess;
}
// This address and those above are memory of device 1.
constexpr std::uintptr_t memory_of_1 = std::uintptr_t{1} << 44;
cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* attributes, const void* address) {
  ++calls;
  *attributes = {};
  attributes->type = cudaMemoryTypeDevice;
  attributes->device = reinterpret_cast<std::uintptr_t>(address) >= memory_of_1 ? 1 : 0;
  return cudaSuccess;
}
cudaError_t cudaFuncGetAttributes(cudaFuncAttributes* attributes, const void*) {
  ++calls;
  std::memset(attributes, 0, sizeof *attributes);
  attributes->maxThreadsPerBlock = 1024;
  return cudaSuccess;
}
cudaError_t cudaFuncSetAttribute(const void*, cudaFuncAttribute, int) {
  ++calls;
  return cudaSuccess;
}
cudaError_t cudaLaunchKernel(const void*, dim3, dim3, void**, std::size_t, cudaStream_t) {
  ++launches;
  return cudaSuccess;
}
cudaError_t cudaFree(void*) {
  ++calls;
  return cudaSuccess;
}
cudaError_t cudaMemcpyAsync(void*, const void*, std::size_t, cudaMemcpyKind, cudaStream_t) {
  ++calls;
  return cudaSuccess;
}
cudaError_t cudaLaunchHostFunc(cudaStream_t, cudaHostFn_t function, void* data) {
  ++calls;
  function(data);
  return cudaSuccess;
}
cudaError_t cudaStreamIsCapturing(cudaStream_t, cudaStreamCaptureStatus* status) {
  ++calls;
  *status = cudaStreamCaptureStatusNone;
  return cudaSuccess;
}
cudaError_t cudaThreadExchangeStreamCaptureMode(cudaStreamCaptureMode*) {
  ++calls;
  return cudaSuccess;
}
cudaError_t cudaGetLastError() {
  ++calls;
  return cudaSuccess;
}
cudaError_t cudaGetDriverEntryPointByVersion(const char* name, void** function, unsigned, unsigned long long,
                                             cudaDriverEntryPointQueryResult* result) {
  const std::string wanted = name;
  *function = wanted == "cuCtxGetDevice"               ? reinterpret_cast<void*>(context_device)
              : wanted == "cuCtxPushCurrent"           ? reinterpret_cast<void*>(push)
              : wanted == "cuCtxPopCurrent"            ? reinterpret_cast<void*>(pop)
              : wanted == "cuDevicePrimaryCtxRetain"   ? reinterpret_cast<void*>(retain)
              : wanted == "cuDevicePrimaryCtxGetState" ? reinterpret_cast<void*>(state)
                                                       : nullptr;
  *result = *function != nullptr ? cudaDriverEntryPointSuccess : cudaDriverEntryPointSymbolNotFound;
  return cudaSuccess;
}

}  // extern "C"

namespace {

using fanin::Plan;
using fanin::Shape;

void* memory(std::uintptr_t offset, int device) {
  return reinterpret_cast<void*>((device == 1 ? memory_of_1 : std::uintptr_t{1} << 40) + offset);
}

// Measures f(made). Each round makes a new argument; with several repetitions, f is called once before they are timed.
template <class Make, class F>
void measure(const char* what, int repetitions, const Make& make, const F& f) {
  double best = 1e30;
  for (int round = 0; round < 15; ++round) {
    auto made = make();
    if (repetitions > 1) f(made);  // does the work that only the first call does
    calls = launches = allocations = 0;
    const auto start = std::chrono::steady_clock::now();
    for (int n = 0; n < repetitions; ++n) f(made);
    const std::chrono::duration<double, std::micro> time = std::chrono::steady_clock::now() - start;
    best = std::min(best, time.count() / repetitions);
  }
  const auto times = static_cast<std::size_t>(repetitions);
  std::printf("| %-40s | %6zu | %8zu | %11zu | %9.2f |\n", what, calls / times, launches / times, allocations / times,
              best);
}

// GPT-2's 148 tensors.
std::vector<Shape> gpt2() {
  constexpr std::int64_t d = 768;
  std::vector<Shape> shapes{{50257, d}, {1024, d}, {d}, {d}};
  for (int layer = 0; layer < 12; ++layer) {
    for (const Shape& shape : {Shape{d}, Shape{d}, Shape{d, 3 * d}, Shape{3 * d}, Shape{d, d}, Shape{d}, Shape{d},
                               Shape{d}, Shape{d, 4 * d}, Shape{4 * d}, Shape{4 * d, d}, Shape{d}}) {
      shapes.push_back(shape);
    }
  }
  return shapes;
}

Plan plan_of(const std::vector<Shape>& shapes) {
  const fanin::RandomNormal normal(0.0, 0.02, 7);
  const fanin::Zeros zeros;
  Plan plan;
  std::uintptr_t offset = 0;
  for (std::size_t n = 0; n < shapes.size(); ++n) {
    const std::size_t bytes = fanin::element_count(shapes[n]) * sizeof(float);
    const fanin::Initializer& init = shapes[n].size() > 1 ? static_cast<const fanin::Initializer&>(normal) : zeros;
    plan.add(init, {memory(offset, 0), fanin::DType::float32, bytes, fanin::cuda(0)}, shapes[n],
             "tensor." + std::to_string(n));
    offset += (bytes + 255) / 256 * 256;
  }
  return plan;
}

}  // namespace

int main() {
  std::printf("| %-40s | %6s | %8s | %11s | %9s |\n", "", "calls", "launches", "allocations", "us");
  std::printf("| --- | --- | --- | --- | --- |\n");
  const fanin::HeNormal he(1);
  const Shape shape{1024, 1024};
  fanin::TensorOptions options;
  options.name = "layer.weight";
  for (const int device : {0, 1}) {
    const auto view = [&] {
      return fanin::View{memory(0, device), fanin::DType::float32, std::size_t{4} << 20, fanin::cuda(device)};
    };
    measure(device == 0 ? "a fill on the current device" : "a fill on another device", 1000, view,
            [&](const fanin::View& there) { he.fill(there, shape, options); });
  }
  const auto fill = [](const Plan& plan) { plan.fill(); };
  measure(
      "a plan of GPT-2's 148 tensors", 100, [] { return plan_of(gpt2()); }, fill);
  const auto many = [] { return plan_of(std::vector<Shape>(10000, Shape{4, 8})); };
  const auto upload = [](Plan& plan) {
    const std::size_t bytes = plan.workspace_size(0);
    plan.upload({memory(std::uintptr_t{1} << 32, 0), fanin::DType::float32, bytes, fanin::cuda(0)});
  };
  measure("a plan of 10,000 tensors, its first fill", 1, many, fill);
  measure("a plan of 10,000 tensors", 10, many, fill);
  measure("its workspace_size and upload", 1, many, upload);
  const auto uploaded = [&] {
    Plan plan = many();
    upload(plan);
    return plan;
  };
  measure("a plan of 10,000 tensors, uploaded", 100, uploaded, fill);
}
