// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "fanin/export.h"

namespace fanin {

/// Extents, outermost first; {} is a scalar. Elements are numbered row-major: the last index runs fastest.
using Shape = std::vector<std::int64_t>;

/// The maximum number of elements of a tensor: an element's index has 56 bits.
inline constexpr std::uint64_t max_elements = std::uint64_t{1} << 56;

/// A part of a tensor: the elements whose index in every dimension is in [offset, offset + extent).
/// Two empty vectors mean the whole tensor. Keras calls these partition_offset and partition_shape.
struct Block {
  Shape offset = {};
  Shape extent = {};
};

/// Product of the extents; 1 for a scalar, 0 if an extent is 0.
/// Throws InvalidArgument if an extent is negative or the product is over max_elements.
FANIN_API std::uint64_t element_count(const Shape& shape);

/// "[3, 4]"; a scalar is "[]".
FANIN_API std::string to_string(const Shape& shape);

}  // namespace fanin
