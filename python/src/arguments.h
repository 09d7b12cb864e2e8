// SPDX-License-Identifier: Apache-2.0
// What Python callers give, as the library's types. Each throws TypeError for the wrong type and ValueError for the
// wrong value, with a message that names the argument.
#pragma once

#include <nanobind/nanobind.h>

#include <cstdint>
#include <optional>
#include <string>

#include "fanin/initializer.h"
#include "fanin/options.h"
#include "fanin/seed.h"
#include "fanin/shape.h"
#include "fanin/view.h"

namespace fanin::python {

namespace nb = nanobind;

// A str's text. Throws InvalidArgument if it is none, or none that UTF-8 can hold.
std::string text_from(nb::handle object);

// How Python shows an object, in ASCII.
std::string shown(nb::handle object);

// 0 to 2^64 - 1, from anything that Python calls an integer.
std::uint64_t unsigned_from(nb::handle object, const char* what);

// A tuple or list of integers.
Shape shape_from(nb::handle object, const char* what);

// None: a drawn seed; an integer: a fixed one; a fanin.Seed.
Seed seed_from(nb::handle object);

// None: none given. An address, or an object of CUDA's, PyTorch's, CuPy's or another library that has one.
std::optional<CudaStream> stream_from(nb::handle object);

Layout layout_from(nb::handle object);

// The tensor's name or subsequence, of which at most one may be given, and its layout.
TensorOptions options_from(nb::handle name, nb::handle subsequence, nb::handle layout);

// An initializer that is borrowed from its Python object, or made for one call from a name or a configuration.
class InitializerArgument {
 public:
  // `seed` takes the place of the initializer's own, unless it is None.
  InitializerArgument(nb::handle object, nb::handle seed);
  const Initializer& operator*() const { return made_ ? *made_ : *borrowed_; }
  const Initializer* operator->() const { return &**this; }

 private:
  std::optional<Initializer> made_;
  const Initializer* borrowed_ = nullptr;
};

[[noreturn]] void refuse_device(Device device);

// JSON text as Python's dictionaries and lists, and back.
nb::object json_loads(const std::string& text);
std::string json_dumps(nb::handle object);

}  // namespace fanin::python
