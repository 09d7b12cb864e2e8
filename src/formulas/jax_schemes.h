// SPDX-License-Identifier: Apache-2.0
// The schemes of JAX's initializers, with the names, parameters and defaults that they have there.
#pragma once

#include "formulas/schemes.h"

namespace fanin::detail::jax {

SchemePointer uniform();
SchemePointer normal();
SchemePointer truncated_normal();
SchemePointer constant();
SchemePointer ones();
SchemePointer zeros();
SchemePointer variance_scaling();
SchemePointer glorot_uniform();
SchemePointer glorot_normal();
SchemePointer xavier_uniform();
SchemePointer xavier_normal();
SchemePointer he_uniform();
SchemePointer he_normal();
SchemePointer kaiming_uniform();
SchemePointer kaiming_normal();
SchemePointer lecun_uniform();
SchemePointer lecun_normal();
SchemePointer orthogonal();

}  // namespace fanin::detail::jax
