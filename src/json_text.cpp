// SPDX-License-Identifier: Apache-2.0
#include "json_text.h"

#include <array>
#include <cmath>
#include <limits>
#include <unordered_set>
#include <vector>

#include "fanin/error.h"
#include "fp_environment.h"

namespace fanin::detail {

namespace {

// Python's tokens and the strings that stand for them inside. Both have the same length, so that positions in error
// messages hold; the control character keeps them apart from every string in real use.
struct Token {
  std::string_view text;
  std::string_view inside;
  double value;
};
constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr std::array<Token, 3> tokens{{{"-Infinity", "\"\x7f-infin\"", -infinity},
                                       {"Infinity", "\"\x7finfin\"", infinity},
                                       {"NaN", "\"\x7f\"", std::numeric_limits<double>::quiet_NaN()}}};

// No configuration and no specification comes near.
constexpr int deepest = 100;

// Replaces tokens by their inside strings, or back, everywhere but within other strings.
std::string translate(std::string_view text, std::string_view Token::*from, std::string_view Token::*to) {
  std::string result;
  result.reserve(text.size());
  bool in_string = false;
  for (std::size_t j = 0; j < text.size();) {
    const Token* found = nullptr;
    if (!in_string) {
      for (const Token& token : tokens) {
        if (text.substr(j, (token.*from).size()) == token.*from) {
          found = &token;
          break;
        }
      }
    }
    if (found != nullptr) {
      result += found->*to;
      j += (found->*from).size();
      continue;
    }
    if (in_string && text[j] == '\\' && j + 1 < text.size())
      result += text[j++];
    else if (text[j] == '"')
      in_string = !in_string;
    result += text[j++];
  }
  return result;
}

std::string position(std::string_view text, std::size_t byte) {
  std::size_t line = 1;
  std::size_t column = 1;
  for (std::size_t j = 0; j + 1 < byte && j < text.size(); ++j) {
    ++column;
    if (text[j] == '\n') {
      ++line;
      column = 1;
    }
  }
  return "line " + std::to_string(line) + ", column " + std::to_string(column);
}

}  // namespace

Json parse_json(std::string_view text) {
  std::vector<std::unordered_set<std::string>> keys;  // of the objects that are open
  const auto check_keys = [&keys](int depth, Json::parse_event_t event, Json& value) {
    if (depth > deepest) {  // values are destroyed and written recursively
      throw InvalidArgument("Malformed JSON: nested deeper than " + std::to_string(deepest) + " levels");
    }
    if (event == Json::parse_event_t::object_start) keys.emplace_back();
    if (event == Json::parse_event_t::object_end) keys.pop_back();
    if (event == Json::parse_event_t::key && !keys.back().insert(value.get<std::string>()).second) {
      throw InvalidArgument("Malformed JSON: the key \"" + value.get<std::string>() + "\" stands twice in one object");
    }
    return true;
  };
  try {
    // The C library's conversion of decimals heeds the rounding mode.
    return in_default_fp_environment(
        [&] { return Json::parse(translate(text, &Token::text, &Token::inside), check_keys); });
  } catch (const Json::parse_error& error) {
    // "[json.exception...] parse error at line 1, column 2: syntax error while ...": what follows the position.
    std::string what = error.what();
    const std::size_t column = what.find(", column ");
    if (column != std::string::npos) what = what.substr(what.find(": ", column) + 2);
    constexpr std::size_t most = 300;  // it may quote the text
    if (what.size() > most) what = what.substr(0, most) + "...";
    throw InvalidArgument("Malformed JSON at " + position(text, error.byte) + ": " + what);
  } catch (const Json::exception& error) {  // a number that overflows binary64, say
    const std::string what = error.what();
    throw InvalidArgument("Malformed JSON: " + what.substr(what.find("] ") + 2));
  }
}

std::string dump_json(const Json& value, int indent) {
  return in_default_fp_environment([&] {
    return translate(value.dump(indent, ' ', false, Json::error_handler_t::replace), &Token::inside, &Token::text);
  });
}

bool number_of(const Json& value, double& number, bool allow_boolean) {
  if (value.is_number() || (allow_boolean && value.is_boolean())) {
    number = value.is_boolean() ? (value.get<bool>() ? 1.0 : 0.0) : value.get<double>();
    return true;
  }
  if (!value.is_string()) return false;
  const std::string quoted = '"' + value.get<std::string>() + '"';
  for (const Token& token : tokens) {
    if (quoted == token.inside) {
      number = token.value;
      return true;
    }
  }
  return false;
}

Json json_of(double number) {
  if (std::isfinite(number)) return number;
  for (const Token& token : tokens) {
    if (number == token.value || (std::isnan(number) && std::isnan(token.value))) {
      return std::string(token.inside.substr(1, token.inside.size() - 2));
    }
  }
  return nullptr;
}

}  // namespace fanin::detail
