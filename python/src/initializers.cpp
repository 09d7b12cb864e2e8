// SPDX-License-Identifier: Apache-2.0
// The Keras family as Python classes.
#include "fanin/initializers.h"

#include <nanobind/nanobind.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/string_view.h>
#include <nanobind/stl/vector.h>

#include <initializer_list>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "arguments.h"
#include "arrays.h"
#include "bindings.h"
#include "description.h"
#include "fanin/config.h"
#include "fanin/error.h"
#include "fill.h"
#include "seed.h"

namespace fanin::python {

using namespace nanobind::literals;

namespace {

ConfigForm form_from(std::string_view name) {
  if (name == "keras3") return ConfigForm::keras3;
  if (name == "tf2") return ConfigForm::tf2;
  throw InvalidArgument("form must be \"keras3\" or \"tf2\". Received: form=\"" + std::string(name) + "\"");
}

FanAxes axes_from(nb::handle input, nb::handle output) {
  FanAxes axes;
  if (!input.is_none()) axes.input = shape_from(input, "input_axes");
  if (!output.is_none()) axes.output = shape_from(output, "output_axes");
  return axes;
}

nb::dict config_of(const Initializer& initializer, std::string_view form = "keras3") {
  return nb::cast<nb::dict>(json_loads(initializer.get_config(form_from(form))));
}

bool is_random(const nb::dict& config) { return config.contains("seed"); }

// What makes two initializers equal: class, parameters as numbers, and the seed.
nb::tuple identity_of(const Initializer& initializer) {
  nb::dict config = config_of(initializer);
  const bool random = is_random(config);
  for (const char* axes : {"input_axes", "output_axes"}) {  // null is what they are without being written
    if (config.contains(axes) && config[axes].is_none()) nb::del(config[axes]);
  }
  if (random) nb::del(config["seed"]);
  for (auto [key, value] : config) {
    if (nb::isinstance<nb::int_>(value)) config[key] = nb::float_(nb::cast<double>(value));
  }
  return nb::make_tuple(initializer.class_name(), json_dumps(config),
                        random ? nb::object(seed_state(initializer.seed())) : nb::object(nb::none()));
}

// The arguments that make an equal initializer, in the constructors' order.
std::string repr_of(nb::handle self) {
  const auto& initializer = nb::cast<const Initializer&>(self);
  const nb::dict config = config_of(initializer);
  std::string arguments;
  for (const char* key : {"scale", "mode", "distribution", "mean", "stddev", "minval", "maxval", "value", "gain",
                          "seed", "input_axes", "output_axes", "lower", "upper"}) {
    const bool is_seed = std::string_view(key) == "seed";
    if (!config.contains(key) || (config[key].is_none() && !is_seed)) continue;
    arguments += (arguments.empty() ? "" : ", ") + std::string(key) + "=";
    arguments += is_seed && initializer.seed().kind() != Seed::Kind::fixed
                     ? to_text(initializer.seed())
                     : nb::cast<std::string>(nb::repr(config[key]));
  }
  return nb::cast<std::string>(self.type().attr("__name__")) + "(" + arguments + ")";
}

nb::object call(nb::handle self, nb::handle shape, nb::handle dtype, const nb::kwargs& rest) {
  nb::object name = nb::none();
  nb::object subsequence = nb::none();
  nb::object offset = nb::none();
  nb::object extent = nb::none();
  nb::object layout = nb::str("hwio");
  for (auto [key, value] : rest) {
    const std::string keyword = text_from(key);
    nb::object* argument = keyword == "name"               ? &name
                           : keyword == "subsequence"      ? &subsequence
                           : keyword == "partition_offset" ? &offset
                           : keyword == "partition_shape"  ? &extent
                           : keyword == "layout"           ? &layout
                                                           : nullptr;
    if (argument == nullptr) {
      throw nb::type_error(("Unknown keyword arguments: " + keyword +
                            ". Allowed keyword arguments: ['partition_shape', 'partition_offset', 'name', "
                            "'subsequence', 'layout'].")
                               .c_str());
    }
    *argument = nb::borrow(value);
  }
  return draw(self, shape, dtype, nb::none(), name, subsequence, offset, extent, layout, 0);
}

// Sets the object to one of this class, if the initializer is of it.
template <class Class>
bool wrap(const Initializer& initializer, nb::object& object) {
  if (initializer.class_name() != nb::cast<std::string>(nb::type<Class>().attr("__name__"))) return false;
  Class made;
  static_cast<Initializer&>(made) = initializer;
  object = nb::cast(made);
  return true;
}

template <class... Class>
nb::object wrap_any(const Initializer& initializer) {
  nb::object object;
  (void)(wrap<Class>(initializer, object) || ...);
  return object;
}

nb::object wrapped(const Initializer& initializer) {
  return wrap_any<HeNormal, HeUniform, LecunNormal, LecunUniform, GlorotNormal, GlorotUniform, VarianceScaling,
                  TruncatedNormal, RandomNormal, RandomUniform, Constant, Zeros, Ones, Identity>(initializer);
}

nb::object get(nb::handle identifier) {
  if (identifier.is_none() || nb::isinstance<Initializer>(identifier)) return nb::borrow(identifier);
  if (nb::isinstance<nb::str>(identifier)) return wrapped(make(text_from(identifier)));
  if (nb::isinstance<nb::dict>(identifier)) return wrapped(deserialize(json_dumps(identifier)));
  if (nb::isinstance<nb::type_object>(identifier)) return get(identifier());
  throw nb::type_error(("Could not interpret initializer identifier: " + shown(identifier) +
                        ". Give a name, a configuration as a dictionary, or an initializer")
                           .c_str());
}

// Whatever Python code has put on the object.
nb::object attributes_of(nb::handle self) { return nb::getattr(self, "__dict__", nb::none()); }

template <class Class>
nb::tuple get_state(nb::handle self) {
  const auto& initializer = nb::cast<const Class&>(self);
  Seed seed = initializer.seed();
  if (seed.kind() == Seed::Kind::sequence) {  // goes on where it is
    seed = Seed::sequence(seed.value(), seed.generator_name(), initializer.calls());
  }
  return nb::make_tuple(initializer.get_config(), seed_state(seed), attributes_of(self));
}

template <class Class>
void set_state(nb::pointer_and_handle<Class> self, const nb::tuple& state) {
  if (nb::len(state) != 3) throw InvalidArgument("This is no state of an initializer: " + shown(state));
  Class made = Class::from_config(nb::cast<std::string>(state[0]));
  static_cast<Initializer&>(made) = made.with_seed(seed_from_state(nb::cast<nb::tuple>(state[1])));
  new (self.p) Class(made);
  if (!state[2].is_none()) self.h.attr("__dict__").attr("update")(state[2]);
}

// A class with what each class has of its own, and the parameters of its configuration as attributes.
template <class Class, class Base>
nb::class_<Class, Base> bind_class(nb::module_& m, const char* name, const char* alias, const char* doc,
                                   std::initializer_list<const char*> parameters = {}) {
  auto bound = nb::class_<Class, Base>(m, name, doc);
  bound
      .def_static(
          "from_config", [](const nb::dict& config) { return Class::from_config(json_dumps(config)); }, "config"_a,
          nb::sig("def from_config(config: dict[str, object]) -> Initializer"),
          "From the inner configuration, as any Keras since TF 2.2 writes it. Raises ValueError for unknown keys.")
      .def("__getstate__", &get_state<Class>)
      .def("__setstate__", &set_state<Class>);
  for (const char* parameter : parameters) {
    bound.def_prop_ro(parameter,
                      [parameter](const Class& self) { return nb::cast<double>(config_of(self)[parameter]); });
  }
  m.attr(alias) = bound;
  return bound;
}

template <class Class>
void bind_scaled(nb::module_& m, const char* name, const char* alias, const char* doc) {
  bind_class<Class, VarianceScaling>(m, name, alias, doc)
      .def(
          "__init__",
          [](Class* self, nb::handle seed, nb::handle input_axes, nb::handle output_axes) {
            new (self) Class(seed_from(seed), axes_from(input_axes, output_axes));
          },
          "seed"_a = nb::none(), "input_axes"_a = nb::none(), "output_axes"_a = nb::none(),
          nb::sig("def __init__(self, seed: SeedLike = None, input_axes: Sequence[int] | None = None, "
                  "output_axes: Sequence[int] | None = None) -> None"));
}

}  // namespace

void bind_initializers(nb::module_& m) {
  nb::class_<Initializer>(m, "Initializer",
                          R"(Base of all initializers: a value that says what a tensor of any shape is filled with.

Keras's constructor arguments, methods and configuration. Two are equal if they have the same class, parameters and seed.
All may be used from many threads at once. A copy, or one that was pickled, has the same seed, a drawn one included, and
goes on counting the calls of a sequence.)")
      .def("__call__", &call, "shape"_a, "dtype"_a = nb::none(), "kwargs"_a,
           nb::sig("def __call__(self, shape: Sequence[int], dtype: object = None, *, name: str | None = None, "
                   "subsequence: int | None = None, partition_shape: Sequence[int] | None = None, "
                   "partition_offset: Sequence[int] | None = None, layout: str = 'hwio') -> numpy.ndarray"),
           R"(A new NumPy array with the tensor of this shape, or with the part of it that partition_offset and
partition_shape name, whose values are the slice of the whole tensor's. The rest is as for fanin.draw.)")
      .def(
          "describe",
          [](const Initializer& self, nb::handle shape, nb::handle layout) { return describe(self, shape, layout); },
          "shape"_a, "layout"_a = "hwio",
          nb::sig("def describe(self, shape: Sequence[int], layout: str = 'hwio') -> Description"),
          "Fans, distribution and derivation of a tensor of this shape.")
      .def(
          "get_config", &config_of, "form"_a = "keras3",
          nb::sig("def get_config(self, form: str = 'keras3') -> dict[str, object]"),
          R"(The inner configuration with Keras's keys, in Keras 3's form or TF 2's ("tf2"). A drawn seed is None there, as in
Keras. Raises ValueError if the form cannot say it.)")
      .def(
          "with_seed",
          [](const Initializer& self, nb::handle seed) { return wrapped(self.with_seed(seed_from(seed))); },
          "seed"_a.none(), nb::sig("def with_seed(self, seed: SeedLike) -> Initializer"),
          "The same initializer with another seed.")
      .def_prop_ro(
          "seed",
          [](const Initializer& self) -> nb::object {
            if (!is_random(config_of(self))) return nb::none();
            if (self.seed().kind() == Seed::Kind::sequence) return nb::cast(self.seed());
            return nb::int_(self.seed().value());
          },
          nb::sig("def seed(self) -> int | Seed | None"),
          "The seed's number, given or drawn; of a sequence the Seed; None if nothing is drawn.")
      .def_prop_ro(
          "seed_kind", [](const Initializer& self) { return name_of(self.seed().kind()); },
          "\"fixed\", \"sequence\" or \"none\" (drawn).")
      .def_prop_ro("calls", &Initializer::calls, "The number of the next call of a sequence.")
      .def("__repr__", &repr_of)
      .def(
          "__eq__",
          [](nb::handle self, nb::handle other) -> nb::object {
            if (!nb::isinstance<Initializer>(other)) return nb::borrow(Py_NotImplemented);
            return nb::bool_(self.type().is(other.type()) &&
                             identity_of(nb::cast<const Initializer&>(self))
                                 .equal(identity_of(nb::cast<const Initializer&>(other))));
          },
          nb::is_operator(), nb::sig("def __eq__(self, other: object) -> bool"))
      .def("__hash__", [](const Initializer& self) { return nb::hash(identity_of(self)); });

  bind_class<VarianceScaling, Initializer>(m, "VarianceScaling", "variance_scaling",
                                           R"(A distribution whose variance is scale / fan.

"truncated_normal" (or "normal"): sigma = sqrt(scale / fan) / 0.87962566103423978, cut at 2 sigma by rejection, so that
sqrt(scale / fan) is what remains after the cut. "untruncated_normal": sigma = sqrt(scale / fan). "uniform": on
[-limit, limit), limit = sqrt(3 * scale / fan). fan is max(1, fan); mode is "fan_in", "fan_out" or "fan_avg".)")
      .def(
          "__init__",
          [](VarianceScaling* self, double scale, std::string_view mode, std::string_view distribution, nb::handle seed,
             nb::handle input_axes, nb::handle output_axes) {
            new (self) VarianceScaling(scale, mode, distribution, seed_from(seed), axes_from(input_axes, output_axes));
          },
          "scale"_a = 1.0, "mode"_a = "fan_in", "distribution"_a = "truncated_normal", "seed"_a = nb::none(),
          "input_axes"_a = nb::none(), "output_axes"_a = nb::none(),
          nb::sig("def __init__(self, scale: float = 1.0, mode: str = 'fan_in', distribution: str = "
                  "'truncated_normal', seed: SeedLike = None, input_axes: Sequence[int] | None = None, "
                  "output_axes: Sequence[int] | None = None) -> None"))
      .def_prop_ro("scale", &VarianceScaling::scale)
      .def_prop_ro("mode", &VarianceScaling::mode)
      .def_prop_ro("distribution", &VarianceScaling::distribution)
      .def_prop_ro("input_axes", [](const VarianceScaling& self) { return self.axes().input; })
      .def_prop_ro("output_axes", [](const VarianceScaling& self) { return self.axes().output; });

  bind_scaled<HeNormal>(m, "HeNormal", "he_normal",
                        "Truncated normal, scale 2, fan_in. He et al., \"Delving deep into rectifiers\", 2015.");
  bind_scaled<HeUniform>(m, "HeUniform", "he_uniform", "Uniform on [-limit, limit), limit = sqrt(6 / fan_in).");
  bind_scaled<LecunNormal>(m, "LecunNormal", "lecun_normal",
                           "Truncated normal, scale 1, fan_in. LeCun et al., \"Efficient backprop\", 1998.");
  bind_scaled<LecunUniform>(m, "LecunUniform", "lecun_uniform",
                            "Uniform on [-limit, limit), limit = sqrt(3 / fan_in).");
  bind_scaled<GlorotNormal>(m, "GlorotNormal", "glorot_normal",
                            "Truncated normal, scale 1, fan_avg. Glorot and Bengio, 2010.");
  bind_scaled<GlorotUniform>(m, "GlorotUniform", "glorot_uniform",
                             "Uniform on [-limit, limit), limit = sqrt(6 / (fan_in + fan_out)).");

  bind_class<TruncatedNormal, Initializer>(
      m, "TruncatedNormal", "truncated_normal",
      R"(A normal, cut by rejection lower and upper standard deviations from the mean.

stddev is that before the cut. Keras's cut is always at 2; any other window with lower < upper is allowed.)",
      {"mean", "stddev"})
      .def(
          "__init__",
          [](TruncatedNormal* self, double mean, double stddev, nb::handle seed, double lower, double upper) {
            new (self) TruncatedNormal(mean, stddev, seed_from(seed), lower, upper);
          },
          "mean"_a = 0.0, "stddev"_a = 0.05, "seed"_a = nb::none(), "lower"_a = -2.0, "upper"_a = 2.0,
          nb::sig("def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: SeedLike = None, "
                  "lower: float = -2.0, upper: float = 2.0) -> None"));

  bind_class<RandomNormal, Initializer>(m, "RandomNormal", "random_normal", "A normal, not cut.", {"mean", "stddev"})
      .def(
          "__init__",
          [](RandomNormal* self, double mean, double stddev, nb::handle seed) {
            new (self) RandomNormal(mean, stddev, seed_from(seed));
          },
          "mean"_a = 0.0, "stddev"_a = 0.05, "seed"_a = nb::none(),
          nb::sig("def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: SeedLike = None) -> None"));

  bind_class<RandomUniform, Initializer>(
      m, "RandomUniform", "random_uniform",
      "Uniform on [minval, maxval). maxval itself never occurs, after rounding either.", {"minval", "maxval"})
      .def(
          "__init__",
          [](RandomUniform* self, double minval, double maxval, nb::handle seed) {
            new (self) RandomUniform(minval, maxval, seed_from(seed));
          },
          "minval"_a = -0.05, "maxval"_a = 0.05, "seed"_a = nb::none(),
          nb::sig("def __init__(self, minval: float = -0.05, maxval: float = 0.05, seed: SeedLike = None) -> None"));

  bind_class<Constant, Initializer>(m, "Constant", "constant", "One value everywhere.", {"value"})
      .def(nb::init<double>(), "value"_a = 0.0);
  bind_class<Zeros, Initializer>(m, "Zeros", "zeros", "0 everywhere.").def(nb::init<>());
  bind_class<Ones, Initializer>(m, "Ones", "ones", "1 everywhere.").def(nb::init<>());
  bind_class<Identity, Initializer>(m, "Identity", "identity",
                                    "gain where row and column are equal, else 0; matrices only, not always square.")
      .def(nb::init<double>(), "gain"_a = 1.0)
      .def_prop_ro("gain", [](const Identity& self) {
        const nb::dict config = config_of(self);
        return config.contains("gain") ? nb::cast<double>(config["gain"]) : 1.0;
      });

  m.def("get", &get, "identifier"_a.none(),
        nb::sig("def get(identifier: InitializerLike | type[Initializer] | None) -> Initializer | None"),
        R"(The initializer of a name, a configuration or a class; an initializer and None are returned as they are.

Names are those of Keras since TF 2.2: "HeNormal", "he_normal", its aliases, TF 2's with V2, alone or behind
"keras.initializers.". Raises ValueError, for an unknown name with the nearest one, and TypeError.)");
  m.def(
      "deserialize",
      [](nb::handle config) {
        if (!nb::isinstance<nb::dict>(config) && !nb::isinstance<nb::str>(config)) {
          throw nb::type_error("A serialized initializer is a dictionary or a name");
        }
        return get(config);
      },
      "config"_a.none(), nb::sig("def deserialize(config: dict[str, object] | str) -> Initializer"),
      "The initializer of a configuration with \"class_name\" and perhaps \"config\", as any Keras since TF 2.2 writes "
      "it.");
  m.def(
      "serialize",
      [](nb::handle initializer, std::string_view form) {
        if (!nb::isinstance<Initializer>(initializer))
          throw nb::type_error("Only a fanin.Initializer can be serialized");
        return json_loads(serialize(nb::cast<const Initializer&>(initializer), form_from(form)));
      },
      "initializer"_a, "form"_a = "keras3",
      nb::sig("def serialize(initializer: Initializer, form: str = 'keras3') -> dict[str, object]"),
      "The configuration with its class's name, in Keras 3's form or TF 2's (\"tf2\"). Raises ValueError if the form "
      "cannot\n"
      "say it.");
}

}  // namespace fanin::python
