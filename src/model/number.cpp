// SPDX-License-Identifier: Apache-2.0
#include "model/number.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/fp_environment.h"
#include "base/text.h"

namespace fanin::detail {

namespace {

// The number of a capture's text, such as a layer's: digits without leading zeros.
std::optional<double> number_in(const std::string& text) {
  constexpr std::size_t most = 15;  // digits, which binary64 holds exactly
  if (text.empty() || text.size() > most || (text.size() > 1 && text[0] == '0')) return std::nullopt;
  double number = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return std::nullopt;
    number = 10 * number + (c - '0');
  }
  return number;
}

}  // namespace

void Variables::check(const Expression& expression) const {
  for (const Variable& variable : expression.variables()) {
    const auto word = words_.find(variable.name);
    if (word == words_.end()) continue;
    throw InvalidArgument("column " + std::to_string(variable.column) + ": the capture \"" + variable.name +
                          "\" is \"" + word->second + "\" here, not a number");
  }
  expression.check(scope);
}

void Variables::bind(const std::string& name, const std::string& text) {
  if (const std::optional<double> number = number_in(text)) return bind(name, *number);
  scope.numbers.erase(name);
  words_[name] = text;
}

void Variables::bind(const std::string& name, double number) {
  words_.erase(name);
  scope.numbers[name] = number;
}

Number::Number(const Place& place, const std::string& what) : place_(place) {
  if (place.json().is_number()) {
    if (!std::isfinite(place.json().get<double>())) place.refuse_value("expected a finite number");
    return;
  }
  if (!place.json().is_string()) place.refuse_value("expected " + what);
  place.with_errors([&] { expression_.emplace(place.text()); });
}

bool Number::depends_on_more(const std::map<std::string, double, std::less<>>& numbers) const {
  if (!expression_) return false;
  const auto& used = expression_->variables();
  return std::any_of(used.begin(), used.end(), [&](const Variable& variable) {
    return variable.subscript || numbers.find(variable.name) == numbers.end();
  });
}

double Number::value(const Variables& variables) const {
  if (!expression_) return place_.json().get<double>();
  return place_.with_errors([&] {
    variables.check(*expression_);
    return in_default_fp_environment([&] { return expression_->value(variables.scope); });
  });
}

std::int64_t Number::integer(const Variables& variables) const {
  constexpr auto most = std::numeric_limits<std::int64_t>::max();
  if (!expression_) {
    const Json& json = place_.json();
    const bool fits = json.is_number_unsigned() ? json.get<std::uint64_t>() <= static_cast<std::uint64_t>(most)
                                                : json.is_number_integer();
    if (!fits) place_.refuse_value("expected an integer below 2^63 or a formula in a string");
    return json.get<std::int64_t>();
  }
  constexpr double exact = 9007199254740992;  // 2^53
  const double number = value(variables);
  if (number != std::floor(number) || std::abs(number) > exact) {
    place_.refuse("the formula " + dump_json(place_.json()) + " must give an integer of at most 2^53. It gives " +
                  to_text(number));
  }
  return static_cast<std::int64_t>(number);
}

}  // namespace fanin::detail
