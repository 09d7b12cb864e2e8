// SPDX-License-Identifier: Apache-2.0
#pragma once

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

/// Loads the kernels into a CUDA device. Without it the first fill there does, which may synchronise, and which a
/// stream that is being captured may not allow; after it fills allocate nothing and synchronise nothing. Throws
/// DeviceError.
FANIN_API void preload(int device = 0);

/// Where memory is, for an address whose origin does not say: on the CUDA device that owns it, else (pinned memory
/// included) on the host. Without a device all memory is on the host. Throws DeviceError.
FANIN_API Place place_of(const void* address);

}  // namespace fanin
