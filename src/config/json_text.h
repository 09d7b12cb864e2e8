// SPDX-License-Identifier: Apache-2.0
// JSON as Python's json module reads and writes it: with Infinity, -Infinity and NaN.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace fanin::detail {

using Json = nlohmann::ordered_json;

// Throws InvalidArgument, with line and column and the source's name if it has one, for malformed text, NUL bytes, a
// key that occurs twice in an object, numbers that overflow, nesting deeper than 100 levels, and strings with the
// control character U+007F.
Json parse_json(std::string_view text, std::string_view source = {});

// Writes a value on one line, with the shortest decimals of floating-point numbers.
std::string dump_json(const Json& value);

// A value for a message, cut if it is long.
std::string shown_json(const Json& value);

// Reads a number and returns whether the value is one. If `allow_boolean`, Booleans count as 0 and 1, as in Python.
bool number_of(const Json& value, double& number, bool allow_boolean = false);

}  // namespace fanin::detail
