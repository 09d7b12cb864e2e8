// SPDX-License-Identifier: Apache-2.0
#include "config/keras_json.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "api/access.h"
#include "base/fp_environment.h"
#include "base/text.h"
#include "config/config_reader.h"
#include "config/keras_classes.h"
#include "fanin/config.h"
#include "fanin/error.h"

namespace fanin::detail {

namespace {

// ---------------------------------------------------------------- reading

Initializer read_inner(const InitializerClass& keras_class, Json config) {
  const Initializer defaults = keras_class.with_defaults();
  const Scheme& scheme = Access::scheme(defaults);
  ConfigReader reader(keras_class.name, std::move(config));
  Parameters parameters = scheme.parameters();
  // TF 2.2's he_uniform and its siblings are functions that make a VarianceScaling. Their configuration has its three
  // keys, with the values that the class fixes.
  const bool reads_fixed = std::all_of(parameters.begin(), parameters.end(), [&](const Parameter& parameter) {
    return !parameter.is_fixed || reader.has(parameter.name);
  });
  for (Parameter& parameter : parameters) {
    if (!parameter.is_fixed || reads_fixed) reader.read(parameter);
  }
  Seed seed = scheme.is_random() ? reader.seed() : defaults.seed();
  reader.finish();
  return Access::make(scheme.with(std::move(parameters)), std::move(seed));
}

std::vector<std::string> outer_keys() {
  return {"module", "class_name", "config", "registered_name", "shared_object_id"};
}

Initializer read_object(const Json& object) {
  if (!object.contains("class_name")) {
    throw InvalidArgument("Unknown `config` as a `dict`: it needs \"class_name\", and perhaps \"config\". Received: " +
                          shown_json(object));
  }
  const std::vector<std::string> keys = outer_keys();
  for (const auto& item : object.items()) {
    if (std::find(keys.begin(), keys.end(), item.key()) != keys.end()) continue;
    throw InvalidArgument("A serialized initializer has no key \"" + item.key() + "\", only " + list_of(keys) + "." +
                          suggestion(item.key(), keys));
  }
  const Json& name = object["class_name"];
  if (!name.is_string()) throw InvalidArgument("\"class_name\" must be a string. Received: " + shown_json(name));
  return read_inner(class_named(name.get<std::string>()), object.value("config", Json()));
}

// ---------------------------------------------------------------- writing

// Whether a dialect's configuration has the parameter. Throws InvalidArgument if the dialect cannot express the value.
bool is_written(const Parameter& parameter, ConfigForm form, std::string_view class_name) {
  if (parameter.is_fixed) return false;
  if (const auto* axes = std::get_if<AxisList>(&parameter.value); axes != nullptr && form == ConfigForm::tf2) {
    if (!*axes) return false;
    throw InvalidArgument("TF 2's form has no input_axes and output_axes: " + std::string(class_name) +
                          " with axes can only be written in Keras 3's form");
  }
  // Keras 3 reads Identity's gain but does not write it; it is written unless it is the default.
  if (parameter.name == "gain" && class_name == "Identity" && form == ConfigForm::keras3)
    return std::get<double>(parameter.value) != 1;
  return parameter.is_stated;
}

// Nested lists.
Json json_of(const Table& array) {
  Json flat = array.values;
  for (std::size_t axis = array.shape.size(); axis-- > 1;) {
    Json rows = Json::array();
    const auto extent = static_cast<std::size_t>(array.shape[axis]);
    for (std::size_t at = 0; at < flat.size(); at += extent) {
      Json row = Json::array();
      for (std::size_t k = 0; k < extent; ++k) row.push_back(std::move(flat[at + k]));
      rows.push_back(std::move(row));
    }
    flat = std::move(rows);
  }
  return flat;
}

bool is_count(std::string_view name) { return name == "groups" || name == "gate" || name == "gates"; }

Json json_of(const Parameter& parameter) {
  if (const auto* axes = std::get_if<AxisList>(&parameter.value)) return *axes ? Json(**axes) : Json();
  if (const auto* text = std::get_if<std::string_view>(&parameter.value)) return *text;
  if (const auto* constant = std::get_if<ConstantValue>(&parameter.value)) {
    if (!constant->json.empty()) return parse_json(constant->json);
    return constant->number ? Json(*constant->number) : json_of(*constant->array->table());
  }
  if (const auto* optional = std::get_if<std::optional<double>>(&parameter.value)) {
    return *optional ? Json(**optional) : Json();
  }
  if (const auto* expression = std::get_if<ExpressionValue>(&parameter.value)) return expression->text;
  if (const auto* constants = std::get_if<ComputedValue::Constants>(&parameter.value)) {
    Json object = Json::object();
    for (const auto& [name, value] : *constants) object[name] = value;
    return object;
  }
  if (const auto* flag = std::get_if<bool>(&parameter.value)) return *flag;
  if (const auto* text = std::get_if<std::optional<std::string_view>>(&parameter.value)) {
    return *text ? Json(**text) : Json();
  }
  if (const auto* window = std::get_if<WindowValue>(&parameter.value)) {
    if (window->name) return *window->name;
    return window->values.empty() ? Json() : Json(window->values);
  }
  const double number = std::get<double>(parameter.value);
  if (is_count(parameter.name)) return static_cast<std::int64_t>(number);  // a whole number, which the class checks
  const bool is_no_bound = std::isinf(number) && (parameter.name == "lower" || parameter.name == "upper");
  return is_no_bound ? Json() : Json(number);
}

}  // namespace

Initializer read_initializer(const Json& json) {
  return in_default_fp_environment([&]() -> Initializer {
    if (json.is_string()) return make(json.get<std::string>());
    if (json.is_object()) return read_object(json);
    throw InvalidArgument("Could not interpret initializer identifier: " + shown_json(json) +
                          ". Give a name or an object with \"class_name\" and \"config\"");
  });
}

Initializer read_config(std::string_view class_name, const Json& json) {
  return in_default_fp_environment([&] { return read_inner(class_named(class_name), json); });
}

Json config_of(const Initializer& initializer, ConfigForm form) {
  if (form != ConfigForm::keras3 && form != ConfigForm::tf2) {
    throw InvalidArgument("form number " + std::to_string(static_cast<int>(form)) + " does not exist");
  }
  const Scheme& scheme = Access::scheme(initializer);
  Json parameters = Json::object();
  for (const Parameter& parameter : scheme.parameters()) {
    if (is_written(parameter, form, scheme.class_name())) parameters[std::string(parameter.name)] = json_of(parameter);
  }
  if (!scheme.is_random()) return parameters;

  const Seed& seed = initializer.seed();
  Json seed_json;  // null: drawn
  if (seed.kind() == Seed::Kind::fixed || (seed.kind() == Seed::Kind::sequence && form == ConfigForm::tf2)) {
    seed_json = seed.value();  // to TF 2.7, a plain seed is a sequence
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

}  // namespace fanin::detail
