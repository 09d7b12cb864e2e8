// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include "fanin/export.h"

struct CUstream_st;  // cudaStream_t is a pointer to it

namespace fanin {

/// A CUDA stream; null is the default stream.
using CudaStream = CUstream_st*;

/// The address in device memory of a seed, or null.
using DeviceSeed = const std::uint64_t*;

/// The address in device memory of a call number, or null.
using DeviceCall = const std::uint64_t*;

/// Where memory is: the host, or a CUDA device by its ordinal.
struct Device {
  int cuda_device = -1;  ///< -1: the host

  bool is_host() const { return cuda_device < 0; }
  friend bool operator==(Device a, Device b) { return a.cuda_device == b.cuda_device; }
  friend bool operator!=(Device a, Device b) { return !(a == b); }
};

inline constexpr Device host{};
constexpr Device cuda(int ordinal) { return {ordinal}; }

/// Whether this build and this machine can fill device memory.
struct Availability {
  bool cuda_built;     ///< the CUDA back end is part of this library
  int cuda_devices;    ///< usable devices; 0 without a driver
  std::string reason;  ///< why no device is usable; empty if one is
};

/// "cpu" or "cuda:0".
FANIN_API std::string to_string(Device device);

}  // namespace fanin
