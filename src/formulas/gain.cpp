// SPDX-License-Identifier: Apache-2.0
#include "fanin/gain.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <string>
#include <vector>

#include "base/fp_environment.h"
#include "base/text.h"
#include "fanin/error.h"

namespace fanin {

namespace {

constexpr std::array<std::string_view, 12> nonlinearities{
    "linear",           "conv1d",  "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d",
    "conv_transpose3d", "sigmoid", "tanh",   "relu",   "leaky_relu",       "selu"};

}  // namespace

std::string_view nonlinearity_named(std::string_view name) {
  const auto* const found = std::find(nonlinearities.begin(), nonlinearities.end(), name);
  if (found != nonlinearities.end()) return *found;
  const std::vector<std::string> names(nonlinearities.begin(), nonlinearities.end());
  throw InvalidArgument("Unsupported `nonlinearity` \"" + std::string(name) + "\", only " + detail::list_of(names) +
                        "." + detail::suggestion(name, names));
}

double calculate_gain(std::string_view nonlinearity, std::optional<double> parameter) {
  const std::string_view known = nonlinearity_named(nonlinearity);
  return detail::in_default_fp_environment([&] {
    if (known == "tanh") return 5.0 / 3;
    if (known == "relu") return std::sqrt(2.0);
    if (known == "selu") return 3.0 / 4;
    if (known != "leaky_relu") return 1.0;
    const double slope = parameter.value_or(0.01);
    if (std::isfinite(slope)) return std::sqrt(2.0 / (1 + slope * slope));
    throw InvalidArgument("The slope of leaky_relu must be finite. Received: " + detail::to_text(slope));
  });
}

}  // namespace fanin
