// SPDX-License-Identifier: Apache-2.0
#include <nanobind/nanobind.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/string_view.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <new>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "arguments.h"
#include "arrays.h"
#include "bindings.h"
#include "fanin/error.h"

namespace fanin::python {

using namespace nanobind::literals;

namespace {

using Kind = Distribution::Kind;

std::string number(double value) { return nb::cast<std::string>(nb::repr(nb::float_(value))); }

bool is_normal(const Distribution& d) { return d.kind == Kind::normal || d.kind == Kind::truncated_normal; }

// The distribution in words.
std::string values_text(const Distribution& d) {
  switch (d.kind) {
    case Kind::constant:
      return number(d.value) + " everywhere";
    case Kind::identity:
      return number(d.value) + " on the diagonal, 0 elsewhere";
    case Kind::uniform:
      return "uniform on [" + number(d.low) + ", " + number(d.high) + ")";
    case Kind::normal:
      return "normal, mean " + number(d.mean) + ", stddev " + number(d.stddev);
    case Kind::truncated_normal:
      break;
    case Kind::orthogonal:
      return number(d.value) + " times a random orthogonal matrix";
    case Kind::computed:
      return d.uses_draw ? "computed from the element's coordinates and draw"
                         : "computed from the element's coordinates";
  }
  return "normal, mean " + number(d.mean) + ", stddev " + number(d.stddev) + ", truncated at " + number(d.lower) +
         " and " + number(d.upper) + " stddev";
}

// The least and the largest possible value: the interval of a uniform, the window of a truncated normal.
std::pair<double, double> bounds_of(const Distribution& d) {
  if (d.kind == Kind::uniform) return {d.low, d.high};
  if (is_normal(d)) {
    return {std::isinf(d.least) ? d.mean + d.stddev * d.lower : d.least,
            std::isinf(d.most) ? d.mean + d.stddev * d.upper : d.most};
  }
  if (d.kind == Kind::identity) return {std::min(d.value, 0.0), std::max(d.value, 0.0)};
  if (d.kind == Kind::orthogonal) return {-std::abs(d.value), std::abs(d.value)};
  if (d.kind == Kind::computed) {
    return {-std::numeric_limits<double>::infinity(), std::numeric_limits<double>::infinity()};
  }
  return {d.value, d.value};
}

std::string text_of(const Description& d) {
  const Moments moments = moments_of(d.distribution);
  return d.initializer + " of shape " + to_string(d.shape) + "\n" + "  fans        in " +
         std::to_string(d.fans.fan_in) + ", out " + std::to_string(d.fans.fan_out) + " (" +
         std::string(name_of(d.layout)) + ")\n" + "  derivation  " + d.derivation + "\n" + "  values      " +
         values_text(d.distribution) + "\n" + "  in total    mean " + number(moments.mean) + ", stddev " +
         number(moments.stddev);
}

// What pickle keeps: all but the expression and the matrices of the distribution, which only fills use.
using Numbers = std::tuple<double, double, double, double, double, double, double, double, double>;
using State = std::tuple<std::string, std::vector<std::int64_t>, std::uint64_t, int, std::uint64_t, std::uint64_t, int,
                         Numbers, bool, std::uint64_t, std::uint64_t, std::uint64_t, int, std::string>;

State state_of(const Description& d) {
  const Distribution& drawn = d.distribution;
  return {
      d.initializer,
      d.shape,
      d.size,
      static_cast<int>(d.layout),
      d.fans.fan_in,
      d.fans.fan_out,
      static_cast<int>(drawn.kind),
      {drawn.value, drawn.low, drawn.high, drawn.mean, drawn.stddev, drawn.lower, drawn.upper, drawn.least, drawn.most},
      drawn.uses_draw,
      drawn.rows,
      drawn.columns,
      d.seed,
      static_cast<int>(d.seed_kind),
      d.derivation};
}

// Throws InvalidArgument for a number outside of the enumeration.
template <class Enumeration>
Enumeration enumerator(int number, Enumeration last) {
  if (number < 0 || number > static_cast<int>(last)) {
    throw InvalidArgument("This is no state of a Description: it has the enumerator " + std::to_string(number));
  }
  return static_cast<Enumeration>(number);
}

Description description_of(const State& state) {
  Description d{};
  Distribution& drawn = d.distribution;
  std::vector<std::int64_t> shape;
  Numbers numbers;
  int layout = 0;
  int kind = 0;
  int seed_kind = 0;
  std::tie(d.initializer, shape, d.size, layout, d.fans.fan_in, d.fans.fan_out, kind, numbers, drawn.uses_draw,
           drawn.rows, drawn.columns, d.seed, seed_kind, d.derivation) = state;
  std::tie(drawn.value, drawn.low, drawn.high, drawn.mean, drawn.stddev, drawn.lower, drawn.upper, drawn.least,
           drawn.most) = numbers;
  d.shape = shape;
  d.layout = enumerator(layout, Layout::oihw);
  drawn.kind = enumerator(kind, Kind::orthogonal);
  d.seed_kind = enumerator(seed_kind, Seed::Kind::sequence);
  return d;
}

}  // namespace

void bind_description(nb::module_& m) {
  using D = Description;
  nb::class_<D>(m, "Description", nb::is_weak_referenceable(),
                "The fans, the distribution and its derivation for a tensor. Numbers are in binary64, before rounding "
                "to a dtype.")
      .def_prop_ro(
          "initializer", [](const D& d) { return d.initializer; }, "The name of the class.")
      .def_prop_ro(
          "shape", [](const D& d) { return tuple_of(d.shape); }, nb::sig("def shape(self) -> tuple[int, ...]"),
          "The shape of the whole tensor.")
      .def_prop_ro(
          "layout", [](const D& d) { return name_of(d.layout); }, "\"hwio\" or \"oihw\".")
      .def_prop_ro(
          "fan_in", [](const D& d) { return d.fans.fan_in; }, "The number of inputs of each output.")
      .def_prop_ro(
          "fan_out", [](const D& d) { return d.fans.fan_out; }, "The number of outputs of each input.")
      .def_prop_ro(
          "distribution", [](const D& d) { return name_of(d.distribution.kind); },
          "\"constant\", \"identity\", \"uniform\", \"normal\", \"truncated_normal\", \"computed\" or \"orthogonal\".")
      .def_prop_ro(
          "mean", [](const D& d) { return moments_of(d.distribution).mean; },
          "The mean of the values; NaN, for unknown, if they are computed.")
      .def_prop_ro(
          "stddev", [](const D& d) { return moments_of(d.distribution).stddev; },
          "The standard deviation of the values, after truncation; NaN if they are computed.")
      .def_prop_ro(
          "untruncated_stddev",
          [](const D& d) {
            const Distribution& drawn = d.distribution;
            return is_normal(drawn) ? drawn.stddev : moments_of(drawn).stddev;
          },
          "The standard deviation before truncation. For other distributions it is stddev.")
      .def_prop_ro(
          "bounds", [](const D& d) { return bounds_of(d.distribution); },
          "No value is below the first or above the second number. They are infinite for a normal without truncation "
          "and for computed values.")
      .def_prop_ro(
          "seed", [](const D& d) { return d.seed; }, "The seed's number, given or drawn.")
      .def_prop_ro(
          "seed_kind", [](const D& d) { return name_of(d.seed_kind); }, "\"fixed\", \"sequence\" or \"none\".")
      .def_prop_ro(
          "derivation", [](const D& d) { return d.derivation; }, "The formula of the distribution, with its numbers.")
      .def("__reduce__", &reduce)
      .def("__getstate__", &state_of)
      .def("__setstate__",
           [](nb::pointer_and_handle<D> self, const State& state) { new (self.p) D(description_of(state)); })
      .def("__repr__", [](const D& d) { return "<" + text_of(d) + ">"; })
      .def("__str__", &text_of);

  m.def(
      "describe",
      [](nb::handle init, nb::handle shape, nb::handle layout) {
        const InitializerArgument initializer(init, nb::none());
        return describe(*initializer, shape, layout);
      },
      "init"_a, "shape"_a, "layout"_a = nb::none(),
      nb::sig(
          "def describe(init: InitializerLike, shape: int | Sequence[int], layout: str | None = None) -> Description"),
      "The fans, the distribution and its derivation for a tensor of this shape. The layout is as in draw. Draws\n"
      "nothing. Raises ValueError and TypeError.");
}

Description describe(const Initializer& initializer, nb::handle shape, nb::handle layout) {
  const TensorOptions options = options_from(nb::none(), nb::none(), layout, std::nullopt);
  return initializer.describe(extents_from(shape, "shape"), options);
}

}  // namespace fanin::python
