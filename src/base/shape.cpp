// SPDX-License-Identifier: Apache-2.0
#include "fanin/shape.h"

#include <algorithm>

#include "fanin/error.h"

namespace fanin {

std::uint64_t element_count(const Shape& shape) {
  for (const std::int64_t extent : shape) {
    if (extent < 0) throw InvalidArgument("Extents must not be negative. Received: shape=" + to_string(shape));
  }
  if (std::find(shape.begin(), shape.end(), 0) != shape.end()) return 0;
  std::uint64_t count = 1;
  for (const std::int64_t extent : shape) {
    if (static_cast<std::uint64_t>(extent) > max_elements / count) {
      throw InvalidArgument("A tensor can have at most 2^56 elements. Received: shape=" + to_string(shape));
    }
    count *= static_cast<std::uint64_t>(extent);
  }
  return count;
}

std::string to_string(const Shape& shape) {
  std::string text = "[";
  for (std::size_t j = 0; j < shape.size(); ++j) text += (j > 0 ? ", " : "") + std::to_string(shape[j]);
  return text + "]";
}

}  // namespace fanin
