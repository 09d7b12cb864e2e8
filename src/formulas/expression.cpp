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
#include "fanin/gain.h"
#include "formulas/exact_functions.h"

namespace fanin::detail {

namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN();

[[noreturn]] void refuse(std::string_view text, std::size_t column, const std::string& what) {
  // Columns are counted in bytes up to here, but people count characters.
  for (const char c : text.substr(0, column - 1)) column -= is_continuation(c) ? 1 : 0;
  throw InvalidArgument("In \"" + std::string(text) + "\", column " + std::to_string(column) + ": " + what);
}

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

double minimum(double a, double b) { return checked(a, b, b < a ? b : a); }
double maximum(double a, double b) { return checked(a, b, b > a ? b : a); }

// The subscript as an index of the list, if it has such an element.
std::optional<std::size_t> index_in(const std::vector<double>& list, std::int64_t subscript) {
  const auto size = static_cast<std::int64_t>(list.size());
  if (subscript < -size || subscript >= size) return std::nullopt;
  return static_cast<std::size_t>(subscript < 0 ? subscript + size : subscript);
}

[[noreturn]] void refuse_unknown(std::string_view text, const Variable& variable, const Scope& scope) {
  std::vector<std::string> known, numbers, elements;
  for (const auto& [name, value] : scope.all()) {
    if (std::holds_alternative<double>(*value)) numbers.push_back(name);
    const auto* list = std::get_if<Scope::List>(value);
    for (std::size_t k = 0; list != nullptr && k < list->size(); ++k)
      elements.push_back(name + "[" + std::to_string(k) + "]");
    known.push_back(name);
  }
  numbers.insert(numbers.end(), elements.begin(), elements.end());
  constexpr std::size_t most = 20;  // a specification can have thousands
  std::string all;
  for (std::size_t k = 0; k < std::min(numbers.size(), most); ++k) all += (k > 0 ? ", " : "") + numbers[k];
  if (numbers.size() > most) all += " and " + std::to_string(numbers.size() - most) + " more";
  refuse(text, variable.column,
         variable.text() + " is not known here. " + (all.empty() ? "There are no variables." : "Known: " + all + ".") +
             suggestion(variable.name, known));
}

double value_of(std::string_view text, const Variable& variable, const Scope& scope) {
  const Scope::Value* value = scope.find(variable.name);
  if (value == nullptr) refuse_unknown(text, variable, scope);
  if (const auto* word = std::get_if<std::string>(value)) {
    refuse(text, variable.column, "the capture \"" + variable.name + "\" is \"" + *word + "\" here, not a number");
  }
  if (const auto* number = std::get_if<double>(value)) {
    if (variable.subscript) refuse(text, variable.column, variable.name + " is a number and has no elements");
    return *number;
  }
  const auto& list = std::get<Scope::List>(*value);
  if (!variable.subscript) {
    refuse(text, variable.column, variable.name + " is a list. Write " + variable.name + "[0] for its first element");
  }
  if (const auto index = index_in(list, *variable.subscript)) return list[*index];
  refuse(text, variable.column,
         "There is no " + variable.text() + ": " + variable.name + " has " + std::to_string(list.size()) +
             (list.size() == 1 ? " element" : " elements"));
}

}  // namespace

// ---------------------------------------------------------------- variables

const Scope::Value* Scope::find(std::string_view name) const {
  for (const Scope* scope = this; scope != nullptr; scope = scope->outer_) {
    if (const auto at = scope->values_.find(name); at != scope->values_.end()) return &at->second;
  }
  return nullptr;
}

const double* Scope::number(std::string_view name) const { return std::get_if<double>(find(name)); }

std::map<std::string, const Scope::Value*> Scope::all() const {
  std::map<std::string, const Value*> all;
  for (const Scope* scope = this; scope != nullptr; scope = scope->outer_) {
    for (const auto& [name, value] : scope->values_) all.emplace(name, &value);
  }
  return all;
}

std::string Variable::text() const { return subscript ? name + "[" + std::to_string(*subscript) + "]" : name; }

// ---------------------------------------------------------------- parsing

// Recursive descent: a function for each level of binding, which appends its instructions.
class ExpressionParser {
 public:
  ExpressionParser(Expression& to, Functions allowed) : to_(to), text_(to.text_), allowed_(allowed) {}

  void parse() {
    if (text_.size() > Expression::max_length) {
      throw InvalidArgument("An expression has up to " + std::to_string(Expression::max_length) +
                            " characters. Received: " + std::to_string(text_.size()));
    }
    comparison();
    if (at_ < text_.size()) refuse_here("an operator or the end");
    check_slots(to_.code_);
  }

 private:
  using Op = Expression::Op;

  struct Function {
    std::string_view name;
    Op op;
  };
  static constexpr std::size_t arithmetic = 5;  // the functions that are always allowed

 public:
  static constexpr std::string_view gain_function = "calculate_gain";  // its argument is a name, and no operand
  static constexpr std::array<Function, 14> functions{{{"if", Op::choose},
                                                       {"sqrt", Op::square_root},
                                                       {"floor", Op::floor},
                                                       {"min", Op::minimum},
                                                       {"max", Op::maximum},
                                                       {"clamp", Op::clamp},
                                                       {"log", Op::log},
                                                       {"exp", Op::exp},
                                                       {"sin", Op::sin},
                                                       {"cos", Op::cos},
                                                       {"pow", Op::pow},
                                                       {"log1p", Op::log1p},
                                                       {"expm1", Op::expm1},
                                                       {"softplus_inverse", Op::softplus_inverse}}};

 private:
  // The function's operation, if it is allowed.
  Op operation(std::string_view name, std::size_t column) const {
    std::vector<std::string> names;
    for (std::size_t k = 0; k < functions.size(); ++k) {
      const bool is_allowed = allowed_ == Functions::all || k < arithmetic;
      if (functions[k].name == name) {
        if (is_allowed) return functions[k].op;
        refuse(text_, column, std::string(name) + " is for the value of the initializer Formula alone");
      }
      if (is_allowed) names.emplace_back(functions[k].name);
    }
    refuse(
        text_, column,
        "There is no function \"" + std::string(name) + "\", only " + list_of(names) + "." + suggestion(name, names));
  }

  // Bounds the memory of an evaluation.
  void check_slots(const std::vector<Expression::Instruction>& code) const {
    std::size_t slots = 0;
    for (const Expression::Instruction& one : code) {
      slots += 1 - static_cast<std::size_t>(Expression::operands_of(one.op));
      if (slots <= Expression::max_slots) continue;
      throw InvalidArgument("\"" + to_.text_ + "\" needs more than " + std::to_string(Expression::max_slots) +
                            " intermediate values at a time");
    }
  }

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
    constexpr double most = 1e6;
    const double n = whole_number(code);
    if (!(n >= -most && n <= most)) {
      refuse(text_, column, "The exponent of ^ must be a whole number without variables, from -1000000 to 1000000");
    }
    to_.code_.push_back({Op::power, static_cast<std::int32_t>(n)});
  }

  // The value of a part without variables and exact functions; NaN if it is not whole.
  double whole_number(const std::vector<Expression::Instruction>& code) const {
    for (const Expression::Instruction& one : code) {
      if (one.op == Op::variable || Expression::is_exact_function(one.op)) return nan;
    }
    check_slots(code);
    double stack[Expression::max_slots];
    Expression::run(code, nullptr, 1, stack, nullptr);
    return stack[0] == std::floor(stack[0]) ? stack[0] : nan;
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
    if (at_ < text_.size() && is_name_start(text_[at_])) {
      while (at_ < text_.size() && is_name_part(text_[at_])) ++at_;
    }
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
    if (at_ < text_.size() && (is_name_start(text_[at_]) || text_[at_] == '.')) refuse_here("an operator or the end");
    to_.code_.push_back({Op::number, 0, value});
  }

  void call(std::string_view name, std::size_t column) {
    if (name == gain_function && allowed_ == Functions::arithmetic) return gain();
    const Op op = operation(name, column);
    int arguments = 0;
    if (!take(")")) {
      do {
        comparison();
        ++arguments;
      } while (take(","));
      if (!take(")")) refuse_here("\",\" or \")\"");
    }
    const int wanted = Expression::operands_of(op);
    if (arguments != wanted) {
      refuse(text_, column,
             std::string(name) + " has " + std::to_string(wanted) + (wanted == 1 ? " argument" : " arguments") +
                 ". Received: " + std::to_string(arguments));
    }
    emit(op);
  }

  // What follows "calculate_gain(". The gain is known now, unless leaky_relu has a slope, which may have variables.
  void gain() {
    const std::size_t begin = column() - 1;
    while (at_ < text_.size() && is_name_part(text_[at_])) ++at_;
    const std::string_view nonlinearity = text_.substr(begin, at_ - begin);
    if (nonlinearity == "leaky_relu" && take(",")) {
      to_.code_.push_back({Op::number, 0, 2});
      to_.code_.push_back({Op::number, 0, 1});
      comparison();
      to_.code_.push_back({Op::power, 2});
      for (const Op op : {Op::add, Op::divide, Op::square_root}) emit(op);
    } else {
      try {
        to_.code_.push_back({Op::number, 0, calculate_gain(nonlinearity)});
      } catch (const InvalidArgument& error) {
        refuse(text_, begin + 1, error.what());
      }
    }
    if (!take(")")) refuse_here("\")\"");
  }

  void variable(std::string_view name, std::size_t column) {
    Variable found{std::string(name), std::nullopt, column};
    if (allowed_ == Functions::all && name == "pi") {
      to_.code_.push_back({Op::number, 0, 3.141592653589793});
      return;
    }
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
    std::size_t end = at_ + 1;  // of the character
    while (end < text_.size() && is_continuation(text_[end])) ++end;
    const std::string found = at_ < text_.size() ? "\"" + std::string(text_.substr(at_, end - at_)) + "\"" : "the end";
    refuse(text_, column, "Expected " + wanted + ". Received: " + found);
  }

  Expression& to_;
  std::string_view text_;
  Functions allowed_;
  std::size_t at_ = 0;
  int depth_ = 0;
};

bool is_function(std::string_view name) {
  const auto& all = ExpressionParser::functions;
  if (name == ExpressionParser::gain_function) return true;
  return std::any_of(all.begin(), all.end(), [&](const auto& function) { return function.name == name; });
}

Expression::Expression(std::string_view text, Functions functions) : text_(text) {
  in_default_fp_environment([&] { ExpressionParser(*this, functions).parse(); });
}

// ---------------------------------------------------------------- evaluation

int Expression::operands_of(Op op) {
  switch (op) {
    case Op::number:
    case Op::variable:
      return 0;
    case Op::negate:
    case Op::power:
    case Op::square_root:
    case Op::floor:
    case Op::log:
    case Op::exp:
    case Op::sin:
    case Op::cos:
    case Op::log1p:
    case Op::expm1:
    case Op::softplus_inverse:
      return 1;
    case Op::choose:
    case Op::clamp:
      return 3;
    default:
      return 2;
  }
}

void Expression::run(const std::vector<Instruction>& code, const double* const* inputs, std::size_t count,
                     double* stack, exact::Arithmetic* arithmetic) {
  double* top = stack;  // the first free slot
  // The operands of these are in the last slots, and the result takes the place of the first operand.
  const auto unary = [&](auto operation) {
    double* const a = top - count;
    for (std::size_t k = 0; k < count; ++k) a[k] = operation(a[k]);
  };
  const auto binary = [&](auto operation) {
    const double* const b = top -= count;
    double* const a = top - count;
    for (std::size_t k = 0; k < count; ++k) a[k] = operation(a[k], b[k]);
  };
  const auto ternary = [&](auto operation) {
    const double* const c = top - count;
    const double* const b = top -= 2 * count;
    double* const a = top - count;
    for (std::size_t k = 0; k < count; ++k) a[k] = operation(a[k], b[k], c[k]);
  };
  for (const Instruction& instruction : code) {
    switch (instruction.op) {
      case Op::number:
        top = std::fill_n(top, count, instruction.number);
        break;
      case Op::variable:
        top = std::copy_n(inputs[instruction.operand], count, top);
        break;
      case Op::negate:
        unary([](double a) { return -a; });
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
        unary([n = instruction.operand](double a) { return power(a, n); });
        break;
      case Op::less:
        binary([](double a, double b) { return checked(a, b, a < b ? 1 : 0); });
        break;
      case Op::less_equal:
        binary([](double a, double b) { return checked(a, b, a <= b ? 1 : 0); });
        break;
      case Op::greater:
        binary([](double a, double b) { return checked(a, b, a > b ? 1 : 0); });
        break;
      case Op::greater_equal:
        binary([](double a, double b) { return checked(a, b, a >= b ? 1 : 0); });
        break;
      case Op::equal:
        binary([](double a, double b) { return checked(a, b, a == b ? 1 : 0); });
        break;
      case Op::not_equal:
        binary([](double a, double b) { return checked(a, b, a != b ? 1 : 0); });
        break;
      case Op::choose:
        ternary([](double condition, double a, double b) {
          return std::isnan(condition) ? nan : condition != 0 ? a : b;
        });
        break;
      case Op::square_root:
        unary([](double a) { return std::sqrt(a); });  // IEEE 754 rounds it correctly
        break;
      case Op::floor:
        unary([](double a) { return std::floor(a); });  // exact
        break;
      case Op::minimum:
        binary(minimum);
        break;
      case Op::maximum:
        binary(maximum);
        break;
      case Op::clamp:
        ternary([](double a, double low, double high) { return minimum(maximum(a, low), high); });
        break;
      case Op::log:
        unary([=](double a) { return arithmetic->log(a); });
        break;
      case Op::exp:
        unary([=](double a) { return arithmetic->exp(a); });
        break;
      case Op::sin:
        unary([=](double a) { return arithmetic->sin(a); });
        break;
      case Op::cos:
        unary([=](double a) { return arithmetic->cos(a); });
        break;
      case Op::pow:
        binary([=](double a, double b) { return arithmetic->pow(a, b); });
        break;
      case Op::log1p:
        unary([=](double a) { return arithmetic->log1p(a); });
        break;
      case Op::expm1:
        unary([=](double a) { return arithmetic->expm1(a); });
        break;
      case Op::softplus_inverse:
        unary([=](double a) { return arithmetic->softplus_inverse(a); });
        break;
    }
  }
}

std::size_t Expression::exact_functions() const {
  const auto is_exact = [](const Instruction& one) { return is_exact_function(one.op); };
  return static_cast<std::size_t>(std::count_if(code_.begin(), code_.end(), is_exact));
}

void Expression::check(const Scope& scope) const {
  for (const Variable& variable : variables_) value_of(text_, variable, scope);
}

double Expression::value(const Scope& scope) const {
  std::vector<double> values;
  std::vector<Program::Binding> bindings;
  for (const Variable& variable : variables_) {
    values.push_back(value_of(text_, variable, scope));
    bindings.push_back({values.back()});
  }
  const double result = in_default_fp_environment([&] {
    double stack[max_slots];
    Program(*this, bindings).run(nullptr, 1, stack, nullptr);  // a number: all variables have values
    return stack[0];
  });
  if (std::isfinite(result)) return result;
  throw InvalidArgument(not_finite(*this, values, result));
}

Program::Program(const Expression& expression, const std::vector<Binding>& bindings) {
  using Op = Expression::Op;
  std::optional<exact::Arithmetic> arithmetic;
  if (expression.exact_functions() > 0) {
    exact::require("\"" + expression.text() + "\"");
    arithmetic.emplace();
  }
  std::vector<std::size_t> operands;  // where the instructions of each operand begin
  for (Expression::Instruction one : expression.code_) {
    if (one.op == Op::variable) {
      const Binding& binding = bindings[static_cast<std::size_t>(one.operand)];
      one = binding.value ? Expression::Instruction{Op::number, 0, *binding.value}
                          : Expression::Instruction{Op::variable, binding.input};
    }
    const auto n = static_cast<std::size_t>(Expression::operands_of(one.op));
    const std::size_t begin = n == 0 ? code_.size() : operands[operands.size() - n];
    operands.resize(operands.size() - n);
    operands.push_back(begin);
    code_.push_back(one);
    const auto is_number = [](const Expression::Instruction& operand) { return operand.op == Op::number; };
    if (n == 0 || code_.size() - begin != n + 1) continue;
    if (!std::all_of(code_.end() - 1 - static_cast<std::ptrdiff_t>(n), code_.end() - 1, is_number)) continue;
    double stack[Expression::max_slots];
    const std::vector<Expression::Instruction> part(code_.begin() + static_cast<std::ptrdiff_t>(begin), code_.end());
    Expression::run(part, nullptr, 1, stack, arithmetic ? &*arithmetic : nullptr);
    code_.resize(begin);
    code_.push_back({Op::number, 0, stack[0]});
  }
}

bool Program::has_exact_functions() const {
  return std::any_of(code_.begin(), code_.end(),
                     [](const Expression::Instruction& one) { return Expression::is_exact_function(one.op); });
}

// Operations round monotonically, so the ends of an interval have rounded results as their bounds, too.
std::optional<Program::Interval> Program::bounds(const Expression::Instruction& instruction, const Interval* operands,
                                                 exact::Arithmetic* arithmetic) {
  using Op = Expression::Op;
  const auto has_zero = [](const Interval& one) { return one.low <= 0 && one.high >= 0; };
  double low = std::numeric_limits<double>::infinity();
  double high = -low;
  switch (instruction.op) {
    case Op::less:
    case Op::less_equal:
    case Op::greater:
    case Op::greater_equal:
    case Op::equal:
    case Op::not_equal:
      return Interval{0, 1};
    case Op::sin:
    case Op::cos:
      return Interval{-1, 1};
    case Op::choose:
      return Interval{std::min(operands[1].low, operands[2].low), std::max(operands[1].high, operands[2].high)};
    case Op::divide:
      if (has_zero(operands[1])) return std::nullopt;
      break;
    case Op::pow:
      if (operands[0].low <= 0) return std::nullopt;
      break;
    case Op::power:
      if (!has_zero(operands[0])) break;
      if (instruction.operand < 0) return std::nullopt;
      low = high = 0;
      break;
    default:
      break;
  }
  // The rest is monotone in each operand where it is a number, so the extremes are at corners.
  const int n = Expression::operands_of(instruction.op);
  for (int corner = 0; corner < 1 << n; ++corner) {
    std::vector<Expression::Instruction> code;
    code.reserve(static_cast<std::size_t>(n) + 1);
    for (int k = 0; k < n; ++k) {
      code.push_back({Op::number, 0, (corner >> k & 1) != 0 ? operands[k].high : operands[k].low});
    }
    code.push_back(instruction);
    double stack[Expression::max_slots] = {};
    const double* const no_inputs = stack;
    Expression::run(code, &no_inputs, 1, stack, arithmetic);
    if (!std::isfinite(stack[0])) return std::nullopt;
    low = std::min(low, stack[0]);
    high = std::max(high, stack[0]);
  }
  return Interval{low, high};
}

std::optional<Program::Interval> Program::bounds(const std::vector<Interval>& inputs,
                                                 exact::Arithmetic* arithmetic) const {
  std::vector<Interval> stack;
  for (const Expression::Instruction& one : code_) {
    if (one.op == Expression::Op::variable) {
      stack.push_back(inputs[static_cast<std::size_t>(one.operand)]);
      continue;
    }
    const auto n = static_cast<std::size_t>(Expression::operands_of(one.op));
    const std::optional<Interval> result = bounds(one, stack.data() + (stack.size() - n), arithmetic);
    if (!result) return std::nullopt;
    stack.resize(stack.size() - n);
    stack.push_back(*result);
  }
  return stack.back();
}

std::string not_finite(const Expression& expression, const std::vector<double>& values, double result,
                       std::string_view type) {
  std::string text = "The value of \"" + expression.text() + "\" is not finite";
  if (!type.empty()) text += " in " + std::string(type);
  text += ": " + (std::isnan(result) ? "NaN" : to_text(result));
  for (std::size_t k = 0; k < values.size(); ++k) {
    text += (k == 0 ? ", with " : ", ") + expression.variables()[k].text() + "=" + to_text(values[k]);
  }
  return text;
}

}  // namespace fanin::detail
