// SPDX-License-Identifier: Apache-2.0
// What the CUDA back end asks of the runtime. Some of its functions are defined here, in front of the real ones, so
// that there are two devices, or none, and every call is written down.
#include <cuda_runtime.h>
#include <dlfcn.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "fanin/fanin.hpp"
#include "test_support.h"

namespace {

int current = 0;  // device
cudaError_t devices_error = cudaSuccess;
cudaError_t launch_error = cudaSuccess;
std::vector<std::string> calls;  // with the device that was the current one

void write_down(std::string call) {
  call += std::to_string(current);
  calls.push_back(std::move(call));
}

template <class F>
F* real(const char* name) {
  return reinterpret_cast<F*>(dlsym(RTLD_NEXT, name));
}

}  // namespace

extern "C" {

cudaError_t cudaGetDeviceCount(int* count) {
  *count = devices_error == cudaSuccess ? 2 : 0;
  return devices_error;
}
cudaError_t cudaGetDevice(int* device) {
  *device = current;
  return cudaSuccess;
}
cudaError_t cudaSetDevice(int device) {
  current = device;
  return cudaSuccess;
}
cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr what, int) {
  return real<decltype(cudaDeviceGetAttribute)>("cudaDeviceGetAttribute")(value, what, 0);
}
cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* attributes, const void* address) {
  const cudaError_t error = real<decltype(cudaPointerGetAttributes)>("cudaPointerGetAttributes")(attributes, address);
  if (attributes->type == cudaMemoryTypeDevice) attributes->device = 1;
  return error;
}
cudaError_t cudaLaunchKernel(const void* kernel, dim3 grid, dim3 block, void** arguments, std::size_t shared,
                             cudaStream_t stream) {
  write_down("launch ");
  if (launch_error != cudaSuccess) return launch_error;
  return real<cudaError_t(const void*, dim3, dim3, void**, std::size_t, cudaStream_t)>("cudaLaunchKernel")(
      kernel, grid, block, arguments, shared, stream);
}
cudaError_t cudaMalloc(void** memory, std::size_t bytes) {
  write_down("malloc ");
  return real<cudaError_t(void**, std::size_t)>("cudaMalloc")(memory, bytes);
}
cudaError_t cudaFree(void* memory) {
  write_down("free ");
  return real<decltype(cudaFree)>("cudaFree")(memory);
}
cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind, cudaStream_t stream) {
  write_down("copy ");
  return real<decltype(cudaMemcpyAsync)>("cudaMemcpyAsync")(to, from, bytes, kind, stream);
}
cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  write_down("synchronize stream ");
  return real<decltype(cudaStreamSynchronize)>("cudaStreamSynchronize")(stream);
}
cudaError_t cudaDeviceSynchronize() {
  write_down("synchronize ");
  return real<decltype(cudaDeviceSynchronize)>("cudaDeviceSynchronize")();
}

}  // extern "C"

namespace fanin {
namespace {

using Calls = std::vector<std::string>;

class CudaCalls : public testing::Test {
 protected:
  static constexpr std::size_t bytes = 4000;

  void SetUp() override {
    int devices = 0;
    if (real<decltype(cudaGetDeviceCount)>("cudaGetDeviceCount")(&devices) != cudaSuccess || devices == 0) {
      GTEST_SKIP() << "no CUDA device: " << cudaGetErrorString(cudaGetLastError());
    }
    ASSERT_EQ(cudaMalloc(&memory_, bytes), cudaSuccess);
    calls.clear();
  }
  void TearDown() override {
    devices_error = launch_error = cudaSuccess;
    if (memory_ != nullptr) cudaFree(memory_);
  }
  View view() const { return {memory_, DType::float32, bytes, cuda(1)}; }
  // What has been called since the last time; and the caller's device is still the current one.
  static Calls taken() {
    EXPECT_EQ(current, 0);
    Calls all;
    std::swap(all, calls);
    return all;
  }

 private:
  void* memory_ = nullptr;
};

TEST_F(CudaCalls, AFillIsOneLaunchOnItsDevice) {
  preload(1);
  EXPECT_EQ(taken(), Calls{"free 1"});  // which makes the device ready
  HeNormal(1).fill(view(), {10, 100});
  EXPECT_EQ(taken(), Calls{"launch 1"});
  Plan plan;
  plan.add(HeNormal(1), view(), {10, 100}, "a");
  EXPECT_EQ(taken(), Calls{});
  plan.fill();
  EXPECT_EQ(taken(), Calls{"launch 1"});
}

TEST_F(CudaCalls, AFailureRestoresTheDevice) {
  launch_error = cudaErrorLaunchOutOfResources;
  EXPECT_NE(test::refusal<DeviceError>([&] {
              HeNormal(1).fill(view(), {10, 100});
            }).find("(cudaErrorLaunchOutOfResources)"),
            std::string::npos);
  EXPECT_EQ(taken(), Calls{"launch 1"});
  EXPECT_NE(test::refusal<InvalidArgument>([&] {
              View wrong = view();
              wrong.place = cuda(0);
              HeNormal(1).fill(wrong, {10, 100});
            }).find("cuda:1"),
            std::string::npos);
  EXPECT_EQ(taken(), Calls{});
}

TEST_F(CudaCalls, NoDeviceAndNoDriverAreNoErrors) {
  for (const cudaError_t error : {cudaErrorNoDevice, cudaErrorInsufficientDriver}) {
    devices_error = error;
    const Availability there = available();
    EXPECT_TRUE(there.cuda_built);
    EXPECT_EQ(there.cuda_devices, 0);
    EXPECT_NE(there.reason.find("there is no CUDA d"), std::string::npos) << there.reason;
    EXPECT_NE(test::refusal<DeviceError>([&] {
                HeNormal(1).fill(view(), {10, 100});
              }).find(there.reason),
              std::string::npos);
    EXPECT_EQ(taken(), Calls{});
  }
}

}  // namespace
}  // namespace fanin
