// SPDX-License-Identifier: Apache-2.0
// Initializers by name and by configuration, as keras.initializers.get, deserialize and serialize.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "fanin/export.h"
#include "fanin/initializer.h"
#include "fanin/seed.h"

namespace fanin {

/// The initializer of that name with its default parameters: a class name ("HeNormal"), its snake case ("he_normal"),
/// one of Keras's aliases ("normal", "uniform", "one", "zero", "IdentityInitializer"), TF 2's names with V2
/// ("HeNormalV2", "he_normalV2"), alone or behind "keras.initializers.", "tf.keras.initializers." or
/// "tf.initializers.". Names are case-sensitive. Throws InvalidArgument for any other, with the nearest name. Those
/// without randomness ignore the seed.
FANIN_API Initializer make(std::string_view name, Seed seed = {});

/// From JSON text: a name in quotes, or an object with "class_name" and perhaps "config", as any Keras since TF 2.2
/// writes it (Keras 3's "module" and "registered_name", 3.15's axes, TF 1's "dtype", TF 2.2's functions whose
/// configuration is VarianceScaling's, SeedGenerator seeds). Infinity and NaN are read as Python writes them.
/// Throws InvalidArgument, for malformed JSON with the position.
FANIN_API Initializer deserialize(std::string_view json);

/// {"module": "keras.initializers", "class_name": ..., "config": ..., "registered_name": null} in Keras 3's form,
/// {"class_name": ..., "config": ...} in TF 2's, on one line. Keras 3's axes are written if they are set or were read:
/// Keras before 3.15 does not know them. A sequence's seed is its number in TF 2's form, as TF 2.7 meant it. Throws
/// InvalidArgument if the form cannot say it.
FANIN_API std::string serialize(const Initializer& initializer, ConfigForm form = ConfigForm::keras3);

/// The same initializer with other values for some of its configuration's keys, {"scale", "0.5"} say. A value is JSON;
/// text that is not JSON counts as a string: {"mode", "fan_out"}. Throws InvalidArgument as deserialize does.
FANIN_API Initializer with_parameters(const Initializer& initializer,
                                      const std::vector<std::pair<std::string, std::string>>& parameters);

/// The class names that make() knows.
FANIN_API std::vector<std::string> initializer_names();

}  // namespace fanin
