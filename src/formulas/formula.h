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

// How an initializer gets from a tensor's shape to a distribution. Immutable.
class Formula {
 public:
  virtual ~Formula() = default;

  virtual std::string_view class_name() const = 0;

  // Whether elements are drawn, so that there is a seed.
  virtual bool is_random() const { return true; }

  virtual const FanAxes& axes() const;

  // Whether a block of the tensor may be asked for.
  virtual bool allows_blocks() const { return true; }

  // What to draw for a tensor of this shape and these fans. Throws InvalidArgument for a shape that is not allowed.
  virtual Distribution distribution(const Shape& shape, const Fans& fans) const = 0;

  // How that distribution follows from the fans, for a reader.
  virtual std::string derivation(const Fans& fans, const Distribution& distribution) const = 0;

  virtual Parameters parameters() const { return {}; }

  // The formula of the same class with these values for its parameters(), in their order. Throws InvalidArgument for
  // values that no shape or dtype can make legal.
  virtual std::shared_ptr<const Formula> with(const Parameters& parameters) const = 0;
};

}  // namespace fanin::detail
