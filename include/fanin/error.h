// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <stdexcept>

#include "fanin/export.h"

namespace fanin {

/// What the caller gave is not allowed; the message says what was given, what is allowed and what to do.
/// Thrown before anything is written.
class FANIN_API InvalidArgument : public std::invalid_argument {
 public:
  using std::invalid_argument::invalid_argument;
};

/// There is no such device, or the CUDA back end is not part of this build.
class FANIN_API DeviceError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

}  // namespace fanin
