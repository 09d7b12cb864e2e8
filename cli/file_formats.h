// SPDX-License-Identifier: Apache-2.0
// The headers of the two file formats; the elements follow them, little-endian and dense.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "fanin/dtype.h"
#include "fanin/shape.h"

namespace fanin::tool {

// NumPy's format, version 1.0 (numpy.lib.format). bfloat16 and float8 are stored as uint16 and uint8: NumPy has no name
// for them.
std::string npy_header(const Shape& shape, DType dtype);

struct StoredTensor {
  std::string name;
  Shape shape;
  DType dtype;
};

// safetensors: eight bytes of length, then JSON. Tensors are laid end to end in the order given; give wider dtypes
// first, so that each is aligned.
std::string safetensors_header(const std::vector<StoredTensor>& tensors,
                               const std::vector<std::pair<std::string, std::string>>& metadata);

}  // namespace fanin::tool
