// SPDX-License-Identifier: Apache-2.0
// Schemes whose values are formulas of the element's coordinates: kernels with a structure of their own. All functions
// throw InvalidArgument for parameters that are wrong for every shape and dtype.
#pragma once

#include <optional>
#include <string_view>

#include "formulas/schemes.h"

namespace fanin::detail {

SchemePointer dirac(double groups);
SchemePointer bilinear(double groups);
SchemePointer forget_gate_bias(double value, double gate, double gates);
SchemePointer sparse(double sparsity, double stddev);
SchemePointer stft(std::string_view side, WindowValue window, std::optional<std::string_view> scaling, bool periodic);

// Checks and values of some of these, for classes with other names of their parameters, which have the same order.
// Throw InvalidArgument.
void check_groups(Parameters& parameters);
void check_sparse(Parameters& parameters);
Distribution dirac_distribution(const Parameters& parameters, const Shape& shape, Layout layout, const Fans& fans);
Distribution sparse_distribution(const Parameters& parameters, const Shape& shape, Layout layout, const Fans& fans);

}  // namespace fanin::detail
