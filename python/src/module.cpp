// SPDX-License-Identifier: Apache-2.0
// The extension module fanin._core: the version, devices, the hash of names, and the parts of bindings.h.
#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/string_view.h>
#include <nanobind/stl/tuple.h>

#include <exception>
#include <new>
#include <string>
#include <tuple>
#include <typeinfo>

#include "bindings.h"
#include "fanin/cuda_devices.h"
#include "fanin/dtype.h"
#include "fanin/error.h"
#include "fanin/seed.h"
#include "fanin/version.h"

namespace nb = nanobind;
using namespace fanin;
using namespace nanobind::literals;

NB_MODULE(_core, m) {
  nb::set_leak_warnings(false);  // objects that other modules hold at exit are not leaks
  m.doc() = "The compiled part of fanin. The package fanin exports its public names.";
  nb::exception<DeviceError>(m, "DeviceError", PyExc_RuntimeError).doc() =
      "The device does not exist, or this build has no CUDA back end.";
  // What an object says of itself may have another type than its protocol demands.
  nb::register_exception_translator([](const std::exception_ptr& thrown, void*) {
    try {
      std::rethrow_exception(thrown);
    } catch (const std::bad_cast&) {
      PyErr_SetString(
          PyExc_TypeError,
          "An argument, or an attribute of one, has a type that cannot be used here, or its __init__ has not "
          "been called");
    }
  });
  m.attr("__version__") = FANIN_VERSION;
  m.attr("contract_version") = FANIN_CONTRACT_VERSION;
  nb::list dtypes;
  for (const DTypeFacts& facts : fanin::dtypes()) dtypes.append(facts.name);
  m.attr("_dtypes") = nb::tuple(dtypes);

  nb::class_<Availability>(m, "Availability", nb::is_weak_referenceable(),
                           "The CUDA devices that this build can use on this machine.")
      .def_ro("cuda_built", &Availability::cuda_built, "Whether this build has the CUDA back end.")
      .def_ro("cuda_devices", &Availability::cuda_devices, "The number of usable devices; 0 without a driver.")
      .def_ro("reason", &Availability::reason, "Why no device is usable; empty if one is.")
      .def("__reduce__", &python::reduce)
      .def("__getstate__", [](const Availability& a) { return nb::make_tuple(a.cuda_built, a.cuda_devices, a.reason); })
      .def("__setstate__",
           [](nb::pointer_and_handle<Availability> self, const std::tuple<bool, int, std::string>& state) {
             const auto& [cuda_built, cuda_devices, reason] = state;
             new (self.p) Availability{cuda_built, cuda_devices, reason};
           })
      .def("__repr__", [](const Availability& a) {
        return std::string("Availability(cuda_built=") + (a.cuda_built ? "True" : "False") +
               ", cuda_devices=" + std::to_string(a.cuda_devices) +
               ", reason=" + nb::cast<std::string>(nb::repr(nb::str(a.reason.c_str()))) + ")";
      });
  m.def("available", &available, "The usable CUDA devices. A missing driver or device is not an error.");
  m.def(
      "preload",
      [](int device) {
        const nb::gil_scoped_release release;
        preload(device);
      },
      "device"_a = 0,
      "Loads the kernels into a CUDA device. Without it, the first fill on the device loads them, which may "
      "synchronise\n"
      "the device and fail while a stream is captured. Raises DeviceError.");
  m.def("subsequence_of", &subsequence_of, "name"_a,
        "The subsequence of a tensor with this name: the 64-bit FNV-1a hash of the name's UTF-8 bytes, in [0, 2**64).");

  python::bind_builtins(m);
  python::bind_seed(m);
  python::bind_description(m);
  python::bind_initializers(m);
  python::bind_fill(m);
  python::bind_model(m);
  python::bind_plan(m);
  python::bind_xla(m);
}
