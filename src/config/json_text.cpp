// SPDX-License-Identifier: Apache-2.0
#include "config/json_text.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <unordered_set>
#include <vector>

#include "base/fp_environment.h"
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
constexpr int max_depth = 100;

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

// Replaces tokens outside of strings by their stand-ins. Throws for text that contains the mark.
std::string with_stand_ins(std::string_view text) {
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
      throw InvalidArgument("Malformed JSON at " + position(text, j + 1) + ": the control character U+007F");
    }
    if (in_string && text[j] == '\\' && j + 1 < text.size()) {
      result += text[j++];
    } else if (text[j] == '"') {
      in_string = !in_string;
    }
    result += text[j++];
  }
  return result;
}

// Replaces a parsed stand-in by its token's number.
void resolve_stand_in(Json& value) {
  if (!value.is_string() || value.get_ref<const std::string&>().find(mark) == std::string::npos) return;
  const std::string quoted = '"' + value.get<std::string>() + '"';
  for (const Token& token : tokens) {
    if (quoted == token.stand_in) value = token.value;
  }
}

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

Json parse_json(std::string_view text) {
  std::vector<std::unordered_set<std::string>> keys;  // of each open object
  const auto check_keys = [&keys](int depth, Json::parse_event_t event, Json& value) {
    if (depth > max_depth) {  // because values are destroyed and written recursively
      throw InvalidArgument("Malformed JSON: nested deeper than " + std::to_string(max_depth) + " levels");
    }
    if (event == Json::parse_event_t::object_start) keys.emplace_back();
    if (event == Json::parse_event_t::object_end) keys.pop_back();
    if (event == Json::parse_event_t::value) resolve_stand_in(value);
    if (event == Json::parse_event_t::key && value.get_ref<const std::string&>().find(mark) != std::string::npos) {
      throw InvalidArgument("Malformed JSON: a key must be a string");
    }
    if (event == Json::parse_event_t::key && !keys.back().insert(value.get<std::string>()).second) {
      throw InvalidArgument("Malformed JSON: the key \"" + value.get<std::string>() + "\" occurs twice in one object");
    }
    return true;
  };
  try {
    // The C library's conversion of decimals depends on the rounding mode.
    return in_default_fp_environment([&] { return Json::parse(with_stand_ins(text), check_keys); });
  } catch (const Json::parse_error& error) {
    // Keeps what follows the position in "[json.exception...] parse error at line 1, column 2: syntax error while ...".
    std::string what = error.what();
    const std::size_t column = what.find(", column ");
    if (column != std::string::npos) what = what.substr(what.find(": ", column) + 2);
    constexpr std::size_t most = 300;  // the message may quote the text
    if (what.size() > most) what = what.substr(0, most) + "...";
    throw InvalidArgument("Malformed JSON at " + position(text, error.byte) + ": " + what);
  } catch (const Json::exception& error) {  // for example a number that overflows binary64
    const std::string what = error.what();
    throw InvalidArgument("Malformed JSON: " + what.substr(what.find("] ") + 2));
  }
}

std::string dump_json(const Json& value) {
  return in_default_fp_environment([&] {
    std::string text;
    dump_to(text, value);
    return text;
  });
}

bool number_of(const Json& value, double& number, bool allow_boolean) {
  if (!value.is_number() && !(allow_boolean && value.is_boolean())) return false;
  number = value.is_boolean() ? (value.get<bool>() ? 1.0 : 0.0) : value.get<double>();
  return true;
}

}  // namespace fanin::detail
