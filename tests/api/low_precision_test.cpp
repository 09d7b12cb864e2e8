// SPDX-License-Identifier: Apache-2.0
// Low precision: docs/VALUES.md, section 9. low_precision.json holds the answers of an independent oracle.
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "config/json_text.h"
#include "fanin/fanin.hpp"
#include "fanin/fill.h"
#include "fanin/safetensors.h"
#include "support/npy_file.h"
#include "support/test_support.h"

namespace {

using fanin::bytes_of;
using fanin::Constant;
using fanin::DType;
using fanin::ElementRange;
using fanin::Formula;
using fanin::Initializer;
using fanin::InvalidArgument;
using fanin::Orthogonal;
using fanin::OutputScale;
using fanin::Plan;
using fanin::RandomNormal;
using fanin::RandomUniform;
using fanin::Rounding;
using fanin::RunOptions;
using fanin::Shape;
using fanin::TensorOptions;
using fanin::TruncatedNormal;
using fanin::View;
using fanin::detail::Json;
using fanin::test::all_poison;
using fanin::test::Bytes;
using fanin::test::expect_refused;
using fanin::test::on_threads;
using fanin::test::poison;
using fanin::test::view_of;

constexpr std::array<DType, 9> narrow{DType::float16,       DType::bfloat16,        DType::float8_e4m3fn,
                                      DType::float8_e5m2,   DType::float8_e4m3fnuz, DType::float8_e5m2fnuz,
                                      DType::float6_e2m3fn, DType::float6_e3m2fn,   DType::float4_e2m1fn};

std::uint64_t count_of(const Shape& shape, const fanin::Block& block) {
  if (block.elements) return block.elements->count;
  return element_count(block.extent.empty() ? shape : block.extent);
}

Bytes filled(const Initializer& initializer, const Shape& shape, DType dtype, const TensorOptions& options = {},
             const RunOptions& run = {}) {
  Bytes bytes(bytes_of(dtype, count_of(shape, options.block)), poison);
  initializer.fill(view_of(bytes, dtype), shape, options, run);
  return bytes;
}

std::vector<double> decoded(const Bytes& bytes, DType dtype) {
  std::vector<double> values(bytes.size() * 8 / fanin::facts_of(dtype).bits);
  fanin::to_binary64(values.data(), bytes.data(), dtype, values.size());
  return values;
}

TensorOptions with_rounding(Rounding rounding) {
  TensorOptions options;
  options.rounding = rounding;
  return options;
}

TensorOptions with_scale(double scale) {
  TensorOptions options;
  options.output_scale.number = scale;
  return options;
}

TensorOptions with_scales(const std::vector<std::uint8_t>& scales, std::uint32_t group = 32) {
  TensorOptions options;
  options.output_scale = {1, scales.data(), DType::float8_e8m0fnu, scales.size(), group};
  return options;
}

Initializer initializer_of(const Json& one) {
  const auto seed = one["seed"].get<std::uint64_t>();
  const auto number = [&](const char* key) { return one[key].get<double>(); };
  const auto kind = one["kind"].get<std::string>();
  if (kind == "constant") return Constant(number("value"));
  if (kind == "uniform") return RandomUniform(number("low"), number("high"), seed);
  if (kind == "normal") return RandomNormal(0, number("stddev"), seed);
  return TruncatedNormal(0, number("stddev"), seed, number("lower"), number("upper"));
}

std::string hex_of(const Bytes& bytes) {
  std::string text;
  for (const unsigned char byte : bytes) {
    text += "0123456789abcdef"[byte >> 4];
    text += "0123456789abcdef"[byte & 15];
  }
  return text;
}

TEST(LowPrecision, HasTheOraclesBitsOnEveryTarget) {
  const Json cases = fanin::detail::parse_json(fanin::test::read_text(FANIN_TEST_DATA "/contract/low_precision.json"));
  EXPECT_GE(cases.size(), 99U);
  for (const Json& one : cases) {
    const DType dtype = fanin::parse_dtype(one["dtype"].get<std::string>());
    TensorOptions options;
    options.subsequence = one["subsequence"].get<std::uint64_t>();
    if (one.value("rounding", "nearest") == "stochastic") options.rounding = Rounding::stochastic;
    options.output_scale.number = one.value("scale", 1.0);
    std::vector<float> scales;
    if (one.contains("scales")) {
      for (const Json& scale : one["scales"]) scales.push_back(scale.get<float>());
      options.output_scale = {1, scales.data(), DType::float32, scales.size()};
    }
    for (const fanin::CpuTarget target : fanin::cpu_targets()) {
      RunOptions run = on_threads(1);
      run.cpu_target = target;
      const Bytes bytes = filled(initializer_of(one), one["shape"].get<Shape>(), dtype, options, run);
      Json about = one;
      about.erase("bytes");
      EXPECT_EQ(hex_of(bytes), one["bytes"].get<std::string>()) << about.dump() << " on " << name_of(target);
    }
  }
}

TEST(LowPrecision, SplitsAndThreadsDoNotChangeBits) {
  const Shape shape{96, 4096};
  std::vector<std::uint8_t> scales(96 * 128);
  for (std::size_t j = 0; j < scales.size(); ++j) scales[j] = static_cast<std::uint8_t>(120 + j % 9);
  for (const DType dtype : narrow) {
    SCOPED_TRACE(name_of(dtype));
    TensorOptions options = with_scales(scales);
    options.rounding = Rounding::stochastic;
    const RandomNormal normal(0.25, 0.5, 3);
    const Bytes whole = filled(normal, shape, dtype, options, on_threads(1));
    EXPECT_EQ(filled(normal, shape, dtype, options, on_threads(3)), whole);

    const fanin::FillParams params = normal.params(shape, dtype, options);
    Bytes parts(whole.size(), poison);
    const std::uint64_t count = element_count(shape);
    for (std::uint64_t first = 0; first < count;) {  // in parts that do not keep to the groups of scales
      const std::uint64_t n = std::min<std::uint64_t>(count - first, 12 + first % 9000 / 4 * 4);
      const std::uint64_t bytes = bytes_of(dtype, n);
      fill({parts.data() + bytes_of(dtype, first), dtype, bytes}, part_of(params, first, n));
      first += n;
    }
    EXPECT_EQ(parts, whole);

    TensorOptions block = options;  // rows 5 ... 6, columns 64 ... 191
    block.block = {{5, 64}, {2, 128}};
    std::vector<std::uint8_t> its_scales;
    for (const std::size_t row : {std::size_t{5}, std::size_t{6}}) {
      its_scales.insert(its_scales.end(), &scales[row * 128 + 2], &scales[row * 128 + 6]);
    }
    block.output_scale.blocks = its_scales.data();
    block.output_scale.count = its_scales.size();
    const Bytes got = filled(normal, shape, dtype, block);
    const std::uint64_t row_bytes = bytes_of(dtype, 128);
    for (const std::uint64_t row : {std::uint64_t{0}, std::uint64_t{1}}) {
      const auto from = whole.begin() + static_cast<std::ptrdiff_t>(bytes_of(dtype, (5 + row) * 4096 + 64));
      EXPECT_TRUE(std::equal(from, from + static_cast<std::ptrdiff_t>(row_bytes),
                             got.begin() + static_cast<std::ptrdiff_t>(row * row_bytes)));
    }
    const std::uint64_t pitch = 160;  // the same rows, apart in memory
    Bytes apart(bytes_of(dtype, pitch + 128), poison);
    View view = view_of(apart, dtype);
    view.leading_dimension = pitch;
    normal.fill(view, shape, block);
    const auto second = apart.begin() + static_cast<std::ptrdiff_t>(bytes_of(dtype, pitch));
    EXPECT_TRUE(std::equal(got.begin(), got.begin() + static_cast<std::ptrdiff_t>(row_bytes), apart.begin()));
    EXPECT_TRUE(std::equal(got.begin() + static_cast<std::ptrdiff_t>(row_bytes), got.end(), second));
    EXPECT_TRUE(all_poison(apart.data() + row_bytes, apart.data() + bytes_of(dtype, pitch)));

    TensorOptions range = with_rounding(Rounding::stochastic);
    const Bytes unscaled = filled(normal, shape, dtype, range);
    range.block.elements = ElementRange{1004, 3000};
    const Bytes stretch = filled(normal, shape, dtype, range);
    EXPECT_TRUE(std::equal(stretch.begin(), stretch.end(),
                           unscaled.begin() + static_cast<std::ptrdiff_t>(bytes_of(dtype, 1004))));
  }
}

// The errors of 2^24 values per dtype, in spacings, against their standard error. Nearest rounding fails at once, as
// all values are about 0.3 spacings from a neighbour. False alarms: 6e-5 for each dtype; the seeds are fixed.
TEST(LowPrecision, StochasticRoundingIsUnbiased) {
  constexpr std::int64_t count = 1 << 16;
  std::uint64_t tensor = 0;
  for (const DType dtype : narrow) {
    const fanin::DTypeFacts& facts = fanin::facts_of(dtype);
    const int least = 1 - facts.exponent_bias;  // exponent of the smallest normal number
    const int mantissa = facts.significant_bits - 1;
    double error = 0;
    double variance = 0;
    for (const int binade : {least - 1, least, least + 1, least + 2}) {  // the first has subnormals
      const double spacing = std::ldexp(1, std::max(binade, least) - mantissa);
      const double lower = binade < least ? 0 : std::ldexp(1, binade);
      for (const int sign : {-1, 1}) {
        const RandomNormal normal(sign * (lower + 0.3 * spacing), 0.07 * spacing, 17);
        for (int part = 0; part < 32; ++part) {
          TensorOptions options = with_rounding(Rounding::stochastic);
          options.subsequence = tensor++;  // all draws and all words are different
          const std::vector<double> got = decoded(filled(normal, {count}, dtype, options), dtype);
          options.rounding = Rounding::nearest;
          const std::vector<double> exact = decoded(filled(normal, {count}, DType::float32, options), DType::float32);
          for (std::size_t j = 0; j < exact.size(); ++j) {
            const double fraction = std::fmod(std::abs(exact[j]), spacing) / spacing;
            const double e = (got[j] - exact[j]) / spacing;
            ASSERT_LT(std::abs(e), 1) << name_of(dtype) << ": " << exact[j] << " becomes " << got[j];
            error += sign * e;
            variance += fraction * (1 - fraction);
          }
        }
      }
    }
    EXPECT_LE(std::abs(error), 4 * std::sqrt(variance)) << name_of(dtype);
  }
}

TEST(LowPrecision, StochasticRoundingKeepsElementsAndBounds) {
  for (const DType dtype : narrow) {
    SCOPED_TRACE(name_of(dtype));
    const double largest = fanin::facts_of(dtype).largest;
    const RandomUniform uniform(-0.8, 0.8, 5);
    for (const double v : decoded(filled(uniform, {1 << 12}, dtype, with_rounding(Rounding::stochastic)), dtype)) {
      ASSERT_LE(std::abs(v), 0.8);
    }
    const RandomNormal wide(0, largest < 1e30 ? 4 * largest : largest / 4, 5);
    for (const double v : decoded(filled(wide, {1 << 12}, dtype, with_rounding(Rounding::stochastic)), dtype)) {
      ASSERT_LE(std::abs(v), largest);
    }
    // Constants have no seed, and are rounded to nearest.
    EXPECT_EQ(filled(Constant(0.3), {8}, dtype, with_rounding(Rounding::stochastic)),
              filled(Constant(0.3), {8}, dtype));
  }
}

TEST(LowPrecision, PowersOfTwoScaleExactly) {
  const RandomNormal normal(0, 0.02, 9);
  const std::vector<double> plain = decoded(filled(normal, {4096}, DType::float32), DType::float32);
  for (const DType dtype : {DType::float32, DType::float64}) {
    const std::vector<double> scaled = decoded(filled(normal, {4096}, dtype, with_scale(0x1p-7)), dtype);
    const std::vector<double> whole = decoded(filled(normal, {4096}, dtype), dtype);
    for (std::size_t j = 0; j < plain.size(); ++j) ASSERT_EQ(scaled[j] * 0x1p-7, whole[j]);
  }
  const std::vector<double> divided = decoded(filled(normal, {4096}, DType::float32, with_scale(0.3)), DType::float32);
  for (std::size_t j = 0; j < plain.size(); ++j) {
    ASSERT_EQ(divided[j], static_cast<double>(static_cast<float>(plain[j]) / 0.3F));
  }
}

TEST(LowPrecision, EveryInitializerHasIt) {
  const Shape shape{32, 32};
  for (const DType dtype : narrow) {
    SCOPED_TRACE(name_of(dtype));
    for (const Initializer& one : {Initializer(Orthogonal(1, 4)), Initializer(Formula("z / 8", {}, 4)),
                                   Initializer(fanin::Identity(2)), Initializer(fanin::HeNormal(4))}) {
      const std::vector<double> exact = decoded(filled(one, shape, DType::float32, with_scale(0.0625)), DType::float32);
      const std::vector<double> got = decoded(filled(one, shape, dtype, with_scale(0.0625)), dtype);
      const fanin::DTypeFacts& facts = fanin::facts_of(dtype);
      for (std::size_t j = 0; j < exact.size(); ++j) {
        const double within = std::min(std::abs(exact[j]), facts.largest);
        const double step = std::ldexp(1, std::max(std::ilogb(within), 1 - facts.exponent_bias));
        const double spacing = within == 0 ? 0 : step * std::ldexp(1, 1 - facts.significant_bits);
        ASSERT_LE(std::abs(std::abs(got[j]) - within), spacing * 0.5001) << one.class_name() << ": " << exact[j];
      }
    }
  }
  // A Formula's values are clamped here; those of section 7 are refused.
  EXPECT_EQ(decoded(filled(Formula("i[0] * 100 - 100"), {4}, DType::float4_e2m1fn), DType::float4_e2m1fn),
            (std::vector<double>{-6, 0, 6, 6}));
  expect_refused([] { filled(Formula("1 / i[0]"), {4}, DType::float4_e2m1fn); }, {"not finite in float64: inf"});
}

TEST(LowPrecision, PacksTheFirstElementIntoTheLowestBits) {
  const Formula values("if(i[0] == 0, 1, if(i[0] == 1, -6, 0.5))");
  EXPECT_EQ(filled(values, {4}, DType::float4_e2m1fn), (Bytes{0xf2, 0x11}));
  // 1, -6, 0.5, 0.5 in e2m3: 0x08, 0x3c, 0x04, 0x04 (6 bits each).
  EXPECT_EQ(filled(values, {4}, DType::float6_e2m3fn), (Bytes{0x08, 0x4f, 0x10}));
  for (const DType dtype : {DType::float4_e2m1fn, DType::float6_e3m2fn}) {
    const std::vector<double> packed = decoded(filled(fanin::HeNormal(1), {64}, dtype), dtype);
    Bytes bytes(63, poison);
    View view = view_of(bytes, dtype);
    view.unpacked = true;
    fanin::HeNormal(1).fill(view, {64}, {{}, {}, {{}, {}, ElementRange{0, 63}}});
    for (std::size_t j = 0; j < 63; ++j) {
      double one = 0;
      const Bytes group{bytes[j], 0, 0};
      fanin::to_binary64(&one, group.data(), dtype, 1);
      ASSERT_EQ(one, packed[j]) << j;
    }
  }
}

TEST(LowPrecision, NegativeZeroIsPositiveWithoutIt) {
  for (const DType dtype : {DType::float8_e4m3fnuz, DType::float8_e5m2fnuz}) {
    EXPECT_EQ(filled(Constant(-1e-9), {2}, dtype), (Bytes{0, 0}));
    EXPECT_EQ(filled(Constant(-0.0), {2}, dtype), (Bytes{0, 0}));
  }
  EXPECT_EQ(filled(Constant(-0.0), {2}, DType::float4_e2m1fn), (Bytes{0x88}));
}

TEST(LowPrecision, ComputesTheScalesOfOcpMx) {
  const Shape shape{8, 64};
  std::vector<float> weights(512);
  RandomNormal(0, 0.02, 11).fill(fanin::view(weights), shape);
  std::fill_n(weights.begin(), 32, 0.0F);
  for (const DType dtype :
       {DType::float8_e4m3fn, DType::float8_e5m2, DType::float6_e2m3fn, DType::float6_e3m2fn, DType::float4_e2m1fn}) {
    std::vector<std::uint8_t> scales(16);
    fanin::mx_scales(weights.data(), weights.size(), dtype, scales.data());
    const std::vector<double> values = decoded(scales, DType::float8_e8m0fnu);
    EXPECT_EQ(values[0], 0x1p-127);
    const double largest_power = std::exp2(std::floor(std::log2(fanin::facts_of(dtype).largest)));
    for (std::size_t j = 1; j < scales.size(); ++j) {
      float largest = 0;
      for (std::size_t k = 32 * j; k < 32 * j + 32; ++k) largest = std::max(largest, std::abs(weights[k]));
      EXPECT_LE(values[j] * largest_power, static_cast<double>(largest));
      EXPECT_GT(values[j] * largest_power * 2, static_cast<double>(largest));
    }
  }
  EXPECT_EQ(filled(Constant(0.125), {3}, DType::float8_e8m0fnu), (Bytes{124, 124, 124}));
  expect_refused([] { filled(Constant(3), {4}, DType::float8_e8m0fnu); }, {"power of two", "value=3"});
  expect_refused([] { filled(RandomNormal(0, 1, 1), {4}, DType::float8_e8m0fnu); }, {"float8_e8m0fnu holds scales"});
  std::vector<std::uint8_t> scales(16, poison);
  weights[500] = std::numeric_limits<float>::infinity();
  const auto refuse = [&](std::size_t count, DType dtype, std::uint32_t group, std::string_view why) {
    expect_refused([&] { fanin::mx_scales(weights.data(), count, dtype, scales.data(), group); }, {why});
    EXPECT_TRUE(all_poison(scales.data(), scales.data() + scales.size()));
  };
  refuse(512, DType::float4_e2m1fn, 32, "value number 500 is not finite");
  refuse(48, DType::float4_e2m1fn, 32, "multiple");
  refuse(64, DType::float4_e2m1fn, 8, "group=8");
  refuse(64, DType::float8_e8m0fnu, 32, "dtype of the scales");
}

TEST(LowPrecision, RefusesWhatItCannotDoBeforeItWrites) {
  const std::vector<std::uint8_t> scales(8, 127);
  const auto refuse = [](const Initializer& initializer, const Shape& shape, DType dtype, const TensorOptions& options,
                         std::initializer_list<std::string_view> why) {
    Bytes bytes(4096, poison);
    expect_refused([&] { initializer.fill(view_of(bytes, dtype), shape, options); }, why);
    EXPECT_TRUE(all_poison(bytes.data(), bytes.data() + bytes.size()));
  };
  const RandomNormal normal(0, 1, 1);
  refuse(normal, {3}, DType::float4_e2m1fn, {}, {"packed", "multiple of 2"});
  refuse(normal, {6}, DType::float6_e2m3fn, {}, {"packed", "multiple of 4"});
  TensorOptions block;
  block.block = {{0, 1}, {2, 2}};
  refuse(normal, {4, 4}, DType::float4_e2m1fn, block, {"in each row of a block"});
  for (const double scale : {0.0, -1.0, 1e-60, 1e60, std::numeric_limits<double>::quiet_NaN()}) {
    refuse(normal, {32}, DType::float8_e4m3fn, with_scale(scale), {"positive and finite"});
  }
  refuse(normal, {8, 31}, DType::float16, with_scales(scales), {"last extent", "32"});
  refuse(normal, {8, 64}, DType::float16, with_scales(scales), {"16 scales. Received: 8"});
  refuse(normal, {8, 32}, DType::float16, with_scales(scales, 5), {"group=5"});
  TensorOptions both = with_scales(scales);
  both.output_scale.number = 2;
  refuse(normal, {8, 32}, DType::float16, both, {"one scale or an array"});
  TensorOptions cut = with_scales(scales);
  cut.block = {{0, 16}, {8, 32}};
  refuse(normal, {8, 64}, DType::float16, cut, {"group of a scale"});
  const std::vector<std::uint8_t> nan(8, 255);
  refuse(normal, {8, 32}, DType::float16, with_scales(nan), {"positive and finite", "number 0"});
  const Rounding wrong = static_cast<Rounding>(9);
  refuse(normal, {4}, DType::float16, with_rounding(wrong), {"rounding number 9"});
  refuse(normal, {4}, DType::float32, with_rounding(Rounding::stochastic), {"narrower than float32"});
  refuse(RandomUniform(1.1, 1.2, 1), {4}, DType::float4_e2m1fn, {}, {"No value of float4_e2m1fn"});
  refuse(RandomUniform(1.0, 1.2, 1), {4}, DType::float4_e2m1fn, with_scale(0.9), {"divided by the scale"});
  expect_refused([] { fanin::size_of(DType::float4_e2m1fn); }, {"packed, 2 into 1 byte"});
}

TEST(LowPrecision, IsInPlansAndSafetensors) {
  const Shape shape{4, 64};
  std::vector<std::uint8_t> scales(8, 125);
  const TensorOptions options = with_scales(scales);
  const RandomNormal normal(0, 1, 6);
  Bytes packed(128, poison), copy(1024, poison);
  Plan plan;
  plan.add(normal, view_of(packed, DType::float4_e2m1fn), shape, options);
  plan.add_copy(0, view_of(copy, DType::float32));
  expect_refused([&] { plan.add(Constant(1), view_of(packed, DType::float4_e2m1fn), shape); }, {"overlaps"});
  plan.fill();
  EXPECT_EQ(packed, filled(normal, shape, DType::float4_e2m1fn, options));
  EXPECT_EQ(copy, filled(normal, shape, DType::float32));  // a copy has no scale
  const std::string header = fanin::safetensors_header({{"w", {4, 64}, DType::float4_e2m1fn}}, {});
  EXPECT_NE(header.find(R"("dtype":"F4","shape":[4,64],"data_offsets":[0,128])"), std::string::npos) << header;
  expect_refused([] { fanin::safetensors_header({{"w", {3}, DType::float4_e2m1fn}}, {}); }, {"multiple of 2"});
}

}  // namespace
