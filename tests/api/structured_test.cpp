// SPDX-License-Identifier: Apache-2.0
// Initializers whose kernels have a structure of their own, and the draws of Formula that they are made of.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "base/text.h"
#include "fanin/fanin.hpp"
#include "formulas/exact_functions.h"
#include "support/test_support.h"

namespace {

using fanin::Block;
using fanin::Constant;
using fanin::DType;
using fanin::Formula;
using fanin::Initializer;
using fanin::Layout;
using fanin::Shape;
using fanin::Sparse;
using fanin::TensorOptions;
using fanin::test::expect_refused;
using fanin::test::filled;
using fanin::test::on_threads;
using fanin::test::slice;
using fanin::test::values_of;
using fanin::test::with_block;

std::vector<double> values(const Initializer& initializer, const Shape& shape, const TensorOptions& options = {}) {
  return values_of<double>(filled(initializer, shape, DType::float64, options));
}

TensorOptions oihw() {
  TensorOptions options;
  options.layout = Layout::oihw;
  return options;
}

// ---------------------------------------------------------------- Dirac and Bilinear

TEST(Dirac, IsPyTorchs) {
  // torch.nn.init.dirac_: tensor[g * rows + d, d, size / 2 ...] = 1.
  for (const Shape& shape : {Shape{6, 4, 3}, Shape{4, 6, 5, 2}, Shape{6, 3, 3, 4, 2}}) {
    for (const std::int64_t groups : {std::int64_t{1}, std::int64_t{2}}) {
      const auto got = values(fanin::Dirac(groups), shape, oihw());
      const std::int64_t rows = shape[0] / groups;
      std::vector<double> wanted(got.size());
      const auto field = static_cast<std::int64_t>(got.size()) / (shape[0] * shape[1]);
      std::int64_t centre = 0;
      for (std::size_t axis = 2; axis < shape.size(); ++axis) centre = centre * shape[axis] + shape[axis] / 2;
      for (std::int64_t g = 0; g < groups; ++g) {
        for (std::int64_t d = 0; d < std::min(rows, shape[1]); ++d) {
          wanted[static_cast<std::size_t>(((g * rows + d) * shape[1] + d) * field + centre)] = 1;
        }
      }
      EXPECT_EQ(got, wanted) << fanin::to_string(shape) << " in " << groups << " groups";
    }
  }
}

TEST(Dirac, HasTheLayoutsChannels) {
  const auto keras = values(fanin::Dirac(), {3, 2, 4});
  const auto torch = values(fanin::Dirac(), {4, 2, 3}, oihw());
  for (std::size_t k = 0; k < 3; ++k) {
    for (std::size_t in = 0; in < 2; ++in) {
      for (std::size_t out = 0; out < 4; ++out) {
        EXPECT_EQ(keras[(k * 2 + in) * 4 + out], torch[(out * 2 + in) * 3 + k]);
      }
    }
  }
}

TEST(Bilinear, InterpolatesEachChannel) {
  // FCN's get_upsampling_weight, for kernels of odd and even size.
  for (const std::int64_t size : {std::int64_t{4}, std::int64_t{3}}) {
    const double factor = static_cast<double>((size + 1) / 2);
    const double centre = size % 2 == 1 ? factor - 1 : factor - 0.5;
    for (const std::int64_t groups : {std::int64_t{1}, std::int64_t{3}}) {
      const Shape shape{3, 3 / groups, size, size};
      const auto got = values(fanin::Bilinear(groups), shape, oihw());
      std::size_t at = 0;
      for (std::int64_t in = 0; in < shape[0]; ++in) {
        for (std::int64_t out = 0; out < shape[1]; ++out) {
          for (std::int64_t y = 0; y < size; ++y) {
            for (std::int64_t x = 0; x < size; ++x, ++at) {
              const double filter = (1 - std::abs(static_cast<double>(y) - centre) / factor) *
                                    (1 - std::abs(static_cast<double>(x) - centre) / factor);
              EXPECT_EQ(got[at], in % (3 / groups) == out ? filter : 0);
            }
          }
        }
      }
    }
  }
}

TEST(Kernels, RefuseWhatIsNone) {
  expect_refused([] { values(fanin::Dirac(), {3, 3}); }, {"3, 4 or 5 dimensions"});
  expect_refused([] { values(fanin::Dirac(), {3}); }, {"3, 4 or 5 dimensions"});
  expect_refused([] { values(fanin::Bilinear(), {}); }, {"3, 4 or 5 dimensions"});
  expect_refused([] { values(fanin::Dirac(2), {3, 2, 3}, oihw()); }, {"groups=2", "axis 0"});
  expect_refused([] { fanin::Dirac(0); }, {"`groups`"});
  expect_refused([] { fanin::Bilinear(-1); }, {"`groups`"});
}

// ---------------------------------------------------------------- ForgetGateBias and SIREN

TEST(ForgetGateBias, IsOnesInItsUnits) {
  EXPECT_EQ(values(fanin::ForgetGateBias(), {8}), (std::vector<double>{0, 0, 1, 1, 0, 0, 0, 0}));
  EXPECT_EQ(values(fanin::ForgetGateBias(2.5, 0, 3), {2, 3}), (std::vector<double>{2.5, 0, 0, 2.5, 0, 0}));
  expect_refused([] { values(fanin::ForgetGateBias(), {6}); }, {"4 gates", "[6]"});
  expect_refused([] { fanin::ForgetGateBias(1, 4, 4); }, {"`gate`"});
}

TEST(Siren, HasSitzmannsLimits) {
  const auto first = fanin::SirenFirst(1).describe({3, 256}).distribution;
  EXPECT_EQ(first.low, -1.0 / 3);
  EXPECT_EQ(first.high, 1.0 / 3);
  const auto hidden = fanin::SirenHidden(30, 1).describe({256, 512}, Layout::oihw).distribution;
  EXPECT_EQ(hidden.high, std::sqrt(6.0 / 512) / 30);
  EXPECT_EQ(hidden.low, -hidden.high);
  expect_refused([] { fanin::SirenHidden(0); }, {"`w0`"});
}

// ---------------------------------------------------------------- Constant with arrays

TEST(Constant, BroadcastsAnArray) {
  EXPECT_EQ(values(Constant({3}, {1, 2, 3}), {2, 3}), (std::vector<double>{1, 2, 3, 1, 2, 3}));
  EXPECT_EQ(values(Constant({2, 1}, {1, 2}), {2, 3}), (std::vector<double>{1, 1, 1, 2, 2, 2}));
  EXPECT_EQ(values(Constant({1}, {7}), {2}), (std::vector<double>{7, 7}));
  EXPECT_EQ(values(Constant(Shape{}, {7}), {2}), (std::vector<double>{7, 7}));
  const Constant matrix({2, 3}, {1, 2, 3, 4, 5, -0.0});
  EXPECT_EQ(values(matrix, {2, 3}, with_block({1, 1}, {1, 2})), (std::vector<double>{5, 0}));
  EXPECT_EQ(matrix.get_config(), R"({"value":[[1.0,2.0,3.0],[4.0,5.0,-0.0]]})");
  EXPECT_EQ(values(Constant::from_config(matrix.get_config()), {2, 3}), values(matrix, {2, 3}));
  const char* const numpy =
      R"({"value": {"class_name": "__numpy__", "config": {"value": [1, true], "dtype": "float32"}}})";
  EXPECT_EQ(values(Constant::from_config(numpy), {2}), (std::vector<double>{1, 1}));
  EXPECT_EQ(values(Constant({3}, {1, 2, 3}), {0, 3}), std::vector<double>{});
  for (const Shape& shape : {Shape{3}, Shape{3, 2}, Shape{2, 4}, Shape{}}) {
    expect_refused([&] { values(matrix, shape); }, {"[2, 3]", "does not broadcast"});
  }
  expect_refused([] { Constant({2}, {1}); }, {"1 values", "[2]"});
  expect_refused([] { Constant({0}, {}); }, {"at least one value"});
  expect_refused([] { values(Constant({1}, {std::nan("")}), {2}); }, {"not finite"});
  expect_refused([] { filled(Constant({1}, {1e30}), {2}, DType::float16); }, {"not finite in float16"});
  for (const char* const ragged : {R"({"value": [[1], [2, 3]]})", R"({"value": []})", R"({"value": [[1], 2]})"}) {
    expect_refused([&] { values(Constant::from_config(ragged), {2, 2}); }, {"a number, or with an array"});
  }
}

// ---------------------------------------------------------------- places and Sparse

TEST(Places, AreAPermutationOfEachLine) {
  for (const std::int64_t n : {1, 2, 3, 4, 5, 7, 8, 9, 16, 17, 100, 1000}) {
    const auto places = values(Formula("place[1]", {}, 42), {5, n, 3});
    std::set<std::vector<double>> orders;
    for (std::int64_t line = 0; line < 15; ++line) {
      std::vector<double> order;
      for (std::int64_t k = 0; k < n; ++k) {
        order.push_back(places[static_cast<std::size_t>((line / 3 * n + k) * 3 + line % 3)]);
      }
      orders.insert(order);
      std::sort(order.begin(), order.end());
      for (std::int64_t k = 0; k < n; ++k) ASSERT_EQ(order[static_cast<std::size_t>(k)], static_cast<double>(k)) << n;
    }
    if (n >= 16) {  // 16! orders
      EXPECT_EQ(orders.size(), 15u) << n;
    }
  }
}

// Pearson's statistic of `counts`, which should be equal. Its law is approximately chi-squared.
double statistic(const std::vector<double>& counts) {
  double total = 0, sum = 0;
  for (const double count : counts) total += count;
  const double wanted = total / static_cast<double>(counts.size());
  for (const double count : counts) sum += (count - wanted) * (count - wanted) / wanted;
  return sum;
}

// For each small number of rows, all pairs of places of two elements are equally frequent. The bounds are the
// 1 - 1e-6 quantiles, so a false alarm has a probability of 2e-5 over all sizes; the seed is fixed.
TEST(Places, OfTwoElementsAreUniform) {
  struct Case {
    std::int64_t n;
    double quantile;  // of n * (n - 1) - 1 degrees of freedom
  };
  for (const Case& one : {Case{2, 23.9}, Case{3, 35.9}, Case{4, 48.9}, Case{5, 63.7}, Case{7, 99.2}, Case{9, 142.6},
                          Case{12, 222.8}, Case{17, 396.4}}) {
    constexpr std::int64_t lines = 100'000;
    const auto places = values(Formula("place[1]", {}, 7), {lines, one.n});
    for (std::int64_t other : {std::int64_t{1}, one.n - 1}) {
      std::vector<double> counts(static_cast<std::size_t>(one.n * (one.n - 1)));
      for (std::int64_t line = 0; line < lines; ++line) {
        const auto a = static_cast<std::int64_t>(places[static_cast<std::size_t>(line * one.n)]);
        const auto b = static_cast<std::int64_t>(places[static_cast<std::size_t>(line * one.n + other)]);
        ++counts[static_cast<std::size_t>(a * (one.n - 1) + b - (b > a ? 1 : 0))];
      }
      EXPECT_LT(statistic(counts), one.quantile) << one.n;
    }
  }
}

TEST(Sparse, HasItsZerosInEachColumn) {
  const Sparse sparse(0.35, 0.5, 42);
  const Shape shape{57, 41};
  const auto got = values(sparse, shape, oihw());
  const auto dense = values(fanin::RandomNormal(0, 0.5, 42), shape);
  const auto zeros = static_cast<std::size_t>(std::ceil(0.35 * 57));
  for (std::size_t column = 0; column < 41; ++column) {
    std::size_t found = 0;
    for (std::size_t row = 0; row < 57; ++row) {
      const double value = got[row * 41 + column];
      if (value == 0) {
        ++found;
      } else {
        EXPECT_NEAR(value, dense[row * 41 + column], 1e-6);
      }
    }
    EXPECT_EQ(found, zeros);
  }
  const auto keras = values(sparse, shape);
  for (std::size_t row = 0; row < 57; ++row) {
    EXPECT_EQ(std::count(keras.begin() + static_cast<std::ptrdiff_t>(row * 41),
                         keras.begin() + static_cast<std::ptrdiff_t>(row * 41 + 41), 0.0),
              15);  // ceil(0.35 * 41)
  }
  EXPECT_EQ(values(Sparse(0, 1, 1), {9, 9}), values(Formula("z", {}, 1), {9, 9}));
  EXPECT_EQ(values(Sparse(1, 1, 1), {9, 9}), std::vector<double>(81));
  expect_refused([] { Sparse(1.5); }, {"`sparsity`"});
  expect_refused([] { Sparse(std::nan("")); }, {"`sparsity`"});
  expect_refused([] { Sparse(0.5, -1); }, {"`stddev`"});
  expect_refused([] { values(Sparse(0.5), {3}); }, {"matrices"});
}

// ---------------------------------------------------------------- draws of a row

TEST(RowDraws, AreThoseOfTheElements) {
  const Shape shape{50, 7, 3};
  const auto own = values(Formula("u", {}, 3), shape);
  const auto second = values(Formula("u[1]", {}, 3), shape);
  const auto all = values(Formula("u[0] + 10 * u[2]", {}, 3), shape);
  for (std::size_t k = 0; k < own.size(); ++k) {
    EXPECT_EQ(second[k], own[k / 3 * 3 + 1]);
    EXPECT_EQ(all[k], own[k / 3 * 3] + 10 * own[k / 3 * 3 + 2]);
  }
  const auto wide = values(Formula("z[63]", {}, 3), {40, 64});
  const auto normals = values(Formula("z", {}, 3), {40, 64});
  for (std::size_t k = 0; k < wide.size(); ++k) EXPECT_EQ(wide[k], normals[k / 64 * 64 + 63]);
  expect_refused([] { values(Formula("u[2]"), {2, 2}); }, {"element 2 of a row"});
  expect_refused([] { values(Formula("u[0]"), {2, 65}); }, {"at most 64"});
  expect_refused([] { values(Formula("u[0]"), {}); }, {"axis [-1]"});
  expect_refused([] { Formula("u[64]"); }, {"from 0 to 63"});
  expect_refused([] { Formula("u[0] + z"); }, {"u or z, not both"});
  expect_refused([] { Formula("place"); }, {"Write place[0]"});
  expect_refused([] { Formula("place", {{"place", 1}}); }, {"must not be named"});
}

TEST(Structured, BlocksAndThreadsHaveTheWholesValues) {
  struct Case {
    Initializer initializer;
    Shape shape;
    Block block;
  };
  const Case cases[] = {
      {Sparse(0.4, 1, 5), {301, 57}, {{17, 3}, {211, 40}}},
      {Formula("u[0] - u[1] + place[0]", {}, 9), {1001, 2}, {{500, 1}, {400, 1}}},
      {fanin::Dirac(), {3, 3, 16, 16}, {{1, 1, 3, 2}, {1, 2, 9, 11}}},
      {fanin::Bilinear(), {4, 4, 8, 8}, {{1, 0, 3, 2}, {2, 4, 5, 6}}},
      {fanin::ForgetGateBias(), {4000}, {{900}, {300}}},
      {Constant({40}, std::vector<double>(40, 3)), {30, 40}, {{3, 7}, {20, 30}}},
      {fanin::SirenHidden(30, 1), {64, 64}, {{3, 7}, {20, 30}}},
      {fanin::STFT("imag", std::vector<double>(20, 2), {}), {20, 1, 9}, {{3, 0, 2}, {10, 1, 5}}},
  };
  for (const Case& one : cases) {
    SCOPED_TRACE(one.initializer.class_name());
    if (one.initializer.class_name() == "STFT" && !fanin::detail::exact::is_available()) continue;
    for (const DType dtype : fanin::test::all_dtypes) {
      if (fanin::size_of(dtype) == 1 && one.initializer.class_name() == "Formula") continue;  // 1000 is too large
      const auto whole = filled(one.initializer, one.shape, dtype);
      EXPECT_EQ(filled(one.initializer, one.shape, dtype, {}, on_threads(1)), whole);
      TensorOptions options;
      options.block = one.block;
      EXPECT_EQ(filled(one.initializer, one.shape, dtype, options),
                slice(whole, one.shape, one.block, fanin::size_of(dtype)));
    }
    EXPECT_EQ(fanin::serialize(fanin::deserialize(fanin::serialize(one.initializer))),
              fanin::serialize(one.initializer));
  }
}

// ---------------------------------------------------------------- STFT

TEST(Stft, IsTheTransformOfAWindow) {
  if (!fanin::detail::exact::is_available()) GTEST_SKIP() << "this build has no MPFR";
  constexpr double pi = 3.141592653589793;
  constexpr int frame = 24, fft = 32;
  const Shape shape{frame, 1, fft / 2 + 1};
  std::vector<double> window;
  for (int t = 0; t < frame; ++t) window.push_back(0.54 - 0.46 * std::cos(2 * pi * t / frame));  // periodic hamming
  double squares = 0, sum = 0;
  for (const double w : window) squares += w * w, sum += w;
  for (const bool real : {true, false}) {
    const char* const side = real ? "real" : "imag";
    const auto density = values(fanin::STFT(side, "hamming", "density", true), shape);
    const auto spectrum = values(fanin::STFT(side, "hamm", "spectrum", true), shape);
    const auto plain = values(fanin::STFT(side, std::nullopt), shape);
    const auto given = values(fanin::STFT(side, window, {}), shape);
    std::size_t at = 0;
    for (int t = 0; t < frame; ++t) {
      for (int k = 0; k <= fft / 2; ++k, ++at) {
        const double phase = -2 * pi * t * k / fft;
        const double wave = real ? std::cos(phase) : std::sin(phase);
        const double w = window[static_cast<std::size_t>(t)];
        EXPECT_NEAR(plain[at], wave, 1e-13);
        EXPECT_NEAR(given[at], wave * w, 1e-13);
        EXPECT_NEAR(density[at], wave * w / std::sqrt(squares), 1e-13);
        EXPECT_NEAR(spectrum[at], wave * w / sum, 1e-13);
      }
    }
  }
  expect_refused([] { fanin::STFT("both"); }, {"`side`"});
  expect_refused([] { fanin::STFT("real", "han n"); }, {"`window`", "\"hann\""});
  expect_refused([] { fanin::STFT("real", "hann", "loud"); }, {"`scaling`"});
  expect_refused([&] { values(fanin::STFT(), {24, 2, 17}); }, {"frame_length"});
  expect_refused([&] { values(fanin::STFT("real", {1, 2}), {3, 1, 3}); }, {"2 values"});
  expect_refused([] { fanin::STFT("real", std::vector<double>{}); }, {"`window`", "at least one"});
  expect_refused([] { fanin::STFT("real", {1, HUGE_VAL}); }, {"`window`", "finite", "inf"});
  expect_refused([] { values(fanin::STFT(), {4, 1, 1}); }, {"fft_length", "at least 2"});
  expect_refused([] { values(fanin::STFT(), {2, 1, 3}); }, {"sum of squares", "density"});  // hann(2) is 0, 0
  expect_refused([] { values(fanin::STFT("imag", {1e200, 1}), {2, 1, 3}); }, {"sum of squares", "inf"});
  expect_refused([] { values(fanin::STFT("imag", {0, 0}, "spectrum"), {2, 1, 3}); }, {"sum of magnitudes"});
  EXPECT_EQ(values(fanin::STFT("real", "hann_periodic"), shape),
            values(fanin::STFT("real", "hann", "density", true), shape));
  EXPECT_EQ(values(fanin::STFT("real", "hann_symmetric", "density", true), shape), values(fanin::STFT(), shape));
  EXPECT_EQ(fanin::STFT("real", "taylor_periodic").get_config(),
            R"({"side":"real","window":"taylor_periodic","periodic":false,"scaling":"density"})");
}

// ---------------------------------------------------------------- conventions

TEST(Conventions, MeanWhatTheFrameworkMeans) {
  const Shape shape{128, 64, 3, 3};
  const auto distribution = [&](const std::string& name) { return fanin::make(name, 1).describe(shape).distribution; };
  using Kind = fanin::Distribution::Kind;
  const auto torch = fanin::make("torch:kaiming_normal", 1).describe(shape);
  EXPECT_EQ(torch.layout, Layout::oihw);
  EXPECT_EQ(torch.fans.fan_in, 576u);
  EXPECT_EQ(torch.distribution.kind, Kind::normal);
  EXPECT_EQ(torch.distribution.stddev, std::sqrt(2.0) / std::sqrt(576.0));
  EXPECT_EQ(fanin::make("torch:kaiming_normal").describe(shape, Layout::hwio).fans.fan_in, 128u * 64 * 3);
  const auto jax = fanin::make("jax:he_normal", 1).describe(shape);
  EXPECT_EQ(jax.layout, Layout::hwio);
  EXPECT_EQ(jax.distribution.kind, Kind::truncated_normal);
  EXPECT_EQ(jax.distribution.stddev, fanin::HeNormal(1).describe(shape).distribution.stddev);
  EXPECT_EQ(filled(fanin::make("keras:he_normal", 3), {5, 6}), filled(fanin::HeNormal(3), {5, 6}));
  EXPECT_EQ(filled(fanin::make("jax:he_normal", 3), {5, 6}), filled(fanin::HeNormal(3), {5, 6}));
  EXPECT_EQ(filled(fanin::make("he_normal", 3, "jax"), {5, 6}), filled(fanin::HeNormal(3), {5, 6}));

  EXPECT_DOUBLE_EQ(distribution("torch:linear").high, 1 / std::sqrt(576.0));
  EXPECT_DOUBLE_EQ(distribution("torch:kaiming_uniform").high, std::sqrt(6.0 / 576));
  EXPECT_DOUBLE_EQ(distribution("torch:xavier_uniform").high, std::sqrt(6.0 / (576 + 1152)));
  EXPECT_DOUBLE_EQ(distribution("torch:xavier_normal").stddev, std::sqrt(2.0 / (576 + 1152)));
  EXPECT_EQ(distribution("torch:normal").stddev, 1);
  EXPECT_EQ(distribution("jax:normal").stddev, 0.01);
  EXPECT_EQ(distribution("keras:normal").stddev, 0.05);
  EXPECT_EQ(distribution("torch:uniform").high, 1);
  EXPECT_EQ(distribution("jax:uniform").low, 0);
  EXPECT_EQ(distribution("torch:orthogonal").rows, 128u);
  EXPECT_EQ(distribution("jax:orthogonal").columns, 3u);
  EXPECT_EQ(fanin::make("torch:eye").describe({3, 4}).distribution.kind, Kind::identity);
  const auto absolute = fanin::with_parameters(fanin::make("torch:trunc_normal", 1), {{"std", "0.5"}}).describe({9});
  EXPECT_EQ(absolute.distribution.lower, -4);  // the bounds are values
  EXPECT_EQ(absolute.distribution.upper, 4);
  EXPECT_EQ(absolute.distribution.least, -2);
  const auto relu =
      fanin::with_parameters(fanin::make("torch:kaiming_normal_", 1), {{"nonlinearity", "tanh"}, {"mode", "FAN_OUT"}});
  EXPECT_EQ(relu.describe(shape).distribution.stddev, (5.0 / 3) / std::sqrt(1152.0));
  EXPECT_EQ(values(fanin::make("torch:sparse", 5), {20, 30}), values(Sparse(0.1, 0.01, 5), {20, 30}, oihw()));
}

// PyTorch's a and b are values, which the window in standard deviations, rounded to binary32, would miss by an ulp.
TEST(Conventions, TruncNormalsAreWithinTheirValues) {
  const auto floats = [](const Initializer& init) { return values_of<float>(filled(init, {1 << 17}, DType::float32)); };
  const auto drawn = [&](double mean, double std, double a, double b) {
    const auto text = [](double v) {
      return v == -HUGE_VAL ? "-Infinity" : v == HUGE_VAL ? "Infinity" : fanin::detail::to_text(v);
    };
    const Initializer init =
        fanin::with_parameters(fanin::make("torch:trunc_normal", 3),
                               {{"mean", text(mean)}, {"std", text(std)}, {"a", text(a)}, {"b", text(b)}});
    EXPECT_EQ(fanin::serialize(fanin::deserialize(fanin::serialize(init))), fanin::serialize(init));
    return floats(init);
  };
  const double cases[][4] = {{100, 0.01, 99.99, 100.03}, {1, 1e-3, 0.999, 1.001}, {1e4, 1, 9999.5, 10000.2},
                             {100, 0.01, -2, 2},         {0.5, 0.2, 0.1, 0.9},    {1e17, 1, -2, 2}};
  for (const auto& [mean, std, a, b] : cases) {
    for (const float v : drawn(mean, std, a, b)) {
      ASSERT_GE(static_cast<double>(v), a) << mean;
      ASSERT_LE(static_cast<double>(v), b) << mean;
    }
  }
  const std::vector<float> whole = floats(fanin::RandomNormal(0.25, 2, 3));
  EXPECT_EQ(drawn(0.25, 2, -HUGE_VAL, HUGE_VAL), whole);
  EXPECT_EQ(drawn(0.25, 2, -1e300, 1e300), whole);
  EXPECT_EQ(drawn(0, 1, 2, 2), std::vector<float>(1 << 17, 2.0F));
  // Far from the mean every value is the nearer end, and where the density does not change, values are uniform.
  for (const double far : {1e4, 30000001.0, 1e10, 1e17, 1e300}) {
    EXPECT_EQ(drawn(far, 1, -2, 2), std::vector<float>(1 << 17, 2.0F)) << far;
    EXPECT_EQ(drawn(-far, 1, -2, 2), std::vector<float>(1 << 17, -2.0F)) << far;
    EXPECT_EQ(drawn(0, 1 / far, 1, 2), std::vector<float>(1 << 17, 1.0F)) << far;
  }
  EXPECT_EQ(drawn(1.25, 1e-300, -1, 2), std::vector<float>(1 << 17, 1.25F));  // the stddev is 0 in binary32
  EXPECT_EQ(drawn(-1e8, 1e8, 0, 1), floats(fanin::RandomUniform(0, 1, 3)));
  EXPECT_EQ(drawn(0, 1e39, -1, 2), floats(fanin::RandomUniform(-1, 2, 3)));
  EXPECT_EQ(drawn(0, 2, -3.4028234663852886e38, 1e308), floats(fanin::RandomNormal(0, 2, 3)));
  // In float64 neither the stddev nor the ends need be numbers of float32.
  const Initializer wide = fanin::with_parameters(fanin::make("torch:trunc_normal", 3),
                                                  {{"mean", "1e39"}, {"std", "3e38"}, {"a", "7e38"}, {"b", "1.3e39"}});
  const auto doubles = values_of<double>(filled(wide, {1 << 12}, DType::float64));
  EXPECT_EQ(doubles, values_of<double>(
                         filled(fanin::TruncatedNormal(1e39, 3e38, 3, (7e38 - 1e39) / 3e38, (1.3e39 - 1e39) / 3e38),
                                {1 << 12}, DType::float64)));
  const double refused[][4] = {{0, 1, 2, 1}, {0, 0, -2, 2}, {HUGE_VAL, 1, 0, 1}, {0, 1, HUGE_VAL, HUGE_VAL}};
  for (const auto& numbers : refused) {
    expect_refused([&] { drawn(numbers[0], numbers[1], numbers[2], numbers[3]); }, {"`std` positive", "b="});
  }
}

TEST(Conventions, EachNameIsMadeAndWritten) {
  std::size_t count = 0;
  for (const char* const convention : {"keras", "torch", "jax"}) {
    for (const std::string& name : fanin::initializer_names(convention)) {
      SCOPED_TRACE(std::string(convention) + ":" + name);
      const Initializer made = fanin::make(name, 5, convention);
      const std::string json = fanin::serialize(made);
      EXPECT_EQ(fanin::serialize(fanin::deserialize(json)), json);
      EXPECT_EQ(fanin::make(made.class_name(), 5).get_config(), made.get_config());
      const bool three = name == "dirac" || name == "stft";
      if (name == "stft" && !fanin::detail::exact::is_available()) continue;
      EXPECT_EQ(filled(made, three ? Shape{4, 1, 3} : Shape{4, 3}).size(), 48u);
      ++count;
    }
  }
  EXPECT_GE(count, 48u);
  expect_refused([] { fanin::make("torch:glorot_normal"); }, {"\"torch\" has no", "\"xavier_normal\""});
  expect_refused([] { fanin::make("he_normal", 1, "tf"); },
                 {"no convention \"tf\"", "\"keras\", \"torch\" or \"jax\""});
  expect_refused([] { fanin::make("torch:xavier_normal").describe({3}); }, {"two dimensions"});
  expect_refused(
      [] {
        fanin::with_parameters(fanin::make("torch:kaiming_normal"), {{"nonlinearity", "gelu"}});
      },
      {"`nonlinearity`", "gelu"});
  expect_refused([] { fanin::with_parameters(fanin::make("jax:he_normal"), {{"scale", "3"}}); }, {"scale"});
}

TEST(Conventions, SetTheLayoutOfASpecification) {
  const auto layout = [](const std::string& more, const char* name) {
    const std::string text =
        R"({"tensors": {"w": [8, 4]}, )" + more + R"("rules": [{"match": "*", "initializer": ")" + name + R"("}]})";
    const fanin::ModelSpec spec = fanin::parse_model_spec(text, 1);
    return fanin::describe(spec.tensors[0].parts[0]).fans.fan_in;
  };
  EXPECT_EQ(layout("", "torch:kaiming_normal"), 4u);
  EXPECT_EQ(layout("", "he_normal"), 8u);
  EXPECT_EQ(layout(R"("layout": "IO", )", "torch:kaiming_normal"), 8u);
}

TEST(Gain, IsPyTorchs) {
  for (const char* const name : {"linear", "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d",
                                 "conv_transpose3d", "sigmoid"}) {
    EXPECT_EQ(fanin::calculate_gain(name), 1);
  }
  EXPECT_EQ(fanin::calculate_gain("tanh"), 5.0 / 3);
  EXPECT_EQ(fanin::calculate_gain("relu"), std::sqrt(2.0));
  EXPECT_EQ(fanin::calculate_gain("selu"), 0.75);
  EXPECT_EQ(fanin::calculate_gain("leaky_relu"), std::sqrt(2.0 / (1 + 0.01 * 0.01)));
  EXPECT_EQ(fanin::calculate_gain("leaky_relu", 0.2), std::sqrt(2.0 / (1 + 0.2 * 0.2)));
  expect_refused([] { fanin::calculate_gain("gelu"); }, {"gelu", "\"selu\""});
  expect_refused([] { fanin::calculate_gain("leaky_relu", std::nan("")); }, {"finite"});
}

}  // namespace
