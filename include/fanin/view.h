// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>

#include "fanin/dtype.h"
#include "fanin/export.h"

struct CUstream_st;  // cudaStream_t is a pointer to it

namespace fanin {

/// A CUDA stream; null is the default stream. Fills of host memory ignore it.
using CudaStream = CUstream_st*;

/// Where memory is: the host, or a CUDA device by its ordinal.
struct Place {
  int cuda_device = -1;  ///< -1: the host

  bool is_host() const { return cuda_device < 0; }
  friend bool operator==(Place a, Place b) { return a.cuda_device == b.cuda_device; }
  friend bool operator!=(Place a, Place b) { return !(a == b); }
};

inline constexpr Place host{};
constexpr Place cuda(int device) { return {device}; }

/// "cpu" or "cuda:0".
FANIN_API std::string to_string(Place place);

/// Memory to write to; not owned. The address must be a multiple of the element's size, and that is all.
///
/// Host memory may have been allocated in any way. A CUDA device's place is for
/// - memory that the device holds, by cudaMalloc, cudaMallocAsync (also in a graph), virtual memory management or IPC.
///   Of other devices' memory that it has access to the place is the device that holds it;
/// - managed memory, of any device;
/// - pinned memory, allocated or registered, which must be mapped for the device;
/// - ordinary host memory where the device can access it (cudaDevAttrPageableMemoryAccess: Linux's heterogeneous memory
///   management, Grace Hopper). Elsewhere it is refused.
struct View {
  void* address = nullptr;
  DType dtype = DType::float32;
  std::size_t capacity = 0;  ///< bytes that may be written
  Place place = host;
};

/// Views of ordinary arrays in host memory.
inline View view(float* address, std::size_t count) { return {address, DType::float32, count * sizeof(float), host}; }
inline View view(double* address, std::size_t count) { return {address, DType::float64, count * sizeof(double), host}; }

/// Copies memory, all bytes of the view's capacity, to the host: a device's when the stream comes to it, and the copy
/// is there when the call returns. The view's dtype does not matter. Throws, before a byte is copied, InvalidArgument
/// for a null address or one that is not of the view's place, and DeviceError, also for what the stream was given
/// before.
FANIN_API void read(void* to, const View& from, CudaStream stream = nullptr);

}  // namespace fanin
