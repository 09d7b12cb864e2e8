// SPDX-License-Identifier: Apache-2.0
// Formulas and defaults of jax/_src/nn/initializers.py. Kernels are (..., in, out); layout= says otherwise, as in_axis
// and out_axis do in JAX.
#include "formulas/jax_schemes.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "formulas/scheme_parts.h"

namespace fanin::detail::jax {

namespace {

constexpr bool random = true;
constexpr bool fixed = false;

// The first parameter is a scale or a standard deviation.
void check_scale(Parameters& parameters) {
  check_finite(parameters);
  if (const double scale = number_in(parameters, 0); scale < 0) {
    const std::string name(parameters[0].name);
    throw InvalidArgument("Argument `" + name + "` must not be negative. Received: " + name + "=" + to_text(scale));
  }
}

std::string first_derivation(const Parameters& parameters, const Fans&, const Distribution&) {
  return std::string(parameters[0].name) + " = " + to_text(number_in(parameters, 0));
}

// ---------------------------------------------------------------- without fans

constexpr SchemeClass uniform_class{
    "jax:uniform", random, check_scale,
    [](const Parameters& p, const Shape&, Layout, const Fans&) { return uniform_of(0, number_in(p, 0)); },
    first_derivation};

constexpr SchemeClass normal_class{
    "jax:normal", random, check_scale,
    [](const Parameters& p, const Shape&, Layout, const Fans&) { return normal_of(0, number_in(p, 0)); },
    first_derivation};

void check_truncated_normal(Parameters& parameters) {
  check_scale(parameters);
  if (number_in(parameters, 1) < number_in(parameters, 2)) return;
  throw InvalidArgument("Argument `lower` must be less than `upper`. Received: lower=" +
                        to_text(number_in(parameters, 1)) + ", upper=" + to_text(number_in(parameters, 2)));
}

constexpr SchemeClass truncated_normal_class{"jax:truncated_normal", random, check_truncated_normal,
                                             [](const Parameters& p, const Shape&, Layout, const Fans&) {
                                               return truncated_normal_of(0, number_in(p, 0), number_in(p, 1),
                                                                          number_in(p, 2));
                                             },
                                             first_derivation};

constexpr SchemeClass constant_class{
    "jax:constant", fixed, check_finite,
    [](const Parameters& p, const Shape&, Layout, const Fans&) { return constant_of(number_in(p, 0)); },
    constant_derivation};

constexpr SchemeClass ones_class{"jax:ones", fixed, check_finite,
                                 [](const Parameters&, const Shape&, Layout, const Fans&) { return constant_of(1); },
                                 constant_derivation};

constexpr SchemeClass zeros_class{"jax:zeros", fixed, check_finite,
                                  [](const Parameters&, const Shape&, Layout, const Fans&) { return constant_of(0); },
                                  constant_derivation};

constexpr SchemeClass haar_class = orthogonal_class("jax:orthogonal", Layout::hwio);

// ---------------------------------------------------------------- variance_scaling

// "normal" is not truncated here, unlike Keras's.
void check_scaling(Parameters& parameters) {
  check_scale(parameters);
  const std::string_view mode = text_in(parameters, 1);
  parameters[1].value = literal_of(mode, mode, "mode", {"fan_in", "fan_out", "fan_avg", "fan_geo_avg"});
  const std::string_view distribution = text_in(parameters, 2);
  parameters[2].value =
      literal_of(distribution, distribution, "distribution", {"truncated_normal", "normal", "uniform"});
}

double denominator(const Parameters& parameters, const Fans& fans) {
  const auto in = static_cast<double>(fans.fan_in);
  const auto out = static_cast<double>(fans.fan_out);
  const std::string_view mode = text_in(parameters, 1);
  const double fan = mode == "fan_in"    ? in
                     : mode == "fan_out" ? out
                     : mode == "fan_avg" ? (in + out) / 2
                                         : std::sqrt(in * out);
  return std::max(1.0, fan);
}

Distribution scaling_distribution(const Parameters& parameters, const Shape&, Layout, const Fans& fans) {
  const double variance = number_in(parameters, 0) / denominator(parameters, fans);
  const std::string_view distribution = text_in(parameters, 2);
  if (distribution == "normal") return normal_of(0, std::sqrt(variance));
  if (distribution == "truncated_normal") {
    return truncated_normal_of(0, std::sqrt(variance) / stddev_cut_at_2, -2, 2);
  }
  const double limit = std::sqrt(3.0 * variance);
  return uniform_of(-limit, limit);
}

std::string scaling_derivation(const Parameters& parameters, const Fans& fans, const Distribution& d) {
  return "variance = scale / " + std::string(text_in(parameters, 1)) + " = " + to_text(number_in(parameters, 0)) +
         " / " + to_text(denominator(parameters, fans)) + ", " + std::string(text_in(parameters, 2)) +
         (d.kind == Distribution::Kind::uniform ? ", limit = " + to_text(d.high) : ", stddev = " + to_text(d.stddev));
}

constexpr SchemeClass scaled(std::string_view name) {
  return {name, random, check_scaling, scaling_distribution, scaling_derivation, false, false, Layout::hwio, true};
}

constexpr SchemeClass variance_scaling_class = scaled("jax:variance_scaling");
constexpr SchemeClass glorot_uniform_class = scaled("jax:glorot_uniform");
constexpr SchemeClass glorot_normal_class = scaled("jax:glorot_normal");
constexpr SchemeClass xavier_uniform_class = scaled("jax:xavier_uniform");
constexpr SchemeClass xavier_normal_class = scaled("jax:xavier_normal");
constexpr SchemeClass he_uniform_class = scaled("jax:he_uniform");
constexpr SchemeClass he_normal_class = scaled("jax:he_normal");
constexpr SchemeClass kaiming_uniform_class = scaled("jax:kaiming_uniform");
constexpr SchemeClass kaiming_normal_class = scaled("jax:kaiming_normal");
constexpr SchemeClass lecun_uniform_class = scaled("jax:lecun_uniform");
constexpr SchemeClass lecun_normal_class = scaled("jax:lecun_normal");

SchemePointer scaling(const SchemeClass& its_class, double scale, std::string_view mode, std::string_view distribution,
                      bool is_fixed = true) {
  return scheme(its_class,
                {{"scale", scale, is_fixed}, {"mode", mode, is_fixed}, {"distribution", distribution, is_fixed}});
}

}  // namespace

SchemePointer uniform() { return scheme(uniform_class, {{"scale", 0.01}}); }
SchemePointer normal() { return scheme(normal_class, {{"stddev", 0.01}}); }
SchemePointer truncated_normal() {
  return scheme(truncated_normal_class, {{"stddev", 0.01}, {"lower", -2.0}, {"upper", 2.0}});
}
SchemePointer constant() { return scheme(constant_class, {{"value", 0.0}}); }
SchemePointer ones() { return scheme(ones_class, {}); }
SchemePointer zeros() { return scheme(zeros_class, {}); }
SchemePointer orthogonal() { return scheme(haar_class, {{"scale", 1.0}}); }
SchemePointer variance_scaling() { return scaling(variance_scaling_class, 1, "fan_in", "truncated_normal", false); }
SchemePointer glorot_uniform() { return scaling(glorot_uniform_class, 1, "fan_avg", "uniform"); }
SchemePointer glorot_normal() { return scaling(glorot_normal_class, 1, "fan_avg", "truncated_normal"); }
SchemePointer xavier_uniform() { return scaling(xavier_uniform_class, 1, "fan_avg", "uniform"); }
SchemePointer xavier_normal() { return scaling(xavier_normal_class, 1, "fan_avg", "truncated_normal"); }
SchemePointer he_uniform() { return scaling(he_uniform_class, 2, "fan_in", "uniform"); }
SchemePointer he_normal() { return scaling(he_normal_class, 2, "fan_in", "truncated_normal"); }
SchemePointer kaiming_uniform() { return scaling(kaiming_uniform_class, 2, "fan_in", "uniform"); }
SchemePointer kaiming_normal() { return scaling(kaiming_normal_class, 2, "fan_in", "truncated_normal"); }
SchemePointer lecun_uniform() { return scaling(lecun_uniform_class, 1, "fan_in", "uniform"); }
SchemePointer lecun_normal() { return scaling(lecun_normal_class, 1, "fan_in", "truncated_normal"); }

}  // namespace fanin::detail::jax
