// SPDX-License-Identifier: Apache-2.0
#include "fanin/model_spec.h"

#include <algorithm>

#include "base/text.h"
#include "config/json_text.h"
#include "config/keras_json.h"
#include "fanin/error.h"
#include "model/name_pattern.h"

namespace fanin {

namespace {

using detail::Json;

// Returns f(). Errors get the part of the specification as a prefix.
template <class F>
auto with_context(const std::string& part, const F& f) {
  try {
    return f();
  } catch (const InvalidArgument& error) {
    throw InvalidArgument(part + ": " + error.what());
  }
}

void check_keys(const Json& object, const std::vector<std::string>& allowed) {
  if (!object.is_object()) throw InvalidArgument("expected an object. Received: " + detail::dump_json(object));
  for (const auto& item : object.items()) {
    if (std::find(allowed.begin(), allowed.end(), item.key()) != allowed.end()) continue;
    throw InvalidArgument("unknown key \"" + item.key() + "\"; it can have " + detail::list_of(allowed) + "." +
                          detail::suggestion(item.key(), allowed));
  }
}

std::string text_at(const Json& object, const char* key, const std::string& fallback) {
  if (!object.contains(key)) return fallback;
  if (!object[key].is_string()) {
    throw InvalidArgument(std::string("\"") + key + "\" must be a string. Received: " + detail::dump_json(object[key]));
  }
  return object[key].get<std::string>();
}

Shape shape_of(const Json& json) {
  const auto refuse = [&] {
    throw InvalidArgument("a shape is a list of integers. Received: " + detail::dump_json(json));
  };
  if (!json.is_array()) refuse();
  Shape shape;
  for (const Json& extent : json) {
    if (!extent.is_number_integer()) refuse();
    shape.push_back(extent.get<std::int64_t>());
  }
  element_count(shape);  // throws for invalid extents
  return shape;
}

// The initializer of a rule, with the model's seed unless the rule has its own.
Initializer initializer_of(const Json& json, std::uint64_t seed) {
  Initializer initializer = detail::read_initializer(json);
  switch (initializer.seed().kind()) {
    case Seed::Kind::none:
      return initializer.with_seed(seed);
    case Seed::Kind::sequence:
      throw InvalidArgument(
          "a rule serves many tensors, which their names keep apart: a SeedGenerator has no meaning here");
    case Seed::Kind::fixed:
      break;
  }
  return initializer;
}

struct Rule {
  detail::NamePattern pattern;
  Initializer initializer;
  bool used;
};

std::vector<Rule> rules_of(const Json& json, std::uint64_t seed) {
  if (!json.is_array()) throw InvalidArgument("\"rules\" must be a list");
  std::vector<Rule> rules;
  for (const Json& rule : json) {
    rules.push_back(with_context("rule " + std::to_string(rules.size() + 1), [&] {
      check_keys(rule, {"match", "initializer"});
      if (!rule.contains("match") || !rule.contains("initializer")) {
        throw InvalidArgument("a rule needs \"match\" and \"initializer\". Received: " + detail::dump_json(rule));
      }
      return Rule{detail::NamePattern(text_at(rule, "match", ""), detail::NamePattern::Globs::allowed),
                  initializer_of(rule["initializer"], seed), false};
    }));
  }
  return rules;
}

}  // namespace

TensorOptions ModelPart::options() const {
  TensorOptions options;
  options.name = name;
  options.layout = layout;
  return options;
}

Description describe(const ModelPart& part) {
  if (!part.initializer) throw InvalidArgument("The values of \"" + part.name + "\" are loaded, not drawn");
  return part.initializer->describe(part.shape, part.layout);
}

ModelSpec parse_model_spec(std::string_view text, std::uint64_t seed, const ModelSpecOptions& options) {
  const Json json = detail::parse_json(text);
  check_keys(json, {"name", "source", "dtype", "layout", "tensors", "rules"});
  if (!json.contains("tensors") || !json["tensors"].is_object() || !json.contains("rules")) {
    throw InvalidArgument(
        "A model's specification needs \"tensors\", an object of shapes by name, and \"rules\", a list");
  }
  const std::string dtype = options.dtype ? std::string(name_of(*options.dtype)) : text_at(json, "dtype", "float32");
  const std::string layout = text_at(json, "layout", "hwio");
  std::vector<Rule> rules = rules_of(json["rules"], seed);

  ModelSpec spec;
  spec.name = text_at(json, "name", "model");
  for (const auto& item : json["tensors"].items()) {
    with_context("tensor \"" + item.key() + "\"", [&] {
      Json tensor = item.value();
      if (tensor.is_array()) tensor = Json{{"shape", tensor}};
      check_keys(tensor, {"shape", "dtype", "layout"});
      if (!tensor.contains("shape")) throw InvalidArgument("a tensor needs a \"shape\"");
      const Rule* rule = nullptr;
      for (Rule& candidate : rules) {
        if (!candidate.pattern.match(item.key())) continue;
        candidate.used = true;
        if (rule == nullptr) rule = &candidate;
      }
      if (rule == nullptr) throw InvalidArgument("no rule matches it; a last rule {\"match\": \"*\", ...} would");
      if (item.key() == "__metadata__") throw InvalidArgument("the safetensors format reserves this name");
      ModelTensor made;
      made.name = item.key();
      made.entry = spec.entries.size();
      spec.entries.push_back({made.name, {}});
      made.shape = shape_of(tensor["shape"]);
      made.dtype = parse_dtype(text_at(tensor, "dtype", dtype));
      ModelPart part;
      part.name = made.name;
      part.shape = made.shape;
      part.layout = parse_layout(text_at(tensor, "layout", layout));
      part.initializer = rule->initializer;
      part.rule = static_cast<std::size_t>(rule - rules.data());
      part.size = made.shape.empty() ? 1 : static_cast<std::uint64_t>(made.shape[0]);
      made.parts.push_back(std::move(part));
      spec.tensors.push_back(std::move(made));
      return 0;
    });
  }
  for (const Rule& rule : rules) {
    spec.rules.push_back(rule.pattern.text());
    if (!rule.used) spec.notes.push_back("no tensor matches the rule \"" + rule.pattern.text() + "\"");
  }
  return spec;
}

}  // namespace fanin
