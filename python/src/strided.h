// SPDX-License-Identifier: Apache-2.0
// Fills of memory whose elements do not lie one after the other.
#pragma once

#include "fanin/fill_params.h"
#include "fanin/shape.h"
#include "fanin/view.h"

namespace fanin::python {

// Throws InvalidArgument if two elements may share a byte. Strides are in bytes, of any sign.
void check_no_overlap(const Shape& shape, const Shape& strides, std::size_t size);

// Writes all elements of a fill, which are as many as the shape has, in row-major order: element by element into host
// memory of any strides and alignment. They are made in pieces of at most 64 KiB, on the calling thread.
void fill_strided(void* address, const Shape& shape, const Shape& strides, const FillParams& params);

}  // namespace fanin::python
