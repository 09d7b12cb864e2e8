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
#include "formulas/scheme_parts.h"

namespace fanin::detail {

namespace {

void check_nothing(Parameters&) {}

// ---------------------------------------------------------------- VarianceScaling and its named cases

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
  const std::string_view distribution = literal_of(lower_case(received), received, "distribution",
                                                   {"truncated_normal", "untruncated_normal", "uniform", "normal"});
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
  return {name, true, check_scaling, scaling_distribution, scaling_derivation};
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
  return scheme(scheme_class, scaling_parameters(scale, mode, distribution, std::move(axes), true));
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

constexpr SchemeClass truncated_normal_class{"TruncatedNormal", true, check_truncated_normal,
                                             [](const Parameters& p, const Shape&, Layout, const Fans&) {
                                               return truncated_normal_of(number_in(p, 0), number_in(p, 1),
                                                                          number_in(p, 2), number_in(p, 3));
                                             },
                                             [](const Parameters& p, const Fans& fans, const Distribution& d) {
                                               return parameters_derivation(p, fans, d) + ", cut at " +
                                                      to_text(d.lower) + " and " + to_text(d.upper) + " stddev";
                                             }};

constexpr SchemeClass random_normal_class{
    "RandomNormal", true, check_normal,
    [](const Parameters& p, const Shape&, Layout, const Fans&) { return normal_of(number_in(p, 0), number_in(p, 1)); },
    parameters_derivation};

constexpr SchemeClass random_uniform_class{
    "RandomUniform", true, check_uniform,
    [](const Parameters& p, const Shape&, Layout, const Fans&) { return uniform_of(number_in(p, 0), number_in(p, 1)); },
    parameters_derivation};

// ---------------------------------------------------------------- SIREN

double siren_fan(const Fans& fans) { return std::max(1.0, static_cast<double>(fans.fan_in)); }

constexpr SchemeClass siren_first_class{"SirenFirst", true, check_nothing,
                                        [](const Parameters&, const Shape&, Layout, const Fans& fans) {
                                          const double limit = 1 / siren_fan(fans);
                                          return uniform_of(-limit, limit);
                                        },
                                        [](const Parameters&, const Fans& fans, const Distribution& d) {
                                          return "limit = 1 / fan_in = 1 / " + to_text(siren_fan(fans)) + " = " +
                                                 to_text(d.high);
                                        }};

void check_siren_hidden(Parameters& parameters) {
  check_finite(parameters);
  if (const double w0 = number_in(parameters, 0); !(w0 > 0)) {
    throw InvalidArgument("Argument `w0` must be positive. Received: w0=" + to_text(w0));
  } else if (!std::isfinite(std::sqrt(6 / static_cast<double>(max_elements)) / w0)) {
    throw InvalidArgument("Argument `w0` gives every shape a limit that is not finite. Received: w0=" + to_text(w0));
  }
}

constexpr SchemeClass siren_hidden_class{"SirenHidden", true, check_siren_hidden,
                                         [](const Parameters& p, const Shape&, Layout, const Fans& fans) {
                                           const double limit = std::sqrt(6 / siren_fan(fans)) / number_in(p, 0);
                                           return uniform_of(-limit, limit);
                                         },
                                         [](const Parameters& p, const Fans& fans, const Distribution& d) {
                                           return "limit = sqrt(6 / fan_in) / w0 = sqrt(6 / " +
                                                  to_text(siren_fan(fans)) + ") / " + to_text(number_in(p, 0)) + " = " +
                                                  to_text(d.high);
                                         }};

// ---------------------------------------------------------------- Constant, Zeros, Ones, Identity

Distribution constant_distribution(const Parameters& parameters, const Shape& shape, Layout, const Fans&) {
  const auto& value = std::get<ConstantValue>(parameters[0].value);
  if (value.number) return constant_of(*value.number);
  if (value.array) return computed_of(value.array, shape);
  throw InvalidArgument("Constant can be filled with a number, or with an array of numbers. Received: value=" +
                        value.json);
}

std::string constant_value_derivation(const Parameters& parameters, const Fans& fans, const Distribution& d) {
  const auto& value = std::get<ConstantValue>(parameters[0].value);
  if (!value.array) return constant_derivation(parameters, fans, d);
  return "an array of shape " + to_string(value.array->table()->shape) + ", broadcast";
}

constexpr SchemeClass constant_class{"Constant", false, check_nothing, constant_distribution,
                                     constant_value_derivation};

constexpr SchemeClass zeros_class{"Zeros", false, check_nothing,
                                  [](const Parameters&, const Shape&, Layout, const Fans&) { return constant_of(0); },
                                  constant_derivation};

constexpr SchemeClass ones_class{"Ones", false, check_nothing,
                                 [](const Parameters&, const Shape&, Layout, const Fans&) { return constant_of(1); },
                                 constant_derivation};

constexpr SchemeClass identity_class{
    "Identity", false, check_finite,
    [](const Parameters& p, const Shape& shape, Layout, const Fans&) { return identity_of(number_in(p, 0), shape); },
    [](const Parameters&, const Fans&, const Distribution&) -> std::string {
      return "gain on the diagonal, 0 elsewhere";
    }};

// ---------------------------------------------------------------- Orthogonal

constexpr SchemeClass haar_class = orthogonal_class("Orthogonal", Layout::hwio);

// ---------------------------------------------------------------- Formula

void check_computed(Parameters& parameters) {
  auto& value = std::get<ExpressionValue>(parameters[0].value);
  const auto& constants = std::get<ComputedValue::Constants>(parameters[1].value);
  value.computed = std::make_shared<const ComputedValue>(value.text, constants);
}

Distribution computed_distribution(const Parameters& parameters, const Shape& shape, Layout, const Fans&) {
  return computed_of(std::get<ExpressionValue>(parameters[0].value).computed, shape);
}

// Each has a seed, although not every expression uses a draw.
constexpr SchemeClass computed_class{"Formula", true, check_computed, computed_distribution, formula_derivation};

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
SchemePointer constant(double value) { return scheme(constant_class, {{"value", ConstantValue{value, {}, {}}}}); }
SchemePointer constant(Table array) {
  return scheme(constant_class, {{"value", ConstantValue{{}, {}, array_value(std::move(array))}}});
}
SchemePointer identity(double gain) { return scheme(identity_class, {{"gain", gain}}); }
SchemePointer orthogonal(double gain) { return scheme(haar_class, {{"gain", gain}}); }
SchemePointer computed(std::string_view value, ComputedValue::Constants constants) {
  return scheme(computed_class,
                {{"value", ExpressionValue{std::string(value), nullptr}}, {"constants", std::move(constants)}});
}
SchemePointer siren_first() { return scheme(siren_first_class, {}); }
SchemePointer siren_hidden(double w0) { return scheme(siren_hidden_class, {{"w0", w0}}); }
SchemePointer zeros() { return scheme(zeros_class, {}); }
SchemePointer ones() { return scheme(ones_class, {}); }

}  // namespace fanin::detail
