// SPDX-License-Identifier: Apache-2.0
// Configurations against Keras 3.15.1's own (data/keras/keras_configs*.json, one file per back end), and TF 2's form,
// names, refusals and their texts.
#include <gtest/gtest.h>

#include <algorithm>
#include <cfenv>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/json_text.h"
#include "fanin/fanin.hpp"
#include "support/npy_file.h"
#include "support/test_support.h"

namespace {

using fanin::ConfigForm;
using fanin::deserialize;
using fanin::Distribution;
using fanin::FanAxes;
using fanin::Initializer;
using fanin::InvalidArgument;
using fanin::Seed;
using fanin::serialize;
using fanin::VarianceScaling;
using fanin::detail::dump_json;
using fanin::detail::Json;
using fanin::detail::number_of;
using fanin::detail::parse_json;
using fanin::test::expect_refused;
using fanin::test::RoundingMode;

// ---------------------------------------------------------------- helpers

// Compares as Python's == does: numbers by value (1 == 1.0 == True), objects in any order of keys.
bool python_equal(const Json& a, const Json& b) {
  if (a.is_number_integer() && b.is_number_integer()) return a == b;  // exact, because some do not fit a double
  double x = 0;
  double y = 0;
  if (number_of(a, x, true) && number_of(b, y, true)) return x == y || (std::isnan(x) && std::isnan(y));
  if (a.type() != b.type() || a.size() != b.size()) return false;
  if (a.is_array()) return std::equal(a.begin(), a.end(), b.begin(), python_equal);
  if (!a.is_object()) return a == b;
  return std::all_of(a.items().begin(), a.items().end(), [&](const auto& item) {
    return b.contains(item.key()) && python_equal(item.value(), b[item.key()]);
  });
}

testing::AssertionResult same(const Json& got, const Json& expected) {
  if (python_equal(got, expected)) return testing::AssertionSuccess();
  return testing::AssertionFailure() << "got " << dump_json(got) << "\nexpected " << dump_json(expected);
}

TEST(PythonEqual, ByValue) {
  const auto equal = [](const char* a, const char* b) { return python_equal(parse_json(a), parse_json(b)); };
  EXPECT_TRUE(equal("1", "1.0"));
  EXPECT_TRUE(equal("true", "1.0"));
  EXPECT_TRUE(equal("[0, Infinity]", "[false, Infinity]"));
  EXPECT_TRUE(equal(R"({"a": 1, "b": null})", R"({"b": null, "a": 1.0})"));
  EXPECT_FALSE(equal("1", "2"));
  EXPECT_FALSE(equal("18446744073709551615", "18446744073709551614"));
  EXPECT_FALSE(equal("0", "null"));
  EXPECT_FALSE(equal("1", "\"1\""));
  EXPECT_FALSE(equal("[1]", "[1, 2]"));
  EXPECT_FALSE(equal(R"({"a": 1})", R"({"b": 1})"));
  EXPECT_FALSE(equal("Infinity", "-Infinity"));
}

// The class-level from_config of each class.
template <class Class>
Initializer read_as(std::string_view json) {
  return Class::from_config(json);
}
const std::map<std::string, Initializer (*)(std::string_view)> from_config{
    {"HeNormal", read_as<fanin::HeNormal>},
    {"HeUniform", read_as<fanin::HeUniform>},
    {"LecunNormal", read_as<fanin::LecunNormal>},
    {"LecunUniform", read_as<fanin::LecunUniform>},
    {"GlorotNormal", read_as<fanin::GlorotNormal>},
    {"GlorotUniform", read_as<fanin::GlorotUniform>},
    {"VarianceScaling", read_as<fanin::VarianceScaling>},
    {"TruncatedNormal", read_as<fanin::TruncatedNormal>},
    {"RandomNormal", read_as<fanin::RandomNormal>},
    {"RandomUniform", read_as<fanin::RandomUniform>},
    {"Constant", read_as<fanin::Constant>},
    {"Zeros", read_as<fanin::Zeros>},
    {"Ones", read_as<fanin::Ones>},
    {"Identity", read_as<fanin::Identity>},
    {"Orthogonal", read_as<fanin::Orthogonal>},
    {"STFT", read_as<fanin::STFT>},
};

// The same for classes with a scale, a mode and a distribution.
template <class Class>
VarianceScaling scaling_as(std::string_view json) {
  return Class::from_config(json);
}
const std::map<std::string, VarianceScaling (*)(std::string_view)> scaling_from_config{
    {"HeNormal", scaling_as<fanin::HeNormal>},         {"HeUniform", scaling_as<fanin::HeUniform>},
    {"LecunNormal", scaling_as<fanin::LecunNormal>},   {"LecunUniform", scaling_as<fanin::LecunUniform>},
    {"GlorotNormal", scaling_as<fanin::GlorotNormal>}, {"GlorotUniform", scaling_as<fanin::GlorotUniform>},
    {"VarianceScaling", scaling_as<VarianceScaling>},
};

Json config_of(const Initializer& initializer, ConfigForm form = ConfigForm::keras3) {
  return parse_json(initializer.get_config(form));
}

bool has_negative_seed(const Json& config) {
  return config.contains("seed") && config["seed"].is_number_integer() && config["seed"] < 0;
}

// The configuration that fanin writes if no axes are set: Keras before 3.15 does not know them.
Json without_null_axes(Json config) {
  const bool set = !config.value("input_axes", Json()).is_null() || !config.value("output_axes", Json()).is_null();
  if (!set) {
    config.erase("input_axes");
    config.erase("output_axes");
  }
  return config;
}

// ---------------------------------------------------------------- Keras's own instances

class KerasFile : public testing::TestWithParam<const char*> {
 protected:
  KerasFile() : file_(parse_json(fanin::test::read_text(std::string(FANIN_TEST_DATA "/keras/") + GetParam()))) {}

  // The instances of fanin's classes.
  std::vector<Json> instances() const {
    std::vector<Json> ours;
    for (const Json& instance : file_["instances"]) {
      if (from_config.count(instance["cls"].get<std::string>()) > 0) ours.push_back(instance);
    }
    return ours;
  }

  Json file_;
};

INSTANTIATE_TEST_SUITE_P(Backends, KerasFile,
                         testing::Values("keras_configs.json", "keras_configs_tensorflow.json",
                                         "keras_configs_torch.json"));

TEST_P(KerasFile, ReadAndWrittenAgain) {
  std::size_t read = 0;
  std::size_t refused = 0;
  for (const Json& instance : instances()) {
    const std::string serialized = dump_json(instance["serialize"]);
    const std::string config = dump_json(instance["get_config"]);
    const auto& class_from_config = from_config.at(instance["cls"].get<std::string>());
    SCOPED_TRACE(serialized);
    if (has_negative_seed(instance["get_config"])) {
      // Keras accepts these and fails in the call (JAX, NumPy) or wraps them. fanin's message says what to write
      // instead.
      expect_refused([&] { deserialize(serialized); }, {"seed=-1", "18446744073709551615"});
      expect_refused([&] { class_from_config(config); }, {"seed=-1", "18446744073709551615"});
      ++refused;
      continue;
    }
    const Initializer whole = deserialize(serialized);
    EXPECT_EQ(whole.class_name(), instance["cls"].get<std::string>());
    EXPECT_TRUE(same(parse_json(serialize(whole)), instance["serialize"]));
    EXPECT_TRUE(same(config_of(whole), instance["get_config"]));
    const Initializer inner = class_from_config(config);
    EXPECT_TRUE(same(config_of(inner), instance["get_config"]));
    EXPECT_TRUE(same(parse_json(serialize(inner)), instance["serialize"]));
    EXPECT_EQ(serialize(deserialize(serialize(whole))), serialize(whole));
    ++read;
  }
  EXPECT_EQ(read, 99u);
  EXPECT_EQ(refused, 2u);
}

// ---------------------------------------------------------------- Keras's keyword arguments

Seed seed_of(const Json& arguments) {
  const Json seed = arguments.value("seed", Json());
  if (seed.is_null()) return {};
  if (seed.is_boolean()) return {seed.get<bool>()};
  if (seed.is_number()) return {seed.get<std::uint64_t>()};
  return Seed::sequence(seed["config"]["seed"].get<std::uint64_t>(), seed["config"]["name"].get<std::string>());
}

FanAxes axes_of(const Json& arguments) {
  const auto list = [&](const char* key) -> std::optional<std::vector<std::int64_t>> {
    if (!arguments.contains(key) || arguments[key].is_null()) return std::nullopt;
    return arguments[key].get<std::vector<std::int64_t>>();
  };
  return {list("input_axes"), list("output_axes")};
}

double number(const Json& arguments, const char* key, double otherwise) {
  if (!arguments.contains(key)) return otherwise;
  double value = 0;
  EXPECT_TRUE(number_of(arguments[key], value, true)) << key;
  return value;
}

// Calls the constructor with these keyword arguments.
Initializer constructed(const std::string& name, const Json& arguments) {
  const Seed seed = seed_of(arguments);
  const FanAxes axes = axes_of(arguments);
  if (name == "HeNormal") return fanin::HeNormal(seed, axes);
  if (name == "HeUniform") return fanin::HeUniform(seed, axes);
  if (name == "LecunNormal") return fanin::LecunNormal(seed, axes);
  if (name == "LecunUniform") return fanin::LecunUniform(seed, axes);
  if (name == "GlorotNormal") return fanin::GlorotNormal(seed, axes);
  if (name == "GlorotUniform") return fanin::GlorotUniform(seed, axes);
  if (name == "VarianceScaling") {
    return VarianceScaling(number(arguments, "scale", 1.0), arguments.value("mode", "fan_in"),
                           arguments.value("distribution", "truncated_normal"), seed, axes);
  }
  const double mean = number(arguments, "mean", 0.0);
  const double stddev = number(arguments, "stddev", 0.05);
  if (name == "TruncatedNormal") return fanin::TruncatedNormal(mean, stddev, seed);
  if (name == "RandomNormal") return fanin::RandomNormal(mean, stddev, seed);
  if (name == "RandomUniform") {
    return fanin::RandomUniform(number(arguments, "minval", -0.05), number(arguments, "maxval", 0.05), seed);
  }
  if (name == "Constant") return fanin::Constant(number(arguments, "value", 0.0));
  if (name == "Identity") return fanin::Identity(number(arguments, "gain", 1.0));
  if (name == "Orthogonal") return fanin::Orthogonal(number(arguments, "gain", 1.0), seed);
  if (name == "Zeros") return fanin::Zeros();
  if (name == "STFT") {
    const auto text = [&](const char* key, const char* usual) -> std::optional<std::string> {
      const Json value = arguments.value(key, Json(usual));
      return value.is_null() ? std::nullopt : std::optional<std::string>(value.get<std::string>());
    };
    return fanin::STFT(*text("side", "real"), text("window", "hann"), text("scaling", "density"),
                       arguments.value("periodic", false));
  }
  return fanin::Ones();
}

TEST_P(KerasFile, ConstructedFromTheSameArguments) {
  std::size_t compared = 0;
  for (const Json& instance : instances()) {
    const auto name = instance["cls"].get<std::string>();
    Json arguments = instance["kwargs"];
    SCOPED_TRACE(name + dump_json(arguments));
    Json expected = without_null_axes(instance["get_config"]);
    for (auto& argument : arguments.items()) {
      // For values that JSON does not have, tuples and SeedGenerator objects, the file has Python's repr. The config
      // has their JSON.
      const bool repr = argument.value().is_string() && argument.value().get<std::string>().find_first_of("<(") == 0;
      if (repr) argument.value() = expected[argument.key()];
    }
    if (has_negative_seed(expected)) continue;  // refused; tested above
    if (arguments.contains("value") && !expected["value"].is_number() && !expected["value"].is_boolean() &&
        arguments["value"] != parse_json("Infinity")) {
      continue;  // arrays, which no constructor here takes
    }
    // Keras's Identity loses its gain, fanin's does not.
    if (name == "Identity" && arguments.contains("gain")) expected["gain"] = arguments["gain"];
    EXPECT_TRUE(same(config_of(constructed(name, arguments)), expected));
    ++compared;
  }
  EXPECT_EQ(compared, 97u);
}

// The attributes of the object in Keras.
TEST_P(KerasFile, MeansTheSameParameters) {
  for (const Json& instance : instances()) {
    const auto name = instance["cls"].get<std::string>();
    const std::string config = dump_json(instance["get_config"]);
    const Json& attributes = instance["attrs"];
    if (has_negative_seed(instance["get_config"])) continue;
    SCOPED_TRACE(name + " " + config);
    const Initializer initializer = from_config.at(name)(config);
    if (scaling_from_config.count(name) > 0) {
      const VarianceScaling scaling = scaling_from_config.at(name)(config);
      EXPECT_EQ(scaling.scale(), attributes["scale"].get<double>());
      EXPECT_EQ(scaling.mode(), attributes["mode"].get<std::string>());
      EXPECT_EQ(scaling.distribution(), attributes["distribution"].get<std::string>());
      EXPECT_EQ(scaling.axes().input, axes_of(instance["get_config"]).input);
      EXPECT_EQ(scaling.axes().output, axes_of(instance["get_config"]).output);
    } else if (name == "RandomNormal" || name == "TruncatedNormal") {
      const Distribution d = initializer.describe({2, 2}).distribution;
      EXPECT_EQ(d.mean, attributes["mean"].get<double>());
      EXPECT_EQ(d.stddev, attributes["stddev"].get<double>());
    } else if (name == "RandomUniform") {
      const Distribution d = initializer.describe({2, 2}).distribution;
      EXPECT_EQ(d.low, attributes["minval"].get<double>());
      EXPECT_EQ(d.high, attributes["maxval"].get<double>());
    } else if (double value = 0; name == "Constant" && number_of(attributes["value"], value, true)) {
      EXPECT_EQ(initializer.describe({2, 2}).distribution.value, value);
    } else if (name == "Constant") {
      EXPECT_THROW(initializer.describe({2, 2}), InvalidArgument);  // an array is kept, but cannot be filled
    }
    const Json seed = instance["get_config"].value("seed", Json());
    if (seed.is_object()) {
      EXPECT_EQ(initializer.seed().kind(), Seed::Kind::sequence);
      EXPECT_EQ(initializer.seed().value(), seed["config"]["seed"].get<std::uint64_t>());
      EXPECT_EQ(initializer.seed().generator_name(), seed["config"]["name"].get<std::string>());
    } else if (!seed.is_null()) {
      EXPECT_EQ(initializer.seed().kind(), Seed::Kind::fixed);
      EXPECT_EQ(initializer.seed().value(), seed.is_boolean() ? 1u : seed.get<std::uint64_t>());
    } else if (instance["get_config"].contains("seed")) {
      EXPECT_EQ(initializer.seed().kind(), Seed::Kind::none);
    }
  }
}

// ---------------------------------------------------------------- TF 2's form

TEST_P(KerasFile, Tf2FormReadAndWrittenAgain) {
  std::size_t written = 0;
  std::size_t refused = 0;
  for (const Json& instance : instances()) {
    if (has_negative_seed(instance["get_config"])) continue;
    SCOPED_TRACE(dump_json(instance["serialize"]));
    const Initializer initializer = deserialize(dump_json(instance["serialize"]));
    Json expected = without_null_axes(instance["get_config"]);
    if (expected.contains("input_axes") || expected.contains("output_axes")) {
      expect_refused([&] { serialize(initializer, ConfigForm::tf2); },
                     {"input_axes", instance["cls"].get<std::string>()});
      expect_refused([&] { initializer.get_config(ConfigForm::tf2); }, {"input_axes"});
      ++refused;
      continue;
    }
    if (expected.contains("seed") && expected["seed"].is_object())
      expected["seed"] = expected["seed"]["config"]["seed"];
    if (instance["cls"] == "Identity") expected["gain"] = 1.0;  // TF 2 keeps it
    const std::string text = serialize(initializer, ConfigForm::tf2);
    const Json object = parse_json(text);
    EXPECT_TRUE(same(object, {{"class_name", instance["cls"]}, {"config", expected}}));
    EXPECT_EQ(serialize(deserialize(text), ConfigForm::tf2), text);
    EXPECT_TRUE(same(
        config_of(from_config.at(instance["cls"].get<std::string>())(dump_json(object["config"])), ConfigForm::tf2),
        expected));
    ++written;
  }
  EXPECT_EQ(written, 90u);
  EXPECT_EQ(refused, 9u);
}

// The texts of a default object, keys in the order of Keras 3 and of Keras 2.3 to 2.15.
TEST(Forms, KeysInKerasOrder) {
  struct Default {
    const char* class_name;
    const char* keras3;
    const char* tf2;
  };
  const char* const seed = R"({"seed": null})";
  const Default defaults[] = {
      {"HeNormal", seed, seed},
      {"HeUniform", seed, seed},
      {"LecunNormal", seed, seed},
      {"LecunUniform", seed, seed},
      {"GlorotNormal", seed, seed},
      {"GlorotUniform", seed, seed},
      {"VarianceScaling", R"({"seed": null, "scale": 1.0, "mode": "fan_in", "distribution": "truncated_normal"})",
       R"({"scale": 1.0, "mode": "fan_in", "distribution": "truncated_normal", "seed": null})"},
      {"TruncatedNormal", R"({"seed": null, "mean": 0.0, "stddev": 0.05})",
       R"({"mean": 0.0, "stddev": 0.05, "seed": null})"},
      {"RandomNormal", R"({"seed": null, "mean": 0.0, "stddev": 0.05})",
       R"({"mean": 0.0, "stddev": 0.05, "seed": null})"},
      {"RandomUniform", R"({"seed": null, "minval": -0.05, "maxval": 0.05})",
       R"({"minval": -0.05, "maxval": 0.05, "seed": null})"},
      {"Constant", R"({"value": 0.0})", R"({"value": 0.0})"},
      {"Zeros", "{}", "{}"},
      {"Ones", "{}", "{}"},
      {"Identity", "{}", R"({"gain": 1.0})"},
      {"Orthogonal", R"({"seed": null, "gain": 1.0})", R"({"gain": 1.0, "seed": null})"},
      {"STFT", R"({"side": "real", "window": "hann", "periodic": false, "scaling": "density"})",
       R"({"side": "real", "window": "hann", "periodic": false, "scaling": "density"})"},
  };
  for (const Default& d : defaults) {
    SCOPED_TRACE(d.class_name);
    const Initializer initializer = from_config.at(d.class_name)("{}");
    // dump() keeps the order of keys, so this compares texts, not objects.
    EXPECT_EQ(initializer.get_config(), dump_json(parse_json(d.keras3)));
    EXPECT_EQ(initializer.get_config(ConfigForm::tf2), dump_json(parse_json(d.tf2)));
    const std::string name = d.class_name;
    EXPECT_EQ(serialize(initializer),
              dump_json(parse_json(R"({"module": "keras.initializers", "class_name": ")" + name + R"(", "config": )" +
                                   d.keras3 + R"(, "registered_name": null})")));
    EXPECT_EQ(serialize(initializer, ConfigForm::tf2),
              dump_json(parse_json(R"({"class_name": ")" + name + R"(", "config": )" + d.tf2 + "}")));
    EXPECT_EQ(serialize(initializer).find('\n'), std::string::npos);
  }
  EXPECT_EQ(std::size(defaults), from_config.size());
}

TEST(Forms, AxesAreKeptAsTheyWereGiven) {
  const auto again = [](const std::string& config) { return fanin::HeNormal::from_config(config).get_config(); };
  for (const char* config :
       {R"({"seed":1})", R"({"seed":1,"input_axes":null,"output_axes":null})",
        R"({"seed":1,"input_axes":[0],"output_axes":null})", R"({"seed":1,"input_axes":[0],"output_axes":[-1,2]})",
        R"({"seed":1,"input_axes":[],"output_axes":[]})"}) {
    EXPECT_EQ(again(config), config);
  }
  // No Keras writes only one of the keys, so fanin writes both.
  EXPECT_EQ(again(R"({"seed":1,"output_axes":[1]})"), R"({"seed":1,"input_axes":null,"output_axes":[1]})");
  EXPECT_EQ(fanin::HeNormal(1).get_config(), R"({"seed":1})");
  EXPECT_EQ(fanin::HeNormal(1, {{{0}}, std::nullopt}).get_config(),
            R"({"seed":1,"input_axes":[0],"output_axes":null})");
}

TEST(Forms, SequenceSeedsAreSeedGenerators) {
  const std::string generator =
      R"({"module":"keras.random","class_name":"SeedGenerator","config":{"seed":7,"name":"seed_generator"},)"
      R"("registered_name":null})";
  const std::string config = R"({"seed":)" + generator + "}";
  EXPECT_EQ(fanin::HeNormal(Seed::sequence(7)).get_config(), config);
  EXPECT_EQ(fanin::HeNormal::from_config(config).get_config(), config);
  EXPECT_EQ(fanin::HeNormal(Seed::sequence(7)).get_config(ConfigForm::tf2), R"({"seed":7})");
  const auto seed = [](const std::string& text) {
    return fanin::HeNormal::from_config(R"({"seed":)" + text + "}").seed();
  };
  EXPECT_EQ(seed(R"({"class_name":"SeedGenerator","config":{"seed":9}})").kind(), Seed::Kind::sequence);
  EXPECT_EQ(seed(R"({"class_name":"SeedGenerator","config":{"seed":9}})").value(), 9u);
  EXPECT_EQ(seed(R"({"class_name":"SeedGenerator","config":{"seed":9,"name":"gen_3"}})").generator_name(), "gen_3");
  EXPECT_EQ(seed(R"({"class_name":"SeedGenerator","config":{"seed":18446744073709551615}})").value(),
            ~std::uint64_t{0});
  for (const char* bad :
       {R"({})", R"({"class_name":"SeedGenerator"})", R"({"class_name":"SeedGenerator","config":{}})",
        R"({"class_name":"SeedGenerator","config":null})", R"({"class_name":"Seeds","config":{"seed":1}})",
        R"({"class_name":"SeedGenerator","config":{"seed":1.5}})",
        R"({"class_name":"SeedGenerator","config":{"seed":-1}})",
        R"({"class_name":"SeedGenerator","config":{"seed":1,"name":null}})",
        R"({"class_name":"SeedGenerator","config":{"seed":{"class_name":"SeedGenerator","config":{"seed":1}}}})"}) {
    SCOPED_TRACE(bad);
    EXPECT_THROW(seed(bad), InvalidArgument);
  }
}

TEST(Forms, DrawnSeedsAreNull) {
  const fanin::RandomNormal drawn(0, 1);
  EXPECT_EQ(drawn.get_config(), R"({"seed":null,"mean":0.0,"stddev":1.0})");
  EXPECT_EQ(drawn.get_config(ConfigForm::tf2), R"({"mean":0.0,"stddev":1.0,"seed":null})");
}

TEST(Forms, LargestSeed) {
  const std::string config = R"({"seed":18446744073709551615})";
  EXPECT_EQ(fanin::HeNormal::from_config(config).seed().value(), std::numeric_limits<std::uint64_t>::max());
  EXPECT_EQ(fanin::HeNormal::from_config(config).get_config(), config);
  EXPECT_EQ(fanin::HeNormal::from_config(config).get_config(ConfigForm::tf2), config);
}

TEST(Forms, TruncatedNormalWithOtherBounds) {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  const fanin::TruncatedNormal half(0, 1, 3, 0, infinity);
  const std::string config = R"({"seed":3,"mean":0.0,"stddev":1.0,"lower":0.0,"upper":null})";
  EXPECT_EQ(half.get_config(), config);
  const Initializer again = fanin::TruncatedNormal::from_config(config);
  EXPECT_EQ(again.get_config(), config);
  EXPECT_EQ(again.describe({2}).distribution.lower, 0.0);
  EXPECT_EQ(again.describe({2}).distribution.upper, infinity);
  EXPECT_EQ(fanin::TruncatedNormal(0, 1, 3, -2, 2).get_config(), R"({"seed":3,"mean":0.0,"stddev":1.0})");
  EXPECT_EQ(fanin::TruncatedNormal(0, 1, 3, -2, 3).get_config(),
            R"({"seed":3,"mean":0.0,"stddev":1.0,"lower":-2.0,"upper":3.0})");
}

TEST(Forms, VarianceScalingWithBounds) {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  const VarianceScaling olmo(1, "fan_in", "normal", 3, {}, -3, 3);
  const std::string config =
      R"({"seed":3,"scale":1.0,"mode":"fan_in","distribution":"truncated_normal","lower":-3.0,"upper":3.0})";
  EXPECT_EQ(olmo.get_config(), config);
  const VarianceScaling again = VarianceScaling::from_config(config);
  EXPECT_EQ(again.get_config(), config);
  EXPECT_EQ(again.lower(), -3.0);
  EXPECT_EQ(again.upper(), 3.0);
  const fanin::Distribution d = again.describe({64, 8}).distribution;
  EXPECT_EQ(d.stddev, 0.125);  // sqrt(1 / 64), not corrected
  EXPECT_EQ(d.lower, -3.0);
  EXPECT_EQ(d.upper, 3.0);
  EXPECT_EQ(again.describe({64, 8}).derivation,
            "stddev = sqrt(scale / fan_in) = sqrt(1 / 64) = 0.125, cut at -3 and 3 stddev");
  // Stated bounds of 2 are as little corrected as others; without any, Keras's correction applies.
  EXPECT_EQ(VarianceScaling(1, "fan_in", "normal", 3, {}, -2, 2).describe({64, 8}).distribution.stddev, 0.125);
  EXPECT_EQ(VarianceScaling(1, "fan_in", "normal", 3).describe({64, 8}).distribution.stddev,
            0.125 / 0.87962566103423978);
  EXPECT_EQ(VarianceScaling(1, "fan_in", "normal", 3).lower(), std::nullopt);
  EXPECT_EQ(VarianceScaling::from_config(R"({"lower": null, "upper": null, "seed": 3})").get_config(),
            R"({"seed":3,"scale":1.0,"mode":"fan_in","distribution":"truncated_normal"})");
  const VarianceScaling half(1, "fan_in", "normal", 3, {}, 0, infinity);
  EXPECT_EQ(VarianceScaling::from_config(half.get_config()).upper(), infinity);
  EXPECT_EQ(fanin::HeNormal(1).lower(), std::nullopt);
  EXPECT_THROW(fanin::HeNormal::from_config(R"({"lower": -3, "upper": 3})"), InvalidArgument);
}

// Values that Keras accepts but no fill can write stay in the configuration.
TEST(Forms, ConstantsOfAnyKind) {
  for (const char* value :
       {"Infinity", "-Infinity", "NaN", "1", "true", "false", "-0.0", "[1.0,2.0]", "[[Infinity],[NaN]]",
        R"({"class_name":"__numpy__","config":{"value":[0.0],"dtype":"float64"}})"}) {
    const std::string config = std::string(R"({"value":)") + value + "}";
    EXPECT_EQ(fanin::Constant::from_config(config).get_config(), config);
  }
  EXPECT_EQ(fanin::Constant(-std::numeric_limits<double>::infinity()).get_config(), R"({"value":-Infinity})");
  EXPECT_EQ(fanin::Constant(std::nan("")).get_config(), R"({"value":NaN})");
}

// ---------------------------------------------------------------- outer forms and versions

std::string class_of(const std::string& json) { return std::string(deserialize(json).class_name()); }

TEST(OuterForm, ConfigMayBeMissingOrNull) {
  for (const char* json :
       {R"({"class_name": "HeNormal"})", R"({"class_name": "HeNormal", "config": null})",
        R"({"class_name": "HeNormal", "config": {}})", R"({"class_name": "he_normal"})",
        R"({"class_name": "HeNormalV2", "config": {"seed": null}})",
        R"({"class_name": "tf.keras.initializers.he_normal"})",
        R"({"class_name": "HeNormal", "config": {"seed": null}, "shared_object_id": 3})",
        R"({"module": "builtins", "class_name": "HeNormal", "config": {}, "registered_name": "HeNormal"})",
        R"({"module": null, "class_name": "HeNormal"})", R"("he_normal")", R"( "HeNormal" )"}) {
    EXPECT_EQ(parse_json(serialize(deserialize(json))),
              parse_json(R"({"module": "keras.initializers", "class_name": "HeNormal", "config": {"seed": null},
                             "registered_name": null})"))
        << json;
  }
  EXPECT_EQ(fanin::HeNormal::from_config("null").get_config(), R"({"seed":null})");
}

// Keras 2 writes {"class_name": ..., "config": ...} with only these keys.
TEST(OuterForm, SharedObjectIdIsNotWritten) {
  const std::string plain = R"({"class_name":"HeNormal","config":{"seed":1}})";
  const std::string shared = R"({"class_name":"HeNormal","config":{"seed":1},"shared_object_id":140})";
  EXPECT_EQ(serialize(deserialize(shared), ConfigForm::tf2), plain);
}

// TF 2.2's he_uniform is a function that returns a VarianceScaling, whose configuration has four keys. Under the name
// HeUniform these four keys are accepted if they have HeUniform's values.
TEST(OuterForm, Tf22Functions) {
  const std::string four = R"({"scale": 2.0, "mode": "fan_in", "distribution": "uniform", "seed": 5})";
  const Initializer scaling = deserialize(R"({"class_name": "VarianceScaling", "config": )" + four + "}");
  EXPECT_EQ(scaling.class_name(), "VarianceScaling");
  const Initializer named = deserialize(R"({"class_name": "he_uniform", "config": )" + four + "}");
  EXPECT_EQ(named.class_name(), "HeUniform");
  EXPECT_EQ(fanin::HeUniform::from_config(four).get_config(), R"({"seed":5})");
  for (const Initializer& initializer : {scaling, named}) {
    EXPECT_EQ(initializer.seed().value(), 5u);
    EXPECT_EQ(initializer.describe({3, 4}).distribution.high, fanin::HeUniform(5).describe({3, 4}).distribution.high);
  }
  const char* const others[] = {R"({"scale": 1.0, "mode": "fan_in", "distribution": "uniform"})",
                                R"({"scale": 2.0, "mode": "fan_out", "distribution": "uniform"})",
                                R"({"scale": 2.0, "mode": "fan_in", "distribution": "truncated_normal"})"};
  for (const char* other : others) {
    expect_refused([&] { fanin::HeUniform::from_config(other); }, {"HeUniform", "scale", "VarianceScaling"});
  }
  // TF 2.2 always writes all four; fewer are unknown keys.
  expect_refused([&] { fanin::HeUniform::from_config(R"({"scale": 2.0})"); }, {"HeUniform", "\"scale\""});
}

TEST(OuterForm, Tf1Dtype) {
  EXPECT_EQ(fanin::HeNormal::from_config(R"({"seed": 1, "dtype": "float32"})").get_config(), R"({"seed":1})");
  EXPECT_EQ(fanin::Zeros::from_config(R"({"dtype": "float32"})").get_config(), "{}");
  EXPECT_EQ(class_of(R"({"class_name": "VarianceScaling", "config": {"scale": 2.0, "mode": "fan_in",
                        "distribution": "normal", "seed": null, "dtype": "float32"}})"),
            "VarianceScaling");
}

TEST(OuterForm, Refusals) {
  struct Case {
    const char* json;
    const char* part;
  };
  const Case cases[] = {
      {"{}", "class_name"},
      {R"({"config": {}})", "class_name"},
      {R"({"class_name": null})", "\"class_name\" must be a string"},
      {R"({"class_name": 3})", "\"class_name\" must be a string"},
      {R"({"class_name": ["HeNormal"]})", "\"class_name\" must be a string"},
      {R"({"class_name": "HeNormal", "config": []})", "must be an object"},
      {R"({"class_name": "HeNormal", "config": "{}"})", "must be an object"},
      {R"({"class_name": "HeNormal", "config": 1})", "must be an object"},
      {R"({"class_name": "HeNormal", "conf": {}})", "Did you mean \"config\"?"},
      {R"({"class_name": "HeNormal", "seed": 1})", "\"seed\""},
      {R"({"class_name": "nope", "config": {}})", "nope"},
      {R"({"class_name": "STFT", "config": {"side": "left"}})", "`side`"},
      {"null", "null"},
      {"true", "true"},
      {"3.0", "3.0"},
      {"NaN", "NaN"},
      {"[]", "[]"},
      {R"(["HeNormal"])", "HeNormal"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.json);
    expect_refused([&] { deserialize(c.json); }, {c.part});
  }
  // from_config takes the inner object.
  EXPECT_THROW(fanin::HeNormal::from_config(R"("he_normal")"), InvalidArgument);
  expect_refused([] { fanin::HeNormal::from_config(R"({"class_name": "HeNormal", "config": {}})"); }, {"class_name"});
}

// ---------------------------------------------------------------- names

TEST_P(KerasFile, NamesThatKerasAccepts) {
  std::size_t accepted = 0;
  for (const auto& item : file_["get_ok"].items()) {
    const auto class_name = item.value().get<std::string>();
    SCOPED_TRACE(item.key());
    if (from_config.count(class_name) == 0) {  // the base class
      EXPECT_THROW(fanin::make(item.key()), InvalidArgument);
      continue;
    }
    EXPECT_EQ(fanin::make(item.key()).class_name(), class_name);
    EXPECT_EQ(class_of('"' + item.key() + '"'), class_name);
    EXPECT_EQ(class_of(R"({"class_name": ")" + item.key() + R"("})"), class_name);
    ++accepted;
  }
  EXPECT_EQ(accepted, 37u);
}

// A Python literal as JSON, if JSON has it.
std::optional<std::string> json_of_python(std::string literal) {
  if (literal.empty() || std::string("(<b").find(literal[0]) != std::string::npos || literal.find("array") == 0) {
    return std::nullopt;
  }
  std::replace(literal.begin(), literal.end(), '\'', '"');
  for (const auto& [python, json] : {std::pair{"None", "null"}, {"True", "true"}, {"False", "false"}}) {
    for (std::size_t at; (at = literal.find(python)) != std::string::npos;)
      literal.replace(at, std::strlen(python), json);
  }
  return literal;
}

TEST_P(KerasFile, IdentifiersThatKerasRefuses) {
  // Keras 3 refuses these names, but fanin accepts them by design: TF 2's V2 names, dotted names, and Constant with its
  // default.
  const std::vector<std::string> ours{"\"RandomNormalV2\"", "\"keras.initializers.Zeros\"", "Constant", "constant"};
  std::size_t refused = 0;
  std::size_t accepted = 0;
  for (const Json& row : file_["get_bad"]) {
    const auto json = json_of_python(row["identifier"].get<std::string>());
    SCOPED_TRACE(row["identifier"].get<std::string>());
    if (!json || std::find(ours.begin(), ours.end(), *json) != ours.end()) continue;
    if (*json == "null") {
      EXPECT_THROW(deserialize(*json), InvalidArgument);  // Keras's None, for which there is no Initializer
    } else if (row.contains("result")) {
      EXPECT_EQ(class_of(*json), "HeNormal");
      ++accepted;
    } else {
      EXPECT_THROW(deserialize(*json), InvalidArgument);
      const bool is_name = json->front() == '"';
      if (is_name) {
        EXPECT_THROW(fanin::make(json->substr(1, json->size() - 2)), InvalidArgument);
      }
      ++refused;
    }
  }
  EXPECT_EQ(accepted, 2u);
  EXPECT_EQ(refused, 20u);
}

TEST(Names, Tf2V2AndDotted) {
  const std::vector<std::string> snake_v2{"glorot_normal", "glorot_uniform", "he_normal",
                                          "he_uniform",    "lecun_normal",   "lecun_uniform"};
  const std::vector<std::string> all = fanin::initializer_names();
  const std::vector<std::string> keras = fanin::initializer_names("keras");
  EXPECT_EQ(keras.size(), from_config.size());
  EXPECT_EQ(all.size(), from_config.size() + 7);  // which Keras does not have
  for (const std::string& name : all) {
    SCOPED_TRACE(name);
    EXPECT_EQ(fanin::make(name).class_name(), name);
    EXPECT_EQ(fanin::make(name + "V2").class_name(), name);
    for (const char* module : {"keras.initializers.", "tf.keras.initializers.", "tf.initializers."}) {
      EXPECT_EQ(fanin::make(module + name).class_name(), name);
    }
  }
  for (const std::string& name : snake_v2) {
    EXPECT_EQ(fanin::make(name + "V2").class_name(), fanin::make(name).class_name());
    for (const char* module : {"keras.initializers.", "tf.keras.initializers.", "tf.initializers."}) {
      EXPECT_EQ(fanin::make(module + name).class_name(), fanin::make(name).class_name());
    }
  }
  EXPECT_EQ(fanin::make("tf.keras.initializers.he_normal").class_name(), "HeNormal");
  EXPECT_EQ(fanin::make("keras.initializers.HeNormal").class_name(), "HeNormal");
  EXPECT_EQ(fanin::make("constant").class_name(), "Constant");
}

TEST(Names, MakeTakesTheSeed) {
  EXPECT_EQ(fanin::make("he_normal", 42).get_config(), R"({"seed":42})");
  EXPECT_EQ(fanin::make("uniform", Seed::sequence(3)).seed().kind(), Seed::Kind::sequence);
  EXPECT_EQ(fanin::make("he_normal").seed().kind(), Seed::Kind::none);
  EXPECT_EQ(fanin::make("zeros", 42).get_config(), "{}");
  EXPECT_EQ(fanin::test::filled(fanin::make("he_normal", 42), {5, 7}),
            fanin::test::filled(fanin::HeNormal(42), {5, 7}));
}

TEST(Names, RefusedWithTheNearest) {
  struct Case {
    const char* name;
    const char* part;
  };
  const Case cases[] = {
      {"he_norml", "Did you mean \"he_normal\"?"},
      {"HeNormall", "Did you mean \"HeNormal\"?"},
      {"glorot_unifrom", "Did you mean \"glorot_uniform\"?"},
      {"GLOROT_NORMAL", "Did you mean \"glorot_normal\"?"},
      {"tf.keras.initializers.he_norml", "Did you mean \"he_normal\"?"},
      {"xavier_normal", "\"glorot_normal\""},
      {"xavier_uniform_", "\"glorot_uniform\""},
      {"kaiming_normal", "\"he_normal\""},
      {"kaiming_uniform_", "\"he_uniform\""},
      {"keras:formula", "only \"he_normal\""},
      {"torch:he_normal", "only \"uniform\""},
      {"flax:he_normal", "no convention \"flax\""},
      {"torch:", "no initializer \"\""},
      {"", "Could not interpret initializer identifier"},
      {"he_normal ", "he_normal "},
      {"tf.he_normal", "tf.he_normal"},
      {"keras.layers.HeNormal", "keras.layers.HeNormal"},
      {"keras.initializers.", "keras.initializers."},
      {"normalV2", "normalV2"},
      {"random_normalV2", "random_normalV2"},  // TF 2 has only RandomNormalV2
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    expect_refused([&] { fanin::make(c.name); }, {c.part});
    expect_refused([&] { deserialize(dump_json(c.name)); }, {c.part});
  }
  // No name is similar, so there is no suggestion.
  const std::string text = fanin::test::refusal([] { fanin::make("quaternion_sawtooth"); });
  EXPECT_EQ(text.find("Did you mean"), std::string::npos) << text;
}

// ---------------------------------------------------------------- refused parameters

struct BadConfig {
  const char* class_name;
  const char* config;
  std::vector<std::string_view> parts;  // of the message
};

TEST(Parameters, Refusals) {
  const BadConfig cases[] = {
      {"HeNormal", R"({"sed": 3})", {"HeNormal", "\"sed\"", "Did you mean \"seed\"?"}},
      {"HeNormal", R"({"seed": 3, "bogus": 1})", {"HeNormal", "\"bogus\"", "\"seed\""}},
      {"RandomNormal", R"({"men": 0.0})", {"RandomNormal", "\"men\"", "Did you mean \"mean\"?"}},
      {"RandomUniform", R"({"min": 0.0})", {"RandomUniform", "\"min\"", "\"minval\""}},
      {"Zeros", R"({"seed": 1})", {"Zeros", "\"seed\""}},
      {"Constant", R"({"values": 1})", {"Constant", "Did you mean \"value\"?"}},
      {"Identity", R"({"seed": 1})", {"Identity", "\"seed\"", "\"gain\""}},
      {"RandomNormal", R"({"input_axes": null})", {"RandomNormal", "input_axes"}},
      // scale
      {"VarianceScaling", R"({"scale": "2"})", {"scale", "VarianceScaling", "number", "\"2\""}},
      {"VarianceScaling", R"({"scale": null})", {"scale", "number", "null"}},
      {"VarianceScaling", R"({"scale": [2.0]})", {"scale", "number"}},
      {"VarianceScaling", R"({"scale": 0})", {"Argument `scale` must be positive float. Received: scale=0"}},
      {"VarianceScaling", R"({"scale": 0.0})", {"scale"}},
      {"VarianceScaling", R"({"scale": -0.0})", {"scale"}},
      {"VarianceScaling", R"({"scale": -1.0})", {"Argument `scale` must be positive float. Received: scale=-1"}},
      {"VarianceScaling", R"({"scale": NaN})", {"scale", "nan"}},
      {"VarianceScaling", R"({"scale": Infinity})", {"scale", "inf"}},
      {"VarianceScaling", R"({"scale": -Infinity})", {"scale", "inf"}},
      // mode, which is case-sensitive, and distribution, which is not
      {"VarianceScaling", R"({"mode": "FAN_IN"})", {"Invalid `mode` argument: FAN_IN", "Did you mean \"fan_in\"?"}},
      {"VarianceScaling", R"({"mode": "fan_inn"})", {"Did you mean \"fan_in\"?"}},
      {"VarianceScaling", R"({"mode": "fan_geo_avg"})", {"fan_geo_avg"}},
      {"VarianceScaling", R"({"mode": ""})", {"mode"}},
      {"VarianceScaling", R"({"mode": null})", {"mode", "null"}},
      {"VarianceScaling", R"({"mode": 1})", {"mode", "string"}},
      {"VarianceScaling",
       R"({"distribution": "gaussian"})",
       {"Invalid `distribution` argument: gaussian", "\"uniform\""}},
      {"VarianceScaling", R"({"distribution": "unifrom"})", {"Did you mean \"uniform\"?"}},
      {"VarianceScaling", R"({"distribution": null})", {"distribution", "null"}},
      // seeds
      {"HeNormal", R"({"seed": 1.5})", {"seed=1.5"}},
      {"HeNormal", R"({"seed": 1.0})", {"seed=1.0"}},
      {"HeNormal", R"({"seed": "x"})", {"seed=\"x\""}},
      {"HeNormal", R"({"seed": [1]})", {"seed=[1]"}},
      {"HeNormal", R"({"seed": NaN})", {"seed"}},
      {"HeNormal", R"({"seed": -5})", {"seed=-5", "18446744073709551611"}},
      {"HeNormal", R"({"seed": 18446744073709551616})", {"seed", "2^64"}},
      // axes
      {"HeNormal", R"({"input_axes": "a"})", {"input_axes", "HeNormal", "\"a\""}},
      {"HeNormal", R"({"input_axes": 0})", {"input_axes"}},
      {"HeNormal", R"({"input_axes": [0.5]})", {"input_axes"}},
      {"HeNormal", R"({"output_axes": ["0"]})", {"output_axes"}},
      {"HeNormal", R"({"output_axes": [null]})", {"output_axes"}},
      // the numbers of the other classes
      {"RandomNormal", R"({"mean": "a"})", {"mean", "RandomNormal"}},
      {"RandomNormal", R"({"mean": NaN})", {"mean", "nan"}},
      {"RandomNormal", R"({"mean": Infinity})", {"mean", "inf"}},
      {"RandomNormal", R"({"stddev": -1})", {"stddev=-1"}},
      {"RandomNormal", R"({"stddev": NaN})", {"stddev"}},
      {"TruncatedNormal", R"({"stddev": -1})", {"stddev=-1"}},
      {"TruncatedNormal", R"({"lower": 2.0, "upper": -2.0})", {"lower", "upper"}},
      {"TruncatedNormal", R"({"lower": 1.0, "upper": 1.0})", {"lower", "upper"}},
      {"TruncatedNormal", R"({"lower": NaN})", {"lower", "nan"}},
      {"TruncatedNormal", R"({"upper": "2"})", {"upper"}},
      {"RandomUniform", R"({"minval": 1.0, "maxval": -1.0})", {"minval=1", "maxval=-1"}},
      {"RandomUniform", R"({"maxval": Infinity})", {"maxval", "inf"}},
      {"RandomUniform", R"({"minval": null})", {"minval", "null"}},
      {"VarianceScaling", R"({"lower": -3.0})", {"both", "lower=-3", "upper=none"}},
      {"VarianceScaling", R"({"lower": 3.0, "upper": -3.0})", {"lower=3", "upper=-3"}},
      {"VarianceScaling", R"({"lower": NaN, "upper": 1.0})", {"lower=nan"}},
      {"VarianceScaling", R"({"lower": "1", "upper": 1.0})", {"lower", "number or null"}},
      {"VarianceScaling", R"({"distribution": "uniform", "lower": -1.0, "upper": 1.0})", {"truncated_normal"}},
      {"Constant", R"({"value": "x"})", {"value", "\"x\""}},
      {"Constant", R"({"value": null})", {"value", "null"}},
      {"Identity", R"({"gain": NaN})", {"gain", "nan"}},
      {"Identity", R"({"gain": "1"})", {"gain"}},
  };
  for (const BadConfig& c : cases) {
    SCOPED_TRACE(std::string(c.class_name) + " " + c.config);
    const std::string whole = std::string(R"({"class_name": ")") + c.class_name + R"(", "config": )" + c.config + "}";
    for (const std::string& text : {fanin::test::refusal([&] { from_config.at(c.class_name)(c.config); }),
                                    fanin::test::refusal([&] { deserialize(whole); })}) {
      for (const std::string_view part : c.parts)
        EXPECT_NE(text.find(part), std::string::npos) << part << " in: " << text;
    }
  }
}

// The constructors make the same checks.
TEST(Parameters, ConstructorsRefuseTheSame) {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  const double nan = std::nan("");
  for (const double scale : {0.0, -0.0, -1.0, nan, infinity, -infinity})
    EXPECT_THROW(VarianceScaling{scale}, InvalidArgument);
  EXPECT_THROW(VarianceScaling(1, "FAN_IN"), InvalidArgument);
  EXPECT_THROW(VarianceScaling(1, "fan_in", "normal "), InvalidArgument);
  EXPECT_EQ(VarianceScaling(1, "fan_in", "Truncated_NORMAL").distribution(), "truncated_normal");
  EXPECT_EQ(VarianceScaling(1, "fan_in", "NORMAL").distribution(), "truncated_normal");
  EXPECT_EQ(VarianceScaling(1, "fan_in", "Untruncated_Normal").distribution(), "untruncated_normal");
  for (const double bad : {nan, infinity, -infinity}) {
    EXPECT_THROW(fanin::RandomNormal(bad, 1), InvalidArgument);
    EXPECT_THROW(fanin::RandomNormal(0, bad), InvalidArgument);
    EXPECT_THROW(fanin::TruncatedNormal(bad, 1), InvalidArgument);
    EXPECT_THROW(fanin::TruncatedNormal(0, bad), InvalidArgument);
    EXPECT_THROW(fanin::RandomUniform(bad, 1), InvalidArgument);
    EXPECT_THROW(fanin::RandomUniform(-1, bad), InvalidArgument);
    EXPECT_THROW(fanin::Identity{bad}, InvalidArgument);
  }
  EXPECT_THROW(fanin::RandomNormal(0, -1e-300), InvalidArgument);
  EXPECT_THROW(fanin::TruncatedNormal(0, -1), InvalidArgument);
  EXPECT_THROW(fanin::TruncatedNormal(0, 1, 1, 2, 1), InvalidArgument);
  EXPECT_THROW(fanin::TruncatedNormal(0, 1, 1, nan, 1), InvalidArgument);
  EXPECT_THROW(fanin::RandomUniform(1, -1), InvalidArgument);
  // What no dtype can hold.
  EXPECT_THROW(fanin::TruncatedNormal(1.7e308, 1.7e308), InvalidArgument);
  EXPECT_THROW(fanin::TruncatedNormal(0, 1e308, 1, -infinity, 2), InvalidArgument);
  EXPECT_NO_THROW(fanin::TruncatedNormal(1.7e308, 1.7e308, 1, -1, infinity));
  EXPECT_THROW(fanin::RandomUniform(-1e308, 1.1e308), InvalidArgument);
  EXPECT_NO_THROW(fanin::RandomUniform(-1e308, 0.7e308));
  EXPECT_THROW(fanin::SirenHidden(1e-320), InvalidArgument);
  EXPECT_THROW(fanin::deserialize(R"({"class_name": "torch:uniform", "config": {"a": -1e308, "b": 1.1e308}})"),
               InvalidArgument);
}

TEST(Parameters, ManyAndLongOnesAreRefusedAtOnce) {
  std::vector<std::pair<std::string, std::string>> parameters;
  for (int j = 0; j < 100000; ++j) parameters.emplace_back("p" + std::to_string(j), "1");
  EXPECT_THROW(fanin::with_parameters(fanin::HeNormal(), parameters), InvalidArgument);
  EXPECT_THROW(fanin::with_parameters(fanin::HeNormal(), {{"dtype", "float16"}}), InvalidArgument);
  try {
    fanin::deserialize("[\"" + std::string(100000, 'x') + "\"]");
    FAIL();
  } catch (const InvalidArgument& error) {
    EXPECT_LT(std::string(error.what()).size(), 500u);  // a long value is cut
  }
}

// ---------------------------------------------------------------- the text itself

TEST(Text, MalformedWithLineAndColumn) {
  struct Case {
    const char* json;
    const char* position;
  };
  const Case cases[] = {
      {"", "line 1, column 1"},
      {"he_normal", "line 1, column 1"},
      {"{\n \"class_name\": }", "line 2, column 16"},
      {"{\n \"größe\": }", "line 2, column 11"},  // characters, not bytes
      {"{\"class_name\": \"HeNormal\",}", "line 1, column 27"},
      {"\"he_normal\" x", "line 1, column 13"},
      {"{\n\n\"class_name\": \"Constant\",\n\"config\": {\"value\": Infinity,}}", "line 4, column 30"},
      {"{\"class_name\" \"HeNormal\"}", "line 1"},
      {"{\"class_name\": \"HeNormal\"", "line 1"},
      {"{'class_name': 'HeNormal'}", "line 1, column 2"},
      {"{\"class_name\": \"Constant\", \"config\": {\"value\": nan}}", "line 1"},
      {"{\"class_name\": \"Constant\", \"config\": {\"value\": +Infinity}}", "line 1"},
      {"{\"class_name\": \"Constant\", \"config\": {\"value\": 01}}", "line 1"},
      {"{\"class_name\": \"Constant\", \"config\": {\"value\": NaNNaN}}", "line 1"},
      {"\"he_\nnormal\"", "line"},
      {"\"\xff\"", "line 1"},
      {"\"he_normal", "line 1"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.json);
    expect_refused([&] { deserialize(c.json); }, {"Malformed JSON", c.position});
    expect_refused([&] { fanin::HeNormal::from_config(c.json); }, {"Malformed JSON", c.position});
  }
  expect_refused([] { fanin::RandomNormal::from_config(R"({"mean": 1e400})"); }, {"1e400"});
}

TEST(Text, DuplicateKeys) {
  expect_refused([] { fanin::HeNormal::from_config(R"({"seed": 1, "seed": 2})"); }, {"\"seed\""});
  expect_refused([] { fanin::HeNormal::from_config(R"({"seed": 1, "\u0073eed": 1})"); }, {"\"seed\""});
  expect_refused([] { deserialize(R"({"class_name": "Zeros", "class_name": "Ones"})"); }, {"\"class_name\""});
  expect_refused([] { deserialize(R"({"class_name": "Constant", "config": {"value": {"a": 1, "a": 1}}})"); },
                 {"\"a\""});
  // The same key in two objects is not a duplicate.
  EXPECT_EQ(class_of(R"({"class_name": "Constant", "config": {"value": {"config": {"value": 1}}}})"), "Constant");
}

TEST(Text, UnicodeAndSpaces) {
  EXPECT_EQ(class_of("\t{ \"class_name\" :\r\n\"\\u0048eNormal\" } \n"), "HeNormal");
  const std::string config =
      R"({"seed":{"module":"keras.random","class_name":"SeedGenerator","config":{"seed":1,"name":"größe \"NaN\" \\"},)"
      R"("registered_name":null}})";
  EXPECT_EQ(fanin::HeNormal::from_config(config).seed().generator_name(), "größe \"NaN\" \\");
  EXPECT_EQ(fanin::HeNormal::from_config(config).get_config(), config);
}

// Python's tokens are values, and a string that contains one stays a string.
TEST(Text, PythonTokensAreValuesAlone) {
  const auto value = [](const std::string& text) {
    return fanin::Constant::from_config(R"({"value":)" + text + "}").get_config();
  };
  EXPECT_EQ(value("[NaN,-Infinity,Infinity]"), R"({"value":[NaN,-Infinity,Infinity]})");
  EXPECT_EQ(value(R"(["NaN","-Infinity"])"), R"({"value":["NaN","-Infinity"]})");
  EXPECT_EQ(value(R"([{"NaN":1,"\"Infinity":2}])"), R"({"value":[{"NaN":1,"\"Infinity":2}]})");
  for (const char* text : {"\"NaN\"", "\"Infinity\"", R"("\u007f")", R"("\u007finfin")", "\"\x7f-infin\"", "{NaN: 1}",
                           "{Infinity: 1}", "[{-Infinity: 1}]", "-NaN", "1NaN", "NaN1", "--Infinity"}) {
    SCOPED_TRACE(text);
    EXPECT_THROW(value(text), InvalidArgument);
  }
}

// Text of any nesting depth is refused or kept, and does not exhaust the stack. The test uses child processes, because
// an exhausted stack ends the process.
TEST(TextDeathTest, DeepNesting) {
  const std::size_t depth = 200000;
  const std::string deep = std::string(depth, '[') + std::string(depth, ']');
  const std::string texts[] = {deep, R"({"class_name":"Constant","config":{"value":)" + deep + "}}",
                               R"({"class_name":"HeNormal","config":{"seed":)" + deep + "}}",
                               R"({"class_name":"HeNormal","config":{"bogus":)" + deep + "}}"};
  for (const std::string& text : texts) {
    const auto read = [&] {
      try {
        serialize(deserialize(text));
      } catch (const InvalidArgument&) {
      }
      std::exit(0);
    };
    EXPECT_EXIT(read(), testing::ExitedWithCode(0), "") << text.substr(0, 60);
  }
}

// ---------------------------------------------------------------- the caller's rounding mode

TEST_P(KerasFile, SameTextUnderEveryRoundingMode) {
  for (const Json& instance : instances()) {
    if (has_negative_seed(instance["get_config"])) continue;
    const std::string text = dump_json(instance["serialize"]);
    SCOPED_TRACE(text);
    const std::string expected = serialize(deserialize(text));
    for (const int mode : {FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO}) {
      std::string whole;
      std::string inner;
      {
        const RoundingMode wrong(mode);
        whole = serialize(deserialize(text));
        inner = from_config.at(instance["cls"].get<std::string>())(dump_json(instance["get_config"])).get_config();
      }
      EXPECT_EQ(whole, expected) << mode;
      EXPECT_TRUE(same(parse_json(inner), instance["get_config"])) << mode;
    }
  }
}

TEST(RoundingModes, DecimalsReadAndWrittenAlike) {
  for (const char* number : {"0.1", "0.3", "-0.7", "1e-300", "5e-324", "1.7976931348623157e+308", "0.30000000000000004",
                             "3.141592653589793", "123456789.12345679"}) {
    const std::string config = std::string(R"({"mean":)") + number + R"(,"stddev":0.05})";
    const std::string text = std::string(R"({"class_name":"RandomNormal","config":)") + config + "}";
    const double expected = std::strtod(number, nullptr);
    for (const int mode : {FE_TONEAREST, FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO}) {
      SCOPED_TRACE(std::string(number) + " in mode " + std::to_string(mode));
      std::optional<Initializer> whole;
      std::optional<Initializer> inner;
      std::string written;
      {
        const RoundingMode wrong(mode);
        whole = deserialize(text);
        inner = fanin::RandomNormal::from_config(config);
        written = fanin::RandomNormal(expected, 0.05, 1).get_config();
      }
      EXPECT_EQ(whole->describe({2}).distribution.mean, expected);
      EXPECT_EQ(whole->describe({2}).distribution.stddev, 0.05);
      EXPECT_EQ(inner->describe({2}).distribution.mean, expected);
      EXPECT_EQ(fanin::RandomNormal::from_config(written).describe({2}).distribution.mean, expected);
      EXPECT_EQ(written, fanin::RandomNormal(expected, 0.05, 1).get_config());
    }
  }
}

TEST(WithParameters, ChangesThemAndKeepsTheSeed) {
  const fanin::VarianceScaling drawn;
  const Initializer changed = fanin::with_parameters(drawn, {{"scale", "0.5"}, {"mode", "fan_out"}});
  EXPECT_EQ(changed.seed().value(), drawn.seed().value());
  EXPECT_EQ(changed.seed().kind(), fanin::Seed::Kind::none);
  EXPECT_EQ(changed.get_config(), R"({"seed":null,"scale":0.5,"mode":"fan_out","distribution":"truncated_normal"})");
  const fanin::RandomNormal sequence(0, 1, fanin::Seed::sequence(7, "mine", 3));
  const Initializer continued = fanin::with_parameters(sequence, {{"stddev", "2"}});
  EXPECT_EQ(continued.calls(), 3u);
  EXPECT_EQ(continued.seed().generator_name(), "mine");
  EXPECT_EQ(fanin::with_parameters(sequence, {{"seed", "9"}}).seed().value(), 9u);
  EXPECT_THROW(fanin::with_parameters(drawn, {{"scales", "1"}}), fanin::InvalidArgument);
  EXPECT_THROW(fanin::with_parameters(drawn, {{"scale", "much"}}), fanin::InvalidArgument);
}

TEST(WithParameters, NumbersCanBeFormulas) {
  const auto gain_of = [](const std::string& text) {
    return fanin::with_parameters(fanin::make("torch:orthogonal", 1), {{"gain", text}})
        .describe({4, 4})
        .distribution.value;
  };
  EXPECT_EQ(gain_of("calculate_gain(relu)"), std::sqrt(2.0));
  EXPECT_EQ(gain_of("calculate_gain(leaky_relu, 0.2)"), fanin::calculate_gain("leaky_relu", 0.2));
  EXPECT_EQ(gain_of("1 / sqrt(2 * 12)"), 1 / std::sqrt(24.0));
  fanin::test::expect_refused([&] { gain_of("calculate_gain(gelu)"); }, {"`gain`", "\"gelu\"", "\"selu\""});
  fanin::test::expect_refused([&] { gain_of("1 / 0"); }, {"`gain`", "not finite"});
  fanin::test::expect_refused([&] { gain_of("layer"); }, {"`gain`", "layer is not known"});
  EXPECT_THROW(fanin::with_parameters(fanin::make("he_normal", 1), {{"seed", "2 ^ 3"}}), fanin::InvalidArgument);
}

}  // namespace
