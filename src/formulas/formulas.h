// SPDX-License-Identifier: Apache-2.0
// Keras's formulas. All functions throw InvalidArgument for parameters that are wrong for every shape and dtype.
#pragma once

#include <memory>
#include <string_view>

#include "formulas/formula.h"

namespace fanin::detail {

using FormulaPointer = std::shared_ptr<const Formula>;

FormulaPointer variance_scaling(double scale, std::string_view mode, std::string_view distribution, FanAxes axes);
FormulaPointer truncated_normal(double mean, double stddev, double lower, double upper);
FormulaPointer random_normal(double mean, double stddev);
FormulaPointer random_uniform(double minval, double maxval);
FormulaPointer constant(double value);
FormulaPointer identity(double gain);
FormulaPointer zeros();
FormulaPointer ones();

// VarianceScaling with parameters that the class fixes.
FormulaPointer he_normal(FanAxes axes);
FormulaPointer he_uniform(FanAxes axes);
FormulaPointer lecun_normal(FanAxes axes);
FormulaPointer lecun_uniform(FanAxes axes);
FormulaPointer glorot_normal(FanAxes axes);
FormulaPointer glorot_uniform(FanAxes axes);

}  // namespace fanin::detail
