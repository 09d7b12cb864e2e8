// SPDX-License-Identifier: Apache-2.0
// Looks up Keras's classes by name.
#pragma once

#include <array>
#include <string_view>

#include "fanin/initializer.h"

namespace fanin::detail {

struct KerasClass {
  std::string_view name;   // "HeNormal"; in TF 2 also "HeNormalV2"
  std::string_view snake;  // "he_normal"
  std::string_view alias;  // may be empty
  bool snake_v2;           // TF 2 also has "he_normalV2"
  Initializer (*with_defaults)();
};

const std::array<KerasClass, 16>& keras_classes();

// The class with this name in any of its spellings, alone or after a module's name. Throws InvalidArgument with the
// nearest name.
const KerasClass& class_named(std::string_view name);

}  // namespace fanin::detail
