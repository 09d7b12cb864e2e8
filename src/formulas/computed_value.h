// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "fanin/shape.h"
#include "formulas/expression.h"

namespace fanin::detail {

// An array that broadcasts to a tensor's shape as in NumPy, with a name in an expression. Row-major.
struct Table {
  std::string name;
  Shape shape;
  std::vector<double> values;
};

// What the initializer Formula and its relatives give each element: an expression of the element's coordinates i[0],
// i[1] ..., the tensor's extents shape[0], shape[1] ..., constants, an array, and draws: u, uniform in (0, 1), or z,
// normal; u[k] and z[k], those of element k of the same row; place[k], where the element is in a random order of those
// that differ from it only on axis k. Immutable.
class ComputedValue {
 public:
  using Constants = std::vector<std::pair<std::string, double>>;
  enum class Draw : std::uint8_t { none, uniform, normal };

  // Subscripts of i, shape and place that differ; FillParams has room for so many axes.
  static constexpr std::size_t max_axes = 8;
  // Variables whose values differ between elements.
  static constexpr std::size_t max_inputs = 12;
  // The longest row whose draws u[k] and z[k] name.
  static constexpr std::int64_t max_row = 64;

  // What a variable of the expression is.
  struct Meaning {
    enum class Kind : std::uint8_t { constant, extent, coordinate, place, draw, row_draw, table };
    Kind kind;
    double constant = 0;
    std::size_t axis = 0;      // of an extent, a coordinate, a place or a row: the index of its subscript
    std::int64_t element = 0;  // row_draw: the last coordinate of the element whose draw it is
  };

  // Throws InvalidArgument for what is wrong for every shape.
  ComputedValue(std::string_view text, Constants constants, std::optional<Table> table = {});

  const Expression& expression() const { return expression_; }
  const Constants& constants() const { return constants_; }
  const std::optional<Table>& table() const { return table_; }
  Draw draw() const { return draw_; }
  bool is_random() const { return draw_ != Draw::none || has_place_; }

  // The subscripts of axes, each once. A negative one counts from the last axis.
  const std::vector<std::int64_t>& subscripts() const { return subscripts_; }

  // The index of the subscript of each axis of the table that is not broadcast, and the distance of its elements in the
  // table.
  struct TableAxis {
    std::size_t axis;
    std::uint64_t stride;
  };
  const std::vector<TableAxis>& table_axes() const { return table_axes_; }

  // Of each variable of the expression.
  const std::vector<Meaning>& meanings() const { return meanings_; }

  // The axis of a tensor of this rank that a subscript names. Throws InvalidArgument if there is none.
  std::size_t axis_of(std::int64_t subscript, std::size_t rank) const;

  // Throws InvalidArgument for a shape that the expression or the table does not fit.
  void check(const Shape& shape) const;

 private:
  void check_number() const;
  Meaning meaning_of(const Variable& variable);
  std::size_t add_axis(std::int64_t subscript, std::size_t column);

  Expression expression_;
  Constants constants_;
  std::optional<Table> table_;
  Draw draw_ = Draw::none;
  bool has_place_ = false;
  std::vector<std::int64_t> subscripts_;
  std::vector<TableAxis> table_axes_;
  std::vector<Meaning> meanings_;
};

}  // namespace fanin::detail
