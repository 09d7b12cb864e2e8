// SPDX-License-Identifier: Apache-2.0
// The memory of a Python array, whichever library the array is from. No array library is imported.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "fanin/dtype.h"
#include "fanin/fans.h"
#include "fanin/shape.h"
#include "fanin/view.h"

namespace fanin::python {

namespace nb = nanobind;

// The libraries whose current stream a fill uses if the caller names no stream.
enum class Library : std::uint8_t { other, torch, cupy };

// Memory of an array that a fill may write to. The memory stays allocated while this object exists.
struct Array {
  void* address = nullptr;
  DType dtype = DType::float32;
  Device device = host;
  Shape shape;                  // of elements
  Shape strides;                // in bytes, one for each extent; of the bytes, if the array is packed
  bool is_packed = false;       // PyTorch's float4_e2m1fn_x2: each byte of the last axis has two elements
  CudaStream stream = nullptr;  // for device memory: the stream that the fill must be put on
  nb::object owner;             // keeps the memory, unless a buffer does
  Library library = Library::other;
  std::shared_ptr<Py_buffer> buffer;      // released with the last copy of this object
  std::shared_ptr<nb::ndarray<>> dlpack;  // the same
  std::optional<Shape> whole;             // of a DTensor, whose local tensor the array is: the shape of the whole
  std::optional<Shape> offset;            // of that local tensor in it; none: it is the whole

  std::uint64_t count() const { return element_count(shape); }
  // The bytes of an item of the array: of an element that has at least a byte, or of a byte with two elements.
  std::size_t item_size() const { return facts_of(dtype).is_packed() ? 1 : size_of(dtype); }
  std::size_t bytes() const { return is_packed ? bytes_of(dtype, count()) : count() * item_size(); }
  View view() const { return {address, dtype, bytes(), device, 0, facts_of(dtype).is_packed() && !is_packed}; }

  // The order of the axes in the array's library: PyTorch's in its tensors, Keras's in others.
  // None: the array does not say which axes of a kernel are what.
  std::optional<Layout> layout() const {
    return library == Library::torch ? std::optional<Layout>(Layout::oihw) : std::nullopt;
  }

  // Visits the Python objects that this object keeps, for the garbage collector. Those that a DLPack tensor keeps are
  // unknown.
  int traverse(visitproc visit, void* arg) const;

  // Whether the items are contiguous in row-major order, and aligned to their size.
  bool is_dense() const;
};

// The memory of a PyTorch tensor, or of an object with the buffer protocol, __cuda_array_interface__ or DLPack. Without
// a stream, Array::stream is the current stream of the array's library. Throws TypeError if the object is no array, and
// ValueError if the array cannot be filled.
Array array_of(nb::handle object, std::optional<CudaStream> stream);

// Memory that is read and not written: array_of, and also lists of numbers and arrays that are read-only, immutable or
// not dense. Of those it is a dense copy.
Array source_of(nb::handle object);

// Device memory as bytes: a dense CUDA array of uint8. Array::dtype has no meaning.
Array bytes_of(nb::handle object, std::optional<CudaStream> stream);

// The library's current stream on the device, or the default stream if the library has none.
CudaStream current_stream(Library library, Device device);

// Tells PyTorch's autograd that a tensor has changed. Call it after the fill was started.
void tell_of_change(const Array& array);

// The address of one 64-bit integer in device memory, from an integer or a CUDA array. None gives null.
const std::uint64_t* seed_address_of(nb::handle object);

// A dtype from its name ("bfloat16") or from a dtype of NumPy, ml_dtypes, PyTorch, JAX or TensorFlow. None is float32.
DType dtype_of(nb::handle object);

// A new, uninitialised NumPy array. All dtypes but float16, float32 and float64 need the package ml_dtypes.
nb::object empty_numpy_array(const Shape& shape, DType dtype);

// The strides in bytes of a dense, row-major array.
Shape dense_strides(const Shape& shape, std::size_t size);

// A Python tuple.
nb::object tuple_of(const Shape& shape);

// "numpy.ndarray"
std::string type_name_of(nb::handle object);

}  // namespace fanin::python
