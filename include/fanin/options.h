// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "fanin/cpu.h"
#include "fanin/fans.h"
#include "fanin/shape.h"
#include "fanin/view.h"

namespace fanin {

/// What a fill may be told besides where and what shape. Every member has a default: in C++20, name what you set.
struct FillOptions {
  /// The tensor's name: its FNV-1a hash is the subsequence, so that each parameter of a model has draws of its own.
  std::optional<std::string> name = {};
  /// The subsequence as a number; not together with a name. With neither it is 0: then two tensors that are filled with
  /// the same seed get the same draws.
  std::optional<std::uint64_t> subsequence = {};
  /// Fill only this part of the tensor. The values are the slice of the whole tensor's, the fans the whole tensor's.
  Block block = {};
  /// The CUDA stream for device memory.
  CudaStream stream = nullptr;
  /// Of device memory only: where on the device a seed lies that takes the place of the initializer's. It is read when
  /// the stream comes to the fill, so that the replay of a captured graph can have another one.
  const std::uint64_t* device_seed = nullptr;
  /// Most threads to use for host memory; 0: as many as the process may run on. It changes speed only.
  int threads = 0;
  /// The instructions to use for host memory. They change speed only.
  CpuTarget cpu_target = CpuTarget::automatic;
  Layout layout = Layout::hwio;
};

}  // namespace fanin
