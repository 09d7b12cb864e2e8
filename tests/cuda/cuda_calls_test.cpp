// SPDX-License-Identifier: Apache-2.0
// Tests the calls of the CUDA back end to the runtime and the driver. This program defines all functions that the back
// end uses, in place of the real ones. They record every call and simulate three devices, or none, on top of one.
#include <cuda.h>
#include <cuda_runtime_api.h>
#include <dlfcn.h>
#include <elf.h>
#include <gtest/gtest.h>
#include <link.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "fanin/fanin.hpp"
#include "support/test_support.h"

namespace {

constexpr int devices = 3;
constexpr int with_pageable_memory = 2;  // this device reads ordinary host memory

// The devices of the calling thread's stack of contexts, the current one last.
std::vector<int> contexts;
int chosen = 0;        // with cudaSetDevice
std::set<int> active;  // devices that have a primary context
bool has_driver_functions = true;
bool is_capturing = false;
cudaError_t devices_error = cudaSuccess;
cudaError_t launch_error = cudaSuccess;
int launch_errors = 0;                                       // this many launches fail
const void* device_memory_of_1 = nullptr;                    // an address in memory of device 1
void* mapped_to = nullptr;                                   // the device's address of pinned memory
bool is_unmapped = false;                                    // the device cannot access pinned memory
std::vector<std::string> calls;                              // each with the device that was current
std::vector<cudaStream_t> streams;                           // of launches
std::vector<const void*> sources;                            // of copies
std::vector<std::pair<cudaHostFn_t, void*>> host_functions;  // that the stream has not run yet

std::size_t allocations = 0;  // except those of the functions below
int in_calls = 0;
const void* watched = nullptr;  // memory whose release is noted
bool watched_is_free = false;

int current() { return contexts.empty() ? chosen : contexts.back(); }

// Records a call. Allocations during its lifetime are not the back end's.
class Call {
 public:
  explicit Call(const char* name) {
    ++in_calls;
    calls.push_back(std::string(name) + ' ' + std::to_string(current()));
  }
  ~Call() { --in_calls; }
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;
};

// Makes the chosen device's primary context, as calls that need a context do.
void make_context() {
  if (!contexts.empty()) return;
  contexts.push_back(chosen);
  active.insert(chosen);
}

template <class F>
F* real(const char* name) {
  return reinterpret_cast<F*>(dlsym(RTLD_NEXT, name));
}

int contexts_of_devices[devices];
CUcontext context_of(int device) { return reinterpret_cast<CUcontext>(&contexts_of_devices[device]); }

CUresult context_device(CUdevice* device) {
  const Call call("cuCtxGetDevice");
  if (contexts.empty()) return CUDA_ERROR_INVALID_CONTEXT;
  *device = contexts.back();
  return CUDA_SUCCESS;
}
CUresult push(CUcontext context) {
  contexts.push_back(static_cast<int>(reinterpret_cast<int*>(context) - contexts_of_devices));
  active.insert(contexts.back());
  const Call call("cuCtxPushCurrent");
  return CUDA_SUCCESS;
}
CUresult pop(CUcontext* context) {
  const Call call("cuCtxPopCurrent");
  *context = context_of(contexts.back());
  contexts.pop_back();
  return CUDA_SUCCESS;
}
CUresult retain(CUcontext* context, CUdevice device) {
  const Call call("cuDevicePrimaryCtxRetain");
  active.insert(device);
  *context = context_of(device);
  return CUDA_SUCCESS;
}
CUresult state(CUdevice device, unsigned*, int* is_active) {
  const Call call("cuDevicePrimaryCtxGetState");
  *is_active = active.count(device) != 0 ? 1 : 0;
  return CUDA_SUCCESS;
}

}  // namespace

[[gnu::noinline]] void* operator new(std::size_t bytes) {
  if (in_calls == 0) ++allocations;
  if (void* memory = std::malloc(bytes == 0 ? 1 : bytes)) return memory;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* memory) noexcept {
  if (memory != nullptr && memory == watched) watched_is_free = true;
  std::free(memory);
}
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { operator delete(memory); }

extern "C" {

cudaError_t cudaGetDeviceCount(int* count) {
  const Call call("cudaGetDeviceCount");
  *count = devices_error == cudaSuccess ? devices : 0;
  return devices_error;
}
cudaError_t cudaGetDevice(int* device) {
  const Call call("cudaGetDevice");
  *device = current();
  return cudaSuccess;
}
cudaError_t cudaSetDevice(int device) {
  const Call call("cudaSetDevice");
  chosen = device;
  contexts.assign(1, device);
  active.insert(device);
  return cudaSuccess;
}
cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr what, int device) {
  const Call call("cudaDeviceGetAttribute");
  const cudaError_t error = real<decltype(cudaDeviceGetAttribute)>("cudaDeviceGetAttribute")(value, what, 0);
  if (what == cudaDevAttrPageableMemoryAccess) *value = device == with_pageable_memory ? 1 : 0;
  return error;
}
cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* attributes, const void* address) {
  make_context();
  const Call call("cudaPointerGetAttributes");
  const cudaError_t error = real<decltype(cudaPointerGetAttributes)>("cudaPointerGetAttributes")(attributes, address);
  if (attributes->type == cudaMemoryTypeDevice) attributes->device = address == device_memory_of_1 ? 1 : current();
  if (attributes->type == cudaMemoryTypeHost && mapped_to != nullptr) attributes->devicePointer = mapped_to;
  if (attributes->type == cudaMemoryTypeHost && is_unmapped) attributes->devicePointer = nullptr;
  return error;
}
cudaError_t cudaFuncGetAttributes(cudaFuncAttributes* attributes, const void* kernel) {
  make_context();
  const Call call("cudaFuncGetAttributes");
  return real<decltype(cudaFuncGetAttributes)>("cudaFuncGetAttributes")(attributes, kernel);
}
cudaError_t cudaFuncSetAttribute(const void* kernel, cudaFuncAttribute what, int value) {
  make_context();
  const Call call("cudaFuncSetAttribute");
  return real<decltype(cudaFuncSetAttribute)>("cudaFuncSetAttribute")(kernel, what, value);
}
cudaError_t cudaLaunchKernel(const void* kernel, dim3 grid, dim3 block, void** arguments, std::size_t shared,
                             cudaStream_t stream) {
  make_context();
  const Call call("cudaLaunchKernel");
  streams.push_back(stream);
  if (launch_errors > 0) {
    --launch_errors;
    return launch_error;
  }
  return real<decltype(cudaLaunchKernel)>("cudaLaunchKernel")(kernel, grid, block, arguments, shared, nullptr);
}
cudaError_t cudaMalloc(void** memory, std::size_t bytes) {
  make_context();
  const Call call("cudaMalloc");
  return real<decltype(cudaMalloc)>("cudaMalloc")(memory, bytes);
}
cudaError_t cudaFree(void* memory) {
  make_context();
  const Call call("cudaFree");
  return real<decltype(cudaFree)>("cudaFree")(memory);
}
cudaError_t cudaMemcpy(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind) {
  make_context();
  const Call call("cudaMemcpy");
  return real<decltype(cudaMemcpy)>("cudaMemcpy")(to, from, bytes, kind);
}
cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind, cudaStream_t stream) {
  make_context();
  const Call call("cudaMemcpyAsync");
  sources.push_back(from);
  return real<decltype(cudaMemcpyAsync)>("cudaMemcpyAsync")(to, from, bytes, kind, stream);
}
cudaError_t cudaLaunchHostFunc(cudaStream_t, cudaHostFn_t function, void* data) {
  make_context();
  const Call call("cudaLaunchHostFunc");
  host_functions.emplace_back(function, data);
  return cudaSuccess;
}
cudaError_t cudaStreamIsCapturing(cudaStream_t, cudaStreamCaptureStatus* status) {
  make_context();
  const Call call("cudaStreamIsCapturing");
  *status = is_capturing ? cudaStreamCaptureStatusActive : cudaStreamCaptureStatusNone;
  return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  make_context();
  const Call call("cudaStreamSynchronize");
  return real<decltype(cudaStreamSynchronize)>("cudaStreamSynchronize")(stream);
}
cudaError_t cudaDeviceSynchronize() {
  make_context();
  const Call call("cudaDeviceSynchronize");
  return real<decltype(cudaDeviceSynchronize)>("cudaDeviceSynchronize")();
}
cudaError_t cudaThreadExchangeStreamCaptureMode(cudaStreamCaptureMode* mode) {
  const Call call("cudaThreadExchangeStreamCaptureMode");
  return real<decltype(cudaThreadExchangeStreamCaptureMode)>("cudaThreadExchangeStreamCaptureMode")(mode);
}
cudaError_t cudaGetLastError() {
  const Call call("cudaGetLastError");
  return real<decltype(cudaGetLastError)>("cudaGetLastError")();
}
const char* cudaGetErrorName(cudaError_t error) {
  const Call call("cudaGetErrorName");
  return real<decltype(cudaGetErrorName)>("cudaGetErrorName")(error);
}
const char* cudaGetErrorString(cudaError_t error) {
  const Call call("cudaGetErrorString");
  return real<decltype(cudaGetErrorString)>("cudaGetErrorString")(error);
}
cudaError_t cudaGetDriverEntryPointByVersion(const char* name, void** function, unsigned, unsigned long long,
                                             cudaDriverEntryPointQueryResult* result) {
  const Call call("cudaGetDriverEntryPointByVersion");
  const std::string wanted = name;
  *function = wanted == "cuCtxGetDevice"               ? reinterpret_cast<void*>(context_device)
              : wanted == "cuCtxPushCurrent"           ? reinterpret_cast<void*>(push)
              : wanted == "cuCtxPopCurrent"            ? reinterpret_cast<void*>(pop)
              : wanted == "cuDevicePrimaryCtxRetain"   ? reinterpret_cast<void*>(retain)
              : wanted == "cuDevicePrimaryCtxGetState" ? reinterpret_cast<void*>(state)
                                                       : nullptr;
  if (!has_driver_functions) *function = nullptr;
  *result = *function != nullptr ? cudaDriverEntryPointSuccess : cudaDriverEntryPointSymbolNotFound;
  return cudaSuccess;
}
cudaError_t cudaGetDriverEntryPoint(const char* name, void** function, unsigned long long flags,
                                    cudaDriverEntryPointQueryResult* result) {
  return cudaGetDriverEntryPointByVersion(name, function, 0, flags, result);
}

}  // extern "C"

namespace fanin {
namespace {

using Calls = std::vector<std::string>;

std::ptrdiff_t count_of(const Calls& calls, const std::string& name) {
  return std::count_if(calls.begin(), calls.end(),
                       [&](const std::string& call) { return call.compare(0, name.size() + 1, name + ' ') == 0; });
}

class CudaCalls : public testing::Test {
 protected:
  static constexpr std::size_t bytes = 4000;

  void SetUp() override {
    int there = 0;
    if (real<decltype(cudaGetDeviceCount)>("cudaGetDeviceCount")(&there) != cudaSuccess || there == 0) {
      GTEST_SKIP() << "no CUDA device: " << cudaGetErrorString(cudaGetLastError());
    }
    ASSERT_EQ(real<decltype(cudaMalloc)>("cudaMalloc")(&memory_, room), cudaSuccess);
    contexts.clear();
    active.clear();
    calls.clear();
    streams.clear();
    sources.clear();
  }
  void TearDown() override {
    devices_error = launch_error = cudaSuccess;
    launch_errors = 0;
    device_memory_of_1 = mapped_to = nullptr;
    is_unmapped = is_capturing = false;
    for (const auto& [function, data] : host_functions) function(data);
    host_functions.clear();
    if (memory_ != nullptr) real<decltype(cudaFree)>("cudaFree")(memory_);
  }
  View view(int device = 1) const { return {memory_, DType::float32, bytes, cuda(device)}; }
  View part(std::size_t offset, std::size_t size, int device = 1) const {
    return {static_cast<unsigned char*>(memory_) + offset, DType::float32, size, cuda(device)};
  }
  // The calls since the last call of this function.
  static Calls taken() {
    Calls all;
    std::swap(all, calls);
    return all;
  }
  // The number of allocations with operator new while f runs.
  template <class F>
  static std::size_t allocations_of(const F& f) {
    calls.reserve(calls.size() + 10000);
    streams.reserve(streams.size() + 10000);
    const std::size_t before = allocations;
    f();
    return allocations - before;
  }
  // A plan of small tensors, of 16 bytes each.
  Plan plan_of(int tensors) const {
    Plan plan;
    for (int n = 0; n < tensors; ++n) {
      plan.add(HeNormal(1), part(static_cast<std::size_t>(n) * 16, 16), {2, 2}, "tensor." + std::to_string(n));
    }
    return plan;
  }

 private:
  static constexpr std::size_t room = 1 << 21;
  void* memory_ = nullptr;
};

// All functions that this program imports from the runtime are defined above, except those that register kernels. So
// the tests count every call of the back end.
TEST_F(CudaCalls, AllAreWrittenDown) {
  std::vector<std::string> missing;
  dl_iterate_phdr(
      [](dl_phdr_info* info, std::size_t, void* found) {
        const ElfW(Sym)* symbols = nullptr;
        const char* names = nullptr;
        const std::uint32_t* hash = nullptr;
        for (int j = 0; j < info->dlpi_phnum; ++j) {
          if (info->dlpi_phdr[j].p_type != PT_DYNAMIC) continue;
          for (auto* d = reinterpret_cast<ElfW(Dyn)*>(info->dlpi_addr + info->dlpi_phdr[j].p_vaddr);
               d->d_tag != DT_NULL; ++d) {
            if (d->d_tag == DT_SYMTAB) symbols = reinterpret_cast<const ElfW(Sym)*>(d->d_un.d_ptr);
            if (d->d_tag == DT_STRTAB) names = reinterpret_cast<const char*>(d->d_un.d_ptr);
            if (d->d_tag == DT_GNU_HASH) hash = reinterpret_cast<const std::uint32_t*>(d->d_un.d_ptr);
          }
        }
        EXPECT_TRUE(symbols != nullptr && names != nullptr && hash != nullptr);
        for (std::uint32_t j = 1; hash != nullptr && j < hash[1]; ++j) {  // imported symbols come first
          const std::string name = names + symbols[j].st_name;
          if (name.compare(0, 4, "cuda") == 0 || name.compare(0, 2, "cu") == 0) {
            static_cast<std::vector<std::string>*>(found)->push_back(name);
          }
        }
        return 1;  // stops after the program itself
      },
      &missing);
  EXPECT_EQ(missing, std::vector<std::string>{});
}

TEST_F(CudaCalls, AFillIsOneLaunchAndFourCallsOnAnotherDevice) {
  preload(1);
  taken();
  const HeNormal init(1);
  const Shape shape{10, 100};
  init.fill(view(), shape);
  const Calls expected{"cuCtxGetDevice 0", "cuCtxPushCurrent 1", "cudaPointerGetAttributes 1", "cudaLaunchKernel 1",
                       "cuCtxPopCurrent 1"};
  EXPECT_EQ(taken(), expected);
  fill(view(), init.params(shape, DType::float32));
  EXPECT_EQ(taken(), expected);
  Plan plan;
  plan.add(init, view(), shape, "a");
  EXPECT_EQ(taken(),
            (Calls{"cuCtxGetDevice 0", "cuCtxPushCurrent 1", "cudaPointerGetAttributes 1", "cuCtxPopCurrent 1"}));
  for (int n = 0; n < 2; ++n) {
    plan.fill();
    EXPECT_EQ(taken(), (Calls{"cuCtxGetDevice 0", "cuCtxPushCurrent 1", "cudaLaunchKernel 1", "cuCtxPopCurrent 1"}));
  }
  EXPECT_EQ(active, std::set<int>{1});  // no context on device 0
  EXPECT_TRUE(contexts.empty());
}

TEST_F(CudaCalls, AFillIsOneLaunchAndTwoCallsOnTheCurrentDevice) {
  preload(1);
  contexts = {0, 1};
  taken();
  HeNormal(1).fill(view(), {10, 100});
  EXPECT_EQ(taken(), (Calls{"cuCtxGetDevice 1", "cudaPointerGetAttributes 1", "cudaLaunchKernel 1"}));
  EXPECT_EQ(contexts, (std::vector<int>{0, 1}));
}

TEST_F(CudaCalls, ADeviceIsAskedOnce) {
  HeNormal(1).fill(view(), {10, 100});
  taken();
  HeNormal(1).fill(view(), {10, 100});
  const Calls second = taken();
  for (const char* name : {"cudaGetDeviceCount", "cudaDeviceGetAttribute", "cudaFuncGetAttributes",
                           "cudaFuncSetAttribute", "cuDevicePrimaryCtxRetain"}) {
    EXPECT_EQ(count_of(second, name), 0) << name;
  }
}

TEST_F(CudaCalls, PreloadMakesNoCallThatCaptureForbids) {
  preload(1);
  for (const std::string& call : taken()) {
    EXPECT_TRUE(call.find("cudaFree") != 0 && call.find("Synchronize") == std::string::npos &&
                call.find("cudaMalloc") != 0 && call.find("cudaMem") != 0)
        << call;
  }
  EXPECT_EQ(active, std::set<int>{1});
}

TEST_F(CudaCalls, AFillAllocatesNothing) {
  preload(1);
  const HeNormal init(1);
  const Shape shape{10, 100};
  TensorOptions options;
  options.name = "layer.weight";
  TensorOptions block;
  block.block = {{2, 10}, {8, 50}};
  const FillParams params = init.params(shape, DType::float32);
  Plan plan = plan_of(148);
  plan.fill();
  EXPECT_EQ(allocations_of([&] { plan.fill(); }), 0u);
  EXPECT_EQ(allocations_of([&] { fill(view(), params); }), 0u);
  EXPECT_EQ(allocations_of([&] { init.fill(view(), shape, options); }), 0u);
  EXPECT_EQ(allocations_of([&] { init.fill(view(), shape, block); }), 0u);
}

TEST_F(CudaCalls, PlansAreOneLaunch) {
  preload(1);
  const Plan plan = plan_of(148);
  plan.fill();
  taken();
  plan.fill();
  EXPECT_EQ(taken(), (Calls{"cuCtxGetDevice 0", "cuCtxPushCurrent 1", "cudaLaunchKernel 1", "cuCtxPopCurrent 1"}));

  Plan large = plan_of(10000);
  const std::size_t needed = large.workspace_size(1);
  large.fill();
  EXPECT_GT(count_of(taken(), "cudaLaunchKernel"), 1);
  large.upload(part(1 << 19, needed));
  const Calls upload = taken();
  EXPECT_EQ(count_of(upload, "cudaMemcpyAsync"), 1);
  EXPECT_EQ(count_of(upload, "cudaStreamSynchronize"), 0);
  large.fill();
  EXPECT_EQ(taken(), (Calls{"cuCtxGetDevice 0", "cuCtxPushCurrent 1", "cudaLaunchKernel 1", "cuCtxPopCurrent 1"}));
}

TEST_F(CudaCalls, AnUploadKeepsItsSourceUntilItIsCopied) {
  {
    Plan plan = plan_of(1000);
    plan.upload(part(1 << 19, plan.workspace_size(1)));
    ASSERT_EQ(sources.size(), 1u);
    watched = sources[0];
    watched_is_free = false;
  }
  EXPECT_FALSE(watched_is_free);
  ASSERT_EQ(host_functions.size(), 1u);
  host_functions[0].first(host_functions[0].second);  // the stream runs it
  host_functions.clear();
  EXPECT_TRUE(watched_is_free);
  watched = nullptr;
}

TEST_F(CudaCalls, AnUploadIsNotCaptured) {
  Plan plan = plan_of(1000);
  const std::size_t needed = plan.workspace_size(1);
  is_capturing = true;
  EXPECT_NE(test::refusal<InvalidArgument>([&] { plan.upload(part(1 << 19, needed)); }).find("captured"),
            std::string::npos);
  EXPECT_TRUE(sources.empty());
}

TEST_F(CudaCalls, AFailureRestoresTheContext) {
  launch_error = cudaErrorLaunchOutOfResources;
  launch_errors = 1;
  EXPECT_NE(test::refusal<DeviceError>([&] {
              HeNormal(1).fill(view(), {10, 100});
            }).find("(cudaErrorLaunchOutOfResources)"),
            std::string::npos);
  EXPECT_EQ(count_of(taken(), "cudaLaunchKernel"), 1);
  EXPECT_TRUE(contexts.empty());
  device_memory_of_1 = view().address;
  EXPECT_NE(test::refusal<InvalidArgument>([&] {
              HeNormal(1).fill(view(0), {10, 100});
            }).find("cuda:1"),
            std::string::npos);
  EXPECT_EQ(count_of(taken(), "cudaLaunchKernel"), 0);
  EXPECT_TRUE(contexts.empty());
}

// This happens after cudaDeviceReset, or in another context of the device.
TEST_F(CudaCalls, AKernelThatWasPreparedInAnotherContextIsPreparedAgain) {
  HeNormal(1).fill(view(), {10, 100});
  taken();
  launch_error = cudaErrorInvalidValue;
  launch_errors = 1;
  HeNormal(1).fill(view(), {10, 100});
  const Calls again = taken();
  EXPECT_EQ(count_of(again, "cudaFuncSetAttribute"), 1);
  EXPECT_EQ(count_of(again, "cudaLaunchKernel"), 2);
  launch_errors = 2;
  EXPECT_NE(test::refusal<DeviceError>([&] {
              HeNormal(1).fill(view(), {10, 100});
            }).find("(cudaErrorInvalidValue)"),
            std::string::npos);
}

// Tests in a child process, in which no call has reached a device yet.
using CudaCallsDeathTest = CudaCalls;

TEST_F(CudaCallsDeathTest, NoDeviceAndNoDriverAreNoErrors) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto body = [&] {
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
      EXPECT_EQ(device_of(this), host);
      EXPECT_EQ(HeNormal(1)({2, 2}).device(), host);
      EXPECT_EQ(count_of(taken(), "cudaLaunchKernel"), 0);
    }
    std::exit(HasFailure() ? 1 : 0);
  };
  EXPECT_EXIT(body(), testing::ExitedWithCode(0), "");
}

// Without them, cudaSetDevice is used, also to restore the current device.
TEST_F(CudaCallsDeathTest, WithoutTheDriversFunctions) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto body = [&] {
    has_driver_functions = false;
    preload(1);
    taken();
    HeNormal(1).fill(view(), {10, 100});
    EXPECT_EQ(taken(), (Calls{"cudaGetDevice 0", "cudaSetDevice 0", "cudaPointerGetAttributes 1", "cudaLaunchKernel 1",
                              "cudaSetDevice 1"}));
    EXPECT_EQ(current(), 0);
    EXPECT_EQ(device_of(this), host);
    std::exit(HasFailure() ? 1 : 0);
  };
  EXPECT_EXIT(body(), testing::ExitedWithCode(0), "");
}

TEST_F(CudaCalls, TellingWhereMemoryIsMakesNoContext) {
  float element = 0;
  EXPECT_EQ(device_of(&element), host);
  EXPECT_EQ(active, std::set<int>{});
  EXPECT_TRUE(contexts.empty());
  active = {2};  // made by somebody
  EXPECT_EQ(device_of(view().address), cuda(2));
  EXPECT_EQ(device_of(&element), host);
  EXPECT_EQ(active, std::set<int>{2});
  EXPECT_TRUE(contexts.empty());
}

TEST_F(CudaCalls, ANewTensorGoesToTheCurrentDevice) {
  EXPECT_EQ(HeNormal(1)({2, 2}).device(), cuda(0));
  contexts = {2};
  EXPECT_EQ(HeNormal(1)({2, 2}).device(), cuda(2));
  EXPECT_EQ(contexts, std::vector<int>{2});
}

TEST_F(CudaCalls, PinnedMemoryIsWrittenThroughItsDevicePointer) {
  std::vector<float> expected(1000);
  HeNormal(1).fill(fanin::view(expected.data(), expected.size()), {10, 100});
  void* pinned = nullptr;
  ASSERT_EQ(real<decltype(cudaMallocHost)>("cudaMallocHost")(&pinned, bytes), cudaSuccess);
  std::memset(pinned, 0, bytes);
  const View there{pinned, DType::float32, bytes, cuda(1)};
  mapped_to = view().address;
  for (const bool planned : {false, true}) {
    ASSERT_EQ(real<decltype(cudaMemset)>("cudaMemset")(mapped_to, 0, bytes), cudaSuccess);
    if (planned) {
      Plan plan;
      plan.add(HeNormal(1), there, {10, 100});
      plan.fill();
    } else {
      HeNormal(1).fill(there, {10, 100});
    }
    std::vector<float> got(1000);
    read(got.data(), view());
    EXPECT_EQ(got, expected);
    EXPECT_EQ(*static_cast<float*>(pinned), 0);
  }
  is_unmapped = true;
  taken();
  EXPECT_NE(test::refusal<InvalidArgument>([&] {
              HeNormal(1).fill(there, {10, 100});
            }).find("not mapped"),
            std::string::npos);
  EXPECT_EQ(count_of(taken(), "cudaLaunchKernel"), 0);
  ASSERT_EQ(real<decltype(cudaFreeHost)>("cudaFreeHost")(pinned), cudaSuccess);
}

TEST_F(CudaCalls, OrdinaryMemoryIsForDevicesThatReadIt) {
  float memory[4] = {};
  const auto fill_on = [&](int device) { Zeros().fill({memory, DType::float32, sizeof memory, cuda(device)}, {4}); };
  EXPECT_NE(test::refusal<InvalidArgument>([&] { fill_on(1); }).find("ordinary host memory"), std::string::npos);
  EXPECT_EQ(count_of(taken(), "cudaLaunchKernel"), 0);
  launch_error = cudaErrorLaunchOutOfResources;  // no emulated device can write there
  launch_errors = 1;
  EXPECT_NE(test::refusal<DeviceError>([&] { fill_on(with_pageable_memory); }).find("launch"), std::string::npos);
  EXPECT_EQ(count_of(taken(), "cudaLaunchKernel"), 1);
}

TEST_F(CudaCalls, APlanOfSeveralDevicesTakesAStreamForEach) {
  int streams_of[devices];
  const auto stream_of = [&](int device) { return reinterpret_cast<CudaStream>(&streams_of[device]); };
  std::vector<float> on_host(4);
  Plan plan;
  plan.add(HeNormal(1), part(0, 16, 2), {2, 2}, "a");
  plan.add(HeNormal(1), part(16, 16, 1), {2, 2}, "b");
  plan.add(HeNormal(1), fanin::view(on_host.data(), 4), {2, 2}, "c");
  const auto refused = [&](const auto& f, const std::string& part) {
    const std::string text = test::refusal<InvalidArgument>(f);
    EXPECT_NE(text.find(part), std::string::npos) << text;
    EXPECT_EQ(on_host, std::vector<float>(4));
    EXPECT_TRUE(streams.empty());
  };
  refused([&] { plan.fill({stream_of(1)}); }, "entries on cuda:1 and cuda:2");
  refused([&] { plan.fill({{1, stream_of(1)}}); }, "0 for cuda:2");
  refused([&] { plan.fill({{1, stream_of(1)}, {2, stream_of(2)}, {1, stream_of(1)}}); }, "2 for cuda:1");
  plan.fill({{0, stream_of(0)}, {1, stream_of(1)}, {2, stream_of(2)}});
  EXPECT_EQ(streams, (std::vector<cudaStream_t>{stream_of(2), stream_of(1)}));
  const Calls both = taken();
  EXPECT_EQ(std::count(both.begin(), both.end(), "cudaLaunchKernel 2"), 1);
  EXPECT_EQ(std::count(both.begin(), both.end(), "cudaLaunchKernel 1"), 1);
  EXPECT_NE(on_host, std::vector<float>(4));
  plan.fill();
  plan.fill({cudaStreamPerThread});
  EXPECT_EQ(streams.size(), 6u);
  EXPECT_EQ(active, (std::set<int>{1, 2}));
}

}  // namespace
}  // namespace fanin
