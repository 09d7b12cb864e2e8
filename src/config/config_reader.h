// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "config/json_text.h"
#include "fanin/seed.h"
#include "formulas/scheme.h"

namespace fanin::detail {

// Reads the keys of an inner configuration and checks their types. All functions throw InvalidArgument.
class ConfigReader {
 public:
  // null counts as {}. A "dtype" (TF 1) is ignored, as in TF 2.
  ConfigReader(std::string_view class_name, Json config);

  bool has(std::string_view key) const { return config_.contains(std::string(key)); }

  // Replaces the parameter's default if the configuration has its key. Its text lives as long as this reader.
  void read(Parameter& parameter);

  // The seed: fixed for an integer or Boolean, a sequence for Keras 3's SeedGenerator, drawn for null or no key.
  Seed seed();

  // Throws for keys that were not read.
  void finish() const;

 private:
  // The value, or null for an absent key. Counts the key as known.
  const Json* find(const std::string& key);
  [[noreturn]] void refuse(const std::string& key, const std::string& wanted) const;
  ConstantValue constant(const Json& value) const;
  WindowValue window(const std::string& key, const Json& value) const;
  std::string expression(const std::string& key, const Json& value) const;
  ComputedValue::Constants constants(const std::string& key, const Json& value) const;
  AxisList axes(const std::string& key, const Json& value) const;

  std::string class_name_;
  Json config_;
  std::vector<std::string> known_;
};

}  // namespace fanin::detail
