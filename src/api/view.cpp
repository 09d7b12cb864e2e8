// SPDX-License-Identifier: Apache-2.0
#include "fanin/view.h"

#include <cstring>
#include <string>

#include "api/destination.h"
#include "cuda/backend.h"
#include "fanin/error.h"

namespace fanin {

void read(void* to, const View& from, CudaStream stream) {
  const detail::Destination source(from.device);
  if (from.capacity == 0) return;
  if (to == nullptr || from.address == nullptr) {
    throw InvalidArgument("An address is null, but there are " + std::to_string(from.capacity) + " bytes to read");
  }
  if (from.device.is_host()) {
    std::memcpy(to, from.address, from.capacity);
    return;
  }
  gpu::device_address(from.address, source.current());
  gpu::check_not_captured(source.current(), stream, "A read");
  gpu::read(to, from.address, from.capacity, source.current(), stream);
}

}  // namespace fanin
