// SPDX-License-Identifier: Apache-2.0
#include "fanin/model_spec.h"

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <map>
#include <unordered_map>
#include <utility>

#include "api/access.h"
#include "base/text.h"
#include "config/json_text.h"
#include "fanin/error.h"
#include "fanin/safetensors.h"
#include "model/axis_order.h"
#include "model/name_pattern.h"
#include "model/number.h"
#include "model/place.h"
#include "model/rule.h"
#include "model/rule_list.h"
#include "model/tensor_entry.h"

namespace fanin {

namespace {

using detail::Access;
using detail::AxisOrder;
using detail::CaptureRange;
using detail::InitializerTemplate;
using detail::Json;
using detail::Loop;
using detail::NamePattern;
using detail::Number;
using detail::PartEntry;
using detail::Place;
using detail::Rule;
using detail::RuleChoice;
using detail::RuleList;
using detail::Scope;
using detail::TensorEntry;

// Where a part of the model comes from, until its initializer is chosen.
struct PartSource {
  const PartEntry* entry;  // null: the whole tensor
  std::vector<std::int64_t> captures;
};

struct DrawHash {
  std::size_t operator()(const std::pair<std::uint64_t, std::uint64_t>& draws) const {
    return static_cast<std::size_t>(draws.first * 0x9e3779b97f4a7c15u ^ draws.second);
  }
};

class Reader {
 public:
  Reader(const Json& json, std::uint64_t seed, const ModelSpecOptions& options)
      : document_{json, options.source}, root_(document_), seed_(seed), options_(options) {}

  ModelSpec read() {
    if (!root_.json().is_object()) root_.refuse_value("a model's specification is an object");
    root_.check_object({"$schema", "name", "source", "dtype", "layout", "constants", "tensors", "rules"});
    if (!root_.has("tensors") || !root_.has("rules")) {
      root_.refuse("a model's specification needs \"tensors\", an object of shapes by name, and \"rules\", a list");
    }
    spec_.name = root_.has("name") ? root_.at("name").text() : "model";
    if (root_.has("source")) root_.at("source").text();
    if (root_.has("layout")) {
      layout_ = root_.at("layout").parsed([](const std::string& text) { return AxisOrder(text); });
    }
    if (root_.has("dtype")) dtype_ = root_.at("dtype").parsed(parse_dtype);
    if (options_.dtype) dtype_ = *options_.dtype;
    read_constants();
    rules_.emplace(root_.at("rules"), constants_, seed_, options_.classes);
    for (std::size_t j = 0; j < rules_->size(); ++j) spec_.rules.push_back((*rules_)[j].pattern().text());
    read_tensors();
    add_ties();
    choose_initializers();
    spec_.notes = rules_->notes();
    return std::move(spec_);
  }

 private:
  void read_constants() {
    std::map<std::string, double> given;  // the last one of a name counts
    for (const auto& [name, value] : options_.constants) given[name] = value;
    std::vector<std::string> names;
    if (root_.has("constants")) {
      const Place constants = root_.at("constants");
      if (!constants.json().is_object()) constants.refuse_value("expected an object such as {\"layers\": 32}");
      for (const auto& item : constants.json().items()) {
        const Place place = constants.of(item.value());  // a search by key would take time linear in their number
        check_variable(place, item.key());
        names.push_back(item.key());
        const Number number(place);
        const auto replaced = given.extract(item.key());
        constants_.set(item.key(), replaced ? replaced.mapped() : number.value(constants_));
      }
    }
    if (given.empty()) return;
    const std::string& name = given.begin()->first;
    root_.refuse("there is no constant \"" + name + "\" to replace; " +
                 (names.empty() ? "there are none" : "the constants are " + detail::list_of(names)) + "." +
                 detail::suggestion(name, names));
  }

  void read_tensors() {
    const Place tensors = root_.at("tensors");
    if (!tensors.json().is_object()) tensors.refuse_value("expected an object of shapes by name");
    const std::size_t count = tensors.json().size();
    entries_.reserve(count);  // the parts' sources point to entries
    spec_.entries.reserve(count);
    spec_.tensors.reserve(count);
    sources_.reserve(count);
    names_.reserve(count);
    draws_.reserve(count);
    std::vector<const TensorEntry*> with_shape;  // all but ties
    with_shape.reserve(count);
    // A search by key would take time linear in the number of keys.
    for (const auto& item : tensors.json().items()) {
      const Place place = tensors.of(item.value());
      entries_.push_back(place.with_errors([&] { return tensor_entry(place, item.key(), constants_, seed_); }));
      const TensorEntry& entry = entries_.back();
      spec_.entries.push_back({item.key(), {}});
      for (const Loop& loop : entry.loops) spec_.entries.back().captures.push_back(loop.capture);
      if (!entry.tie) with_shape.push_back(&entry);
    }
    std::vector<std::int64_t> numbers;
    add_tensors(with_shape, constants_, numbers);
  }

  // Adds the tensors of entries whose first captures have these numbers. Entries in a row whose next capture has the
  // same name take turns: all tensors of layer 0 come before those of layer 1, as in the files of frameworks.
  void add_tensors(const std::vector<const TensorEntry*>& entries, const Scope& scope,
                   std::vector<std::int64_t>& numbers) {
    const std::size_t depth = numbers.size();
    for (std::size_t begin = 0; begin < entries.size();) {
      if (entries[begin]->loops.size() == depth) {
        add_tensor(*entries[begin++], scope, numbers);
        continue;
      }
      const std::string& capture = entries[begin]->loops[depth].capture;
      std::vector<CaptureRange> ranges;
      std::size_t end = begin;
      for (; end < entries.size() && entries[end]->loops.size() > depth; ++end) {
        const Loop& loop = entries[end]->loops[depth];
        if (loop.capture != capture) break;
        ranges.push_back(capture_range(loop, scope, counted_));
      }
      Scope inner(&scope);
      std::vector<const TensorEntry*> chosen;
      std::int64_t number = 0;
      while (next_number(ranges, number)) {
        chosen.clear();
        for (std::size_t j = 0; j < ranges.size(); ++j) {
          if (number >= ranges[j].first && number < ranges[j].end) chosen.push_back(entries[begin + j]);
        }
        inner.set(capture, static_cast<double>(number));
        numbers.push_back(number++);
        add_tensors(chosen, inner, numbers);
        numbers.pop_back();
      }
      begin = end;
    }
  }

  // Raises the number to the next one in any range. Returns whether there is one.
  static bool next_number(const std::vector<CaptureRange>& ranges, std::int64_t& number) {
    std::optional<std::int64_t> next;
    for (const CaptureRange& range : ranges) {
      const std::int64_t candidate = std::max(number, range.first);
      if (candidate < range.end && (!next || candidate < *next)) next = candidate;
    }
    if (next) number = *next;
    return next.has_value();
  }

  void add_tensor(const TensorEntry& entry, const Scope& scope, const std::vector<std::int64_t>& numbers) {
    ModelTensor tensor;
    tensor.name = detail::name_with(entry.name, entry.loops, numbers);
    tensor.entry = static_cast<std::size_t>(&entry - entries_.data());
    tensor.captures = numbers;
    const Place shape = entry.place.json().is_array() ? entry.place : entry.place.at("shape");
    tensor.shape = shape_of(entry.shape, shape, scope);
    add_name(entry, tensor.name, spec_.tensors.size());
    if (entry.parts.empty()) {
      ModelPart part;
      part.name = tensor.name;
      part.shape = tensor.shape;
      part.size = tensor.shape.empty() ? 1 : static_cast<std::uint64_t>(tensor.shape[0]);
      add_part(entry, tensor, std::move(part), {nullptr, {}});
    } else {
      add_parts(entry, tensor, scope);
    }
    spec_.tensors.push_back(std::move(tensor));
  }

  void add_name(const TensorEntry& entry, const std::string& name, std::size_t tensor) {
    if (!names_.emplace(name, tensor).second)
      entry.place.refuse("there are two tensors with the name \"" + name + "\"");
  }

  void add_part(const TensorEntry& entry, ModelTensor& tensor, ModelPart part, PartSource source) {
    if (sources_.size() == detail::max_parts) {
      entry.place.refuse("the model has more than " + std::to_string(detail::max_parts) + " tensors and parts");
    }
    tensor.parts.push_back(std::move(part));
    sources_.push_back(std::move(source));
  }

  void add_parts(const TensorEntry& entry, ModelTensor& tensor, const Scope& scope) {
    const auto rank = static_cast<std::int64_t>(tensor.shape.size());
    std::int64_t axis = entry.axis ? entry.axis->integer(scope) : 0;
    if (axis < -rank || axis >= rank) {
      const Place place = entry.place.has("axis") ? entry.place.at("axis") : entry.place;
      place.refuse("the axis " + std::to_string(axis) + " of the parts is outside shape " + to_string(tensor.shape));
    }
    if (axis < 0) axis += rank;
    tensor.axis = static_cast<int>(axis);
    const auto along = static_cast<std::size_t>(axis);
    const std::int64_t extent = tensor.shape[along];
    std::int64_t sum = 0;
    for (const PartEntry& source : entry.parts) {
      std::vector<std::int64_t> numbers;
      Scope inner(&scope);
      for_each(source.loops, inner, numbers, counted_, [&] {
        ModelPart part;
        part.name = source.name ? detail::name_with(*source.name, source.loops, numbers, entry.loops, tensor.captures)
                                : tensor.name + "[" + std::to_string(tensor.parts.size()) + "]";
        const std::int64_t size = source.size.integer(inner);
        if (size < 0 || size > extent - sum) {
          source.place.at("size").refuse("the part has " + std::to_string(size) + " of the " + std::to_string(extent) +
                                         " elements along axis " + std::to_string(axis) + ", of which " +
                                         std::to_string(extent - sum) + " are left");
        }
        sum += size;
        part.size = static_cast<std::uint64_t>(size);
        Shape stretch = tensor.shape;
        stretch[along] = size;
        part.shape = source.shape ? shape_of(*source.shape, source.place.at("shape"), inner) : stretch;
        if (element_count(part.shape) != element_count(stretch)) {
          source.place.at("shape").refuse("the part's shape " + to_string(part.shape) +
                                          " must have as many elements as its stretch of the tensor, " +
                                          to_string(stretch));
        }
        add_part(entry, tensor, std::move(part), {&source, numbers});
      });
    }
    if (sum != extent) {
      entry.place.at("parts").refuse("the parts have " + std::to_string(sum) + " of the " + std::to_string(extent) +
                                     " elements along axis " + std::to_string(axis));
    }
    if (tensor.parts.empty()) entry.place.at("parts").refuse("the tensor has no part: each is repeated 0 times");
  }

  void add_ties() {
    for (const TensorEntry& entry : entries_) {
      if (!entry.tie) continue;
      Scope scope(&constants_);
      std::vector<std::int64_t> numbers;
      for_each(entry.loops, scope, numbers, counted_, [&] {
        const std::string target = detail::name_with(*entry.tie, entry.loops, numbers);
        const auto at = names_.find(target);
        if (at == names_.end() || spec_.tensors[at->second].name != target) {
          entry.place.at("tie").refuse(
              (at == names_.end() ? "there is no tensor \"" : "a tie cannot follow the tie \"") + target +
              "\"; name a tensor that has a shape");
        }
        std::string name = detail::name_with(entry.name, entry.loops, numbers);
        add_name(entry, name, at->second);
        spec_.tensors[at->second].ties.push_back(std::move(name));
      });
    }
  }

  // ---------------------------------------------------------------- rules for tensors

  // The constants and the captures of a part.
  Scope scope_of(const ModelTensor& tensor, const PartSource& source) const {
    Scope scope(&constants_);
    const auto set = [&](const std::vector<Loop>& loops, const std::vector<std::int64_t>& numbers) {
      for (std::size_t j = 0; j < loops.size(); ++j) {
        scope.set(loops[j].capture, static_cast<double>(numbers[j]));
      }
    };
    set(entries_[tensor.entry].loops, tensor.captures);
    if (source.entry != nullptr) set(source.entry->loops, source.captures);
    return scope;
  }

  const AxisOrder& order_of(const ModelTensor& tensor, const Rule* rule, const InitializerTemplate* initializer) const {
    const TensorEntry& entry = entries_[tensor.entry];
    if (entry.layout) return *entry.layout;
    if (rule != nullptr && rule->fans().layout()) return *rule->fans().layout();
    if (layout_) return *layout_;
    return initializer != nullptr && initializer->layout() == Layout::oihw ? oihw_ : hwio_;
  }

  // The fans of the tensor that a rule names, as its own rule says.
  Fans fans_of_other(const Rule& rule, const std::string& name) {
    if (parts_by_name_.empty()) {
      std::size_t source = 0;
      for (std::size_t t = 0; t < spec_.tensors.size(); ++t) {
        const ModelTensor& tensor = spec_.tensors[t];
        for (std::size_t p = 0; p < tensor.parts.size(); ++p) {
          parts_by_name_.emplace(tensor.parts[p].name, PartNumber{t, p, source++});
        }
      }
    }
    const PartSource whole{nullptr, {}};
    const ModelTensor* tensor = nullptr;
    ModelPart part;
    const PartSource* source = &whole;
    if (const auto at = parts_by_name_.find(name); at != parts_by_name_.end()) {
      tensor = &spec_.tensors[at->second.tensor];
      part.name = tensor->parts[at->second.part].name;
      part.shape = tensor->parts[at->second.part].shape;
      source = &sources_[at->second.source];
    } else if (const auto named = names_.find(name); named != names_.end()) {
      tensor = &spec_.tensors[named->second];  // one with parts, or a tie
      part.name = tensor->name;
      part.shape = tensor->shape;
    } else {
      rule.place().at("fan_of").refuse("there is no tensor \"" + name + "\"");
    }
    Scope scope = scope_of(*tensor, *source);
    const RuleChoice choice = rules_->choose(part.name, tensor->name, part.shape, scope);
    if (choice.rule == nullptr) return detail::fans_of(part.shape, order_of(*tensor, nullptr, nullptr), {});
    if (choice.rule->fans().fan_of()) {
      rule.place().at("fan_of").refuse("the tensor \"" + name + "\" takes its fans from another tensor itself");
    }
    choice.set_captures(scope);
    set_shape(scope, part.shape);
    const InitializerTemplate* initializer = choice.rule->initializer() ? &*choice.rule->initializer() : nullptr;
    return choice.rule->fans().fans(part.shape, order_of(*tensor, choice.rule, initializer), scope);
  }

  static void set_shape(Scope& scope, const Shape& shape) {
    scope.set("shape", Scope::List(shape.begin(), shape.end()));
  }

  void choose_initializers() {
    std::size_t source = 0;
    for (ModelTensor& tensor : spec_.tensors) {
      std::optional<DType> wanted;  // by the rules
      for (ModelPart& part : tensor.parts) {
        with_name(part.name, [&] { choose_initializer(tensor, part, sources_[source], wanted); });
        ++source;
      }
      const std::optional<DType>& own = entries_[tensor.entry].dtype;
      tensor.dtype = own ? *own : wanted.value_or(dtype_);
      for (const ModelPart& part : tensor.parts) {
        with_name(part.name, [&] { check_fill(tensor, part); });
      }
    }
  }

  // Adds the name of the tensor or part to errors.
  template <class F>
  static void with_name(const std::string& name, const F& f) {
    try {
      f();
    } catch (const InvalidArgument& error) {
      throw InvalidArgument(std::string(error.what()) + " (for the tensor \"" + name + "\")");
    }
  }

  void choose_initializer(const ModelTensor& tensor, ModelPart& part, const PartSource& source,
                          std::optional<DType>& wanted) {
    const TensorEntry& entry = entries_[tensor.entry];
    Scope scope = scope_of(tensor, source);
    RuleChoice choice;
    const InitializerTemplate* initializer = nullptr;
    if (source.entry != nullptr && source.entry->initializer) {
      initializer = &*source.entry->initializer;
    } else {
      choice = rules_->choose(part.name, tensor.name, part.shape, scope);
      if (choice.rule == nullptr) {
        (source.entry != nullptr ? source.entry->place : entry.place)
            .refuse("no rule matches it; a last rule {\"match\": \"*\", ...} would");
      }
      part.rule = choice.number;
      part.rounding = choice.rule->rounding();
      choice.set_captures(scope);
      if (choice.rule->initializer()) initializer = &*choice.rule->initializer();
      if (const auto& dtype = choice.rule->dtype()) {
        if (wanted && *wanted != *dtype && !entry.dtype) {
          entry.place.refuse("rules give its parts the dtypes " + std::string(name_of(*wanted)) + " and " +
                             std::string(name_of(*dtype)) + "; give the tensor a \"dtype\"");
        }
        wanted = dtype;
      }
    }
    const AxisOrder& order = order_of(tensor, choice.rule, initializer);
    part.layout = order.layout().value_or(Layout::hwio);
    if (initializer == nullptr) {
      if (entry.dtype) wanted = entry.dtype;
      return choose_load(part, *choice.rule, choice.texts, wanted);
    }
    const bool is_plain = order.layout() && (choice.rule == nullptr || choice.rule->fans().is_plain());
    const bool is_scaled = choice.rule != nullptr && choice.rule->output_scale();
    // Nothing depends on the shape or the fans but the initializer itself.
    if (is_plain && !is_scaled && initializer->is_fixed()) {
      part.initializer = initializer->make(scope);
      return;
    }
    set_shape(scope, part.shape);
    std::string fan_reason;
    Fans fans{};
    if (choice.rule != nullptr && choice.rule->fans().fan_of()) {
      const NamePattern& other = *choice.rule->fans().fan_of();
      const std::string name = name_by_rule(*choice.rule, choice.rule->place().at("fan_of"), other, choice.texts);
      fans = fans_of_other(*choice.rule, name);
      fan_reason = "fans of " + name;
    } else if (choice.rule != nullptr) {
      fans = choice.rule->fans().fans(part.shape, order, scope);
      fan_reason = choice.rule->fans().explanation();
    } else {
      fans = entry.place.with_errors([&] { return detail::fans_of(part.shape, order, {}); });
    }
    if (!order.layout()) fan_reason = "layout " + order.name() + (fan_reason.empty() ? "" : ", ") + fan_reason;
    if (!is_plain) part.fans = fans;
    scope.set("fan_in", static_cast<double>(fans.fan_in));
    scope.set("fan_out", static_cast<double>(fans.fan_out));
    part.initializer = initializer->make(scope);
    if (!order.layout() && Access::scheme(*part.initializer).reads_layout()) {
      entry.place.refuse("the values of " + std::string(part.initializer->class_name()) +
                         " depend on the layout, which must be HWIO or OIHW. Received: layout \"" + order.name() +
                         "\"");
    }
    if (is_scaled) part.output_scale = scale_of(*choice.rule, scope);
    if (!options_.explain) return;
    part.reason = initializer->explanation(scope);
    const auto add_reason = [&](const std::string& text) { part.reason += (part.reason.empty() ? "" : "; ") + text; };
    if (!fan_reason.empty()) add_reason(fan_reason);
    if (!is_scaled) return;
    const std::string formula = choice.rule->output_scale()->formula();
    add_reason("output_scale = " + (formula.empty() ? "" : formula + " = ") + detail::to_text(part.output_scale));
  }

  static double scale_of(const Rule& rule, const Scope& scope) {
    const double scale = rule.output_scale()->value(scope);
    if (scale > 0) return scale;
    rule.place().at("output_scale").refuse("a scale is positive. It is " + detail::to_text(scale));
  }

  // A name that a rule makes of its captures.
  static std::string name_by_rule(const Rule& rule, const Place& place, const NamePattern& pattern,
                                  const std::vector<std::string>& texts) {
    const auto& captures = rule.pattern().captures();
    return pattern.with([&](const std::string& capture) -> std::string_view {
      const auto at = std::find(captures.begin(), captures.end(), capture);
      if (at == captures.end()) place.refuse("\"match\" has no capture {" + capture + "}");
      return texts[static_cast<std::size_t>(at - captures.begin())];
    });
  }

  // Where the part's values are, in a file whose path is relative to the specification's.
  void choose_load(ModelPart& part, const Rule& rule, const std::vector<std::string>& texts,
                   std::optional<DType>& wanted) {
    const Place& load = *rule.load();
    const Place path = load.json().is_object() ? load.at("file") : load;
    part.load_name =
        load.json().is_object() && load.has("name")
            ? name_by_rule(rule, load.at("name"), NamePattern(load.at("name").text(), NamePattern::Globs::none), texts)
            : part.name;
    if (path.text().find('\0') != std::string::npos) path.refuse("the name of a file has no NUL");
    const std::filesystem::path file = std::filesystem::path(options_.folder) / path.text();
    const auto [at, is_new] = loaded_.try_emplace(file.string());
    Loaded& loaded = at->second;
    if (is_new) {
      path.with_errors([&] { loaded.checkpoint = read_checkpoint(file.string()); });
      for (std::size_t j = 0; j < loaded.checkpoint.tensors.size(); ++j) {
        loaded.numbers.emplace(loaded.checkpoint.tensors[j].name, j);
      }
    }
    const auto number = loaded.numbers.find(part.load_name);
    if (number == loaded.numbers.end()) {
      path.refuse("\"" + file.string() + "\" has no tensor \"" + part.load_name + "\"");
    }
    const SavedTensor& saved = loaded.checkpoint.tensors[number->second];
    if (saved.shape != part.shape) {
      path.refuse("\"" + part.load_name + "\" has the shape " + to_string(saved.shape) + " in \"" + file.string() +
                  "\", but " + to_string(part.shape) + " here");
    }
    if (!saved.dtype)
      path.refuse("\"" + part.load_name + "\" has the dtype " + saved.dtype_name + ", which is none of weights");
    if (wanted && *wanted != *saved.dtype) {
      path.refuse("\"" + part.load_name + "\" has the dtype " + std::string(name_of(*saved.dtype)) + " in \"" +
                  file.string() + "\", but " + std::string(name_of(*wanted)) +
                  " here; loaded values are not converted");
    }
    wanted = saved.dtype;
    part.load_file = loaded.checkpoint.files[saved.file];
    part.load_offset = saved.offset;
  }

  // Makes the checks of a fill, and that no other part has the same draws.
  void check_fill(const ModelTensor& tensor, const ModelPart& part) {
    if (!part.initializer) return;
    const Place place = part.rule ? (*rules_)[*part.rule].place().at("initializer") : entries_[tensor.entry].place;
    place.with_errors([&] { return size_of(tensor.dtype); });  // refuses packed elements
    const FillParams params =
        place.with_errors([&] { return part.initializer->params(part.shape, tensor.dtype, part.options()); });
    if (!params.is_random()) return;
    const auto [other, is_new] = draws_.emplace(std::pair{params.seed, params.subsequence}, &part);
    if (is_new) return;
    entries_[tensor.entry].place.refuse(other->second->name == part.name
                                            ? "another tensor or part has the name \"" + part.name +
                                                  "\", and would have the same draws"
                                            : "the name has the same hash as \"" + other->second->name +
                                                  "\", and would have the same draws; rename one");
  }

  struct Loaded {
    Checkpoint checkpoint;
    std::unordered_map<std::string, std::size_t> numbers;  // of its tensors, by name
  };

  struct PartNumber {
    std::size_t tensor, part, source;
  };

  detail::Document document_;
  Place root_;
  std::uint64_t seed_;
  const ModelSpecOptions& options_;
  Scope constants_;
  std::optional<AxisOrder> layout_;
  const AxisOrder hwio_{"HWIO"};
  const AxisOrder oihw_{"OIHW"};
  DType dtype_ = DType::float32;
  std::optional<RuleList> rules_;
  std::size_t counted_ = 0;  // numbers of all captures
  std::vector<TensorEntry> entries_;
  std::unordered_map<std::string, std::size_t> names_;  // of tensors and ties: the tensor's number
  std::vector<PartSource> sources_;                     // of all parts, in order
  std::unordered_map<std::string, PartNumber> parts_by_name_;
  std::unordered_map<std::pair<std::uint64_t, std::uint64_t>, const ModelPart*, DrawHash> draws_;
  std::map<std::string, Loaded> loaded_;  // by path
  ModelSpec spec_;
};

}  // namespace

TensorOptions ModelPart::options() const {
  TensorOptions options;
  options.name = name;
  options.layout = layout;
  options.fans = fans;
  options.output_scale.number = output_scale;
  options.rounding = rounding;
  return options;
}

Description describe(const ModelPart& part) {
  if (!part.initializer) throw InvalidArgument("The values of \"" + part.name + "\" are loaded, not drawn");
  return part.initializer->describe(part.shape, part.options());
}

ModelSpec parse_model_spec(std::string_view text, std::uint64_t seed, const ModelSpecOptions& options) {
  const Json json = detail::parse_json(text, options.source);
  return Reader(json, seed, options).read();
}

}  // namespace fanin
