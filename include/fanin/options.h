// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "fanin/cpu.h"
#include "fanin/device.h"
#include "fanin/fans.h"
#include "fanin/low_precision.h"
#include "fanin/shape.h"

namespace fanin {

/// Which tensor, or which part of it, is filled; these options decide the values. Every member has a default, for
/// designated initializers in C++20.
struct TensorOptions {
  /// The tensor's name. Its 64-bit FNV-1a hash is the subsequence, so that each parameter of a model has its own draws.
  std::optional<std::string> name = {};
  /// The subsequence as a number; not allowed together with a name. Without either it is 0, and two tensors with one
  /// seed get the same draws.
  std::optional<std::uint64_t> subsequence = {};
  /// Fill only this part of the tensor. The values are that slice of the whole tensor, and the fans are the whole
  /// tensor's.
  Block block = {};
  /// Which axes are the channels; this decides the fans. Without one it is the layout of the framework whose name for
  /// an initializer was used ("torch:kaiming_normal": oihw), else hwio.
  std::optional<Layout> layout = {};
  /// The fans as numbers, each less than 2^63, for tensors whose shape does not tell them: grouped and transposed
  /// convolutions, stacked experts, a bias. The shape, the layout and an initializer's axes then do not matter for
  /// them.
  std::optional<Fans> fans = {};
  /// What values are divided by before they are rounded to the dtype.
  OutputScale output_scale = {};
  /// How random values are rounded to the dtype. Others are rounded to nearest, because they have no seed.
  Rounding rounding = Rounding::nearest;
};

/// How a fill runs. Only device_seed and device_call change values.
struct RunOptions {
  /// The CUDA stream for device memory. Fills of host memory ignore it.
  CudaStream stream = nullptr;
  /// The maximum number of threads for host memory; 0 means available_threads().
  int threads = 0;
  /// The instruction set for host memory.
  CpuTarget cpu_target = CpuTarget::automatic;
  /// Device memory only: the device address of a seed that replaces the initializer's. The device reads it when the
  /// stream reaches the fill, so each replay of a captured graph can use another seed.
  DeviceSeed device_seed = nullptr;
  /// Device memory only: the device address of a call number that is added to every subsequence, as a sequence's is.
  /// The device reads it when the stream reaches the fill. A kernel in a captured graph can count it up, so that each
  /// replay draws anew without the host.
  DeviceCall device_call = nullptr;
  /// For fills by the host: the calling thread calls this about every 10 ms of a fill that takes longer. What it throws
  /// ends the fill. Then the first elements of a tensor have their new values, and the others their old ones; of a
  /// plan's tensors, matrices of an Orthogonal are filled first, then the others in the order in which they were added.
  /// The matrix of an Orthogonal of which only a block is filled is computed without pauses.
  void (*pause)() = nullptr;
};

}  // namespace fanin
