// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "fanin/distribution.h"
#include "fanin/fans.h"
#include "fanin/shape.h"

namespace fanin::detail {

// What Keras's Constant may hold: a number, or an array or object that Keras broadcasts and fanin keeps but cannot
// fill.
struct ConstantValue {
  std::optional<double> number;
  std::string json;  // the spelling that was read; empty: the number's shortest decimals
};

using AxisList = std::optional<std::vector<std::int64_t>>;

// One of a formula's parameters, as plain data: src/config reads and writes them in Keras's dialects.
struct Parameter {
  std::string_view name;  // Keras's key
  std::variant<double, std::string, AxisList, ConstantValue> value;
  bool is_fixed = false;  // the class decides it: HeNormal's scale
  bool is_stated = true;  // false: Keras does not know it, or not yet, and it has its default
};
using Parameters = std::vector<Parameter>;

// What the initializers of a class have in common. Functions throw InvalidArgument.
struct FormulaClass {
  std::string_view name;
  bool is_random;      // elements are drawn, so that there is a seed
  bool allows_blocks;  // a block of the tensor may be asked for

  // Refuses values that no shape or dtype can make legal, and writes the others in one spelling.
  void (*check)(Parameters& parameters);

  // What to draw for a tensor of this shape and these fans. Refuses a shape that is not allowed.
  Distribution (*distribution)(const Parameters& parameters, const Shape& shape, const Fans& fans);

  // How that distribution follows from the fans, for a reader.
  std::string (*derivation)(const Parameters& parameters, const Fans& fans, const Distribution& distribution);
};

// How an initializer gets from a tensor's shape to a distribution: a class and its parameters. Immutable.
class Formula {
 public:
  // Throws InvalidArgument.
  Formula(const FormulaClass& formula_class, Parameters parameters);

  std::string_view class_name() const { return class_->name; }
  bool is_random() const { return class_->is_random; }
  bool allows_blocks() const { return class_->allows_blocks; }
  const Parameters& parameters() const { return parameters_; }
  const FanAxes& axes() const { return axes_; }

  Distribution distribution(const Shape& shape, const Fans& fans) const {
    return class_->distribution(parameters_, shape, fans);
  }
  std::string derivation(const Fans& fans, const Distribution& distribution) const {
    return class_->derivation(parameters_, fans, distribution);
  }

  // The formula of the same class with these parameters. Throws InvalidArgument, also if they change a fixed one.
  std::shared_ptr<const Formula> with(Parameters parameters) const;

 private:
  const FormulaClass* class_;
  Parameters parameters_;
  FanAxes axes_;
};

}  // namespace fanin::detail
