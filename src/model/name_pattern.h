// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace fanin::detail {

// A name of tensors with captures, "h.{layer}.weight", or a rule's pattern, which can also have globs.
//
//     {name}    one or more characters other than "."
//     {name*}   any run of characters
//     *  ?      any run of characters, one character; in patterns alone
//
// A character is one of UTF-8. Braces around anything but a name stand for themselves.
class NamePattern {
 public:
  enum class Globs : bool { none, allowed };

  // Throws InvalidArgument for more than 100 captures.
  explicit NamePattern(std::string_view text, Globs globs);

  const std::string& text() const { return text_; }
  // The captures' names, in the order of their first places.
  const std::vector<std::string>& captures() const { return captures_; }
  // Whether the only name it matches is text().
  bool is_literal() const { return is_literal_; }

  // What every name that it matches begins and ends with. The two do not overlap.
  std::string_view begin() const;
  std::string_view end() const;

  // The captures' texts if the whole name matches: each as short as possible, the first ones before the later ones. A
  // capture that occurs twice gets the text of its last place.
  std::optional<std::vector<std::string>> match(std::string_view name) const;

  // The name with each capture's text in its place. There must not be globs.
  std::string with(const std::function<std::string_view(const std::string& capture)>& text_of) const;

 private:
  enum class Kind : unsigned char { literal, character, run, segment };
  struct Piece {
    Kind kind;
    std::string text;                    // of a literal
    std::optional<std::size_t> capture;  // of a run or segment
  };
  class Match;

  std::string text_;
  std::vector<Piece> pieces_;
  std::vector<std::string> captures_;
  bool is_literal_ = true;
};

}  // namespace fanin::detail
