// SPDX-License-Identifier: Apache-2.0
// What the fuzz targets share. A target fails by a sanitizer's report, by an exception other than those that are
// documented, or by require().
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "fanin/error.h"

namespace fanin::fuzz {

inline void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "does not hold: %s\n", what);
  std::abort();
}

inline std::string_view text_of(const std::uint8_t* data, std::size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

// Calls f. Returns whether it succeeded; a refusal needs a message.
template <class F>
bool is_accepted(const F& f) {
  try {
    f();
    return true;
  } catch (const InvalidArgument& error) {
    require(*error.what() != '\0', "a refusal has a message");
    return false;
  }
}

// Whether the text has a number of more than `most` digits. Large numbers are allowed in many places, where they only
// make a target slow: a repetition, an extent, an exponent.
inline bool has_long_number(std::string_view text, std::size_t most) {
  std::size_t digits = 0;
  for (const char c : text) {
    digits = c >= '0' && c <= '9' ? digits + 1 : 0;
    if (digits > most) return true;
  }
  return false;
}

}  // namespace fanin::fuzz
