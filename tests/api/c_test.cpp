// SPDX-License-Identifier: Apache-2.0
// The C interface, beside the C++ one.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <fanin/fanin.hpp>
#include <optional>
#include <string>
#include <vector>

#include "fanin/fanin.h"

namespace {

struct Filled : testing::Test {
  void SetUp() override { ASSERT_EQ(fanin_make("he_normal", 42, &initializer), FANIN_OK); }
  void TearDown() override { fanin_free(initializer); }

  fanin_fill_args args() {
    fanin_fill_args all = FANIN_FILL_INIT;
    all.address = memory.data();
    all.capacity = memory.size() * sizeof(float);
    all.rank = 2;
    all.shape = shape;
    return all;
  }

  fanin_initializer* initializer = nullptr;
  const int64_t shape[2] = {8, 16};
  std::vector<float> memory = std::vector<float>(8 * 16, 7.0F);
};

using CInterface = Filled;

// What fanin_serialize writes for the initializer, which it frees.
std::string written(fanin_status status, fanin_initializer** initializer) {
  EXPECT_EQ(status, FANIN_OK) << fanin_last_error();
  std::vector<char> buffer(1000);
  size_t length = 0;
  EXPECT_EQ(fanin_serialize(*initializer, FANIN_KERAS3, buffer.data(), buffer.size(), &length), FANIN_OK);
  fanin_free(*initializer);
  *initializer = nullptr;
  return buffer.data();
}

TEST(CMakers, MakeWhatTheCppClassesAre) {
  fanin_initializer* made = nullptr;
  const int64_t shape[] = {2, 1};
  const double values[] = {1, 2};
  using fanin::serialize;
  EXPECT_EQ(written(fanin_make_dirac(3, &made), &made), serialize(fanin::Dirac(3)));
  EXPECT_EQ(written(fanin_make_bilinear(2, &made), &made), serialize(fanin::Bilinear(2)));
  EXPECT_EQ(written(fanin_make_forget_gate_bias(2, 0, 3, &made), &made), serialize(fanin::ForgetGateBias(2, 0, 3)));
  EXPECT_EQ(written(fanin_make_sparse(0.5, 2, 7, &made), &made), serialize(fanin::Sparse(0.5, 2, 7)));
  EXPECT_EQ(written(fanin_make_siren_first(7, &made), &made), serialize(fanin::SirenFirst(7)));
  EXPECT_EQ(written(fanin_make_siren_hidden(20, 7, &made), &made), serialize(fanin::SirenHidden(20, 7)));
  EXPECT_EQ(written(fanin_make_stft("imag", nullptr, "spectrum", 1, &made), &made),
            serialize(fanin::STFT("imag", std::nullopt, "spectrum", true)));
  EXPECT_EQ(written(fanin_make_constant_array(2, shape, values, &made), &made),
            serialize(fanin::Constant({2, 1}, {1, 2})));
  EXPECT_EQ(written(fanin_make_by_convention("torch", "kaiming_normal", 7, &made), &made),
            serialize(fanin::make("torch:kaiming_normal", 7)));
  EXPECT_EQ(fanin_make_by_convention("torch", "he_normal", 7, &made), FANIN_INVALID_ARGUMENT);
  EXPECT_NE(std::string(fanin_last_error()).find("\"kaiming_normal\""), std::string::npos);
  EXPECT_EQ(made, nullptr);
  EXPECT_EQ(fanin_make_stft("imag", "no", nullptr, 0, &made), FANIN_INVALID_ARGUMENT);
  EXPECT_EQ(fanin_make_constant_array(2, shape, nullptr, &made), FANIN_INVALID_ARGUMENT);

  double gain = 0;
  const double slope = 0.2;
  EXPECT_EQ(fanin_calculate_gain("leaky_relu", &slope, &gain), FANIN_OK);
  EXPECT_EQ(gain, fanin::calculate_gain("leaky_relu", 0.2));
  EXPECT_EQ(fanin_calculate_gain("leaky_relu", nullptr, &gain), FANIN_OK);
  EXPECT_EQ(gain, fanin::calculate_gain("leaky_relu"));
  EXPECT_EQ(fanin_calculate_gain("gelu", nullptr, &gain), FANIN_INVALID_ARGUMENT);
}

TEST_F(CInterface, MessagesEndWithAWholeCharacter) {
  for (std::size_t before = 0; before < 2; ++before) {
    std::string name(before, 'x');
    for (int j = 0; j < 2000; ++j) name += "é";
    fanin_initializer* made = nullptr;
    EXPECT_EQ(fanin_make(name.c_str(), 1, &made), FANIN_INVALID_ARGUMENT);
    const std::string message = fanin_last_error();
    EXPECT_GE(message.size(), 1022u);
    EXPECT_EQ(message.substr(message.size() - 2), "é");
  }
}

TEST_F(CInterface, HasTheLayoutOfTheConvention) {
  fanin_initializer* torch = nullptr;
  ASSERT_EQ(fanin_make("torch:kaiming_normal", 1, &torch), FANIN_OK);
  fanin_description description = FANIN_DESCRIPTION_INIT;
  EXPECT_EQ(fanin_describe(torch, 2, shape, FANIN_LAYOUT_OF_INITIALIZER, &description), FANIN_OK);
  EXPECT_EQ(description.fan_in, 16u);
  EXPECT_EQ(fanin_describe(torch, 2, shape, FANIN_HWIO, &description), FANIN_OK);
  EXPECT_EQ(description.fan_in, 8u);
  fanin_free(torch);
}

TEST_F(CInterface, HasTheBitsOfTheCppInterface) {
  fanin_fill_args all = args();
  all.name = "layer";
  all.threads = 1;
  ASSERT_EQ(fanin_fill(initializer, &all), FANIN_OK) << fanin_last_error();
  std::vector<float> expected(8 * 16);
  fanin::TensorOptions options;
  options.name = "layer";
  fanin::HeNormal(42).fill(fanin::view(expected), {8, 16}, options);
  EXPECT_EQ(memory, expected);
}

// A program that was compiled with an older header has a shorter struct; what follows it is not read.
TEST_F(CInterface, ShorterStructsHaveDefaultsForWhatTheyLack) {
  fanin_fill_args all = args();
  all.struct_size = offsetof(fanin_fill_args, device_seed);
  all.device_seed = reinterpret_cast<const uint64_t*>(memory.data());  // refused for host memory, if it were read
  EXPECT_EQ(fanin_fill(initializer, &all), FANIN_OK) << fanin_last_error();
  std::vector<float> expected(8 * 16);
  fanin::HeNormal(42).fill(fanin::view(expected), {8, 16});
  EXPECT_EQ(memory, expected);
  all.struct_size = sizeof all;
  EXPECT_EQ(fanin_fill(initializer, &all), FANIN_INVALID_ARGUMENT);
  all.struct_size = offsetof(fanin_fill_args, block_offset);
  all.name = "not read";
  memory.assign(memory.size(), 7.0F);
  EXPECT_EQ(fanin_fill(initializer, &all), FANIN_OK) << fanin_last_error();
  EXPECT_EQ(memory, expected);
}

// The structs of the header before plans ended with device_seed.
TEST_F(CInterface, AStructThatEndsWithTheDeviceSeed) {
  fanin_fill_args all = args();
  all.struct_size = offsetof(fanin_fill_args, device_call);
  all.device_call = reinterpret_cast<const uint64_t*>(memory.data());  // refused if it were read, and the next two also
  all.cpu_target = 99;
  all.leading_dimension = 1;
  ASSERT_EQ(fanin_fill(initializer, &all), FANIN_OK) << fanin_last_error();
  std::vector<float> expected(8 * 16);
  fanin::HeNormal(42).fill(fanin::view(expected), {8, 16});
  EXPECT_EQ(memory, expected);
  fanin_plan* plan = nullptr;
  ASSERT_EQ(fanin_plan_create(&plan), FANIN_OK);
  EXPECT_EQ(fanin_plan_add(plan, initializer, &all, nullptr), FANIN_OK) << fanin_last_error();
  memory.assign(memory.size(), 7.0F);
  EXPECT_EQ(fanin_plan_fill(plan, nullptr), FANIN_OK) << fanin_last_error();
  EXPECT_EQ(memory, expected);
  fanin_plan_free(plan);
}

TEST_F(CInterface, EveryCpuTargetThatThereIsGivesTheSameBits) {
  fanin_fill_args all = args();
  ASSERT_EQ(fanin_fill(initializer, &all), FANIN_OK) << fanin_last_error();
  const std::vector<float> expected = memory;
  const std::vector<fanin::CpuTarget> there = fanin::cpu_targets();
  for (int32_t target = FANIN_CPU_AUTOMATIC; target <= FANIN_CPU_SVE; ++target) {
    const bool is_there = target == FANIN_CPU_AUTOMATIC ||
                          std::count(there.begin(), there.end(), static_cast<fanin::CpuTarget>(target)) > 0;
    memory.assign(memory.size(), 7.0F);
    all.cpu_target = target;
    EXPECT_EQ(fanin_fill(initializer, &all), is_there ? FANIN_OK : FANIN_INVALID_ARGUMENT) << target;
    EXPECT_EQ(memory, is_there ? expected : std::vector<float>(memory.size(), 7.0F)) << target;
  }
}

TEST_F(CInterface, RefusesOtherSizesAndNumbers) {
  const std::vector<float> before = memory;
  for (const size_t size :
       {size_t{0}, size_t{8}, offsetof(fanin_fill_args, device_seed) - 1, sizeof(fanin_fill_args) + 1, ~size_t{0}}) {
    fanin_fill_args all = args();
    all.struct_size = size;
    EXPECT_EQ(fanin_fill(initializer, &all), FANIN_INVALID_ARGUMENT) << size;
    EXPECT_NE(std::strstr(fanin_last_error(), "struct_size"), nullptr) << fanin_last_error();
  }
  for (const int32_t dtype : {-1, 12, 256, 1 << 30}) {
    fanin_fill_args all = args();
    all.dtype = dtype;
    EXPECT_EQ(fanin_fill(initializer, &all), FANIN_INVALID_ARGUMENT) << dtype;
    EXPECT_NE(std::strstr(fanin_last_error(), ("dtype number " + std::to_string(dtype)).c_str()), nullptr);
  }
  for (const int32_t layout : {-1, 3, 9}) {
    fanin_fill_args all = args();
    all.layout = layout;
    EXPECT_EQ(fanin_fill(initializer, &all), FANIN_INVALID_ARGUMENT) << layout;
  }
  EXPECT_EQ(memory, before);
}

TEST_F(CInterface, FillsInLowPrecision) {
  std::vector<float> weights(128);
  fanin_fill_args all = FANIN_FILL_INIT;
  const int64_t extents[2] = {2, 64};
  all.address = weights.data();
  all.capacity = 512;
  all.rank = 2;
  all.shape = extents;
  ASSERT_EQ(fanin_fill(initializer, &all), FANIN_OK) << fanin_last_error();
  std::vector<uint8_t> scales(4), packed(64), expected(64);
  ASSERT_EQ(fanin_mx_scales(weights.data(), 128, FANIN_FLOAT4_E2M1FN, scales.data(), 32), FANIN_OK);
  all.address = packed.data();
  all.capacity = packed.size();
  all.dtype = FANIN_FLOAT4_E2M1FN;
  all.output_scales = scales.data();
  all.output_scale_count = scales.size();
  all.rounding = FANIN_STOCHASTIC;
  ASSERT_EQ(fanin_fill(initializer, &all), FANIN_OK) << fanin_last_error();
  fanin::TensorOptions options;
  options.output_scale = {1, scales.data(), fanin::DType::float8_e8m0fnu, 4, 32};
  options.rounding = fanin::Rounding::stochastic;
  fanin::HeNormal(42).fill({expected.data(), fanin::DType::float4_e2m1fn, 64}, {2, 64}, options);
  EXPECT_EQ(packed, expected);
  all.rounding = 2;
  EXPECT_EQ(fanin_fill(initializer, &all), FANIN_INVALID_ARGUMENT);
  EXPECT_STREQ(fanin_last_error(), "rounding number 2 does not exist");
  EXPECT_EQ(fanin_mx_scales(weights.data(), 33, FANIN_FLOAT4_E2M1FN, scales.data(), 32), FANIN_INVALID_ARGUMENT);
}

// A model's specification becomes a plan over memory of the caller's.
TEST(CModel, FillsAsTheCppInterface) {
  const char* const json = R"({"dtype": "float32", "constants": {"width": 8}, "tensors": {
    "a.weight": ["width", 4], "b.weight": {"shape": [2, "width"], "dtype": "bfloat16"}},
    "rules": [{"match": "*.weight", "initializer": "he_normal"}]})";
  const fanin_constant width{"width", 6};
  fanin_model* model = nullptr;
  ASSERT_EQ(fanin_model_parse(json, 42, &width, 1, &model), FANIN_OK) << fanin_last_error();
  ASSERT_EQ(fanin_model_size(model), 2u);
  fanin_model_tensor tensor = FANIN_MODEL_TENSOR_INIT;
  ASSERT_EQ(fanin_model_describe(model, 1, &tensor), FANIN_OK) << fanin_last_error();
  EXPECT_STREQ(tensor.name, "b.weight");
  EXPECT_EQ(tensor.dtype, FANIN_BFLOAT16);
  ASSERT_EQ(tensor.rank, 2u);
  EXPECT_EQ(tensor.shape[1], 6);
  EXPECT_EQ(tensor.tie_count, 0u);

  // The lower half of the first tensor.
  std::vector<float> memory(3 * 4, 7.0F);
  const int64_t offset[2] = {3, 0};
  const int64_t extent[2] = {3, 4};
  fanin_fill_args args = FANIN_FILL_INIT;
  args.address = memory.data();
  args.capacity = memory.size() * sizeof(float);
  args.rank = 2;
  args.block_offset = offset;
  args.block_extent = extent;
  fanin_plan* plan = nullptr;
  ASSERT_EQ(fanin_plan_create(&plan), FANIN_OK);
  ASSERT_EQ(fanin_plan_add_tensor(plan, model, 0, &args), FANIN_OK) << fanin_last_error();
  std::vector<float> other(memory.size());
  fanin_fill_args scaled = args;
  scaled.address = other.data();
  scaled.output_scale = 0.5;
  fanin_fill_args rounded = args;
  rounded.address = other.data();
  rounded.rounding = FANIN_STOCHASTIC;
  for (const fanin_fill_args* refused : {&scaled, &rounded}) {
    EXPECT_EQ(fanin_plan_add_tensor(plan, model, 0, refused), FANIN_INVALID_ARGUMENT);
    EXPECT_EQ(fanin_plan_add_copy(plan, 0, refused, nullptr), FANIN_INVALID_ARGUMENT);
    EXPECT_NE(std::string(fanin_last_error()).find("must have their defaults"), std::string::npos);
  }
  EXPECT_EQ(fanin_plan_size(plan), 1u);
  EXPECT_EQ(fanin_plan_add_tensor(plan, model, 2, &args), FANIN_INVALID_ARGUMENT);
  EXPECT_NE(std::string(fanin_last_error()).find("no tensor 2: the model has 2"), std::string::npos);
  EXPECT_EQ(fanin_model_describe(model, 2, &tensor), FANIN_INVALID_ARGUMENT);
  fanin_model_free(model);
  ASSERT_EQ(fanin_plan_fill(plan, nullptr), FANIN_OK) << fanin_last_error();
  fanin_plan_free(plan);

  std::vector<float> whole(6 * 4);
  fanin::TensorOptions options;
  options.name = "a.weight";
  fanin::HeNormal(42).fill(fanin::view(whole), {6, 4}, options);
  EXPECT_EQ(memory, std::vector<float>(whole.begin() + 12, whole.end()));
}

TEST(CModel, Refusals) {
  fanin_model* model = nullptr;
  EXPECT_EQ(fanin_model_parse("{", 1, nullptr, 0, &model), FANIN_INVALID_ARGUMENT);
  EXPECT_EQ(model, nullptr);
  EXPECT_EQ(fanin_model_parse(nullptr, 1, nullptr, 0, &model), FANIN_INVALID_ARGUMENT);
  EXPECT_EQ(fanin_model_parse("{}", 1, nullptr, 1, &model), FANIN_INVALID_ARGUMENT);
  EXPECT_EQ(fanin_model_size(nullptr), 0u);
  fanin_model_free(nullptr);
}

}  // namespace
