// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <stdexcept>

#include "fanin/export.h"

namespace fanin {

/// An argument is not allowed. The message says what was received, what is allowed and what to do. Thrown before
/// anything is written.
class FANIN_API InvalidArgument : public std::invalid_argument {
 public:
  using std::invalid_argument::invalid_argument;
};

/// A CUDA device does not exist or reports an error, or this build has no CUDA back end.
class FANIN_API DeviceError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

}  // namespace fanin
