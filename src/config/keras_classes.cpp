// SPDX-License-Identifier: Apache-2.0
#include "config/keras_classes.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "base/text.h"
#include "config/conventions.h"
#include "fanin/error.h"
#include "fanin/initializers.h"

namespace fanin::detail {

namespace {

template <class Class>
Initializer with_defaults() {
  return Class();
}

// A compile-time constant, so that initializers can be made before main() and after it. dev/initializers.py makes
// docs/initializers.md from the rows and the comments before them: formula | source.
constexpr std::array<InitializerClass, 23> initializer_classes{{
    // truncated at 2 sigma, variance 2 / fan_in | keras/src/initializers/random_initializers.py
    {"HeNormal", "he_normal", "", true, true, with_defaults<HeNormal>},
    // U(-l, l), l = sqrt(6 / fan_in) | keras/src/initializers/random_initializers.py
    {"HeUniform", "he_uniform", "", true, true, with_defaults<HeUniform>},
    // truncated at 2 sigma, variance 1 / fan_in | keras/src/initializers/random_initializers.py
    {"LecunNormal", "lecun_normal", "", true, true, with_defaults<LecunNormal>},
    // U(-l, l), l = sqrt(3 / fan_in) | keras/src/initializers/random_initializers.py
    {"LecunUniform", "lecun_uniform", "", true, true, with_defaults<LecunUniform>},
    // truncated at 2 sigma, variance 2 / (fan_in + fan_out) | keras/src/initializers/random_initializers.py
    {"GlorotNormal", "glorot_normal", "", true, true, with_defaults<GlorotNormal>},
    // U(-l, l), l = sqrt(6 / (fan_in + fan_out)) | keras/src/initializers/random_initializers.py
    {"GlorotUniform", "glorot_uniform", "", true, true, with_defaults<GlorotUniform>},
    // variance scale / fan, truncated at 2 sigma, normal or uniform | keras/src/initializers/random_initializers.py
    {"VarianceScaling", "variance_scaling", "", false, true, with_defaults<VarianceScaling>},
    // N(mean, stddev^2), truncated at 2 stddev, or at bounds in stddev | keras/src/initializers/random_initializers.py
    {"TruncatedNormal", "truncated_normal", "", false, true, with_defaults<TruncatedNormal>},
    // N(mean, stddev^2) | keras/src/initializers/random_initializers.py
    {"RandomNormal", "random_normal", "normal", false, true, with_defaults<RandomNormal>},
    // U(minval, maxval) | keras/src/initializers/random_initializers.py
    {"RandomUniform", "random_uniform", "uniform", false, true, with_defaults<RandomUniform>},
    // a number, or an array that broadcasts | keras/src/initializers/constant_initializers.py
    {"Constant", "constant", "", false, true, with_defaults<Constant>},
    // 0 | keras/src/initializers/constant_initializers.py
    {"Zeros", "zeros", "zero", false, true, with_defaults<Zeros>},
    // 1 | keras/src/initializers/constant_initializers.py
    {"Ones", "ones", "one", false, true, with_defaults<Ones>},
    // gain on the diagonal, else 0 | keras/src/initializers/constant_initializers.py
    {"Identity", "identity", "IdentityInitializer", false, true, with_defaults<Identity>},
    // gain times a Haar matrix with orthonormal columns or rows | keras/src/initializers/random_initializers.py
    {"Orthogonal", "orthogonal", "OrthogonalInitializer", false, true, with_defaults<Orthogonal>},
    // cos or -sin(2 pi t k / fft_length) * window[t] / scale | keras/src/initializers/constant_initializers.py
    {"STFT", "stft", "STFTInitializer", false, true, with_defaults<STFT>},
    // fanin's own
    // an expression of coordinates, extents, constants and draws | VALUES.md, section 7
    {"Formula", "formula", "", false, false, with_defaults<Formula>},
    // 1 from a channel to itself at the kernel's centre, else 0 | torch/nn/init.py, dirac_
    {"Dirac", "dirac", "", false, false, with_defaults<Dirac>},
    // product of 1 - |i - (k - 1) / 2| / floor((k + 1) / 2) from a channel to itself, else 0 | Long et al., 2015
    {"Bilinear", "bilinear", "", false, false, with_defaults<Bilinear>},
    // value in one of several gates, else 0 | Jozefowicz et al., 2015
    {"ForgetGateBias", "forget_gate_bias", "", false, false, with_defaults<ForgetGateBias>},
    // N(0, stddev^2), ceil(sparsity * outputs) zeros for each input | torch/nn/init.py, sparse_
    {"Sparse", "sparse", "", false, false, with_defaults<Sparse>},
    // U(-1 / fan_in, 1 / fan_in) | Sitzmann et al., 2020
    {"SirenFirst", "siren_first", "", false, false, with_defaults<SirenFirst>},
    // U(-l, l), l = sqrt(6 / fan_in) / w0 | Sitzmann et al., 2020
    {"SirenHidden", "siren_hidden", "", false, false, with_defaults<SirenHidden>},
}};

std::vector<std::string> spellings(const InitializerClass& c) {
  std::vector<std::string> names{std::string(c.snake), std::string(c.name)};
  if (!c.alias.empty()) names.emplace_back(c.alias);
  names.push_back(std::string(c.name) + "V2");
  if (c.snake_v2) names.push_back(std::string(c.snake) + "V2");
  return names;
}

// "tf.keras.initializers.he_normal" -> "he_normal".
std::string_view without_module(std::string_view name) {
  for (const std::string_view module :
       {"keras.initializers.", "tf.keras.initializers.", "tensorflow.keras.initializers.", "tf.initializers.",
        "tensorflow.initializers."}) {
    if (name.substr(0, module.size()) == module) return name.substr(module.size());
  }
  return name;
}

[[noreturn]] void refuse_name(std::string_view name) {
  const std::string text(name);
  const std::string_view bare = without_module(name);
  // Other libraries' names for the same.
  constexpr std::array<std::pair<std::string_view, std::string_view>, 12> others{{{"xavier_normal", "glorot_normal"},
                                                                                  {"xavier_uniform", "glorot_uniform"},
                                                                                  {"kaiming_normal", "he_normal"},
                                                                                  {"kaiming_uniform", "he_uniform"},
                                                                                  {"trunc_normal", "truncated_normal"},
                                                                                  {"gaussian", "random_normal"},
                                                                                  {"eye", "identity"},
                                                                                  {"full", "constant"},
                                                                                  {"xavier", "glorot_uniform"},
                                                                                  {"kaiming", "he_normal"},
                                                                                  {"msra", "he_normal"},
                                                                                  {"const", "constant"}}};
  const std::string_view last = bare.substr(bare.rfind('.') + 1);  // of "torch.nn.init.xavier_uniform_"
  const std::string_view stem = !last.empty() && last.back() == '_' ? last.substr(0, last.size() - 1) : last;
  std::vector<std::string> candidates;
  for (const InitializerClass& c : initializer_classes) {
    const auto names = spellings(c);
    candidates.insert(candidates.end(), names.begin(), names.end());
  }
  std::string hint = suggestion(last, candidates);
  for (const auto& [theirs, keras] : others) {
    if (stem == theirs) hint = " Its name in Keras is \"" + std::string(keras) + "\"; PyTorch's is \"torch:NAME\".";
  }
  if (hint.empty()) {
    std::vector<std::string> names;
    names.reserve(initializer_classes.size());
    for (const InitializerClass& c : initializer_classes) names.emplace_back(c.snake);
    hint = " The names are " + list_of(names) + ".";
  }
  throw InvalidArgument("Could not interpret initializer identifier: " + (text.empty() ? "\"\"" : text) + "." + hint);
}

}  // namespace

const std::array<InitializerClass, 23>& keras_classes() { return initializer_classes; }

const InitializerClass& class_named(std::string_view name) {
  if (name.find(':') != std::string_view::npos) return class_by_convention(name);
  const std::string_view bare = without_module(name);
  for (const InitializerClass& c : initializer_classes) {
    const auto names = spellings(c);
    if (std::find(names.begin(), names.end(), bare) != names.end()) return c;
  }
  refuse_name(name);
}

}  // namespace fanin::detail
