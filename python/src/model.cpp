// SPDX-License-Identifier: Apache-2.0
#include <nanobind/nanobind.h>
#include <nanobind/stl/map.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "arguments.h"
#include "arrays.h"
#include "bindings.h"
#include "fanin/dtype.h"
#include "fanin/error.h"
#include "fanin/model_outline.h"
#include "fanin/model_spec.h"
#include "fanin/seed.h"

namespace fanin::python {

using namespace nanobind::literals;

namespace {

// A specification, and what it was read from, of which pickle makes another.
struct SeededSpec : ModelSpec {
  Seed seed;
  std::string json;
  nb::dict keywords;
};

SeededSpec parse(nb::handle text, nb::handle seed_argument, const std::string& source, nb::handle constants,
                 nb::handle dtype, std::optional<std::map<std::string, std::vector<std::string>>> classes) {
  const Seed seed = seed_from(seed_argument);
  ModelSpecOptions options;
  options.classes = std::move(classes);
  options.source = source;
  options.folder = std::filesystem::path(source).parent_path().string();
  options.constants = constants_from(constants);
  if (!dtype.is_none()) options.dtype = dtype_of(dtype);
  const std::string json = nb::isinstance<nb::str>(text) ? text_from(text) : json_dumps(text);
  SeededSpec spec{parse_model_spec(json, seed.value(), options), seed, json, {}};
  spec.keywords["source"] = source;
  nb::dict copied;  // the caller may change theirs
  for (const auto& [name, value] : options.constants) copied[name.c_str()] = value;
  spec.keywords["constants"] = copied;
  if (options.dtype) spec.keywords["dtype"] = std::string(name_of(*options.dtype));
  spec.keywords["classes"] = nb::cast(options.classes);
  return spec;
}

// For pickle: the call that makes an equal one.
nb::tuple reduced(const SeededSpec& self) {
  const nb::object parse_model_spec = nb::module_::import_("fanin").attr("parse_model_spec");
  return nb::make_tuple(nb::module_::import_("functools").attr("partial")(parse_model_spec, **self.keywords),
                        nb::make_tuple(self.json, self.seed));
}

// The number of the rule that each part takes; None for a part with an initializer of its own.
nb::list rules_of(const ModelTensor& tensor) {
  nb::list rules;
  for (const ModelPart& part : tensor.parts) rules.append(part.rule ? nb::object(nb::int_(*part.rule)) : nb::none());
  return rules;
}

bool is_loaded(const ModelTensor& tensor) {
  return std::any_of(tensor.parts.begin(), tensor.parts.end(), [](const ModelPart& p) { return !p.initializer; });
}

// The checks that a fill of the tensor in this dtype makes.
void check_fill(const ModelTensor& tensor, DType dtype) {
  for (const ModelPart& part : tensor.parts) {
    if (part.initializer) (void)part.initializer->params(part.shape, dtype, part.options());
  }
}

// Writes the elements from the first on to a dense host array.
void read_elements(const ModelTensor& tensor, std::uint64_t first, nb::handle array) {
  const Array target = array_of(array, std::nullopt);
  if (!target.is_dense() || !target.device.is_host() || target.dtype != tensor.dtype) {
    throw InvalidArgument("The array must be dense, in host memory, and of " + std::string(name_of(tensor.dtype)));
  }
  const nb::gil_scoped_release release;
  fanin::fill(tensor, first, target.count(), target.address);
}

}  // namespace

void bind_model(nb::module_& m) {
  nb::class_<ModelTensor>(m, "ModelTensor", nb::is_weak_referenceable(),
                          "A tensor of a model's specification, which Plan.add_tensor fills.")
      .def_prop_ro("name", [](const ModelTensor& self) { return self.name; })
      .def_prop_ro(
          "shape", [](const ModelTensor& self) { return tuple_of(self.shape); },
          nb::sig("def shape(self) -> tuple[int, ...]"))
      .def_prop_ro(
          "dtype", [](const ModelTensor& self) { return std::string(name_of(self.dtype)); },
          "The dtype that the specification proposes.")
      .def_prop_ro(
          "ties", [](const ModelTensor& self) { return self.ties; }, "Other names of the same memory.")
      .def_prop_ro(
          "parts",
          [](const ModelTensor& self) {
            std::vector<std::string> names;
            for (const ModelPart& part : self.parts) names.push_back(part.name);
            return names;
          },
          "The names of the tensors that it is filled as, along one axis; its own name if it is not fused.")
      .def_prop_ro("_rules", &rules_of)
      .def_prop_ro("_is_loaded", &is_loaded)
      .def("_check", [](const ModelTensor& self, const std::string& dtype) { check_fill(self, parse_dtype(dtype)); })
      .def("_read", &read_elements)
      .def("__repr__", [](const ModelTensor& self) {
        return "<ModelTensor " + self.name + " " + to_string(self.shape) + " " + std::string(name_of(self.dtype)) + ">";
      });

  nb::class_<SeededSpec>(m, "ModelSpec", nb::is_weak_referenceable(),
                         "The tensors of a model's specification, from parse_model_spec.")
      .def_prop_ro("name", [](const SeededSpec& self) { return self.name; })
      .def_prop_ro(
          "seed", [](const SeededSpec& self) { return self.seed.value(); }, "The seed, given or drawn.")
      .def_prop_ro(
          "notes", [](const SeededSpec& self) { return self.notes; },
          "What is allowed but probably not meant, for example a rule that no tensor takes.")
      .def_prop_ro(
          "tensors",
          [](nb::handle self) {
            nb::list tensors;
            for (const ModelTensor& tensor : nb::cast<const SeededSpec&>(self).tensors) {
              tensors.append(nb::cast(tensor, nb::rv_policy::reference_internal, self));
            }
            return tensors;
          },
          nb::sig("def tensors(self) -> list[ModelTensor]"), "In the order of the specification.")
      .def("__len__", [](const SeededSpec& self) { return self.tensors.size(); })
      .def("__reduce__", &reduced)
      .def("__repr__", [](const SeededSpec& self) {
        return "<ModelSpec " + self.name + " of " + std::to_string(self.tensors.size()) + " tensors>";
      });

  m.def("parse_model_spec", &parse, "spec"_a, "seed"_a = nb::none(), nb::kw_only(), "source"_a = "the specification",
        "constants"_a = nb::none(), "dtype"_a = nb::none(), "classes"_a = nb::none(),
        nb::sig("def parse_model_spec(spec: str | dict[str, object], seed: SeedLike = None, *, "
                "source: str = 'the specification', constants: dict[str, float] | None = None, "
                "dtype: object = None, classes: dict[str, list[str]] | None = None) -> ModelSpec"),
        R"(Reads a model's specification, which `fanin model` reads, from JSON text or the object that it stands for.

seed       of every tensor, unless its rule has one; None draws one
source     the file's name, for messages, and for the files that the specification loads, which are beside it
constants  numbers that replace the specification's
dtype      replaces the specification's
classes    the names of the classes of the module that holds a tensor, by the tensor's name, for rules with "class"

Raises ValueError, which names the place in the specification.)");

  m.def(
      "_outline",
      [](const std::vector<std::tuple<std::string, std::vector<std::int64_t>, std::string>>& tensors,
         const std::vector<std::pair<std::string, std::string>>& ties, const std::string& name,
         const std::string& source) {
        std::vector<StoredTensor> stored;
        for (const auto& [tensor, shape, dtype] : tensors) stored.push_back({tensor, shape, parse_dtype(dtype)});
        std::vector<Tie> tied;
        for (const auto& [tie, to] : ties) tied.push_back({tie, to});
        return outline_of(stored, tied, name, source);
      },
      "tensors"_a, "ties"_a, "name"_a, "source"_a);
}

}  // namespace fanin::python
