// SPDX-License-Identifier: Apache-2.0
#include "fanin/cuda_devices.h"

#include <utility>

#include "api/destination.h"
#include "cuda/backend.h"

namespace fanin {

Availability available() { return gpu::available(); }

void preload(int device) {
  detail::check_cuda(device);
  gpu::preload(device);
}

Device device_of(const void* address) { return gpu::device_of(address); }

DeviceMemory use_on_device(const View& view) {
  detail::check_cuda(view.device.cuda_device);
  auto current = std::make_shared<const gpu::CurrentDevice>(view.device.cuda_device);
  void* const address = gpu::device_address(view.address, *current);
  return {std::move(current), address};
}

}  // namespace fanin
