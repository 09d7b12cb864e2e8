// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "config/json_text.h"
#include "fanin/distribution.h"

namespace fanin::tool {

// "kind" and its parameters: mean, stddev, lower and upper (in standard deviations; null: no bound), or low and high,
// or value.
detail::Json distribution_json(const Distribution& distribution);

}  // namespace fanin::tool
