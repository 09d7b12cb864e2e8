// SPDX-License-Identifier: Apache-2.0
// The schemes of Keras's initializers. All functions throw InvalidArgument for parameters that are wrong for every
// shape and dtype.
#pragma once

#include <memory>
#include <optional>
#include <string_view>

#include "formulas/scheme.h"

namespace fanin::detail {

using SchemePointer = std::shared_ptr<const Scheme>;

SchemePointer variance_scaling(double scale, std::string_view mode, std::string_view distribution, FanAxes axes,
                               std::optional<double> lower, std::optional<double> upper);
SchemePointer truncated_normal(double mean, double stddev, double lower, double upper);
SchemePointer random_normal(double mean, double stddev);
SchemePointer random_uniform(double minval, double maxval);
SchemePointer constant(double value);
SchemePointer constant(Table array);
SchemePointer siren_first();
SchemePointer siren_hidden(double w0);
SchemePointer identity(double gain);
SchemePointer orthogonal(double gain);
SchemePointer computed(std::string_view value, ComputedValue::Constants constants);
SchemePointer zeros();
SchemePointer ones();

// VarianceScaling with parameters that the class fixes.
SchemePointer he_normal(FanAxes axes);
SchemePointer he_uniform(FanAxes axes);
SchemePointer lecun_normal(FanAxes axes);
SchemePointer lecun_uniform(FanAxes axes);
SchemePointer glorot_normal(FanAxes axes);
SchemePointer glorot_uniform(FanAxes axes);

}  // namespace fanin::detail
