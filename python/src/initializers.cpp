// SPDX-License-Identifier: Apache-2.0
// The initializers as Python classes.
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
#include <type_traits>
#include <utility>
#include <vector>

#include "arguments.h"
#include "arrays.h"
#include "bindings.h"
#include "fanin/config.h"
#include "fanin/error.h"
#include "fanin/gain.h"
#include "fill.h"

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
  if (!input.is_none()) axes.input = extents_from(input, "input_axes");
  if (!output.is_none()) axes.output = extents_from(output, "output_axes");
  return axes;
}

// The shape and the row-major values of what NumPy takes for an array of numbers. It would also read text, and drop the
// imaginary part of complex numbers.
std::pair<Shape, std::vector<double>> array_from(nb::handle object, const char* what) {
  const std::string refusal =
      std::string(what) + " must be a number or an array of numbers. Received: " + shown(object);
  try {
    const nb::module_ numpy = nb::module_::import_("numpy");
    const nb::object given = numpy.attr("asarray")(object);
    const std::string kind = nb::cast<std::string>(given.attr("dtype").attr("kind"));
    if (kind == "U" || kind == "S" || kind == "c") throw nb::type_error(refusal.c_str());
    const nb::object array = numpy.attr("asarray")(given, "dtype"_a = "float64");
    return {nb::cast<std::vector<std::int64_t>>(array.attr("shape")),
            nb::cast<std::vector<double>>(array.attr("ravel")().attr("tolist")())};
  } catch (const nb::python_error&) {
    throw nb::type_error(refusal.c_str());
  }
}

nb::dict config_of(const Initializer& initializer, std::string_view form = "keras3") {
  return nb::cast<nb::dict>(json_loads(initializer.get_config(form_from(form))));
}

bool is_random(const nb::dict& config) { return config.contains("seed"); }

// Equal for equal initializers: the class, the parameters as numbers, and the seed.
nb::tuple identity_of(const Initializer& initializer) {
  nb::dict config = config_of(initializer);
  const bool random = is_random(config);
  for (const char* axes : {"input_axes", "output_axes"}) {  // absent and null mean the same
    if (config.contains(axes) && config[axes].is_none()) nb::del(config[axes]);
  }
  if (random) nb::del(config["seed"]);
  for (auto [key, value] : config) {
    if (nb::isinstance<nb::int_>(value)) config[key] = nb::float_(nb::cast<double>(value));
  }
  return nb::make_tuple(initializer.class_name(), json_dumps(config),
                        random ? nb::object(seed_state(initializer.seed())) : nb::object(nb::none()));
}

// Whether None is a value of the parameter, and not its default.
bool initializer_has_null(std::string_view key) { return key == "window" || key == "scaling"; }

// The arguments that make an equal initializer, in the constructors' order.
std::string repr_of(nb::handle self) {
  const auto& initializer = nb::cast<const Initializer&>(self);
  const nb::dict config = config_of(initializer);
  std::string arguments;
  if (initializer.class_name().find(':') != std::string_view::npos) {  // a framework's name, which no class has
    const std::string text = "get(" + nb::cast<std::string>(nb::repr(json_loads(serialize(initializer)))) + ")";
    const bool is_drawn = config.contains("seed") && initializer.seed().kind() != Seed::Kind::fixed;
    return is_drawn ? text + ".with_seed(" + to_text(initializer.seed()) + ")" : text;
  }
  for (const char* key :
       {"scale",  "mode",      "distribution", "mean",   "sparsity",   "stddev",      "minval", "maxval",
        "value",  "constants", "gain",         "groups", "gate",       "gates",       "w0",     "side",
        "window", "scaling",   "periodic",     "seed",   "input_axes", "output_axes", "lower",  "upper"}) {
    const bool is_seed = std::string_view(key) == "seed";
    if (!config.contains(key)) continue;
    if (config[key].is_none() && !is_seed && !initializer_has_null(key)) continue;
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
  nb::object layout = nb::none();
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

// Makes the object of this class, if it is the initializer's.
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
  if (!(wrap<Class>(initializer, object) || ...)) object = nb::cast(initializer);  // a framework's name
  return object;
}

nb::object wrapped(const Initializer& initializer) {
  return wrap_any<HeNormal, HeUniform, LecunNormal, LecunUniform, GlorotNormal, GlorotUniform, VarianceScaling,
                  TruncatedNormal, RandomNormal, RandomUniform, Constant, Zeros, Ones, Identity, Orthogonal, Formula,
                  SirenFirst, SirenHidden, Dirac, Bilinear, ForgetGateBias, Sparse, STFT>(initializer);
}

nb::object get(nb::handle identifier, std::string_view convention = {}) {
  if (!convention.empty() && !nb::isinstance<nb::str>(identifier)) {
    throw nb::type_error(("A convention is for a name. Received: " + shown(identifier)).c_str());
  }
  if (identifier.is_none() || nb::isinstance<Initializer>(identifier)) return nb::borrow(identifier);
  if (nb::isinstance<nb::str>(identifier)) return wrapped(make(text_from(identifier), {}, convention));
  if (nb::isinstance<nb::dict>(identifier)) return wrapped(deserialize(json_dumps(identifier)));
  if (const nb::object config = keras_config(identifier)) return get(config);
  if (nb::isinstance<nb::type_object>(identifier)) return get(instance_of(identifier));
  throw nb::type_error(("Could not interpret initializer identifier: " + shown(identifier) +
                        ". Give a name, a configuration as a dictionary, or an initializer")
                           .c_str());
}

// The attributes that Python code has set on the object.
nb::object attributes_of(nb::handle self) { return nb::getattr(self, "__dict__", nb::none()); }

// Of the class, or of a framework's name if the class is Initializer.
template <class Class>
Class from_state(const std::string& json) {
  if constexpr (std::is_same_v<Class, Initializer>) {
    return deserialize(json);
  } else {
    return Class::from_config(json);
  }
}

template <class Class>
nb::tuple get_state(nb::handle self) {
  const auto& initializer = nb::cast<const Class&>(self);
  Seed seed = initializer.seed();
  if (seed.kind() == Seed::Kind::sequence) {  // continues after its last call
    seed = Seed::sequence(seed.value(), seed.generator_name(), initializer.calls());
  }
  const std::string json = std::is_same_v<Class, Initializer> ? serialize(initializer) : initializer.get_config();
  return nb::make_tuple(json, seed_state(seed), attributes_of(self));
}

template <class Class>
void set_state(nb::pointer_and_handle<Class> self, const nb::tuple& state) {
  if (nb::len(state) != 3) throw InvalidArgument("This is no state of an initializer: " + shown(state));
  Class made = from_state<Class>(nb::cast<std::string>(state[0]));
  static_cast<Initializer&>(made) = made.with_seed(seed_from_state(nb::cast<nb::tuple>(state[1])));
  new (self.p) Class(made);
  if (!state[2].is_none()) self.h.attr("__dict__").attr("update")(state[2]);
}

// A class with the methods that each class needs, and the parameters of its configuration as attributes.
template <class Class, class Base>
nb::class_<Class, Base> bind_class(nb::module_& m, const char* name, const char* alias, const char* doc,
                                   std::initializer_list<const char*> parameters = {}) {
  auto bound = nb::class_<Class, Base>(m, name, doc);
  bound
      .def_static(
          "from_config", [](const nb::dict& config) { return Class::from_config(json_dumps(config)); }, "config"_a,
          nb::sig("def from_config(config: dict[str, object]) -> Initializer"),
          "The initializer of a configuration, as any Keras since TF 2.2 writes it. Raises ValueError for unknown "
          "keys.")
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
          nb::sig("def __init__(self, seed: SeedLike = None, input_axes: int | Sequence[int] | None = None, "
                  "output_axes: int | Sequence[int] | None = None) -> None"));
}

}  // namespace

void bind_initializers(nb::module_& m) {
  nb::class_<Initializer>(
      m, "Initializer", nb::is_weak_referenceable(),
      R"(Base class of all initializers, which have the arguments, methods and configurations of Keras's.

Two initializers are equal if they have the same class, parameters and seed. Several threads may use one at once. A copy, or
a pickled one, has the same seed, also if it was drawn, and continues to count the calls of a sequence.)")
      .def(
          "__call__", &call, "shape"_a, "dtype"_a = nb::none(), "kwargs"_a,
          nb::sig("def __call__(self, shape: int | Sequence[int], dtype: object = None, *, name: str | None = None, "
                  "subsequence: int | None = None, partition_shape: int | Sequence[int] | None = None, "
                  "partition_offset: int | Sequence[int] | None = None, layout: str | None = None) -> numpy.ndarray"),
          R"(Returns a new NumPy array: the tensor of this shape, or the block of it with the given partition_offset and
partition_shape, whose values are the slice of the whole tensor. The other arguments are those of fanin.draw.)")
      .def(
          "describe",
          [](const Initializer& self, nb::handle shape, nb::handle layout) { return describe(self, shape, layout); },
          "shape"_a, "layout"_a = nb::none(),
          nb::sig("def describe(self, shape: int | Sequence[int], layout: str | None = None) -> Description"),
          "The fans, the distribution and its derivation for a tensor of this shape.")
      .def(
          "get_config", &config_of, "form"_a = "keras3",
          nb::sig("def get_config(self, form: str = 'keras3') -> dict[str, object]"),
          R"(The configuration with Keras's keys, in the form of Keras 3 ("keras3") or TF 2 ("tf2"). A drawn seed is None, as in
Keras. Raises ValueError for parameters that the form does not have.)")
      .def(
          "with_seed",
          [](const Initializer& self, nb::handle seed) { return wrapped(self.with_seed(seed_from(seed))); },
          "seed"_a.none(), nb::sig("def with_seed(self, seed: SeedLike) -> Initializer"),
          "The same initializer with another seed. A sequence starts at its first call.")
      .def_prop_ro(
          "seed",
          [](const Initializer& self) -> nb::object {
            if (!is_random(config_of(self))) return nb::none();
            if (self.seed().kind() == Seed::Kind::sequence) return nb::cast(self.seed());
            return nb::int_(self.seed().value());
          },
          nb::sig("def seed(self) -> int | Seed | None"),
          "The number of the seed, given or drawn; the Seed for a sequence; None if the initializer draws nothing.")
      .def_prop_ro(
          "seed_kind", [](const Initializer& self) { return name_of(self.seed().kind()); },
          "\"fixed\", \"sequence\" or \"none\" (drawn).")
      .def_prop_ro("calls", &Initializer::calls, "The number of the next call, for a sequence; else 0.")
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
      .def("__hash__", [](const Initializer& self) { return nb::hash(identity_of(self)); })
      .def("__reduce__", &reduce)
      .def("__getstate__", &get_state<Initializer>)
      .def("__setstate__", &set_state<Initializer>);

  bind_class<VarianceScaling, Initializer>(m, "VarianceScaling", "variance_scaling",
                                           R"(A distribution with the variance scale / max(1, fan), for scale > 0.

mode           which fan: "fan_in", "fan_out", or their mean "fan_avg"
distribution   "truncated_normal" (or "normal"): truncated at 2 sigma by rejection, where sigma = sqrt(scale / fan) /
               0.87962566103423978, so that the standard deviation after truncation is sqrt(scale / fan);
               "untruncated_normal": sigma = sqrt(scale / fan);
               "uniform": on [-limit, limit), limit = sqrt(3 * scale / fan)
input_axes     the axes of the inputs and of the outputs, for shapes in which they are not where the layout says. Since
output_axes    Keras 3.15.
lower, upper   bounds of a truncated_normal in place of -2 and 2, both or neither: sigma = sqrt(scale / fan) then, as in
               PyTorch and OLMo, so that truncation makes the standard deviation smaller.)")
      .def(
          "__init__",
          [](VarianceScaling* self, double scale, std::string_view mode, std::string_view distribution, nb::handle seed,
             nb::handle input_axes, nb::handle output_axes, std::optional<double> lower, std::optional<double> upper) {
            new (self) VarianceScaling(scale, mode, distribution, seed_from(seed), axes_from(input_axes, output_axes),
                                       lower, upper);
          },
          "scale"_a = 1.0, "mode"_a = "fan_in", "distribution"_a = "truncated_normal", "seed"_a = nb::none(),
          "input_axes"_a = nb::none(), "output_axes"_a = nb::none(), "lower"_a = nb::none(), "upper"_a = nb::none(),
          nb::sig(
              "def __init__(self, scale: float = 1.0, mode: str = 'fan_in', distribution: str = "
              "'truncated_normal', seed: SeedLike = None, input_axes: int | Sequence[int] | None = None, "
              "output_axes: int | Sequence[int] | None = None, lower: float | None = None, upper: float | None = None) "
              "-> None"))
      .def_prop_ro("scale", &VarianceScaling::scale)
      .def_prop_ro("mode", &VarianceScaling::mode)
      .def_prop_ro("distribution", &VarianceScaling::distribution)
      .def_prop_ro("input_axes", [](const VarianceScaling& self) { return self.axes().input; })
      .def_prop_ro("output_axes", [](const VarianceScaling& self) { return self.axes().output; })
      .def_prop_ro("lower", &VarianceScaling::lower)
      .def_prop_ro("upper", &VarianceScaling::upper);

  bind_scaled<HeNormal>(
      m, "HeNormal", "he_normal",
      "VarianceScaling(2, \"fan_in\", \"truncated_normal\"). He et al., \"Delving deep into rectifiers\", 2015.");
  bind_scaled<HeUniform>(m, "HeUniform", "he_uniform",
                         "Uniform on [-limit, limit), limit = sqrt(6 / fan_in). He et al., 2015.");
  bind_scaled<LecunNormal>(
      m, "LecunNormal", "lecun_normal",
      "VarianceScaling(1, \"fan_in\", \"truncated_normal\"). LeCun et al., \"Efficient backprop\", 1998.");
  bind_scaled<LecunUniform>(m, "LecunUniform", "lecun_uniform",
                            "Uniform on [-limit, limit), limit = sqrt(3 / fan_in). LeCun et al., 1998.");
  bind_scaled<GlorotNormal>(m, "GlorotNormal", "glorot_normal",
                            "VarianceScaling(1, \"fan_avg\", \"truncated_normal\"). Glorot and Bengio, 2010.");
  bind_scaled<GlorotUniform>(
      m, "GlorotUniform", "glorot_uniform",
      "Uniform on [-limit, limit), limit = sqrt(6 / (fan_in + fan_out)). Glorot and Bengio, 2010.");

  bind_class<TruncatedNormal, Initializer>(
      m, "TruncatedNormal", "truncated_normal",
      R"(A normal distribution, truncated to [mean + lower * stddev, mean + upper * stddev] by rejection.

stddev is the standard deviation before truncation. lower < upper; Keras always has -2 and 2.)",
      {"mean", "stddev"})
      .def(
          "__init__",
          [](TruncatedNormal* self, double mean, double stddev, nb::handle seed, double lower, double upper) {
            new (self) TruncatedNormal(mean, stddev, seed_from(seed), lower, upper);
          },
          "mean"_a = 0.0, "stddev"_a = 0.05, "seed"_a = nb::none(), "lower"_a = -2.0, "upper"_a = 2.0,
          nb::sig("def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: SeedLike = None, "
                  "lower: float = -2.0, upper: float = 2.0) -> None"));

  bind_class<RandomNormal, Initializer>(m, "RandomNormal", "random_normal", "A normal distribution, not truncated.",
                                        {"mean", "stddev"})
      .def(
          "__init__",
          [](RandomNormal* self, double mean, double stddev, nb::handle seed) {
            new (self) RandomNormal(mean, stddev, seed_from(seed));
          },
          "mean"_a = 0.0, "stddev"_a = 0.05, "seed"_a = nb::none(),
          nb::sig("def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: SeedLike = None) -> None"));

  bind_class<RandomUniform, Initializer>(
      m, "RandomUniform", "random_uniform",
      "Uniform on [minval, maxval). No value is maxval, even after rounding to the dtype.", {"minval", "maxval"})
      .def(
          "__init__",
          [](RandomUniform* self, double minval, double maxval, nb::handle seed) {
            new (self) RandomUniform(minval, maxval, seed_from(seed));
          },
          "minval"_a = -0.05, "maxval"_a = 0.05, "seed"_a = nb::none(),
          nb::sig("def __init__(self, minval: float = -0.05, maxval: float = 0.05, seed: SeedLike = None) -> None"));

  bind_class<Constant, Initializer>(
      m, "Constant", "constant",
      R"(Every element is value, a number or an array that broadcasts to the tensor's shape as in NumPy.

A number outside the dtype's range becomes the outermost finite one. An array has at most 8 dimensions; its numbers are
rounded once, and a fill refuses those that are not finite in the dtype. The host fills it for every device.)")
      .def(
          "__init__",
          [](Constant* self, nb::handle value) {
            double number = 0;
            if (nb::try_cast(value, number)) {
              new (self) Constant(number);
            } else {
              auto [shape, values] = array_from(value, "value");
              new (self) Constant(std::move(shape), std::move(values));
            }
          },
          "value"_a = 0.0, nb::sig("def __init__(self, value: float | ArrayLike = 0.0) -> None"))
      .def_prop_ro(
          "value", [](const Constant& self) { return nb::object(config_of(self)["value"]); },
          nb::sig("def value(self) -> float | list"), "The number, or the array as nested lists.");
  bind_class<Zeros, Initializer>(m, "Zeros", "zeros", "Every element is 0.").def(nb::init<>());
  bind_class<Ones, Initializer>(m, "Ones", "ones", "Every element is 1.").def(nb::init<>());
  bind_class<Identity, Initializer>(m, "Identity", "identity",
                                    "A matrix, not necessarily square, of gain on the diagonal and 0 elsewhere.")
      .def(nb::init<double>(), "gain"_a = 1.0)
      .def_prop_ro("gain", [](const Identity& self) {
        const nb::dict config = config_of(self);
        return config.contains("gain") ? nb::cast<double>(config["gain"]) : 1.0;
      });

  bind_class<Orthogonal, Initializer>(
      m, "Orthogonal", "orthogonal",
      R"doc(A matrix with orthonormal columns, or rows if it has more columns than rows, times gain; uniform (Haar).

The shape has two dimensions or more. Its matrix has the last extent as columns (layout hwio, as in Keras) or the first extent as
rows (layout oihw, as in PyTorch). Saxe et al., "Exact solutions to the nonlinear dynamics of learning ...", 2014.

The host computes the whole matrix for every device and every block, in float32 (float64 for float64). This takes about
2 max(rows, cols) min(rows, cols)^2 operations, and memory for two more matrices. While only parts of a tensor have been
filled, the initializer keeps the matrix. A fill on a device waits for the stream.)doc")
      .def(
          "__init__",
          [](Orthogonal* self, double gain, nb::handle seed) { new (self) Orthogonal(gain, seed_from(seed)); },
          "gain"_a = 1.0, "seed"_a = nb::none(),
          nb::sig("def __init__(self, gain: float = 1.0, seed: SeedLike = None) -> None"))
      .def_prop_ro("gain", [](const Orthogonal& self) { return nb::cast<double>(config_of(self)["gain"]); });

  bind_class<SirenFirst, Initializer>(m, "SirenFirst", "siren_first",
                                      "Uniform on [-1 / fan_in, 1 / fan_in), for the first layer of a network of "
                                      "sines. Sitzmann et al., 2020, section 3.2.")
      .def(
          "__init__", [](SirenFirst* self, nb::handle seed) { new (self) SirenFirst(seed_from(seed)); },
          "seed"_a = nb::none(), nb::sig("def __init__(self, seed: SeedLike = None) -> None"));

  bind_class<SirenHidden, Initializer>(m, "SirenHidden", "siren_hidden",
                                       "Uniform on [-limit, limit), limit = sqrt(6 / fan_in) / w0, for the other "
                                       "layers of a network of sines. Sitzmann et al., 2020.",
                                       {"w0"})
      .def(
          "__init__",
          [](SirenHidden* self, double w0, nb::handle seed) { new (self) SirenHidden(w0, seed_from(seed)); },
          "w0"_a = 30.0, "seed"_a = nb::none(),
          nb::sig("def __init__(self, w0: float = 30.0, seed: SeedLike = None) -> None"));

  bind_class<Dirac, Initializer>(
      m, "Dirac", "dirac",
      R"(PyTorch's dirac_: 1 at the centre of the kernel from each channel to the same channel of its group, else 0.

For kernels of convolutions in 1 to 3 dimensions, (..., in, out), or (out, in, ...) in layout oihw. groups divides the channels
out.)",
      {"groups"})
      .def(nb::init<std::int64_t>(), "groups"_a = 1);

  bind_class<Bilinear, Initializer>(
      m, "Bilinear", "bilinear",
      R"(Linear interpolation by a transposed convolution, from each channel to the same channel of its group, else 0.

Along each axis in space 1 - |i - (extent - 1) / 2| / floor((extent + 1) / 2), for 1 to 3 of them. The kernel is as PyTorch's
transposed convolutions have it, (in, out / groups, ...) in layout oihw, or (..., out / groups, in). groups divides the channels
in. Long, Shelhamer and Darrell, "Fully convolutional networks for semantic segmentation", 2015.)",
      {"groups"})
      .def(nb::init<std::int64_t>(), "groups"_a = 1);

  bind_class<ForgetGateBias, Initializer>(
      m, "ForgetGateBias", "forget_gate_bias",
      R"(The bias of a recurrent layer, whose last axis is `gates` parts of equal size: value in part number `gate`, else 0.

The defaults are those of an LSTM in Keras (unit_forget_bias) and in PyTorch. Jozefowicz et al., "An empirical exploration of
recurrent network architectures", 2015.)",
      {"value", "gate", "gates"})
      .def(nb::init<double, int, int>(), "value"_a = 1.0, "gate"_a = 1, "gates"_a = 4);

  bind_class<Sparse, Initializer>(
      m, "Sparse", "sparse",
      R"(PyTorch's sparse_: a matrix of normals, in which ceil(sparsity * outputs) random weights of each input are 0.

The inputs are the rows, or the columns in layout oihw. sparsity is from 0 to 1, the mean is 0. Every block knows its zeros.
Martens, "Deep learning via Hessian-free optimization", 2010.)",
      {"sparsity", "stddev"})
      .def(
          "__init__",
          [](Sparse* self, double sparsity, double stddev, nb::handle seed) {
            new (self) Sparse(sparsity, stddev, seed_from(seed));
          },
          "sparsity"_a = 0.1, "stddev"_a = 0.01, "seed"_a = nb::none(),
          nb::sig("def __init__(self, sparsity: float = 0.1, stddev: float = 0.01, seed: SeedLike = None) -> None"));

  bind_class<STFT, Initializer>(
      m, "STFT", "stft",
      R"(Keras's kernel of a short-time Fourier transform, of the shape (frame_length, 1, fft_length / 2 + 1).

side      "real": cos(2 pi t k / fft_length), "imag": -sin(2 pi t k / fft_length)
window    the factors of the frame's points: a name of scipy.signal.windows, a list of frame_length numbers, or None
scaling   what they are divided by: "density", sqrt(sum(window^2)); "spectrum", sum(|window|); or None
periodic  a named window has frame_length + 1 points, without the last

It needs a build with MPFR, as Formula's functions do.)")
      .def(
          "__init__",
          [](STFT* self, std::string_view side, nb::handle window, std::optional<std::string_view> scaling,
             bool periodic) {
            if (window.is_none()) {
              new (self) STFT(side, std::nullopt, scaling, periodic);
            } else if (nb::isinstance<nb::str>(window)) {
              const std::string name = text_from(window);
              new (self) STFT(side, std::optional<std::string_view>(name), scaling, periodic);
            } else {
              auto [shape, values] = array_from(window, "window");
              if (shape.size() != 1) {
                throw InvalidArgument("window must have one axis. Received: an array of shape " + to_string(shape));
              }
              new (self) STFT(side, std::move(values), scaling, periodic);
            }
          },
          "side"_a = "real", "window"_a.none() = "hann", "scaling"_a.none() = "density", "periodic"_a = false,
          nb::sig("def __init__(self, side: str = 'real', window: str | ArrayLike | None = 'hann', "
                  "scaling: str | None = 'density', periodic: bool = False) -> None"))
      .def_prop_ro("side", [](const STFT& self) { return nb::cast<std::string>(config_of(self)["side"]); })
      .def_prop_ro(
          "window", [](const STFT& self) { return nb::object(config_of(self)["window"]); },
          nb::sig("def window(self) -> str | list[float] | None"))
      .def_prop_ro(
          "scaling", [](const STFT& self) { return nb::object(config_of(self)["scaling"]); },
          nb::sig("def scaling(self) -> str | None"))
      .def_prop_ro("periodic", [](const STFT& self) { return nb::cast<bool>(config_of(self)["periodic"]); });

  bind_class<Formula, Initializer>(m, "Formula", "formula",
                                   R"doc(A value that is computed for each element, such as Formula("log(i[1] + 1)").

value is an expression: numbers, + - * / ^ (whole exponents), comparisons, if(condition, a, b), sqrt, floor, min, max,
clamp(x, low, high), pi, and
i[0], i[1] ...   the element's coordinates in the whole tensor; i[-1] is the last one
shape[0] ...     the tensor's extents
constants        by their names
u or z           one draw: uniform in the open interval (0, 1), or standard normal; u[k] or z[k] is that of element k
                 of the same row, the last axis, which has at most 64 elements then
place[k]         where the element is in a random order of the elements that differ from it only on axis k, from 0 on
log, exp, sin, cos, pow, log1p, expm1, softplus_inverse, correctly rounded; they need a build with MPFR

All dtypes get the same binary64 number, rounded once. The host computes it for every device. A fill refuses values that are
not finite in the dtype.)doc")
      .def(
          "__init__",
          [](Formula* self, std::string_view value, nb::handle constants, nb::handle seed) {
            new (self) Formula(value, constants_from(constants), seed_from(seed));
          },
          "value"_a, "constants"_a = nb::none(), "seed"_a = nb::none(),
          nb::sig("def __init__(self, value: str, constants: dict[str, float] | None = None, seed: SeedLike = None) -> "
                  "None"))
      .def_prop_ro("value", [](const Formula& self) { return nb::cast<std::string>(config_of(self)["value"]); })
      .def_prop_ro(
          "constants", [](const Formula& self) { return nb::cast<nb::dict>(config_of(self)["constants"]); },
          nb::sig("def constants(self) -> dict[str, float]"));

  m.def(
      "calculate_gain",
      [](std::string_view nonlinearity, nb::handle param) {
        if (param.is_none()) return calculate_gain(nonlinearity);
        double slope = 0;
        if (PyBool_Check(param.ptr()) == 0 && nb::try_cast(param, slope)) return calculate_gain(nonlinearity, slope);
        throw InvalidArgument("param, the slope of leaky_relu, must be a number. Received: param=" + shown(param));
      },
      "nonlinearity"_a, "param"_a = nb::none(),
      nb::sig("def calculate_gain(nonlinearity: str, param: float | None = None) -> float"),
      "torch.nn.init.calculate_gain: the gain of a nonlinearity, of which param is leaky_relu's slope (None: 0.01).\n"
      "Raises ValueError for an unknown one.");

  m.def("get", &get, "identifier"_a.none(), "convention"_a = "",
        nb::sig("def get(identifier: InitializerLike | type[Initializer] | None, convention: str = '') -> "
                "Initializer | None"),
        R"(The initializer for a name, a configuration or a class. Returns an initializer or None unchanged.

Names are those of Keras since TF 2.2: "HeNormal", "he_normal", their aliases, and TF 2's names with V2, with or without
"keras.initializers." before them.

After a convention, "keras", "torch" or "jax", a name means what that framework means by it: get("torch:kaiming_normal"), or
get("kaiming_normal", convention="torch"). Distribution, truncation, the parameters, their names and defaults are the framework's,
and so is the layout of a kernel, unless layout= or a PyTorch tensor says it. Other parameters stand in a configuration:
get({"class_name": "torch:kaiming_normal", "config": {"nonlinearity": "relu"}}).

Raises TypeError, and ValueError, which suggests a name for an unknown one or lists the convention's.)");
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
      "The configuration and the name of the class, in the form of Keras 3 or TF 2 (\"tf2\"). Raises ValueError for\n"
      "parameters that the form does not have.");
}

}  // namespace fanin::python
