// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nanobind/nanobind.h>

#include "arrays.h"
#include "fanin/initializer.h"
#include "fanin/options.h"
#include "fanin/shape.h"

namespace fanin::python {

// The shape of the tensor that an array is, or is a block of. The arguments are Python's shape= and offset=, of which
// either may be None. Sets options.block.
Shape whole_shape(const Array& array, nb::handle shape, nb::handle offset, TensorOptions& options);

// Runs the handlers of signals that have come, without the GIL until then. Throws what they raise: KeyboardInterrupt.
void handle_signals();

// Options of a fill without the GIL, which signals end.
RunOptions interruptible(int threads);

// Fills an array of any strides. run.stream must be the array's stream. Releases the GIL.
void fill(const Array& array, const Initializer& initializer, const Shape& shape, const TensorOptions& options,
          const RunOptions& run);

// fanin.draw: a new NumPy array.
nb::object draw(nb::handle init, nb::handle shape, nb::handle dtype, nb::handle seed, nb::handle name,
                nb::handle subsequence, nb::handle offset, nb::handle extent, nb::handle layout, int threads,
                nb::handle output_scale = nb::none(), nb::handle rounding = nb::str("nearest"));

}  // namespace fanin::python
