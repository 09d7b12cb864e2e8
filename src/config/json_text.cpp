// SPDX-License-Identifier: Apache-2.0
#include "config/json_text.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <iterator>
#include <limits>
#include <unordered_set>
#include <utility>
#include <vector>

#include "base/fp_environment.h"
#include "base/text.h"
#include "fanin/error.h"

namespace fanin::detail {

namespace {

// Python's tokens that JSON lacks, and the strings that the parser gets instead. Both have the same length, so that
// positions in error messages stay right. The control character marks the stand-ins; other strings must not contain it.
struct Token {
  std::string_view text;
  std::string_view stand_in;
  double value;
};
constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr std::array<Token, 3> tokens{{{"-Infinity", "\"\x7f-infin\"", -infinity},
                                       {"Infinity", "\"\x7finfin\"", infinity},
                                       {"NaN", "\"\x7f\"", std::numeric_limits<double>::quiet_NaN()}}};
constexpr char mark = '\x7f';

// Configurations and specifications are far less deep.
constexpr std::size_t max_depth = 100;

// The place of a byte, counted from 1, as editors count it.
std::string position(std::string_view text, std::size_t byte) {
  std::size_t line = 1;
  std::size_t column = 1;
  for (std::size_t j = 0; j + 1 < byte && j < text.size(); ++j) {
    if (!is_continuation(text[j])) ++column;
    if (text[j] == '\n') {
      ++line;
      column = 1;
    }
  }
  return "line " + std::to_string(line) + ", column " + std::to_string(column);
}

struct Source {
  std::string_view text;
  std::string_view name;  // may be empty

  [[noreturn]] void refuse(std::size_t byte, const std::string& what) const {
    throw InvalidArgument("Malformed JSON" + (name.empty() ? "" : " in " + std::string(name)) + " at " +
                          position(text, byte) + ": " + what);
  }
};

// Replaces tokens outside of strings by their stand-ins. Throws for text that contains the mark.
std::string with_stand_ins(const Source& source) {
  const std::string_view text = source.text;
  std::string result;
  result.reserve(text.size());
  bool in_string = false;
  for (std::size_t j = 0; j < text.size();) {
    const std::string_view rest = text.substr(j);
    const auto begins = [rest](const Token& token) { return rest.substr(0, token.text.size()) == token.text; };
    const auto* token = in_string ? tokens.end() : std::find_if(tokens.begin(), tokens.end(), begins);
    if (token != tokens.end()) {
      result += token->stand_in;
      j += token->text.size();
      continue;
    }
    if (text[j] == mark || rest.substr(0, 6) == "\\u007f" || rest.substr(0, 6) == "\\u007F") {
      source.refuse(j + 1, "the control character U+007F");
    }
    if (text[j] == '\0') source.refuse(j + 1, "a NUL byte");  // the parser would take it for the end
    if (in_string && text[j] == '\\' && j + 1 < text.size()) {
      result += text[j++];
    } else if (text[j] == '"') {
      in_string = !in_string;
    }
    result += text[j++];
  }
  return result;
}

// Reads characters and tells how far it has come.
struct CountingIterator {
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;

  const char* at;
  const char** reached;

  reference operator*() const { return *at; }
  CountingIterator& operator++() {
    *reached = ++at;
    return *this;
  }
  bool operator==(const CountingIterator& other) const { return at == other.at; }
  bool operator!=(const CountingIterator& other) const { return at != other.at; }
};

// Builds a value from the parser's events, in linear time: an ordered object of the library searches all its keys for
// each one that is added.
class Builder {
 public:
  explicit Builder(const Source& source) : source_(source), text_(with_stand_ins(source)) {}

  Json parse() {
    const char* const end = text_.data() + text_.size();
    reached_ = text_.data();
    Json::sax_parse(CountingIterator{text_.data(), &reached_}, CountingIterator{end, &reached_}, this);
    return std::move(root_);
  }

  // The parser's events.
  bool null() { return add(nullptr); }
  bool boolean(bool value) { return add(value); }
  bool number_integer(std::int64_t value) { return add(value); }
  bool number_unsigned(std::uint64_t value) { return add(value); }
  bool number_float(double value, const std::string&) { return add(value); }
  bool binary(Json::binary_t&) { return false; }  // JSON text has none
  bool string(std::string& value) {
    if (value.find(mark) == std::string::npos) return add(std::move(value));
    const std::string quoted = '"' + value + '"';
    const auto* const token =
        std::find_if(tokens.begin(), tokens.end(), [&](const Token& t) { return quoted == t.stand_in; });
    return add(token->value);
  }
  bool start_object(std::size_t) {
    keys_.emplace_back();
    return open(Json::object());
  }
  bool start_array(std::size_t) { return open(Json::array()); }
  bool end_object() {
    keys_.pop_back();
    return end_array();
  }
  bool end_array() {
    open_.pop_back();
    return true;
  }
  bool key(std::string& key) {
    if (key.find(mark) != std::string::npos) refuse_key("a key must be a string");
    if (!keys_.back().insert(key).second) refuse_key("the key \"" + key + "\" occurs twice in one object");
    key_ = std::move(key);
    return true;
  }
  bool parse_error(std::size_t byte, const std::string& token, const nlohmann::detail::exception& error) {
    std::string what = error.what();
    if (dynamic_cast<const Json::parse_error*>(&error) == nullptr) {
      // Only a number can be out of range.
      source_.refuse(byte + 1 - std::min(byte, token.size()), "the number " + token + " is too large for binary64");
    }
    // Keeps what follows the position in "[json.exception...] parse error at line 1, column 2: syntax error while ...".
    const std::size_t column = what.find(", column ");
    if (column != std::string::npos) what = what.substr(what.find(": ", column) + 2);
    constexpr std::size_t most = 300;  // the message may quote the text
    if (what.size() > most) what = what.substr(0, most) + "...";
    source_.refuse(byte, what);
  }

 private:
  std::size_t bytes_read() const { return static_cast<std::size_t>(reached_ - text_.data()); }

  // Names the place where the key that was just read begins.
  [[noreturn]] void refuse_key(const std::string& what) const {
    const auto is_quote = [&](std::size_t at) {
      std::size_t backslashes = 0;
      while (backslashes < at && text_[at - 1 - backslashes] == '\\') ++backslashes;
      return text_[at] == '"' && backslashes % 2 == 0;
    };
    std::size_t begin = bytes_read() - 2;  // before the closing quote
    while (begin > 0 && !is_quote(begin)) --begin;
    source_.refuse(begin + 1, what);
  }

  bool add(Json value) {
    place(std::move(value));
    return true;
  }

  bool open(Json value) {
    if (open_.size() == max_depth) {  // because values are destroyed and written recursively
      source_.refuse(bytes_read(), "nested deeper than " + std::to_string(max_depth) + " levels");
    }
    open_.push_back(place(std::move(value)));
    return true;
  }

  Json* place(Json value) {
    if (open_.empty()) return &(root_ = std::move(value));
    if (open_.back()->is_array()) {
      auto& array = open_.back()->get_ref<Json::array_t&>();
      array.push_back(std::move(value));
      return &array.back();
    }
    auto& object = static_cast<Json::object_t::Container&>(open_.back()->get_ref<Json::object_t&>());
    object.emplace_back(std::move(key_), std::move(value));
    return &object.back().second;
  }

  Source source_;
  std::string text_;
  const char* reached_ = nullptr;
  Json root_;
  std::vector<Json*> open_;  // none moves while it is open: each is the last value of the one before
  std::vector<std::unordered_set<std::string>> keys_;  // of each open object
  std::string key_;                                    // of the next value
};

std::string_view token_of(double value) {
  if (std::isnan(value)) return tokens[2].text;
  return value < 0 ? tokens[0].text : tokens[1].text;
}

std::string dump_scalar(const Json& value) {
  if (value.is_number_float() && !std::isfinite(value.get<double>())) return std::string(token_of(value.get<double>()));
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

void dump_to(std::string& text, const Json& value) {
  if (!value.is_structured()) {
    text += dump_scalar(value);
    return;
  }
  const char* separator = "";
  text += value.is_object() ? '{' : '[';
  for (const auto& item : value.items()) {
    text += separator;
    if (value.is_object()) text += dump_scalar(item.key()) + ':';
    dump_to(text, item.value());
    separator = ",";
  }
  text += value.is_object() ? '}' : ']';
}

}  // namespace

Json parse_json(std::string_view text, std::string_view source) {
  // The C library's conversion of decimals depends on the rounding mode.
  return in_default_fp_environment([&] { return Builder({text, source}).parse(); });
}

std::string dump_json(const Json& value) {
  return in_default_fp_environment([&] {
    std::string text;
    dump_to(text, value);
    return text;
  });
}

std::string shown_json(const Json& value) {
  constexpr std::size_t most = 160;
  std::string text = dump_json(value);
  if (text.size() <= most) return text;
  std::size_t end = most;
  while (is_continuation(text[end])) --end;  // between characters
  return text.substr(0, end) + "...";
}

bool number_of(const Json& value, double& number, bool allow_boolean) {
  if (!value.is_number() && !(allow_boolean && value.is_boolean())) return false;
  number = value.is_boolean() ? (value.get<bool>() ? 1.0 : 0.0) : value.get<double>();
  return true;
}

}  // namespace fanin::detail
