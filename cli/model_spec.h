// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "fanin/fanin.hpp"

namespace fanin::tool {

// One tensor of a model, ready to be filled.
struct ModelTensor {
  std::string name;
  Shape shape;
  DType dtype;
  Layout layout;
  Initializer initializer;
};

struct ModelSpec {
  std::string name;
  std::vector<ModelTensor> tensors;       // in the order of the specification
  std::vector<std::string> unused_rules;  // patterns that match no tensor
};

// Reads a specification (docs/model-spec.md) and gives each tensor the initializer of the first rule whose pattern
// matches its name, with the given seed. Throws InvalidArgument, naming the place.
ModelSpec parse_model_spec(std::string_view json, std::uint64_t seed);

// Whether a glob (* any run of characters, ? one character) matches the whole name.
bool glob_matches(std::string_view pattern, std::string_view name);

}  // namespace fanin::tool
