// SPDX-License-Identifier: Apache-2.0
// Initializers as JSON values, for the library's own sources; fanin/config.h is the public interface.
#pragma once

#include <string_view>

#include "config/json_text.h"
#include "fanin/initializer.h"

namespace fanin::detail {

// Reads a name or a serialized initializer. Throws InvalidArgument.
Initializer read_initializer(const Json& json);

// Reads the inner configuration of the named class. Throws InvalidArgument.
Initializer read_config(std::string_view class_name, const Json& json);

// Throw InvalidArgument if the form cannot express the initializer.
Json config_of(const Initializer& initializer, ConfigForm form);
Json serialized(const Initializer& initializer, ConfigForm form);

}  // namespace fanin::detail
