// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "formulas/expression.h"
#include "model/place.h"

namespace fanin::detail {

// Whether formulas use the name themselves, so that no capture or constant can have it.
bool is_variable_of_formulas(std::string_view name);
// Throws InvalidArgument for a name that a capture or a constant cannot have.
void check_variable(const Place& place, const std::string& name);

// A number of the specification: JSON's, or a formula in a string.
class Number {
 public:
  // Throws InvalidArgument. `what` says what is expected: "a number".
  explicit Number(const Place& place, const std::string& what = "a number or a formula in a string");

  // The formula's text, or "".
  std::string formula() const { return expression_ ? expression_->text() : ""; }
  // Whether it has no formula, or one of numbers of this scope alone.
  bool depends_on_no_more_than(const Scope& scope) const;

  // Throw InvalidArgument. An integer is exact.
  double value(const Scope& scope) const;
  std::int64_t integer(const Scope& scope) const;

 private:
  Place place_;
  std::optional<Expression> expression_;
};

}  // namespace fanin::detail
