// SPDX-License-Identifier: Apache-2.0
#include "model/rule.h"

#include <algorithm>
#include <iterator>

#include "api/access.h"
#include "base/text.h"
#include "config/keras_classes.h"
#include "config/keras_json.h"
#include "fanin/config.h"
#include "fanin/error.h"

namespace fanin::detail {

namespace {

// The class's parameters that can be numbers, and the seed.
std::vector<std::string> number_parameters(const std::string& class_name) {
  std::vector<std::string> names{"seed"};
  const Initializer defaults = class_named(class_name).with_defaults();
  for (const Parameter& parameter : Access::scheme(defaults).parameters()) {
    if (can_be_number(parameter)) names.emplace_back(parameter.name);
  }
  return names;
}

// The words of an expression: variables and functions.
std::vector<std::string> words_of(const std::string& text) {
  std::vector<std::string> words;
  for (std::size_t at = 0; at < text.size();) {
    std::size_t end = at;
    while (end < text.size() && is_name_part(text[end])) ++end;
    const bool is_number = is_digit(text[at]);
    if (end > at && !is_number) words.push_back(text.substr(at, end - at));
    at = std::max(end, at + 1);
  }
  return words;
}

std::vector<std::int64_t> axes_of(const Place& place) {
  place.check_list("a list of axes, such as [-1]");
  std::vector<std::int64_t> axes;
  for (std::size_t j = 0; j < place.json().size(); ++j) axes.push_back(Number(place.at(j)).integer({}));
  return axes;
}

}  // namespace

// ---------------------------------------------------------------- initializers

InitializerTemplate::InitializerTemplate(const Place& place, const Scope& constants, std::uint64_t seed)
    : place_(place), seed_(seed) {
  const Json& json = place.json();
  if (json.is_object() && json.contains("class_name") && json["class_name"].is_string() && json.contains("config") &&
      json["config"].is_object()) {
    const auto numbers =
        place.at("class_name").with_errors([&] { return number_parameters(json["class_name"].get<std::string>()); });
    const Place config = place.at("config");
    for (const auto& item : config.json().items()) {
      if (!item.value().is_string() || std::find(numbers.begin(), numbers.end(), item.key()) == numbers.end()) continue;
      formulas_.emplace_back(item.key(), Number(config.at(item.key())));
    }
    const bool is_random =
        Access::scheme(class_named(json["class_name"].get<std::string>()).with_defaults()).is_random();
    needs_seed_ = is_random && (!config.has("seed") || config.json()["seed"].is_null());
    if (json["class_name"] == "Formula" && config.has("value") && config.json()["value"].is_string())
      words_ = words_of(config.at("value").text());
  }
  // Made here even if no tensor takes it, so that mistakes are found. A capture may hide a constant later.
  const auto is_constant = [&](const auto& formula) { return formula.second.depends_on_no_more_than(constants); };
  if (words_.empty() && std::all_of(formulas_.begin(), formulas_.end(), is_constant)) {
    Initializer initializer = make(constants);
    if (formulas_.empty()) fixed_ = std::move(initializer);
  }
  layout_ =
      Access::scheme(fixed_ ? *fixed_ : class_named(json["class_name"].get<std::string>()).with_defaults()).layout();
}

Initializer InitializerTemplate::make(const Scope& scope) const {
  if (fixed_) return *fixed_;
  if (formulas_.empty() && words_.empty()) return read(place_.json());
  Json numbers = Json::array();  // the formulas' values, and the constants' of a Formula
  for (const auto& [key, number] : formulas_) {
    numbers.push_back(key == "seed" ? Json(number.integer(scope)) : Json(number.value(scope)));
  }
  for (const std::string& word : words_) {
    const double* known = scope.number(word);
    numbers.push_back(known == nullptr ? Json() : Json(*known));
  }
  std::string key = dump_json(numbers);  // which keeps the sign of 0
  const auto made = made_.find(key);
  if (made != made_.end()) return made->second;

  Json json = place_.json();
  Json& config = json["config"];
  if (needs_seed_) config["seed"] = seed_;  // because drawing one takes longer than all the rest
  std::size_t next = 0;
  for (const auto& formula : formulas_) config[formula.first] = numbers[next++];
  for (const std::string& word : words_) {
    const Json& value = numbers[next++];
    if (value.is_null()) continue;
    if (!config.contains("constants")) config["constants"] = Json::object();
    if (!config["constants"].contains(word)) config["constants"][word] = value;
  }
  Initializer initializer = read(json);
  made_.emplace(std::move(key), initializer);
  return initializer;
}

Initializer InitializerTemplate::read(const Json& json) const {
  try {
    if (json.is_string()) return fanin::make(json.get<std::string>(), seed_);
    Initializer initializer = read_initializer(json);
    switch (initializer.seed().kind()) {
      case Seed::Kind::none:
        return initializer.with_seed(seed_);
      case Seed::Kind::sequence:
        throw InvalidArgument(
            "a rule serves many tensors, which their names keep apart: the `seed` must be a number, not a "
            "SeedGenerator");
      case Seed::Kind::fixed:
        break;
    }
    return initializer;
  } catch (const InvalidArgument& error) {
    // Messages have a parameter's name in backquotes.
    const std::string what = error.what();
    const std::size_t begin = what.find('`');
    const std::size_t end = what.find('`', begin + 1);
    if (end != std::string::npos && place_.json().is_object() && place_.has("config")) {
      const Place config = place_.at("config");
      const std::string name = what.substr(begin + 1, end - begin - 1);
      if (config.json().is_object() && config.has(name.c_str())) config.at(name).refuse(what);
    }
    place_.refuse(what);
  }
}

std::string InitializerTemplate::explanation(const Scope& scope) const {
  std::string text;
  for (const auto& [key, number] : formulas_) {
    text += (text.empty() ? "" : "; ") + key + " = " + number.formula() + " = " + to_text(number.value(scope));
  }
  return text;
}

// ---------------------------------------------------------------- fans

std::vector<std::string> FanRule::keys() {
  return {"layout", "input_axes", "output_axes", "batch_axes", "groups", "transposed", "fan_in", "fan_out", "fan_of"};
}

FanRule::FanRule(const Place& place) : place_(place) {
  const auto add = [&](const std::string& text) { explanation_ += (explanation_.empty() ? "" : ", ") + text; };
  const auto number = [&](const char* key, std::optional<Number>& to) {
    if (!place.has(key)) return;
    to.emplace(place.at(key));
    add(std::string(key) + " = " + (to->formula().empty() ? dump_json(place.json()[key]) : to->formula()));
  };
  const auto axes = [&](const char* key) {
    add(std::string(key) + " " + dump_json(place.json()[key]));
    return axes_of(place.at(key));
  };
  if (place.has("layout")) {
    layout_ = place.at("layout").parsed([](const std::string& text) { return AxisOrder(text); });
  }
  if (place.has("input_axes") != place.has("output_axes")) {
    place.refuse("\"input_axes\" and \"output_axes\" belong together; the other one is missing");
  }
  if (place.has("input_axes")) {
    for (const char* key : {"layout", "batch_axes", "groups", "transposed"}) {
      if (place.has(key))
        place.refuse(std::string("\"input_axes\" and \"output_axes\" leave nothing to \"") + key + "\"");
    }
    axes_.input = axes("input_axes");
    axes_.output = axes("output_axes");
  }
  if (place.has("batch_axes")) kernel_.batch_axes = axes("batch_axes");
  number("groups", groups_);
  if (place.has("transposed") && (kernel_.is_transposed = place.at("transposed").boolean())) add("transposed");
  number("fan_in", fan_in_);
  number("fan_out", fan_out_);
  if (place.has("fan_of")) {
    const Place other = place.at("fan_of");
    for (const std::string& key : keys()) {
      if (key != "fan_of" && place.has(key.c_str())) {
        place.refuse("\"fan_of\" takes the other tensor's fans as they are and leaves nothing to \"" + key + "\"");
      }
    }
    fan_of_.emplace(other.text(), NamePattern::Globs::none);
    add("fans of " + other.text());
  }
}

Fans FanRule::fans(const Shape& shape, const AxisOrder& order, const Scope& scope) const {
  KernelOptions kernel = kernel_;
  if (groups_) kernel.groups = groups_->integer(scope);
  Fans fans = place_.with_errors(
      [&] { return axes_.input ? compute_fans(shape, Layout::hwio, axes_) : fans_of(shape, order, kernel); });
  const auto replace = [&](const std::optional<Number>& number, const char* key, std::uint64_t& fan) {
    if (!number) return;
    const std::int64_t value = number->integer(scope);
    if (value < 0) place_.at(key).refuse("a fan must not be negative. It is " + std::to_string(value));
    fan = static_cast<std::uint64_t>(value);
  };
  replace(fan_in_, "fan_in", fans.fan_in);
  replace(fan_out_, "fan_out", fans.fan_out);
  return fans;
}

// ---------------------------------------------------------------- rules

Rule::Rule(const Place& place, const std::string& match)
    : place_(place), pattern_(match, NamePattern::Globs::allowed), fans_(place) {}

Rule Rule::of_model(const Place& place, const Scope& constants, std::uint64_t seed, bool classes_are_known) {
  std::vector<std::string> keys{"match", "class", "initializer",  "load",    "shape",
                                "rank",  "dtype", "output_scale", "rounding"};
  for (std::string& key : FanRule::keys()) keys.push_back(std::move(key));
  if (place.json().is_object() && place.has("class") && !classes_are_known) {
    place.at("class").refuse("rules by a module's class work from Python, where there are modules; match names here");
  }
  place.check_object(keys);
  if (!place.has("match") && !place.has("class")) {
    place.refuse("a rule needs \"match\", a pattern of names such as \"*.weight\"");
  }
  if (place.has("initializer") == place.has("load")) {
    place.refuse("a rule has either \"initializer\" or \"load\". Received: " +
                 std::string(place.has("load") ? "both" : "neither"));
  }
  Rule rule(place, place.has("match") ? place.at("match").text() : "*");
  if (place.has("class")) {
    const Place of = place.at("class");
    rule.class_.emplace(of.text(), NamePattern::Globs::allowed);
    if (!rule.class_->captures().empty()) of.refuse("a class's name has no captures; * and ? stand for characters");
  }
  for (const std::string& capture : rule.pattern_.captures()) {
    check_variable(place.at("match"), capture);
    const std::string& text = rule.pattern_.text();
    const std::size_t first = std::min(text.find("{" + capture + "}"), text.find("{" + capture + "*}"));
    if (std::min(text.find("{" + capture + "}", first + 1), text.find("{" + capture + "*}", first + 1)) !=
        std::string::npos) {
      place.at("match").refuse("the capture {" + capture + "} occurs twice; give the second one another name");
    }
  }
  if (place.has("dtype")) {
    rule.dtype_ = place.at("dtype").parsed(parse_dtype);
  }
  if (place.has("rank")) rule.rank_.emplace(place.at("rank"));
  if (place.has("shape")) {
    const Place shape = place.at("shape");
    shape.check_list("a list of extents, null for any");
    rule.shape_.emplace();
    for (std::size_t j = 0; j < shape.json().size(); ++j) {
      rule.shape_->push_back(shape.json()[j].is_null() ? std::nullopt : std::optional<Number>(shape.at(j)));
    }
  }
  for (const char* key : {"output_scale", "rounding"}) {
    if (place.has("load") && place.has(key)) place.at(key).refuse("loaded values are not converted");
  }
  if (place.has("output_scale")) rule.output_scale_.emplace(place.at("output_scale"));
  if (place.has("rounding")) rule.rounding_ = place.at("rounding").parsed(parse_rounding);
  if (place.has("load")) {
    rule.load_ = place.at("load");
    if (rule.load_->json().is_object()) {
      rule.load_->check_object({"file", "name"});
      if (!rule.load_->has("file")) rule.load_->refuse("the \"file\" is missing");
      rule.load_->at("file").text();
    } else if (!rule.load_->json().is_string()) {
      rule.load_->refuse_value("expected a safetensors file's name, or an object with \"file\" and \"name\"");
    }
  } else {
    rule.initializer_.emplace(place.at("initializer"), constants, seed);
  }
  return rule;
}

bool Rule::takes(const Shape& shape, const std::vector<std::string>& classes, const Scope& scope) const {
  const auto has_name = [&](const std::string& name) { return class_->match(name).has_value(); };
  if (class_ && std::none_of(classes.begin(), classes.end(), has_name)) return false;
  if (rank_ && rank_->integer(scope) != static_cast<std::int64_t>(shape.size())) return false;
  if (!shape_) return true;
  if (shape_->size() != shape.size()) return false;
  for (std::size_t j = 0; j < shape.size(); ++j) {
    if ((*shape_)[j] && (*shape_)[j]->integer(scope) != shape[j]) return false;
  }
  return true;
}

}  // namespace fanin::detail
