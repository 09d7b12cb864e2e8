// SPDX-License-Identifier: Apache-2.0
// Where the elements of a Python array are, whatever library it comes from. No array library is imported for it.
#pragma once

#include <nanobind/nanobind.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "fanin/dtype.h"
#include "fanin/shape.h"
#include "fanin/view.h"

namespace fanin::python {

namespace nb = nanobind;

// Those that are asked for their current stream when a fill has none.
enum class Library : std::uint8_t { other, torch, cupy };

// Memory of an array that a fill may write to. It stays where it is for as long as this object lives.
struct Array {
  void* address = nullptr;
  DType dtype = DType::float32;
  Device place = host;
  Shape shape;
  Shape strides;                // in bytes, one for each extent
  CudaStream stream = nullptr;  // that the fill must be put on, for device memory
  nb::object owner;             // keeps the memory
  Library library = Library::other;
  std::shared_ptr<void> lease;  // given back when the memory is no longer used: a buffer or a DLPack tensor

  std::uint64_t count() const { return element_count(shape); }
  std::size_t bytes() const { return count() * size_of(dtype); }
  View view() const { return {address, dtype, bytes(), place}; }

  // Whether the elements lie one after the other in row-major order, at addresses that are multiples of their size.
  bool is_dense() const;
};

// The array behind a Python object: PyTorch's, then one with the buffer protocol, __cuda_array_interface__ or DLPack.
// `stream` is what the caller asks for; without it, it is the array's library's current one. Throws TypeError for what
// is no array, ValueError for one that cannot be filled.
Array array_of(nb::handle object, std::optional<CudaStream> stream);

// Device memory of bytes: a CUDA array of uint8. Its dtype says nothing.
Array bytes_of(nb::handle object, std::optional<CudaStream> stream);

// The library's current stream on the device; without one, the default stream.
CudaStream current_stream(Library library, Device place);

// To be called after a fill of the array was started: PyTorch's autograd must know that a tensor has changed.
void tell_of_change(const Array& array);

// The address of one 64-bit integer in device memory: an integer, or an array of any library that holds one.
const std::uint64_t* seed_address_of(nb::handle object);

// A dtype by its name ("bfloat16"), or one of NumPy's, ml_dtypes', PyTorch's, JAX's or TensorFlow's; None is float32.
DType dtype_of(nb::handle object);

// A new NumPy array, not initialised. bfloat16 and float8 need the package ml_dtypes.
nb::object empty_numpy_array(const Shape& shape, DType dtype);

// Strides in bytes of a dense, row-major array.
Shape dense_strides(const Shape& shape, DType dtype);

// A Python tuple.
nb::object tuple_of(const Shape& shape);

// "numpy.ndarray"
std::string type_name_of(nb::handle object);

}  // namespace fanin::python
