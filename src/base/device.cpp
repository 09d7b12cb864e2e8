// SPDX-License-Identifier: Apache-2.0
#include "fanin/device.h"

namespace fanin {

std::string to_string(Device device) {
  return device.is_host() ? std::string("cpu") : "cuda:" + std::to_string(device.cuda_device);
}

}  // namespace fanin
