// SPDX-License-Identifier: Apache-2.0
#include "formulas/expression.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <system_error>
#include <utility>

#include "base/fp_environment.h"
#include "base/text.h"
#include "fanin/error.h"

namespace fanin::detail {

namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN();

[[noreturn]] void refuse(std::string_view text, std::size_t column, const std::string& what) {
  throw InvalidArgument("In \"" + std::string(text) + "\", column " + std::to_string(column) + ": " + what);
}

// Locales do not matter here, unlike for isdigit and its relatives.
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }

double power(double x, std::int32_t exponent) {
  if (exponent == 0) return 1;
  const std::uint32_t n = exponent < 0 ? -static_cast<std::uint32_t>(exponent) : static_cast<std::uint32_t>(exponent);
  std::uint32_t bit = 1;
  while (bit <= n / 2) bit *= 2;
  double result = x;
  while ((bit /= 2) != 0) {
    result = result * result;
    if ((n & bit) != 0) result = result * x;
  }
  return exponent < 0 ? 1 / result : result;
}

// The result, unless an operand is a NaN.
double checked(double a, double b, double result) { return std::isnan(a) || std::isnan(b) ? nan : result; }

// The subscript as an index of the list, if it has such an element.
std::optional<std::size_t> index_in(const std::vector<double>& list, std::int64_t subscript) {
  const auto size = static_cast<std::int64_t>(list.size());
  if (subscript < -size || subscript >= size) return std::nullopt;
  return static_cast<std::size_t>(subscript < 0 ? subscript + size : subscript);
}

double value_of(std::string_view text, const Variable& variable, const Scope& scope) {
  if (!variable.subscript) {
    if (const auto at = scope.numbers.find(variable.name); at != scope.numbers.end()) return at->second;
    if (scope.lists.count(variable.name) != 0) {
      refuse(text, variable.column, variable.name + " is a list. Write " + variable.name + "[0] for its first element");
    }
  } else if (const auto list = scope.lists.find(variable.name); list != scope.lists.end()) {
    if (const auto index = index_in(list->second, *variable.subscript)) return list->second[*index];
    const std::size_t size = list->second.size();
    refuse(text, variable.column,
           "There is no " + variable.text() + ": " + variable.name + " has " + std::to_string(size) +
               (size == 1 ? " element" : " elements"));
  } else if (scope.numbers.count(variable.name) != 0) {
    refuse(text, variable.column, variable.name + " is a number and has no elements");
  }
  std::vector<std::string> known;
  for (const auto& [name, number] : scope.numbers) known.push_back(name);
  for (const auto& [name, list] : scope.lists) known.push_back(name);
  std::string all;
  for (const auto& [name, number] : scope.numbers) all += (all.empty() ? "" : ", ") + name;
  for (const auto& [name, list] : scope.lists) {
    for (std::size_t k = 0; k < list.size(); ++k)
      all += (all.empty() ? "" : ", ") + name + "[" + std::to_string(k) + "]";
  }
  refuse(text, variable.column,
         variable.text() + " is not known here. " + (all.empty() ? "There are no variables." : "Known: " + all + ".") +
             suggestion(variable.name, known));
}

}  // namespace

std::string Variable::text() const { return subscript ? name + "[" + std::to_string(*subscript) + "]" : name; }

// ---------------------------------------------------------------- parsing

// Recursive descent: a function for each level of binding, which appends its instructions.
class ExpressionParser {
 public:
  explicit ExpressionParser(Expression& to) : to_(to), text_(to.text_) {}

  void parse() {
    if (text_.size() > Expression::max_length) {
      throw InvalidArgument("An expression has up to " + std::to_string(Expression::max_length) +
                            " characters. Received: " + std::to_string(text_.size()));
    }
    comparison();
    if (at_ < text_.size()) refuse_here("an operator or the end");
  }

 private:
  using Op = Expression::Op;

  struct Function {
    std::string_view name;
    Op op;
    int arguments;
  };
  static constexpr std::array<Function, 5> functions{{{"if", Op::choose, 3},
                                                      {"sqrt", Op::square_root, 1},
                                                      {"floor", Op::floor, 1},
                                                      {"min", Op::minimum, 2},
                                                      {"max", Op::maximum, 2}}};

  void comparison() {
    sum();
    const std::optional<Op> op = comparison_sign();
    if (!op) return;
    sum();
    emit(*op);
    const std::size_t column = this->column();
    if (comparison_sign()) refuse(text_, column, "Comparisons are not chained. Write (a < b) * (b < c)");
  }

  std::optional<Op> comparison_sign() {
    if (take("<=")) return Op::less_equal;
    if (take(">=")) return Op::greater_equal;
    if (take("==")) return Op::equal;
    if (take("!=")) return Op::not_equal;
    if (take("<")) return Op::less;
    if (take(">")) return Op::greater;
    return std::nullopt;
  }

  void sum() {
    product();
    for (;;) {
      const Op op = take("+") ? Op::add : take("-") ? Op::subtract : Op::number;
      if (op == Op::number) return;
      product();
      emit(op);
    }
  }

  void product() {
    signed_power();
    for (;;) {
      const Op op = take("*") ? Op::multiply : take("/") ? Op::divide : Op::number;
      if (op == Op::number) return;
      signed_power();
      emit(op);
    }
  }

  // Whatever is nested is nested in this function.
  void signed_power() {
    if (++depth_ > Expression::max_depth) {
      refuse(text_, column(), "Operands are nested more than " + std::to_string(Expression::max_depth) + " deep");
    }
    if (take("-")) {
      signed_power();
      emit(Op::negate);
    } else if (take("+")) {
      signed_power();
    } else {
      operand();
      exponent();
    }
    --depth_;
  }

  void exponent() {
    const std::size_t sign = column();
    if (take("**")) refuse(text_, sign, "A power is written with ^");
    if (!take("^")) return;
    const std::size_t column = this->column();
    const std::size_t begin = to_.code_.size();
    signed_power();  // 2^-1; and 2^3^2 = 2^(3^2)
    const std::vector<Expression::Instruction> code(to_.code_.begin() + static_cast<std::ptrdiff_t>(begin),
                                                    to_.code_.end());
    to_.code_.resize(begin);
    const bool is_constant = std::none_of(code.begin(), code.end(), [](const auto& i) { return i.op == Op::variable; });
    constexpr double most = 1e6;
    const double n = is_constant ? Expression::run(code, {}) : nan;
    if (!(n >= -most && n <= most) || n != std::floor(n)) {
      refuse(text_, column, "The exponent of ^ must be a whole number without variables, from -1000000 to 1000000");
    }
    to_.code_.push_back({Op::power, static_cast<std::int32_t>(n)});
  }

  void operand() {
    skip_space();
    const std::size_t begin = at_;
    if (take("(")) {
      comparison();
      if (!take(")")) refuse_here("\")\"");
      return;
    }
    if (begin < text_.size() && (is_digit(text_[begin]) || text_[begin] == '.')) return number();
    while (at_ < text_.size() && (is_letter(text_[at_]) || (at_ > begin && is_digit(text_[at_])))) ++at_;
    if (at_ == begin) refuse_here("a number, a variable, a function, \"-\" or \"(\"");
    const std::string_view name = text_.substr(begin, at_ - begin);
    if (take("(")) {
      call(name, begin + 1);
    } else {
      variable(name, begin + 1);
    }
  }

  void number() {
    const std::size_t begin = at_;
    double value = 0;
    const auto [end, error] = std::from_chars(text_.data() + at_, text_.data() + text_.size(), value);
    if (error == std::errc::invalid_argument) refuse_here("a number");
    at_ = static_cast<std::size_t>(end - text_.data());
    if (error != std::errc()) refuse(text_, begin + 1, "The number is outside the range of binary64");
    if (at_ < text_.size() && (is_letter(text_[at_]) || text_[at_] == '.')) refuse_here("an operator or the end");
    to_.code_.push_back({Op::number, 0, value});
  }

  void call(std::string_view name, std::size_t column) {
    const auto* const function =
        std::find_if(functions.begin(), functions.end(), [&](const Function& one) { return one.name == name; });
    if (function == functions.end()) {
      std::vector<std::string> names;
      for (const Function& one : functions) names.emplace_back(one.name);
      refuse(
          text_, column,
          "There is no function \"" + std::string(name) + "\", only " + list_of(names) + "." + suggestion(name, names));
    }
    int arguments = 0;
    if (!take(")")) {
      do {
        comparison();
        ++arguments;
      } while (take(","));
      if (!take(")")) refuse_here("\",\" or \")\"");
    }
    if (arguments != function->arguments) {
      refuse(text_, column,
             std::string(name) + " has " + std::to_string(function->arguments) +
                 (function->arguments == 1 ? " argument" : " arguments") + ". Received: " + std::to_string(arguments));
    }
    emit(function->op);
  }

  void variable(std::string_view name, std::size_t column) {
    Variable found{std::string(name), std::nullopt, column};
    if (take("[")) {
      skip_space();
      std::int64_t subscript = 0;
      const auto [end, error] = std::from_chars(text_.data() + at_, text_.data() + text_.size(), subscript);
      if (error != std::errc()) refuse_here("a whole number");
      at_ = static_cast<std::size_t>(end - text_.data());
      found.subscript = subscript;
      if (!take("]")) refuse_here("\"]\"");
    }
    std::vector<Variable>& all = to_.variables_;
    const auto at = std::find_if(all.begin(), all.end(), [&](const Variable& one) {
      return one.name == found.name && one.subscript == found.subscript;
    });
    const auto index = static_cast<std::int32_t>(at - all.begin());
    if (at == all.end()) all.push_back(std::move(found));
    to_.code_.push_back({Op::variable, index});
  }

  void emit(Op op) { to_.code_.push_back({op}); }

  void skip_space() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t' || text_[at_] == '\n')) ++at_;
  }

  std::size_t column() {
    skip_space();
    return at_ + 1;
  }

  bool take(std::string_view sign) {
    skip_space();
    if (text_.substr(at_, sign.size()) != sign) return false;
    if (sign == "*" && text_.substr(at_, 2) == "**") return false;
    at_ += sign.size();
    return true;
  }

  [[noreturn]] void refuse_here(const std::string& wanted) {
    const std::size_t column = this->column();
    const std::string found = at_ < text_.size() ? "\"" + std::string(text_.substr(at_, 1)) + "\"" : "the end";
    refuse(text_, column, "Expected " + wanted + ". Received: " + found);
  }

  Expression& to_;
  std::string_view text_;
  std::size_t at_ = 0;
  int depth_ = 0;
};

Expression::Expression(std::string_view text) : text_(text) {
  in_default_fp_environment([&] { ExpressionParser(*this).parse(); });
}

// ---------------------------------------------------------------- evaluation

double Expression::run(const std::vector<Instruction>& code, const std::vector<double>& values) {
  std::vector<double> stack;
  const auto pop = [&] {
    const double top = stack.back();
    stack.pop_back();
    return top;
  };
  for (const Instruction& instruction : code) {
    const auto binary = [&](auto operation) {
      const double b = pop();
      stack.back() = checked(stack.back(), b, operation(stack.back(), b));
    };
    switch (instruction.op) {
      case Op::number:
        stack.push_back(instruction.number);
        break;
      case Op::variable:
        stack.push_back(values[static_cast<std::size_t>(instruction.operand)]);
        break;
      case Op::negate:
        stack.back() = -stack.back();
        break;
      case Op::add:
        binary([](double a, double b) { return a + b; });
        break;
      case Op::subtract:
        binary([](double a, double b) { return a - b; });
        break;
      case Op::multiply:
        binary([](double a, double b) { return a * b; });
        break;
      case Op::divide:
        binary([](double a, double b) { return a / b; });
        break;
      case Op::power:
        stack.back() = power(stack.back(), instruction.operand);
        break;
      case Op::less:
        binary([](double a, double b) { return a < b ? 1.0 : 0.0; });
        break;
      case Op::less_equal:
        binary([](double a, double b) { return a <= b ? 1.0 : 0.0; });
        break;
      case Op::greater:
        binary([](double a, double b) { return a > b ? 1.0 : 0.0; });
        break;
      case Op::greater_equal:
        binary([](double a, double b) { return a >= b ? 1.0 : 0.0; });
        break;
      case Op::equal:
        binary([](double a, double b) { return a == b ? 1.0 : 0.0; });
        break;
      case Op::not_equal:
        binary([](double a, double b) { return a != b ? 1.0 : 0.0; });
        break;
      case Op::choose: {
        const double b = pop();
        const double a = pop();
        const double condition = stack.back();
        stack.back() = std::isnan(condition) ? nan : condition != 0 ? a : b;
        break;
      }
      case Op::square_root:
        stack.back() = std::sqrt(stack.back());  // IEEE 754 rounds it correctly
        break;
      case Op::floor:
        stack.back() = std::floor(stack.back());  // exact
        break;
      case Op::minimum:
        binary([](double a, double b) { return b < a ? b : a; });
        break;
      case Op::maximum:
        binary([](double a, double b) { return b > a ? b : a; });
        break;
    }
  }
  return stack.back();
}

void Expression::check(const Scope& scope) const {
  for (const Variable& variable : variables_) value_of(text_, variable, scope);
}

double Expression::value(const Scope& scope) const {
  std::vector<double> values;
  values.reserve(variables_.size());
  for (const Variable& variable : variables_) values.push_back(value_of(text_, variable, scope));
  const double result = in_default_fp_environment([&] { return run(code_, values); });
  if (std::isfinite(result)) return result;
  std::string received;
  for (std::size_t k = 0; k < values.size(); ++k) {
    received += (k == 0 ? ", with " : ", ") + variables_[k].text() + "=" + to_text(values[k]);
  }
  throw InvalidArgument("The value of \"" + text_ +
                        "\" is not finite: " + (std::isnan(result) ? "NaN" : to_text(result)) + received);
}

}  // namespace fanin::detail
