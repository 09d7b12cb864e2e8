// SPDX-License-Identifier: Apache-2.0
// A user's locale changes no text, no number that is read and no weight.
#include <gtest/gtest.h>

#include <clocale>
#include <cstdio>
#include <locale>
#include <string>
#include <vector>

#include "fanin/fanin.hpp"
#include "support/test_support.h"

namespace {

// German numbers: 1.234,5.
class German : public std::numpunct<char> {
 protected:
  char do_decimal_point() const override { return ','; }
  char do_thousands_sep() const override { return '.'; }
  std::string do_grouping() const override { return "\3"; }
};

// All that the library writes as text, and a few weights.
std::vector<std::string> results() {
  std::vector<std::string> all;
  const fanin::Initializer scaled = fanin::VarianceScaling(0.1234, "fan_avg", "uniform", 12345678u);
  all.push_back(serialize(scaled));
  all.push_back(serialize(fanin::deserialize(
      R"({"class_name": "TruncatedNormal", "config": {"mean": 1234.5, "stddev": 6.25e-2, "seed": 1000000}})")));
  all.push_back(serialize(with_parameters(scaled, {{"scale", "+.5"}})));
  all.push_back(scaled.describe({12345, 67890}).derivation);
  all.push_back(fanin::test::refusal([&] { scaled.describe({-12345, 2}); }));
  all.push_back(fanin::test::refusal([] { fanin::RandomNormal(0.5, -1234.5); }));
  all.push_back(fanin::safetensors_header({{"w", {1234, 5678}, fanin::DType::float64}}, {}));
  fanin::ModelSpecOptions options;
  options.explain = true;
  const fanin::ModelSpec spec = fanin::parse_model_spec(
      R"({"constants": {"width": 1234.5}, "tensors": {"w": [1000, 2]},
          "rules": [{"match": "w", "initializer": {"class_name": "RandomNormal", "config": {"stddev": "0.25 / width"}}}]})",
      7, options);
  all.push_back(spec.tensors[0].parts[0].reason);
  all.push_back(describe(spec.tensors[0].parts[0]).derivation);
  const fanin::test::Bytes weights = fanin::test::filled(fanin::Formula("z * 0.5 + 1.5 * i[0]", {}, 1), {10, 20});
  all.emplace_back(weights.begin(), weights.end());
  return all;
}

TEST(Locale, ChangesNothing) {
  const std::vector<std::string> expected = results();
  const std::locale before = std::locale::global(std::locale(std::locale::classic(), new German));
  const std::vector<std::string> german = results();
  std::locale::global(before);
  EXPECT_EQ(german, expected);

  const std::string c_before = std::setlocale(LC_ALL, nullptr);
  bool is_installed = false;
  for (const char* name : {"de_DE.UTF-8", "fr_FR.UTF-8", "tr_TR.UTF-8"}) {
    if (std::setlocale(LC_ALL, name) == nullptr) continue;
    is_installed = true;
    const std::vector<std::string> here = results();
    std::setlocale(LC_ALL, c_before.c_str());
    EXPECT_EQ(here, expected) << name;
  }
  if (!is_installed) std::puts("No locale with decimal commas is installed, so only C++'s was tested.");
}

}  // namespace
