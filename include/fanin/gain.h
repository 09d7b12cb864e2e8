// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string_view>

#include "fanin/export.h"

namespace fanin {

/// PyTorch's calculate_gain, in binary64: 1 for "linear", "conv1d" to "conv3d", "conv_transpose1d" to
/// "conv_transpose3d" and "sigmoid"; 5 / 3 for "tanh"; sqrt(2) for "relu"; sqrt(2 / (1 + slope^2)) for "leaky_relu",
/// whose slope is the parameter (none: 0.01); 3 / 4 for "selu". Other nonlinearities ignore the parameter. Throws
/// InvalidArgument for other names and for a slope that is not finite.
FANIN_API double calculate_gain(std::string_view nonlinearity, std::optional<double> parameter = {});

/// The nonlinearity of this name as a literal that lives as long as the library. Throws InvalidArgument.
FANIN_API std::string_view nonlinearity_named(std::string_view name);

}  // namespace fanin
