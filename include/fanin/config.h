// SPDX-License-Identifier: Apache-2.0
// Makes initializers from names and configurations, like keras.initializers.get, deserialize and serialize.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "fanin/export.h"
#include "fanin/initializer.h"
#include "fanin/seed.h"

namespace fanin {

/// The initializer of that name with its default parameters. A name is a class name ("HeNormal"), its snake case
/// ("he_normal"), one of Keras's aliases ("normal", "uniform", "one", "zero", "IdentityInitializer") or TF 2's name
/// with V2 ("HeNormalV2", "he_normalV2"), alone or after "keras.initializers.", "tf.keras.initializers." or
/// "tf.initializers.". Names are case-sensitive. Initializers without randomness ignore the seed. Throws
/// InvalidArgument for other names and suggests the nearest one.
///
/// After a convention, a name means what that framework means by it: "torch:kaiming_normal", "jax:he_normal",
/// "keras:he_normal". Distribution, truncation, the parameters, their names and defaults are the framework's, and so is
/// the layout of a kernel, unless the caller gives one. The convention may also be an argument of its own. For an
/// unknown name the message lists the convention's.
FANIN_API Initializer make(std::string_view name, Seed seed = {}, std::string_view convention = {});

/// Reads an initializer from JSON text: a name in quotes, or an object with "class_name" and optionally "config".
/// Accepts what any Keras since TF 2.2 writes: Keras 3's "module" and "registered_name", the axes of Keras 3.15, TF 1's
/// "dtype", TF 2.2's functions with the configuration of VarianceScaling, and SeedGenerator seeds. Infinity and NaN are
/// read as Python writes them. Throws InvalidArgument, with the position for malformed JSON.
FANIN_API Initializer deserialize(std::string_view json);

/// Writes an initializer on one line: {"module": "keras.initializers", "class_name": ..., "config": ...,
/// "registered_name": null} in Keras 3's form, {"class_name": ..., "config": ...} in TF 2's. Keras 3's axes are written
/// only if they are set or were read, because Keras before 3.15 does not know them. TF 2's form has a sequence's seed
/// as a plain number, which TF 2.7 reads as a sequence. Throws InvalidArgument if the form cannot express the
/// initializer.
FANIN_API std::string serialize(const Initializer& initializer, ConfigForm form = ConfigForm::keras3);

/// The same initializer with other values for some keys of its configuration, for example {"scale", "0.5"}. A value is
/// JSON; text that is not JSON is a formula where a number is wanted, {"gain", "calculate_gain(relu)"}, with the
/// operators and functions of docs/model-spec.md, else a string: {"mode", "fan_out"}. The seed stays, drawn or not, and
/// a sequence continues, unless "seed" is one of the keys. Throws InvalidArgument as deserialize does.
FANIN_API Initializer with_parameters(const Initializer& initializer,
                                      const std::vector<std::pair<std::string, std::string>>& parameters);

/// The class names that make() knows without a convention.
FANIN_API std::vector<std::string> initializer_names();

/// The names that make() knows after a convention, "keras", "torch" or "jax". Throws InvalidArgument for another one.
FANIN_API std::vector<std::string> initializer_names(std::string_view convention);

}  // namespace fanin
