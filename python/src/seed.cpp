// SPDX-License-Identifier: Apache-2.0
#include "fanin/seed.h"

#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/string_view.h>

#include <new>
#include <string>
#include <tuple>

#include "arguments.h"
#include "bindings.h"

namespace fanin::python {

using namespace nanobind::literals;

std::string to_text(const Seed& seed) {
  const std::string value = std::to_string(seed.value());
  switch (seed.kind()) {
    case Seed::Kind::none:
      return "Seed.drawn(" + value + ")";
    case Seed::Kind::fixed:
      return "Seed(" + value + ")";
    case Seed::Kind::sequence:
      break;
  }
  std::string text = "Seed.sequence(" + value;
  if (seed.generator_name() != "seed_generator") {
    text += ", name=" + nb::cast<std::string>(nb::repr(nb::cast(seed.generator_name())));
  }
  if (seed.first_call() != 0) text += ", first_call=" + std::to_string(seed.first_call());
  return text + ")";
}

nb::tuple seed_state(const Seed& seed) {
  return nb::make_tuple(name_of(seed.kind()), seed.value(), seed.generator_name(), seed.first_call());
}

Seed seed_from_state(const nb::tuple& state) {
  if (nb::len(state) != 4) throw InvalidArgument("This is no state of a seed: " + shown(state));
  const auto kind = nb::cast<std::string>(state[0]);
  const auto value = nb::cast<std::uint64_t>(state[1]);
  if (kind == "none") return Seed::drawn(value);
  if (kind == "fixed") return {value};
  return Seed::sequence(value, nb::cast<std::string>(state[2]), nb::cast<std::uint64_t>(state[3]));
}

void bind_seed(nb::module_& m) {
  nb::class_<Seed>(m, "Seed", nb::is_weak_referenceable(),
                   R"(The 64-bit number that determines a set of weights, and whether repeated calls draw new values.

Seed(42)           fixed: the same call gives the same values. An integer means this (as in Keras 3 and TF 2.3).
Seed.sequence(42)  call number c of an initializer, counted from 0, uses the subsequence base + c, where base is the
                   call's subsequence (as TF 2.7, and Keras 3's SeedGenerator). Initializers with equal seeds give
                   equal sequences.
Seed()             drawn from the operating system now, then fixed; value is the number. None means this.)")
      .def(
          "__init__", [](Seed* self, nb::handle value) { new (self) Seed(seed_from(value)); }, "value"_a = nb::none(),
          nb::sig("def __init__(self, value: SeedLike = None) -> None"),
          "An integer in [0, 2**64), another Seed, or None to draw one. Raises ValueError and TypeError.")
      .def_static(
          "sequence",
          [](nb::handle value, std::string name, std::uint64_t first_call) {
            return Seed::sequence(unsigned_from(value, "The seed"), std::move(name), first_call);
          },
          "value"_a, "name"_a = "seed_generator", "first_call"_a = 0,
          nb::sig("def sequence(value: int, name: str = 'seed_generator', first_call: int = 0) -> Seed"),
          "A sequence. An initializer counts its calls from first_call. The name appears in Keras's configuration and\n"
          "does not influence the values.")
      .def_static(
          "drawn", [](nb::handle value) { return Seed::drawn(unsigned_from(value, "The seed")); }, "value"_a,
          nb::sig("def drawn(value: int) -> Seed"),
          "A seed that was drawn before. It gives the values of Seed(value), but configurations show None.")
      .def_prop_ro(
          "kind", [](const Seed& s) { return name_of(s.kind()); }, "\"fixed\", \"sequence\" or \"none\".")
      .def_prop_ro("value", &Seed::value, "The number, whether given or drawn.")
      .def_prop_ro(
          "name", [](const Seed& s) { return s.generator_name(); }, "The generator's name, for a sequence.")
      .def_prop_ro("first_call", &Seed::first_call, "The number of the first call, for a sequence.")
      .def("__repr__", &to_text)
      .def(
          "__eq__",
          [](const Seed& self, nb::handle other) -> nb::object {
            if (!nb::isinstance<Seed>(other)) return nb::borrow(Py_NotImplemented);
            return nb::bool_(seed_state(self).equal(seed_state(nb::cast<const Seed&>(other))));
          },
          nb::is_operator(), nb::sig("def __eq__(self, other: object) -> bool"))
      .def("__hash__", [](const Seed& self) { return nb::hash(seed_state(self)); })
      .def("__reduce__", &reduce)
      .def("__getstate__", &seed_state)
      .def("__setstate__", [](Seed& self, const nb::tuple& state) { new (&self) Seed(seed_from_state(state)); });
}

}  // namespace fanin::python
