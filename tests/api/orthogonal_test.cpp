// SPDX-License-Identifier: Apache-2.0
// Orthogonal matrices: docs/VALUES.md, section 8. orthogonal.json holds the answers of an independent oracle.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cfenv>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "config/json_text.h"
#include "fanin/core/rounding.h"
#include "fanin/fanin.hpp"
#include "support/npy_file.h"
#include "support/test_support.h"

namespace {

using fanin::Block;
using fanin::CpuTarget;
using fanin::DType;
using fanin::ElementRange;
using fanin::FillParams;
using fanin::InvalidArgument;
using fanin::Layout;
using fanin::Orthogonal;
using fanin::Plan;
using fanin::Shape;
using fanin::TensorOptions;
using fanin::detail::Json;
using fanin::test::all_dtypes;
using fanin::test::Bytes;
using fanin::test::expect_refused;
using fanin::test::filled;
using fanin::test::on_threads;
using fanin::test::slice;
using fanin::test::values_of;
using fanin::test::view_of;
using fanin::test::with_block;
using fanin::test::with_subsequence;

TensorOptions with_layout(Layout layout, std::uint64_t subsequence = 0) {
  TensorOptions options = with_subsequence(subsequence);
  options.layout = layout;
  return options;
}

fanin::RunOptions on_target(CpuTarget target, int threads = 1) {
  fanin::RunOptions run = on_threads(threads);
  run.cpu_target = target;
  return run;
}

TEST(Orthogonal, HasTheOraclesBitsOnEveryTarget) {
  const Json cases = fanin::detail::parse_json(fanin::test::read_text(FANIN_TEST_DATA "/contract/orthogonal.json"));
  EXPECT_GE(cases.size(), 13U);
  for (const Json& one : cases) {
    const Orthogonal orthogonal(one["gain"].get<double>(), one["seed"].get<std::uint64_t>());
    const auto shape = one["shape"].get<Shape>();
    const TensorOptions options =
        with_layout(fanin::parse_layout(one["layout"].get<std::string>()), one["subsequence"].get<std::uint64_t>());
    for (const auto& [dtype_name, wanted] : one["patterns"].items()) {
      const DType dtype = fanin::parse_dtype(dtype_name);
      for (const CpuTarget target : fanin::cpu_targets()) {
        SCOPED_TRACE(one["name"].get<std::string>() + ", " + dtype_name + ", " + std::string(name_of(target)));
        const Bytes got = filled(orthogonal, shape, dtype, options, on_target(target));
        std::istringstream first(wanted["first"].get<std::string>());
        std::uint64_t pattern = 0, expected = 0;
        for (std::size_t at = 0; first >> std::hex >> expected; at += size_of(dtype)) {
          std::memcpy(&pattern, &got[at], size_of(dtype));
          ASSERT_EQ(pattern, expected) << "element " << at / size_of(dtype);
        }
        const std::string_view all(reinterpret_cast<const char*>(got.data()), got.size());
        EXPECT_EQ(std::to_string(fanin::subsequence_of(all)), wanted["fnv1a"].get<std::string>());
      }
    }
  }
}

// The largest entry of |Q^T Q - I|, computed in binary64, of a tall matrix; of a wide one, of its transpose.
template <class T>
double defect(const std::vector<T>& q, std::size_t rows, std::size_t columns) {
  const bool wide = rows < columns;
  const std::size_t m = std::max(rows, columns), n = std::min(rows, columns);
  const auto at = [&](std::size_t i, std::size_t j) { return static_cast<double>(wide ? q[j * m + i] : q[i * n + j]); };
  double worst = 0;
  for (std::size_t a = 0; a < n; ++a) {
    std::vector<double> sums(n);
    for (std::size_t i = 0; i < m; ++i) {
      const double factor = at(i, a);
      for (std::size_t b = a; b < n; ++b) sums[b] += factor * at(i, b);
    }
    for (std::size_t b = a; b < n; ++b) worst = std::max(worst, std::abs(sums[b] - (a == b ? 1 : 0)));
  }
  return worst;
}

TEST(Orthogonal, HasOrthonormalColumnsOrRows) {
  const std::array<Shape, 12> shapes{Shape{1, 1}, {2, 2},     {5, 3},    {3, 5},        {48, 48},       {49, 49},
                                     {257, 15},   {17, 1000}, {300, 65}, {3, 3, 8, 16}, {2, 2, 16, 70}, {384, 384}};
  for (const Shape& shape : shapes) {
    const auto columns = static_cast<std::size_t>(shape.back());
    const std::size_t rows = element_count(shape) / columns;
    SCOPED_TRACE(to_string(shape));
    EXPECT_LT(defect(values_of<float>(filled(Orthogonal(1, 1), shape)), rows, columns), 6e-7);
    EXPECT_LT(defect(values_of<double>(filled(Orthogonal(1, 1), shape, DType::float64)), rows, columns), 4e-15);
  }
}

TEST(Orthogonal, LayoutDecidesTheMatrix) {
  const Shape shape{6, 2, 3, 3};
  const auto torch = values_of<float>(filled(Orthogonal(1, 4), shape, DType::float32, with_layout(Layout::oihw)));
  EXPECT_LT(defect(torch, 6, 18), 6e-7);
  const auto keras = values_of<float>(filled(Orthogonal(1, 4), shape, DType::float32, with_layout(Layout::hwio)));
  EXPECT_LT(defect(keras, 36, 3), 6e-7);
  EXPECT_GT(defect(torch, 36, 3), 0.1);
  const auto of_matrix = filled(Orthogonal(1, 4), {6, 18});
  EXPECT_EQ(values_of<float>(of_matrix), torch);
}

TEST(Orthogonal, GainMultipliesAndOtherTypesHaveTheSameMatrix) {
  const Shape shape{90, 50};
  const auto one = values_of<float>(filled(Orthogonal(1, 4), shape));
  const auto two = values_of<float>(filled(Orthogonal(-2, 4), shape));
  const auto wide = values_of<double>(filled(Orthogonal(1, 4), shape, DType::float64));
  const auto narrow = values_of<std::uint16_t>(filled(Orthogonal(1, 4), shape, DType::bfloat16));
  for (std::size_t k = 0; k < one.size(); ++k) {
    EXPECT_EQ(two[k], -2 * one[k]);
    EXPECT_NEAR(wide[k], static_cast<double>(one[k]), 2e-6);
    EXPECT_EQ(narrow[k], fanin::core::BFloat16::encode(one[k]));
  }
}

TEST(Orthogonal, HasTheSameBitsOnEveryTargetAndThreadCount) {
  const std::array<Shape, 8> shapes{Shape{1, 1}, {3, 5},    {70, 40},   {333, 16},
                                    {15, 700},   {401, 47}, {130, 211}, {512, 512}};
  for (const Shape& shape : shapes) {
    for (const DType dtype : {DType::float32, DType::float64, DType::float16}) {
      SCOPED_TRACE(to_string(shape) + " " + std::string(name_of(dtype)));
      const Bytes wanted = filled(Orthogonal(1.5, 9), shape, dtype, {}, on_target(CpuTarget::portable));
      for (const CpuTarget target : fanin::cpu_targets()) {
        for (const int threads : {1, 2, 3, 4}) {
          EXPECT_EQ(filled(Orthogonal(1.5, 9), shape, dtype, {}, on_target(target, threads)), wanted)
              << name_of(target) << ", " << threads << " threads";
        }
      }
    }
  }
}

TEST(Orthogonal, BlocksRangesAndPartsAreSlicesOfTheWhole) {
  fanin::test::Choices choices(1);
  for (const Shape& shape : {Shape{60, 33}, Shape{33, 60}, Shape{4, 5, 30}}) {
    for (const DType dtype : all_dtypes) {
      SCOPED_TRACE(to_string(shape) + " " + std::string(name_of(dtype)));
      const Orthogonal orthogonal(0.5, 3);  // keeps the matrix between the blocks
      const Bytes whole = filled(orthogonal, shape, dtype);
      for (int k = 0; k < 8; ++k) {
        const TensorOptions block = fanin::test::random_box(choices, shape);
        EXPECT_EQ(filled(orthogonal, shape, dtype, block), slice(whole, shape, block.block, size_of(dtype)));
      }
      const FillParams params = orthogonal.params(shape, dtype);
      Bytes parts(whole.size(), fanin::test::poison);
      const std::uint64_t count = params.index.count;
      for (std::uint64_t first = 0; first < count;) {
        const std::uint64_t n = std::min(count - first, choices.below(300) + 1);
        unsigned char* const to = parts.data() + first * size_of(dtype);
        fill({to, dtype, n * size_of(dtype), fanin::host}, part_of(params, first, n));
        first += n;
      }
      EXPECT_EQ(parts, whole);
    }
  }
}

TEST(Orthogonal, ThreadsFillPartsOfSeveralTensorsAtOnce) {
  const Orthogonal orthogonal(1, 7);
  const Shape shape{64, 80};
  std::vector<Bytes> wanted, got(4, Bytes(64 * 80 * 4));
  for (std::uint64_t s = 0; s < 4; ++s)
    wanted.push_back(filled(Orthogonal(1, 7), shape, DType::float32, with_subsequence(s / 2)));
  std::vector<std::thread> threads;
  for (std::uint64_t s = 0; s < 4; ++s) {
    threads.emplace_back([&, s] {
      const FillParams params = orthogonal.params(shape, DType::float32, with_subsequence(s / 2));
      for (std::uint64_t first = 0; first < params.index.count; first += 1280) {
        fill({got[s].data() + first * 4, DType::float32, 1280 * 4, fanin::host}, part_of(params, first, 1280));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(got, wanted);
}

TEST(Orthogonal, PlansFillMatricesAndCopies) {
  Bytes a(60 * 33 * 4), b(60 * 33 * 2), block(10 * 33 * 4), other(7 * 9 * 8), normal(1000 * 4);
  Plan plan;
  {
    const Orthogonal orthogonal(2, 3);
    const auto entry = plan.add(orthogonal, view_of(a, DType::float32), {60, 33}, "a");
    plan.add_copy(entry, view_of(b, DType::bfloat16));
    plan.add_copy(entry, view_of(block, DType::float32), Block{{50, 0}, {10, 33}});
    plan.add(orthogonal, view_of(other, DType::float64), {7, 9}, "b");
    plan.add(fanin::RandomNormal(0, 1, 3), view_of(normal, DType::float32), {1000}, "c");
    expect_refused([&] { plan.add(orthogonal, view_of(other, DType::float64), {7, 9}, "b"); }, {"same draws"});
  }
  plan.fill();
  const Orthogonal orthogonal(2, 3);
  EXPECT_EQ(a, filled(orthogonal, {60, 33}, DType::float32, fanin::test::with_name("a")));
  EXPECT_EQ(b, filled(orthogonal, {60, 33}, DType::bfloat16, fanin::test::with_name("a")));
  EXPECT_EQ(block, Bytes(a.begin() + 50 * 33 * 4, a.end()));
  EXPECT_EQ(other, filled(orthogonal, {7, 9}, DType::float64, fanin::test::with_name("b")));
  EXPECT_EQ(normal, filled(fanin::RandomNormal(0, 1, 3), {1000}, DType::float32, fanin::test::with_name("c")));
}

TEST(Orthogonal, RefusesWhatItCannotFill) {
  expect_refused([] { filled(Orthogonal(1, 1), {5}); }, {"at least two-dimensional", "shape=[5] of rank 1"});
  expect_refused([] { filled(Orthogonal(1, 1), {}); }, {"at least two-dimensional"});
  const double infinity = std::numeric_limits<double>::infinity();
  expect_refused([&] { Orthogonal(infinity, 1); }, {"`gain` must be finite"});
  expect_refused([] { filled(Orthogonal(1e39, 1), {2, 2}); }, {"finite in float32", "gain=1e+39"});
  expect_refused([] { filled(Orthogonal(1e-50, 1), {2, 2}); }, {"becomes zero"});
  Bytes memory(4, fanin::test::poison);
  for (const Shape& shape : {Shape{std::int64_t{1} << 28, std::int64_t{1} << 28}, Shape{std::int64_t{1} << 55, 2}}) {
    expect_refused(
        [&] {
          Orthogonal(1, 1).fill(view_of(memory, DType::float32), shape, with_block({0, 0}, {1, 1}));
        },
        {"more memory than this machine has"});
  }
  expect_refused([&] { filled(Orthogonal(1, 1), {std::int64_t{1} << 40, std::int64_t{1} << 40}); }, {"2^56"});
  EXPECT_EQ(memory, Bytes(4, fanin::test::poison));
  for (const Shape& shape : {Shape{0, 3}, Shape{3, 0}, Shape{std::int64_t{1} << 40, std::int64_t{1} << 40, 0}}) {
    EXPECT_TRUE(filled(Orthogonal(1, 1), shape).empty());
  }
}

TEST(Orthogonal, DoesNotDependOnTheFloatingPointEnvironment) {
  const Bytes wanted = filled(Orthogonal(1, 5), {100, 70});
  std::fesetround(FE_UPWARD);
  const Bytes got = filled(Orthogonal(1, 5), {100, 70});
  const int mode = std::fegetround();
  std::fesetround(FE_TONEAREST);
  EXPECT_EQ(mode, FE_UPWARD);
  EXPECT_EQ(got, wanted);
}

TEST(Orthogonal, DescribesItself) {
  const fanin::Description description = Orthogonal(2, 1).describe({3, 3, 4, 9});
  EXPECT_EQ(description.distribution.kind, fanin::Distribution::Kind::orthogonal);
  EXPECT_EQ(description.distribution.rows, 36U);
  EXPECT_EQ(description.distribution.columns, 9U);
  EXPECT_NE(description.derivation.find("36 x 9"), std::string::npos);
  EXPECT_DOUBLE_EQ(moments_of(description.distribution).stddev, 2.0 / 6);
  EXPECT_EQ(moments_of(Orthogonal().describe({0, 5}).distribution).stddev, 0);
}

// ---------------------------------------------------------------- the distribution, with fixed seeds

// Kolmogorov and Smirnov's statistic times sqrt(N). It exceeds 2.9 with probability 2 exp(-2 * 2.9^2) = 1e-7.
template <class Cdf>
double deviation(std::vector<double> sample, const Cdf& cdf) {
  std::sort(sample.begin(), sample.end());
  double worst = 0;
  const auto count = static_cast<double>(sample.size());
  for (std::size_t k = 0; k < sample.size(); ++k) {
    const double p = cdf(sample[k]);
    worst = std::max({worst, p - static_cast<double>(k) / count, static_cast<double>(k + 1) / count - p});
  }
  return worst * std::sqrt(count);
}

constexpr std::size_t matrices = 4000;

std::vector<double> matrix(const Shape& shape, std::uint64_t number) {
  return values_of<double>(filled(Orthogonal(1, 2024), shape, DType::float64, with_subsequence(number)));
}

// For the Haar measure of order 3, each entry is uniform on [-1, 1] (Archimedes), a rotation's angle has the density
// (1 - cos) / pi, and half of the matrices are rotations. The 10 statistics raise a false alarm with probability 2e-6.
TEST(Orthogonal, IsHaarDistributedInThreeDimensions) {
  std::array<std::vector<double>, 9> entries;
  std::vector<double> angles;
  double rotations = 0;
  for (std::size_t k = 0; k < matrices; ++k) {
    const std::vector<double> q = matrix({3, 3}, k);
    for (std::size_t j = 0; j < 9; ++j) entries[j].push_back(q[j]);
    const double det =
        q[0] * (q[4] * q[8] - q[5] * q[7]) - q[1] * (q[3] * q[8] - q[5] * q[6]) + q[2] * (q[3] * q[7] - q[4] * q[6]);
    EXPECT_NEAR(std::abs(det), 1, 1e-12);
    if (det > 0) ++rotations;
    // -Q is the rotation if Q is not one.
    angles.push_back(std::acos(std::clamp((det * (q[0] + q[4] + q[8]) - 1) / 2, -1.0, 1.0)));
  }
  for (const auto& sample : entries) {
    EXPECT_LT(deviation(sample, [](double v) { return (v + 1) / 2; }), 2.9);
  }
  const double pi = std::acos(-1.0);
  EXPECT_LT(deviation(angles, [&](double angle) { return (angle - std::sin(angle)) / pi; }), 2.9);
  EXPECT_LT(std::abs(rotations - matrices / 2.0) / std::sqrt(matrices / 4.0), 5.3);  // probability 1e-7
}

// The traces of powers are sums over the eigenvalues' angles. Of the Haar measure, tr(Q^k) has the mean 1 for even k,
// else 0, the variance k, and for k well below the order all moments of a normal (Diaconis and Shahshahani 1994).
TEST(Orthogonal, HasTheEigenvalueAnglesOfTheHaarMeasure) {
  constexpr std::size_t n = 20;
  std::array<std::vector<double>, 4> traces;
  for (std::size_t k = 0; k < matrices; ++k) {
    const std::vector<double> q = matrix({n, n}, k);
    std::vector<double> power = q;
    for (std::size_t j = 0; j < traces.size(); ++j) {
      double trace = 0;
      for (std::size_t i = 0; i < n; ++i) trace += power[i * n + i];
      traces[j].push_back(trace);
      std::vector<double> next(n * n);
      for (std::size_t a = 0; a < n; ++a) {
        for (std::size_t b = 0; b < n; ++b) {
          for (std::size_t c = 0; c < n; ++c) next[a * n + c] += power[a * n + b] * q[b * n + c];
        }
      }
      power = next;
    }
  }
  for (std::size_t j = 0; j < traces.size(); ++j) {
    const auto k = static_cast<double>(j + 1);
    const double mean = j % 2 == 0 ? 0 : 1;
    const auto normal = [&](double v) { return std::erfc((mean - v) / std::sqrt(2 * k)) / 2; };
    EXPECT_LT(deviation(traces[j], normal), 2.9) << "power " << k;
  }
}

// The first column of order n is a point of the sphere, and so is each row of a wide matrix: (entry + 1) / 2 has the
// beta distribution with both parameters (n - 1) / 2, which is uniform in 3 dimensions; here, of 5, a polynomial.
TEST(Orthogonal, TallAndWideMatricesHaveUniformVectors) {
  for (const Shape& shape : {Shape{5, 2}, Shape{2, 5}}) {
    std::array<std::vector<double>, 10> entries;
    for (std::size_t k = 0; k < matrices; ++k) {
      const std::vector<double> q = matrix(shape, k);
      for (std::size_t j = 0; j < 10; ++j) entries[j].push_back(q[j]);
    }
    const auto cdf = [](double v) { return 0.5 + 0.75 * (v - v * v * v / 3); };
    for (const auto& sample : entries) EXPECT_LT(deviation(sample, cdf), 2.9);
  }
}

}  // namespace
