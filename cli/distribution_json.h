// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "fanin/distribution.h"
#include "fanin/dtype.h"
#include "fanin/low_precision.h"

namespace fanin::cli {

using Json = nlohmann::ordered_json;

// An object with "kind" and all kinds' parameters, null where the kind has none: mean and stddev (of a truncated normal
// distribution before it is cut), lower and upper (in standard deviations; null: no bound), low and high, value, and
// gain, rows and columns.
Json distribution_json(const Distribution& distribution);

// Says why a dtype cannot hold many of the values, which are divided by `scale` before they are rounded; "" if it can.
std::string misfit_of(const Distribution& distribution, DType dtype, double scale = 1,
                      Rounding rounding = Rounding::nearest);

}  // namespace fanin::cli
