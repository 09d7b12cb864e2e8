// SPDX-License-Identifier: Apache-2.0
// Formulas and defaults of torch/nn/init.py, in its order of operations.
#include "formulas/torch_schemes.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <utility>

#include "fanin/gain.h"
#include "formulas/scheme_parts.h"
#include "formulas/structured_schemes.h"

namespace fanin::detail::torch {

namespace {

constexpr bool random = true;
constexpr bool fixed = false;

using Check = void (*)(Parameters&);
using DistributionOf = decltype(SchemeClass::distribution);

constexpr SchemeClass scheme_class(std::string_view name, bool is_random, Check check, DistributionOf distribution,
                                   decltype(SchemeClass::derivation) derivation, bool needs_two_axes = false) {
  return {name, is_random, check, distribution, derivation, false, !needs_two_axes, Layout::oihw, needs_two_axes};
}

// "limit = 0.25" or "std = 0.1".
std::string scale_derivation(const Parameters& parameters, const Fans& fans, const Distribution& d) {
  std::string text =
      d.kind == Distribution::Kind::uniform ? "limit = " + to_text(d.high) : "std = " + to_text(d.stddev);
  text += ", of fan_in = " + std::to_string(fans.fan_in) + ", fan_out = " + std::to_string(fans.fan_out);
  for (const Parameter& parameter : parameters) {
    const auto* number = std::get_if<double>(&parameter.value);
    text += ", " + std::string(parameter.name) + " = " +
            (number != nullptr ? to_text(*number) : std::string(std::get<std::string_view>(parameter.value)));
  }
  return text;
}

void check_std(Parameters& parameters) {
  check_finite(parameters);
  if (const double std = number_in(parameters, 1); std < 0) {
    throw InvalidArgument("Argument `std` must not be negative. Received: std=" + to_text(std));
  }
}

// ---------------------------------------------------------------- without fans

void check_uniform(Parameters& parameters) {
  check_finite(parameters);
  const double a = number_in(parameters, 0), b = number_in(parameters, 1);
  if (a <= b && std::isfinite(b - a)) return;
  throw InvalidArgument(std::string(a <= b ? "Arguments `a` and `b` are too wide apart for float64"
                                           : "Argument `a` must not be greater than `b`") +
                        ". Received: a=" + to_text(a) + ", b=" + to_text(b));
}

constexpr SchemeClass uniform_class = scheme_class(
    "torch:uniform", random, check_uniform,
    [](const Parameters& p, const Shape&, Layout, const Fans&) { return uniform_of(number_in(p, 0), number_in(p, 1)); },
    parameters_derivation);

constexpr SchemeClass normal_class = scheme_class(
    "torch:normal", random, check_std,
    [](const Parameters& p, const Shape&, Layout, const Fans&) { return normal_of(number_in(p, 0), number_in(p, 1)); },
    parameters_derivation);

// The bounds are values, not standard deviations. An infinite one is no bound.
void check_trunc_normal(Parameters& parameters) {
  const double mean = number_in(parameters, 0);
  const double std = number_in(parameters, 1);
  const double a = number_in(parameters, 2);
  const double b = number_in(parameters, 3);
  constexpr double infinity = std::numeric_limits<double>::infinity();
  if (std::isfinite(mean) && std > 0 && std::isfinite(std) && a <= b && a < infinity && b > -infinity) return;
  throw InvalidArgument(
      "`mean` must be finite, `std` positive and finite, and `a` not greater than `b`, with a number between them. "
      "Received: mean=" +
      to_text(mean) + ", std=" + to_text(std) + ", a=" + to_text(a) + ", b=" + to_text(b));
}

// A tail that begins z standard deviations from the mean is about 1 / z long. From here on that is less than the
// distance of two numbers of binary32 at z.
constexpr double farthest_tail = 5792.618751480198;  // 2^12.5

Distribution trunc_normal_distribution(const Parameters& parameters, const Shape&, Layout, const Fans&) {
  const double mean = number_in(parameters, 0);
  const double std = number_in(parameters, 1);
  const double a = number_in(parameters, 2);
  const double b = number_in(parameters, 3);
  // In standard deviations. The window (-2, 2) has a faster sampler, so bounds that differ from 2 by rounding only
  // are 2.
  const auto bound = [&](double value) {
    const double z = (value - mean) / std;
    return std::abs(std::abs(z) - 2) < 1e-9 ? std::round(z) : z;
  };
  constexpr double infinity = std::numeric_limits<double>::infinity();
  constexpr double largest = std::numeric_limits<float>::max();
  const double lower = bound(a);
  const double upper = bound(b);
  const bool can_be_sampled =
      static_cast<float>(lower) < static_cast<float>(upper) && std::max(lower, -upper) <= farthest_tail;
  const bool is_flat = a < b && (b - a) / std * std::max(std::abs(lower), std::abs(upper)) < 0x1p-24;
  Distribution d;
  if (is_flat && !(can_be_sampled && std::abs(mean) <= largest && std <= largest)) {
    d = uniform_of(a, b);
  } else if (can_be_sampled) {
    // No draw is beyond 1e30, which binary32 can hold.
    d = truncated_normal_of(mean, std, lower < -1e30 ? -infinity : lower, upper > 1e30 ? infinity : upper);
  } else {
    d = constant_of(std::min(std::max(mean, a), b));
  }
  d.least = a;
  d.most = b;
  return d;
}

constexpr SchemeClass trunc_normal_class =
    scheme_class("torch:trunc_normal", random, check_trunc_normal, trunc_normal_distribution,
                 [](const Parameters& p, const Fans& fans, const Distribution& d) {
                   return parameters_derivation(p, fans, d) + ", cut at " + to_text(number_in(p, 2)) + " and " +
                          to_text(number_in(p, 3));
                 });

constexpr SchemeClass constant_class = scheme_class(
    "torch:constant", fixed, check_finite,
    [](const Parameters& p, const Shape&, Layout, const Fans&) { return constant_of(number_in(p, 0)); },
    constant_derivation);

constexpr SchemeClass ones_class = scheme_class(
    "torch:ones", fixed, check_finite,
    [](const Parameters&, const Shape&, Layout, const Fans&) { return constant_of(1); }, constant_derivation);

constexpr SchemeClass zeros_class = scheme_class(
    "torch:zeros", fixed, check_finite,
    [](const Parameters&, const Shape&, Layout, const Fans&) { return constant_of(0); }, constant_derivation);

constexpr SchemeClass eye_class = scheme_class(
    "torch:eye", fixed, check_finite,
    [](const Parameters&, const Shape& shape, Layout, const Fans&) { return identity_of(1, shape); },
    [](const Parameters&, const Fans&, const Distribution&) -> std::string {
      return "1 on the diagonal, 0 elsewhere";
    });

// ---------------------------------------------------------------- structure

constexpr SchemeClass dirac_class =
    scheme_class("torch:dirac", fixed, check_groups, dirac_distribution, formula_derivation);

constexpr SchemeClass sparse_class =
    scheme_class("torch:sparse", random, check_sparse, sparse_distribution, formula_derivation);

constexpr SchemeClass haar_class = orthogonal_class("torch:orthogonal", Layout::oihw);

// ---------------------------------------------------------------- scaled by fans

double xavier_std(const Parameters& parameters, const Fans& fans) {
  const double sum = static_cast<double>(fans.fan_in) + static_cast<double>(fans.fan_out);
  return number_in(parameters, 0) * std::sqrt(2.0 / std::max(1.0, sum));
}

void check_xavier(Parameters& parameters) {
  check_finite(parameters);
  if (const double gain = number_in(parameters, 0); gain < 0) {
    throw InvalidArgument("Argument `gain` must not be negative. Received: gain=" + to_text(gain));
  }
}

Distribution uniform_of_std(double std) {
  const double bound = std::sqrt(3.0) * std;
  return uniform_of(-bound, bound);
}

constexpr SchemeClass xavier_uniform_class = scheme_class(
    "torch:xavier_uniform", random, check_xavier,
    [](const Parameters& p, const Shape&, Layout, const Fans& fans) { return uniform_of_std(xavier_std(p, fans)); },
    scale_derivation, true);

constexpr SchemeClass xavier_normal_class = scheme_class(
    "torch:xavier_normal", random, check_xavier,
    [](const Parameters& p, const Shape&, Layout, const Fans& fans) { return normal_of(0, xavier_std(p, fans)); },
    scale_derivation, true);

double kaiming_std(double a, std::string_view mode, std::string_view nonlinearity, const Fans& fans) {
  const std::uint64_t fan = mode == "fan_in" ? fans.fan_in : fans.fan_out;
  return calculate_gain(nonlinearity, a) / std::sqrt(std::max(1.0, static_cast<double>(fan)));
}

double kaiming_std(const Parameters& parameters, const Fans& fans) {
  return kaiming_std(number_in(parameters, 0), text_in(parameters, 1), text_in(parameters, 2), fans);
}

void check_kaiming(Parameters& parameters) {
  check_finite(parameters);
  const std::string_view mode = text_in(parameters, 1);
  parameters[1].value = literal_of(lower_case(mode), mode, "mode", {"fan_in", "fan_out"});  // PyTorch takes any case
  parameters[2].value = nonlinearity_named(text_in(parameters, 2));
}

constexpr SchemeClass kaiming_uniform_class = scheme_class(
    "torch:kaiming_uniform", random, check_kaiming,
    [](const Parameters& p, const Shape&, Layout, const Fans& fans) { return uniform_of_std(kaiming_std(p, fans)); },
    scale_derivation, true);

constexpr SchemeClass kaiming_normal_class = scheme_class(
    "torch:kaiming_normal", random, check_kaiming,
    [](const Parameters& p, const Shape&, Layout, const Fans& fans) { return normal_of(0, kaiming_std(p, fans)); },
    scale_derivation, true);

// reset_parameters of Linear and of the convolutions.
constexpr SchemeClass linear_class = scheme_class(
    "torch:linear", random, check_finite,
    [](const Parameters&, const Shape&, Layout, const Fans& fans) {
      return uniform_of_std(kaiming_std(std::sqrt(5.0), "fan_in", "leaky_relu", fans));
    },
    scale_derivation, true);

Parameters kaiming_parameters() {
  return {{"a", 0.0}, {"mode", std::string_view("fan_in")}, {"nonlinearity", std::string_view("leaky_relu")}};
}

}  // namespace

SchemePointer uniform() { return scheme(uniform_class, {{"a", 0.0}, {"b", 1.0}}); }
SchemePointer normal() { return scheme(normal_class, {{"mean", 0.0}, {"std", 1.0}}); }
SchemePointer trunc_normal() {
  return scheme(trunc_normal_class, {{"mean", 0.0}, {"std", 1.0}, {"a", -2.0}, {"b", 2.0}});
}
SchemePointer constant() { return scheme(constant_class, {{"val", 0.0}}); }
SchemePointer ones() { return scheme(ones_class, {}); }
SchemePointer zeros() { return scheme(zeros_class, {}); }
SchemePointer eye() { return scheme(eye_class, {}); }
SchemePointer dirac() { return scheme(dirac_class, {{"groups", 1.0}}); }
SchemePointer xavier_uniform() { return scheme(xavier_uniform_class, {{"gain", 1.0}}); }
SchemePointer xavier_normal() { return scheme(xavier_normal_class, {{"gain", 1.0}}); }
SchemePointer kaiming_uniform() { return scheme(kaiming_uniform_class, kaiming_parameters()); }
SchemePointer kaiming_normal() { return scheme(kaiming_normal_class, kaiming_parameters()); }
SchemePointer orthogonal() { return scheme(haar_class, {{"gain", 1.0}}); }
SchemePointer sparse() { return scheme(sparse_class, {{"sparsity", 0.1}, {"std", 0.01}}); }
SchemePointer linear() { return scheme(linear_class, {}); }

}  // namespace fanin::detail::torch
