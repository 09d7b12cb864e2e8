// SPDX-License-Identifier: Apache-2.0
// The parts of the extension module, and the functions that they share.
#pragma once

#include <nanobind/nanobind.h>

#include <string>

#include "fanin/fans.h"
#include "fanin/initializer.h"
#include "fanin/seed.h"

namespace fanin::python {

void bind_builtins(nanobind::module_& m);
void bind_seed(nanobind::module_& m);
void bind_description(nanobind::module_& m);
void bind_initializers(nanobind::module_& m);
void bind_fill(nanobind::module_& m);
void bind_model(nanobind::module_& m);
void bind_plan(nanobind::module_& m);
void bind_xla(nanobind::module_& m);

// "Seed(42)", "Seed.sequence(7)", "Seed.drawn(123)"
std::string to_text(const Seed& seed);

// The complete state of a seed, for pickle.
nanobind::tuple seed_state(const Seed& seed);
Seed seed_from_state(const nanobind::tuple& state);

// __reduce__ for all protocols of pickle: the class and what __getstate__ returns. nanobind's objects have only that of
// protocol 2 and newer.
nanobind::tuple reduce(nanobind::handle self);

// The layout may be None.
Description describe(const Initializer& initializer, nanobind::handle shape, nanobind::handle layout);

}  // namespace fanin::python
