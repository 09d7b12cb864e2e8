// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "fanin/device.h"
#include "fanin/export.h"
#include "fanin/view.h"

namespace fanin {

/// Reports usable CUDA devices. Does not throw: a missing driver or device is not an error.
FANIN_API Availability available();

/// Loads the kernels into a CUDA device. Without it, the first fill on the device loads them and may synchronise. After
/// it, fills neither allocate nor synchronise. May be called while a stream is captured. Throws DeviceError.
FANIN_API void preload(int device = 0);

/// The device that holds an address: the CUDA device for device and managed memory, the host for other memory, pinned
/// memory included. Without a CUDA device it is always the host. Creates no context: while no device has a primary
/// context, memory of a driver-API context is recognised only if that context is current. Throws DeviceError.
FANIN_API Device device_of(const void* address);

/// An address as kernels on its device see it. While `current` lives, that device is the calling thread's current one.
struct DeviceMemory {
  std::shared_ptr<const void> current;
  void* address;
};

/// Makes the view's device the calling thread's current one, for a kernel launch outside the library
/// (fanin/statistics.h). Throws InvalidArgument for memory that the device cannot access, and DeviceError.
FANIN_API DeviceMemory use_on_device(const View& view);

}  // namespace fanin
