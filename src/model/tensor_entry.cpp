// SPDX-License-Identifier: Apache-2.0
#include "model/tensor_entry.h"

#include <algorithm>
#include <utility>

#include "fanin/error.h"

namespace fanin::detail {

namespace {

// Of all captures. Each makes a tensor, a part, a tie or other captures' numbers, which can be none.
constexpr std::size_t max_numbers = max_parts + max_parts / 4;

std::vector<Loop> loops_of(const Place& object) {
  std::vector<Loop> loops;
  if (!object.has("repeat")) return loops;
  const Place repeat = object.at("repeat");
  if (!repeat.json().is_object()) repeat.refuse_value("expected an object such as {\"layer\": 32}");
  for (const auto& item : repeat.json().items()) {
    const Place count = repeat.of(item.value());
    check_variable(count, item.key());
    if (count.json().is_array()) {
      if (count.json().size() != 2) count.refuse_value("expected a count or [first, end)");
      loops.push_back({item.key(), count, Number(count.at(0)), Number(count.at(1))});
    } else {
      loops.push_back({item.key(), count, std::nullopt, Number(count, "a count, [first, end) or a formula")});
    }
  }
  return loops;
}

std::vector<Number> extents_of(const Place& place) {
  place.check_list("a shape, a list of integers or formulas");
  std::vector<Number> extents;
  extents.reserve(place.json().size());
  for (std::size_t j = 0; j < place.json().size(); ++j) {
    extents.emplace_back(place.at(j), "an integer or a formula in a string");
  }
  return extents;
}

// Checks that a name's captures are those that count, so that no name is made twice.
void check_captures(const NamePattern& name, const Place& place, const std::vector<Loop>& own,
                    const std::vector<Loop>& outer = {}) {
  const auto& used = name.captures();
  const auto counts = [](const std::vector<Loop>& loops, const std::string& capture) {
    return std::any_of(loops.begin(), loops.end(), [&](const Loop& loop) { return loop.capture == capture; });
  };
  for (const std::string& capture : used) {
    if (counts(own, capture) || counts(outer, capture)) continue;
    place.refuse("the name has the capture {" + capture + "}, which needs \"repeat\": {\"" + capture + "\": ...}");
  }
  for (const Loop& loop : own) {
    if (std::find(used.begin(), used.end(), loop.capture) != used.end()) continue;
    loop.place.refuse("the name \"" + name.text() + "\" lacks the capture {" + loop.capture +
                      "}, so that all repeats would have one name");
  }
}

PartEntry part_entry(const Place& place, const std::vector<Loop>& outer, const Scope& constants, std::uint64_t seed) {
  place.check_object({"name", "size", "shape", "repeat", "initializer"});
  if (!place.has("size")) place.refuse("a part needs a \"size\", its extent along the tensor's axis");
  PartEntry part{place, {}, loops_of(place), Number(place.at("size"), "an integer or a formula in a string"), {}, {}};
  if (place.has("name")) {
    part.name.emplace(place.at("name").text(), NamePattern::Globs::none);
    check_captures(*part.name, place.at("name"), part.loops, outer);
  }
  if (place.has("shape")) part.shape = extents_of(place.at("shape"));
  if (place.has("initializer")) part.initializer.emplace(place.at("initializer"), constants, seed);
  return part;
}

}  // namespace

CaptureRange capture_range(const Loop& loop, const Scope& scope, std::size_t& counted) {
  const CaptureRange range{loop.first ? loop.first->integer(scope) : 0, loop.end.integer(scope)};
  if (range.first < 0 || range.end < range.first) {
    loop.place.refuse("a capture counts from 0 or more to an end that is not less. Received: from " +
                      std::to_string(range.first) + " to " + std::to_string(range.end));
  }
  if (static_cast<std::uint64_t>(range.end - range.first) > max_parts) {
    loop.place.refuse("more than " + std::to_string(max_parts) +
                      " tensors. Received: " + std::to_string(range.end - range.first));
  }
  counted += static_cast<std::size_t>(range.end - range.first);
  if (counted > max_numbers) {
    loop.place.refuse("the captures of the model have more than " + std::to_string(max_numbers) + " numbers together");
  }
  return range;
}

void for_each(const std::vector<Loop>& loops, Scope& scope, std::vector<std::int64_t>& numbers, std::size_t& counted,
              const std::function<void()>& f) {
  if (numbers.size() == loops.size()) return f();
  const Loop& loop = loops[numbers.size()];
  const CaptureRange range = capture_range(loop, scope, counted);
  numbers.push_back(range.first);
  for (std::int64_t number = range.first; number < range.end; ++number) {
    numbers[numbers.size() - 1] = number;
    scope.set(loop.capture, static_cast<double>(number));
    for_each(loops, scope, numbers, counted, f);
  }
  numbers.pop_back();
}

std::string name_with(const NamePattern& pattern, const std::vector<Loop>& loops,
                      const std::vector<std::int64_t>& numbers, const std::vector<Loop>& outer,
                      const std::vector<std::int64_t>& outer_numbers) {
  std::string text;
  return pattern.with([&](const std::string& capture) -> std::string_view {
    for (std::size_t j = 0; j < loops.size(); ++j) {
      if (loops[j].capture == capture) return text = std::to_string(numbers[j]);
    }
    for (std::size_t j = 0; j < outer.size(); ++j) {
      if (outer[j].capture == capture) return text = std::to_string(outer_numbers[j]);
    }
    return {};
  });
}

TensorEntry tensor_entry(const Place& place, const std::string& name, const Scope& constants, std::uint64_t seed) {
  TensorEntry entry{place, NamePattern(name, NamePattern::Globs::none), {}, {}, {}, {}, {}, {}, {}};
  if (name == "__metadata__") place.refuse("the safetensors format reserves this name");
  if (place.json().is_array()) {
    entry.shape = extents_of(place);
    check_captures(entry.name, place, {});
    return entry;
  }
  if (!place.json().is_object()) {
    place.refuse_value("expected a shape, such as [768, \"4 * width\"], or an object with \"shape\" or \"tie\"");
  }
  if (place.has("tie")) {
    place.check_object({"tie", "repeat"});
    entry.loops = loops_of(place);
    check_captures(entry.name, place, entry.loops);
    entry.tie.emplace(place.at("tie").text(), NamePattern::Globs::none);
    for (const std::string& capture : entry.tie->captures()) {
      if (std::none_of(entry.loops.begin(), entry.loops.end(), [&](const Loop& l) { return l.capture == capture; })) {
        place.at("tie").refuse("the capture {" + capture + "} needs \"repeat\": {\"" + capture + "\": ...}");
      }
    }
    return entry;
  }
  place.check_object({"shape", "dtype", "layout", "repeat", "axis", "parts"});
  if (!place.has("shape")) place.refuse("a tensor needs a \"shape\", or the name of another tensor as \"tie\"");
  entry.shape = extents_of(place.at("shape"));
  entry.loops = loops_of(place);
  check_captures(entry.name, place, entry.loops);
  if (place.has("dtype")) {
    entry.dtype = place.at("dtype").parsed(parse_dtype);
  }
  if (place.has("layout")) {
    entry.layout = place.at("layout").parsed([](const std::string& text) { return AxisOrder(text); });
  }
  if (place.has("axis")) {
    if (!place.has("parts")) place.at("axis").refuse("an axis is for \"parts\", which the tensor lacks");
    entry.axis.emplace(place.at("axis"));
  }
  if (place.has("parts")) {
    const Place parts = place.at("parts");
    parts.check_list("a list of parts");
    if (parts.json().empty()) parts.refuse("a tensor with \"parts\" needs at least one");
    for (std::size_t j = 0; j < parts.json().size(); ++j) {
      entry.parts.push_back(part_entry(parts.at(j), entry.loops, constants, seed));
    }
  }
  return entry;
}

Shape shape_of(const std::vector<Number>& extents, const Place& place, const Scope& scope) {
  Shape shape;
  for (const Number& extent : extents) shape.push_back(extent.integer(scope));
  place.with_errors([&] { element_count(shape); });
  return shape;
}

}  // namespace fanin::detail
