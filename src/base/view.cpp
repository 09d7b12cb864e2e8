// SPDX-License-Identifier: Apache-2.0
#include "fanin/view.h"

namespace fanin {

std::string to_string(Place place) {
  return place.is_host() ? std::string("cpu") : "cuda:" + std::to_string(place.cuda_device);
}

}  // namespace fanin
