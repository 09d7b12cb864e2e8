// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <limits>
#include <memory>

#include "fanin/device.h"
#include "fanin/dtype.h"
#include "fanin/export.h"
#include "fanin/view.h"

namespace fanin {

/// Reports usable CUDA devices. Does not throw: a missing driver or device is not an error.
FANIN_API Availability available();

/// Loads the kernels into a CUDA device. Without it, the first fill on the device loads them and may synchronise. After
/// it, fills neither allocate nor synchronise. May be called while a stream is captured. Throws InvalidArgument for a
/// negative number, and DeviceError.
FANIN_API void preload(int device = 0);

/// The device that holds an address: the CUDA device for device and managed memory, the host for other memory, pinned
/// memory included. Without a CUDA device it is always the host. Creates no context: while no device has a primary
/// context, memory of a driver-API context is recognised only if that context is current. Throws DeviceError.
FANIN_API Device device_of(const void* address);

/// The view of elements from an address on, which is in host or device memory, as device_of tells. Without `count` the
/// caller vouches that what is written there fits. Throws DeviceError.
template <class T, DType dtype = ElementType<T>::dtype>
View view_at(T* address) {
  return {address, dtype, std::numeric_limits<std::size_t>::max(), device_of(address)};
}
template <class T, DType dtype = ElementType<T>::dtype>
View view_at(T* address, std::size_t count) {
  return {address, dtype, count * sizeof(T), device_of(address)};
}

/// An address as kernels on its device see it. While `current` lives, that device is the calling thread's current one.
struct DeviceMemory {
  std::shared_ptr<const void> current;
  void* address;
};

/// Makes the view's device the calling thread's current one, for a kernel launch outside the library
/// (fanin/statistics.h). Throws InvalidArgument for memory that the device cannot access, and DeviceError.
FANIN_API DeviceMemory use_on_device(const View& view);

}  // namespace fanin
