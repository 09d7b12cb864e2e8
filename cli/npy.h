// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "fanin/dtype.h"
#include "fanin/shape.h"

namespace fanin::cli {

// The header of a file in NumPy's format, version 1.0 (numpy.lib.format); the elements follow it, little-endian and
// dense. bfloat16 and float8 are stored as uint16 and uint8: NumPy has no name for them.
std::string npy_header(const Shape& shape, DType dtype);

}  // namespace fanin::cli
