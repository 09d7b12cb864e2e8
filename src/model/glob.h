// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

namespace fanin::detail {

// Whether a glob matches the whole name: * is any run of characters, ? one character.
bool glob_matches(std::string_view pattern, std::string_view name);

}  // namespace fanin::detail
