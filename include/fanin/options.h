// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "fanin/cpu.h"
#include "fanin/device.h"
#include "fanin/fans.h"
#include "fanin/shape.h"

namespace fanin {

/// Which tensor, or which part of it, is filled: all of this decides which values are written. Every member has a
/// default: in C++20, name what you set.
struct TensorOptions {
  /// The tensor's name. Its FNV-1a hash is the subsequence, so that each parameter of a model has draws of its own.
  std::optional<std::string> name = {};
  /// The subsequence as a number; not together with a name. Without both it is 0: two tensors with one seed then get
  /// the same draws.
  std::optional<std::uint64_t> subsequence = {};
  /// Fill only this part of the tensor. The values are the slice of the whole tensor's, the fans the whole tensor's.
  Block block = {};
  /// Where the channels are; it decides the fans.
  Layout layout = Layout::hwio;
};

/// How a fill runs. Nothing here changes a value, but for device_seed.
struct RunOptions {
  /// The CUDA stream for device memory. Fills of host memory ignore it.
  CudaStream stream = nullptr;
  /// The most threads for host memory; 0: as many as the process may run on.
  int threads = 0;
  /// The instructions for host memory.
  CpuTarget cpu_target = CpuTarget::automatic;
  /// Device memory only: the address, on the device, of a seed that replaces the initializer's. The device reads it
  /// when the stream reaches the fill, so a replay of a captured graph can use another one.
  DeviceSeed device_seed = nullptr;
};

}  // namespace fanin
