// SPDX-License-Identifier: Apache-2.0
#include "cuda/backend.h"

#include <cuda_runtime.h>

#include <algorithm>
#include <cstring>
#include <new>
#include <string>

#include "cuda/encode.h"
#include "cuda/fill_kernel.h"
#include "cuda/launch.h"
#include "fanin/error.h"

namespace fanin::gpu {

namespace {

std::string text_of(cudaError_t error) {
  return std::string(cudaGetErrorString(error)) + " (" + cudaGetErrorName(error) + ")";
}

void check(cudaError_t error, const std::string& what) {
  if (error == cudaSuccess) return;
  cudaGetLastError();  // ours: not to be found by the caller's next check
  throw DeviceError(what + ": " + text_of(error));
}

// Makes a device the current one, and afterwards the one that was.
class CurrentDevice {
 public:
  explicit CurrentDevice(int device) {
    check(cudaGetDevice(&before_), "Cannot tell the current CUDA device");
    if (device == before_) return;
    check(cudaSetDevice(device), "Cannot use " + to_string(cuda(device)));
    changed_ = true;
  }
  ~CurrentDevice() {
    if (changed_) cudaSetDevice(before_);
  }
  CurrentDevice(const CurrentDevice&) = delete;
  CurrentDevice& operator=(const CurrentDevice&) = delete;

 private:
  int before_ = 0;
  bool changed_ = false;
};

int attribute(cudaDeviceAttr what) {
  int device = 0;
  int value = 0;
  check(cudaGetDevice(&device), "Cannot tell the current CUDA device");
  check(cudaDeviceGetAttribute(&value, what, device), "Cannot query " + to_string(cuda(device)));
  return value;
}

// Dynamic shared memory that a block can have: without asking for it, and at all. A kernel has up to `fixed` besides.
constexpr int fixed_shared_bytes = 1024;
constexpr std::uint32_t unasked_shared_bytes = 48 * 1024 - fixed_shared_bytes;
std::uint32_t most_shared_bytes() {
  return static_cast<std::uint32_t>(attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin) - fixed_shared_bytes);
}

// Always asks for as much as there is, so that threads that launch at once ask for the same.
void ask_for_shared_memory(const void* kernel) {
  check(
      cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(most_shared_bytes())),
      "Cannot get shared memory for a fill");
}

template <class Params>
void launch_with(void (*kernel)(Params), const Batch& batch, std::uint32_t blocks, CudaStream stream) {
  Params params;
  params.header = batch.header;
  if (params.header.data == nullptr) std::memcpy(params.data, batch.data.data(), batch.data.size() * 8);
  const std::uint32_t shared = shared_bytes(batch.header.table_copies, batch.threads_per_block);
  if (shared > unasked_shared_bytes) ask_for_shared_memory(reinterpret_cast<const void*>(kernel));
  void* arguments[] = {&params};
  check(cudaLaunchKernel(reinterpret_cast<const void*>(kernel), dim3(blocks), dim3(batch.threads_per_block), arguments,
                         shared, stream),
        "Cannot launch a fill");
}

}  // namespace

Policy policy_here(std::uint64_t quads) {
  const int capability =
      10 * attribute(cudaDevAttrComputeCapabilityMajor) + attribute(cudaDevAttrComputeCapabilityMinor);
  return policy_for(capability, quads);
}

bool can_launch(const Policy& policy) {
  cudaFuncAttributes attributes{};
  check(cudaFuncGetAttributes(&attributes, reinterpret_cast<const void*>(fill_small)), "Cannot load the kernels");
  return policy.threads_per_block <= static_cast<std::uint32_t>(attributes.maxThreadsPerBlock) &&
         shared_bytes(policy.table_copies, policy.threads_per_block) <= most_shared_bytes();
}

void launch(const Batch& batch, CudaStream stream, std::uint32_t max_blocks) {
  if (batch.header.tiles == 0) return;
  if (max_blocks == 0) {
    max_blocks = static_cast<std::uint32_t>(attribute(cudaDevAttrMultiProcessorCount)) * batch.blocks_per_sm;
  }
  const std::uint32_t warps_per_block = batch.threads_per_block / 32;
  const std::uint32_t blocks = std::min(max_blocks, (batch.header.tiles - 1) / warps_per_block + 1);
  if (batch.header.data != nullptr || batch.data.size() * 8 <= sizeof SmallParameters::data) {
    launch_with(fill_small, batch, blocks, stream);
  } else {
    launch_with(fill_large, batch, blocks, stream);
  }
}

Availability available() {
  int devices = 0;
  const cudaError_t error = cudaGetDeviceCount(&devices);
  if (error == cudaSuccess) return {true, devices, devices > 0 ? "" : "there is no CUDA device"};
  cudaGetLastError();
  if (error == cudaErrorNoDevice) return {true, 0, "there is no CUDA device"};
  if (error == cudaErrorInsufficientDriver)
    return {true, 0, "there is no CUDA driver, or it is too old: " + text_of(error)};
  return {true, 0, text_of(error)};
}

void check_device(int device) {
  const Availability there = available();
  if (device < there.cuda_devices) return;
  const std::string have = there.cuda_devices == 0
                               ? there.reason
                               : "there are " + std::to_string(there.cuda_devices) + " CUDA devices, from cuda:0 on";
  throw DeviceError("Cannot use " + to_string(cuda(device)) + ": " + have);
}

void check_address(const void* address, int device) {
  const CurrentDevice current(device);
  cudaPointerAttributes attributes{};
  check(cudaPointerGetAttributes(&attributes, address), "Cannot tell where the address is");
  if (attributes.type == cudaMemoryTypeUnregistered) {
    if (attribute(cudaDevAttrPageableMemoryAccess) != 0) return;
    throw InvalidArgument("The view says that its memory is on " + to_string(cuda(device)) +
                          ". Received: an address of ordinary host memory. Give device, managed or pinned memory, or "
                          "say that the memory is on the host");
  }
  if (attributes.type == cudaMemoryTypeDevice && attributes.device != device) {
    throw InvalidArgument("The view says that its memory is on " + to_string(cuda(device)) +
                          ". Received: an address on " + to_string(cuda(attributes.device)));
  }
}

Place place_of(const void* address) {
  if (available().cuda_devices == 0) return host;
  cudaPointerAttributes attributes{};
  check(cudaPointerGetAttributes(&attributes, address), "Cannot tell where the address is");
  const bool on_device = attributes.type == cudaMemoryTypeDevice || attributes.type == cudaMemoryTypeManaged;
  return on_device ? cuda(attributes.device) : host;
}

void preload(int device) {
  check_device(device);
  const CurrentDevice current(device);
  check(cudaFree(nullptr), "Cannot use " + to_string(cuda(device)));
  // Asking for its attributes loads a kernel.
  for (const void* kernel : {reinterpret_cast<const void*>(fill_small), reinterpret_cast<const void*>(fill_large)}) {
    cudaFuncAttributes attributes{};
    check(cudaFuncGetAttributes(&attributes, kernel), "Cannot load the kernels for " + to_string(cuda(device)));
    ask_for_shared_memory(kernel);
  }
}

void fill(const FillJob* jobs, std::size_t count, int device, CudaStream stream, const std::uint64_t* device_seed) {
  const CurrentDevice current(device);
  for (Batch& batch : encode(jobs, count, sizeof LargeParameters::data, policy_here)) {
    batch.header.device_seed = device_seed;
    launch(batch, stream);
  }
}

// Batches without their data, which are in device memory.
struct Uploaded {
  std::vector<Batch> batches;
};

namespace {

// As much as extensions can be found in.
constexpr std::size_t max_uploaded_bytes = std::size_t{max_extension} * 8;

std::size_t aligned(std::size_t bytes) { return (bytes + 15) / 16 * 16; }

}  // namespace

std::size_t upload_bytes(const FillJob* jobs, std::size_t count, int device) {
  const CurrentDevice current(device);
  if (encode(jobs, count, sizeof LargeParameters::data, policy_here).size() <= 1) return 0;
  std::size_t bytes = 0;
  for (const Batch& batch : encode(jobs, count, max_uploaded_bytes, policy_here))
    bytes += aligned(batch.data.size() * 8);
  return bytes;
}

std::shared_ptr<const Uploaded> upload(const FillJob* jobs, std::size_t count, void* workspace, int device,
                                       CudaStream stream) {
  const CurrentDevice current(device);
  auto uploaded = std::make_shared<Uploaded>(Uploaded{encode(jobs, count, max_uploaded_bytes, policy_here)});
  auto* at = static_cast<std::byte*>(workspace);
  for (Batch& batch : uploaded->batches) {
    const std::size_t bytes = batch.data.size() * 8;
    // From pageable memory: it has been read when the call returns.
    check(cudaMemcpyAsync(at, batch.data.data(), bytes, cudaMemcpyHostToDevice, stream), "Cannot upload the plan");
    batch.header.data = reinterpret_cast<const std::uint64_t*>(at);
    at += aligned(bytes);
    batch.data = {};
  }
  return uploaded;
}

void fill(const Uploaded& jobs, int device, CudaStream stream, const std::uint64_t* device_seed) {
  const CurrentDevice current(device);
  for (Batch batch : jobs.batches) {
    batch.header.device_seed = device_seed;
    launch(batch, stream);
  }
}

void* allocate(std::size_t bytes, int device) {
  check_device(device);
  const CurrentDevice current(device);
  void* memory = nullptr;
  const cudaError_t error = cudaMalloc(&memory, bytes);
  if (error == cudaErrorMemoryAllocation) {
    cudaGetLastError();
    throw std::bad_alloc();
  }
  check(error, "Cannot allocate on " + to_string(cuda(device)));
  return memory;
}

void read(void* to, const void* from, std::size_t bytes, int device, CudaStream stream) {
  const CurrentDevice current(device);
  check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, stream), "Cannot read from " + to_string(cuda(device)));
  check(cudaStreamSynchronize(stream), "Cannot read from " + to_string(cuda(device)));
}

void copy(void* to, Place to_place, const void* from, Place from_place, std::size_t bytes) {
  for (const Place place : {from_place, to_place}) {
    if (place.is_host()) continue;
    const CurrentDevice current(place.cuda_device);
    check(cudaDeviceSynchronize(), "An earlier operation on " + to_string(place) + " failed");
  }
  check(cudaMemcpy(to, from, bytes, cudaMemcpyDefault), "Cannot copy");
}

void release(void* memory, int device) noexcept {
  int before = 0;
  if (cudaGetDevice(&before) != cudaSuccess || cudaSetDevice(device) != cudaSuccess) return;
  cudaFree(memory);
  cudaSetDevice(before);
}

}  // namespace fanin::gpu
