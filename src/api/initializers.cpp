// SPDX-License-Identifier: Apache-2.0
#include "fanin/initializers.h"

#include <memory>
#include <utility>

#include "api/access.h"
#include "fanin/error.h"
#include "formulas/formulas.h"

namespace fanin {

using detail::ScalingFormula;

namespace {

Initializer make_scaled(const detail::ScaledClass& kind, Seed seed, FanAxes axes) {
  return detail::Access::make(std::make_shared<ScalingFormula>(kind, std::move(axes)), std::move(seed));
}

// A VarianceScaling is made with a ScalingFormula, but another initializer may have been assigned to its base.
const ScalingFormula& scaling_of(const detail::Formula& formula) {
  const auto* scaling = dynamic_cast<const ScalingFormula*>(&formula);
  if (scaling != nullptr) return *scaling;
  throw InvalidArgument("This object holds a " + std::string(formula.class_name()) + " now, which has no scale");
}

}  // namespace

VarianceScaling::VarianceScaling(double scale, std::string_view mode, std::string_view distribution, Seed seed,
                                 FanAxes axes)
    : Initializer(std::make_shared<ScalingFormula>(
                      detail::ScaledClass{detail::variance_scaling_name, scale, detail::parse_mode(mode),
                                          detail::parse_distribution(distribution)},
                      std::move(axes)),
                  std::move(seed)) {}

double VarianceScaling::scale() const { return scaling_of(formula()).kind().scale; }

std::string_view VarianceScaling::mode() const { return name_of(scaling_of(formula()).kind().mode); }

std::string_view VarianceScaling::distribution() const { return name_of(scaling_of(formula()).kind().distribution); }

const FanAxes& VarianceScaling::axes() const { return scaling_of(formula()).axes(); }

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
    : Initializer(std::make_shared<detail::TruncatedNormalFormula>(mean, stddev, lower, upper), std::move(seed)) {}

RandomNormal::RandomNormal(double mean, double stddev, Seed seed)
    : Initializer(std::make_shared<detail::NormalFormula>(mean, stddev), std::move(seed)) {}

RandomUniform::RandomUniform(double minval, double maxval, Seed seed)
    : Initializer(std::make_shared<detail::UniformFormula>(minval, maxval), std::move(seed)) {}

Constant::Constant(double value)
    : Initializer(std::make_shared<detail::ConstantFormula>(detail::ConstantValue{value, {}}), Seed(0)) {}

Zeros::Zeros() : Initializer(std::make_shared<detail::FixedConstantFormula>("Zeros", 0.0), Seed(0)) {}

Ones::Ones() : Initializer(std::make_shared<detail::FixedConstantFormula>("Ones", 1.0), Seed(0)) {}

Identity::Identity(double gain) : Initializer(std::make_shared<detail::IdentityFormula>(gain), Seed(0)) {}

}  // namespace fanin
