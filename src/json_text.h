// SPDX-License-Identifier: Apache-2.0
// JSON as Python's json module reads and writes it: with Infinity, -Infinity and NaN.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace fanin::detail {

using Json = nlohmann::ordered_json;

// Throws InvalidArgument with line and column for malformed text, and for an object that has a key twice and nesting
// deeper than 100 levels.
// An infinity or NaN becomes a string that no JSON text can spell otherwise; number_of reads it.
Json parse_json(std::string_view text);

// One line, or indented; floating-point numbers by their shortest decimals.
std::string dump_json(const Json& value, int indent = -1);

// A number, infinities and NaN included; booleans count as 0 and 1, as in Python, if `allow_boolean`. Returns whether
// it is one.
bool number_of(const Json& value, double& number, bool allow_boolean = false);

// The JSON value of any number.
Json json_of(double number);

}  // namespace fanin::detail
