// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nanobind/nanobind.h>

#include <optional>
#include <utility>

#include "arrays.h"
#include "fanin/initializer.h"
#include "fanin/options.h"
#include "fanin/shape.h"

namespace fanin::python {

// The shape of the tensor that an array is or lies in, from the arguments shape= and offset=, either of which may be
// None; sets the block.
Shape whole_shape(const Array& array, nb::handle shape, nb::handle offset, TensorOptions& options);

// The least and the largest value, numbers of the array's dtype.
using Limits = std::pair<double, double>;

// Fills an array of any strides; run.stream must be the array's. Releases the GIL. With limits, those of a
// truncated normal's values are not its window's, which is rounded to standard deviations, but these.
void fill(const Array& array, const Initializer& initializer, const Shape& shape, const TensorOptions& options,
          const RunOptions& run, const std::optional<Limits>& limits = {});

// A new NumPy array; the arguments are those of Python's fanin.draw.
nb::object draw(nb::handle init, nb::handle shape, nb::handle dtype, nb::handle seed, nb::handle name,
                nb::handle subsequence, nb::handle offset, nb::handle extent, nb::handle layout, int threads);

}  // namespace fanin::python
