// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json.hpp>

#include "fanin/distribution.h"

namespace fanin::cli {

using Json = nlohmann::ordered_json;

// An object with "kind" and all kinds' parameters, null where the kind has none: mean and stddev (of a truncated normal
// distribution before it is cut), lower and upper (in standard deviations; null: no bound), low and high, value, and
// gain, rows and columns.
Json distribution_json(const Distribution& distribution);

}  // namespace fanin::cli
