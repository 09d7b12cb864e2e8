// SPDX-License-Identifier: Apache-2.0
// Tests devices in a fresh process: no context on a device that nobody uses, captures before any other call, and memory
// of every origin. Each test runs in its own process, in which nothing has used a device before. All tests skip without
// a device, and some with only one.
#include <cuda.h>
#include <cuda_runtime.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <iostream>
#include <string>
#include <thread>
#include <vector>

#include "fanin/fanin.hpp"
#include "support/test_support.h"

namespace fanin {
namespace {

#define CUDA_OK(call) ASSERT_EQ(call, cudaSuccess) << cudaGetErrorString(cudaGetLastError())

template <class F>
F* driver_function(const char* name) {
  void* function = nullptr;
  cudaDriverEntryPointQueryResult result = cudaDriverEntryPointSymbolNotFound;
#if CUDART_VERSION >= 12050
  EXPECT_EQ(cudaGetDriverEntryPointByVersion(name, &function, 12000, cudaEnableDefault, &result), cudaSuccess);
#else
  EXPECT_EQ(cudaGetDriverEntryPoint(name, &function, cudaEnableDefault, &result), cudaSuccess);
#endif
  EXPECT_EQ(result, cudaDriverEntryPointSuccess) << name;
  return reinterpret_cast<F*>(function);
}

bool has_context(int device) {
  unsigned flags = 0;
  int active = 0;
  EXPECT_EQ(driver_function<CUresult(CUdevice, unsigned*, int*)>("cuDevicePrimaryCtxGetState")(device, &flags, &active),
            CUDA_SUCCESS);
  return active != 0;
}

bool is_any_current() {
  CUcontext context = nullptr;
  EXPECT_EQ(driver_function<CUresult(CUcontext*)>("cuCtxGetCurrent")(&context), CUDA_SUCCESS);
  return context != nullptr;
}

// The devices that have a context.
std::vector<int> with_contexts() {
  std::vector<int> all;
  for (int device = 0; device < available().cuda_devices; ++device) {
    if (has_context(device)) all.push_back(device);
  }
  return all;
}

class DevicesDeathTest : public testing::Test {
 protected:
  void SetUp() override {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    if (available().cuda_devices == 0) GTEST_SKIP() << "no CUDA device: " << available().reason;
  }
  // Runs f(), with its assertions, and ends the process. A death test shows the output if it fails.
  template <class F>
  [[noreturn]] static void alone(const F& f) {
    f();
    std::cerr.flush();
    std::_Exit(HasFailure() ? 1 : 0);
  }
};

#define EXPECT_ALONE(...) EXPECT_EXIT(alone([&] __VA_ARGS__), testing::ExitedWithCode(0), "")
#define NEEDS_TWO_DEVICES \
  if (available().cuda_devices < 2) GTEST_SKIP() << "one CUDA device"

std::vector<float> expected_of(const Initializer& init, const Shape& shape, const TensorOptions& options = {}) {
  std::vector<float> values(element_count(shape));
  init.fill(view(values.data(), values.size()), shape, options);
  return values;
}

std::vector<float> values_in(const View& there, CudaStream stream = nullptr) {
  std::vector<float> values(there.capacity / sizeof(float));
  read(values.data(), there, stream);
  return values;
}

std::vector<float> values_in(Tensor& tensor) { return values_in(tensor.view()); }

void* byte_of(Tensor& tensor, std::size_t offset) { return static_cast<unsigned char*>(tensor.data()) + offset; }

TEST_F(DevicesDeathTest, HostMemoryNeedsNoContext) {
  EXPECT_ALONE({
    std::vector<float> memory(1000);
    EXPECT_EQ(device_of(memory.data()), host);
    HeNormal(1).fill(view(memory.data(), 1000), {10, 100});
    Plan plan;
    plan.add(HeNormal(1), view(memory.data(), 1000), {10, 100}, "a");
    plan.fill();
    const Tensor tensor({10}, DType::float32);
    EXPECT_EQ(with_contexts(), std::vector<int>{});
    EXPECT_FALSE(is_any_current());
  });
}

// Uses the whole interface on the last device only.
TEST_F(DevicesDeathTest, OtherDevicesAreLeftAlone) {
  EXPECT_ALONE({
    const int device = available().cuda_devices - 1;
    const HeNormal init(1);
    const Shape shape{10, 100};
    const std::vector<float> expected = expected_of(init, shape);
    preload(device);
    {
      Tensor tensor(shape, DType::float32, cuda(device));
      init.fill(tensor.view(), shape);
      EXPECT_EQ(values_in(tensor), expected);
      EXPECT_EQ(device_of(tensor.data()), cuda(device));
      EXPECT_EQ(device_of(expected.data()), host);
      const Tensor on_host = tensor.to(host);
      EXPECT_EQ(std::memcmp(on_host.data(), expected.data(), on_host.bytes()), 0);
      Tensor again = on_host.to(cuda(device));
      EXPECT_EQ(values_in(again), expected);
      EXPECT_EQ(again.to(cuda(device)).device(), cuda(device));

      Tensor many({2000}, DType::float32, cuda(device));
      Plan plan;
      for (std::size_t n = 0; n < 1000; ++n) {
        plan.add(init, {byte_of(many, n * 8), DType::float32, 8, cuda(device)}, {2}, std::to_string(n));
      }
      Tensor workspace({static_cast<std::int64_t>(plan.workspace_size(device) / 8)}, DType::float64, cuda(device));
      plan.upload(workspace.view());
      plan.fill();
      EXPECT_EQ(values_in({byte_of(many, 999 * 8), DType::float32, 8, cuda(device)}),
                expected_of(init, {2}, {.name = "999"}));
      EXPECT_NE(test::refusal<InvalidArgument>([&] {
                  float memory = 0;
                  EXPECT_EQ(device_of(&memory), host);
                  init.fill({nullptr, DType::float32, 4, cuda(device)}, {1});
                }).find("null"),
                std::string::npos);
    }
    EXPECT_EQ(with_contexts(), std::vector<int>{device});
    EXPECT_FALSE(is_any_current());
    int current = -1;
    CUDA_OK(cudaGetDevice(&current));
    EXPECT_EQ(current, 0);
  });
}

TEST_F(DevicesDeathTest, TheCallersContextIsRestored) {
  NEEDS_TWO_DEVICES;
  EXPECT_ALONE({
    CUDA_OK(cudaSetDevice(1));
    CUDA_OK(cudaFree(nullptr));
    Tensor there({4}, DType::float32, cuda(0));
    HeNormal(1).fill(there.view(), {4});
    EXPECT_EQ(values_in(there), expected_of(HeNormal(1), {4}));
    int current = -1;
    CUDA_OK(cudaGetDevice(&current));
    EXPECT_EQ(current, 1);
    Tensor on_current = HeNormal(1)({2, 2});
    EXPECT_EQ(on_current.device(), cuda(1));
    EXPECT_EQ(values_in(on_current), expected_of(HeNormal(1), {2, 2}));
    const Tensor between = on_current.to(cuda(0));
    EXPECT_EQ(std::memcmp(between.to(host).data(), on_current.to(host).data(), between.bytes()), 0);
    EXPECT_NE(test::refusal<InvalidArgument>([&] {
                HeNormal(1).fill({on_current.data(), DType::float32, 16, cuda(0)}, {4});
              }).find("an address on cuda:1"),
              std::string::npos);
  });
}

TEST_F(DevicesDeathTest, APlanOfSeveralDevices) {
  NEEDS_TWO_DEVICES;
  EXPECT_ALONE({
    const int last = available().cuda_devices - 1;
    const int all[] = {0, last};
    const Shape shape{30, 50};
    Plan plan;
    std::vector<Tensor> tensors;
    std::vector<Plan::DeviceStream> streams;
    for (const int device : all) {
      tensors.push_back(Zeros()(shape).to(cuda(device)));
      plan.add(HeNormal(3), tensors.back().view(), shape, std::to_string(device));
      CUDA_OK(cudaSetDevice(device));
      cudaStream_t stream = nullptr;
      CUDA_OK(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
      streams.push_back({device, stream});
    }
    EXPECT_NE(test::refusal<InvalidArgument>([&] { plan.fill({streams[0].stream}); }).find("a stream for each"),
              std::string::npos);
    for (Tensor& tensor : tensors) EXPECT_EQ(values_in(tensor), std::vector<float>(1500));  // nothing was written
    plan.fill(streams);
    for (std::size_t n = 0; n < 2; ++n) {
      EXPECT_EQ(values_in(tensors[n].view(), streams[n].stream),
                expected_of(HeNormal(3), shape, {.name = std::to_string(all[n])}));
    }
  });
}

// ---- captures

// Captures the work that f(stream) puts on a stream, and replays it.
template <class F>
void capture_and_replay(const F& f) {
  cudaStream_t stream = nullptr;
  CUDA_OK(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
  CUDA_OK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal));
  f(stream);
  cudaGraph_t graph = nullptr;
  CUDA_OK(cudaStreamEndCapture(stream, &graph));
  cudaGraphExec_t executable = nullptr;
  CUDA_OK(cudaGraphInstantiate(&executable, graph, 0));
  CUDA_OK(cudaGraphLaunch(executable, stream));
  CUDA_OK(cudaStreamSynchronize(stream));
  CUDA_OK(cudaGraphExecDestroy(executable));
  CUDA_OK(cudaGraphDestroy(graph));
  CUDA_OK(cudaStreamDestroy(stream));
}

TEST_F(DevicesDeathTest, ACaptureRightAfterPreload) {
  EXPECT_ALONE({
    preload();
    Tensor tensor({30, 50}, DType::float32, cuda(0));
    capture_and_replay([&](cudaStream_t stream) { HeNormal(1).fill(tensor.view(), {30, 50}, {}, {.stream = stream}); });
    EXPECT_EQ(values_in(tensor), expected_of(HeNormal(1), {30, 50}));
  });
}

TEST_F(DevicesDeathTest, ACaptureBeforePreload) {
  EXPECT_ALONE({
    Tensor tensor({30, 50}, DType::float32, cuda(0));
    capture_and_replay([&](cudaStream_t stream) { HeNormal(1).fill(tensor.view(), {30, 50}, {}, {.stream = stream}); });
    EXPECT_EQ(values_in(tensor), expected_of(HeNormal(1), {30, 50}));
  });
}

// Preloads all devices, in the capturing thread and in another one.
TEST_F(DevicesDeathTest, PreloadDuringACapture) {
  EXPECT_ALONE({
    Tensor tensor({30, 50}, DType::float32, cuda(0));
    capture_and_replay([&](cudaStream_t stream) {
      std::thread([] { preload(); }).join();
      for (int device = 0; device < available().cuda_devices; ++device) preload(device);
      HeNormal(1).fill(tensor.view(), {30, 50}, {}, {.stream = stream});
    });
    EXPECT_EQ(values_in(tensor), expected_of(HeNormal(1), {30, 50}));
  });
}

// ---- memory

TEST_F(DevicesDeathTest, MemoryInTheOrderOfAStream) {
  EXPECT_ALONE({
    cudaStream_t stream = nullptr;
    CUDA_OK(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
    void* memory = nullptr;
    CUDA_OK(cudaMallocAsync(&memory, 6000, stream));
    const View there{memory, DType::float32, 6000, cuda(0)};
    EXPECT_EQ(device_of(memory), cuda(0));
    HeNormal(1).fill(there, {30, 50}, {}, {.stream = stream});
    EXPECT_EQ(values_in(there, stream), expected_of(HeNormal(1), {30, 50}));
    CUDA_OK(cudaFreeAsync(memory, stream));
    CUDA_OK(cudaStreamSynchronize(stream));
    CUDA_OK(cudaStreamDestroy(stream));
  });
}

TEST_F(DevicesDeathTest, MemoryOfAGraph) {
  EXPECT_ALONE({
    Tensor result({30, 50}, DType::float32, cuda(0));
    capture_and_replay([&](cudaStream_t stream) {
      void* memory = nullptr;
      CUDA_OK(cudaMallocAsync(&memory, 6000, stream));
      HeNormal(1).fill({memory, DType::float32, 6000, cuda(0)}, {30, 50}, {}, {.stream = stream});
      CUDA_OK(cudaMemcpyAsync(result.data(), memory, 6000, cudaMemcpyDeviceToDevice, stream));
      CUDA_OK(cudaFreeAsync(memory, stream));
    });
    EXPECT_EQ(values_in(result), expected_of(HeNormal(1), {30, 50}));
  });
}

TEST_F(DevicesDeathTest, RegisteredHostMemory) {
  EXPECT_ALONE({
    std::vector<float> memory(1500);
    CUDA_OK(cudaHostRegister(memory.data(), 6000, cudaHostRegisterMapped));
    EXPECT_EQ(device_of(memory.data()), host);
    HeNormal(1).fill({memory.data(), DType::float32, 6000, cuda(0)}, {30, 50});
    CUDA_OK(cudaDeviceSynchronize());
    CUDA_OK(cudaHostUnregister(memory.data()));
    EXPECT_EQ(memory, expected_of(HeNormal(1), {30, 50}));
  });
}

// The plan is destroyed before the stream runs the copy.
TEST_F(DevicesDeathTest, AnUploadOutlivesItsPlan) {
  EXPECT_ALONE({
    constexpr std::size_t count = 2000;
    cudaStream_t stream = nullptr;
    CUDA_OK(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
    Tensor tensor({2 * count}, DType::float32, cuda(0));
    Tensor workspace({1 << 16}, DType::float64, cuda(0));
    {
      Plan plan;
      for (std::size_t n = 0; n < count; ++n) {
        plan.add(HeNormal(1), {byte_of(tensor, n * 8), DType::float32, 8, cuda(0)}, {2}, std::to_string(n));
      }
      plan.upload(workspace.view(), stream);
      plan.fill({stream});
    }
    const std::vector<float> got = values_in(tensor.view(), stream);
    for (std::size_t n = 0; n < count; ++n) {
      const std::vector<float> expected = expected_of(HeNormal(1), {2}, {.name = std::to_string(n)});
      ASSERT_EQ(got[2 * n], expected[0]) << n;
      ASSERT_EQ(got[2 * n + 1], expected[1]) << n;
    }
    CUDA_OK(cudaStreamDestroy(stream));
  });
}

TEST_F(DevicesDeathTest, AConcurrentFirstUse) {
  EXPECT_ALONE({
    const Shape shape{30, 50};
    std::vector<Tensor> tensors;
    for (int n = 0; n < 8; ++n) tensors.emplace_back(shape, DType::float32, cuda(0));
    Plan plan;
    plan.add(HeNormal(2), tensors[7].view(), shape);
    std::vector<std::thread> threads;
    for (int n = 0; n < 7; ++n) {
      threads.emplace_back([&, n] {
        HeNormal(n).fill(tensors[static_cast<std::size_t>(n)].view(), shape);
        plan.fill();
      });
    }
    for (std::thread& thread : threads) thread.join();
    for (int n = 0; n < 7; ++n) {
      EXPECT_EQ(values_in(tensors[static_cast<std::size_t>(n)]), expected_of(HeNormal(n), shape));
    }
    EXPECT_EQ(values_in(tensors[7]), expected_of(HeNormal(2), shape));
  });
}

}  // namespace
}  // namespace fanin
