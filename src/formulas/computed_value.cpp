// SPDX-License-Identifier: Apache-2.0
#include "formulas/computed_value.h"

#include <algorithm>
#include <cmath>

#include "base/text.h"
#include "fanin/error.h"
#include "formulas/exact_functions.h"

namespace fanin::detail {

namespace {

void check(const ComputedValue::Constants& constants) {
  const std::vector<std::string> taken{"i", "shape", "place", "u", "z", "pi"};
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

ComputedValue::ComputedValue(std::string_view text, Constants constants, std::optional<Table> table)
    : expression_(text, Functions::all), constants_(std::move(constants)), table_(std::move(table)) {
  detail::check(constants_);
  std::size_t inputs = 0;
  for (const Variable& variable : expression_.variables()) {
    const Meaning& meaning = meanings_.emplace_back(meaning_of(variable));
    if (meaning.kind == Meaning::Kind::constant || meaning.kind == Meaning::Kind::extent) continue;
    if (++inputs > max_inputs) {
      refuse(expression_, variable.column,
             "There are more than " + std::to_string(max_inputs) + " different coordinates, places and draws");
    }
  }
  if (!table_) {
    check_number();
    return;
  }
  std::uint64_t stride = 1;
  const auto rank = static_cast<std::int64_t>(table_->shape.size());
  for (std::int64_t axis = -1; axis >= -rank; --axis) {
    const std::int64_t extent = table_->shape[static_cast<std::size_t>(axis + rank)];
    if (extent != 1) table_axes_.push_back({add_axis(axis, 1), stride});
    stride *= static_cast<std::uint64_t>(extent);
  }
}

// An expression of constants alone has one value for every shape.
void ComputedValue::check_number() const {
  const auto is_constant = [](const Meaning& meaning) { return meaning.kind == Meaning::Kind::constant; };
  if (!std::all_of(meanings_.begin(), meanings_.end(), is_constant)) return;
  if (expression_.exact_functions() > 0 && !exact::is_available()) return;  // a fill says that this build lacks them
  Scope scope;
  for (const auto& [name, value] : constants_) scope.set(name, value);
  expression_.value(scope);
}

// The index of the subscript.
std::size_t ComputedValue::add_axis(std::int64_t subscript, std::size_t column) {
  const auto at = std::find(subscripts_.begin(), subscripts_.end(), subscript);
  const auto axis = static_cast<std::size_t>(at - subscripts_.begin());
  if (at == subscripts_.end()) subscripts_.push_back(subscript);
  if (axis == max_axes) {
    refuse(expression_, column, "There are more than " + std::to_string(max_axes) + " different subscripts");
  }
  return axis;
}

ComputedValue::Meaning ComputedValue::meaning_of(const Variable& variable) {
  const auto refuse_here = [&](const std::string& what) { refuse(expression_, variable.column, what); };
  if (variable.name == "i" || variable.name == "shape" || variable.name == "place") {
    if (!variable.subscript) refuse_here("Write " + variable.name + "[0] for the first axis");
    const std::size_t axis = add_axis(*variable.subscript, variable.column);
    if (variable.name == "shape") return {Meaning::Kind::extent, 0, axis};
    has_place_ = has_place_ || variable.name == "place";
    return {variable.name == "i" ? Meaning::Kind::coordinate : Meaning::Kind::place, 0, axis};
  }
  if (variable.name == "u" || variable.name == "z") {
    const Draw draw = variable.name == "u" ? Draw::uniform : Draw::normal;
    if (draw_ != Draw::none && draw_ != draw) refuse_here("An element has one draw: u or z, not both");
    draw_ = draw;
    if (!variable.subscript) return {Meaning::Kind::draw};
    if (*variable.subscript < 0 || *variable.subscript >= max_row) {
      refuse_here("The elements of a row are numbered from 0 to " + std::to_string(max_row - 1));
    }
    return {Meaning::Kind::row_draw, 0, add_axis(-1, variable.column), *variable.subscript};
  }
  if (variable.subscript) refuse_here("Only i, shape, place, u and z have a subscript");
  if (table_ && variable.name == table_->name) return {Meaning::Kind::table};
  std::vector<std::string> known;
  for (const auto& [name, value] : constants_) {
    if (name == variable.name) return {Meaning::Kind::constant, value};
    known.push_back(name);
  }
  std::string text = "i[k], shape[k], place[k], u, u[k], z, z[k], pi";
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

void ComputedValue::check(const Shape& shape) const {
  if (table_) {
    const std::size_t rank = table_->shape.size();
    bool fits = rank <= shape.size();
    for (std::size_t k = 1; fits && k <= rank; ++k) {
      const std::int64_t extent = table_->shape[rank - k];
      fits = extent == 1 || extent == shape[shape.size() - k];
    }
    if (!fits) {
      throw InvalidArgument(
          "An array of shape " + to_string(table_->shape) +
          " does not broadcast to the tensor's shape. Its last axes must have the tensor's extents, or 1. "
          "Received: shape=" +
          to_string(shape));
    }
  }
  for (const std::int64_t subscript : subscripts_) axis_of(subscript, shape.size());
  for (const Meaning& meaning : meanings_) {
    if (meaning.kind != Meaning::Kind::row_draw || (shape.back() > meaning.element && shape.back() <= max_row)) {
      continue;
    }
    if (std::find(shape.begin(), shape.end(), 0) != shape.end()) continue;
    throw InvalidArgument("The value \"" + expression_.text() + "\" names element " + std::to_string(meaning.element) +
                          " of a row, so the last axis must have more elements, and at most " +
                          std::to_string(max_row) + ". Received: shape=" + to_string(shape));
  }
}

}  // namespace fanin::detail
