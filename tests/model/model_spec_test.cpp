// SPDX-License-Identifier: Apache-2.0
#include "fanin/model_spec.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "fanin/error.h"
#include "fanin/initializers.h"
#include "fanin/safetensors.h"
#include "model/name_pattern.h"

namespace {

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
  const std::string name(200, 'a');
  EXPECT_FALSE(match((globs + "b").c_str(), name.c_str()));
  EXPECT_FALSE(match((captures + "b").c_str(), name.c_str()));
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
  EXPECT_EQ(spec.notes, (std::vector<std::string>{"no tensor matches the rule \"c*\""}));
}

TEST(ModelSpec, TheSeedIsTheModels) {
  const auto spec = fanin::parse_model_spec(
      R"({"tensors": {"a": [2]}, "rules": [{"match": "*", "initializer": "he_normal"}]})", 18446744073709551615u);
  EXPECT_EQ(spec.tensors[0].parts[0].initializer->seed().value(), 18446744073709551615u);
  EXPECT_EQ(spec.tensors[0].parts[0].initializer->seed().kind(), fanin::Seed::Kind::fixed);
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
