// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

#include "fanin/export.h"
#include "fanin/view.h"

namespace fanin {

/// What device memory this build and this machine can fill.
struct Availability {
  bool cuda_built;     ///< the CUDA back end is part of this library
  int cuda_devices;    ///< usable devices; 0 without a driver
  std::string reason;  ///< why there are none; empty if there are some
};

/// Never throws for want of a driver or a device.
FANIN_API Availability available();

/// Loads the kernels into a CUDA device. Without it the first fill there does, which may synchronise; after it fills
/// allocate nothing and synchronise nothing. It makes no call that a stream's capture forbids. Throws DeviceError.
FANIN_API void preload(int device = 0);

/// Where memory is, for an address whose origin does not say: on the CUDA device that holds it, else (pinned memory
/// included) on the host. Without a device all memory is on the host. Makes no context: while no device has a primary
/// context, memory of a context of the driver interface is recognised where that is current. Throws DeviceError.
FANIN_API Place place_of(const void* address);

/// Memory as kernels on its device see it. That device is the calling thread's current one as long as `current` lives.
struct DeviceMemory {
  std::shared_ptr<const void> current;
  void* address;
};

/// What fanin/thrust.h does before a launch of its own: makes the view's device the current one. Throws InvalidArgument
/// for memory that the device cannot access, and DeviceError.
FANIN_API DeviceMemory use_on_device(const View& view);

}  // namespace fanin
