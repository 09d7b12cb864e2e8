// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "fanin/device.h"
#include "fanin/export.h"
#include "fanin/view.h"

namespace fanin {

/// Does not throw: a missing driver or device is not an error.
FANIN_API Availability available();

/// Loads the kernels into a CUDA device. Without it the first fill there does, which may synchronise; after it fills
/// allocate nothing and synchronise nothing. It makes no call that a stream's capture forbids. Throws DeviceError.
FANIN_API void preload(int device = 0);

/// Where memory of unknown origin is: on the CUDA device that holds it, else (pinned memory included) on the host.
/// Without a device all memory is on the host. Makes no context: while no device has a primary
/// context, memory of a context of the driver interface is recognised where that is current. Throws DeviceError.
FANIN_API Device device_of(const void* address);

/// Memory as kernels on its device see it. That device is the calling thread's current one as long as `current` lives.
struct DeviceMemory {
  std::shared_ptr<const void> current;
  void* address;
};

/// What fanin/thrust.h does before a launch of its own: makes the view's device the current one. Throws InvalidArgument
/// for memory that the device cannot access, and DeviceError.
FANIN_API DeviceMemory use_on_device(const View& view);

}  // namespace fanin
