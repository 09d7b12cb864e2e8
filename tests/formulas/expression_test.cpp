// SPDX-License-Identifier: Apache-2.0
#include "formulas/expression.h"

#include <gtest/gtest.h>

#include <cfenv>
#include <cmath>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "fanin/fanin.hpp"
#include "formulas/exact_functions.h"
#include "support/test_support.h"

namespace {

using fanin::InvalidArgument;
using fanin::detail::Expression;
using fanin::detail::Functions;
using fanin::detail::Scope;

Scope scope() {
  Scope scope;
  scope.set("layer", 3.0);
  scope.set("width", 768.0);
  scope.set("x", 1.1);
  scope.set("tenth", 0.1);
  scope.set("shape", Scope::List{768, 3072});
  return scope;
}

double value(const std::string& text) { return Expression(text).value(scope()); }

std::string refusal(const std::string& text) {
  try {
    value(text);
  } catch (const InvalidArgument& error) {
    return error.what();
  }
  return "nothing is refused";
}

TEST(Expression, HasKnownValues) {
  EXPECT_EQ(value("1 + 2 * 3"), 7);
  EXPECT_EQ(value("(1 + 2) * 3"), 9);
  EXPECT_EQ(value("7 - 2 - 1"), 4);
  EXPECT_EQ(value("8 / 4 / 2"), 1);
  EXPECT_EQ(value("-2^2"), -4);
  EXPECT_EQ(value("(-2)^2"), 4);
  EXPECT_EQ(value("2^3^2"), 512);
  EXPECT_EQ(value("2^-(1 + 2)"), 0.125);
  EXPECT_EQ(value("x^0"), 1);
  EXPECT_EQ(value("- - 2 * -3"), -6);
  EXPECT_EQ(value(" 4\t*\n+.5e+1 "), 20);
  EXPECT_EQ(value("1e-3"), 1e-3);
  EXPECT_EQ(value("width / shape[1] + shape[ -1 ] - shape[-2]"), 0.25 + 3072 - 768);
  EXPECT_EQ(value("0.02 / sqrt(2 * (layer + 1))"), 0.02 / std::sqrt(8.0));
  EXPECT_EQ(value("if(layer < 3, 1, if(layer == 3, 2, 1 / 0))"), 2);
  EXPECT_EQ(value("(1 < 2) + (2 <= 2) + (3 > 2) + (2 >= 2) + (2 == 2) + (2 != 3)"), 6);
  EXPECT_EQ(value("(2 < 2) + (3 <= 2) + (2 > 2) + (1 >= 2) + (2 == 3) + (2 != 2)"), 0);
  EXPECT_EQ(value("1 + 1 == 2"), 1);
  EXPECT_EQ(value("min(2, 1) + 10 * max(3, 4) + floor(-0.5)"), 40);
  EXPECT_TRUE(std::signbit(value("-0")));
  // The first of two operands that compare equal.
  for (const char* first_is_negative : {"min(-0, 0)", "max(-0, 0)"})
    EXPECT_TRUE(std::signbit(value(first_is_negative)));
  for (const char* first_is_positive : {"min(0, -0)", "max(0, -0)"})
    EXPECT_FALSE(std::signbit(value(first_is_positive)));
}

TEST(Expression, HasPyTorchsGains) {
  EXPECT_EQ(value("calculate_gain(relu)"), std::sqrt(2.0));
  EXPECT_EQ(value("2 * calculate_gain( tanh ) / width"), 2 * (5.0 / 3) / 768);
  EXPECT_EQ(value("calculate_gain(leaky_relu)"), fanin::calculate_gain("leaky_relu"));
  EXPECT_EQ(value("calculate_gain(leaky_relu, x - 1)"), fanin::calculate_gain("leaky_relu", 1.1 - 1));
  EXPECT_NE(refusal("calculate_gain(gelu)").find("column 16: Unsupported `nonlinearity` \"gelu\""), std::string::npos);
  EXPECT_NE(refusal("calculate_gain()").find("nonlinearity"), std::string::npos);
  EXPECT_NE(refusal("calculate_gain(relu, 1)").find("Expected \")\""), std::string::npos)
      << refusal("calculate_gain(relu, 1)");
  EXPECT_THROW(Expression("calculate_gain(relu)", Functions::all), InvalidArgument);  // VALUES.md, section 7, has none
}

TEST(Expression, LosesNoNaN) {
  for (const char* text : {"min(1, 0 / 0)", "min(0 / 0, 1)", "max(1, 0 / 0)", "max(0 / 0, 1)", "clamp(0 / 0, 1, 2)",
                           "0 / 0 < 1", "1 != 0 / 0", "if(0 / 0, 1, 2)", "floor(0 / 0) * 0"}) {
    const double result = [&] {
      try {
        return Expression(text, Functions::all).value(scope());
      } catch (const InvalidArgument& error) {
        EXPECT_NE(std::string(error.what()).find("NaN"), std::string::npos) << error.what();
        return std::nan("");
      }
    }();
    EXPECT_TRUE(std::isnan(result)) << text;
  }
  EXPECT_EQ(value("if(1, 2, 0 / 0)"), 2);  // what is not chosen does not matter
}

TEST(Expression, RoundsOncePerOperation) {
  const double x = 1.1;
  EXPECT_EQ(value("x^5"), ((x * x) * (x * x)) * x);
  EXPECT_EQ(value("x^6"), ((x * x) * x) * ((x * x) * x));
  EXPECT_NE(value("x^6"), std::pow(1.1, 6));
  EXPECT_EQ(value("x^-5"), 1 / (((x * x) * (x * x)) * x));
  EXPECT_EQ(value("tenth + 0.2 - 0.3"), 0x1p-54);
  EXPECT_EQ(value("0.1 * 3 - 0.3"), 0x1p-54);
}

TEST(Expression, DoesNotDependOnTheCallersRounding) {
  const double expected = value("0.1 + 1 / 3 * sqrt(2)");
  for (const int mode : {FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO}) {
    std::fesetround(mode);
    const double here = value("0.1 + 1 / 3 * sqrt(2)");
    std::fesetround(FE_TONEAREST);
    EXPECT_EQ(here, expected) << mode;
  }
}

TEST(Expression, NamesItsVariables) {
  const Expression expression("b + shape[1] * (a - b) + shape[0] + shape[1]");
  std::string names;
  for (const auto& variable : expression.variables()) {
    names += variable.text() + "@" + std::to_string(variable.column) + " ";
  }
  EXPECT_EQ(names, "b@1 shape[1]@5 a@17 shape[0]@26 ");
  EXPECT_THROW(expression.check(scope()), InvalidArgument);
  EXPECT_NO_THROW(Expression("width + shape[1]").check(scope()));
}

TEST(Expression, ExplainsWhatIsWrong) {
  const std::vector<std::pair<std::string, std::string>> cases{
      {"", "column 1: Expected a number, a variable, a function, \"-\" or \"(\". Received: the end"},
      {"1 +", "column 4: Expected a number"},
      {"1 2", "column 3: Expected an operator or the end. Received: \"2\""},
      {"2x", "column 2: Expected an operator or the end. Received: \"x\""},
      {"1.2.3", "column 4: Expected an operator or the end. Received: \".\""},
      {".", "column 1: Expected a number. Received: \".\""},
      {"é + 1", "column 1: Expected a number, a variable, a function, \"-\" or \"(\". Received: \"é\""},
      {"(1", "column 3: Expected \")\". Received: the end"},
      {"min(1; 2)", "column 6: Expected \",\" or \")\". Received: \";\""},
      {"min(1)", "column 1: min has 2 arguments. Received: 1"},
      {"1 + sqrt()", "column 5: sqrt has 1 argument. Received: 0"},
      {"sqr(2)",
       "column 1: There is no function \"sqr\", only \"if\", \"sqrt\", \"floor\", \"min\" or \"max\". Did you "
       "mean \"sqrt\"?"},
      {"1 < x < 2", "column 7: Comparisons are not chained"},
      {"x ** 2", "column 3: A power is written with ^"},
      {"2^0.5", "column 3: The exponent of ^ must be a whole number"},
      {"2 ^ layer", "column 5: The exponent of ^ must be a whole number"},
      {"2^(1/0)", "column 3: The exponent of ^ must be a whole number"},
      {"1e999", "column 1: The number is outside the range of binary64"},
      {"2 * layr",
       "column 5: layr is not known here. Known: layer, tenth, width, x, shape[0], shape[1]. Did you mean "
       "\"layer\"?"},
      {"shape", "column 1: shape is a list. Write shape[0]"},
      {"shape[2]", "column 1: There is no shape[2]: shape has 2 elements"},
      {"shape[-3]", "column 1: There is no shape[-3]: shape has 2 elements"},
      {"width[0]", "column 1: width is a number and has no elements"},
      {"shape[x]", "column 7: Expected a whole number. Received: \"x\""},
      {"shape[0", "column 8: Expected \"]\". Received: the end"},
      {"1 / (layer - 3)", "The value of \"1 / (layer - 3)\" is not finite: inf, with layer=3"},
      {"sqrt(-x)", "is not finite: NaN, with x=1.1"},
      {"min(sqrt(-1), 1)", "is not finite: NaN"},
      {"sqrt(-1) < 1", "is not finite: NaN"},
      {"if(sqrt(-1), 1, 2)", "is not finite: NaN"},
  };
  for (const auto& [text, message] : cases) {
    const std::string what = refusal(text);
    EXPECT_NE(what.find(message), std::string::npos) << text << ": " << what;
  }
}

TEST(Expression, HasFunctionsWhereTheyAreAllowed) {
  EXPECT_NE(refusal("1 + log(2)").find("column 5: log is for the value of the initializer Formula alone"),
            std::string::npos);
  EXPECT_NE(refusal("pi").find("pi is not known here"), std::string::npos);
  EXPECT_NO_THROW(Expression("softplus_inverse(pow(2, x))", Functions::all));
  EXPECT_EQ(Expression("clamp(layer, 1, 2) + clamp(-layer, -2, 2) + pi", Functions::all).value(scope()),
            3.141592653589793);
  if (!fanin::detail::exact::is_available()) {
    EXPECT_THROW(Expression("log(1)", Functions::all).value({}), InvalidArgument);
    return;
  }
  EXPECT_EQ(Expression("log(exp(1))", Functions::all).value({}), 1);
  EXPECT_EQ(Expression("pow(2, 0.5) - sqrt(2)", Functions::all).value({}), 0);
}

TEST(Program, BoundsHoldAllValues) {
  using fanin::detail::Program;
  const auto bounds = [](const char* text, double low, double high) {
    const Expression expression(text, Functions::all);
    const std::vector<Program::Binding> bindings(expression.variables().size());  // all are input 0
    std::optional<fanin::detail::exact::Arithmetic> arithmetic;
    if (expression.exact_functions() > 0) arithmetic.emplace();
    return Program(expression, bindings).bounds({{low, high}}, arithmetic ? &*arithmetic : nullptr);
  };
  const std::vector<std::pair<const char*, std::pair<double, double>>> ranges{
      {"x * x - 3 / (x + 8)", {-3, 5}},     {"x^2", {-3, 2}},
      {"x^3 + (x + 4)^-3", {-3, 2}},        {"max(x, -1) - min(x, 1)", {-3, 2}},
      {"if(x < 1, x, -2 * x)", {-3, 2}},    {"floor(x) + sqrt(x + 3)", {-3, 2}},
      {"clamp(x, -1, 2 - x) - x", {-3, 5}},
  };
  for (const auto& [text, range] : ranges) {
    const auto found = bounds(text, range.first, range.second);
    ASSERT_TRUE(found) << text;
    for (int k = 0; k <= 1000; ++k) {
      Scope scope;
      scope.set("x", range.first + (range.second - range.first) * k / 1000);
      const double value = Expression(text, Functions::all).value(scope);
      EXPECT_LE(found->low, value) << text;
      EXPECT_GE(found->high, value) << text;
    }
  }
  for (const char* text : {"1 / x", "x^-1", "sqrt(x)", "1e308 * (x + 100)", "(x + 1e200)^2"}) {
    EXPECT_FALSE(bounds(text, -1, 1)) << text;
  }
  if (!fanin::detail::exact::is_available()) return;
  for (const char* text : {"log(x)", "log1p(x)", "softplus_inverse(x)", "pow(x, 2)", "exp(x * 1000)"}) {
    EXPECT_FALSE(bounds(text, -1, 1)) << text;
  }
  const auto dt_bias = bounds("softplus_inverse(max(exp(x * (log(0.1) - log(0.001)) + log(0.001)), 1e-4))", 0, 1);
  ASSERT_TRUE(dt_bias);
  EXPECT_NEAR(dt_bias->low, -6.9072552373, 1e-9);
  EXPECT_NEAR(dt_bias->high, -2.252168, 1e-6);
}

TEST(Expression, HasLimits) {
  std::string nested = "1";
  for (int k = 0; k < 40; ++k) nested = "1 + (" + nested + ")";
  EXPECT_NE(refusal(nested).find("more than 32 intermediate values"), std::string::npos);
  EXPECT_EQ(value(std::string(60, '(') + "1" + std::string(60, ')')), 1);
  EXPECT_NE(refusal(std::string(3000, '(')).find("nested more than 64 deep"), std::string::npos);
  EXPECT_NE(refusal(std::string(3000, '-') + "1").find("nested more than 64 deep"), std::string::npos);
  EXPECT_NE(refusal("2" + std::string(5000, ' ')).find("up to 4096 characters"), std::string::npos);
  std::string sum = "1";
  while (sum.size() < 4000) sum += "+1";
  EXPECT_EQ(value(sum), 2001);
}

}  // namespace
