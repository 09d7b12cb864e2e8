// SPDX-License-Identifier: Apache-2.0
#include "arrays.h"

#include <nanobind/ndarray.h>

#include <cstring>
#include <string_view>
#include <utility>

#include "arguments.h"
#include "element_types.h"
#include "fanin/cuda_devices.h"
#include "fanin/error.h"

namespace fanin::python {

namespace {

static_assert(nb::dlpack::major_version == 1, "nb::ndarray must import versioned capsules: nanobind 2.10 or newer");

// As many as NumPy has.
constexpr int most_dimensions = 64;

// The address space of a process on 64-bit machines, with five levels of pages.
constexpr std::uintptr_t most_bytes = std::uintptr_t{1} << 57;

struct Found {
  Array array;
  std::string type;  // NumPy's name of the element type, or a description of one that has none
};

[[noreturn]] void refuse(const std::string& message) { throw InvalidArgument(message); }

[[noreturn]] void refuse_read_only(nb::handle object) {
  refuse("The array is read-only. Received: a " + type_name_of(object));
}

// None if there is none. Throws what the attribute raises, which nb::getattr takes for a missing one.
nb::object attribute(nb::handle object, const char* name) {
  nb::object value = nb::steal(PyObject_GetAttrString(object.ptr(), name));
  if (value) return value;
  if (PyErr_ExceptionMatches(PyExc_AttributeError) == 0) throw nb::python_error();
  PyErr_Clear();
  return nb::none();
}

// A module that the program has imported, or null.
nb::object imported(const char* module) { return nb::steal(PyImport_GetModule(nb::str(module).ptr())); }

std::string text_of(nb::handle object) { return nb::cast<std::string>(nb::str(object)); }

// Strides in items as strides in bytes.
Shape in_bytes(Shape strides, std::int64_t item_size) {
  for (std::int64_t& stride : strides) {
    if (__builtin_mul_overflow(stride, item_size, &stride)) {
      refuse("The elements of an array must be in memory. Received: a stride beyond 2^63 bytes");
    }
  }
  return strides;
}

// "float32" of 'f' and 4. The letters are those of NumPy's typestr: i, u and f. Other letters give an empty name.
std::string number_type(char kind, std::size_t bytes) {
  const char* name = kind == 'f' ? "float" : kind == 'i' ? "int" : kind == 'u' ? "uint" : nullptr;
  return name == nullptr ? "" : name + std::to_string(8 * bytes);
}

// A dtype of NumPy or ml_dtypes.
std::string type_of_numpy_dtype(nb::handle dtype) {
  const std::string name = text_of(attribute(dtype, "name"));
  return text_of(attribute(dtype, "byteorder")) == ">" ? "big-endian " + name : name;
}

// PyTorch's name of float4_e2m1fn. It counts bytes, each of two elements, in shapes and strides.
constexpr std::string_view torch_float4 = "float4_e2m1fn_x2";

// ---------------------------------------------------------------- PyTorch

bool is_torch_tensor(nb::handle object) {
  const nb::object torch = imported("torch");
  if (!torch) return false;
  const nb::object tensor = attribute(torch, "Tensor");  // None while torch is being imported
  return PyType_Check(tensor.ptr()) != 0 &&
         PyType_IsSubtype(Py_TYPE(object.ptr()), reinterpret_cast<PyTypeObject*>(tensor.ptr())) != 0;
}

std::string without_prefix(std::string name, std::string_view prefix) {
  return name.compare(0, prefix.size(), prefix) == 0 ? name.substr(prefix.size()) : name;
}

bool is_plain_tensor(nb::handle tensor) {
  const nb::object torch = nb::module_::import_("torch");
  return tensor.type().is(torch.attr("Tensor")) || tensor.type().is(torch.attr("nn").attr("Parameter"));
}

// The tensor without its subclass, which may say of its memory what is not so. The guard is that of PyTorch's notes
// "Extending PyTorch".
nb::object without_subclass(nb::handle tensor) {
  const nb::object guard = nb::module_::import_("torch._C").attr("DisableTorchFunctionSubclass")();
  const nb::object tensor_class = nb::module_::import_("torch").attr("Tensor");
  guard.attr("__enter__")();
  nb::object plain;
  try {
    plain = tensor_class.attr("as_subclass")(tensor, tensor_class);
  } catch (...) {
    guard.attr("__exit__")(nb::none(), nb::none(), nb::none());
    throw;
  }
  guard.attr("__exit__")(nb::none(), nb::none(), nb::none());
  return plain;
}

// Refuses tensors without memory of their own: those that stand for others, or consist of them.
void refuse_without_memory(nb::handle tensor) {
  const auto refuse_for = [&](const std::string& reason) {
    refuse("A PyTorch tensor must have memory. Received: a " + type_name_of(tensor) + ", which " + reason);
  };
  if (nb::hasattr(tensor, "fake_mode")) {
    refuse_for("has none, because it was made under FakeTensorMode. Fill a tensor that is made outside of it");
  }
  if (nb::cast<bool>(tensor.attr("is_nested"))) refuse_for("is nested. Fill its values(), or the tensors of unbind()");
  if (nb::hasattr(tensor, "__tensor_flatten__")) refuse_for("consists of other tensors. Fill those");
}

// Not of wrappers of torch.func, which have no address, or a null pointer where functionalize makes them.
void* address_of_tensor(nb::handle tensor) {
  std::uintptr_t address = 0;
  try {
    address = nb::cast<std::uintptr_t>(tensor.attr("data_ptr")());
  } catch (const nb::python_error& error) {
    if (!error.matches(PyExc_RuntimeError)) throw;
  }
  if (address == 0 && nb::cast<std::int64_t>(tensor.attr("numel")()) != 0) {
    refuse("A PyTorch tensor must have memory. Received: a " + type_name_of(tensor) +
           " without an address: its storage was freed, or torch.func (vmap, grad, functionalize) or a compiler "
           "transforms the code that "
           "uses it. Fill tensors outside of that code");
  }
  return reinterpret_cast<void*>(address);
}

Found torch_array(nb::handle tensor, std::optional<CudaStream> stream);

// The local tensor of a DTensor, and where it is in the whole.
std::optional<Found> dtensor_array(nb::handle tensor, std::optional<CudaStream> stream) {
  const nb::object module = imported("torch.distributed.tensor");  // a program with a DTensor has imported it
  if (!module || PyObject_IsInstance(tensor.ptr(), attribute(module, "DTensor").ptr()) != 1) return std::nullopt;
  const nb::object block = nb::module_::import_("fanin.torch._sharding").attr("local_block")(tensor);
  Found found = torch_array(block[0], stream);
  found.array.whole = shape_from(block[1], "shape");
  if (!block[2].is_none()) found.array.offset = shape_from(block[2], "offset");
  return found;
}

Found torch_array(nb::handle given, std::optional<CudaStream> stream) {
  nb::object tensor = nb::borrow(given);
  if (is_plain_tensor(given)) {
    refuse_without_memory(given);
  } else {
    if (std::optional<Found> found = dtensor_array(given, stream)) return *std::move(found);
    refuse_without_memory(given);
    const Shape claimed = shape_from(given.attr("shape"), "shape");  // raises for a parameter without a shape yet
    tensor = without_subclass(given);
    const Shape shape = shape_from(tensor.attr("shape"), "shape");
    if (claimed != shape) {
      refuse("A PyTorch tensor must have the shape of its memory, " + to_string(shape) + ". Received: a " +
             type_name_of(given) + " of shape=" + to_string(claimed));
    }
  }
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
  Found found{{}, without_prefix(text_of(tensor.attr("dtype")), "torch.")};
  Array& array = found.array;
  const auto item_size = nb::cast<std::int64_t>(tensor.attr("element_size")());
  array.address = address_of_tensor(tensor);
  array.shape = shape_from(tensor.attr("shape"), "shape");
  array.strides = in_bytes(shape_from(tensor.attr("stride")(), "stride"), item_size);
  array.owner = nb::borrow(given);
  array.library = Library::torch;
  if (place == "cuda") {
    array.device = cuda(nb::cast<int>(device.attr("index")));
    array.stream = stream ? *stream : current_stream(Library::torch, array.device);
  }
  return found;
}

// ---------------------------------------------------------------- buffers: NumPy, array.array, memoryview

// A format of Python's struct module, for elements of that many bytes.
std::string type_of_format(std::string_view format, std::size_t bytes) {
  std::string_view letter = format;
  if (!letter.empty() && std::strchr("@=<>!", letter[0]) != nullptr) letter.remove_prefix(1);
  const auto is_one_of = [&](const char* letters) {
    return letter.size() == 1 && std::strchr(letters, letter[0]) != nullptr;
  };
  if (letter == "?") return "bool";
  const char kind = is_one_of("efdg") ? 'f' : is_one_of("bhilqn") ? 'i' : is_one_of("BHILQN") ? 'u' : 0;
  if (kind == 0) return "buffer format \"" + std::string(format) + "\"";
  return (format[0] == '>' || format[0] == '!' ? "big-endian " : "") + number_type(kind, bytes);
}

std::optional<Found> buffer_array(nb::handle object) {
  if (PyObject_CheckBuffer(object.ptr()) == 0) return std::nullopt;
  auto lease = std::shared_ptr<Py_buffer>(new Py_buffer{}, [](Py_buffer* buffer) {
    PyBuffer_Release(buffer);
    delete buffer;
  });
  if (PyObject_GetBuffer(object.ptr(), lease.get(), PyBUF_RECORDS_RO) != 0) {
    PyErr_Clear();
    return std::nullopt;  // for example a NumPy array of a dtype of ml_dtypes
  }
  if (lease->readonly != 0) refuse_read_only(object);
  Found found{{}, type_of_format(lease->format == nullptr ? "B" : lease->format, lease->itemsize)};
  Array& array = found.array;
  array.address = lease->buf;
  array.shape.assign(lease->shape, lease->shape + lease->ndim);
  if (lease->strides != nullptr) {  // ctypes gives none
    array.strides.assign(lease->strides, lease->strides + lease->ndim);
  }
  array.buffer = std::move(lease);
  return found;
}

// The address, the shape and the strides in an array interface, which NumPy and CUDA libraries have alike.
void set_memory(Array& array, const nb::dict& entries, nb::handle object, const std::string& interface) {
  const nb::object data = entries.get("data", nb::none());
  if (!nb::isinstance<nb::tuple>(data) || nb::len(data) != 2) {
    throw nb::type_error(("The entry \"data\" of " + interface + " must be a pair: address, read-only").c_str());
  }
  if (nb::cast<bool>(nb::bool_(data[1]))) refuse_read_only(object);
  array.address = reinterpret_cast<void*>(unsigned_from(data[0], ("The address in " + interface).c_str()));
  array.shape = shape_from(entries.get("shape", nb::none()), "shape");
  const nb::object strides = entries.get("strides", nb::none());
  if (!strides.is_none()) array.strides = shape_from(strides, "strides");
}

// NumPy arrays of dtypes that the buffer protocol has no format for.
std::optional<Found> numpy_array(nb::handle object) {
  if (!nb::hasattr(object, "__array_interface__") || !nb::hasattr(object, "dtype")) return std::nullopt;
  Found found{{}, type_of_numpy_dtype(object.attr("dtype"))};
  const nb::object interface = object.attr("__array_interface__");
  if (!nb::isinstance<nb::dict>(interface)) throw nb::type_error("__array_interface__ must be a dictionary");
  Array& array = found.array;
  set_memory(array, nb::borrow<nb::dict>(interface), object, "__array_interface__");
  array.owner = nb::borrow(object);
  return found;
}

// ---------------------------------------------------------------- __cuda_array_interface__: CuPy, Numba

std::string type_of_typestr(nb::handle object, const std::string& typestr) {
  if (typestr.size() == 3 && typestr[0] != '>') {
    const std::string name = number_type(typestr[1], typestr[2] - '0');
    if (name == "uint8" || name == "int64" || name == "uint64" || dtype_named(name)) return name;
  }
  const nb::object dtype = attribute(object, "dtype");  // ml_dtypes' types have no typestr of their own
  return nb::hasattr(dtype, "name") ? type_of_numpy_dtype(dtype) : "type \"" + typestr + "\"";
}

std::optional<Found> cuda_array(nb::handle object, std::optional<CudaStream> stream) {
  const nb::object interface = attribute(object, "__cuda_array_interface__");
  if (interface.is_none()) return std::nullopt;
  if (!nb::isinstance<nb::dict>(interface)) {
    throw nb::type_error("__cuda_array_interface__ must be a dictionary");
  }
  const auto entries = nb::borrow<nb::dict>(interface);
  const auto entry = [&](const char* key) { return entries.get(key, nb::none()); };
  if (!entry("mask").is_none()) refuse("Arrays with a mask cannot be filled");
  Found found{{}, type_of_typestr(object, text_of(entry("typestr")))};
  Array& array = found.array;
  set_memory(array, entries, object, "__cuda_array_interface__");
  // Without memory, or without a device, the checks of the fill name the first device.
  array.device = cuda(0);
  if (array.address != nullptr && available().cuda_devices > 0) {
    array.device = device_of(array.address);
    if (array.device.is_host()) {
      refuse("__cuda_array_interface__ is for memory of a CUDA device, and the address is on the host. Received: a " +
             type_name_of(object));
    }
  }
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

std::string type_of_dlpack(nb::dlpack::dtype type) {
  const auto dtype = dtype_of_dlpack(type);
  if (dtype) return std::string(name_of(*dtype));
  if (type.lanes == 1 && type.code < 2) return number_type("iu"[type.code], type.bits / 8);
  return "DLPack's type code " + std::to_string(type.code) + " with " + std::to_string(type.bits) + " bits";
}

// The beginning of dlpack.h's DLManagedTensorVersioned.
struct VersionedTensor {
  std::uint32_t major_version, minor_version;
  void* context;
  void (*deleter)(void*);
  std::uint64_t flags;
  nb::dlpack::dltensor tensor;
};

// Refuses what is no capsule of DLPack, and a tensor whose memory cannot be what it says, before anything follows its
// pointers. `device` is the type that __dlpack_device__ has given.
void check_capsule(nb::handle capsule, std::int32_t device, nb::handle object) {
  const auto refuse_for = [&](const std::string& reason) {
    refuse("The DLPack tensor of a " + type_name_of(object) + " " + reason);
  };
  const nb::dlpack::dltensor* tensor = nullptr;
  if (PyCapsule_IsValid(capsule.ptr(), "dltensor_versioned") != 0) {
    const auto* managed =
        static_cast<const VersionedTensor*>(PyCapsule_GetPointer(capsule.ptr(), "dltensor_versioned"));
    if (managed->major_version != nb::dlpack::major_version) {
      refuse_for("must be of version 1. Received: version " + std::to_string(managed->major_version));
    }
    tensor = &managed->tensor;
  } else if (PyCapsule_IsValid(capsule.ptr(), "dltensor") != 0) {  // DLManagedTensor begins with the tensor
    tensor = static_cast<const nb::dlpack::dltensor*>(PyCapsule_GetPointer(capsule.ptr(), "dltensor"));
  } else {
    throw nb::type_error(("__dlpack__ must return an unused capsule of DLPack. Received: " + shown(capsule) + " of a " +
                          type_name_of(object))
                             .c_str());
  }
  if (tensor->ndim < 0 || tensor->ndim > most_dimensions) {
    refuse_for("must have 0 to " + std::to_string(most_dimensions) +
               " dimensions. Received: ndim=" + std::to_string(tensor->ndim));
  }
  if (tensor->ndim > 0 && tensor->shape == nullptr) refuse_for("must have a shape. Received: a null pointer");
  if (tensor->device.device_type != device) {
    refuse_for("must be on the device that __dlpack_device__ gives, of type " + std::to_string(device) +
               ". Received: type " + std::to_string(tensor->device.device_type));
  }
  if (tensor->byte_offset > most_bytes) {
    refuse_for("must be in memory. Received: byte_offset=" + std::to_string(tensor->byte_offset));
  }
}

// The capsule of the array itself, not of a copy, from exporters of DLPack 1 and of earlier versions.
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

// The type and the number of the device in DLPack's terms.
std::pair<int, int> dlpack_device(nb::handle object) {
  const nb::object device = object.attr("__dlpack_device__")();
  std::pair<int, int> result;
  if (!nb::isinstance<nb::tuple>(device) || nb::len(device) != 2 || PyIndex_Check(nb::object(device[0]).ptr()) == 0 ||
      !nb::try_cast(nb::int_(device[0]), result.first) || !nb::try_cast(device[1], result.second) ||
      result.second < 0) {
    throw nb::type_error(("__dlpack_device__ must return two integers, a device's type and number. Received: " +
                          shown(device) + " of a " + type_name_of(object))
                             .c_str());
  }
  return result;
}

std::optional<Found> dlpack_array(nb::handle object, std::optional<CudaStream> stream) {
  if (!nb::hasattr(object, "__dlpack__") || !nb::hasattr(object, "__dlpack_device__")) return std::nullopt;
  const auto [type, number] = dlpack_device(object);
  const bool on_device = type == nb::device::cuda::value || type == nb::device::cuda_managed::value;
  if (!on_device && type != nb::device::cpu::value && type != nb::device::cuda_host::value) {
    refuse("The array must be in host memory or on a CUDA device. Received: memory of DLPack's device type " +
           std::to_string(type));
  }
  Array array;
  nb::object stream_argument = nb::none();
  if (on_device) {
    array.device = cuda(number);
    if (available().cuda_devices == 0) refuse_device(array.device);
    array.stream = stream.value_or(nullptr);
    // DLPack's number of the default stream is 1.
    stream_argument = nb::int_(array.stream == nullptr ? 1 : reinterpret_cast<std::uintptr_t>(array.stream));
  }
  const nb::object capsule = dlpack_capsule(object, stream_argument);
  check_capsule(capsule, type, object);
  auto tensor = std::make_shared<nb::ndarray<>>();
  if (!nb::try_cast(capsule, *tensor)) {
    refuse("The array is read-only, or its DLPack capsule has an unknown form. Received: a " + type_name_of(object));
  }
  std::string element = type_of_dlpack(tensor->dtype());
  array.address = tensor->data();
  array.shape.assign(tensor->shape_ptr(), tensor->shape_ptr() + tensor->ndim());
  array.strides.assign(tensor->stride_ptr(), tensor->stride_ptr() + tensor->ndim());
  array.strides = in_bytes(array.strides, static_cast<std::int64_t>(tensor->itemsize()));
  array.dlpack = std::move(tensor);
  array.owner = nb::borrow(object);
  return Found{std::move(array), std::move(element)};
}

// ---------------------------------------------------------------- any

// NumPy's type, or CuPy's, which has the same name.
bool is_ndarray(nb::handle object) {
#ifdef Py_LIMITED_API
  const nb::object name = nb::steal(PyType_GetName(Py_TYPE(object.ptr())));
  return PyUnicode_CompareWithASCIIString(name.ptr(), "ndarray") == 0;
#else
  return std::strcmp(Py_TYPE(object.ptr())->tp_name, "numpy.ndarray") == 0;
#endif
}

// Refuses arrays that are immutable values, although their memory is accessible.
void refuse_immutable(nb::handle object) {
  const std::string module = text_of(attribute(object.type(), "__module__"));
  const std::string library = module.substr(0, module.find('.'));
  if (library == "jax" || library == "jaxlib") {
    throw nb::type_error(
        "JAX arrays cannot be changed in place. Use fanin.jax, or make an array of what fanin.draw returns with "
        "jax.numpy.asarray");
  }
  if (library == "keras") {
    throw nb::type_error(
        "Keras's variables are not filled in place. Assign what fanin.draw returns to the variable, or use "
        "fanin.keras");
  }
  if (library == "tensorflow") {
    throw nb::type_error(
        "TensorFlow's tensors cannot be changed in place. Assign what fanin.draw returns to the tf.Variable");
  }
}

Found found_of(nb::handle object, std::optional<CudaStream> stream) {
  std::optional<Found> found;
  if (is_torch_tensor(object)) {
    found = torch_array(object, stream);
  } else {
    if (!is_ndarray(object)) refuse_immutable(object);
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

// Refuses addresses, shapes and strides that no memory with elements can have.
void check_memory(const Array& array, nb::handle object) {
  const auto refuse_for = [&](const std::string& reason) {
    refuse(reason + ". Received: a " + type_name_of(object) + " of shape=" + to_string(array.shape) +
           ", strides in bytes " + to_string(array.strides));
  };
  if (array.shape.size() > most_dimensions) {
    refuse_for("An array has at most " + std::to_string(most_dimensions) + " dimensions");
  }
  if (array.strides.size() != array.shape.size()) refuse_for("An array has a stride for each dimension");
  if (array.address == nullptr && array.device.is_host()) refuse_for("The address is null, but there are elements");
  std::uintptr_t before = 0;  // the bytes from the lowest element to the first one, and from there to the highest
  std::uintptr_t after = array.item_size();
  for (std::size_t j = 0; j < array.shape.size(); ++j) {
    const std::int64_t stride = array.strides[j];
    const auto distance = stride < 0 ? -static_cast<std::uintptr_t>(stride) : static_cast<std::uintptr_t>(stride);
    std::uintptr_t& bytes = stride < 0 ? before : after;
    std::uintptr_t span = 0;
    if (__builtin_mul_overflow(distance, static_cast<std::uintptr_t>(array.shape[j] - 1), &span) ||
        __builtin_add_overflow(bytes, span, &bytes) || bytes > most_bytes) {
      refuse_for("The elements of an array must be in memory");
    }
  }
  if (before > reinterpret_cast<std::uintptr_t>(array.address))
    refuse_for("The elements of an array must be in memory");
}

}  // namespace

int Array::traverse(visitproc visit, void* arg) const {
  Py_VISIT(owner.ptr());
  if (buffer) Py_VISIT(buffer->obj);
  return 0;
}

bool Array::is_dense() const {
  if (reinterpret_cast<std::uintptr_t>(address) % item_size() != 0) return false;
  if (count() == 0) return true;
  auto dense = static_cast<std::int64_t>(item_size());
  for (std::size_t j = shape.size(); j-- > 0;) {
    const std::int64_t items = is_packed && j + 1 == shape.size() ? shape[j] / 2 : shape[j];
    if (items != 1 && strides[j] != dense) return false;
    dense *= items;
  }
  return true;
}

Array array_of(nb::handle object, std::optional<CudaStream> stream) {
  Found found = found_of(object, stream);
  Array& array = found.array;
  array.is_packed = found.type == torch_float4;
  const std::optional<DType> dtype = array.is_packed ? DType::float4_e2m1fn : dtype_named(found.type);
  if (!dtype) {
    std::string names;
    for (const DTypeFacts& facts : dtypes()) names += (names.empty() ? "" : ", ") + std::string(facts.name);
    refuse("Arrays are of one of these dtypes: " + names + ". Received: an array of " + found.type);
  }
  array.dtype = *dtype;
  const bool has_elements = array.count() != 0;  // throws for shapes that no tensor has
  if (array.strides.empty()) array.strides = dense_strides(array.shape, array.item_size());
  if (has_elements) check_memory(array, object);
  if (array.is_packed) {
    if (array.shape.empty()) refuse("A tensor of " + std::string(torch_float4) + " must have an axis");
    array.shape.back() *= 2;
  }
  return std::move(array);
}

Array source_of(nb::handle object) {
  if (is_torch_tensor(object)) return array_of(object.attr("contiguous")(), std::nullopt);
  if (nb::hasattr(object, "__cuda_array_interface__")) return array_of(object, std::nullopt);
  const nb::object require = nb::module_::import_("numpy").attr("require");
  return array_of(require(object, nb::none(), nb::make_tuple("C_CONTIGUOUS", "WRITEABLE")), std::nullopt);
}

Array bytes_of(nb::handle object, std::optional<CudaStream> stream) {
  Found found = found_of(object, stream);
  Array& array = found.array;
  const bool dense = array.strides.empty() || array.strides == dense_strides(array.shape, 1);
  if (!dense || found.type != "uint8" || array.device.is_host()) {
    refuse("A workspace is a dense CUDA array of uint8. Received: a " + type_name_of(object) + " of " + found.type +
           " on " + to_string(array.device));
  }
  return std::move(array);
}

CudaStream current_stream(Library library, Device device) {
  if (device.is_host() || library == Library::other) return nullptr;
  if (library == Library::torch) {
    const nb::object stream = nb::module_::import_("torch.cuda").attr("current_stream")(device.cuda_device);
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
  const bool is_integer64 = found.type == "int64" || found.type == "uint64";
  if (!is_integer64 || found.array.device.is_host() || found.array.count() == 0) {
    refuse(
        "device_seed is the address of a 64-bit integer in device memory, or a CUDA array of uint64 or int64 that "
        "holds it. Received: a " +
        type_name_of(object) + " of " + found.type + " on " + to_string(found.array.device));
  }
  return static_cast<const std::uint64_t*>(found.array.address);
}

// NumPy's dtype of what it takes for one, or null.
nb::object numpy_dtype(nb::handle object) {
  try {
    return nb::module_::import_("numpy").attr("dtype")(object);
  } catch (nb::python_error& error) {
    if (!error.matches(PyExc_Exception)) throw;
  }
  return {};
}

DType dtype_of(nb::handle object) {
  if (object.is_none()) return DType::float32;
  nb::object name = nb::isinstance<nb::str>(object) ? nb::borrow(object) : attribute(object, "name");  // NumPy's, JAX's
  const bool is_type = object.is(reinterpret_cast<PyObject*>(&PyFloat_Type));
  if (is_type || (nb::isinstance<nb::str>(object) && !dtype_named(text_from(object)))) {  // "f4", "double", float
    if (const nb::object numpys = numpy_dtype(object)) return dtype_of(numpys);
    return parse_dtype(text_of(object));
  }
  if (!name.is_none() && text_of(attribute(object, "byteorder")) == ">") {
    refuse("Elements have this machine's byte order. Received: dtype=" + text_of(nb::repr(object)));
  }
  if (name.is_none()) name = attribute(object, "__name__");  // numpy.float32, ml_dtypes.bfloat16, jax.numpy.float32
  const std::string text = name.is_none() ? without_prefix(text_of(object), "torch.") : text_of(name);
  return text == torch_float4 ? DType::float4_e2m1fn : parse_dtype(text);
}

nb::object empty_numpy_array(const Shape& shape, DType dtype) {
  const nb::object numpy = nb::module_::import_("numpy");
  const std::string name(name_of(dtype));
  nb::object type;
  if (dtype != DType::float32 && dtype != DType::float64 && dtype != DType::float16) {
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

Shape dense_strides(const Shape& shape, std::size_t size) {
  Shape strides;
  strides.resize(shape.size());
  std::uint64_t stride = size;  // wraps around in shapes without elements only
  for (std::size_t j = shape.size(); j-- > 0;) {
    strides[j] = static_cast<std::int64_t>(stride);
    stride *= static_cast<std::uint64_t>(shape[j] > 0 ? shape[j] : 1);
  }
  return strides;
}

nb::object tuple_of(const Shape& shape) {
  const nb::object tuple = nb::steal(PyTuple_New(static_cast<Py_ssize_t>(shape.size())));
  if (!tuple) throw nb::python_error();
  for (std::size_t j = 0; j < shape.size(); ++j) {
    PyTuple_SetItem(tuple.ptr(), static_cast<Py_ssize_t>(j), nb::int_(shape[j]).release().ptr());
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
