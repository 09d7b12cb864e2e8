// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json.hpp>

#include "fanin/distribution.h"

namespace fanin::cli {

using Json = nlohmann::ordered_json;

// An object with "kind" and its parameters: mean, stddev, lower and upper (in standard deviations; null: no bound), or
// low and high, or value.
Json distribution_json(const Distribution& distribution);

}  // namespace fanin::cli
