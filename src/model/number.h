// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "formulas/expression.h"
#include "model/place.h"

namespace fanin::detail {

// What formulas can use at a place of the specification.
class Variables {
 public:
  Scope scope;

  // A capture, which replaces another variable of its name. A text that is no number can be used in names only.
  void bind(const std::string& name, const std::string& text);
  void bind(const std::string& name, double number);

  // Whether every variable of the expression has a value. Throws InvalidArgument otherwise.
  void check(const Expression& expression) const;

 private:
  std::map<std::string, std::string, std::less<>> words_;  // captures that are no numbers
};

// A number of the specification: JSON's, or a formula in a string.
class Number {
 public:
  // Throws InvalidArgument. `what` says what is expected: "a number".
  explicit Number(const Place& place, const std::string& what = "a number or a formula in a string");

  // The formula's text, or "".
  std::string formula() const { return expression_ ? expression_->text() : ""; }
  // Whether the value depends on anything but these numbers.
  bool depends_on_more(const std::map<std::string, double, std::less<>>& numbers) const;

  // Throw InvalidArgument. An integer is exact.
  double value(const Variables& variables) const;
  std::int64_t integer(const Variables& variables) const;

 private:
  Place place_;
  std::optional<Expression> expression_;
};

}  // namespace fanin::detail
