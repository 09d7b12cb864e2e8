// SPDX-License-Identifier: Apache-2.0
#include "fanin/model_spec.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "fanin/error.h"
#include "fanin/initializers.h"
#include "fanin/safetensors.h"
#include "model/name_pattern.h"
#include "support/test_support.h"

namespace {

using fanin::Description;
using fanin::DType;
using fanin::Fans;
using fanin::ModelSpec;
using fanin::ModelSpecOptions;
using fanin::ModelTensor;
using fanin::Shape;
using fanin::detail::NamePattern;
using Texts = std::vector<std::string>;

std::optional<Texts> match(const char* pattern, const char* name) {
  return NamePattern(pattern, NamePattern::Globs::allowed).match(name);
}

TEST(NamePattern, GlobsMatchWholeNames) {
  const auto matches = [](const char* pattern, const char* name) { return match(pattern, name).has_value(); };
  EXPECT_TRUE(matches("", ""));
  EXPECT_FALSE(matches("", "a"));
  EXPECT_TRUE(matches("*", ""));
  EXPECT_TRUE(matches("*", "a.b"));
  EXPECT_TRUE(matches("a*c", "abbc"));
  EXPECT_FALSE(matches("a*c", "abbd"));
  EXPECT_TRUE(matches("*.c_proj.weight", "h.0.attn.c_proj.weight"));
  EXPECT_FALSE(matches("*.c_proj.weight", "h.0.attn.c_proj.bias"));
  EXPECT_TRUE(matches("h.?.*", "h.3.x"));
  EXPECT_FALSE(matches("h.?.*", "h.11.x"));
  EXPECT_TRUE(matches("*a*a*a", "aaaa"));
  EXPECT_FALSE(matches("*a*a*a*a*a", "aaaa"));
  EXPECT_TRUE(matches("a**", "a"));
  EXPECT_TRUE(matches("?", "é"));  // a character, not a byte
  EXPECT_FALSE(matches("??", "é"));
  EXPECT_TRUE(matches("{}{0}{a b}", "{}{0}{a b}"));  // no captures
}

TEST(NamePattern, WildcardsAreLimited) {
  const std::string most(1000, '*');
  const std::string name(5000, 'a');
  EXPECT_TRUE(match((most + std::string(5000, '?')).c_str(), name.c_str()).has_value());
  fanin::test::expect_refused([&] { match((most + "*").c_str(), ""); }, {"at most 1000"});
  std::string captures;
  for (int k = 0; k < 1001; ++k) captures += "{l}.";
  fanin::test::expect_refused([&] { match(captures.c_str(), ""); }, {"at most 1000"});
}

TEST(NamePattern, CapturesAreAsShortAsPossible) {
  EXPECT_EQ(match("h.{layer}.*", "h.11.mlp.weight"), (Texts{"11"}));
  EXPECT_EQ(match("h.{layer}.weight", "h.1.2.weight"), std::nullopt);  // no dots
  EXPECT_EQ(match("h.{layer}.weight", "h..weight"), std::nullopt);     // at least a character
  EXPECT_EQ(match("{module*}.bias", "a.b.bias"), (Texts{"a.b"}));
  EXPECT_EQ(match("{module*}.bias", ".bias"), (Texts{""}));
  EXPECT_EQ(match("{a*}.{b*}", "1.2.3"), (Texts{"1", "2.3"}));
  EXPECT_EQ(match("{a}{b}", "éà"), (Texts{"é", "à"}));
  EXPECT_EQ(match("*.{l}.e{e}_w", "x.3.e12_w"), (Texts{"3", "12"}));
  EXPECT_EQ(match("{a}b{c}", "abbb"), (Texts{"a", "bb"}));
}

TEST(NamePattern, ManyWildcardsTakePolynomialTime) {
  std::string globs;
  std::string captures;
  for (int j = 0; j < 40; ++j) {
    globs += "*a";
    captures += "{c" + std::to_string(j) + "}a";
  }
  for (int j = 40; j < 100; ++j) captures += "{c" + std::to_string(j) + "}a";
  const std::string name(20000, 'a');
  EXPECT_FALSE(match((globs + "b").c_str(), name.c_str()));
  EXPECT_FALSE(match((captures + "b").c_str(), name.c_str()));
}

TEST(NamePattern, BeginsAndEndsOfAllNames) {
  const auto ends = [](const char* pattern) {
    const NamePattern p(pattern, NamePattern::Globs::allowed);
    return std::string(p.begin()) + "|" + std::string(p.end());
  };
  EXPECT_EQ(ends("h.{layer}.weight"), "h.|.weight");
  EXPECT_EQ(ends("h.*"), "h.|");
  EXPECT_EQ(ends("?.weight"), "|.weight");
  EXPECT_EQ(ends("weight"), "weight|");
  EXPECT_EQ(ends(""), "|");
}

TEST(NamePattern, ManyCapturesAreRefused) {
  std::string name;
  for (int j = 0; j < 100; ++j) name += "{c" + std::to_string(j) + "}";
  EXPECT_EQ(NamePattern(name, NamePattern::Globs::none).captures().size(), 100u);
  EXPECT_THROW(NamePattern(name + "{c}", NamePattern::Globs::none), fanin::InvalidArgument);
}

TEST(NamePattern, NamesAreMadeOfCaptures) {
  const NamePattern pattern("h.{layer}.{part}.{layer}*?", NamePattern::Globs::none);
  EXPECT_EQ(pattern.captures(), (Texts{"layer", "part"}));
  EXPECT_EQ(pattern.with([](const std::string& capture) { return capture == "layer" ? "3" : "x"; }), "h.3.x.3*?");
}

TEST(ModelSpec, FirstRuleWinsAndUnusedOnesAreNamed) {
  const auto spec = fanin::parse_model_spec(
      R"({"name": "m", "dtype": "float16", "layout": "oihw", "tensors": {"b": [2, 3], "a": {"shape": [], "layout": "hwio"}},
          "rules": [{"match": "b", "initializer": {"class_name": "RandomNormal", "config": {"stddev": 2, "seed": 5}}},
                    {"match": "?", "initializer": "ones"}, {"match": "c*", "initializer": "zeros"}]})",
      7);
  ASSERT_EQ(spec.tensors.size(), 2u);
  EXPECT_EQ(spec.tensors[0].name, "b");  // the specification's order
  EXPECT_EQ(spec.tensors[0].parts[0].initializer->class_name(), "RandomNormal");
  EXPECT_EQ(spec.tensors[0].parts[0].initializer->seed().value(), 5u);
  EXPECT_EQ(spec.tensors[0].dtype, fanin::DType::float16);
  EXPECT_EQ(spec.tensors[0].parts[0].layout, fanin::Layout::oihw);
  EXPECT_EQ(spec.tensors[1].parts[0].initializer->class_name(), "Ones");
  EXPECT_EQ(spec.tensors[1].parts[0].layout, fanin::Layout::hwio);
  EXPECT_EQ(spec.notes, (std::vector<std::string>{"no tensor matches rules[2] \"c*\""}));
}

TEST(ModelSpec, TheSeedIsTheModels) {
  const auto spec = fanin::parse_model_spec(
      R"({"tensors": {"a": [2]}, "rules": [{"match": "*", "initializer": "he_normal"}]})", 18446744073709551615u);
  EXPECT_EQ(spec.tensors[0].parts[0].initializer->seed().value(), 18446744073709551615u);
  EXPECT_EQ(spec.tensors[0].parts[0].initializer->seed().kind(), fanin::Seed::Kind::fixed);
}

// ---------------------------------------------------------------- the second edition

ModelSpec read(const std::string& text, ModelSpecOptions options = {}) {
  options.source = "m.json";
  return fanin::parse_model_spec(text, 7, options);
}

// A specification with these members and a last rule for everything.
std::string spec(const std::string& tensors, const std::string& rules = "", const std::string& more = "") {
  return "{" + more + R"("tensors": {)" + tensors + R"(}, "rules": [)" + rules + (rules.empty() ? "" : ", ") +
         R"({"match": "*", "initializer": "zeros"}]})";
}

std::string names(const ModelSpec& model) {
  std::string text;
  for (const auto& tensor : model.tensors) text += (text.empty() ? "" : " ") + tensor.name;
  return text;
}

Description described(const ModelSpec& model, std::size_t tensor = 0, std::size_t part = 0) {
  return fanin::describe(model.tensors[tensor].parts[part]);
}

TEST(ModelSpec, CapturesCountAndNest) {
  const auto model = read(spec(
      R"("a.{l}": {"shape": ["2 * w", "l + 1"], "repeat": {"l": "n"}},
         "b.{s}.{e}": {"shape": ["s + 2"], "repeat": {"s": [1, "n"], "e": "s"}}, "none.{x}": {"shape": [], "repeat": {"x": 0}})",
      "", R"("constants": {"w": 4, "n": "w - 1"},)"));
  EXPECT_EQ(names(model), "a.0 a.1 a.2 b.1.0 b.2.0 b.2.1");
  EXPECT_EQ(model.tensors[2].shape, (Shape{8, 3}));
  EXPECT_EQ(model.tensors[5].shape, (Shape{4}));
  EXPECT_EQ(model.tensors[5].captures, (std::vector<std::int64_t>{2, 1}));
  EXPECT_EQ(model.entries[model.tensors[5].entry].name, "b.{s}.{e}");
}

// "007" could be the name of something; as a number it would be the same as "7".
TEST(ModelSpec, CapturesWithLeadingZerosAreNoNumbers) {
  const auto with_name = [](const std::string& name) {
    return spec("\"" + name + R"(": [2])",
                R"({"match": "h.{l}.w", "initializer": {"class_name": "Constant", "config": {"value": "l + 1"}}})");
  };
  EXPECT_EQ(described(read(with_name("h.7.w"))).distribution.value, 8);
  EXPECT_EQ(described(read(with_name("h.0.w"))).distribution.value, 1);
  for (const char* name : {"h.007.w", "h.00.w", "h.7a.w"}) {
    fanin::test::expect_refused([&] { read(with_name(name)); }, {"the capture \"l\"", "not a number"});
  }
}

TEST(ModelSpec, CapturesHideConstants) {
  const auto model =
      read(spec(R"("w.{l}": {"shape": ["l"], "repeat": {"l": [1, 3]}}, "v.7": [2], "c": ["l"])",
                R"({"match": "v.{l}", "initializer": {"class_name": "Constant", "config": {"value": "l"}}},
                                  {"match": "*", "initializer": {"class_name": "Constant", "config": {"value": "l"}}})",
                R"("constants": {"l": 5},)"));
  EXPECT_EQ(names(model), "w.1 w.2 v.7 c");
  const double values[] = {1, 2, 7, 5};
  for (std::size_t t = 0; t < std::size(values); ++t) EXPECT_EQ(described(model, t).distribution.value, values[t]);
  EXPECT_EQ(model.tensors[3].shape, Shape{5});
}

TEST(ModelSpec, ConstantsAndTheDtypeCanBeReplaced) {
  const std::string text = spec(R"("a": ["w"], "n": ["w"], "o": {"shape": [1], "dtype": "float64"})",
                                R"({"match": "n", "dtype": "float32", "initializer": "ones"})",
                                R"("dtype": "bfloat16", "constants": {"d": 2, "w": "8 * d"},)");
  EXPECT_EQ(read(text).tensors[0].shape, Shape{16});
  EXPECT_EQ(read(text).tensors[0].dtype, DType::bfloat16);
  ModelSpecOptions options;
  options.constants = {{"d", 1}, {"d", 3}};
  options.dtype = DType::float16;
  const auto model = read(text, options);
  EXPECT_EQ(model.tensors[0].shape, Shape{24});  // the last one counts, also for constants that depend on it
  EXPECT_EQ(model.tensors[0].dtype, DType::float16);
  EXPECT_EQ(model.tensors[1].dtype, DType::float32);
  EXPECT_EQ(model.tensors[2].dtype, DType::float64);
}

TEST(ModelSpec, FormulasInParameters) {
  const auto model = read(
      spec(R"("h.{l}.w": {"shape": [3, 5], "repeat": {"l": 3}}, "u.{n}": {"shape": [4, 9], "repeat": {"n": [2, 3]}})",
           R"json({"match": "h.{layer}.w", "initializer": {"class_name": "RandomNormal",
              "config": {"stddev": "0.02 / sqrt(2 * (layer + 1))"}}},
             {"match": "u.*", "initializer": {"class_name": "RandomUniform",
              "config": {"minval": "-1 / sqrt(fan_in)", "maxval": "n * shape[0] + fan_out / shape[-1]", "seed": "n + 1"}}})json"));
  EXPECT_EQ(described(model, 0).distribution.stddev, 0.02 / std::sqrt(2.0));
  EXPECT_EQ(described(model, 2).distribution.stddev, 0.02 / std::sqrt(6.0));
  EXPECT_EQ(described(model, 3).distribution.low, -0.5);  // fan_in is 4
  EXPECT_EQ(described(model, 3).distribution.high, 9);    // 2 * 4 + 9 / 9
  EXPECT_EQ(described(model, 3).seed, 3u);
  EXPECT_EQ(described(model, 0).seed, 7u);
}

TEST(ModelSpec, RulesByShapeAndRank) {
  const auto model = read(spec(R"("a": [3], "b": [3, 4], "c": [5, 4], "d": [1, 1, 4])",
                               R"({"match": "*", "rank": 1, "initializer": "ones"},
                                  {"match": "*", "shape": ["w", null], "initializer": "he_normal"})",
                               R"("constants": {"w": 5},)"));
  std::string classes;
  for (const auto& tensor : model.tensors) classes += std::string(tensor.parts[0].initializer->class_name()) + " ";
  EXPECT_EQ(classes, "Ones Zeros HeNormal Zeros ");
  EXPECT_EQ(model.tensors[2].parts[0].rule, 1u);
}

TEST(ModelSpec, ShadowedAndUnusedRulesAreNoted) {
  const auto notes = [](const std::string& rules) { return read(spec(R"("a.w": [1], "a.b": [1])", rules)).notes; };
  EXPECT_EQ(notes(R"({"match": "*.b", "initializer": "ones"})"), Texts{});
  EXPECT_EQ(notes(R"({"match": "a.*", "initializer": "ones"}, {"match": "*.b", "initializer": "ones"},
                     {"match": "a.w", "initializer": "ones"}, {"match": "x.*", "initializer": "ones"})"),
            (Texts{R"(no tensor takes rules[1] "*.b": earlier rules match them all, such as rules[0] "a.*")",
                   R"(no tensor takes rules[2] "a.w": earlier rules match them all, such as rules[0] "a.*")",
                   R"(no tensor matches rules[3] "x.*")",
                   R"(no tensor takes rules[4] "*": earlier rules match them all, such as rules[0] "a.*")"}));
}

// The fans of a tensor of this shape with these members of its rule.
std::pair<std::uint64_t, std::uint64_t> fans(const std::string& shape, const std::string& options) {
  const auto model = read(spec("\"x\": " + shape, R"({"match": "x", "initializer": "he_normal", )" + options + "}"));
  const Fans fans = described(model).fans;
  return {fans.fan_in, fans.fan_out};
}

TEST(ModelSpec, FansByLayoutGroupsAndAxes) {
  using Pair = std::pair<std::uint64_t, std::uint64_t>;
  EXPECT_EQ(fans("[7, 5, 3, 2]", R"("layout": "OIHW")"), (Pair{30, 42}));
  EXPECT_EQ(fans("[7, 5, 3, 2]", R"("layout": "oi")"), (Pair{30, 42}));
  EXPECT_EQ(fans("[7, 5, 3, 2]", R"("layout": "HWIO")"), (Pair{105, 70}));
  EXPECT_EQ(fans("[7, 5, 3, 2]", R"("layout": "IO")"), (Pair{105, 70}));
  EXPECT_EQ(fans("[7, 5, 3, 2]", R"("layout": "OHWI")"), (Pair{30, 105}));
  EXPECT_EQ(fans("[7, 5, 3, 2]", R"("layout": "IOHW")"), (Pair{42, 30}));
  EXPECT_EQ(fans("[7, 5, 3, 2]", R"("layout": "HWOI")"), (Pair{70, 105}));
  EXPECT_EQ(fans("[7, 5]", R"("layout": "OHWI")"), (Pair{5, 7}));
  EXPECT_EQ(fans("[7, 5]", R"("layout": "IOHW")"), (Pair{7, 5}));
  EXPECT_EQ(fans("[7, 5, 3]", R"("layout": "OIW")"), (Pair{15, 21}));
  EXPECT_EQ(fans("[7]", R"("layout": "OHWI")"), (Pair{7, 7}));
  // PyTorch's convolution in groups: (out, in / groups, ...); transposed: (in, out / groups, ...).
  EXPECT_EQ(fans("[8, 5, 3, 2]", R"("layout": "OIHW", "groups": 4)"), (Pair{30, 12}));
  EXPECT_EQ(fans("[8, 5, 3, 2]", R"("layout": "OIHW", "transposed": true)"), (Pair{48, 30}));
  EXPECT_EQ(fans("[8, 5, 3, 2]", R"("layout": "OIHW", "transposed": true, "groups": "2 * 2")"), (Pair{12, 30}));
  EXPECT_EQ(fans("[9, 8, 5]", R"("batch_axes": [0])"), (Pair{8, 5}));
  EXPECT_EQ(fans("[8, 9, 5]", R"("batch_axes": [-2], "layout": "OI")"), (Pair{5, 8}));
  EXPECT_EQ(fans("[9, 8, 5, 2]", R"("input_axes": [0, 1], "output_axes": [-1])"), (Pair{72, 2}));
  EXPECT_EQ(fans("[9, 6]", R"("fan_in": "shape[0] / 3", "fan_out": 11)"), (Pair{3, 11}));
  EXPECT_EQ(fans("[9, 6]", R"("fan_out": 11)"), (Pair{9, 11}));
}

TEST(ModelSpec, FansOfAnotherTensor) {
  const auto model = read(spec(
      R"("m.l.weight": [7, 5], "m.l.bias": [7], "c.weight": [8, 5, 3, 3], "c.bias": [8],
         "qkv.weight": {"shape": [9, 5], "parts": [{"name": "q.weight", "size": 3}, {"size": 6}]}, "qkv.bias": [9], "q.bias": [3])",
      R"json({"match": "{m*}.bias", "fan_of": "{m*}.weight", "initializer": {"class_name": "RandomUniform",
              "config": {"minval": "-1 / sqrt(fan_in)", "maxval": "1 / sqrt(fan_in)"}}},
             {"match": "c.weight", "groups": 4, "initializer": "he_normal"})json",
      R"("layout": "oihw",)"));
  EXPECT_EQ(described(model, 1).distribution.high, 1 / std::sqrt(5.0));
  EXPECT_EQ(described(model, 1).fans.fan_out, 7u);
  EXPECT_EQ(described(model, 3).distribution.high, 1 / std::sqrt(45.0));
  EXPECT_EQ(described(model, 3).fans.fan_out, 18u);  // as the other tensor's rule says
  EXPECT_EQ(described(model, 5).fans.fan_out, 9u);   // of a whole tensor with parts
  EXPECT_EQ(described(model, 6).fans.fan_out, 3u);   // of a part
}

TEST(ModelSpec, PartsHaveNamesShapesAndRulesOfTheirOwn) {
  const auto model = read(spec(
      R"("l.{l}.qkv": {"shape": ["3 * w", "w"], "repeat": {"l": 2}, "parts": [
            {"name": "l.{l}.q", "size": "w"}, {"name": "l.{l}.{j}", "repeat": {"j": 2}, "size": "w"}]},
         "experts": {"shape": [3, 4, 5], "parts": [{"repeat": {"e": 3}, "size": 1, "shape": [4, 5]}]},
         "emb": {"shape": [6, 4], "axis": -2, "parts": [{"size": 1, "initializer": "zeros"}, {"size": 5}]})",
      R"({"match": "l.{x}.q", "initializer": "he_normal"}, {"match": "emb", "initializer": "ones"})",
      R"("constants": {"w": 4}, "layout": "OI",)"));
  ASSERT_EQ(model.tensors.size(), 4u);
  EXPECT_EQ(model.tensors[1].parts.size(), 3u);
  EXPECT_EQ(model.tensors[1].parts[0].name, "l.1.q");
  EXPECT_EQ(model.tensors[1].parts[2].name, "l.1.1");
  EXPECT_EQ(model.tensors[1].parts[0].initializer->class_name(), "HeNormal");
  EXPECT_EQ(model.tensors[1].parts[1].initializer->class_name(), "Zeros");
  EXPECT_EQ(model.tensors[2].parts[2].name, "experts[2]");
  EXPECT_EQ(model.tensors[2].parts[2].shape, (Shape{4, 5}));
  EXPECT_EQ(model.tensors[3].parts[0].rule, std::nullopt);
  EXPECT_EQ(model.tensors[3].parts[0].shape, (Shape{1, 4}));
  EXPECT_EQ(model.tensors[3].parts[1].initializer->class_name(), "Ones");  // by the whole's name
  EXPECT_EQ(model.tensors[3].parts[1].rule, 1u);
}

std::vector<float> whole(const ModelTensor& tensor) {
  std::vector<float> values(fanin::element_count(tensor.shape));
  fanin::fill(tensor, 0, values.size(), values.data());
  return values;
}

TEST(ModelSpec, AFusedTensorHasTheValuesOfSeparateOnes) {
  const std::string rules = R"({"match": "*", "initializer": "glorot_normal"})";
  const auto separate = read(spec(R"("q": [6, 4], "k": [6, 2], "v": [6, 2], "q2": [4, 6], "k2": [2, 6])", rules));
  const auto fused = read(spec(
      R"("qkv": {"shape": [6, 8], "axis": 1, "parts": [{"name": "q", "size": 4}, {"name": "k", "size": 2}, {"name": "v", "size": 2}]},
                   "qk2": {"shape": [6, 6], "parts": [{"name": "q2", "size": 4}, {"name": "k2", "size": 2}]})",
      rules));
  std::vector<float> expected;
  for (std::ptrdiff_t row = 0; row < 6; ++row) {
    for (const std::size_t part : {0u, 1u, 2u}) {
      const std::vector<float> values = whole(separate.tensors[part]);
      const std::ptrdiff_t columns = separate.tensors[part].shape[1];
      expected.insert(expected.end(), values.begin() + row * columns, values.begin() + (row + 1) * columns);
    }
  }
  EXPECT_EQ(whole(fused.tensors[0]), expected);
  expected = whole(separate.tensors[3]);
  const std::vector<float> k2 = whole(separate.tensors[4]);
  expected.insert(expected.end(), k2.begin(), k2.end());
  EXPECT_EQ(whole(fused.tensors[1]), expected);
}

TEST(ModelSpec, Ties) {
  const auto model = read(spec(R"("head": {"tie": "emb"}, "emb": [3, 2], "h.{l}.a": {"shape": [1], "repeat": {"l": 2}},
                                  "h.{l}.b": {"tie": "h.{l}.a", "repeat": {"l": 2}})"));
  EXPECT_EQ(names(model), "emb h.0.a h.1.a");
  EXPECT_EQ(model.tensors[0].ties, Texts{"head"});
  EXPECT_EQ(model.tensors[2].ties, Texts{"h.1.b"});
}

TEST(ModelSpec, RulesByClass) {
  fanin::ModelSpecOptions options;
  options.classes = {{"a.w", {"Linear", "nn.Linear"}}, {"b.w", {"MyNorm", "LayerNorm"}}};
  const auto rule_of = [&](const std::string& rule, std::size_t tensor) {
    const std::string text = R"({"tensors": {"a.w": [2], "b.w": [2], "c.w": [2]}, "rules": [)" + rule +
                             R"(, {"match": "*", "initializer": "zeros"}]})";
    return fanin::parse_model_spec(text, 1, options).tensors[tensor].parts[0].rule.value();
  };
  EXPECT_EQ(rule_of(R"({"class": "LayerNorm", "initializer": "ones"})", 1), 0u);  // any of the module's classes
  EXPECT_EQ(rule_of(R"({"class": "LayerNorm", "initializer": "ones"})", 0), 1u);
  EXPECT_EQ(rule_of(R"({"class": "*Norm", "match": "c*", "initializer": "ones"})", 1), 1u);  // both must match
  EXPECT_EQ(rule_of(R"({"class": "*", "initializer": "ones"})", 2), 1u);  // a tensor of no module has no class
  EXPECT_THROW(rule_of(R"({"class": "{c}", "initializer": "ones"})", 0), fanin::InvalidArgument);
  options.classes.reset();
  EXPECT_THROW(rule_of(R"({"class": "LayerNorm", "initializer": "ones"})", 0), fanin::InvalidArgument);
}

TEST(ModelSpec, Explanations) {
  ModelSpecOptions options;
  options.explain = true;
  const auto model = read(spec(R"("h.3": [4, 4])", R"json({"match": "h.{l}", "groups": 2,
      "initializer": {"class_name": "RandomNormal", "config": {"stddev": "1 / (l + 1)"}}})json"),
                          options);
  EXPECT_EQ(model.tensors[0].parts[0].reason, "stddev = 1 / (l + 1) = 0.25; groups = 2");
}

// A tensor of a specification is what a fill with these options writes.
TEST(ModelSpec, ScalesAndRounding) {
  ModelSpecOptions options;
  options.explain = true;
  const std::string rule = R"json({"match": "w", "dtype": "float8_e4m3fn", "output_scale": "sqrt(2 / fan_in) / c",
      "rounding": "stochastic", "initializer": "he_normal"})json";
  const auto model = read(spec(R"("w": [128, 32], "s": [1])", rule, R"("constants": {"c": 100},)"), options);
  const auto& part = model.tensors[0].parts[0];
  EXPECT_EQ(part.output_scale, 0.00125);
  EXPECT_EQ(part.rounding, fanin::Rounding::stochastic);
  EXPECT_EQ(part.reason, "output_scale = sqrt(2 / fan_in) / c = 0.00125");
  fanin::TensorOptions tensor;
  tensor.name = "w";
  tensor.output_scale.number = 0.00125;
  tensor.rounding = fanin::Rounding::stochastic;
  std::vector<unsigned char> expected(128 * 32), found(128 * 32);
  fanin::HeNormal(7).fill({expected.data(), DType::float8_e4m3fn, expected.size()}, {128, 32}, tensor);
  fanin::fill(model.tensors[0], 0, 1000, found.data());
  fanin::fill(model.tensors[0], 1000, found.size() - 1000, found.data() + 1000, 2);
  EXPECT_EQ(found, expected);

  const auto refused = [](const std::string& more, std::initializer_list<std::string_view> words) {
    fanin::test::expect_refused([&] { read(spec(R"("w": [4])", R"({"match": "w", )" + more + "}")); }, words);
  };
  refused(R"("initializer": "he_normal", "output_scale": 0)", {"rules[0].output_scale", "positive", "0"});
  refused(R"("initializer": "he_normal", "output_scale": true)", {"rules[0].output_scale", "a number or a formula"});
  refused(R"("initializer": "he_normal", "rounding": "up")", {"rules[0].rounding", "stochastic", "up"});
  refused(R"("initializer": "he_normal", "rounding": "stochastic")", {"narrower than float32"});
  refused(R"("load": "f.safetensors", "output_scale": 2)", {"rules[0].output_scale", "not converted"});
}

TEST(ModelSpec, ManyTensorsAreReadInLinearTime) {
  const auto seconds = [](int count) {
    std::string tensors;
    std::string rules;
    for (int j = 0; j < count; ++j) {
      tensors += (j > 0 ? ", \"t." : "\"t.") + std::to_string(j) + ".weight\": [8, 8]";
      const char* const end = j % 3 == 0 ? ".weight" : j % 3 == 1 ? ".*" : ".{x}";
      rules += R"({"match": "t.)" + std::to_string(j) + end + R"(", "initializer": "he_normal"}, )";
    }
    const auto start = std::chrono::steady_clock::now();
    EXPECT_EQ(
        read("{\"tensors\": {" + tensors + "}, \"rules\": [" + rules + R"({"match": "*", "initializer": "ones"}]})")
            .tensors.size(),
        static_cast<std::size_t>(count));
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  };
  seconds(1000);
  EXPECT_LT(seconds(16000), 10 * seconds(4000) + 0.1);  // quadratic time would be 16 times as long
}

TEST(ModelSpec, ManyConstantsAreReadInLinearTime) {
  const auto seconds = [](int count) {
    std::string constants = "\"c\": 1";
    std::string tensors = "\"t\": [2]";
    fanin::ModelSpecOptions options;
    for (int j = 0; j < count; ++j) {
      const std::string number = std::to_string(j);
      constants += ", \"c" + number + "\": 1";
      tensors += ", \"t" + number + "\": [\"c" + number + "\"]";
      options.constants.emplace_back("c" + number, 2);
    }
    const auto start = std::chrono::steady_clock::now();
    fanin::parse_model_spec("{\"constants\": {" + constants + "}, \"tensors\": {" + tensors + R"(},
      "rules": [{"match": "*", "initializer": {"class_name": "Constant", "config": {"value": "c"}}}]})",
                            7, options);
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  };
  seconds(1000);
  EXPECT_LT(seconds(16000), 10 * seconds(4000) + 0.1);
}

// The bytes of a whole tensor of its own.
std::vector<float> filled(const fanin::ModelPart& part) {
  std::vector<float> values(fanin::element_count(part.shape));
  part.initializer->fill(fanin::view(values.data(), values.size()), part.shape, part.options());
  return values;
}

TEST(ModelFill, PartsAreTensorsOfTheirOwnAlongAnyAxis) {
  for (const int axis : {0, 1, 2}) {
    fanin::ModelTensor tensor;
    tensor.axis = axis;
    tensor.shape = {4, 6, 5};
    tensor.shape[static_cast<std::size_t>(axis)] = 0;
    for (const auto& [name, size] : {std::pair{"q", 3}, {"none", 0}, {"k", 1}, {"v", 2}}) {
      fanin::ModelPart part;
      part.name = name;
      part.shape = {4, 6, 5};
      part.shape[static_cast<std::size_t>(axis)] = size;
      part.size = static_cast<std::uint64_t>(size);
      part.initializer = fanin::HeNormal(3);
      tensor.shape[static_cast<std::size_t>(axis)] += size;
      tensor.parts.push_back(part);
    }
    // Element by element, from the tensors of the parts.
    const std::uint64_t size = fanin::element_count(tensor.shape);
    std::vector<float> expected;
    const fanin::Shape& shape = tensor.shape;
    for (std::int64_t a = 0; a < shape[0]; ++a) {
      for (std::int64_t b = 0; b < shape[1]; ++b) {
        for (std::int64_t c = 0; c < shape[2]; ++c) {
          std::int64_t place[] = {a, b, c};
          const fanin::ModelPart* part = tensor.parts.data();
          for (; place[axis] >= static_cast<std::int64_t>(part->size); ++part) {
            place[axis] -= static_cast<std::int64_t>(part->size);
          }
          const auto index = (place[0] * part->shape[1] + place[1]) * part->shape[2] + place[2];
          expected.push_back(filled(*part)[static_cast<std::size_t>(index)]);
        }
      }
    }
    for (std::uint64_t first = 0; first <= size; ++first) {
      for (std::uint64_t count = 0; first + count <= size; ++count) {
        std::vector<float> found(size + 1, -1);
        fanin::fill(tensor, first, count, found.data(), 1);
        ASSERT_TRUE(std::equal(expected.begin() + static_cast<std::ptrdiff_t>(first),
                               expected.begin() + static_cast<std::ptrdiff_t>(first + count), found.begin()))
            << axis << ' ' << first << ' ' << count;
        ASSERT_EQ(found[count], -1);  // nothing behind it is written
      }
    }
    std::vector<float> none(1);
    EXPECT_THROW(fanin::fill(tensor, size, 1, none.data()), fanin::InvalidArgument);
  }
}

TEST(Safetensors, HeaderIsRefusedForNamesThatCannotBeRead) {
  const fanin::StoredTensor a{"a", {2}, fanin::DType::float32};
  const std::string header = fanin::safetensors_header({a, {"b", {}, fanin::DType::bfloat16}}, {{"format", "pt"}});
  EXPECT_EQ(header.size() % 8, 0u);
  EXPECT_EQ(header.substr(8, header.find_last_not_of(' ') - 7),
            R"({"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
            R"("b":{"dtype":"BF16","shape":[],"data_offsets":[8,10]}})");
  EXPECT_THROW(fanin::safetensors_header({a, a}, {}), fanin::InvalidArgument);
  EXPECT_THROW(fanin::safetensors_header({{"__metadata__", {2}, fanin::DType::float32}}, {}), fanin::InvalidArgument);
}

}  // namespace
