// SPDX-License-Identifier: Apache-2.0
// Converts the arguments of Python callers to the library's types. Each function throws TypeError for a wrong type and
// ValueError for a wrong value, with a message that names the argument.
#pragma once

#include <nanobind/nanobind.h>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "fanin/initializer.h"
#include "fanin/options.h"
#include "fanin/seed.h"
#include "fanin/shape.h"
#include "fanin/view.h"

namespace fanin::python {

namespace nb = nanobind;

// The text of a str. Throws InvalidArgument if the object is no str or UTF-8 cannot encode it.
std::string text_from(nb::handle object);

// ascii(object)
std::string shown(nb::handle object);

// An integer in [0, 2^64), from an int or an object with __index__.
std::uint64_t unsigned_from(nb::handle object, const char* what);

// A tuple or list of integers.
Shape shape_from(nb::handle object, const char* what);

// Likewise, or one integer, as NumPy takes them from callers.
Shape extents_from(nb::handle object, const char* what);

// None gives a drawn seed, an integer a fixed one.
Seed seed_from(nb::handle object);

// The stream at an address, or of an object of CUDA Python, PyTorch, CuPy or another library. None gives no stream.
std::optional<CudaStream> stream_from(nb::handle object);

// Names and numbers, from a dictionary, or none from None.
std::vector<std::pair<std::string, double>> constants_from(nb::handle object);

Layout layout_from(nb::handle object);

// The tensor's name or subsequence, of which at most one may be given, and its layout, which is `usual` if it is None.
TensorOptions options_from(nb::handle name, nb::handle subsequence, nb::handle layout, std::optional<Layout> usual);

// What a class without arguments makes. Throws TypeError if that is a class.
nb::object instance_of(nb::handle type);

// The configuration of an initializer of Keras's. Null for other objects.
nb::object keras_config(nb::handle object);

// An initializer: borrowed from its Python object, or made for one call from a name or a configuration.
class InitializerArgument {
 public:
  // `seed` replaces the initializer's own seed, unless it is None.
  InitializerArgument(nb::handle object, nb::handle seed);
  const Initializer& operator*() const { return made_ ? *made_ : *borrowed_; }
  const Initializer* operator->() const { return &**this; }

 private:
  std::optional<Initializer> made_;
  const Initializer* borrowed_ = nullptr;
};

[[noreturn]] void refuse_device(Device device);

// JSON text as Python's dictionaries and lists, and back. Numbers and arrays of NumPy and other libraries become
// Python's.
nb::object json_loads(const std::string& text);
std::string json_dumps(nb::handle object);

}  // namespace fanin::python
