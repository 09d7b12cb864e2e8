// SPDX-License-Identifier: Apache-2.0
// The parts that the extension module is made of.
#pragma once

#include <nanobind/nanobind.h>

namespace fanin::python {

void bind_seed(nanobind::module_& m);
void bind_description(nanobind::module_& m);
void bind_initializers(nanobind::module_& m);
void bind_fill(nanobind::module_& m);
void bind_plan(nanobind::module_& m);
void bind_library(nanobind::module_& m);
void bind_xla(nanobind::module_& m);

}  // namespace fanin::python
