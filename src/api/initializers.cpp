// SPDX-License-Identifier: Apache-2.0
#include "fanin/initializers.h"

#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "api/access.h"
#include "fanin/error.h"
#include "formulas/schemes.h"
#include "formulas/structured_schemes.h"

namespace fanin {

namespace {

// A VarianceScaling has these parameters unless another initializer was assigned to its base.
const detail::Parameter& scaling_parameter(const detail::Scheme& scheme, std::size_t number, std::string_view name) {
  const detail::Parameters& all = scheme.parameters();
  if (all.size() > number && all[number].name == name) return all[number];
  throw InvalidArgument("This object holds a " + std::string(scheme.class_name()) + " now, which has no scale");
}

// A window without values would stand for none.
std::vector<double> not_empty(std::vector<double> window) {
  if (!window.empty()) return window;
  throw InvalidArgument("The `window` of an STFT has at least one value. Received: none");
}

// Only VarianceScaling itself has bounds; its named cases have none.
std::optional<double> bound(const detail::Scheme& scheme, std::size_t number, std::string_view name) {
  scaling_parameter(scheme, 0, "scale");
  const detail::Parameters& all = scheme.parameters();
  if (all.size() <= number || all[number].name != name) return {};
  return std::get<std::optional<double>>(all[number].value);
}

detail::Table array_of(Shape shape, std::vector<double> values) {
  const std::uint64_t count = element_count(shape);
  if (count == values.size() && count > 0 && shape.size() <= detail::ComputedValue::max_axes) {
    return {"value", std::move(shape), std::move(values)};
  }
  throw InvalidArgument("An array of a Constant has at least one value, as many as its shape says, and at most " +
                        std::to_string(detail::ComputedValue::max_axes) + " dimensions. Received: " +
                        std::to_string(values.size()) + " values, shape=" + to_string(shape));
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

Constant::Constant(Shape shape, std::vector<double> values)
    : Initializer(detail::constant(array_of(std::move(shape), std::move(values))), Seed(0)) {}

SirenFirst::SirenFirst(Seed seed) : Initializer(detail::siren_first(), std::move(seed)) {}
SirenHidden::SirenHidden(double w0, Seed seed) : Initializer(detail::siren_hidden(w0), std::move(seed)) {}

Dirac::Dirac(std::int64_t groups) : Initializer(detail::dirac(static_cast<double>(groups)), Seed(0)) {}
Bilinear::Bilinear(std::int64_t groups) : Initializer(detail::bilinear(static_cast<double>(groups)), Seed(0)) {}

ForgetGateBias::ForgetGateBias(double value, int gate, int gates)
    : Initializer(detail::forget_gate_bias(value, gate, gates), Seed(0)) {}

Sparse::Sparse(double sparsity, double stddev, Seed seed)
    : Initializer(detail::sparse(sparsity, stddev), std::move(seed)) {}

STFT::STFT(std::string_view side, std::optional<std::string_view> window, std::optional<std::string_view> scaling,
           bool periodic)
    : Initializer(
          detail::stft(side, {window ? std::optional<std::string>(*window) : std::nullopt, {}}, scaling, periodic),
          Seed(0)) {}

STFT::STFT(std::string_view side, std::vector<double> window, std::optional<std::string_view> scaling, bool periodic)
    : Initializer(detail::stft(side, {std::nullopt, not_empty(std::move(window))}, scaling, periodic), Seed(0)) {}

Formula::Formula(std::string_view value, Constants constants, Seed seed)
    : Initializer(detail::computed(value, std::move(constants)), std::move(seed)) {}

Zeros::Zeros() : Initializer(detail::zeros(), Seed(0)) {}

Ones::Ones() : Initializer(detail::ones(), Seed(0)) {}

Identity::Identity(double gain) : Initializer(detail::identity(gain), Seed(0)) {}
Orthogonal::Orthogonal(double gain, Seed seed) : Initializer(detail::orthogonal(gain), std::move(seed)) {}

}  // namespace fanin
