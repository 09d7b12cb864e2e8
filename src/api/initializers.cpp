// SPDX-License-Identifier: Apache-2.0
#include "fanin/initializers.h"

#include <memory>
#include <utility>

#include "config/config.h"
#include "fanin/error.h"
#include "formulas/rules.h"

namespace fanin {

using detail::ConstantRule;
using detail::ScalingRule;

namespace {

Initializer make_scaled(const detail::ScaledClass& kind, Seed seed, FanAxes axes) {
  return detail::Access::make(std::make_shared<ScalingRule>(kind, std::move(axes), false), std::move(seed));
}

// A VarianceScaling is made with a ScalingRule, but another initializer may have been assigned to its base.
const ScalingRule& scaling_of(const detail::Rule& rule) {
  const auto* scaling = dynamic_cast<const ScalingRule*>(&rule);
  if (scaling != nullptr) return *scaling;
  throw InvalidArgument("This object holds a " + std::string(rule.class_name()) + " now, which has no scale");
}

}  // namespace

VarianceScaling::VarianceScaling(double scale, std::string_view mode, std::string_view distribution, Seed seed,
                                 FanAxes axes)
    : Initializer(std::make_shared<ScalingRule>(
                      detail::ScaledClass{detail::variance_scaling_name, scale, detail::parse_mode(mode),
                                          detail::parse_distribution(distribution)},
                      std::move(axes), false),
                  std::move(seed)) {}

double VarianceScaling::scale() const { return scaling_of(rule()).kind().scale; }

std::string_view VarianceScaling::mode() const { return name_of(scaling_of(rule()).kind().mode); }

std::string_view VarianceScaling::distribution() const { return name_of(scaling_of(rule()).kind().distribution); }

const FanAxes& VarianceScaling::axes() const { return scaling_of(rule()).axes_reference(); }

HeNormal::HeNormal(Seed seed, FanAxes axes)
    : VarianceScaling(make_scaled(detail::he_normal_class, std::move(seed), std::move(axes))) {}

HeUniform::HeUniform(Seed seed, FanAxes axes)
    : VarianceScaling(make_scaled(detail::he_uniform_class, std::move(seed), std::move(axes))) {}

LecunNormal::LecunNormal(Seed seed, FanAxes axes)
    : VarianceScaling(make_scaled(detail::lecun_normal_class, std::move(seed), std::move(axes))) {}

LecunUniform::LecunUniform(Seed seed, FanAxes axes)
    : VarianceScaling(make_scaled(detail::lecun_uniform_class, std::move(seed), std::move(axes))) {}

GlorotNormal::GlorotNormal(Seed seed, FanAxes axes)
    : VarianceScaling(make_scaled(detail::glorot_normal_class, std::move(seed), std::move(axes))) {}

GlorotUniform::GlorotUniform(Seed seed, FanAxes axes)
    : VarianceScaling(make_scaled(detail::glorot_uniform_class, std::move(seed), std::move(axes))) {}

TruncatedNormal::TruncatedNormal(double mean, double stddev, Seed seed, double lower, double upper)
    : Initializer(std::make_shared<detail::TruncatedNormalRule>(mean, stddev, lower, upper), std::move(seed)) {}

RandomNormal::RandomNormal(double mean, double stddev, Seed seed)
    : Initializer(std::make_shared<detail::NormalRule>(mean, stddev), std::move(seed)) {}

RandomUniform::RandomUniform(double minval, double maxval, Seed seed)
    : Initializer(std::make_shared<detail::UniformRule>(minval, maxval), std::move(seed)) {}

Constant::Constant(double value) : Initializer(std::make_shared<ConstantRule>("Constant", value), Seed(0)) {}

Zeros::Zeros() : Initializer(std::make_shared<ConstantRule>("Zeros", 0.0), Seed(0)) {}

Ones::Ones() : Initializer(std::make_shared<ConstantRule>("Ones", 1.0), Seed(0)) {}

Identity::Identity(double gain) : Initializer(std::make_shared<detail::IdentityRule>(gain), Seed(0)) {}

VarianceScaling VarianceScaling::from_config(std::string_view json) {
  return VarianceScaling(detail::read_config("VarianceScaling", json));
}

HeNormal HeNormal::from_config(std::string_view json) { return HeNormal(detail::read_config("HeNormal", json)); }

HeUniform HeUniform::from_config(std::string_view json) { return HeUniform(detail::read_config("HeUniform", json)); }

LecunNormal LecunNormal::from_config(std::string_view json) {
  return LecunNormal(detail::read_config("LecunNormal", json));
}

LecunUniform LecunUniform::from_config(std::string_view json) {
  return LecunUniform(detail::read_config("LecunUniform", json));
}

GlorotNormal GlorotNormal::from_config(std::string_view json) {
  return GlorotNormal(detail::read_config("GlorotNormal", json));
}

GlorotUniform GlorotUniform::from_config(std::string_view json) {
  return GlorotUniform(detail::read_config("GlorotUniform", json));
}

TruncatedNormal TruncatedNormal::from_config(std::string_view json) {
  return TruncatedNormal(detail::read_config("TruncatedNormal", json));
}

RandomNormal RandomNormal::from_config(std::string_view json) {
  return RandomNormal(detail::read_config("RandomNormal", json));
}

RandomUniform RandomUniform::from_config(std::string_view json) {
  return RandomUniform(detail::read_config("RandomUniform", json));
}

Constant Constant::from_config(std::string_view json) { return Constant(detail::read_config("Constant", json)); }

Zeros Zeros::from_config(std::string_view json) { return Zeros(detail::read_config("Zeros", json)); }

Ones Ones::from_config(std::string_view json) { return Ones(detail::read_config("Ones", json)); }

Identity Identity::from_config(std::string_view json) { return Identity(detail::read_config("Identity", json)); }

}  // namespace fanin
