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

void set_capture(Scope& scope, const std::string& name, const std::string& text) {
  if (const std::optional<double> number = number_in(text)) return scope.set(name, *number);
  scope.set(name, text);
}

Number::Number(const Place& place, const std::string& what) : place_(place) {
  if (place.json().is_number()) {
    if (!std::isfinite(place.json().get<double>())) place.refuse_value("expected a finite number");
    return;
  }
  if (!place.json().is_string()) place.refuse_value("expected " + what);
  place.with_errors([&] { expression_.emplace(place.text()); });
}

bool Number::depends_on_no_more_than(const Scope& scope) const {
  if (!expression_) return true;
  const auto& used = expression_->variables();
  return std::all_of(used.begin(), used.end(), [&](const Variable& variable) {
    return !variable.subscript && scope.number(variable.name) != nullptr;
  });
}

double Number::value(const Scope& scope) const {
  if (!expression_) return place_.json().get<double>();
  return place_.with_errors([&] { return in_default_fp_environment([&] { return expression_->value(scope); }); });
}

std::int64_t Number::integer(const Scope& scope) const {
  constexpr auto most = std::numeric_limits<std::int64_t>::max();
  if (!expression_) {
    const Json& json = place_.json();
    const bool fits = json.is_number_unsigned() ? json.get<std::uint64_t>() <= static_cast<std::uint64_t>(most)
                                                : json.is_number_integer();
    if (!fits) place_.refuse_value("expected an integer below 2^63 or a formula in a string");
    return json.get<std::int64_t>();
  }
  constexpr double exact = 9007199254740992;  // 2^53
  const double number = value(scope);
  if (number != std::floor(number) || std::abs(number) > exact) {
    place_.refuse("the formula " + dump_json(place_.json()) + " must give an integer of at most 2^53. It gives " +
                  to_text(number));
  }
  return static_cast<std::int64_t>(number);
}

}  // namespace fanin::detail
