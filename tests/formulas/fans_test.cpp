// SPDX-License-Identifier: Apache-2.0
// Compares fans with the answers of Keras 3.15.1 and PyTorch 2.15 (keras/fans_*.json), and tests describe(), which
// shows what the initializers compute from them.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "config/json_text.h"
#include "fanin/fanin.hpp"
#include "support/npy_file.h"
#include "support/test_support.h"

namespace {

using fanin::compute_fans;
using fanin::Description;
using fanin::Distribution;
using fanin::FanAxes;
using fanin::Fans;
using fanin::Initializer;
using fanin::InvalidArgument;
using fanin::Layout;
using fanin::Seed;
using fanin::Shape;
using fanin::detail::Json;
using fanin::test::expect_refused;

const std::string keras = FANIN_TEST_DATA "/keras/";

Json rows_of(const std::string& file) {
  return fanin::detail::parse_json(fanin::test::read_text(keras + file))["rows"];
}

// The shape, if all extents are integers. Python accepts other extents, which a Shape cannot hold.
std::optional<Shape> shape_of(const Json& row) {
  Shape shape;
  for (const Json& extent : row["shape"]) {
    if (!extent.is_number_integer()) return std::nullopt;
    shape.push_back(extent.get<std::int64_t>());
  }
  return shape;
}

FanAxes axes_of(const Json& row) {
  const auto list = [&](const char* key) -> std::optional<std::vector<std::int64_t>> {
    if (!row.contains(key) || row[key].is_null()) return std::nullopt;
    return row[key].get<std::vector<std::int64_t>>();
  };
  return {list("input_axes"), list("output_axes")};
}

TEST(Fans, AsKeras) {
  std::size_t answers = 0;
  std::size_t refusals = 0;
  for (const Json& row : rows_of("fans_keras.json")) {
    SCOPED_TRACE(row.dump());
    const auto shape = shape_of(row);
    if (!shape) continue;
    // Keras multiplies negative extents like any others; fanin refuses them, and whatever Keras refuses.
    const bool negative = std::any_of(shape->begin(), shape->end(), [](std::int64_t extent) { return extent < 0; });
    if (negative || row.contains("error")) {
      EXPECT_THROW(compute_fans(*shape, Layout::hwio, axes_of(row)), InvalidArgument);
      ++refusals;
      continue;
    }
    const Fans fans = compute_fans(*shape, Layout::hwio, axes_of(row));
    EXPECT_EQ(fans.fan_in, row["fan_in"].get<std::uint64_t>());
    EXPECT_EQ(fans.fan_out, row["fan_out"].get<std::uint64_t>());
    ++answers;
  }
  EXPECT_GE(answers, 100u);
  EXPECT_EQ(refusals, 2u);
}

TEST(Fans, OihwAsPyTorch) {
  std::size_t answers = 0;
  for (const Json& row : rows_of("fans_torch.json")) {
    if (!row.contains("fan_in")) continue;  // rank below 2, too many bytes for PyTorch, or another function
    SCOPED_TRACE(row.dump());
    const Fans fans = compute_fans(*shape_of(row), Layout::oihw);
    EXPECT_EQ(fans.fan_in, row["fan_in"].get<std::uint64_t>());
    EXPECT_EQ(fans.fan_out, row["fan_out"].get<std::uint64_t>());
    ++answers;
  }
  EXPECT_GE(answers, 80u);
}

TEST(Fans, LayoutDoesNotMatterBelowRankTwoNorWithAxes) {
  EXPECT_EQ(compute_fans({}, Layout::oihw).fan_in, 1u);
  EXPECT_EQ(compute_fans({}, Layout::oihw).fan_out, 1u);
  EXPECT_EQ(compute_fans({7}, Layout::oihw).fan_in, 7u);
  EXPECT_EQ(compute_fans({7}, Layout::oihw).fan_out, 7u);
  const FanAxes axes{{{0}}, {{-1, -2}}};
  for (const Layout layout : {Layout::hwio, Layout::oihw}) {
    const Fans fans = compute_fans({512, 8, 64}, layout, axes);
    EXPECT_EQ(fans.fan_in, 512u);
    EXPECT_EQ(fans.fan_out, 512u);
  }
}

TEST(Fans, Refusals) {
  for (const Shape& shape : {Shape{-1}, Shape{3, -4}, Shape{-2, 3}, Shape{0, -1, 2}}) {
    for (const Layout layout : {Layout::hwio, Layout::oihw}) {
      expect_refused([&] { compute_fans(shape, layout); }, {fanin::to_string(shape)});
    }
    EXPECT_THROW(compute_fans(shape, Layout::hwio, {{{0}}, {{0}}}), InvalidArgument);
  }
  const Shape shape{2, 3, 4};
  for (const std::int64_t axis : {std::int64_t{3}, std::int64_t{-4}, std::numeric_limits<std::int64_t>::max(),
                                  std::numeric_limits<std::int64_t>::min()}) {
    expect_refused([&] { compute_fans(shape, Layout::hwio, {{{axis}}, {{0}}}); }, {std::to_string(axis)});
    EXPECT_THROW(compute_fans(shape, Layout::hwio, {{{0}}, {{axis}}}), InvalidArgument);
  }
  EXPECT_THROW(compute_fans({}, Layout::hwio, {{{0}}, {{}}}), InvalidArgument);
}

TEST(Fans, Below2To63) {
  constexpr auto most = std::numeric_limits<std::int64_t>::max();
  EXPECT_EQ(compute_fans({most}).fan_in, static_cast<std::uint64_t>(most));
  constexpr std::int64_t half = std::int64_t{1} << 31;
  const Fans largest = compute_fans({half, half, half});
  EXPECT_EQ(largest.fan_in, std::uint64_t{1} << 62);
  EXPECT_EQ(largest.fan_out, std::uint64_t{1} << 62);
  EXPECT_THROW(compute_fans({2 * half, half, half}), InvalidArgument);
  EXPECT_THROW(compute_fans({2, half, half, 1}), InvalidArgument);  // only fan_in overflows
  EXPECT_THROW(compute_fans({2, half, 1, half}), InvalidArgument);  // only fan_out overflows
  EXPECT_THROW(compute_fans({half, 2 * half}, Layout::hwio, {{{0, 1}}, {{1}}}), InvalidArgument);
  EXPECT_EQ(compute_fans({0, half, half, half}).fan_in, 0u);  // a zero wins over an overflow
}

TEST(Fans, LayoutNames) {
  for (const Layout layout : {Layout::hwio, Layout::oihw}) EXPECT_EQ(fanin::parse_layout(name_of(layout)), layout);
  EXPECT_EQ(name_of(Layout::hwio), "hwio");
  EXPECT_EQ(name_of(Layout::oihw), "oihw");
  for (const char* name : {"", "HWIO", "ohwi", "hwio "}) EXPECT_THROW(fanin::parse_layout(name), InvalidArgument);
}

// ---------------------------------------------------------------- describe()

// sqrt(scale / max(1, fan)), with the operations of Keras's VarianceScaling.
double scaled_root(double factor, double scale, const std::string& mode, const Fans& fans) {
  const auto in = static_cast<double>(fans.fan_in);
  const auto out = static_cast<double>(fans.fan_out);
  const double fan = mode == "fan_in" ? in : mode == "fan_out" ? out : (in + out) / 2.0;
  return std::sqrt(factor * (scale / (fan > 1.0 ? fan : 1.0)));
}

// The number after the last "=" of a derivation.
double result_of(const std::string& derivation) {
  return std::strtod(derivation.c_str() + derivation.rfind('=') + 1, nullptr);
}

struct Scaled {
  const char* class_name;
  Initializer initializer;
  double scale;
  std::string mode;
  std::string distribution;
};

std::vector<Scaled> scaled_initializers() {
  std::vector<Scaled> all{{"HeNormal", fanin::HeNormal(1), 2, "fan_in", "truncated_normal"},
                          {"HeUniform", fanin::HeUniform(1), 2, "fan_in", "uniform"},
                          {"LecunNormal", fanin::LecunNormal(1), 1, "fan_in", "truncated_normal"},
                          {"LecunUniform", fanin::LecunUniform(1), 1, "fan_in", "uniform"},
                          {"GlorotNormal", fanin::GlorotNormal(1), 1, "fan_avg", "truncated_normal"},
                          {"GlorotUniform", fanin::GlorotUniform(1), 1, "fan_avg", "uniform"}};
  for (const char* mode : {"fan_in", "fan_out", "fan_avg"}) {
    for (const char* distribution : {"truncated_normal", "untruncated_normal", "uniform"}) {
      for (const double scale : {1.0, 0.1, 3.7, 1e-300}) {
        all.push_back(
            {"VarianceScaling", fanin::VarianceScaling(scale, mode, distribution, 1), scale, mode, distribution});
      }
    }
  }
  return all;
}

void expect_scaled(const Scaled& scaled, const Description& d, const Fans& fans) {
  const Distribution& got = d.distribution;
  if (scaled.distribution == "uniform") {
    const double limit = scaled_root(3.0, scaled.scale, scaled.mode, fans);
    EXPECT_EQ(got.kind, Distribution::Kind::uniform);
    EXPECT_EQ(got.high, limit);
    EXPECT_EQ(got.low, -limit);
    EXPECT_EQ(result_of(d.derivation), limit) << d.derivation;
    return;
  }
  const bool truncated = scaled.distribution == "truncated_normal";
  const double remaining = scaled_root(1.0, scaled.scale, scaled.mode, fans);
  const double stddev = truncated ? remaining / 0.87962566103423978 : remaining;
  EXPECT_EQ(got.kind, truncated ? Distribution::Kind::truncated_normal : Distribution::Kind::normal);
  EXPECT_EQ(got.mean, 0.0);
  EXPECT_EQ(got.stddev, stddev);
  EXPECT_EQ(got.lower, truncated ? -2.0 : -std::numeric_limits<double>::infinity());
  EXPECT_EQ(got.upper, truncated ? 2.0 : std::numeric_limits<double>::infinity());
  EXPECT_EQ(result_of(d.derivation), stddev) << d.derivation;
  EXPECT_NEAR(fanin::moments_of(got).stddev / remaining, 1.0, 1e-15);  // this is what the 0.8796 corrects
}

// Checks the classes' formulas, to the last bit, for fans from 0 to over 2^32.
TEST(Describe, ScaleFormulas) {
  const Shape shapes[] = {{},
                          {1},
                          {7},
                          {3, 4},
                          {1000, 3},
                          {0, 4},
                          {4, 0},
                          {0, 0},
                          {2, 3, 5},
                          {1, 1, 1},
                          {3, 3, 8, 16},
                          {5, 5, 1, 6},
                          {3, 3, 3, 8, 16},
                          {50257, 768},
                          {65536, 3, 7},
                          {1, 1},
                          {2147483648, 3}};
  for (const Scaled& scaled : scaled_initializers()) {
    for (const Shape& shape : shapes) {
      for (const Layout layout : {Layout::hwio, Layout::oihw}) {
        SCOPED_TRACE(std::string(scaled.class_name) + " " + scaled.mode + " " + scaled.distribution + " " +
                     fanin::to_string(shape) + " " + std::string(name_of(layout)));
        const Description d = scaled.initializer.describe(shape, layout);
        const Fans fans = compute_fans(shape, layout);
        EXPECT_EQ(d.initializer, scaled.class_name);
        EXPECT_EQ(d.shape, shape);
        EXPECT_EQ(d.fans.fan_in, fans.fan_in);
        EXPECT_EQ(d.fans.fan_out, fans.fan_out);
        EXPECT_NE(d.derivation.find(scaled.mode), std::string::npos) << d.derivation;
        expect_scaled(scaled, d, fans);
      }
    }
  }
}

TEST(Describe, ZeroFansCountAsOne) {
  EXPECT_EQ(fanin::HeUniform(1).describe({0, 4}).distribution.high, std::sqrt(6.0));
  EXPECT_EQ(fanin::LecunUniform(1).describe({0, 4}).distribution.high, std::sqrt(3.0));
  EXPECT_EQ(fanin::GlorotUniform(1).describe({0, 1}).distribution.high, std::sqrt(3.0));  // fan_avg is 0.5
  EXPECT_EQ(fanin::GlorotUniform(1).describe({0, 4}).distribution.high, std::sqrt(1.5));
}

TEST(Describe, AxesMakeTheFans) {
  const FanAxes axes{{{0}}, {{1, 2}}};
  const Description d = fanin::GlorotUniform(1, axes).describe({512, 8, 64});
  EXPECT_EQ(d.fans.fan_in, 512u);
  EXPECT_EQ(d.fans.fan_out, 512u);
  EXPECT_EQ(d.distribution.high, std::sqrt(3.0 / 512));
  EXPECT_EQ(fanin::HeUniform(1, axes).describe({512, 8, 64}).distribution.high, std::sqrt(6.0 / 512));
  EXPECT_EQ(fanin::VarianceScaling(1, "fan_out", "uniform", 1, {{{0}}, {{1}}}).describe({2, 5, 7}).distribution.high,
            std::sqrt(3.0 / 5));
  // One list alone has no effect.
  EXPECT_EQ(fanin::HeUniform(1, {{{0}}, std::nullopt}).describe({512, 8, 64}).fans.fan_in, 4096u);
  EXPECT_THROW(fanin::HeUniform(1, {{{3}}, {{0}}}).describe({512, 8, 64}), InvalidArgument);
}

TEST(Describe, ClassesWithoutFans) {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  const Shape shape{3, 5};
  const auto described = [&](const Initializer& initializer, const char* class_name) {
    const Description d = initializer.describe(shape);
    EXPECT_EQ(d.initializer, class_name);
    EXPECT_EQ(d.shape, shape);
    EXPECT_EQ(d.fans.fan_in, 3u);
    EXPECT_EQ(d.fans.fan_out, 5u);
    EXPECT_FALSE(d.derivation.empty());
    return d.distribution;
  };
  const Distribution truncated = described(fanin::TruncatedNormal(1, 0.5, 1), "TruncatedNormal");
  EXPECT_EQ(truncated.kind, Distribution::Kind::truncated_normal);
  EXPECT_EQ(truncated.mean, 1.0);
  EXPECT_EQ(truncated.stddev, 0.5);  // as in Keras: before truncation, not corrected
  EXPECT_EQ(truncated.lower, -2.0);
  EXPECT_EQ(truncated.upper, 2.0);
  const Distribution half = described(fanin::TruncatedNormal(0, 1, 1, 0, infinity), "TruncatedNormal");
  EXPECT_EQ(half.lower, 0.0);
  EXPECT_EQ(half.upper, infinity);
  const Distribution normal = described(fanin::RandomNormal(-1, 0.25, 1), "RandomNormal");
  EXPECT_EQ(normal.kind, Distribution::Kind::normal);
  EXPECT_EQ(normal.mean, -1.0);
  EXPECT_EQ(normal.stddev, 0.25);
  EXPECT_EQ(normal.upper, infinity);
  const Distribution uniform = described(fanin::RandomUniform(-1, 3, 1), "RandomUniform");
  EXPECT_EQ(uniform.kind, Distribution::Kind::uniform);
  EXPECT_EQ(uniform.low, -1.0);
  EXPECT_EQ(uniform.high, 3.0);
  const Distribution constant = described(fanin::Constant(2.5), "Constant");
  EXPECT_EQ(constant.kind, Distribution::Kind::constant);
  EXPECT_EQ(constant.value, 2.5);
  EXPECT_FALSE(constant.is_random());
  EXPECT_EQ(described(fanin::Zeros(), "Zeros").value, 0.0);
  EXPECT_EQ(described(fanin::Ones(), "Ones").value, 1.0);
  const Distribution identity = described(fanin::Identity(3), "Identity");
  EXPECT_EQ(identity.kind, Distribution::Kind::identity);
  EXPECT_EQ(identity.value, 3.0);
  EXPECT_FALSE(identity.is_random());
}

TEST(Describe, MomentsOfIdentity) {
  const auto moments = [](double gain, const Shape& shape) {
    return fanin::moments_of(fanin::Identity(gain).describe(shape).distribution);
  };
  // 4 of 24 elements are -3.
  EXPECT_DOUBLE_EQ(moments(-3, {4, 6}).mean, -0.5);
  EXPECT_DOUBLE_EQ(moments(-3, {6, 4}).stddev, std::sqrt(1.25));
  EXPECT_EQ(moments(1.7e308, {1, 1}).mean, 1.7e308);
  EXPECT_EQ(moments(1.7e308, {1, 1}).stddev, 0);
  EXPECT_EQ(moments(1.7e308, {2, 2}).stddev, 0.85e308);
  EXPECT_EQ(moments(1, {0, 5}).mean, 0);
  EXPECT_EQ(moments(1, {5, 0}).stddev, 0);
}

TEST(Describe, MomentsOfTinyWindows) {
  const auto described = fanin::TruncatedNormal(0, 1, 1, -1e-300, 3e-300).describe({2});
  const fanin::Moments moments = fanin::moments_of(described.distribution);  // uniform there
  EXPECT_NEAR(moments.mean, 1e-300, 1e-312);
  EXPECT_NEAR(moments.stddev, 4e-300 / std::sqrt(12.0), 1e-312);
}

TEST(Describe, SeedAsItIs) {
  const auto kind_and_value = [](const Initializer& initializer) {
    const Description d = initializer.describe({2, 2});
    EXPECT_EQ(d.seed_kind, initializer.seed().kind());
    EXPECT_EQ(d.seed, initializer.seed().value());
    return d;
  };
  EXPECT_EQ(kind_and_value(fanin::HeNormal(42)).seed, 42u);
  EXPECT_EQ(kind_and_value(fanin::HeNormal(42)).seed_kind, Seed::Kind::fixed);
  EXPECT_EQ(kind_and_value(fanin::HeNormal(Seed::sequence(7))).seed, 7u);
  EXPECT_EQ(kind_and_value(fanin::HeNormal(Seed::sequence(7))).seed_kind, Seed::Kind::sequence);
  EXPECT_EQ(kind_and_value(fanin::HeNormal()).seed_kind, Seed::Kind::none);
}

TEST(Describe, RefusesWhatNoFillCouldWrite) {
  const fanin::HeNormal he(1);
  expect_refused([&] { he.describe({-1, 2}); }, {"[-1, 2]"});
  expect_refused([&] { he.describe({1 << 28, 1 << 28, 2}); }, {"2^56"});
  expect_refused([&] { fanin::Identity().describe({3}); },
                 {"Identity matrix initializer can only be used for 2D matrices", "shape=[3] of rank 1"});
  EXPECT_THROW(fanin::Identity().describe({3, 4, 5}), InvalidArgument);
}

TEST(Fans, GivenAsNumbers) {
  fanin::TensorOptions options;
  options.layout = Layout::oihw;
  options.fans = Fans{64, 9};
  const fanin::VarianceScaling init(1, "fan_in", "untruncated_normal", 7, {{{0}}, {{1}}});
  const Description description = init.describe({8, 3}, options);
  EXPECT_EQ(description.fans.fan_in, 64u);
  EXPECT_EQ(description.fans.fan_out, 9u);
  EXPECT_EQ(description.distribution.stddev, 0.125);
  EXPECT_EQ(init.params({8, 3}, fanin::DType::float32, options).scale, 0.125);
  EXPECT_EQ(init.params({8, 3}, fanin::DType::float32, {}).scale, 1 / std::sqrt(8.0F));  // the axes' fan
  options.fans = Fans{0, 0};
  EXPECT_EQ(init.describe({8, 3}, options).distribution.stddev, 1.0);
  options.fans = Fans{std::uint64_t{1} << 63, 1};
  expect_refused([&] { init.describe({8, 3}, options); }, {"fan_in=9223372036854775808", "2^63"});
  EXPECT_THROW(init.params({8, 3}, fanin::DType::float32, options), InvalidArgument);
}

}  // namespace
