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
//
// Without Functions::all there is calculate_gain(relu), PyTorch's gain of a nonlinearity: fanin/gain.h. leaky_relu may
// have a slope: calculate_gain(leaky_relu, 0.2).
//
// With Functions::all there are also pi, clamp(x, low, high) = min(max(x, low), high), and the functions of
// formulas/exact_functions.h, which are correctly rounded.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace fanin::detail {

namespace exact {
class Arithmetic;
}

// The values of variables where an expression is evaluated. A variable hides those of its name in outer scopes.
class Scope {
 public:
  using List = std::vector<double>;                       // shape[0], shape[1] ...
  using Value = std::variant<double, List, std::string>;  // a text is a capture that is no number

  Scope() = default;
  // `outer` must outlive this one.
  explicit Scope(const Scope* outer) : outer_(outer) {}

  void set(const std::string& name, Value value) { values_[name] = std::move(value); }

  // Null if there is no such variable.
  const Value* find(std::string_view name) const;
  // As find, and null if the variable is no number.
  const double* number(std::string_view name) const;
  // All variables, by name.
  std::map<std::string, const Value*> all() const;

 private:
  const Scope* outer_ = nullptr;
  std::map<std::string, Value, std::less<>> values_;
};

// A variable in an expression.
struct Variable {
  std::string name;
  std::optional<std::int64_t> subscript;  // shape[0]; may be negative
  std::size_t column;                     // of its first use, counted in bytes from 1

  std::string text() const;  // "shape[0]"
};

enum class Functions : std::uint8_t { arithmetic, all };

// Whether expressions have a function of this name.
bool is_function(std::string_view name);

// Immutable.
class Expression {
 public:
  static constexpr std::size_t max_length = 4096;  // bytes
  static constexpr int max_depth = 64;             // of nested operands
  static constexpr std::size_t max_slots = 32;     // intermediate values at a time

  // Throws InvalidArgument, with the column, for what is not an expression.
  explicit Expression(std::string_view text, Functions functions = Functions::arithmetic);

  const std::string& text() const { return text_; }

  // What it uses, each once, in the order of the first uses.
  const std::vector<Variable>& variables() const { return variables_; }

  // How much an evaluation costs.
  std::size_t operations() const { return code_.size(); }
  std::size_t exact_functions() const;

  // Throws InvalidArgument, with the column, for a variable that the scope lacks, with what it has, or that is a text.
  void check(const Scope& scope) const;

  // The value. Throws InvalidArgument as check does, for a value that is not finite, and for a function that this build
  // lacks.
  double value(const Scope& scope) const;

 private:
  friend class ExpressionParser;
  friend class Program;

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
    clamp,
    log,  // from here on exact functions
    exp,
    sin,
    cos,
    pow,
    log1p,
    expm1,
    softplus_inverse,
  };

  // In postfix order: operands come before their operation.
  struct Instruction {
    Op op;
    std::int32_t operand = 0;  // the variable's index, or the exponent
    double number = 0;
  };

  static int operands_of(Op op);
  static bool is_exact_function(Op op) { return op >= Op::log; }

  // Evaluates `count` elements at once. inputs[k] has the values of variable k, `stack` has room for max_slots values
  // of each, and the results are its first `count` numbers. Requires the default floating-point environment.
  // `arithmetic` may be null if there are no exact functions.
  static void run(const std::vector<Instruction>& code, const double* const* inputs, std::size_t count, double* stack,
                  exact::Arithmetic* arithmetic);

  std::string text_;
  std::vector<Variable> variables_;
  std::vector<Instruction> code_;
};

// An expression with the values of some variables, which is evaluated for many elements at once. What depends on no
// other variable is evaluated once. Immutable.
class Program {
 public:
  // A variable's value, or the number of the input that has its values.
  struct Binding {
    std::optional<double> value;
    std::int32_t input = 0;
  };

  // Of the expression's variables, in their order. Throws InvalidArgument for a function that this build lacks.
  Program(const Expression& expression, const std::vector<Binding>& bindings);

  bool has_exact_functions() const;

  // Finite numbers between which all values are if all inputs are within these; none if interval arithmetic finds none.
  // Has the requirements of Expression::run.
  struct Interval {
    double low, high;
  };
  std::optional<Interval> bounds(const std::vector<Interval>& inputs, exact::Arithmetic* arithmetic) const;

  // As Expression::run, with the inputs of the bindings.
  void run(const double* const* inputs, std::size_t count, double* stack, exact::Arithmetic* arithmetic) const {
    Expression::run(code_, inputs, count, stack, arithmetic);
  }

 private:
  static std::optional<Interval> bounds(const Expression::Instruction& instruction, const Interval* operands,
                                        exact::Arithmetic* arithmetic);

  std::vector<Expression::Instruction> code_;
};

// 'The value of "1 / x" is not finite: inf, with x=0'
std::string not_finite(const Expression& expression, const std::vector<double>& values, double result,
                       std::string_view type = {});

}  // namespace fanin::detail
