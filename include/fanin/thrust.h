// SPDX-License-Identifier: Apache-2.0
// Fills Thrust vectors and spans of device memory. Needs a CUDA compiler and the CUDA toolkit; fanin.hpp does not
// include it.
#pragma once

#ifndef __CUDACC__
#error "fanin/thrust.h needs a CUDA compiler, for example nvcc with a .cu file"
#endif

#include <cuda_runtime_api.h>
#include <thrust/device_ptr.h>
#include <thrust/memory.h>

#include <cstddef>
#include <string>
#include <type_traits>
#include <utility>

#include "fanin/cuda_devices.h"
#include "fanin/cuda_types.h"
#include "fanin/dtype.h"
#include "fanin/error.h"
#include "fanin/initializer.h"
#include "fanin/options.h"
#include "fanin/shape.h"
#include "fanin/view.h"

namespace fanin {

namespace detail::device {

template <class T, class = void>
struct HasDType : std::false_type {};
template <class T>
struct HasDType<T, std::void_t<decltype(ElementType<T>::dtype)>> : std::true_type {};

template <class T>
constexpr DType dtype_of() {
  static_assert(HasDType<T>::value,
                "fanin's elements are float, double, __half, __nv_bfloat16, __nv_fp8_e4m3 and __nv_fp8_e5m2: weights "
                "are floating point. Fill one of these, and convert it to what you need.");
  if constexpr (HasDType<T>::value) return ElementType<T>::dtype;
}

// The type of an array's data pointer; substitution fails for types that are not arrays.
template <class Array>
using Pointer = decltype(std::declval<Array&>().size(), thrust::raw_pointer_cast(std::declval<Array&>().data()));

inline void check(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return;
  cudaGetLastError();  // so that the caller's next check does not find this error
  throw DeviceError(std::string(what) + ": " + cudaGetErrorString(error) + " (" + cudaGetErrorName(error) + ")");
}

inline Device device_of(const void* address) {
  int device = 0;
  const cudaError_t error = cudaGetDevice(&device);
  if (error == cudaErrorNoDevice || error == cudaErrorInsufficientDriver) {
    cudaGetLastError();
    return host;
  }
  check(error, "Cannot tell the current CUDA device");
  if (address == nullptr) return cuda(device);
  if (available().cuda_built) return fanin::device_of(address);
  cudaPointerAttributes memory{};  // a library without CUDA refuses to fill device memory
  check(cudaPointerGetAttributes(&memory, address), "Cannot tell where the address is");
  return memory.type == cudaMemoryTypeDevice || memory.type == cudaMemoryTypeManaged ? cuda(memory.device) : host;
}

template <class T>
View view_of(T* address, std::size_t count) {
  using Element = std::remove_const_t<T>;
  return {const_cast<Element*>(address), dtype_of<Element>(), count * sizeof(T), device_of(address)};
}

}  // namespace detail::device

/// The view of an array that has data() and size(): thrust::device_vector, thrust::universal_vector, cuda::std::span
/// and std::span, also thrust::host_vector and std::vector. Elements are float, double, __half, __nv_bfloat16,
/// __nv_fp8_e4m3 (float8_e4m3fn) or __nv_fp8_e5m2; others do not compile.
///
/// The view's device is device_of(address): device and managed memory is on its device, pinned and pageable memory on
/// the host. An empty array without an address is on the current device. Without a driver or a device, everything is on
/// the host. The view is valid as long as the array's memory. Throws DeviceError if CUDA reports another error.
template <class Array, class Pointer = detail::device::Pointer<Array>>
View view(Array&& array) {
  static_assert(!std::is_const_v<std::remove_pointer_t<Pointer>>,
                "A view is written to, and the elements of this array are const");
  return detail::device::view_of(thrust::raw_pointer_cast(array.data()), array.size());
}

/// The same for `count` elements from a device pointer on.
template <class T>
View view(thrust::device_ptr<T> first, std::size_t count) {
  static_assert(!std::is_const_v<T>, "A view is written to, and what this pointer points to is const");
  return detail::device::view_of(thrust::raw_pointer_cast(first), count);
}

/// Fills an array with a tensor of this shape, or with its block: initializer.fill(view(array), shape, options, run).
/// Device and managed memory is filled asynchronously on run.stream, host memory before the call returns. Thrust's
/// algorithms run on the default stream unless they are given another, as in thrust::cuda::par.on(stream). Throws
/// InvalidArgument for anything that is not allowed, such as an array with fewer elements than the shape, and
/// DeviceError, before a byte is written.
template <class Array, class = detail::device::Pointer<Array>>
void fill(const Initializer& initializer, Array&& array, const Shape& shape, const TensorOptions& options = {},
          const RunOptions& run = {}) {
  initializer.fill(view(array), shape, options, run);
}

/// The same for `count` elements from a device pointer on.
template <class T>
void fill(const Initializer& initializer, thrust::device_ptr<T> first, std::size_t count, const Shape& shape,
          const TensorOptions& options = {}, const RunOptions& run = {}) {
  initializer.fill(view(first, count), shape, options, run);
}

}  // namespace fanin
