// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/json_text.h"
#include "fanin/fans.h"
#include "fanin/seed.h"

namespace fanin::detail {

// Reads the keys of one inner configuration, each with its type checked. All throw InvalidArgument.
class ConfigReader {
 public:
  // null counts as {}. A "dtype" (TF 1) is passed over, as TF 2 does. Without a seed_if_absent one is drawn.
  ConfigReader(std::string_view class_name, Json config, std::optional<Seed> seed_if_absent = std::nullopt);

  bool has(const std::string& key) const { return config_.contains(key); }
  double number(const std::string& key, double otherwise);
  // null: `missing`.
  double bound(const std::string& key, double otherwise, double missing);
  std::string text(const std::string& key, std::string_view otherwise);
  Json value(const std::string& key, const Json& otherwise);
  // null: none; an integer or Boolean: fixed; Keras 3's SeedGenerator: sequence.
  Seed seed();
  FanAxes axes();

  // Refuses keys that nobody asked for.
  void finish() const;

 private:
  // The value, or null for an absent key; the key then counts as known.
  const Json* find(const std::string& key);
  [[noreturn]] void refuse(const std::string& key, const std::string& wanted) const;
  std::optional<std::vector<std::int64_t>> axis_list(const std::string& key);

  std::string class_name_;
  Json config_;
  std::optional<Seed> seed_if_absent_;
  std::vector<std::string> known_;
};

}  // namespace fanin::detail
