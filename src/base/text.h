// SPDX-License-Identifier: Apache-2.0
// Text for messages.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace fanin::detail {

// Characters of names, in any locale, unlike isalpha and its relatives.
inline bool is_digit(char c) { return c >= '0' && c <= '9'; }
inline bool is_name_start(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
inline bool is_name_part(char c) { return is_name_start(c) || is_digit(c); }

// Whether a byte of UTF-8 continues a character, and does not begin one.
inline bool is_continuation(char c) { return (static_cast<unsigned char>(c) & 0xc0) == 0x80; }

// Whether a text has letters, digits and _, and does not begin with a digit.
bool is_name(std::string_view text);

// The text with small letters in place of A to Z, in any locale.
std::string lower_case(std::string_view text);

// The shortest decimal that reads back as v.
std::string to_text(double v);

// "a", "b" or "c".
std::string list_of(const std::vector<std::string>& names);

// The candidate with the smallest edit distance (letters compared without case), or "" if none is similar.
std::string nearest(std::string_view name, const std::vector<std::string>& candidates);

// ' Did you mean "x"?', or "".
std::string suggestion(std::string_view name, const std::vector<std::string>& candidates);

}  // namespace fanin::detail
