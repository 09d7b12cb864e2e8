// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nanobind/nanobind.h>

#include <string>

#include "fanin/seed.h"

namespace fanin::python {

// "Seed(42)", "Seed.sequence(7)", "Seed.drawn(123)"
std::string to_text(const Seed& seed);

// All of a seed, for pickle.
nanobind::tuple seed_state(const Seed& seed);
Seed seed_from_state(const nanobind::tuple& state);

}  // namespace fanin::python
