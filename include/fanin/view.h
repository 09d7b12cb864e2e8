// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <type_traits>
#include <utility>

#include "fanin/device.h"
#include "fanin/dtype.h"
#include "fanin/export.h"

namespace fanin {

/// Memory to write to, not owned. The address must be a multiple of the element's size and needs no other alignment.
///
/// Host memory may be allocated in any way. Memory for a CUDA device is one of these; other memory is refused:
/// - device memory: cudaMalloc, cudaMallocAsync (also in a graph), virtual memory management, IPC. For peer access,
///   name the device that holds the memory;
/// - managed memory, with any device;
/// - pinned memory, allocated or registered, that is mapped for the device;
/// - pageable host memory that the device can access (cudaDevAttrPageableMemoryAccess: Linux's heterogeneous memory
///   management, Grace Hopper).
struct View {
  void* address = nullptr;
  DType dtype = DType::float32;
  std::size_t capacity = 0;  ///< bytes from the address on that belong to the tensor or lie between its rows
  Device device = host;
  /// Elements from the beginning of a row to that of the next one; 0: rows follow each other. A row is what the last
  /// dimension of the tensor, or of its block, spans; a range of elements is one row. What lies between rows is not
  /// written.
  std::size_t leading_dimension = 0;
  /// Elements of 4 or 6 bits are not packed: each is in the low bits of a byte, as in NumPy arrays of ml_dtypes.
  bool unpacked = false;
};

/// Views of arrays in host memory.
inline View view(float* address, std::size_t count) { return {address, DType::float32, count * sizeof(float)}; }
inline View view(double* address, std::size_t count) { return {address, DType::float64, count * sizeof(double)}; }

/// Converts from any array of float or double that has data() and size(), such as std::vector, std::array and
/// std::span.
struct HostArray {
  template <class Array, class Pointer = decltype(std::declval<Array&>().data()),
            std::enable_if_t<std::is_same_v<Pointer, float*> || std::is_same_v<Pointer, double*>, int> = 0>
  HostArray(Array&& array) : view(fanin::view(array.data(), array.size())) {}  // NOLINT(google-explicit-constructor)

  View view;
};

/// The view of an array in host memory, valid as long as the array's memory. A program that includes fanin/thrust.h
/// gets that header's view(), which also recognises device memory.
inline View view(HostArray array) { return array.view; }

/// Copies the view's `capacity` bytes to host memory before it returns. Device memory is read in the order of the
/// stream. The view's dtype does not matter. Throws InvalidArgument for a null address or one that is not on the view's
/// device, before a byte is copied, and DeviceError, also if earlier work of the stream failed.
FANIN_API void read(void* to, const View& from, CudaStream stream = nullptr);

}  // namespace fanin
