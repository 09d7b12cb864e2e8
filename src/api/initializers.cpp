// SPDX-License-Identifier: Apache-2.0
#include "fanin/initializers.h"

#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "api/access.h"
#include "fanin/error.h"
#include "formulas/schemes.h"

namespace fanin {

namespace {

// A VarianceScaling has these parameters unless another initializer was assigned to its base.
const detail::Parameter& scaling_parameter(const detail::Scheme& scheme, std::size_t number, std::string_view name) {
  const detail::Parameters& all = scheme.parameters();
  if (all.size() > number && all[number].name == name) return all[number];
  throw InvalidArgument("This object holds a " + std::string(scheme.class_name()) + " now, which has no scale");
}

// Only VarianceScaling itself has bounds; its named cases have none.
std::optional<double> bound(const detail::Scheme& scheme, std::size_t number, std::string_view name) {
  scaling_parameter(scheme, 0, "scale");
  const detail::Parameters& all = scheme.parameters();
  if (all.size() <= number || all[number].name != name) return {};
  return std::get<std::optional<double>>(all[number].value);
}

}  // namespace

VarianceScaling::VarianceScaling(double scale, std::string_view mode, std::string_view distribution, Seed seed,
                                 FanAxes axes, std::optional<double> lower, std::optional<double> upper)
    : Initializer(detail::variance_scaling(scale, mode, distribution, std::move(axes), lower, upper), std::move(seed)) {
}

double VarianceScaling::scale() const { return std::get<double>(scaling_parameter(scheme(), 0, "scale").value); }

std::string_view VarianceScaling::mode() const {
  return std::get<std::string_view>(scaling_parameter(scheme(), 1, "mode").value);
}

std::string_view VarianceScaling::distribution() const {
  return std::get<std::string_view>(scaling_parameter(scheme(), 2, "distribution").value);
}

const FanAxes& VarianceScaling::axes() const {
  scaling_parameter(scheme(), 3, "input_axes");
  return scheme().axes();
}

std::optional<double> VarianceScaling::lower() const { return bound(scheme(), 5, "lower"); }

std::optional<double> VarianceScaling::upper() const { return bound(scheme(), 6, "upper"); }

HeNormal::HeNormal(Seed seed, FanAxes axes) : VarianceScaling(detail::he_normal(std::move(axes)), std::move(seed)) {}

HeUniform::HeUniform(Seed seed, FanAxes axes) : VarianceScaling(detail::he_uniform(std::move(axes)), std::move(seed)) {}

LecunNormal::LecunNormal(Seed seed, FanAxes axes)
    : VarianceScaling(detail::lecun_normal(std::move(axes)), std::move(seed)) {}

LecunUniform::LecunUniform(Seed seed, FanAxes axes)
    : VarianceScaling(detail::lecun_uniform(std::move(axes)), std::move(seed)) {}

GlorotNormal::GlorotNormal(Seed seed, FanAxes axes)
    : VarianceScaling(detail::glorot_normal(std::move(axes)), std::move(seed)) {}

GlorotUniform::GlorotUniform(Seed seed, FanAxes axes)
    : VarianceScaling(detail::glorot_uniform(std::move(axes)), std::move(seed)) {}

TruncatedNormal::TruncatedNormal(double mean, double stddev, Seed seed, double lower, double upper)
    : Initializer(detail::truncated_normal(mean, stddev, lower, upper), std::move(seed)) {}

RandomNormal::RandomNormal(double mean, double stddev, Seed seed)
    : Initializer(detail::random_normal(mean, stddev), std::move(seed)) {}

RandomUniform::RandomUniform(double minval, double maxval, Seed seed)
    : Initializer(detail::random_uniform(minval, maxval), std::move(seed)) {}

Constant::Constant(double value) : Initializer(detail::constant(value), Seed(0)) {}

Formula::Formula(std::string_view value, Constants constants, Seed seed)
    : Initializer(detail::computed(value, std::move(constants)), std::move(seed)) {}

Zeros::Zeros() : Initializer(detail::zeros(), Seed(0)) {}

Ones::Ones() : Initializer(detail::ones(), Seed(0)) {}

Identity::Identity(double gain) : Initializer(detail::identity(gain), Seed(0)) {}
Orthogonal::Orthogonal(double gain, Seed seed) : Initializer(detail::orthogonal(gain), std::move(seed)) {}

}  // namespace fanin
