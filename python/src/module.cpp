// SPDX-License-Identifier: Apache-2.0
#include <nanobind/nanobind.h>

#include "bindings.h"
#include "fanin/error.h"

NB_MODULE(_core, m) {
  nanobind::set_leak_warnings(false);  // what other modules still hold at exit is not ours to print about
  m.doc() = "The compiled part of fanin. Its public names are those of the package.";
  nanobind::exception<fanin::DeviceError>(m, "DeviceError", PyExc_RuntimeError).doc() =
      "There is no such device, or the CUDA back end is not part of this build.";
  fanin::python::bind_library(m);
  fanin::python::bind_seed(m);
  fanin::python::bind_description(m);
  fanin::python::bind_initializers(m);
  fanin::python::bind_fill(m);
  fanin::python::bind_plan(m);
  fanin::python::bind_xla(m);
}
