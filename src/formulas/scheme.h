// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "fanin/distribution.h"
#include "fanin/fans.h"
#include "fanin/shape.h"
#include "formulas/computed_value.h"
#include "formulas/matrix_store.h"
#include "formulas/value_store.h"

namespace fanin::detail {

// What Keras's Constant may hold: a number, an array of numbers, or something that fanin keeps but cannot fill.
struct ConstantValue {
  std::optional<double> number;
  std::string json;  // the text that was read; empty: write the number's shortest decimals, or the array's
  std::shared_ptr<const ComputedValue> array;  // null: none; else the value of array_value(), formulas/scheme_parts.h
};

// The window of STFT: a name, the values, or none.
struct WindowValue {
  std::optional<std::string> name;
  std::vector<double> values;  // if there is no name; empty: none
};

// The value of Formula: an expression.
struct ExpressionValue {
  std::string text;
  std::shared_ptr<const ComputedValue> computed;  // SchemeClass::check makes it from the text and the constants
};

using AxisList = std::optional<std::vector<std::int64_t>>;

// A scheme's parameter as plain data, which src/config reads and writes in Keras's dialects.
struct Parameter {
  std::string_view name;  // Keras's key
  // A text in a scheme is a literal: SchemeClass::check sees to it.
  std::variant<double, std::optional<double>, std::string_view, AxisList, ConstantValue, ExpressionValue,
               ComputedValue::Constants, bool, std::optional<std::string_view>, WindowValue>
      value;
  bool is_fixed = false;  // the class fixes it, for example HeNormal's scale
  bool is_stated = true;  // false: not written, because it has its default and not every Keras knows it
};
using Parameters = std::vector<Parameter>;

// Whether the parameter can be a number, so that a formula can stand for it.
inline bool can_be_number(const Parameter& parameter) {
  return std::holds_alternative<double>(parameter.value) ||
         std::holds_alternative<std::optional<double>>(parameter.value) ||
         std::holds_alternative<ConstantValue>(parameter.value);
}

// What the initializers of a class have in common. Functions throw InvalidArgument.
struct SchemeClass {
  std::string_view name;
  bool is_random;  // elements are drawn from a seed

  // Throws for values that are wrong for every shape and dtype; replaces older spellings.
  void (*check)(Parameters& parameters);

  // The distribution for a tensor of this shape, layout and fans. Throws for a shape that is not allowed.
  Distribution (*distribution)(const Parameters& parameters, const Shape& shape, Layout layout, const Fans& fans);

  // Explains how the distribution follows from the fans, for a human reader.
  std::string (*derivation)(const Parameters& parameters, const Fans& fans, const Distribution& distribution);

  bool keeps_matrices = false;  // between fills of their parts

  bool reads_layout = false;  // for more than the fans

  // Of a framework's convention: the layout of its kernels, and whether its fans need two axes.
  Layout layout = Layout::hwio;
  bool needs_two_axes = false;
};

// An initialization scheme maps a tensor's shape to a distribution: a class and its parameters. Immutable, but for
// the matrices and the values that it may keep.
class Scheme {
 public:
  // Throws InvalidArgument.
  Scheme(const SchemeClass& scheme_class, Parameters parameters);

  std::string_view class_name() const { return class_->name; }
  bool is_random() const { return class_->is_random; }
  const Parameters& parameters() const { return parameters_; }
  const FanAxes& axes() const { return axes_; }
  bool reads_layout() const { return class_->reads_layout; }
  Layout layout() const { return class_->layout; }
  bool needs_two_axes() const { return class_->needs_two_axes; }

  Distribution distribution(const Shape& shape, Layout layout, const Fans& fans) const {
    Distribution d = class_->distribution(parameters_, shape, layout, fans);
    d.matrices = matrices_;
    const bool is_of_shape = d.computed.use_count() == 1;  // the parameters do not own it
    if (is_of_shape) d.computed = values_.keep(std::move(d.computed));
    return d;
  }
  std::string derivation(const Fans& fans, const Distribution& distribution) const {
    return class_->derivation(parameters_, fans, distribution);
  }

  // The scheme of the same class with these parameters. Throws InvalidArgument, also if they change a fixed one.
  std::shared_ptr<const Scheme> with(Parameters parameters) const;

 private:
  const SchemeClass* class_;
  Parameters parameters_;
  FanAxes axes_;
  std::shared_ptr<MatrixStore> matrices_;  // null unless the class keeps matrices
  mutable ValueStore values_;
};

}  // namespace fanin::detail
