// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "fanin/distribution.h"
#include "fanin/dtype.h"
#include "fanin/low_precision.h"

namespace fanin::cli {

// Says why a dtype cannot hold many of the values, which are divided by `scale` before they are rounded; "" if it can.
std::string misfit_of(const Distribution& distribution, DType dtype, double scale = 1,
                      Rounding rounding = Rounding::nearest);

}  // namespace fanin::cli
