// SPDX-License-Identifier: Apache-2.0
#include "fanin/config.h"

#include <algorithm>
#include <charconv>
#include <string>
#include <system_error>
#include <utility>

#include "api/access.h"
#include "base/fp_environment.h"
#include "config/conventions.h"
#include "config/json_text.h"
#include "config/keras_classes.h"
#include "config/keras_json.h"
#include "fanin/initializers.h"
#include "formulas/expression.h"

namespace fanin {

namespace {

Initializer from_text(std::string_view class_name, std::string_view json) {
  return detail::read_config(class_name, detail::parse_json(json));
}

// The value of a formula without variables.
double formula_value(const std::string& key, const std::string& text) {
  try {
    return detail::in_default_fp_environment([&] { return detail::Expression(text).value({}); });
  } catch (const InvalidArgument& error) {
    throw InvalidArgument("Argument `" + key + "` must be a number or a formula. " + error.what());
  }
}

// The value of a parameter that stands in a text: JSON, a number that JSON spells otherwise, such as ".5" or "+1", a
// formula if the parameter is a number, or a string.
detail::Json value_of(const std::string& key, const std::string& text, bool is_number) {
  try {
    return detail::parse_json(text);
  } catch (const InvalidArgument&) {
  }
  const bool has_plus = text.size() > 1 && text[0] == '+' && text[1] != '-';
  const char* const begin = text.data() + (has_plus ? 1 : 0);
  const char* const end = text.data() + text.size();
  double number = 0;
  const auto result = std::from_chars(begin, end, number);
  const bool is_spelled = text.find_first_of("0123456789") != std::string::npos && result.ptr == end;
  if (!is_spelled) return is_number ? detail::Json(formula_value(key, text)) : detail::Json(text);
  if (result.ec == std::errc::result_out_of_range) {
    throw InvalidArgument("Argument `" + key + "` must be a number that binary64 can hold. Received: " + text);
  }
  return number;
}

}  // namespace

Initializer make(std::string_view name, Seed seed, std::string_view convention) {
  const std::string full = (convention.empty() ? "" : std::string(convention) + ":") + std::string(name);
  return detail::class_named(full).with_defaults().with_seed(std::move(seed));
}

Initializer deserialize(std::string_view json) { return detail::read_initializer(detail::parse_json(json)); }

std::string serialize(const Initializer& initializer, ConfigForm form) {
  return detail::dump_json(detail::serialized(initializer, form));
}

Initializer with_parameters(const Initializer& initializer,
                            const std::vector<std::pair<std::string, std::string>>& parameters) {
  detail::Json config = detail::config_of(initializer, ConfigForm::keras3);
  const detail::Parameters& known = detail::Access::scheme(initializer).parameters();
  // More keys than any class has parameters: the first ones are enough for read_config to refuse them.
  constexpr std::size_t most = 100;
  for (const auto& [key, text] : parameters) {
    if (key == "dtype") throw InvalidArgument("A dtype is the tensor's, not a parameter. Received: dtype=" + text);
    if (config.size() > most) break;
    const auto has_name = [&name = key](const detail::Parameter& parameter) { return parameter.name == name; };
    const auto meant = std::find_if(known.begin(), known.end(), has_name);
    config[key] = value_of(key, text, meant != known.end() && can_be_number(*meant));
  }
  const Initializer changed = detail::read_config(initializer.class_name(), config);
  const auto is_seed = [](const auto& parameter) { return parameter.first == "seed"; };
  if (std::any_of(parameters.begin(), parameters.end(), is_seed)) return changed;
  const Seed& seed = initializer.seed();
  if (seed.kind() != Seed::Kind::sequence) return changed.with_seed(seed);
  return changed.with_seed(Seed::sequence(seed.value(), seed.generator_name(), initializer.calls()));
}

std::vector<std::string> initializer_names() {
  std::vector<std::string> names;
  names.reserve(detail::keras_classes().size());
  for (const auto& c : detail::keras_classes()) names.emplace_back(c.name);
  return names;
}

std::vector<std::string> initializer_names(std::string_view convention) {
  return detail::names_of_convention(convention);
}

std::string Initializer::get_config(ConfigForm form) const { return detail::dump_json(detail::config_of(*this, form)); }

VarianceScaling VarianceScaling::from_config(std::string_view json) {
  return VarianceScaling(from_text("VarianceScaling", json));
}
HeNormal HeNormal::from_config(std::string_view json) { return HeNormal(from_text("HeNormal", json)); }
HeUniform HeUniform::from_config(std::string_view json) { return HeUniform(from_text("HeUniform", json)); }
LecunNormal LecunNormal::from_config(std::string_view json) { return LecunNormal(from_text("LecunNormal", json)); }
LecunUniform LecunUniform::from_config(std::string_view json) { return LecunUniform(from_text("LecunUniform", json)); }
GlorotNormal GlorotNormal::from_config(std::string_view json) { return GlorotNormal(from_text("GlorotNormal", json)); }
GlorotUniform GlorotUniform::from_config(std::string_view json) {
  return GlorotUniform(from_text("GlorotUniform", json));
}
TruncatedNormal TruncatedNormal::from_config(std::string_view json) {
  return TruncatedNormal(from_text("TruncatedNormal", json));
}
RandomNormal RandomNormal::from_config(std::string_view json) { return RandomNormal(from_text("RandomNormal", json)); }
RandomUniform RandomUniform::from_config(std::string_view json) {
  return RandomUniform(from_text("RandomUniform", json));
}
Constant Constant::from_config(std::string_view json) { return Constant(from_text("Constant", json)); }
Zeros Zeros::from_config(std::string_view json) { return Zeros(from_text("Zeros", json)); }
Ones Ones::from_config(std::string_view json) { return Ones(from_text("Ones", json)); }
Identity Identity::from_config(std::string_view json) { return Identity(from_text("Identity", json)); }
Orthogonal Orthogonal::from_config(std::string_view json) { return Orthogonal(from_text("Orthogonal", json)); }
SirenFirst SirenFirst::from_config(std::string_view json) { return SirenFirst(from_text("SirenFirst", json)); }
SirenHidden SirenHidden::from_config(std::string_view json) { return SirenHidden(from_text("SirenHidden", json)); }
Dirac Dirac::from_config(std::string_view json) { return Dirac(from_text("Dirac", json)); }
Bilinear Bilinear::from_config(std::string_view json) { return Bilinear(from_text("Bilinear", json)); }
ForgetGateBias ForgetGateBias::from_config(std::string_view json) {
  return ForgetGateBias(from_text("ForgetGateBias", json));
}
Sparse Sparse::from_config(std::string_view json) { return Sparse(from_text("Sparse", json)); }
STFT STFT::from_config(std::string_view json) { return STFT(from_text("STFT", json)); }
Formula Formula::from_config(std::string_view json) { return Formula(from_text("Formula", json)); }

}  // namespace fanin
