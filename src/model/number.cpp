// SPDX-License-Identifier: Apache-2.0
#include "model/number.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/text.h"

namespace fanin::detail {

bool is_variable_of_formulas(std::string_view name) {
  constexpr std::string_view variables[] = {"fan_in", "fan_out", "shape", "i", "place", "u", "z", "pi"};
  return is_function(name) || std::find(std::begin(variables), std::end(variables), name) != std::end(variables);
}

void check_variable(const Place& place, const std::string& name) {
  if (!is_name(name)) {
    place.refuse("a name in formulas has letters, digits and _, and does not begin with a digit. Received: " +
                 dump_json(name));
  }
  if (is_variable_of_formulas(name)) place.refuse("formulas use the name \"" + name + "\" already; choose another");
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
  return place_.with_errors([&] { return expression_->value(scope); });
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
