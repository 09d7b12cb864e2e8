// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "formulas/expression.h"

namespace fanin::detail {

// What the initializer Formula gives each element: an expression of the element's coordinates i[0], i[1] ..., the
// tensor's extents shape[0], shape[1] ..., constants, and one draw: u, uniform in (0, 1), or z, normal. Immutable.
class ComputedValue {
 public:
  using Constants = std::vector<std::pair<std::string, double>>;
  enum class Draw : std::uint8_t { none, uniform, normal };

  // Subscripts of i and shape that differ; FillParams has room for so many axes.
  static constexpr std::size_t max_axes = 8;

  // What a variable of the expression is.
  struct Meaning {
    enum class Kind : std::uint8_t { constant, extent, coordinate, draw };
    Kind kind;
    double constant = 0;
    std::size_t axis = 0;  // of an extent or a coordinate: the index of its subscript
  };

  // Throws InvalidArgument for what is wrong for every shape.
  ComputedValue(std::string_view text, Constants constants);

  const Expression& expression() const { return expression_; }
  const Constants& constants() const { return constants_; }
  Draw draw() const { return draw_; }

  // The subscripts of i and shape, each once. A negative one counts from the last axis.
  const std::vector<std::int64_t>& subscripts() const { return subscripts_; }

  // Of each variable of the expression.
  const std::vector<Meaning>& meanings() const { return meanings_; }

  // The axis of a tensor of this rank that a subscript names. Throws InvalidArgument if there is none.
  std::size_t axis_of(std::int64_t subscript, std::size_t rank) const;

 private:
  Meaning meaning_of(const Variable& variable);

  Expression expression_;
  Constants constants_;
  Draw draw_ = Draw::none;
  std::vector<std::int64_t> subscripts_;
  std::vector<Meaning> meanings_;
};

}  // namespace fanin::detail
