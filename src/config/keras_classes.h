// SPDX-License-Identifier: Apache-2.0
// Looks up the classes of initializers by name: Keras's and fanin's own. conventions.h has the other frameworks'.
#pragma once

#include <array>
#include <string_view>

#include "fanin/initializer.h"

namespace fanin::detail {

struct InitializerClass {
  std::string_view name;   // "HeNormal"; in TF 2 also "HeNormalV2"
  std::string_view snake;  // "he_normal"
  std::string_view alias;  // may be empty
  bool snake_v2;           // TF 2 also has "he_normalV2"
  bool is_keras;
  Initializer (*with_defaults)();
};

const std::array<InitializerClass, 23>& keras_classes();

// The class with this name in any of its spellings, alone, after a module's name, or after a convention's
// ("torch:kaiming_normal"). Throws InvalidArgument with the nearest name.
const InitializerClass& class_named(std::string_view name);

}  // namespace fanin::detail
