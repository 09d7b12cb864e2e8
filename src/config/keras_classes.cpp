// SPDX-License-Identifier: Apache-2.0
#include "config/keras_classes.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "base/text.h"
#include "fanin/error.h"
#include "fanin/initializers.h"

namespace fanin::detail {

namespace {

template <class Class>
Initializer with_defaults() {
  return Class();
}

// A compile-time constant, so that initializers can be made before main() and after it.
constexpr std::array<KerasClass, 16> classes{{
    {"HeNormal", "he_normal", "", true, with_defaults<HeNormal>},
    {"HeUniform", "he_uniform", "", true, with_defaults<HeUniform>},
    {"LecunNormal", "lecun_normal", "", true, with_defaults<LecunNormal>},
    {"LecunUniform", "lecun_uniform", "", true, with_defaults<LecunUniform>},
    {"GlorotNormal", "glorot_normal", "", true, with_defaults<GlorotNormal>},
    {"GlorotUniform", "glorot_uniform", "", true, with_defaults<GlorotUniform>},
    {"VarianceScaling", "variance_scaling", "", false, with_defaults<VarianceScaling>},
    {"TruncatedNormal", "truncated_normal", "", false, with_defaults<TruncatedNormal>},
    {"RandomNormal", "random_normal", "normal", false, with_defaults<RandomNormal>},
    {"RandomUniform", "random_uniform", "uniform", false, with_defaults<RandomUniform>},
    {"Constant", "constant", "", false, with_defaults<Constant>},
    {"Zeros", "zeros", "zero", false, with_defaults<Zeros>},
    {"Ones", "ones", "one", false, with_defaults<Ones>},
    {"Identity", "identity", "IdentityInitializer", false, with_defaults<Identity>},
    {"Orthogonal", "orthogonal", "OrthogonalInitializer", false, with_defaults<Orthogonal>},
    {"Formula", "formula", "", false, with_defaults<Formula>},  // fanin's own
}};

std::vector<std::string> spellings(const KerasClass& c) {
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
  for (const std::string_view later : {"STFT", "stft", "STFTInitializer"}) {
    if (bare == later)
      throw InvalidArgument("Keras's initializer \"" + text + "\" is not part of this version of fanin");
  }
  // Other libraries' names for the same.
  constexpr std::array<std::pair<std::string_view, std::string_view>, 8> others{{{"xavier_normal", "glorot_normal"},
                                                                                 {"xavier_uniform", "glorot_uniform"},
                                                                                 {"kaiming_normal", "he_normal"},
                                                                                 {"kaiming_uniform", "he_uniform"},
                                                                                 {"trunc_normal", "truncated_normal"},
                                                                                 {"gaussian", "random_normal"},
                                                                                 {"eye", "identity"},
                                                                                 {"full", "constant"}}};
  const std::string_view stem = !bare.empty() && bare.back() == '_' ? bare.substr(0, bare.size() - 1) : bare;
  std::vector<std::string> candidates;
  for (const KerasClass& c : classes) {
    const auto names = spellings(c);
    candidates.insert(candidates.end(), names.begin(), names.end());
  }
  std::string hint = suggestion(bare, candidates);
  for (const auto& [theirs, keras] : others) {
    if (stem == theirs) hint = " Its name in Keras is \"" + std::string(keras) + "\".";
  }
  if (hint.empty()) {
    std::vector<std::string> names;
    names.reserve(classes.size());
    for (const KerasClass& c : classes) names.emplace_back(c.snake);
    hint = " The names are " + list_of(names) + ".";
  }
  throw InvalidArgument("Could not interpret initializer identifier: " + (text.empty() ? "\"\"" : text) + "." + hint);
}

}  // namespace

const std::array<KerasClass, 16>& keras_classes() { return classes; }

const KerasClass& class_named(std::string_view name) {
  const std::string_view bare = without_module(name);
  for (const KerasClass& c : classes) {
    const auto names = spellings(c);
    if (std::find(names.begin(), names.end(), bare) != names.end()) return c;
  }
  refuse_name(name);
}

}  // namespace fanin::detail
