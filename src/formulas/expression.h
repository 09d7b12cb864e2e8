// SPDX-License-Identifier: Apache-2.0
// Expressions such as "0.02 / sqrt(2 * (layer + 1))": parsed once, evaluated many times.
//
// From the loosest to the tightest binding: comparisons < <= > >= == != (1 or 0, not chained); + -; * /; unary - and +;
// ^ with a whole number as exponent. Operands are decimal numbers, variables (`layer`), elements of a list (`shape[0]`,
// `shape[-1]` is the last), parentheses, and the functions if(condition, a, b), sqrt, floor, min and max.
//
// All arithmetic is binary64 with one rounding per operation and without a mathematical library, so that it gives the
// same bits everywhere. x^n squares from left to right: x^5 = ((x * x) * (x * x)) * x; x^-n = 1 / x^n; x^0 = 1. `if` is
// `a` unless the condition is 0. An operation with a NaN gives NaN; an `if` ignores what it does not choose.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace fanin::detail {

// The values of variables where an expression is evaluated.
struct Scope {
  std::map<std::string, double, std::less<>> numbers;             // layer
  std::map<std::string, std::vector<double>, std::less<>> lists;  // shape[0], shape[1] ...
};

// A variable in an expression.
struct Variable {
  std::string name;
  std::optional<std::int64_t> subscript;  // shape[0]; may be negative
  std::size_t column;                     // of its first use, counted in bytes from 1

  std::string text() const;  // "shape[0]"
};

// Immutable.
class Expression {
 public:
  static constexpr std::size_t max_length = 4096;  // bytes
  static constexpr int max_depth = 64;             // of nested operands

  // Throws InvalidArgument, with the column, for what is not an expression.
  explicit Expression(std::string_view text);

  const std::string& text() const { return text_; }

  // What it uses, each once, in the order of the first uses.
  const std::vector<Variable>& variables() const { return variables_; }

  // Throws InvalidArgument, with the column and what the scope has, for a variable that the scope lacks.
  void check(const Scope& scope) const;

  // The value. Throws InvalidArgument as check does, and for a value that is not finite.
  double value(const Scope& scope) const;

 private:
  friend class ExpressionParser;

  enum class Op : std::uint8_t {
    number,
    variable,
    negate,
    add,
    subtract,
    multiply,
    divide,
    power,
    less,
    less_equal,
    greater,
    greater_equal,
    equal,
    not_equal,
    choose,
    square_root,
    floor,
    minimum,
    maximum,
  };

  // In postfix order: operands come before their operation.
  struct Instruction {
    Op op;
    std::int32_t operand = 0;  // the variable's index, or the exponent
    double number = 0;
  };

  static double run(const std::vector<Instruction>& code, const std::vector<double>& values);

  std::string text_;
  std::vector<Variable> variables_;
  std::vector<Instruction> code_;
};

}  // namespace fanin::detail
