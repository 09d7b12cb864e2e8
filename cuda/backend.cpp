// SPDX-License-Identifier: Apache-2.0
#include "cuda/backend.h"

#include <cuda_runtime.h>

#include <algorithm>
#include <cstring>
#include <new>
#include <string>
#include <vector>

#include "cuda/device.h"
#include "cuda/encode.h"
#include "cuda/fill_kernels.h"
#include "cuda/launch.h"
#include "fanin/error.h"

namespace fanin::gpu {

// Launches, each with its jobs or with the jobs' address in device memory.
struct Launches {
  struct One {
    Launch launch;
    std::vector<std::uint64_t> words;
  };
  std::vector<One> all;
};

namespace {

// Returns the kernel that DeviceState::prepared counts under this number.
const void* kernel_of(std::size_t number) {
  static const void* const kernel[kernels] = {
      reinterpret_cast<const void*>(fill_fast_small), reinterpret_cast<const void*>(fill_fast_large),
      reinterpret_cast<const void*>(fill_general_small), reinterpret_cast<const void*>(fill_general_large)};
  return kernel[number];
}

bool has_small_parameters(const Launch& launch) {
  return launch.header.data != nullptr || launch.words * 8 <= sizeof SmallParameters::data;
}

std::size_t number_of(const Launch& launch) {
  return (launch.kernel == Kernel::general ? 2 : 0) + (has_small_parameters(launch) ? 0 : 1);
}

// Allows the calling thread to load kernels for as long as this object lives, even if a thread captures a stream.
class LoadingDuringCapture {
 public:
  LoadingDuringCapture() { exchange(); }
  ~LoadingDuringCapture() { exchange(); }
  LoadingDuringCapture(const LoadingDuringCapture&) = delete;
  LoadingDuringCapture& operator=(const LoadingDuringCapture&) = delete;

 private:
  void exchange() {
    if (cudaThreadExchangeStreamCaptureMode(&mode_) != cudaSuccess) cudaGetLastError();
  }
  cudaStreamCaptureMode mode_ = cudaStreamCaptureModeRelaxed;
};

// Loads a kernel for the current device and requests the maximum of shared memory for it. Threads that launch at the
// same time therefore request the same amount.
void prepare(std::size_t number, int ordinal) {
  const DeviceState& there = state_of(ordinal);
  const LoadingDuringCapture loading;
  cudaFuncAttributes attributes{};
  check(cudaFuncGetAttributes(&attributes, kernel_of(number)), "Cannot load the kernels for", ordinal);
  check(cudaFuncSetAttribute(kernel_of(number), cudaFuncAttributeMaxDynamicSharedMemorySize,
                             static_cast<int>(there.facts.shared_bytes_per_block)),
        "Cannot get shared memory for a fill on", ordinal);
  there.prepared[number].store(true, std::memory_order_relaxed);
}

// Starts a launch. `parameters` is the header of SmallParameters or LargeParameters, and the launch's words are already
// behind it.
void start(const Launch& launch, Header* parameters, int ordinal, const DeviceRun& run) {
  *parameters = launch.header;
  parameters->device_seed = run.seed;
  parameters->device_call = run.call;
  const std::size_t number = number_of(launch);
  const auto attempt = [&] {
    void* arguments[] = {parameters};
    return cudaLaunchKernel(kernel_of(number), dim3(launch.blocks), dim3(launch.threads), arguments,
                            launch.shared_bytes, run.stream);
  };
  const bool ready = state_of(ordinal).prepared[number].load(std::memory_order_relaxed);
  if (!ready) prepare(number, ordinal);
  cudaError_t error = attempt();
  if (error == cudaErrorInvalidValue && ready) {
    // A prepared kernel fails this way in a context for which it was not prepared: a second context of the device, or a
    // context that was created after a reset.
    cudaGetLastError();
    prepare(number, ordinal);
    error = attempt();
  }
  check(error, "Cannot launch a fill on", ordinal);
}

// Calls f(launch) for each launch of the jobs. The launch's words are in `words`, which has room for `capacity` words.
template <class F>
void encode_each(const FillJob* jobs, std::size_t count, const DeviceFacts& facts, std::uint64_t* words,
                 std::size_t capacity, const F& f) {
  bool others = true;
  for (const Kernel kernel : {Kernel::fast, Kernel::general}) {
    if (!others) return;
    others = false;
    for (std::size_t next = 0; next < count;) {
      Launch launch;
      next = encode_launch(jobs, next, count, kernel, facts, words, capacity, &launch);
      others = others || launch.others;
      if (launch.words != 0) f(launch);
    }
  }
}

std::size_t aligned(std::size_t bytes) { return (bytes + 15) / 16 * 16; }

}  // namespace

void launch(const Launch& launch, const std::uint64_t* words, const DeviceRun& run) {
  int ordinal = 0;
  check(cudaGetDevice(&ordinal), "Cannot tell the current CUDA device");
  LargeParameters parameters;
  if (launch.header.data == nullptr) std::memcpy(parameters.data, words, launch.words * 8);
  start(launch, &parameters.header, ordinal, run);
}

DeviceFacts facts_here() {
  int ordinal = 0;
  check(cudaGetDevice(&ordinal), "Cannot tell the current CUDA device");
  return state_of(ordinal).facts;
}

bool can_launch(const Launch& launch) {
  cudaFuncAttributes attributes{};
  check(cudaFuncGetAttributes(&attributes, kernel_of(number_of(launch))), "Cannot load the kernels");
  return launch.threads <= static_cast<std::uint32_t>(attributes.maxThreadsPerBlock) &&
         launch.shared_bytes <= facts_here().shared_bytes_per_block;
}

void* device_address(void* address, const CurrentDevice& current) {
  cudaPointerAttributes attributes{};
  check(cudaPointerGetAttributes(&attributes, address), "Cannot tell where the address is");
  const auto refuse = [&](const std::string& what) {
    throw InvalidArgument("The view says that its memory is on " + to_string(cuda(current.ordinal())) +
                          ". Received: an address " + what);
  };
  switch (attributes.type) {
    case cudaMemoryTypeUnregistered:
      if (!state_of(current.ordinal()).reads_pageable_memory) {
        refuse(
            "of ordinary host memory, which this device cannot access. Give device, managed or pinned memory, or say "
            "that the memory is on the host");
      }
      return address;
    case cudaMemoryTypeHost:
      if (attributes.devicePointer == nullptr) {
        refuse(
            "of pinned host memory that is not mapped for this device. Register it with cudaHostRegisterMapped, or "
            "say that the memory is on the host");
      }
      return attributes.devicePointer;
    case cudaMemoryTypeDevice:
      if (attributes.device != current.ordinal()) {
        refuse("on " + to_string(cuda(attributes.device)) + ". Say that the memory is there");
      }
      return address;
    default:
      return address;
  }
}

void preload(int ordinal) {
  const CurrentDevice current(ordinal);
  for (std::size_t number = 0; number < kernels; ++number) prepare(number, ordinal);
}

void fill(const FillJob& job, const CurrentDevice& current, const DeviceRun& run) {
  SmallParameters parameters;
  encode_each(&job, 1, state_of(current.ordinal()).facts, parameters.data, sizeof parameters.data / 8,
              [&](const Launch& launch) { start(launch, &parameters.header, current.ordinal(), run); });
}

std::shared_ptr<const Launches> encode(const FillJob* jobs, std::size_t count, int ordinal, JobsIn where) {
  const std::size_t capacity = where == JobsIn::parameters ? sizeof LargeParameters::data / 8 : max_words;
  const std::unique_ptr<std::uint64_t[]> words(new std::uint64_t[capacity]);
  auto launches = std::make_shared<Launches>();
  encode_each(jobs, count, state_of(ordinal).facts, words.get(), capacity, [&](const Launch& launch) {
    launches->all.push_back({launch, {words.get(), words.get() + launch.words}});
  });
  return launches;
}

std::size_t count(const Launches& launches) { return launches.all.size(); }

void fill(const Launches& launches, const CurrentDevice& current, const DeviceRun& run) {
  LargeParameters parameters;
  for (const auto& [launch, words] : launches.all) {
    std::memcpy(parameters.data, words.data(), words.size() * 8);
    start(launch, &parameters.header, current.ordinal(), run);
  }
}

std::size_t upload_bytes(const Launches& launches) {
  std::size_t bytes = 0;
  for (const auto& [launch, words] : launches.all) bytes += aligned(words.size() * 8);
  return bytes;
}

void check_not_captured(const CurrentDevice& current, CudaStream stream, const char* what) {
  cudaStreamCaptureStatus capture = cudaStreamCaptureStatusNone;
  check(cudaStreamIsCapturing(stream, &capture), "Cannot use the stream on", current.ordinal());
  if (capture == cudaStreamCaptureStatusNone) return;
  throw InvalidArgument(std::string(what) +
                        " cannot be captured. Received: a stream that is being captured. Do this before the capture");
}

void wait(const CurrentDevice& current, CudaStream stream) {
  check(cudaStreamSynchronize(stream), "Cannot wait for the stream on", current.ordinal());
}

std::shared_ptr<const Launches> upload(const std::shared_ptr<const Launches>& launches, void* workspace,
                                       const CurrentDevice& current, CudaStream stream) {
  check_not_captured(current, stream);
  using Source = std::shared_ptr<const Launches>;
  auto source = std::make_unique<Source>(launches);
  auto uploaded = std::make_shared<Launches>();
  uploaded->all.reserve(launches->all.size());
  auto* at = static_cast<std::byte*>(workspace);
  cudaError_t error = cudaSuccess;
  for (const auto& [launch, words] : launches->all) {
    const std::size_t bytes = words.size() * 8;
    if (error == cudaSuccess) error = cudaMemcpyAsync(at, words.data(), bytes, cudaMemcpyHostToDevice, stream);
    uploaded->all.push_back({launch, {}});
    uploaded->all.back().launch.header.data = reinterpret_cast<const std::uint64_t*>(at);
    at += aligned(bytes);
  }
  // On most machines, a copy from pageable memory has read its source when the call returns. CUDA does not document
  // this for a device that reads pageable memory itself, so the source lives until the stream has copied it.
  const auto drop = [](void* held) { delete static_cast<Source*>(held); };
  if (cudaLaunchHostFunc(stream, drop, source.get()) == cudaSuccess) {
    static_cast<void>(source.release());  // drop deletes it
  } else {
    cudaGetLastError();
    const cudaError_t waited = cudaStreamSynchronize(stream);
    if (error == cudaSuccess) error = waited;
  }
  check(error, "Cannot upload the plan to", current.ordinal());
  return uploaded;
}

void* allocate(std::size_t bytes, int ordinal) {
  const CurrentDevice current(ordinal);
  void* memory = nullptr;
  const cudaError_t error = cudaMalloc(&memory, bytes);
  if (error == cudaErrorMemoryAllocation) {
    cudaGetLastError();
    throw std::bad_alloc();
  }
  check(error, "Cannot allocate on", ordinal);
  return memory;
}

void release(void* memory, int ordinal) noexcept {
  try {
    const CurrentDevice current(ordinal);
    if (cudaFree(memory) != cudaSuccess) cudaGetLastError();
  } catch (const DeviceError&) {  // at process exit, the driver may be gone before the tensor
  }
}

void read(void* to, const void* from, std::size_t bytes, const CurrentDevice& current, CudaStream stream) {
  check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, stream), "Cannot read from", current.ordinal());
  check(cudaStreamSynchronize(stream), "Cannot read from", current.ordinal());
}

void write(void* to, const void* from, std::size_t bytes, const CurrentDevice& current, CudaStream stream) {
  check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, stream), "Cannot write to", current.ordinal());
}

void copy(void* to, Device to_device, const void* from, Device from_device, std::size_t bytes) {
  const int ordinal = (to_device.is_host() ? from_device : to_device).cuda_device;
  constexpr const char* failed = "An earlier operation failed on";
  if (!from_device.is_host() && from_device.cuda_device != ordinal) {
    const CurrentDevice current(from_device.cuda_device);
    check(cudaDeviceSynchronize(), failed, from_device.cuda_device);
  }
  const CurrentDevice current(ordinal);
  check(cudaDeviceSynchronize(), failed, ordinal);
  check(cudaMemcpy(to, from, bytes, cudaMemcpyDefault), "Cannot copy by", ordinal);
}

}  // namespace fanin::gpu
