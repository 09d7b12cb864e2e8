// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "fanin/dtype.h"
#include "fanin/export.h"
#include "fanin/shape.h"

namespace fanin {

struct StoredTensor {
  std::string name;
  Shape shape;
  DType dtype;
};

/// The header of a safetensors file: eight bytes of length, then JSON, padded to a multiple of 8 bytes. The elements
/// follow it in the given order, little-endian and without gaps. List wider dtypes first, so that each tensor is
/// aligned. Throws InvalidArgument for an invalid shape or dtype, and for a name that occurs twice or is
/// "__metadata__".
FANIN_API std::string safetensors_header(const std::vector<StoredTensor>& tensors,
                                         const std::vector<std::pair<std::string, std::string>>& metadata);

}  // namespace fanin
