// SPDX-License-Identifier: Apache-2.0
// Text for messages.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace fanin::detail {

// The shortest decimal that reads back as v.
std::string to_text(double v);

// "a", "b" or "c".
std::string list_of(const std::vector<std::string>& names);

// The candidate with the smallest edit distance (letters compared without case), or "" if none is similar.
std::string nearest(std::string_view name, const std::vector<std::string>& candidates);

// ' Did you mean "x"?', or "".
std::string suggestion(std::string_view name, const std::vector<std::string>& candidates);

}  // namespace fanin::detail
