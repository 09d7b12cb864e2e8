// SPDX-License-Identifier: Apache-2.0
#include "formulas/scheme.h"

#include <utility>

#include "base/text.h"
#include "fanin/error.h"

namespace fanin::detail {

namespace {

// The parameters that the class fixes, as in: scale=2, mode="fan_in".
std::string fixed_text(const Parameters& parameters) {
  std::string text;
  for (const Parameter& parameter : parameters) {
    if (!parameter.is_fixed) continue;
    const auto* number = std::get_if<double>(&parameter.value);
    text += (text.empty() ? "" : ", ") + std::string(parameter.name) + "=";
    text += number != nullptr ? to_text(*number) : '"' + std::string(std::get<std::string_view>(parameter.value)) + '"';
  }
  return text;
}

}  // namespace

Scheme::Scheme(const SchemeClass& scheme_class, Parameters parameters)
    : class_(&scheme_class), parameters_(std::move(parameters)) {
  class_->check(parameters_);
  if (class_->keeps_matrices) matrices_ = std::make_shared<MatrixStore>();
  for (const Parameter& parameter : parameters_) {
    if (parameter.name == "input_axes") axes_.input = std::get<AxisList>(parameter.value);
    if (parameter.name == "output_axes") axes_.output = std::get<AxisList>(parameter.value);
  }
}

std::shared_ptr<const Scheme> Scheme::with(Parameters parameters) const {
  auto changed = std::make_shared<const Scheme>(*class_, std::move(parameters));
  const std::string own = fixed_text(parameters_);
  if (fixed_text(changed->parameters_) == own) return changed;
  throw InvalidArgument(std::string(class_name()) + " has " + own +
                        ", and the config says otherwise; use VarianceScaling for other parameters");
}

}  // namespace fanin::detail
