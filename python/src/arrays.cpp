// SPDX-License-Identifier: Apache-2.0
#include "arrays.h"

#include <array>
#include <cstring>
#include <string_view>
#include <utility>

#include "arguments.h"
#include "dlpack.h"
#include "fanin/cuda_devices.h"
#include "fanin/error.h"

namespace fanin::python {

namespace {

// What an array consists of, as far as fills care.
struct ElementType {
  std::optional<DType> dtype;  // none: not for weights
  bool is_integer64 = false;   // a seed
  bool is_byte = false;        // a workspace
  std::string name;            // for messages, if there is no dtype
};

struct Found {
  Array array;
  ElementType type;
};

[[noreturn]] void refuse(const std::string& message) { throw InvalidArgument(message); }

nb::object attribute(nb::handle object, const char* name) { return nb::getattr(object, name, nb::none()); }

// A module that the program has imported; null if it has not.
nb::object imported(const char* module) { return nb::steal(PyImport_GetModule(nb::str(module).ptr())); }

std::string text_of(nb::handle object) { return nb::cast<std::string>(nb::str(object)); }

std::optional<DType> dtype_named(std::string_view name) {
  for (const DType dtype :
       {DType::float32, DType::bfloat16, DType::float16, DType::float64, DType::float8_e4m3fn, DType::float8_e5m2}) {
    if (name_of(dtype) == name) return dtype;
  }
  return std::nullopt;
}

ElementType type_named(const std::string& name) {
  return {dtype_named(name), name == "int64" || name == "uint64", name == "uint8", name};
}

// ---------------------------------------------------------------- PyTorch

bool is_torch_tensor(nb::handle object) {
  const nb::object torch = imported("torch");
  if (!torch) return false;
  const nb::object tensor = attribute(torch, "Tensor");  // none: torch is just being imported
  return PyType_Check(tensor.ptr()) != 0 &&
         PyType_IsSubtype(Py_TYPE(object.ptr()), reinterpret_cast<PyTypeObject*>(tensor.ptr())) != 0;
}

std::string without_prefix(std::string name, std::string_view prefix) {
  return name.compare(0, prefix.size(), prefix) == 0 ? name.substr(prefix.size()) : name;
}

Found torch_array(nb::handle tensor, std::optional<CudaStream> stream) {
  const nb::object device = tensor.attr("device");
  const std::string place = nb::cast<std::string>(device.attr("type"));
  if (place != "cpu" && place != "cuda") {
    refuse("A PyTorch tensor must be on the CPU or a CUDA device. Received: a tensor on \"" + place + "\"" +
           (place == "meta" ? ", which has no memory. Give it some first, for example with module.to_empty()" : ""));
  }
  const std::string layout = text_of(tensor.attr("layout"));
  if (layout != "torch.strided") {
    refuse("A PyTorch tensor must be strided. Received: a tensor of layout " + layout);
  }
  if (nb::cast<bool>(tensor.attr("is_neg")())) {
    refuse("A PyTorch tensor must hold its own values. Received: a view that negates another's; call resolve_neg()");
  }
  const std::string dtype = without_prefix(text_of(tensor.attr("dtype")), "torch.");
  Found found{{}, type_named(dtype)};
  Array& array = found.array;
  const auto item_size = nb::cast<std::int64_t>(tensor.attr("element_size")());
  array.address = reinterpret_cast<void*>(nb::cast<std::uintptr_t>(tensor.attr("data_ptr")()));
  array.shape = shape_from(tensor.attr("shape"), "shape");
  array.strides = shape_from(tensor.attr("stride")(), "stride");
  for (std::int64_t& s : array.strides) s *= item_size;
  array.owner = nb::borrow(tensor);
  array.library = Library::torch;
  if (place == "cuda") {
    array.device = cuda(nb::cast<int>(device.attr("index")));
    array.stream = stream ? *stream : current_stream(Library::torch, array.device);
  }
  return found;
}

// ---------------------------------------------------------------- buffers: NumPy, array.array, memoryview

ElementType type_of_format(const char* format) {
  const std::string_view text = format == nullptr ? "B" : format;
  std::string_view code = text;
  if (!code.empty() && (code[0] == '@' || code[0] == '=' || code[0] == '<' || code[0] == '>' || code[0] == '!')) {
    code.remove_prefix(1);
  }
  static constexpr std::array<std::pair<std::string_view, std::string_view>, 13> names{{{"f", "float32"},
                                                                                        {"d", "float64"},
                                                                                        {"e", "float16"},
                                                                                        {"b", "int8"},
                                                                                        {"B", "uint8"},
                                                                                        {"h", "int16"},
                                                                                        {"H", "uint16"},
                                                                                        {"i", "int32"},
                                                                                        {"I", "uint32"},
                                                                                        {"l", "int64"},
                                                                                        {"q", "int64"},
                                                                                        {"?", "bool"},
                                                                                        {"g", "longdouble"}}};
  const bool foreign = !text.empty() && (text[0] == '>' || text[0] == '!');
  for (const auto& [letter, name] : names) {
    if (code != letter) continue;
    if (foreign) return {std::nullopt, false, false, "big-endian " + std::string(name)};
    return type_named(std::string(name));
  }
  return {std::nullopt, false, false, "of the buffer format \"" + std::string(text) + "\""};
}

std::optional<Found> buffer_array(nb::handle object) {
  if (PyObject_CheckBuffer(object.ptr()) == 0) return std::nullopt;
  auto lease = std::shared_ptr<Py_buffer>(new Py_buffer{}, [](Py_buffer* buffer) {
    PyBuffer_Release(buffer);
    delete buffer;
  });
  if (PyObject_GetBuffer(object.ptr(), lease.get(), PyBUF_RECORDS_RO) != 0) {
    PyErr_Clear();
    return std::nullopt;  // NumPy's, of one of ml_dtypes' dtypes, for example
  }
  if (lease->readonly != 0) refuse("The array is read-only. Received: a " + type_name_of(object));
  Found found{{}, type_of_format(lease->format)};
  Array& array = found.array;
  array.address = lease->buf;
  array.shape.assign(lease->shape, lease->shape + lease->ndim);
  if (lease->strides != nullptr) array.strides.assign(lease->strides, lease->strides + lease->ndim);  // ctypes has none
  array.lease = std::move(lease);
  array.owner = nb::borrow(object);
  return found;
}

// NumPy arrays of dtypes that the buffer protocol cannot say.
std::optional<Found> numpy_array(nb::handle object) {
  if (!nb::hasattr(object, "__array_interface__") || !nb::hasattr(object, "dtype")) return std::nullopt;
  const nb::object dtype = object.attr("dtype");
  std::string name = text_of(attribute(dtype, "name"));
  if (text_of(attribute(dtype, "byteorder")) == ">") name = "big-endian " + name;
  Found found{{}, type_named(name)};
  const nb::object interface = object.attr("__array_interface__");
  const nb::object data = interface["data"];
  if (nb::cast<bool>(nb::bool_(data[1]))) refuse("The array is read-only. Received: a " + type_name_of(object));
  Array& array = found.array;
  array.address = reinterpret_cast<void*>(nb::cast<std::uintptr_t>(data[0]));
  array.shape = shape_from(object.attr("shape"), "shape");
  array.strides = shape_from(object.attr("strides"), "strides");
  array.owner = nb::borrow(object);
  return found;
}

// ---------------------------------------------------------------- __cuda_array_interface__: CuPy, Numba

ElementType type_of_typestr(nb::handle object, const std::string& typestr) {
  static constexpr std::array<std::pair<std::string_view, std::string_view>, 6> names{{{"<f4", "float32"},
                                                                                       {"|u1", "uint8"},
                                                                                       {"<f8", "float64"},
                                                                                       {"<f2", "float16"},
                                                                                       {"<i8", "int64"},
                                                                                       {"<u8", "uint64"}}};
  for (const auto& [code, name] : names) {
    if (typestr == code) return type_named(std::string(name));
  }
  const nb::object dtype = attribute(object, "dtype");  // ml_dtypes' have no letter of their own
  const nb::object name = dtype.is_none() ? dtype : attribute(dtype, "name");
  if (!name.is_none() && typestr.substr(0, 1) != ">") return type_named(text_of(name));
  return {std::nullopt, false, false, "of the type \"" + typestr + "\""};
}

std::optional<Found> cuda_array(nb::handle object, std::optional<CudaStream> stream) {
  const nb::object interface = attribute(object, "__cuda_array_interface__");
  if (interface.is_none()) return std::nullopt;
  if (!nb::isinstance<nb::dict>(interface)) {
    throw nb::type_error("__cuda_array_interface__ must be a dictionary");
  }
  const auto entries = nb::borrow<nb::dict>(interface);
  const auto entry = [&](const char* key) -> nb::object {
    return entries.contains(key) ? nb::object(entries[key]) : nb::object(nb::none());
  };
  if (!entry("mask").is_none()) refuse("Arrays with a mask cannot be filled");
  Found found{{}, type_of_typestr(object, text_of(entry("typestr")))};
  const nb::object data = entry("data");
  if (!nb::isinstance<nb::tuple>(data) || nb::len(data) != 2) {
    throw nb::type_error("The entry \"data\" of __cuda_array_interface__ must be a pair: address, read-only");
  }
  if (nb::cast<bool>(nb::bool_(data[1]))) refuse("The array is read-only. Received: a " + type_name_of(object));
  Array& array = found.array;
  array.address = reinterpret_cast<void*>(unsigned_from(data[0], "The address in __cuda_array_interface__"));
  array.shape = shape_from(entry("shape"), "shape");
  if (!entry("strides").is_none()) array.strides = shape_from(entry("strides"), "strides");
  // An address that no device owns is named by the fill's own checks, as one of the first device.
  array.device = array.address == nullptr ? host : device_of(array.address);
  if (array.device.is_host()) array.device = cuda(0);
  array.owner = nb::borrow(object);
  if (type_name_of(object).compare(0, 5, "cupy.") == 0) array.library = Library::cupy;
  if (stream) {
    array.stream = *stream;
  } else if (!entry("stream").is_none()) {
    array.stream = stream_from(entry("stream")).value();
  }
  return found;
}

// ---------------------------------------------------------------- DLPack

ElementType type_of_dlpack(const dlpack::DataType& type) {
  const auto is = [&](std::uint8_t code, int bits) { return type.code == code && type.bits == bits; };
  if (type.lanes == 1) {
    if (is(dlpack::code_float, 32)) return type_named("float32");
    if (is(dlpack::code_float, 64)) return type_named("float64");
    if (is(dlpack::code_float, 16)) return type_named("float16");
    if (is(dlpack::code_bfloat, 16)) return type_named("bfloat16");
    if (is(dlpack::code_float8_e4m3fn, 8)) return type_named("float8_e4m3fn");
    if (is(dlpack::code_float8_e5m2, 8)) return type_named("float8_e5m2");
    if (is(dlpack::code_int, 64)) return type_named("int64");
    if (is(dlpack::code_uint, 64)) return type_named("uint64");
    if (is(dlpack::code_uint, 8)) return type_named("uint8");
  }
  return {std::nullopt, false, false,
          "of DLPack's type code " + std::to_string(type.code) + " with " + std::to_string(type.bits) + " bits"};
}

// The capsule, asked for without a copy, of an exporter old or new.
nb::object dlpack_capsule(nb::handle object, nb::handle stream) {
  const nb::object exporter = object.attr("__dlpack__");
  try {
    return exporter(nb::arg("stream") = stream, nb::arg("max_version") = nb::make_tuple(1, 1),
                    nb::arg("copy") = nb::bool_(false));
  } catch (nb::python_error& error) {
    if (!error.matches(PyExc_TypeError)) throw;
  }
  return exporter(nb::arg("stream") = stream);
}

template <class Managed>
const dlpack::Tensor& take(nb::handle capsule, const char* name, const char* used_name, std::shared_ptr<void>& lease) {
  auto* managed = static_cast<Managed*>(PyCapsule_GetPointer(capsule.ptr(), name));
  if (managed == nullptr) throw nb::python_error();
  if (PyCapsule_SetName(capsule.ptr(), used_name) != 0) throw nb::python_error();
  lease = std::shared_ptr<void>(managed, [managed](void*) {
    if (managed->deleter != nullptr) managed->deleter(managed);
  });
  return managed->tensor;
}

std::optional<Found> dlpack_array(nb::handle object, std::optional<CudaStream> stream) {
  if (!nb::hasattr(object, "__dlpack__") || !nb::hasattr(object, "__dlpack_device__")) return std::nullopt;
  const nb::object device = object.attr("__dlpack_device__")();
  const int type = nb::cast<int>(nb::int_(device[0]));
  const bool on_device = type == dlpack::cuda || type == dlpack::cuda_managed;
  if (!on_device && type != dlpack::cpu && type != dlpack::cuda_host) {
    refuse("The array must be in host memory or on a CUDA device. Received: memory of DLPack's device type " +
           std::to_string(type));
  }
  Array array;
  nb::object stream_argument = nb::none();
  if (on_device) {
    array.device = cuda(nb::cast<int>(nb::int_(device[1])));
    if (available().cuda_devices == 0) refuse_device(array.device);
    array.stream = stream.value_or(nullptr);
    // In DLPack 1 is the default stream.
    stream_argument = nb::int_(array.stream == nullptr ? 1 : reinterpret_cast<std::uintptr_t>(array.stream));
  }
  const nb::object capsule = dlpack_capsule(object, stream_argument);
  const dlpack::Tensor* tensor = nullptr;
  if (PyCapsule_IsValid(capsule.ptr(), "dltensor_versioned") != 0) {
    const auto* managed =
        static_cast<dlpack::ManagedVersioned*>(PyCapsule_GetPointer(capsule.ptr(), "dltensor_versioned"));
    if (managed->major != 1) refuse("The array speaks version " + std::to_string(managed->major) + " of DLPack, not 1");
    if ((managed->flags & dlpack::flag_read_only) != 0) {
      refuse("The array is read-only. Received: a " + type_name_of(object));
    }
    if ((managed->flags & dlpack::flag_copied) != 0) {
      refuse("The array gives away no memory but a copy of it. Received: a " + type_name_of(object));
    }
    tensor = &take<dlpack::ManagedVersioned>(capsule, "dltensor_versioned", "used_dltensor_versioned", array.lease);
  } else {
    tensor = &take<dlpack::Managed>(capsule, "dltensor", "used_dltensor", array.lease);
  }
  const ElementType element = type_of_dlpack(tensor->dtype);
  const std::size_t size = tensor->dtype.bits / 8;
  array.address = static_cast<unsigned char*>(tensor->data) + tensor->byte_offset;
  array.shape.assign(tensor->shape, tensor->shape + tensor->rank);
  if (tensor->strides != nullptr) {
    array.strides.assign(tensor->strides, tensor->strides + tensor->rank);
    for (std::int64_t& s : array.strides) s *= static_cast<std::int64_t>(size);
  }
  array.owner = nb::borrow(object);
  return Found{std::move(array), element};
}

// ---------------------------------------------------------------- any

// Arrays that are values and must never change, though their memory could be had.
void refuse_immutable(nb::handle object) {
  const std::string module = text_of(attribute(object.type(), "__module__"));
  const auto from = [&](std::string_view library) {
    return module.compare(0, library.size(), library) == 0 &&
           (module.size() == library.size() || module[library.size()] == '.');
  };
  if (from("jax") || from("jaxlib")) {
    throw nb::type_error(
        "JAX arrays cannot be changed in place. Make one from an array that fanin.draw returns, with "
        "jax.numpy.asarray");
  }
  if (from("tensorflow")) {
    throw nb::type_error(
        "TensorFlow's tensors cannot be changed in place. Assign what fanin.draw returns to the tf.Variable");
  }
}

Found found_of(nb::handle object, std::optional<CudaStream> stream) {
  std::optional<Found> found;
  if (is_torch_tensor(object)) {
    found = torch_array(object, stream);
  } else {
    if (std::strcmp(Py_TYPE(object.ptr())->tp_name, "numpy.ndarray") != 0) refuse_immutable(object);
    found = buffer_array(object);
    if (!found) found = numpy_array(object);
    if (!found) found = cuda_array(object, stream);
    if (!found) found = dlpack_array(object, stream);
  }
  if (!found) {
    throw nb::type_error(("Expected an array: NumPy's, PyTorch's, CuPy's or another with the buffer protocol, "
                          "__cuda_array_interface__ or DLPack. Received: a " +
                          type_name_of(object))
                             .c_str());
  }
  return *std::move(found);
}

}  // namespace

bool Array::is_dense() const {
  if (reinterpret_cast<std::uintptr_t>(address) % size_of(dtype) != 0) return false;
  if (count() == 0) return true;
  auto dense = static_cast<std::int64_t>(size_of(dtype));
  for (std::size_t j = shape.size(); j-- > 0;) {
    if (shape[j] != 1 && strides[j] != dense) return false;
    dense *= shape[j];
  }
  return true;
}

Array array_of(nb::handle object, std::optional<CudaStream> stream) {
  Found found = found_of(object, stream);
  if (!found.type.dtype) {
    refuse("Weights are float32, float64, float16, bfloat16, float8_e4m3fn or float8_e5m2. Received: an array " +
           (found.type.name.compare(0, 3, "of ") == 0 ? found.type.name : "of " + found.type.name));
  }
  Array& array = found.array;
  array.dtype = *found.type.dtype;
  if (array.strides.size() != array.shape.size()) array.strides = dense_strides(array.shape, array.dtype);
  return std::move(found.array);
}

Array bytes_of(nb::handle object, std::optional<CudaStream> stream) {
  Found found = found_of(object, stream);
  Array& array = found.array;
  bool dense = found.type.is_byte;
  std::int64_t wanted = 1;
  for (std::size_t j = array.strides.size(); j-- > 0 && dense;) {
    dense = array.shape[j] == 1 || array.strides[j] == wanted;
    wanted *= array.shape[j];
  }
  if (!dense || array.device.is_host()) {
    refuse("A workspace is a dense CUDA array of uint8. Received: a " + type_name_of(object) + " of " +
           (found.type.dtype ? std::string(name_of(*found.type.dtype)) : found.type.name) + " on " +
           to_string(array.device));
  }
  return std::move(found.array);
}

CudaStream current_stream(Library library, Device place) {
  if (place.is_host() || library == Library::other) return nullptr;
  if (library == Library::torch) {
    const nb::object stream = nb::module_::import_("torch.cuda").attr("current_stream")(place.cuda_device);
    return stream_from(stream).value();
  }
  return stream_from(nb::module_::import_("cupy.cuda").attr("get_current_stream")()).value();
}

void tell_of_change(const Array& array) {
  if (array.library != Library::torch) return;
  const nb::object tensor = array.owner;
  if (nb::cast<bool>(tensor.attr("is_inference")())) return;  // has no counter
  const nb::object increment = attribute(nb::module_::import_("torch.autograd.graph"), "increment_version");
  if (!increment.is_none()) increment(tensor);  // since PyTorch 2.1
}

const std::uint64_t* seed_address_of(nb::handle object) {
  if (object.is_none()) return nullptr;
  if (PyLong_Check(object.ptr()) != 0) {
    return reinterpret_cast<const std::uint64_t*>(unsigned_from(object, "device_seed"));
  }
  const Found found = found_of(object, CudaStream{nullptr});
  if (!found.type.is_integer64 || found.array.device.is_host() || found.array.count() == 0) {
    refuse(
        "device_seed is the address of a 64-bit integer in device memory, or a CUDA array of uint64 or int64 that "
        "holds "
        "it. Received: a " +
        type_name_of(object) + " of " + found.type.name + " on " + to_string(found.array.device));
  }
  return static_cast<const std::uint64_t*>(found.array.address);
}

DType dtype_of(nb::handle object) {
  if (object.is_none()) return DType::float32;
  if (nb::isinstance<nb::str>(object)) return parse_dtype(text_from(object));
  nb::object name = attribute(object, "name");  // NumPy's and TensorFlow's
  if (!name.is_none() && text_of(attribute(object, "byteorder")) == ">") {
    refuse("Elements have this machine's byte order. Received: dtype=" + text_of(nb::repr(object)));
  }
  if (name.is_none()) name = attribute(object, "__name__");  // numpy.float32, ml_dtypes.bfloat16, jax.numpy.float32
  const std::string text = name.is_none() ? without_prefix(text_of(object), "torch.") : text_of(name);
  const std::optional<DType> dtype = dtype_named(text);
  if (!dtype) return parse_dtype(text);  // refuses it
  return *dtype;
}

nb::object empty_numpy_array(const Shape& shape, DType dtype) {
  const nb::object numpy = nb::module_::import_("numpy");
  const std::string name(name_of(dtype));
  nb::object type;
  if (dtype == DType::bfloat16 || dtype == DType::float8_e4m3fn || dtype == DType::float8_e5m2) {
    try {
      type = nb::module_::import_("ml_dtypes").attr(name.c_str());
    } catch (nb::python_error& error) {
      if (!error.matches(PyExc_ImportError)) throw;
      throw nb::import_error((name + " arrays need the package ml_dtypes: pip install ml_dtypes").c_str());
    }
  } else {
    type = nb::str(name.c_str());
  }
  element_count(shape);  // refuses impossible shapes with a message of ours
  return numpy.attr("empty")(tuple_of(shape), type);
}

Shape dense_strides(const Shape& shape, DType dtype) {
  Shape strides(shape.size());
  auto stride = static_cast<std::int64_t>(size_of(dtype));
  for (std::size_t j = shape.size(); j-- > 0;) {
    strides[j] = stride;
    stride *= shape[j] > 0 ? shape[j] : 1;
  }
  return strides;
}

nb::object tuple_of(const Shape& shape) {
  const nb::object tuple = nb::steal(PyTuple_New(static_cast<Py_ssize_t>(shape.size())));
  if (!tuple) throw nb::python_error();
  for (std::size_t j = 0; j < shape.size(); ++j) {
    PyTuple_SET_ITEM(tuple.ptr(), static_cast<Py_ssize_t>(j), nb::int_(shape[j]).release().ptr());
  }
  return tuple;
}

std::string type_name_of(nb::handle object) {
  const nb::handle type = object.type();
  const std::string module = text_of(attribute(type, "__module__"));
  const std::string name = text_of(attribute(type, "__qualname__"));
  return module == "builtins" ? name : module + "." + name;
}

}  // namespace fanin::python
