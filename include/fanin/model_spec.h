// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "fanin/dtype.h"
#include "fanin/export.h"
#include "fanin/fans.h"
#include "fanin/initializer.h"
#include "fanin/shape.h"

namespace fanin {

/// One tensor of a model, ready to be filled.
struct ModelTensor {
  std::string name;
  Shape shape;
  DType dtype;
  Layout layout;
  Initializer initializer;
};

struct ModelSpec {
  std::string name;
  std::vector<ModelTensor> tensors;       ///< in the order of the specification
  std::vector<std::string> unused_rules;  ///< patterns that match no tensor
};

/// Reads a model's specification, JSON text in the format of docs/model-spec.md. Each tensor gets the initializer of
/// the first rule whose pattern matches its name, with `seed` unless the rule has one. Throws InvalidArgument, which
/// names the rule or the tensor.
FANIN_API ModelSpec parse_model_spec(std::string_view json, std::uint64_t seed);

}  // namespace fanin
