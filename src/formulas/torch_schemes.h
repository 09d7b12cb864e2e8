// SPDX-License-Identifier: Apache-2.0
// The schemes of PyTorch's initializers, with the names, parameters and defaults that they have there.
#pragma once

#include "formulas/schemes.h"

namespace fanin::detail::torch {

SchemePointer uniform();
SchemePointer normal();
SchemePointer trunc_normal();
SchemePointer constant();
SchemePointer ones();
SchemePointer zeros();
SchemePointer eye();
SchemePointer dirac();
SchemePointer xavier_uniform();
SchemePointer xavier_normal();
SchemePointer kaiming_uniform();
SchemePointer kaiming_normal();
SchemePointer orthogonal();
SchemePointer sparse();
SchemePointer linear();

}  // namespace fanin::detail::torch
