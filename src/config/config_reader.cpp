// SPDX-License-Identifier: Apache-2.0
#include "config/config_reader.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "base/text.h"
#include "fanin/error.h"

namespace fanin::detail {

namespace {

Seed seed_of(const Json& value, const std::string& owner) {
  const auto refuse = [&]() {
    throw InvalidArgument(
        "The `seed` of " + owner +
        " must be an integer from 0 to 2^64 - 1, null or a SeedGenerator. Received: seed=" + dump_json(value));
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

}  // namespace

ConfigReader::ConfigReader(std::string_view class_name, Json config, std::optional<Seed> seed_if_absent)
    : class_name_(class_name), config_(std::move(config)), seed_if_absent_(std::move(seed_if_absent)) {
  if (config_.is_null()) config_ = Json::object();
  if (!config_.is_object()) {
    throw InvalidArgument("The config of " + class_name_ + " must be an object. Received: " + dump_json(config_));
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
                        dump_json(config_[key]));
}

double ConfigReader::number(const std::string& key, double otherwise) {
  const Json* value = find(key);
  if (value == nullptr) return otherwise;
  double number = 0;
  if (!number_of(*value, number)) refuse(key, "a number");
  return number;
}

double ConfigReader::bound(const std::string& key, double otherwise, double missing) {
  const auto at = config_.find(key);
  if (at == config_.end() || !at->is_null()) return number(key, otherwise);
  known_.push_back(key);
  return missing;
}

std::string ConfigReader::text(const std::string& key, std::string_view otherwise) {
  const Json* value = find(key);
  if (value == nullptr) return std::string(otherwise);
  if (!value->is_string()) refuse(key, "a string");
  return value->get<std::string>();
}

Json ConfigReader::value(const std::string& key, const Json& otherwise) {
  const Json* value = find(key);
  return value == nullptr ? otherwise : *value;
}

Seed ConfigReader::seed() {
  const Json* value = find("seed");
  if (value != nullptr) return seed_of(*value, class_name_);
  return seed_if_absent_ ? *seed_if_absent_ : Seed();
}

FanAxes ConfigReader::axes() {
  FanAxes axes;
  axes.input = axis_list("input_axes");
  axes.output = axis_list("output_axes");
  return axes;
}

std::optional<std::vector<std::int64_t>> ConfigReader::axis_list(const std::string& key) {
  const Json* value = find(key);
  if (value == nullptr || value->is_null()) return std::nullopt;
  if (!value->is_array()) refuse(key, "null or a list of integers");
  std::vector<std::int64_t> axes;
  for (const Json& axis : *value) {
    if (!axis.is_number_integer()) refuse(key, "null or a list of integers");
    axes.push_back(axis.get<std::int64_t>());
  }
  return axes;
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
