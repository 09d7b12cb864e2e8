// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nanobind/nanobind.h>

#include "fanin/fans.h"
#include "fanin/initializer.h"

namespace fanin::python {

// A Description, and the layout that was asked for.
struct NamedDescription {
  Description description;
  Layout layout;
};

NamedDescription describe(const Initializer& initializer, nanobind::handle shape, nanobind::handle layout);

}  // namespace fanin::python
