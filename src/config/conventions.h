// SPDX-License-Identifier: Apache-2.0
// Looks up the names that frameworks have for their initializers: "torch:kaiming_normal", "jax:he_normal",
// "keras:he_normal".
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "config/keras_classes.h"

namespace fanin::detail {

// The class of a name with a convention. Throws InvalidArgument, which lists the names of the convention, for others.
const InitializerClass& class_by_convention(std::string_view name);

// The names of a convention, without it. Throws InvalidArgument for an unknown convention.
std::vector<std::string> names_of_convention(std::string_view convention);

}  // namespace fanin::detail
