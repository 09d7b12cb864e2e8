// SPDX-License-Identifier: Apache-2.0
// JSON as Python's json module reads and writes it: with Infinity, -Infinity and NaN.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace fanin::detail {

using Json = nlohmann::ordered_json;

// Throws InvalidArgument for malformed text, with line and column, for an object that has a key twice, for nesting
// deeper than 100 levels and for strings with the control character U+007F.
Json parse_json(std::string_view text);

// On one line; floating-point numbers by their shortest decimals.
std::string dump_json(const Json& value);

// Reads a number; Booleans count as 0 and 1, as in Python, if `allow_boolean`. Returns whether it is one.
bool number_of(const Json& value, double& number, bool allow_boolean = false);

}  // namespace fanin::detail
