// SPDX-License-Identifier: Apache-2.0
// Tests values as random numbers: moments, cells, distribution function, tails and correlations of 2^22 elements.
//
// Seeds are fixed, so every run gives the same answer. With a random seed, a correct generator would fail a check with
// probability below 3e-9: the bounds are |z| < 6 for normally distributed statistics (2e-9), and sqrt(n) * D < 3.25 for
// Kolmogorov-Smirnov (2 * exp(-2 * 3.25^2) = 1.3e-9). There are 91 checks of correct values, so the probability of a
// false alarm is below 3e-7 in total.
// Each kind of check has controls: slightly wrong values that it must reject.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <functional>
#include <set>
#include <string>
#include <vector>

#include "fanin/fanin.hpp"
#include "support/test_support.h"

namespace {

using fanin::DType;
using fanin::Initializer;
using fanin::Shape;
using fanin::TensorOptions;
using fanin::test::filled;
using fanin::test::values_of;
using fanin::test::with_name;
using fanin::test::with_subsequence;

using Values = std::vector<float>;
using Failures = std::set<std::string>;

constexpr double z_bound = 6.0;
constexpr double ks_bound = 3.25;
const Shape shape{2048, 2048};
constexpr double n = 2048.0 * 2048.0;

// ---------------------------------------------------------------- expected distributions

// A distribution that is symmetric about `mean`: its even central moments (the odd ones are 0) and its CDF.
struct Law {
  double mean;
  double m2, m4, m6, m8;
  std::function<double(double)> cdf;
};

double normal_cdf(double x) { return 0.5 * std::erfc(-x / std::sqrt(2.0)); }

Law standard_normal() { return {0, 1, 3, 15, 105, normal_cdf}; }

// A standard normal within +-2: integration by parts gives E x^k = (k - 1) E x^(k-2) - 2 * 2^(k-1) * density(2) / mass.
Law truncated_at_2() {
  const double mass = 1 - 2 * normal_cdf(-2);
  const double edge = std::exp(-2.0) / std::sqrt(2 * std::acos(-1.0)) / mass;
  const double m2 = 1 - 4 * edge;
  const double m4 = 3 * m2 - 16 * edge;
  const double m6 = 5 * m4 - 64 * edge;
  const double m8 = 7 * m6 - 256 * edge;
  const double below = normal_cdf(-2);
  return {0, m2, m4, m6, m8, [=](double x) { return std::clamp((normal_cdf(x) - below) / mass, 0.0, 1.0); }};
}

// Uniform on [low, low + 2 * half).
Law uniform(double low, double half) {
  const double h2 = half * half;
  return {low + half, h2 / 3, h2 * h2 / 5, h2 * h2 * h2 / 7, h2 * h2 * h2 * h2 / 9, [=](double x) {
            return std::clamp((x - low) / (2 * half), 0.0, 1.0);
          }};
}

// ---------------------------------------------------------------- checks: the names of those that fail

void check(Failures& failures, const std::string& name, double z) {
  if (!(std::abs(z) < z_bound)) failures.insert(name);
}

// Sample moments about the true mean are means of n independent numbers, so higher moments give their variance.
Failures failing_moments(const Values& values, const Law& law) {
  double s1 = 0;
  double s2 = 0;
  double s3 = 0;
  double s4 = 0;
  for (const float value : values) {
    const double x = value - law.mean;
    s1 += x;
    s2 += x * x;
    s3 += x * x * x;
    s4 += x * x * x * x;
  }
  Failures failures;
  check(failures, "mean", s1 / n / std::sqrt(law.m2 / n));
  check(failures, "variance", (s2 / n - law.m2) / std::sqrt((law.m4 - law.m2 * law.m2) / n));
  check(failures, "skewness", s3 / n / std::sqrt(law.m6 / n));
  check(failures, "kurtosis", (s4 / n - law.m4) / std::sqrt((law.m8 - law.m4 * law.m4) / n));
  return failures;
}

// Chi-square over 256 cells of equal probability, turned into a z by Wilson and Hilferty's cube root, and the
// Kolmogorov-Smirnov distance to the exact CDF.
Failures failing_shape(const Values& values, const Law& law) {
  std::vector<double> u(values.size());
  std::transform(values.begin(), values.end(), u.begin(), law.cdf);
  std::sort(u.begin(), u.end());
  Failures failures;

  std::array<double, 256> cells{};
  for (const double v : u) ++cells[std::min<std::size_t>(255, static_cast<std::size_t>(v * 256))];
  double chi2 = 0;
  for (const double count : cells) chi2 += (count - n / 256) * (count - n / 256) / (n / 256);
  const double width = 2.0 / (9 * 255);
  check(failures, "cells", (std::cbrt(chi2 / 255) - (1 - width)) / std::sqrt(width));

  double distance = 0;
  for (std::size_t j = 0; j < u.size(); ++j) {
    const auto rank = static_cast<double>(j);
    distance = std::max({distance, u[j] - rank / n, (rank + 1) / n - u[j]});
  }
  if (!(std::sqrt(n) * distance < ks_bound)) failures.insert("Kolmogorov-Smirnov");
  return failures;
}

// Counts beyond some standard deviations on each side, turned into z by Anscombe's root of a Poisson number.
Failures failing_tails(const Values& values) {
  Failures failures;
  for (const double sigmas : {3.0, 4.0}) {
    for (const double side : {-1.0, 1.0}) {
      const auto count = std::count_if(values.begin(), values.end(), [&](float v) { return side * v > sigmas; });
      const double expected = n * normal_cdf(-sigmas);
      check(failures, "tail beyond " + std::to_string(static_cast<int>(side * sigmas)),
            2 * (std::sqrt(static_cast<double>(count) + 0.375) - std::sqrt(expected + 0.375)));
    }
  }
  return failures;
}

// The correlation of two lists, and of their squares. For independent numbers the sum over the pairs has the variance
// `pairs`.
Failures failing_correlation(const float* a, const float* b, std::size_t pairs, const Law& law) {
  double products = 0;
  double squares = 0;
  for (std::size_t j = 0; j < pairs; ++j) {
    const double x = a[j] - law.mean;
    const double y = b[j] - law.mean;
    products += x * y;
    squares += (x * x - law.m2) * (y * y - law.m2);
  }
  const double root = std::sqrt(static_cast<double>(pairs));
  Failures failures;
  check(failures, "correlation", products / law.m2 / root);
  check(failures, "correlation of squares", squares / (law.m4 - law.m2 * law.m2) / root);
  return failures;
}

// Correlations with the next 4 elements, because a Philox block has 4 words.
Failures failing_lags(const Values& values, const Law& law) {
  Failures failures;
  for (std::size_t lag = 1; lag <= 4; ++lag) {
    for (const std::string& name : failing_correlation(values.data(), values.data() + lag, values.size() - lag, law)) {
      failures.insert(name + " at lag " + std::to_string(lag));
    }
  }
  return failures;
}

Failures failing(const Values& values, const Law& law) {
  Failures all = failing_moments(values, law);
  all.merge(failing_shape(values, law));
  all.merge(failing_lags(values, law));
  return all;
}

std::string list(const Failures& failures) {
  std::string text;
  for (const std::string& name : failures) text += name + "; ";
  return text;
}

// ---------------------------------------------------------------- values

Values drawn(const Initializer& initializer, const TensorOptions& options = {}) {
  return values_of<float>(filled(initializer, shape, DType::float32, options));
}

Values scaled(Values values, double factor) {
  for (float& value : values) value = static_cast<float>(value * factor);
  return values;
}

template <class F>
Values changed(Values values, const F& change) {
  for (float& value : values) value = static_cast<float>(change(static_cast<double>(value)));
  return values;
}

// Takes every hundredth value from another list.
Values contaminated(Values values, const float* other) {
  for (std::size_t j = 0; j < values.size(); j += 100) values[j] = other[j];
  return values;
}

const Values& normal_values() {
  static const Values values = drawn(fanin::RandomNormal(0, 1, 20240607));
  return values;
}

// HeNormal of 2048 inputs, by its standard deviation before truncation. After truncation the variance is 2 / 2048.
const Values& he_values() {
  static const Values values = scaled(drawn(fanin::HeNormal(20240607)), 0.87962566103423978 / std::sqrt(2.0 / 2048));
  return values;
}

// ---------------------------------------------------------------- correct values

TEST(Statistics, Normal) {
  EXPECT_EQ(list(failing(normal_values(), standard_normal())), "");
  EXPECT_EQ(list(failing_tails(normal_values())), "");
}

TEST(Statistics, HeNormal) { EXPECT_EQ(list(failing(he_values(), truncated_at_2())), ""); }

TEST(Statistics, UnitUniform) { EXPECT_EQ(list(failing(drawn(fanin::RandomUniform(0, 1, 3)), uniform(0, 0.5))), ""); }

TEST(Statistics, CentredUniform) {
  EXPECT_EQ(list(failing(drawn(fanin::RandomUniform(-1, 1, 4)), uniform(-1, 1))), "");
}

// HeNormal's variance after truncation is 2 / fan_in, independent of the constant above.
TEST(Statistics, HeNormalHasItsVariance) {
  double sum = 0;
  for (const float value : drawn(fanin::HeNormal(5))) sum += static_cast<double>(value) * value;
  const Law law = truncated_at_2();
  const double relative = (sum / n) / (2.0 / 2048) - 1;
  EXPECT_LT(std::abs(relative / std::sqrt((law.m4 / (law.m2 * law.m2) - 1) / n)), z_bound);
}

TEST(Statistics, NeighbouringSubsequencesAndSeeds) {
  struct Neighbour {
    const char* what;
    Values values;
  };
  const auto normal = [](std::uint64_t seed, const TensorOptions& options = {}) {
    return drawn(fanin::RandomNormal(0, 1, seed), options);
  };
  const Neighbour neighbours[] = {
      {"the next subsequence", normal(20240607, with_subsequence(1))},
      {"the next seed", normal(20240608)},
      {"the seed before", normal(20240606)},
      {"one bit of the seed's high half", normal(20240607 + (std::uint64_t{1} << 32))},
      {"one bit of the subsequence's high half", normal(20240607, with_subsequence(std::uint64_t{1} << 32))},
      {"a name", normal(20240607, with_name("layer/1"))},
      {"seed and subsequence exchanged", normal(0, with_subsequence(20240607))},
  };
  const Values& values = normal_values();
  const std::size_t size = values.size();
  const Law law = standard_normal();
  for (const Neighbour& neighbour : neighbours) {
    const float* other = neighbour.values.data();
    EXPECT_EQ(list(failing_correlation(values.data(), other, size, law)), "") << neighbour.what;
    EXPECT_EQ(list(failing_correlation(values.data() + 1, other, size - 1, law)), "") << neighbour.what << ", shifted";
  }
  const auto one = drawn(fanin::HeNormal(1), with_name("layer/1"));
  const auto two = drawn(fanin::HeNormal(1), with_name("layer/2"));
  const double stddev = std::sqrt(2.0 / 2048) / 0.87962566103423978;
  EXPECT_EQ(
      list(failing_correlation(scaled(one, 1 / stddev).data(), scaled(two, 1 / stddev).data(), size, truncated_at_2())),
      "");
}

// ---------------------------------------------------------------- controls: each check can fail

TEST(StatisticsControl, Mean) {
  const auto shifted = changed(normal_values(), [](double x) { return x + 0.005; });
  EXPECT_EQ(failing_moments(shifted, standard_normal()).count("mean"), 1u);
  EXPECT_EQ(list(failing_moments(shifted, {0.005, 1, 3, 15, 105, normal_cdf})), "");
}

TEST(StatisticsControl, Variance) {
  EXPECT_EQ(failing_moments(scaled(normal_values(), 1.01), standard_normal()).count("variance"), 1u);
  EXPECT_EQ(failing_moments(scaled(he_values(), 1.01), truncated_at_2()).count("variance"), 1u);
}

// sqrt(scale / fan) without the correction for truncation, as in some older libraries.
TEST(StatisticsControl, CutWithoutItsCorrection) {
  const Failures failures = failing(scaled(he_values(), 0.87962566103423978), truncated_at_2());
  for (const char* name : {"variance", "kurtosis", "cells", "Kolmogorov-Smirnov"})
    EXPECT_EQ(failures.count(name), 1u) << name;
}

// An untruncated normal with the same variance.
TEST(StatisticsControl, NormalForTruncatedNormal) {
  const Failures failures = failing(scaled(normal_values(), 0.87962566103423978), truncated_at_2());
  EXPECT_EQ(failures.count("variance"), 0u);
  for (const char* name : {"kurtosis", "cells", "Kolmogorov-Smirnov"}) EXPECT_EQ(failures.count(name), 1u) << name;
}

// Hermite polynomials change one moment and keep the lower ones.
TEST(StatisticsControl, SkewnessAndKurtosis) {
  const auto skewed = changed(normal_values(), [](double x) { return x + 0.01 * (x * x - 1); });
  EXPECT_EQ(list(failing_moments(skewed, standard_normal())), "skewness; ");
  const auto peaked = changed(normal_values(), [](double x) { return x + 0.005 * (x * x * x - 3 * x); });
  EXPECT_EQ(list(failing_moments(peaked, standard_normal())), "kurtosis; ");
}

TEST(StatisticsControl, CellsAndDistance) {
  const Failures wide = failing_shape(scaled(normal_values(), 1.01), standard_normal());
  EXPECT_EQ(wide.count("cells"), 1u);
  EXPECT_EQ(wide.count("Kolmogorov-Smirnov"), 1u);
  // Fractions lack 8 bits: cells are hit as often, but only at their lower ends.
  const auto coarse = changed(drawn(fanin::RandomUniform(0, 1, 3)), [](double u) { return std::floor(u * 256) / 256; });
  EXPECT_EQ(list(failing_shape(coarse, uniform(0, 0.5))), "Kolmogorov-Smirnov; ");
  // One cell in four gives one in fifty of its values to the next, which keeps the distance small.
  auto uneven = drawn(fanin::RandomUniform(0, 1, 3));
  for (std::size_t j = 0; j < uneven.size(); ++j) {
    if (j % 50 == 0 && static_cast<int>(uneven[j] * 256) % 4 == 0) uneven[j] += 1.0F / 256;
  }
  EXPECT_EQ(list(failing_shape(uneven, uniform(0, 0.5))), "cells; ");
}

TEST(StatisticsControl, Tails) {
  const auto cut_at_4 = changed(normal_values(), [](double x) { return std::clamp(x, -4.0, 4.0); });
  EXPECT_EQ(list(failing_tails(cut_at_4)), "tail beyond -4; tail beyond 4; ");
  const auto wide = scaled(normal_values(), 1.02);
  EXPECT_EQ(failing_tails(wide).count("tail beyond 3"), 1u);
  EXPECT_EQ(failing_tails(wide).count("tail beyond -3"), 1u);
}

TEST(StatisticsControl, Neighbours) {
  const Values& values = normal_values();
  // One element in a hundred is a copy of the next.
  auto copies = values;
  for (std::size_t j = 0; j + 1 < copies.size(); j += 100) copies[j] = copies[j + 1];
  EXPECT_EQ(list(failing_lags(copies, standard_normal())), "correlation at lag 1; correlation of squares at lag 1; ");
  // The same with the sign of another draw: the squares correlate, but not the values.
  for (std::size_t j = 0; j + 1 < copies.size(); j += 100) copies[j] = std::copysign(copies[j + 1], values[j]);
  EXPECT_EQ(list(failing_lags(copies, standard_normal())), "correlation of squares at lag 1; ");

  const auto neighbour = drawn(fanin::RandomNormal(0, 1, 20240608));
  const auto mixed = contaminated(neighbour, values.data());
  EXPECT_EQ(failing_correlation(values.data(), mixed.data(), values.size(), standard_normal()).count("correlation"),
            1u);
}

}  // namespace
