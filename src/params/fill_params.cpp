// SPDX-License-Identifier: Apache-2.0
#include "fanin/fill_params.h"

#include <string>

#include "fanin/error.h"

namespace fanin {

FillParams part_of(const FillParams& params, std::uint64_t first, std::uint64_t count) {
  if (first > params.index.count || count > params.index.count - first) {
    throw InvalidArgument("A fill of " + std::to_string(params.index.count) + " elements has no part of " +
                          std::to_string(count) + " elements from number " + std::to_string(first) + " on");
  }
  FillParams part = params;
  part.index.first += first;
  part.index.count = count;
  return part;
}

}  // namespace fanin
