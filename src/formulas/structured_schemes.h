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

// The values of some of these, for classes with other names of their parameters.
Distribution dirac_of(double groups, const Shape& shape, Layout layout);
Distribution sparse_of(double sparsity, double stddev, const Shape& shape, Layout layout);

// Throw InvalidArgument.
void check_groups(double groups);
void check_sparse(double sparsity, double stddev, std::string_view name_of_stddev);

}  // namespace fanin::detail
