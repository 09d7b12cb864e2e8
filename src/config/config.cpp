// SPDX-License-Identifier: Apache-2.0
#include "fanin/config.h"

#include <algorithm>
#include <array>
#include <limits>
#include <utility>

#include "base/fp_environment.h"
#include "base/text.h"
#include "config/config.h"
#include "config/config_reader.h"
#include "fanin/error.h"
#include "fanin/initializers.h"
#include "formulas/rules.h"

namespace fanin {

namespace detail {

namespace {

// ---------------------------------------------------------------- inner configurations, class by class

Initializer read_variance_scaling(ConfigReader& config) {
  const double scale = config.number("scale", 1.0);
  const FanMode mode = parse_mode(config.text("mode", "fan_in"));
  const ScaledDistribution distribution = parse_distribution(config.text("distribution", "truncated_normal"));
  const bool axes_stated = config.has("input_axes") || config.has("output_axes");
  Seed seed = config.seed();
  FanAxes axes = config.axes();
  config.finish();
  return Access::make(std::make_shared<ScalingRule>(ScaledClass{variance_scaling_name, scale, mode, distribution},
                                                    std::move(axes), axes_stated),
                      std::move(seed));
}

Initializer read_scaled(ConfigReader& config, const ScaledClass& kind) {
  // TF 2.2's he_uniform and the like were functions that made a VarianceScaling: its three keys, if they say the same.
  if (config.has("scale") && config.has("mode") && config.has("distribution")) {
    const bool same = config.number("scale", 0) == kind.scale && parse_mode(config.text("mode", "")) == kind.mode &&
                      parse_distribution(config.text("distribution", "")) == kind.distribution;
    if (!same) {
      throw InvalidArgument(std::string(kind.name) + " has scale=" + to_text(kind.scale) + ", mode=\"" +
                            std::string(name_of(kind.mode)) + "\", distribution=\"" +
                            std::string(name_of(kind.distribution)) +
                            "\", and the config says otherwise; use VarianceScaling for other parameters");
    }
  }
  const bool axes_stated = config.has("input_axes") || config.has("output_axes");
  Seed seed = config.seed();
  FanAxes axes = config.axes();
  config.finish();
  return Access::make(std::make_shared<ScalingRule>(kind, std::move(axes), axes_stated), std::move(seed));
}

template <const ScaledClass& kind>
Initializer read(ConfigReader& config) {
  return read_scaled(config, kind);
}

Initializer read_truncated_normal(ConfigReader& config) {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  const double mean = config.number("mean", 0.0);
  const double stddev = config.number("stddev", 0.05);
  const double lower = config.bound("lower", -2.0, -infinity);
  const double upper = config.bound("upper", 2.0, infinity);
  Seed seed = config.seed();
  config.finish();
  return TruncatedNormal(mean, stddev, std::move(seed), lower, upper);
}

Initializer read_random_normal(ConfigReader& config) {
  const double mean = config.number("mean", 0.0);
  const double stddev = config.number("stddev", 0.05);
  Seed seed = config.seed();
  config.finish();
  return RandomNormal(mean, stddev, std::move(seed));
}

Initializer read_random_uniform(ConfigReader& config) {
  const double minval = config.number("minval", -0.05);
  const double maxval = config.number("maxval", 0.05);
  Seed seed = config.seed();
  config.finish();
  return RandomUniform(minval, maxval, std::move(seed));
}

Initializer read_constant(ConfigReader& config) {
  Json value = config.value("value", 0.0);
  config.finish();
  return Access::make(std::make_shared<ConstantRule>("Constant", std::move(value)), Seed(0));
}

Initializer read_zeros(ConfigReader& config) {
  config.finish();
  return Zeros();
}

Initializer read_ones(ConfigReader& config) {
  config.finish();
  return Ones();
}

Initializer read_identity(ConfigReader& config) {
  const double gain = config.number("gain", 1.0);
  config.finish();
  return Identity(gain);
}

// ---------------------------------------------------------------- names

// Tables are constants without constructors, so that initializers can be made before main() and after it.
struct KerasClass {
  std::string_view name;   // "HeNormal"; "HeNormalV2" in TF 2 as well
  std::string_view snake;  // "he_normal"
  std::string_view alias;  // or empty
  bool snake_v2;           // TF 2 has "he_normalV2" too
  Initializer (*read)(ConfigReader&);
};

constexpr std::array<KerasClass, 14> classes{{
    {"HeNormal", "he_normal", "", true, read<he_normal_class>},
    {"HeUniform", "he_uniform", "", true, read<he_uniform_class>},
    {"LecunNormal", "lecun_normal", "", true, read<lecun_normal_class>},
    {"LecunUniform", "lecun_uniform", "", true, read<lecun_uniform_class>},
    {"GlorotNormal", "glorot_normal", "", true, read<glorot_normal_class>},
    {"GlorotUniform", "glorot_uniform", "", true, read<glorot_uniform_class>},
    {"VarianceScaling", "variance_scaling", "", false, read_variance_scaling},
    {"TruncatedNormal", "truncated_normal", "", false, read_truncated_normal},
    {"RandomNormal", "random_normal", "normal", false, read_random_normal},
    {"RandomUniform", "random_uniform", "uniform", false, read_random_uniform},
    {"Constant", "constant", "", false, read_constant},
    {"Zeros", "zeros", "zero", false, read_zeros},
    {"Ones", "ones", "one", false, read_ones},
    {"Identity", "identity", "IdentityInitializer", false, read_identity},
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
  for (const std::string_view later :
       {"Orthogonal", "orthogonal", "OrthogonalInitializer", "OrthogonalV2", "STFT", "stft", "STFTInitializer"}) {
    if (bare == later)
      throw InvalidArgument("Keras's initializer \"" + text + "\" is not part of this version of fanin");
  }
  // PyTorch's names of the same scales.
  constexpr std::array<std::pair<std::string_view, std::string_view>, 4> pytorch{{{"xavier_normal", "glorot_normal"},
                                                                                  {"xavier_uniform", "glorot_uniform"},
                                                                                  {"kaiming_normal", "he_normal"},
                                                                                  {"kaiming_uniform", "he_uniform"}}};
  const std::string_view stem = !bare.empty() && bare.back() == '_' ? bare.substr(0, bare.size() - 1) : bare;
  std::vector<std::string> candidates;
  for (const KerasClass& c : classes) {
    const auto names = spellings(c);
    candidates.insert(candidates.end(), names.begin(), names.end());
  }
  std::string hint = suggestion(bare, candidates);
  for (const auto& [theirs, keras] : pytorch) {
    if (stem == theirs) hint = " Keras's name of it is \"" + std::string(keras) + "\".";
  }
  throw InvalidArgument("Could not interpret initializer identifier: " + text + "." + hint);
}

const KerasClass& class_named(std::string_view name) {
  const std::string_view bare = without_module(name);
  for (const KerasClass& c : classes) {
    const auto names = spellings(c);
    if (std::find(names.begin(), names.end(), bare) != names.end()) return c;
  }
  refuse_name(name);
}

// ---------------------------------------------------------------- outer form

std::vector<std::string> outer_keys() {
  return {"module", "class_name", "config", "registered_name", "shared_object_id"};
}

Initializer read_object(const Json& object) {
  if (!object.contains("class_name")) {
    throw InvalidArgument("Unknown `config` as a `dict`: it needs \"class_name\", and perhaps \"config\". Received: " +
                          dump_json(object));
  }
  const std::vector<std::string> keys = outer_keys();
  for (const auto& item : object.items()) {
    if (std::find(keys.begin(), keys.end(), item.key()) != keys.end()) continue;
    throw InvalidArgument("A serialized initializer has no key \"" + item.key() + "\", only " + list_of(keys) + "." +
                          suggestion(item.key(), keys));
  }
  const Json& name = object["class_name"];
  if (!name.is_string()) throw InvalidArgument("\"class_name\" must be a string. Received: " + dump_json(name));
  const KerasClass& c = class_named(name.get<std::string>());
  ConfigReader reader(c.name, object.value("config", Json()));
  return c.read(reader);
}

}  // namespace

Initializer read_initializer(const Json& json) {
  return in_default_fp_environment([&]() -> Initializer {
    if (json.is_string()) return make(json.get<std::string>());
    if (json.is_object()) return read_object(json);
    throw InvalidArgument("Could not interpret initializer identifier: " + dump_json(json) +
                          ". Give a name or an object with \"class_name\" and \"config\"");
  });
}

Initializer read_config(std::string_view class_name, std::string_view json) {
  return in_default_fp_environment([&] {
    const KerasClass& c = class_named(class_name);
    ConfigReader reader(c.name, parse_json(json));
    return c.read(reader);
  });
}

Json config_of(const Initializer& initializer, ConfigForm form) {
  const Rule& rule = Access::rule(initializer);
  Json parameters = Json::object();
  rule.write_config(parameters, form);
  if (!rule.is_random()) return parameters;

  const Seed& seed = initializer.seed();
  Json seed_json;  // null: drawn
  if (seed.kind() == Seed::Kind::fixed || (seed.kind() == Seed::Kind::sequence && form == ConfigForm::tf2)) {
    seed_json = seed.value();  // TF 2.7 means a sequence by a plain seed
  } else if (seed.kind() == Seed::Kind::sequence) {
    seed_json = {{"module", "keras.random"},
                 {"class_name", "SeedGenerator"},
                 {"config", {{"seed", seed.value()}, {"name", seed.generator_name()}}},
                 {"registered_name", nullptr}};
  }
  if (form == ConfigForm::tf2) {
    parameters["seed"] = std::move(seed_json);
    return parameters;
  }
  Json config = Json::object();  // Keras 3 has the seed first
  config["seed"] = std::move(seed_json);
  config.update(parameters);
  return config;
}

Json serialized(const Initializer& initializer, ConfigForm form) {
  Json object = Json::object();
  if (form == ConfigForm::keras3) object["module"] = "keras.initializers";
  object["class_name"] = initializer.class_name();
  object["config"] = config_of(initializer, form);
  if (form == ConfigForm::keras3) object["registered_name"] = nullptr;
  return object;
}

}  // namespace detail

Initializer make(std::string_view name, Seed seed) {
  const detail::KerasClass& c = detail::class_named(name);
  detail::ConfigReader defaults(c.name, detail::Json::object(), std::move(seed));
  return c.read(defaults);
}

Initializer deserialize(std::string_view json) { return detail::read_initializer(detail::parse_json(json)); }

std::string serialize(const Initializer& initializer, ConfigForm form) {
  return detail::dump_json(detail::serialized(initializer, form));
}

std::vector<std::string> initializer_names() {
  std::vector<std::string> names;
  names.reserve(detail::classes.size());
  for (const auto& c : detail::classes) names.emplace_back(c.name);
  return names;
}

}  // namespace fanin
