// SPDX-License-Identifier: Apache-2.0
#include "model/place.h"

#include <algorithm>
#include <optional>

#include "base/text.h"

namespace fanin::detail {

namespace {

// A key in a path: word, or ["two words"].
std::string key_text(const std::string& key) {
  const bool is_word = !key.empty() && std::all_of(key.begin(), key.end(), is_name_part);
  return is_word ? key : "[" + dump_json(key) + "]";
}

// The way from one value to another inside it: "rules[3].match", or none.
std::optional<std::string> path_of(const Json& from, const Json& to) {
  if (&from == &to) return "";
  if (!from.is_structured()) return std::nullopt;
  std::size_t number = 0;
  for (const auto& item : from.items()) {
    if (const auto rest = path_of(item.value(), to)) {
      const std::string step = from.is_array() ? "[" + std::to_string(number) + "]" : key_text(item.key());
      const bool needs_dot = !rest->empty() && rest->front() != '[';
      return step + (needs_dot ? "." : "") + *rest;
    }
    ++number;
  }
  return std::nullopt;
}

}  // namespace

void Place::refuse(const std::string& what) const {
  const std::string path = path_of(document_->json, *json_).value_or("");
  throw Placed(document_->source + ": " + path + (path.empty() ? "" : ": ") + what);
}

void Place::refuse_value(const std::string& what) const { refuse(what + ". Received: " + shown_json(*json_)); }

void Place::check_object(const std::vector<std::string>& keys) const {
  if (!json_->is_object()) refuse_value("expected an object with the keys " + list_of(keys));
  for (const auto& item : json_->items()) {
    if (std::find(keys.begin(), keys.end(), item.key()) != keys.end()) continue;
    refuse("unknown key \"" + item.key() + "\"; it can have " + list_of(keys) + "." + suggestion(item.key(), keys));
  }
}

void Place::check_list(const std::string& what) const {
  if (!json_->is_array()) refuse_value("expected " + what);
}

const std::string& Place::text() const {
  if (!json_->is_string()) refuse_value("expected a string");
  return json_->get_ref<const std::string&>();
}

bool Place::boolean() const {
  if (!json_->is_boolean()) refuse_value("expected true or false");
  return json_->get<bool>();
}

}  // namespace fanin::detail
