// SPDX-License-Identifier: Apache-2.0
#include "config/config_reader.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <optional>
#include <utility>
#include <variant>

#include "base/text.h"
#include "fanin/error.h"
#include "formulas/scheme_parts.h"

namespace fanin::detail {

namespace {

Seed seed_of(const Json& value, const std::string& owner) {
  const auto refuse = [&]() {
    throw InvalidArgument(
        "The `seed` of " + owner +
        " must be an integer from 0 to 2^64 - 1, null or a SeedGenerator. Received: seed=" + shown_json(value));
  };
  if (value.is_null()) return {};
  if (value.is_boolean()) return {value.get<bool>() ? 1 : 0};
  if (value.is_number_unsigned()) return {value.get<std::uint64_t>()};
  if (value.is_number_integer()) return {value.get<std::int64_t>()};  // negative: refused with a hint
  if (!value.is_object() || !value.contains("class_name") || value["class_name"] != "SeedGenerator") refuse();
  const Json config = value.value("config", Json::object());
  if (!config.is_object() || !config.contains("seed")) refuse();
  const Seed inner = seed_of(config["seed"], owner);
  if (inner.kind() == Seed::Kind::sequence) refuse();
  const Json name = config.value("name", Json("seed_generator"));
  if (!name.is_string()) refuse();
  return Seed::sequence(inner.value(), name.get<std::string>());
}

// The value of an array or tensor as Keras serializes it, or the value itself.
const Json& array_in(const Json& value) {
  if (!value.is_object() || !value.contains("class_name") || !value.contains("config")) return value;
  const Json& name = value["class_name"];
  const Json& config = value["config"];
  const bool is_array = name == "__numpy__" || name == "__tensor__";
  return is_array && config.is_object() && config.contains("value") ? config["value"] : value;
}

// Appends the numbers of nested lists, of equal lengths at each depth. Returns whether they are that, and not empty.
bool read_array(const Json& value, Table& array, std::size_t depth) {
  double number = 0;
  if (number_of(value, number, true)) {
    array.values.push_back(number);
    return depth == array.shape.size();
  }
  if (!value.is_array() || value.empty()) return false;
  const auto extent = static_cast<std::int64_t>(value.size());
  if (array.values.empty() && depth == array.shape.size()) array.shape.push_back(extent);
  if (depth >= array.shape.size() || array.shape[depth] != extent) return false;
  return std::all_of(value.begin(), value.end(),
                     [&](const Json& inner) { return read_array(inner, array, depth + 1); });
}

}  // namespace

ConfigReader::ConfigReader(std::string_view class_name, Json config)
    : class_name_(class_name), config_(std::move(config)) {
  if (config_.is_null()) config_ = Json::object();
  if (!config_.is_object()) {
    throw InvalidArgument("The config of " + class_name_ + " must be an object. Received: " + shown_json(config_));
  }
  config_.erase("dtype");
}

const Json* ConfigReader::find(const std::string& key) {
  known_.push_back(key);
  const auto at = config_.find(key);
  return at == config_.end() ? nullptr : &*at;
}

void ConfigReader::refuse(const std::string& key, const std::string& wanted) const {
  throw InvalidArgument("The `" + key + "` of " + class_name_ + " must be " + wanted + ". Received: " + key + "=" +
                        shown_json(config_[key]));
}

void ConfigReader::read(Parameter& parameter) {
  const std::string key(parameter.name);
  const Json* value = find(key);
  if (value == nullptr) {
    if (!std::holds_alternative<ExpressionValue>(parameter.value)) return;
    throw InvalidArgument(class_name_ + " needs a \"" + key + "\", for example \"log(i[1] + 1)\"");
  }
  parameter.is_stated = true;
  if (std::holds_alternative<AxisList>(parameter.value)) {
    parameter.value = axes(key, *value);
  } else if (std::holds_alternative<std::string_view>(parameter.value)) {
    if (!value->is_string()) refuse(key, "a string");
    parameter.value = std::string_view(value->get_ref<const std::string&>());
  } else if (std::holds_alternative<ConstantValue>(parameter.value)) {
    parameter.value = constant(*value);
  } else if (auto* optional = std::get_if<std::optional<double>>(&parameter.value)) {
    double number = 0;
    if (!value->is_null() && !number_of(*value, number)) refuse(key, "a number or null");
    *optional = value->is_null() ? std::nullopt : std::optional<double>(number);
  } else if (std::holds_alternative<ExpressionValue>(parameter.value)) {
    parameter.value = ExpressionValue{expression(key, *value), nullptr};
  } else if (std::holds_alternative<ComputedValue::Constants>(parameter.value)) {
    parameter.value = constants(key, *value);
  } else if (std::holds_alternative<bool>(parameter.value)) {
    if (!value->is_boolean()) refuse(key, "true or false");
    parameter.value = value->get<bool>();
  } else if (std::holds_alternative<std::optional<std::string_view>>(parameter.value)) {
    if (!value->is_string() && !value->is_null()) refuse(key, "a string or null");
    std::optional<std::string_view> text;
    if (value->is_string()) text = value->get_ref<const std::string&>();
    parameter.value = text;
  } else if (std::holds_alternative<WindowValue>(parameter.value)) {
    parameter.value = window(key, *value);
  } else {
    double number = 0;
    if (value->is_null() && key == "lower") {
      number = -std::numeric_limits<double>::infinity();
    } else if (value->is_null() && key == "upper") {
      number = std::numeric_limits<double>::infinity();
    } else if (!number_of(*value, number)) {
      refuse(key, "a number");
    }
    parameter.value = number;
  }
}

ConstantValue ConfigReader::constant(const Json& value) const {
  double number = 0;
  if (number_of(value, number, true)) return {number, dump_json(value), nullptr};
  if (!value.is_array() && !value.is_object()) {
    throw InvalidArgument("Argument `value` must be a number or an array. Received: value=" + shown_json(value));
  }
  Table array{"value", {}, {}};
  const bool is_array = read_array(array_in(value), array, 0) && array.shape.size() <= ComputedValue::max_axes;
  return {std::nullopt, dump_json(value), is_array ? array_value(std::move(array)) : nullptr};
}

WindowValue ConfigReader::window(const std::string& key, const Json& value) const {
  if (value.is_null()) return {};
  if (value.is_string()) return {value.get<std::string>(), {}};
  Table array{"window", {}, {}};
  if (!read_array(array_in(value), array, 0) || array.shape.size() != 1) {
    refuse(key, "a window's name, a list of numbers, or null");
  }
  return {std::nullopt, std::move(array.values)};
}

std::string ConfigReader::expression(const std::string& key, const Json& value) const {
  double number = 0;
  if (number_of(value, number)) return to_text(number);
  if (!value.is_string()) refuse(key, "an expression, as a string, or a number");
  return value.get<std::string>();
}

ComputedValue::Constants ConfigReader::constants(const std::string& key, const Json& value) const {
  ComputedValue::Constants constants;
  if (value.is_null()) return constants;
  if (!value.is_object()) refuse(key, "an object of numbers, such as {\"base\": 10000}");
  for (const auto& item : value.items()) {
    double number = 0;
    if (!number_of(item.value(), number)) refuse(key, "an object of numbers, such as {\"base\": 10000}");
    constants.emplace_back(item.key(), number);
  }
  return constants;
}

AxisList ConfigReader::axes(const std::string& key, const Json& value) const {
  if (value.is_null()) return std::nullopt;
  if (!value.is_array()) refuse(key, "null or a list of integers");
  std::vector<std::int64_t> axes;
  for (const Json& axis : value) {
    constexpr std::uint64_t most = std::numeric_limits<std::int64_t>::max();
    const bool is_integer = axis.is_number_unsigned() ? axis.get<std::uint64_t>() <= most : axis.is_number_integer();
    if (!is_integer) refuse(key, "null or a list of integers");
    axes.push_back(axis.get<std::int64_t>());
  }
  return axes;
}

Seed ConfigReader::seed() {
  const Json* value = find("seed");
  return value != nullptr ? seed_of(*value, class_name_) : Seed();
}

void ConfigReader::finish() const {
  for (const auto& item : config_.items()) {
    if (std::find(known_.begin(), known_.end(), item.key()) != known_.end()) continue;
    throw InvalidArgument(class_name_ + " has no parameter \"" + item.key() + "\". " +
                          (known_.empty() ? "It has none." : "It has " + list_of(known_) + ".") +
                          suggestion(item.key(), known_));
  }
}

}  // namespace fanin::detail
