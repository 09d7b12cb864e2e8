// SPDX-License-Identifier: Apache-2.0
#include "model/name_pattern.h"

#include <algorithm>
#include <utility>

#include "base/text.h"
#include "fanin/error.h"

namespace fanin::detail {

namespace {

constexpr std::size_t max_captures = 100;
constexpr std::size_t max_wildcards = 1000;  // Match recurses for each

// The bytes of the character that begins at name[at].
std::size_t character_size(std::string_view name, std::size_t at) {
  std::size_t end = at + 1;
  while (end < name.size() && is_continuation(name[end])) ++end;
  return end - at;
}

}  // namespace

NamePattern::NamePattern(std::string_view text, Globs globs) : text_(text) {
  std::string literal;
  std::size_t wildcards = 0;
  const auto add = [&](Piece piece) {
    if (piece.kind != Kind::character && ++wildcards > max_wildcards) {
      throw InvalidArgument("a pattern has at most " + std::to_string(max_wildcards) + " of * and captures");
    }
    if (!literal.empty()) pieces_.push_back({Kind::literal, std::exchange(literal, {}), {}});
    pieces_.push_back(std::move(piece));
    is_literal_ = false;
  };
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (globs == Globs::allowed && text[at] == '*') {
      add({Kind::run, {}, {}});
      continue;
    }
    if (globs == Globs::allowed && text[at] == '?') {
      add({Kind::character, {}, {}});
      continue;
    }
    if (text[at] == '{' && at + 1 < text.size() && is_name_start(text[at + 1])) {
      std::size_t end = at + 2;
      while (end < text.size() && is_name_part(text[end])) ++end;
      const std::string name(text.substr(at + 1, end - at - 1));
      const bool is_run = end < text.size() && text[end] == '*';
      if (is_run) ++end;
      if (end < text.size() && text[end] == '}') {
        const auto known = std::find(captures_.begin(), captures_.end(), name);
        const auto number = static_cast<std::size_t>(known - captures_.begin());
        if (known == captures_.end()) captures_.push_back(name);
        if (captures_.size() > max_captures) {
          throw InvalidArgument("a name has at most " + std::to_string(max_captures) + " captures");
        }
        add({is_run ? Kind::run : Kind::segment, {}, number});
        at = end;
        continue;
      }
    }
    literal += text[at];
  }
  if (!is_literal_ && !literal.empty()) pieces_.push_back({Kind::literal, std::move(literal), {}});
}

// One attempt to match a name.
class NamePattern::Match {
 public:
  Match(const NamePattern& pattern, std::string_view name)
      : pieces_(pattern.pieces_), name_(name), texts_(pattern.captures_.size()) {
    const auto segments =
        std::count_if(pieces_.begin(), pieces_.end(), [](const Piece& p) { return p.kind == Kind::segment; });
    if (segments > 1) failed_.resize(pieces_.size() * (name.size() + 1));
  }

  bool matches() { return from(0, 0) == Result::yes; }
  std::vector<std::string>& texts() { return texts_; }

 private:
  // never: no other beginning of the pieces before helps, because a run was tried with all that follows it.
  enum class Result : unsigned char { yes, no, never };

  // Matches the pieces from `piece` on with the name from `at` on.
  Result from(std::size_t piece, std::size_t at) {
    for (; piece < pieces_.size(); ++piece) {
      const Piece& p = pieces_[piece];
      if (p.kind == Kind::literal) {
        if (name_.substr(at, p.text.size()) != p.text) return Result::no;
        at += p.text.size();
      } else if (p.kind == Kind::character) {
        if (at == name_.size()) return Result::no;
        at += character_size(name_, at);
      } else {
        return wildcard(piece, at);
      }
    }
    return at == name_.size() ? Result::yes : Result::no;
  }

  Result wildcard(std::size_t piece, std::size_t at) {
    const Piece& p = pieces_[piece];
    const bool is_run = p.kind == Kind::run;
    const bool is_last = piece + 1 == pieces_.size();
    const std::size_t key = piece * (name_.size() + 1) + at;
    if (!failed_.empty() && failed_[key]) return is_run ? Result::never : Result::no;
    std::size_t end = at;
    const auto widen = [&] {
      if (end == name_.size() || (!is_run && name_[end] == '.')) return false;
      end += character_size(name_, end);
      return true;
    };
    bool is_there = is_run || widen();
    if (is_run && is_last) end = name_.size();
    for (; is_there; is_there = widen()) {
      const Result rest = from(piece + 1, end);
      if (rest == Result::no) continue;
      if (rest == Result::yes && p.capture) texts_[*p.capture] = name_.substr(at, end - at);
      return rest;
    }
    // What starts later has fewer ends to try, and no others.
    if (!failed_.empty()) std::fill_n(failed_.begin() + static_cast<std::ptrdiff_t>(key), end - at + 1, true);
    return is_run ? Result::never : Result::no;
  }

  const std::vector<Piece>& pieces_;
  std::string_view name_;
  std::vector<std::string> texts_;
  std::vector<bool> failed_;  // wildcards that cannot begin at a place; several segments would try a place repeatedly
};

std::string_view NamePattern::begin() const {
  if (is_literal_) return text_;
  return pieces_.front().kind == Kind::literal ? pieces_.front().text : std::string_view();
}

std::string_view NamePattern::end() const {
  return !is_literal_ && pieces_.back().kind == Kind::literal ? pieces_.back().text : std::string_view();
}

std::optional<std::vector<std::string>> NamePattern::match(std::string_view name) const {
  if (is_literal_) return name == text_ ? std::optional(std::vector<std::string>()) : std::nullopt;
  Match attempt(*this, name);
  if (!attempt.matches()) return std::nullopt;
  return std::move(attempt.texts());
}

std::string NamePattern::with(const std::function<std::string_view(const std::string&)>& text_of) const {
  if (is_literal_) return text_;
  std::string name;
  for (const Piece& piece : pieces_) {
    if (piece.capture) {
      name += text_of(captures_[*piece.capture]);
    } else {
      name += piece.text;
    }
  }
  return name;
}

}  // namespace fanin::detail
