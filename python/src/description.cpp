// SPDX-License-Identifier: Apache-2.0
#include "description.h"

#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/string_view.h>

#include <cstdint>
#include <optional>
#include <string>

#include "arguments.h"
#include "arrays.h"
#include "bindings.h"

namespace fanin::python {

using namespace nanobind::literals;

namespace {

using Kind = Distribution::Kind;

std::string number(double value) { return nb::cast<std::string>(nb::repr(nb::float_(value))); }

bool is_normal(const Distribution& d) { return d.kind == Kind::normal || d.kind == Kind::truncated_normal; }

// What is drawn, for a reader.
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
  }
  return "normal, mean " + number(d.mean) + ", stddev " + number(d.stddev) + ", cut at " + number(d.lower) + " and " +
         number(d.upper) + " stddev";
}

// No value is outside them: the interval of a uniform, the cut of a truncated normal.
nb::object bounds_of(const Distribution& d) {
  if (d.kind == Kind::uniform) return nb::make_tuple(d.low, d.high);
  if (is_normal(d)) return nb::make_tuple(d.mean + d.stddev * d.lower, d.mean + d.stddev * d.upper);
  return nb::make_tuple(d.kind == Kind::identity && d.value > 0 ? 0.0 : d.value,
                        d.kind == Kind::identity && d.value < 0 ? 0.0 : d.value);
}

std::string text_of(const NamedDescription& self) {
  const Description& d = self.description;
  const Moments moments = moments_of(d.distribution);
  return d.initializer + " of shape " + to_string(d.shape) + "\n" + "  fans        in " +
         std::to_string(d.fans.fan_in) + ", out " + std::to_string(d.fans.fan_out) + " (" +
         std::string(name_of(self.layout)) + ")\n" + "  derivation  " + d.derivation + "\n" + "  values      " +
         values_text(d.distribution) + "\n" + "  all in all  mean " + number(moments.mean) + ", stddev " +
         number(moments.stddev);
}

}  // namespace

void bind_description(nb::module_& m) {
  using D = NamedDescription;
  nb::class_<D>(m, "Description", "How a tensor comes to its values; numbers are in binary64, before any rounding.")
      .def_prop_ro(
          "initializer", [](const D& d) { return d.description.initializer; }, "The class's name.")
      .def_prop_ro(
          "shape", [](const D& d) { return tuple_of(d.description.shape); },
          nb::sig("def shape(self) -> tuple[int, ...]"), "Of the whole tensor.")
      .def_prop_ro(
          "layout", [](const D& d) { return name_of(d.layout); }, "\"hwio\" or \"oihw\".")
      .def_prop_ro(
          "fan_in", [](const D& d) { return d.description.fans.fan_in; }, "Inputs that feed an output.")
      .def_prop_ro(
          "fan_out", [](const D& d) { return d.description.fans.fan_out; }, "Outputs that an input feeds.")
      .def_prop_ro(
          "distribution", [](const D& d) { return name_of(d.description.distribution.kind); },
          "\"constant\", \"identity\", \"uniform\", \"normal\" or \"truncated_normal\".")
      .def_prop_ro(
          "mean", [](const D& d) { return moments_of(d.description.distribution).mean; }, "Of the values.")
      .def_prop_ro(
          "stddev", [](const D& d) { return moments_of(d.description.distribution).stddev; },
          "Of the values: after truncation.")
      .def_prop_ro(
          "untruncated_stddev",
          [](const D& d) {
            const Distribution& drawn = d.description.distribution;
            return is_normal(drawn) ? drawn.stddev : moments_of(drawn).stddev;
          },
          "Of a truncated normal before it is cut, else stddev.")
      .def_prop_ro(
          "bounds", [](const D& d) { return bounds_of(d.description.distribution); },
          nb::sig("def bounds(self) -> tuple[float, float]"),
          "No value is below the first or above the second; infinite for a normal that is not cut.")
      .def_prop_ro(
          "seed", [](const D& d) { return d.description.seed; }, "The seed's number, given or drawn.")
      .def_prop_ro(
          "seed_kind", [](const D& d) { return name_of(d.description.seed_kind); },
          "\"fixed\", \"sequence\" or \"none\".")
      .def_prop_ro(
          "derivation", [](const D& d) { return d.description.derivation; }, "The formula with its numbers.")
      .def("__repr__", [](const D& d) { return "<" + text_of(d) + ">"; })
      .def("__str__", &text_of);

  m.def(
      "describe",
      [](nb::handle init, nb::handle shape, nb::handle layout) {
        const InitializerArgument initializer(init, nb::none());
        return describe(*initializer, shape, layout);
      },
      "init"_a, "shape"_a, "layout"_a = "hwio",
      nb::sig("def describe(init: InitializerLike, shape: Sequence[int], layout: str = 'hwio') -> Description"),
      "Fans, distribution and derivation of a tensor of this shape, without drawing anything. Raises ValueError and\n"
      "TypeError.");
}

NamedDescription describe(const Initializer& initializer, nb::handle shape, nb::handle layout) {
  const Layout channels = layout_from(layout);
  return {initializer.describe(shape_from(shape, "shape"), channels), channels};
}

}  // namespace fanin::python
