// SPDX-License-Identifier: Apache-2.0
#include "formulas/computed_value.h"

#include <algorithm>
#include <cmath>

#include "base/text.h"
#include "fanin/error.h"

namespace fanin::detail {

namespace {

void check(const ComputedValue::Constants& constants) {
  const std::vector<std::string> taken{"i", "shape", "u", "z", "pi"};
  for (std::size_t k = 0; k < constants.size(); ++k) {
    const std::string& name = constants[k].first;
    const double value = constants[k].second;
    const auto refuse = [&](const std::string& what) {
      throw InvalidArgument(what + " Received: constants={\"" + name + "\": " + to_text(value) + "}");
    };
    if (!is_name(name)) refuse("The name of a constant has letters, digits and _, and does not begin with a digit.");
    if (std::find(taken.begin(), taken.end(), name) != taken.end()) {
      refuse("A constant must not be named " + list_of(taken) + ", which mean something else.");
    }
    if (!std::isfinite(value)) refuse("A constant must be finite.");
    const auto is_same = [&](const auto& other) { return other.first == name; };
    if (std::any_of(constants.begin(), constants.begin() + static_cast<std::ptrdiff_t>(k), is_same)) {
      refuse("A constant occurs twice.");
    }
  }
}

[[noreturn]] void refuse(const Expression& expression, std::size_t column, const std::string& what) {
  throw InvalidArgument("In \"" + expression.text() + "\", column " + std::to_string(column) + ": " + what);
}

}  // namespace

ComputedValue::ComputedValue(std::string_view text, Constants constants)
    : expression_(text, Functions::all), constants_(std::move(constants)) {
  check(constants_);
  for (const Variable& variable : expression_.variables()) meanings_.push_back(meaning_of(variable));
}

ComputedValue::Meaning ComputedValue::meaning_of(const Variable& variable) {
  const auto refuse_here = [&](const std::string& what) { refuse(expression_, variable.column, what); };
  if (variable.name == "i" || variable.name == "shape") {
    if (!variable.subscript) refuse_here("Write " + variable.name + "[0] for the first axis");
    const auto at = std::find(subscripts_.begin(), subscripts_.end(), *variable.subscript);
    const auto axis = static_cast<std::size_t>(at - subscripts_.begin());
    if (at == subscripts_.end()) subscripts_.push_back(*variable.subscript);
    if (axis == max_axes) refuse_here("There are more than " + std::to_string(max_axes) + " different subscripts");
    return {variable.name == "i" ? Meaning::Kind::coordinate : Meaning::Kind::extent, 0, axis};
  }
  if (variable.subscript) refuse_here("Only i and shape have a subscript");
  if (variable.name == "u" || variable.name == "z") {
    const Draw draw = variable.name == "u" ? Draw::uniform : Draw::normal;
    if (draw_ != Draw::none && draw_ != draw) refuse_here("An element has one draw: u or z, not both");
    draw_ = draw;
    return {Meaning::Kind::draw};
  }
  std::vector<std::string> known;
  for (const auto& [name, value] : constants_) {
    if (name == variable.name) return {Meaning::Kind::constant, value};
    known.push_back(name);
  }
  std::string text = "i[k], shape[k], u, z, pi";
  for (const std::string& name : known) text += ", " + name;
  refuse(expression_, variable.column,
         variable.name + " is not known here. Known: " + text + "." + suggestion(variable.name, known));
}

std::size_t ComputedValue::axis_of(std::int64_t subscript, std::size_t rank) const {
  const auto axes = static_cast<std::int64_t>(rank);
  if (subscript >= -axes && subscript < axes)
    return static_cast<std::size_t>(subscript < 0 ? subscript + axes : subscript);
  throw InvalidArgument("The value \"" + expression_.text() + "\" needs an axis [" + std::to_string(subscript) +
                        "], but the tensor has " + std::to_string(rank) + (rank == 1 ? " axis" : " axes"));
}

}  // namespace fanin::detail
