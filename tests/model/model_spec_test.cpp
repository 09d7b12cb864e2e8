// SPDX-License-Identifier: Apache-2.0
#include "fanin/model_spec.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "fanin/error.h"
#include "fanin/safetensors.h"
#include "model/glob.h"

namespace {

using fanin::detail::glob_matches;

TEST(Glob, Matches) {
  EXPECT_TRUE(glob_matches("", ""));
  EXPECT_FALSE(glob_matches("", "a"));
  EXPECT_TRUE(glob_matches("*", ""));
  EXPECT_TRUE(glob_matches("*", "a.b"));
  EXPECT_TRUE(glob_matches("a*c", "abbc"));
  EXPECT_FALSE(glob_matches("a*c", "abbd"));
  EXPECT_TRUE(glob_matches("*.c_proj.weight", "h.0.attn.c_proj.weight"));
  EXPECT_FALSE(glob_matches("*.c_proj.weight", "h.0.attn.c_proj.bias"));
  EXPECT_TRUE(glob_matches("h.?.*", "h.3.x"));
  EXPECT_FALSE(glob_matches("h.?.*", "h.11.x"));
  EXPECT_TRUE(glob_matches("*a*a*a", "aaaa"));
  EXPECT_FALSE(glob_matches("*a*a*a*a*a", "aaaa"));
  EXPECT_TRUE(glob_matches("a**", "a"));
}

TEST(ModelSpec, FirstRuleWinsAndUnusedOnesAreNamed) {
  const auto spec = fanin::parse_model_spec(
      R"({"name": "m", "dtype": "float16", "layout": "oihw", "tensors": {"b": [2, 3], "a": {"shape": [], "layout": "hwio"}},
          "rules": [{"match": "b", "initializer": {"class_name": "RandomNormal", "config": {"stddev": 2, "seed": 5}}},
                    {"match": "?", "initializer": "ones"}, {"match": "c*", "initializer": "zeros"}]})",
      7);
  ASSERT_EQ(spec.tensors.size(), 2u);
  EXPECT_EQ(spec.tensors[0].name, "b");  // the specification's order
  EXPECT_EQ(spec.tensors[0].initializer.class_name(), "RandomNormal");
  EXPECT_EQ(spec.tensors[0].initializer.seed().value(), 5u);
  EXPECT_EQ(spec.tensors[0].dtype, fanin::DType::float16);
  EXPECT_EQ(spec.tensors[0].layout, fanin::Layout::oihw);
  EXPECT_EQ(spec.tensors[1].initializer.class_name(), "Ones");
  EXPECT_EQ(spec.tensors[1].layout, fanin::Layout::hwio);
  EXPECT_EQ(spec.unused_rules, (std::vector<std::string>{"c*"}));
}

TEST(ModelSpec, TheSeedIsTheModels) {
  const auto spec = fanin::parse_model_spec(
      R"({"tensors": {"a": [2]}, "rules": [{"match": "*", "initializer": "he_normal"}]})", 18446744073709551615u);
  EXPECT_EQ(spec.tensors[0].initializer.seed().value(), 18446744073709551615u);
  EXPECT_EQ(spec.tensors[0].initializer.seed().kind(), fanin::Seed::Kind::fixed);
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
