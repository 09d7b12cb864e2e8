// SPDX-License-Identifier: Apache-2.0
// What there is: the version, devices, names.
#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/string_view.h>

#include "arrays.h"
#include "bindings.h"
#include "element_types.h"
#include "fanin/cuda_devices.h"
#include "fanin/seed.h"
#include "fanin/version.h"

namespace fanin::python {

using namespace nanobind::literals;

void bind_library(nb::module_& m) {
  m.attr("__version__") = FANIN_VERSION;
  m.attr("contract_version") = FANIN_CONTRACT_VERSION;
  nb::list dtypes;
  for (const ElementType& type : element_types) dtypes.append(name_of(type.dtype));
  m.attr("dtypes") = nb::tuple(dtypes);

  nb::class_<Availability>(m, "Availability", "What device memory this build and this machine can fill.")
      .def_ro("cuda_built", &Availability::cuda_built, "Whether the CUDA back end is part of this build.")
      .def_ro("cuda_devices", &Availability::cuda_devices, "How many devices can be used; 0 without a driver.")
      .def_ro("reason", &Availability::reason, "Why there is none; empty if there is one.")
      .def("__repr__", [](const Availability& a) {
        return std::string("Availability(cuda_built=") + (a.cuda_built ? "True" : "False") +
               ", cuda_devices=" + std::to_string(a.cuda_devices) +
               ", reason=" + nb::cast<std::string>(nb::repr(nb::str(a.reason.c_str()))) + ")";
      });
  m.def("available", &available, "What device memory can be filled. Never fails for want of a driver or a device.");
  m.def(
      "preload",
      [](int device) {
        const nb::gil_scoped_release release;
        preload(device);
      },
      "device"_a = 0,
      "Loads the kernels into a CUDA device. Without it the first fill there does, which may synchronise, and which a\n"
      "stream that is being captured may not allow. Raises DeviceError.");
  m.def("subsequence_of", &subsequence_of, "name"_a,
        "The subsequence that belongs to a tensor's name: FNV-1a, 64 bits, of its UTF-8 bytes.");
}

}  // namespace fanin::python
