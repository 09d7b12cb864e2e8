// SPDX-License-Identifier: Apache-2.0
// Fills of host memory that is not contiguous.
#pragma once

#include <cstdint>

#include "fanin/fill_params.h"
#include "fanin/shape.h"
#include "fanin/view.h"

namespace fanin::python {

// Throws InvalidArgument if two elements may share a byte. Strides are in bytes and may be negative.
void check_no_overlap(const Shape& shape, const Shape& strides, std::size_t size);

// Writes the elements of a fill, in row-major order, to host memory of any strides and alignment. The shape must have
// as many elements as the fill. The calling thread draws them in pieces of at most 64 KiB, and calls `pause`, if
// given, after every 2^24 of them.
void fill_strided(void* address, const Shape& shape, const Shape& strides, const FillParams& params,
                  void (*pause)() = nullptr);

}  // namespace fanin::python
