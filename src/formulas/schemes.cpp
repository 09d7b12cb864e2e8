// SPDX-License-Identifier: Apache-2.0
#include "formulas/schemes.h"

#include <algorithm>
#include <cmath>
#include <initializer_list>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "base/text.h"
#include "fanin/error.h"

namespace fanin::detail {

namespace {

// Standard deviation of a standard normal truncated to [-2, 2] (scipy.stats.truncnorm.std(-2, 2)), with Keras's digits.
constexpr double stddev_cut_at_2 = 0.87962566103423978;

double number_in(const Parameters& parameters, std::size_t j) { return std::get<double>(parameters[j].value); }
std::string_view text_in(const Parameters& parameters, std::size_t j) {
  return std::get<std::string_view>(parameters[j].value);
}

void check_finite(const Parameters& parameters) {
  for (const Parameter& parameter : parameters) {
    const auto* number = std::get_if<double>(&parameter.value);
    if (number == nullptr || std::isfinite(*number) || parameter.name == "lower" || parameter.name == "upper") continue;
    std::string message = "Argument `";
    message += parameter.name;
    message += "` must be finite. Received: ";
    message += parameter.name;
    throw InvalidArgument(message + "=" + to_text(*number));
  }
}

Distribution constant_of(double value) {
  Distribution d;
  d.value = value;
  return d;
}

Distribution uniform_of(double low, double high) {
  Distribution d;
  d.kind = Distribution::Kind::uniform;
  d.low = low;
  d.high = high;
  return d;
}

Distribution normal_of(double mean, double stddev) {
  Distribution d;
  d.kind = Distribution::Kind::normal;
  d.mean = mean;
  d.stddev = stddev;
  return d;
}

Distribution truncated_normal_of(double mean, double stddev, double lower, double upper) {
  Distribution d = normal_of(mean, stddev);
  d.kind = Distribution::Kind::truncated_normal;
  d.lower = lower;
  d.upper = upper;
  return d;
}

std::string parameters_derivation(const Parameters& parameters, const Fans&, const Distribution&) {
  const auto text = [](const Parameter& parameter) {
    return std::string(parameter.name) + " = " + to_text(std::get<double>(parameter.value));
  };
  return text(parameters[0]) + ", " + text(parameters[1]);
}

std::string constant_derivation(const Parameters&, const Fans&, const Distribution&) {
  return "every element is the same";
}

void check_nothing(Parameters&) {}

// ---------------------------------------------------------------- VarianceScaling and its named cases

// The literal that equals `text`, which was received in this spelling.
std::string_view literal_of(std::string_view text, std::string_view received, const char* argument,
                            std::initializer_list<std::string_view> literals) {
  const auto* const literal = std::find(literals.begin(), literals.end(), text);
  if (literal != literals.end()) return *literal;
  const std::vector<std::string> names(literals.begin(), literals.end());
  throw InvalidArgument("Invalid `" + std::string(argument) + "` argument: " + std::string(received) +
                        ". Please use one of " + list_of(names) + "." + suggestion(received, names));
}

// The bounds of a VarianceScaling, in standard deviations; none in Keras's classes.
struct Bounds {
  std::optional<double> lower, upper;
};

Bounds bounds_in(const Parameters& parameters) {
  if (parameters.size() < 7) return {};
  return {std::get<std::optional<double>>(parameters[5].value), std::get<std::optional<double>>(parameters[6].value)};
}

void check_bounds(Parameters& parameters) {
  const auto [lower, upper] = bounds_in(parameters);
  if (!lower && !upper) {
    for (std::size_t j = 5; j < parameters.size(); ++j) parameters[j].is_stated = false;
    return;
  }
  const auto text = [](const std::optional<double>& bound) { return bound ? to_text(*bound) : "none"; };
  const std::string received = " Received: lower=" + text(lower) + ", upper=" + text(upper);
  if (!lower || !upper) {
    throw InvalidArgument("Give both `lower` and `upper`, or neither; a side without a bound has infinity." + received);
  }
  if (!(*lower < *upper)) throw InvalidArgument("Argument `lower` must be less than `upper`." + received);
  if (text_in(parameters, 2) != "truncated_normal") {
    throw InvalidArgument("Only distribution=\"truncated_normal\" has bounds." + received);
  }
  parameters[5].is_stated = parameters[6].is_stated = true;
}

// The parameters are scale, mode, distribution, input_axes, output_axes and, in VarianceScaling, lower and upper.
void check_scaling(Parameters& parameters) {
  check_finite(parameters);
  if (const double scale = number_in(parameters, 0); scale <= 0) {
    throw InvalidArgument("Argument `scale` must be positive float. Received: scale=" + to_text(scale));
  }
  const std::string_view mode = text_in(parameters, 1);
  parameters[1].value = literal_of(mode, mode, "mode", {"fan_in", "fan_out", "fan_avg"});
  const std::string_view received = text_in(parameters, 2);
  std::string lower(received);
  for (char& c : lower) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  const std::string_view distribution =
      literal_of(lower, received, "distribution", {"truncated_normal", "untruncated_normal", "uniform", "normal"});
  parameters[2].value = distribution == "normal" ? "truncated_normal" : distribution;  // Keras's older spelling
  // Keras 3.15's axes are written if a configuration stated them or they are set.
  const auto is_given = [](const Parameter& p) { return p.is_stated || std::get<AxisList>(p.value); };
  parameters[3].is_stated = parameters[4].is_stated = is_given(parameters[3]) || is_given(parameters[4]);
  check_bounds(parameters);
}

double fan_of(const Parameters& parameters, const Fans& fans) {
  const std::string_view mode = text_in(parameters, 1);
  const double fan = mode == "fan_in"    ? static_cast<double>(fans.fan_in)
                     : mode == "fan_out" ? static_cast<double>(fans.fan_out)
                                         : static_cast<double>(fans.fan_in + fans.fan_out) / 2.0;
  return std::max(1.0, fan);
}

Distribution scaling_distribution(const Parameters& parameters, const Shape&, Layout, const Fans& fans) {
  const double variance = number_in(parameters, 0) / fan_of(parameters, fans);
  const std::string_view distribution = text_in(parameters, 2);
  if (distribution == "truncated_normal") {
    const auto [lower, upper] = bounds_in(parameters);
    if (lower && upper) return truncated_normal_of(0, std::sqrt(variance), *lower, *upper);
    return truncated_normal_of(0, std::sqrt(variance) / stddev_cut_at_2, -2, 2);
  }
  if (distribution == "untruncated_normal") return normal_of(0, std::sqrt(variance));
  const double limit = std::sqrt(3.0 * variance);
  return uniform_of(-limit, limit);
}

std::string scaling_derivation(const Parameters& parameters, const Fans& fans, const Distribution& d) {
  const std::string mode(text_in(parameters, 1));
  const std::string fan = to_text(fan_of(parameters, fans));
  const std::string scale = to_text(number_in(parameters, 0));
  switch (d.kind) {
    case Distribution::Kind::truncated_normal:
      if (bounds_in(parameters).lower) {
        return "stddev = sqrt(scale / " + mode + ") = sqrt(" + scale + " / " + fan + ") = " + to_text(d.stddev) +
               ", cut at " + to_text(d.lower) + " and " + to_text(d.upper) + " stddev";
      }
      return "stddev = sqrt(scale / " + mode + ") / 0.87962566103423978 = sqrt(" + scale + " / " + fan +
             ") / 0.87962566103423978 = " + to_text(d.stddev) + ", cut at 2 stddev";
    case Distribution::Kind::normal:
      return "stddev = sqrt(scale / " + mode + ") = sqrt(" + scale + " / " + fan + ") = " + to_text(d.stddev);
    default:
      return "limit = sqrt(3 * scale / " + mode + ") = sqrt(3 * " + scale + " / " + fan + ") = " + to_text(d.high);
  }
}

constexpr SchemeClass scaling_class(std::string_view name) {
  return {name, true, true, check_scaling, scaling_distribution, scaling_derivation};
}

Parameters scaling_parameters(double scale, std::string_view mode, std::string_view distribution, FanAxes axes,
                              bool is_fixed) {
  return {{"scale", scale, is_fixed},
          {"mode", mode, is_fixed},
          {"distribution", distribution, is_fixed},
          {"input_axes", std::move(axes.input), false, false},
          {"output_axes", std::move(axes.output), false, false}};
}

SchemePointer scaling(const SchemeClass& scheme_class, double scale, std::string_view mode,
                      std::string_view distribution, FanAxes axes) {
  return std::make_shared<Scheme>(scheme_class, scaling_parameters(scale, mode, distribution, std::move(axes), true));
}

// ---------------------------------------------------------------- TruncatedNormal, RandomNormal, RandomUniform

void check_normal(Parameters& parameters) {
  check_finite(parameters);
  if (const double stddev = number_in(parameters, 1); stddev < 0) {
    throw InvalidArgument("Argument `stddev` must not be negative. Received: stddev=" + to_text(stddev));
  }
}

void check_truncated_normal(Parameters& parameters) {
  check_normal(parameters);
  const double lower = number_in(parameters, 2);
  const double upper = number_in(parameters, 3);
  if (!(lower < upper)) {
    throw InvalidArgument("Argument `lower` must be less than `upper`. Received: lower=" + to_text(lower) +
                          ", upper=" + to_text(upper));
  }
  for (const double bound : {lower, upper}) {
    if (std::isinf(bound) || std::isfinite(std::fma(bound, number_in(parameters, 1), number_in(parameters, 0))))
      continue;
    throw InvalidArgument("Arguments `mean` and `stddev` give a bound that is not finite in float64. Received: mean=" +
                          to_text(number_in(parameters, 0)) + ", stddev=" + to_text(number_in(parameters, 1)) +
                          ", lower=" + to_text(lower) + ", upper=" + to_text(upper));
  }
  parameters[2].is_stated = parameters[3].is_stated = lower != -2 || upper != 2;  // Keras always truncates at 2
}

void check_uniform(Parameters& parameters) {
  check_finite(parameters);
  const double minval = number_in(parameters, 0);
  const double maxval = number_in(parameters, 1);
  if (minval > maxval) {
    throw InvalidArgument("Argument `minval` must not be greater than `maxval`. Received: minval=" + to_text(minval) +
                          ", maxval=" + to_text(maxval));
  }
  if (!std::isfinite(maxval - minval)) {
    throw InvalidArgument("Arguments `minval` and `maxval` are too wide apart for float64. Received: minval=" +
                          to_text(minval) + ", maxval=" + to_text(maxval));
  }
}

constexpr SchemeClass truncated_normal_class{"TruncatedNormal",
                                             true,
                                             true,
                                             check_truncated_normal,
                                             [](const Parameters& p, const Shape&, Layout, const Fans&) {
                                               return truncated_normal_of(number_in(p, 0), number_in(p, 1),
                                                                          number_in(p, 2), number_in(p, 3));
                                             },
                                             [](const Parameters& p, const Fans& fans, const Distribution& d) {
                                               return parameters_derivation(p, fans, d) + ", cut at " +
                                                      to_text(d.lower) + " and " + to_text(d.upper) + " stddev";
                                             }};

constexpr SchemeClass random_normal_class{
    "RandomNormal",
    true,
    true,
    check_normal,
    [](const Parameters& p, const Shape&, Layout, const Fans&) { return normal_of(number_in(p, 0), number_in(p, 1)); },
    parameters_derivation};

constexpr SchemeClass random_uniform_class{
    "RandomUniform",
    true,
    true,
    check_uniform,
    [](const Parameters& p, const Shape&, Layout, const Fans&) { return uniform_of(number_in(p, 0), number_in(p, 1)); },
    parameters_derivation};

// ---------------------------------------------------------------- Constant, Zeros, Ones, Identity

Distribution constant_distribution(const Parameters& parameters, const Shape&, Layout, const Fans&) {
  const auto& value = std::get<ConstantValue>(parameters[0].value);
  if (value.number) return constant_of(*value.number);
  throw InvalidArgument("Constant can be filled with a single number only. Received: value=" + value.json);
}

Distribution identity_distribution(const Parameters& parameters, const Shape& shape, Layout, const Fans&) {
  if (shape.size() != 2) {
    throw InvalidArgument("Identity matrix initializer can only be used for 2D matrices. Received: shape=" +
                          to_string(shape) + " of rank " + std::to_string(shape.size()) + ".");
  }
  Distribution d = constant_of(number_in(parameters, 0));
  d.kind = Distribution::Kind::identity;
  return d;
}

constexpr SchemeClass constant_class{"Constant",         false, true, check_nothing, constant_distribution,
                                     constant_derivation};

constexpr SchemeClass zeros_class{"Zeros",
                                  false,
                                  true,
                                  check_nothing,
                                  [](const Parameters&, const Shape&, Layout, const Fans&) { return constant_of(0); },
                                  constant_derivation};

constexpr SchemeClass ones_class{"Ones",
                                 false,
                                 true,
                                 check_nothing,
                                 [](const Parameters&, const Shape&, Layout, const Fans&) { return constant_of(1); },
                                 constant_derivation};

constexpr SchemeClass identity_class{"Identity",
                                     false,
                                     false,
                                     [](Parameters& parameters) { check_finite(parameters); },
                                     identity_distribution,
                                     [](const Parameters&, const Fans&, const Distribution&) -> std::string {
                                       return "gain on the diagonal, 0 elsewhere";
                                     }};

// ---------------------------------------------------------------- Orthogonal

Distribution orthogonal_distribution(const Parameters& parameters, const Shape& shape, Layout layout, const Fans&) {
  if (shape.size() < 2) {
    throw InvalidArgument("The tensor to initialize must be at least two-dimensional. Received: shape=" +
                          to_string(shape) + " of rank " + std::to_string(shape.size()) + ".");
  }
  Distribution d;
  d.kind = Distribution::Kind::orthogonal;
  d.value = number_in(parameters, 0);
  const std::uint64_t size = element_count(shape);
  const auto extent = static_cast<std::uint64_t>(layout == Layout::hwio ? shape.back() : shape.front());
  if (size == 0) return d;
  (layout == Layout::hwio ? d.columns : d.rows) = extent;
  (layout == Layout::hwio ? d.rows : d.columns) = size / extent;
  return d;
}

std::string orthogonal_derivation(const Parameters& parameters, const Fans&, const Distribution& d) {
  return "an orthogonal matrix of " + std::to_string(d.rows) + " x " + std::to_string(d.columns) +
         ", uniform (Haar), " + "times gain = " + to_text(number_in(parameters, 0)) + ": " +
         (d.rows < d.columns ? "its rows" : "its columns") + " are orthonormal";
}

constexpr SchemeClass orthogonal_class{"Orthogonal",
                                       true,
                                       true,
                                       [](Parameters& parameters) { check_finite(parameters); },
                                       orthogonal_distribution,
                                       orthogonal_derivation,
                                       true};

// ---------------------------------------------------------------- Formula

void check_computed(Parameters& parameters) {
  auto& value = std::get<ExpressionValue>(parameters[0].value);
  const auto& constants = std::get<ComputedValue::Constants>(parameters[1].value);
  value.computed = std::make_shared<const ComputedValue>(value.text, constants);
}

Distribution computed_distribution(const Parameters& parameters, const Shape& shape, Layout, const Fans&) {
  Distribution d;
  d.kind = Distribution::Kind::computed;
  d.computed = std::get<ExpressionValue>(parameters[0].value).computed;
  d.uses_draw = d.computed->draw() != ComputedValue::Draw::none;
  for (const std::int64_t subscript : d.computed->subscripts()) d.computed->axis_of(subscript, shape.size());
  return d;
}

std::string computed_derivation(const Parameters& parameters, const Fans&, const Distribution& d) {
  std::string text = "value = " + d.computed->expression().text();
  const auto& constants = std::get<ComputedValue::Constants>(parameters[1].value);
  for (std::size_t k = 0; k < constants.size(); ++k) {
    text += (k == 0 ? ", where " : ", ") + constants[k].first + " = " + to_text(constants[k].second);
  }
  return text;
}

// Each has a seed, although not every expression uses a draw.
constexpr SchemeClass computed_class{"Formula", true, true, check_computed, computed_distribution, computed_derivation};

SchemePointer scheme(const SchemeClass& scheme_class, Parameters parameters) {
  return std::make_shared<Scheme>(scheme_class, std::move(parameters));
}

constexpr SchemeClass variance_scaling_class = scaling_class("VarianceScaling");
constexpr SchemeClass he_normal_class = scaling_class("HeNormal");
constexpr SchemeClass he_uniform_class = scaling_class("HeUniform");
constexpr SchemeClass lecun_normal_class = scaling_class("LecunNormal");
constexpr SchemeClass lecun_uniform_class = scaling_class("LecunUniform");
constexpr SchemeClass glorot_normal_class = scaling_class("GlorotNormal");
constexpr SchemeClass glorot_uniform_class = scaling_class("GlorotUniform");

}  // namespace

SchemePointer variance_scaling(double scale, std::string_view mode, std::string_view distribution, FanAxes axes,
                               std::optional<double> lower, std::optional<double> upper) {
  Parameters parameters = scaling_parameters(scale, mode, distribution, std::move(axes), false);
  for (const std::string_view name : {"lower", "upper"}) parameters.emplace_back().name = name;
  parameters[5].value = lower;
  parameters[6].value = upper;
  return scheme(variance_scaling_class, std::move(parameters));
}
SchemePointer he_normal(FanAxes axes) {
  return scaling(he_normal_class, 2, "fan_in", "truncated_normal", std::move(axes));
}
SchemePointer he_uniform(FanAxes axes) { return scaling(he_uniform_class, 2, "fan_in", "uniform", std::move(axes)); }
SchemePointer lecun_normal(FanAxes axes) {
  return scaling(lecun_normal_class, 1, "fan_in", "truncated_normal", std::move(axes));
}
SchemePointer lecun_uniform(FanAxes axes) {
  return scaling(lecun_uniform_class, 1, "fan_in", "uniform", std::move(axes));
}
SchemePointer glorot_normal(FanAxes axes) {
  return scaling(glorot_normal_class, 1, "fan_avg", "truncated_normal", std::move(axes));
}
SchemePointer glorot_uniform(FanAxes axes) {
  return scaling(glorot_uniform_class, 1, "fan_avg", "uniform", std::move(axes));
}

SchemePointer truncated_normal(double mean, double stddev, double lower, double upper) {
  return scheme(truncated_normal_class, {{"mean", mean}, {"stddev", stddev}, {"lower", lower}, {"upper", upper}});
}
SchemePointer random_normal(double mean, double stddev) {
  return scheme(random_normal_class, {{"mean", mean}, {"stddev", stddev}});
}
SchemePointer random_uniform(double minval, double maxval) {
  return scheme(random_uniform_class, {{"minval", minval}, {"maxval", maxval}});
}
SchemePointer constant(double value) { return scheme(constant_class, {{"value", ConstantValue{value, {}}}}); }
SchemePointer identity(double gain) { return scheme(identity_class, {{"gain", gain}}); }
SchemePointer orthogonal(double gain) { return scheme(orthogonal_class, {{"gain", gain}}); }
SchemePointer computed(std::string_view value, ComputedValue::Constants constants) {
  return scheme(computed_class,
                {{"value", ExpressionValue{std::string(value), nullptr}}, {"constants", std::move(constants)}});
}
SchemePointer zeros() { return scheme(zeros_class, {}); }
SchemePointer ones() { return scheme(ones_class, {}); }

}  // namespace fanin::detail
