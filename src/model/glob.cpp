// SPDX-License-Identifier: Apache-2.0
#include "model/glob.h"

#include <algorithm>
#include <cstddef>
#include <optional>

namespace fanin::detail {

bool glob_matches(std::string_view pattern, std::string_view name) {
  // Remembers the last star and extends its match by one character whenever the rest does not match.
  std::size_t p = 0;
  std::size_t n = 0;
  std::optional<std::size_t> star;
  std::size_t star_end = 0;
  while (n < name.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      star_end = n;
    } else if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == name[n])) {
      ++p;
      ++n;
    } else if (star) {
      p = *star + 1;
      n = ++star_end;
    } else {
      return false;
    }
  }
  return std::all_of(pattern.begin() + static_cast<std::ptrdiff_t>(p), pattern.end(), [](char c) { return c == '*'; });
}

}  // namespace fanin::detail
