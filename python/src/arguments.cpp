// SPDX-License-Identifier: Apache-2.0
#include "arguments.h"

#include <nanobind/stl/string.h>

#include "arrays.h"
#include "bindings.h"
#include "fanin/config.h"
#include "fanin/cuda_devices.h"
#include "fanin/error.h"

namespace fanin::python {

namespace {

[[noreturn]] void refuse_type(const std::string& message) { throw nb::type_error(message.c_str()); }

nb::object index_of(nb::handle object, const char* what, const char* wanted) {
  nb::object index = nb::steal(PyNumber_Index(object.ptr()));
  if (index) return index;
  if (PyErr_ExceptionMatches(PyExc_TypeError) == 0) throw nb::python_error();  // of an __index__
  PyErr_Clear();
  refuse_type(std::string(what) + " must be " + wanted + ". Received: " + shown(object) + ", a " +
              type_name_of(object));
}

}  // namespace

std::string text_from(nb::handle object) {
  Py_ssize_t size = 0;
  const char* text = PyUnicode_AsUTF8AndSize(object.ptr(), &size);
  if (text == nullptr) {
    PyErr_Clear();
    throw InvalidArgument("Text must be encodable as UTF-8. Received: " +
                          std::string(nb::str(nb::steal(PyObject_ASCII(object.ptr()))).c_str()));
  }
  return {text, static_cast<std::size_t>(size)};
}

std::string shown(nb::handle object) {
  const nb::object text = nb::steal(PyObject_ASCII(object.ptr()));
  if (!text) throw nb::python_error();
  return text_from(text);
}

std::uint64_t unsigned_from(nb::handle object, const char* what) {
  const nb::object index = index_of(object, what, "an integer");
  const std::uint64_t value = PyLong_AsUnsignedLongLong(index.ptr());
  if (value == UINT64_MAX && PyErr_Occurred() != nullptr) {
    PyErr_Clear();
    throw InvalidArgument(std::string(what) + " is an integer from 0 to 2^64 - 1. Received: " + shown(index));
  }
  return value;
}

Shape shape_from(nb::handle object, const char* what) {
  const std::string name(what);
  const auto refuse = [&] { refuse_type(name + " must be a tuple or list of integers. Received: " + shown(object)); };
  const bool is_text = nb::isinstance<nb::str>(object) || nb::isinstance<nb::bytes>(object);
  if (is_text || PySequence_Check(object.ptr()) == 0) refuse();
  const nb::object items = nb::steal(PySequence_Tuple(object.ptr()));  // a copy: __index__ may change a list
  if (!items) {
    if (PyErr_ExceptionMatches(PyExc_TypeError) == 0) throw nb::python_error();
    PyErr_Clear();  // an array without axes
    refuse();
  }
  Shape shape;
  shape.resize(static_cast<std::size_t>(PyTuple_Size(items.ptr())));
  for (std::size_t j = 0; j < shape.size(); ++j) {
    const nb::handle item = PyTuple_GetItem(items.ptr(), static_cast<Py_ssize_t>(j));
    const nb::object index =
        PyLong_CheckExact(item.ptr()) != 0 ? nb::borrow(item) : index_of(item, what, "a tuple or list of integers");
    shape[j] = PyLong_AsLongLong(index.ptr());
    if (shape[j] == -1 && PyErr_Occurred() != nullptr) {
      PyErr_Clear();
      throw InvalidArgument(name + " has an entry that no tensor can have: " + shown(index));
    }
  }
  return shape;
}

Shape extents_from(nb::handle object, const char* what) {
  const bool is_integer = PyIndex_Check(object.ptr()) != 0 && PySequence_Check(object.ptr()) == 0;
  return shape_from(is_integer ? nb::make_tuple(nb::borrow(object)) : nb::borrow(object), what);
}

Seed seed_from(nb::handle object) {
  if (object.is_none()) return {};
  if (nb::isinstance<Seed>(object)) return nb::cast<Seed>(object);
  const nb::object index = nb::steal(PyNumber_Index(object.ptr()));
  if (!index) {
    if (PyErr_ExceptionMatches(PyExc_TypeError) == 0) throw nb::python_error();
    PyErr_Clear();
    refuse_type("The seed must be an integer from 0 to 2^64 - 1, a fanin.Seed or None. Received: seed=" +
                shown(object));
  }
  const long long small = PyLong_AsLongLong(index.ptr());
  if (small == -1 && PyErr_Occurred() != nullptr) {
    PyErr_Clear();
    return {unsigned_from(index, "The seed")};
  }
  return {small};  // negative: refused with a hint
}

std::optional<CudaStream> stream_from(nb::handle object) {
  if (object.is_none()) return std::nullopt;
  nb::object number;
  if (PyIndex_Check(object.ptr()) != 0) {
    number = nb::borrow(object);
  } else if (nb::hasattr(object, "__cuda_stream__")) {  // (version, address)
    const nb::object stream = object.attr("__cuda_stream__")();
    if (!nb::isinstance<nb::tuple>(stream) || nb::len(stream) != 2) {
      refuse_type("__cuda_stream__ must return a pair: version, address. Received: " + shown(stream));
    }
    number = stream[1];
  } else if (nb::hasattr(object, "cuda_stream")) {  // PyTorch
    number = object.attr("cuda_stream");
  } else if (nb::hasattr(object, "ptr")) {  // CuPy
    number = object.attr("ptr");
  } else {
    refuse_type(
        "stream must be a CUDA stream: its address as an integer, or a stream of PyTorch, CuPy or another library "
        "with __cuda_stream__. Received: " +
        shown(object));
  }
  return reinterpret_cast<CudaStream>(unsigned_from(number, "stream"));
}

std::vector<std::pair<std::string, double>> constants_from(nb::handle object) {
  std::vector<std::pair<std::string, double>> constants;
  if (object.is_none()) return constants;
  const auto refuse = [&] {
    refuse_type("constants must be a dictionary of names and numbers. Received: " + shown(object));
  };
  if (!nb::isinstance<nb::dict>(object)) refuse();
  for (auto [name, value] : nb::cast<nb::dict>(object)) {
    double number = 0;
    if (!nb::isinstance<nb::str>(name) || !nb::try_cast(value, number)) refuse();
    constants.emplace_back(text_from(name), number);
  }
  return constants;
}

Layout layout_from(nb::handle object) {
  if (!nb::isinstance<nb::str>(object)) refuse_type("layout must be \"hwio\" or \"oihw\". Received: " + shown(object));
  return parse_layout(text_from(object));
}

TensorOptions options_from(nb::handle name, nb::handle subsequence, nb::handle layout, std::optional<Layout> usual) {
  TensorOptions options;
  options.layout = usual;
  if (!layout.is_none()) options.layout = layout_from(layout);
  if (!name.is_none()) {
    if (!nb::isinstance<nb::str>(name)) {
      refuse_type("name must be a string, the tensor's name. Received: " + shown(name) +
                  ". A number is given as subsequence=");
    }
    options.name = text_from(name);
  }
  if (!subsequence.is_none()) options.subsequence = unsigned_from(subsequence, "subsequence");
  return options;
}

nb::object instance_of(nb::handle type) {
  nb::object instance = type();
  if (nb::isinstance<nb::type_object>(instance)) {  // also of another class, without an end
    refuse_type("A class of initializers must make an initializer. Received: " + shown(type));
  }
  return instance;
}

nb::object keras_config(nb::handle object) {
  if (!nb::hasattr(object, "get_config") || nb::isinstance<nb::type_object>(object)) return {};
  for (const nb::handle base : nb::object(object.type().attr("__mro__"))) {
    if (nb::cast<std::string>(nb::str(nb::object(base.attr("__module__")))).rfind("keras.src.initializers", 0) != 0) {
      continue;
    }
    nb::dict config;
    config["class_name"] = base.attr("__name__");
    config["config"] = object.attr("get_config")();
    return std::move(config);
  }
  return {};
}

InitializerArgument::InitializerArgument(nb::handle object, nb::handle seed) {
  const bool replaced = !seed.is_none();
  if (nb::isinstance<Initializer>(object)) {
    borrowed_ = nb::inst_ptr<Initializer>(object);
    if (!nb::inst_ready(object)) refuse_type("The initializer's __init__ has not been called");
    if (replaced) made_.emplace(borrowed_->with_seed(seed_from(seed)));
  } else if (nb::isinstance<nb::str>(object)) {
    made_.emplace(make(text_from(object), seed_from(seed)));
  } else if (nb::isinstance<nb::dict>(object)) {
    made_.emplace(deserialize(json_dumps(object)));
    if (replaced) made_.emplace(made_->with_seed(seed_from(seed)));
  } else if (const nb::object config = keras_config(object)) {
    made_.emplace(*InitializerArgument(config, seed));
  } else if (nb::isinstance<nb::type_object>(object)) {
    made_.emplace(*InitializerArgument(instance_of(object), seed));
  } else {
    refuse_type(
        "An initializer is a fanin.Initializer or Keras's, a name such as \"he_normal\", or a configuration of Keras's "
        "as a "
        "dictionary. Received: " +
        shown(object) + ", a " + type_name_of(object));
  }
}

void refuse_device(Device device) { throw DeviceError("Cannot use " + to_string(device) + ": " + available().reason); }

nb::tuple reduce(nb::handle self) {
  return nb::make_tuple(nb::module_::import_("copyreg").attr("__newobj__"), nb::make_tuple(self.type()),
                        self.attr("__getstate__")());
}

nb::object json_loads(const std::string& text) { return nb::module_::import_("json").attr("loads")(text); }

std::string json_dumps(nb::handle object) {
  const auto plain = [](nb::handle value) {
    if (!nb::hasattr(value, "tolist")) {
      refuse_type(
          "A configuration or specification consists of dictionaries, lists, text, numbers, True, False and None. "
          "Received: " +
          shown(value) + ", of type " + type_name_of(value));
    }
    return nb::object(value.attr("tolist")());
  };
  return nb::cast<std::string>(
      nb::module_::import_("json").attr("dumps")(object, nb::arg("default") = nb::cpp_function(plain)));
}

}  // namespace fanin::python
