// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "fanin/export.h"
#include "fanin/safetensors.h"

namespace fanin {

/// Another name of a tensor's memory.
struct Tie {
  std::string name;
  std::string to;  ///< the tensor's name
};

/// The outline of a specification (docs/model-spec.md) for tensors that are there already: names, shapes and dtypes,
/// those that differ only in numbers folded into captures, and a rule to fill in for each kind of name. Its layout is
/// PyTorch's, "OI". Throws InvalidArgument for a shape that no fill writes, and for a name with a {capture}.
FANIN_API std::string outline_of(const std::vector<StoredTensor>& tensors, const std::vector<Tie>& ties,
                                 std::string_view name, std::string_view source);

}  // namespace fanin
