// SPDX-License-Identifier: Apache-2.0
#include "cuda/device.h"

#include <cuda.h>

#include <mutex>
#include <optional>
#include <string>

#include "fanin/error.h"

namespace fanin::gpu {

namespace {

std::string text_of(cudaError_t error) {
  return std::string(cudaGetErrorString(error)) + " (" + cudaGetErrorName(error) + ")";
}

// The driver's functions for contexts. A device's ordinal is its CUdevice. cudaSetDevice cannot replace these
// functions: since CUDA 12 it creates a context on its device, even when it only restores the previously current
// device, and the process may have no other use for that context.
struct Driver {
  CUresult (*context_device)(CUdevice*);
  CUresult (*push)(CUcontext);
  CUresult (*pop)(CUcontext*);
  CUresult (*retain)(CUcontext*, CUdevice);
  CUresult (*state)(CUdevice, unsigned*, int*);

  // Whether all of the functions were found.
  bool there;
};

template <class F>
bool find(const char* name, F** function) {
  void* found = nullptr;
  cudaDriverEntryPointQueryResult result = cudaDriverEntryPointSymbolNotFound;
#if CUDART_VERSION >= 12050
  const cudaError_t error = cudaGetDriverEntryPointByVersion(name, &found, 12000, cudaEnableDefault, &result);
#else
  const cudaError_t error = cudaGetDriverEntryPoint(name, &found, cudaEnableDefault, &result);
#endif
  if (error != cudaSuccess) cudaGetLastError();
  *function = reinterpret_cast<F*>(found);
  return error == cudaSuccess && result == cudaDriverEntryPointSuccess && found != nullptr;
}

const Driver& driver() {
  static const Driver found = [] {
    Driver d{};
    d.there = find("cuCtxGetDevice", &d.context_device) && find("cuCtxPushCurrent", &d.push) &&
              find("cuCtxPopCurrent", &d.pop) && find("cuDevicePrimaryCtxRetain", &d.retain) &&
              find("cuDevicePrimaryCtxGetState", &d.state);
    return d;
  }();
  return found;
}

// The back end's only state: facts that do not change while the process lives.
struct Slot {
  std::atomic<bool> known;
  DeviceState state;
};
constexpr int max_devices = 64;  // more than CUDA supports
Slot slots[max_devices];
std::mutex asking;

int attribute(cudaDeviceAttr what, int ordinal) {
  int value = 0;
  check(cudaDeviceGetAttribute(&value, what, ordinal), "Cannot query", ordinal);
  return value;
}

void ask(int ordinal, DeviceState* state) {
  state->facts.capability = 10 * attribute(cudaDevAttrComputeCapabilityMajor, ordinal) +
                            attribute(cudaDevAttrComputeCapabilityMinor, ordinal);
  state->facts.multiprocessors = attribute(cudaDevAttrMultiProcessorCount, ordinal);
  state->facts.shared_bytes_per_block =
      static_cast<std::uint32_t>(attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin, ordinal)) - fixed_shared_bytes;
  state->reads_pageable_memory = attribute(cudaDevAttrPageableMemoryAccess, ordinal) != 0;
}

[[noreturn]] void refuse(int ordinal, const std::string& why) {
  throw DeviceError("Cannot use " + to_string(cuda(ordinal)) + ": " + why);
}

void check(CUresult error, int ordinal, const char* of) {
  if (error == CUDA_SUCCESS) return;
  refuse(ordinal, "the driver's function " + std::string(of) + " gives error " + std::to_string(error));
}

CUcontext primary_context(int ordinal) {
  CUcontext context = nullptr;
  check(driver().retain(&context, ordinal), ordinal, "cuDevicePrimaryCtxRetain");
  state_of(ordinal).context.store(context, std::memory_order_relaxed);
  return context;
}

}  // namespace

void fail(cudaError_t error, const char* what, int ordinal) {
  cudaGetLastError();  // clears the error, so that the caller's next check does not report it
  throw DeviceError(what + (ordinal < 0 ? "" : " " + to_string(cuda(ordinal))) + ": " + text_of(error));
}

const DeviceState& state_of(int ordinal) {
  if (ordinal < max_devices && slots[ordinal].known.load(std::memory_order_acquire)) return slots[ordinal].state;
  const Availability there = available();
  if (there.cuda_devices == 0) refuse(ordinal, there.reason);
  if (ordinal >= there.cuda_devices || ordinal >= max_devices) {
    refuse(ordinal, "there are " + std::to_string(there.cuda_devices) + " CUDA devices, from cuda:0 on");
  }
  Slot& slot = slots[ordinal];
  const std::lock_guard lock(asking);
  if (!slot.known.load(std::memory_order_relaxed)) {
    ask(ordinal, &slot.state);
    slot.known.store(true, std::memory_order_release);
  }
  return slot.state;
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

CurrentDevice::CurrentDevice(int ordinal) : ordinal_(ordinal) {
  const DeviceState& wanted = state_of(ordinal);
  if (!driver().there) {
    check(cudaGetDevice(&before_), "Cannot tell the current CUDA device");
    if (before_ == ordinal) return;
    check(cudaSetDevice(ordinal), "Cannot use", ordinal);
    change_ = Change::set;
    return;
  }
  CUdevice now = 0;
  if (driver().context_device(&now) == CUDA_SUCCESS && now == ordinal) return;
  auto* context = static_cast<CUcontext>(wanted.context.load(std::memory_order_relaxed));
  // cudaDeviceReset may have destroyed the context since it was retained.
  if (context == nullptr || driver().push(context) != CUDA_SUCCESS) {
    check(driver().push(primary_context(ordinal)), ordinal, "cuCtxPushCurrent");
  }
  change_ = Change::pushed;
}

CurrentDevice::~CurrentDevice() {
  if (change_ == Change::set) cudaSetDevice(before_);
  CUcontext popped = nullptr;
  if (change_ == Change::pushed) driver().pop(&popped);
}

Device current_device() {
  if (available().cuda_devices == 0) return host;
  int ordinal = 0;
  check(cudaGetDevice(&ordinal), "Cannot tell the current CUDA device");
  return cuda(ordinal);
}

Device device_of(const void* address) {
  const int devices = available().cuda_devices;
  if (devices == 0) return host;
  // cudaPointerGetAttributes creates a context for a thread that has none. To avoid that, the thread uses any primary
  // context that is already active.
  std::optional<CurrentDevice> any;
  CUdevice now = 0;
  if (driver().there && driver().context_device(&now) != CUDA_SUCCESS) {
    for (int ordinal = 0; ordinal < devices && !any; ++ordinal) {
      unsigned flags = 0;
      int active = 0;
      if (driver().state(ordinal, &flags, &active) == CUDA_SUCCESS && active != 0) any.emplace(ordinal);
    }
    if (!any) return host;  // without a context there is no device memory
  }
  cudaPointerAttributes attributes{};
  check(cudaPointerGetAttributes(&attributes, address), "Cannot tell where the address is");
  const bool on_device = attributes.type == cudaMemoryTypeDevice || attributes.type == cudaMemoryTypeManaged;
  return on_device ? cuda(attributes.device) : host;
}

}  // namespace fanin::gpu
