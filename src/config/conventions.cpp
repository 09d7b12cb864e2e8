// SPDX-License-Identifier: Apache-2.0
#include "config/conventions.h"

#include <algorithm>
#include <array>

#include "api/access.h"
#include "base/text.h"
#include "fanin/error.h"
#include "formulas/jax_schemes.h"
#include "formulas/torch_schemes.h"

namespace fanin::detail {

namespace {

template <SchemePointer (*scheme)()>
Initializer with_defaults() {
  return Access::make(scheme(), Seed());
}

constexpr std::string_view conventions[] = {"keras", "torch", "jax"};

// A compile-time constant, as the table of Keras's classes, with the same comments. Its names have their convention.
constexpr std::array<InitializerClass, 33> classes{{
    // U(a, b), a = 0, b = 1 | torch/nn/init.py
    {"torch:uniform", "uniform", "", false, false, with_defaults<torch::uniform>},
    // N(mean, std^2), mean = 0, std = 1 | torch/nn/init.py
    {"torch:normal", "normal", "", false, false, with_defaults<torch::normal>},
    // N(mean, std^2) truncated to the values [a, b], mean = 0, std = 1, a = -2, b = 2 | torch/nn/init.py
    {"torch:trunc_normal", "trunc_normal", "", false, false, with_defaults<torch::trunc_normal>},
    // val (here 0 by default) | torch/nn/init.py
    {"torch:constant", "constant", "", false, false, with_defaults<torch::constant>},
    // 1 | torch/nn/init.py
    {"torch:ones", "ones", "", false, false, with_defaults<torch::ones>},
    // 0 | torch/nn/init.py
    {"torch:zeros", "zeros", "", false, false, with_defaults<torch::zeros>},
    // 1 on the diagonal, else 0 | torch/nn/init.py
    {"torch:eye", "eye", "", false, false, with_defaults<torch::eye>},
    // Dirac, groups = 1 | torch/nn/init.py
    {"torch:dirac", "dirac", "", false, false, with_defaults<torch::dirac>},
    // U(-l, l), l = gain * sqrt(6 / (fan_in + fan_out)), gain = 1 | torch/nn/init.py
    {"torch:xavier_uniform", "xavier_uniform", "", false, false, with_defaults<torch::xavier_uniform>},
    // N(0, s^2), s = gain * sqrt(2 / (fan_in + fan_out)), gain = 1 | torch/nn/init.py
    {"torch:xavier_normal", "xavier_normal", "", false, false, with_defaults<torch::xavier_normal>},
    // U(-l, l), l = gain * sqrt(3 / fan), gain of leaky_relu with a = 0, fan_in | torch/nn/init.py
    {"torch:kaiming_uniform", "kaiming_uniform", "", false, false, with_defaults<torch::kaiming_uniform>},
    // N(0, s^2), s = gain / sqrt(fan), gain of leaky_relu with a = 0, fan_in | torch/nn/init.py
    {"torch:kaiming_normal", "kaiming_normal", "", false, false, with_defaults<torch::kaiming_normal>},
    // gain times a Haar matrix, rows = first axis, gain = 1 | torch/nn/init.py
    {"torch:orthogonal", "orthogonal", "", false, false, with_defaults<torch::orthogonal>},
    // N(0, std^2), ceil(sparsity * rows) zeros in each column, std = 0.01 (here sparsity = 0.1) | torch/nn/init.py
    {"torch:sparse", "sparse", "", false, false, with_defaults<torch::sparse>},
    // kaiming_uniform with a = sqrt(5): U(-l, l), l = 1 / sqrt(fan_in) | torch/nn/modules/linear.py
    {"torch:linear", "linear", "", false, false, with_defaults<torch::linear>},
    // U(0, scale), scale = 0.01 | jax/_src/nn/initializers.py
    {"jax:uniform", "uniform", "", false, false, with_defaults<jax::uniform>},
    // N(0, stddev^2), stddev = 0.01 | jax/_src/nn/initializers.py
    {"jax:normal", "normal", "", false, false, with_defaults<jax::normal>},
    // N(0, stddev^2) truncated to [lower, upper] stddev, stddev = 0.01, -2, 2 | jax/_src/nn/initializers.py
    {"jax:truncated_normal", "truncated_normal", "", false, false, with_defaults<jax::truncated_normal>},
    // value (here 0 by default) | jax/_src/nn/initializers.py
    {"jax:constant", "constant", "", false, false, with_defaults<jax::constant>},
    // 1 | jax/_src/nn/initializers.py
    {"jax:ones", "ones", "", false, false, with_defaults<jax::ones>},
    // 0 | jax/_src/nn/initializers.py
    {"jax:zeros", "zeros", "", false, false, with_defaults<jax::zeros>},
    // variance scale / fan, truncated at 2 sigma (the default here), normal or uniform | jax/_src/nn/initializers.py
    {"jax:variance_scaling", "variance_scaling", "", false, false, with_defaults<jax::variance_scaling>},
    // U(-l, l), l = sqrt(6 / (fan_in + fan_out)) | jax/_src/nn/initializers.py
    {"jax:glorot_uniform", "glorot_uniform", "", false, false, with_defaults<jax::glorot_uniform>},
    // truncated at 2 sigma, variance 2 / (fan_in + fan_out) | jax/_src/nn/initializers.py
    {"jax:glorot_normal", "glorot_normal", "", false, false, with_defaults<jax::glorot_normal>},
    // U(-l, l), l = sqrt(6 / (fan_in + fan_out)) | jax/_src/nn/initializers.py
    {"jax:xavier_uniform", "xavier_uniform", "", false, false, with_defaults<jax::xavier_uniform>},
    // truncated at 2 sigma, variance 2 / (fan_in + fan_out) | jax/_src/nn/initializers.py
    {"jax:xavier_normal", "xavier_normal", "", false, false, with_defaults<jax::xavier_normal>},
    // U(-l, l), l = sqrt(6 / fan_in) | jax/_src/nn/initializers.py
    {"jax:he_uniform", "he_uniform", "", false, false, with_defaults<jax::he_uniform>},
    // truncated at 2 sigma, variance 2 / fan_in | jax/_src/nn/initializers.py
    {"jax:he_normal", "he_normal", "", false, false, with_defaults<jax::he_normal>},
    // U(-l, l), l = sqrt(6 / fan_in) | jax/_src/nn/initializers.py
    {"jax:kaiming_uniform", "kaiming_uniform", "", false, false, with_defaults<jax::kaiming_uniform>},
    // truncated at 2 sigma, variance 2 / fan_in | jax/_src/nn/initializers.py
    {"jax:kaiming_normal", "kaiming_normal", "", false, false, with_defaults<jax::kaiming_normal>},
    // U(-l, l), l = sqrt(3 / fan_in) | jax/_src/nn/initializers.py
    {"jax:lecun_uniform", "lecun_uniform", "", false, false, with_defaults<jax::lecun_uniform>},
    // truncated at 2 sigma, variance 1 / fan_in | jax/_src/nn/initializers.py
    {"jax:lecun_normal", "lecun_normal", "", false, false, with_defaults<jax::lecun_normal>},
    // scale times a Haar matrix, columns = last axis, scale = 1 | jax/_src/nn/initializers.py
    {"jax:orthogonal", "orthogonal", "", false, false, with_defaults<jax::orthogonal>},
}};

std::string_view convention_of(std::string_view name) { return name.substr(0, name.find(':')); }

}  // namespace

std::vector<std::string> names_of_convention(std::string_view convention) {
  if (std::find(std::begin(conventions), std::end(conventions), convention) == std::end(conventions)) {
    throw InvalidArgument("There is no convention \"" + std::string(convention) + "\", only " +
                          list_of({std::begin(conventions), std::end(conventions)}));
  }
  std::vector<std::string> names;
  if (convention == "keras") {
    for (const InitializerClass& c : keras_classes()) {
      if (c.is_keras) names.emplace_back(c.snake);
    }
  }
  for (const InitializerClass& c : classes) {
    if (convention_of(c.name) == convention) names.emplace_back(c.snake);
  }
  return names;
}

const InitializerClass& class_by_convention(std::string_view name) {
  const std::string_view convention = convention_of(name);
  const std::vector<std::string> names = names_of_convention(convention);  // refuses another convention
  std::string_view rest = name.substr(convention.size() + 1);
  if (convention == "keras") {
    for (const InitializerClass& c : keras_classes()) {
      if (c.is_keras && (rest == c.name || rest == c.snake || (!c.alias.empty() && rest == c.alias))) return c;
    }
  } else {
    if (convention == "torch" && !rest.empty() && rest.back() == '_') rest.remove_suffix(1);  // "kaiming_normal_"
    for (const InitializerClass& c : classes) {
      if (convention_of(c.name) == convention && rest == c.snake) return c;
    }
  }
  throw InvalidArgument("The convention \"" + std::string(convention) + "\" has no initializer \"" + std::string(rest) +
                        "\", only " + list_of(names) + "." + suggestion(rest, names));
}

}  // namespace fanin::detail
