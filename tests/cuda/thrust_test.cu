// SPDX-License-Identifier: Apache-2.0
// Tests fanin/thrust.h: Thrust's vectors, pointers and spans get the host's bits, and statistics on the device equal
// those in long double on the host. Skips without a device; an emulator of the CUDA runtime can replace one.
#include <gtest/gtest.h>
#include <thrust/device_vector.h>
#include <thrust/host_vector.h>
#include <thrust/universal_vector.h>

#include <cmath>
#include <cstring>
#include <cuda/std/span>
#include <limits>
#include <string>
#include <vector>

#include "fanin/fanin.hpp"
#include "fanin/statistics.h"
#include "fanin/thrust.h"
#include "support/test_support.h"

namespace fanin {
namespace {

namespace cuda_std = ::cuda::std;

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double nan = std::numeric_limits<double>::quiet_NaN();

class Thrust : public testing::Test {
 protected:
  void SetUp() override {
    const Availability there = available();
    if (there.cuda_devices == 0) GTEST_SKIP() << "no CUDA device: " << there.reason;
  }
};

template <class T>
class ThrustElements : public Thrust {};
using Elements = testing::Types<float, double, __half, __nv_bfloat16, __nv_fp8_e4m3, __nv_fp8_e5m2>;
TYPED_TEST_SUITE(ThrustElements, Elements);

TensorOptions with_name(const char* name) {
  TensorOptions options;
  options.name = name;
  return options;
}

// The host's tensor as elements of the device type.
template <class T>
std::vector<T> on_host(const Initializer& initializer, const Shape& shape, const TensorOptions& options = {}) {
  std::vector<T> elements(element_count(shape));
  initializer.fill({elements.data(), detail::device::dtype_of<T>(), elements.size() * sizeof(T), host}, shape, options);
  return elements;
}

template <class T>
::testing::AssertionResult holds(const T* memory, const std::vector<T>& expected) {
  std::vector<T> got(expected.size());
  const cudaError_t error = cudaMemcpy(got.data(), memory, got.size() * sizeof(T), cudaMemcpyDefault);
  if (error != cudaSuccess) return testing::AssertionFailure() << cudaGetErrorString(error);
  if (std::memcmp(got.data(), expected.data(), got.size() * sizeof(T)) == 0) return testing::AssertionSuccess();
  return testing::AssertionFailure() << "other bits than the host's";
}

TYPED_TEST(ThrustElements, GetTheHostsBits) {
  using T = TypeParam;
  const HeNormal initializer{7};
  const Shape shape{31, 45};
  const std::size_t count = 31 * 45;
  const TensorOptions options = with_name("kernel");
  const std::vector<T> expected = on_host<T>(initializer, shape, options);

  thrust::device_vector<T> vector(count);
  EXPECT_EQ(view(vector).device, cuda(0));
  fill(initializer, vector, shape, options);
  EXPECT_TRUE(holds(thrust::raw_pointer_cast(vector.data()), expected)) << "device_vector";

  thrust::universal_vector<T> managed(count);
  EXPECT_EQ(view(managed).device, cuda(0));
  fill(initializer, managed, shape, options);
  ASSERT_EQ(cudaDeviceSynchronize(), cudaSuccess);
  EXPECT_TRUE(holds(thrust::raw_pointer_cast(managed.data()), expected)) << "universal_vector";

  // The fill begins at the second element, given as a pointer and as a span.
  thrust::device_vector<T> longer(count + 2);
  fill(initializer, longer.data() + 1, count, shape, options);
  EXPECT_TRUE(holds(thrust::raw_pointer_cast(longer.data()) + 1, expected)) << "device_ptr";
  thrust::fill(thrust::device_pointer_cast(reinterpret_cast<unsigned char*>(thrust::raw_pointer_cast(longer.data()))),
               thrust::device_pointer_cast(
                   reinterpret_cast<unsigned char*>(thrust::raw_pointer_cast(longer.data()) + longer.size())),
               static_cast<unsigned char>(0));
  fill(initializer, cuda_std::span<T>(thrust::raw_pointer_cast(longer.data()) + 1, count), shape, options);
  EXPECT_TRUE(holds(thrust::raw_pointer_cast(longer.data()) + 1, expected)) << "span";
}

// ---------------------------------------------------------------- statistics

template <class T>
double value_of(T element) {
  if constexpr (std::is_same_v<T, double>) {
    return element;
  } else {
    return static_cast<float>(element);
  }
}

// Statistics in two passes and long double.
template <class T>
Statistics expected_of(const std::vector<T>& elements, double lower, double upper, const HistogramRange& range = {}) {
  Statistics s;
  s.count = elements.size();
  s.histogram.assign(range.bins, 0);
  long double n = 0;
  long double sum = 0;
  s.min = infinity;
  s.max = -infinity;
  for (const T element : elements) {
    const double x = value_of(element);
    s.nans += std::isnan(x);
    s.infinities += std::isinf(x);
    s.out_of_bounds += !(x >= lower && x <= upper);
    if (range.bins != 0) {
      s.below_histogram += x < range.lower;
      s.above_histogram += x > range.upper;
      if (x >= range.lower && x <= range.upper) {
        const double bin = std::floor((x - range.lower) * (range.bins / (range.upper - range.lower)));
        ++s.histogram[bin < range.bins ? static_cast<std::size_t>(bin) : range.bins - 1];
      }
    }
    if (!std::isfinite(x)) continue;
    n += 1;
    sum += x;
    s.min = std::min(s.min, x);
    s.max = std::max(s.max, x);
  }
  const long double mean = sum / n;
  long double m2 = 0;
  long double m3 = 0;
  long double m4 = 0;
  for (const T element : elements) {
    const long double d = value_of(element) - mean;
    if (!std::isfinite(d)) continue;
    m2 += d * d;
    m3 += d * d * d;
    m4 += d * d * d * d;
  }
  const long double variance = m2 / n;
  s.mean = static_cast<double>(mean);
  s.standard_deviation = static_cast<double>(std::sqrt(variance));
  s.skewness = static_cast<double>(m3 / n / (variance * std::sqrt(variance)));
  s.kurtosis = static_cast<double>(m4 / n / (variance * variance));
  if (n == 0) s.min = s.max = nan;
  return s;
}

// Expects NaN if NaN is expected, else a number within the tolerance.
void expect_near(double got, double expected, double tolerance, const char* what) {
  if (std::isnan(expected)) {
    EXPECT_TRUE(std::isnan(got)) << what << " is " << got;
  } else {
    EXPECT_NEAR(got, expected, tolerance) << what;
  }
}

// Expects equal counts and extremes, and moments within `tolerance`, in units of the standard deviation's powers.
void expect_same(const Statistics& got, const Statistics& expected, double tolerance = 1e-12) {
  EXPECT_EQ(got.count, expected.count);
  EXPECT_EQ(got.nans, expected.nans);
  EXPECT_EQ(got.infinities, expected.infinities);
  EXPECT_EQ(got.out_of_bounds, expected.out_of_bounds);
  EXPECT_EQ(got.below_histogram, expected.below_histogram);
  EXPECT_EQ(got.above_histogram, expected.above_histogram);
  EXPECT_EQ(got.histogram, expected.histogram);
  expect_near(got.min, expected.min, 0, "min");
  expect_near(got.max, expected.max, 0, "max");
  const double sd = expected.standard_deviation;
  // The mean itself is rounded, which matters if the deviations are much smaller.
  expect_near(got.mean, expected.mean, tolerance * sd + 4e-16 * std::abs(expected.mean), "mean");
  expect_near(got.standard_deviation, sd, tolerance * sd, "standard_deviation");
  expect_near(got.skewness, expected.skewness, 10 * tolerance * std::max(1.0, expected.kurtosis), "skewness");
  expect_near(got.kurtosis, expected.kurtosis, 10 * tolerance * expected.kurtosis, "kurtosis");
}

TYPED_TEST(ThrustElements, HaveTheStatisticsOfTheHost) {
  using T = TypeParam;
  const HeNormal initializer{42};
  const Shape shape{323, 317};
  const double sd = std::sqrt(2.0 / 323);
  const HistogramRange range{37, -1.5 * sd, 1.75 * sd};
  const std::vector<T> elements = on_host<T>(initializer, shape);
  thrust::device_vector<T> vector(elements.size());
  fill(initializer, vector, shape);
  const Statistics got = statistics(vector, -sd, sd, range);
  expect_same(got, expected_of(elements, -sd, sd, range));
  EXPECT_GT(got.out_of_bounds, 0u);
  EXPECT_GT(got.below_histogram, 0u);
  EXPECT_GT(got.above_histogram, 0u);
  EXPECT_NEAR(got.standard_deviation, sd, 0.02 * sd);
}

TYPED_TEST(ThrustElements, AreFewWithKnownStatistics) {
  using T = TypeParam;
  std::vector<T> elements;
  for (const float x : {1.0F, -2.0F, 0.5F, 4.0F, 1.0F}) {
    elements.push_back(static_cast<T>(x));
    const thrust::device_vector<T> vector(elements.begin(), elements.end());
    const HistogramRange range{3, -2, 1};
    expect_same(statistics(vector, -1.5, 1, range), expected_of(elements, -1.5, 1, range));
  }
}

TYPED_TEST(ThrustElements, AreConstant) {
  using T = TypeParam;
  const std::vector<T> elements(5000, static_cast<T>(0.1F));
  const thrust::device_vector<T> vector(elements.begin(), elements.end());
  const double x = value_of(elements[0]);
  const Statistics got = statistics(vector, x, x);
  EXPECT_EQ(got.mean, x);
  EXPECT_EQ(got.standard_deviation, 0);
  EXPECT_TRUE(std::isnan(got.skewness));
  EXPECT_TRUE(std::isnan(got.kurtosis));
  EXPECT_EQ(got.min, x);
  EXPECT_EQ(got.max, x);
  EXPECT_EQ(got.out_of_bounds, 0u);
}

TYPED_TEST(ThrustElements, MayNotBeNumbers) {
  using T = TypeParam;
  // The first element is NaN, which must not become the reference of the deviations. float8_e4m3fn has no infinities.
  std::vector<T> elements(3000, static_cast<T>(2.0F));
  elements[1] = static_cast<T>(-1.0F);
  elements[0] = elements[2048] = static_cast<T>(std::numeric_limits<float>::quiet_NaN());
  if constexpr (!std::is_same_v<T, __nv_fp8_e4m3>) {
    // float8_e5m2 is given by its bits, because a conversion saturates.
    if constexpr (std::is_same_v<T, __nv_fp8_e5m2>) {
      elements[7].__x = 0x7c;
      elements[8].__x = elements[9].__x = 0xfc;
    } else {
      elements[7] = static_cast<T>(std::numeric_limits<float>::infinity());
      elements[8] = elements[9] = static_cast<T>(-std::numeric_limits<float>::infinity());
    }
    EXPECT_TRUE(std::isinf(value_of(elements[9])));
  }
  const thrust::device_vector<T> vector(elements.begin(), elements.end());
  const HistogramRange range{4, -2, 2};
  const Statistics got = statistics(vector, -2, 2, range);
  expect_same(got, expected_of(elements, -2, 2, range));
  EXPECT_EQ(got.nans, 2u);
  EXPECT_EQ(got.out_of_bounds, got.nans + got.infinities);

  const thrust::device_vector<T> none(3, elements[0]);
  const Statistics nothing = statistics(none);
  EXPECT_EQ(nothing.nans, 3u);
  for (const double x : {nothing.mean, nothing.standard_deviation, nothing.kurtosis, nothing.min, nothing.max}) {
    EXPECT_TRUE(std::isnan(x));
  }
}

TYPED_TEST(ThrustElements, AreNone) {
  thrust::device_vector<TypeParam> vector;
  EXPECT_EQ(view(vector).device, cuda(0));
  fill(HeNormal(1), vector, {0, 3});
  const Statistics got = statistics(vector, -1, 1, {2, 0, 1});
  EXPECT_EQ(got.count, 0u);
  EXPECT_EQ(got.out_of_bounds, 0u);
  EXPECT_EQ(got.histogram, std::vector<std::uint64_t>(2));
  for (const double x : {got.mean, got.standard_deviation, got.skewness, got.kurtosis, got.min, got.max}) {
    EXPECT_TRUE(std::isnan(x));
  }
}

// An error that the caller has seen, and not yet cleared.
TEST_F(Thrust, StatisticsAfterAnErrorOfTheCallers) {
  const thrust::device_vector<float> vector(1000, 1.0F);
  void* none = nullptr;
  ASSERT_NE(cudaMalloc(&none, std::size_t{1} << 60), cudaSuccess);
  EXPECT_EQ(statistics(vector).mean, 1);
  EXPECT_NE(cudaGetLastError(), cudaSuccess);
}

TEST_F(Thrust, StatisticsBearALargeMeanAndAnOutlier) {
  std::vector<double> elements = on_host<double>(RandomNormal(1e6, 1.0, 3), {20000});
  thrust::device_vector<double> vector(elements.begin(), elements.end());
  expect_same(statistics(vector), expected_of(elements, -infinity, infinity), 1e-10);
  elements[0] = vector[0] = -1e10;
  expect_same(statistics(vector), expected_of(elements, -infinity, infinity), 1e-10);
}

// The largest number of blocks, with more than one tile for each.
TEST_F(Thrust, StatisticsOfNumbersWhosePowersLeaveBinary64) {
  const std::vector<double> units = on_host<double>(RandomNormal(1.0, 2.0, 3), {5000});
  const Statistics expected = expected_of(units, -infinity, infinity);
  for (const int exponent : {-1060, -600, -210, 210, 600, 1020}) {
    std::vector<double> elements;
    for (const double x : units) elements.push_back(std::ldexp(x, exponent));
    const thrust::device_vector<double> vector(elements.begin(), elements.end());
    const Statistics got = statistics(vector);
    const double tolerance = exponent == -1060 ? 1e-3 : 1e-12;  // subnormal elements have few digits
    EXPECT_NEAR(std::ldexp(got.mean, -exponent), expected.mean, tolerance);
    EXPECT_NEAR(std::ldexp(got.standard_deviation, -exponent), expected.standard_deviation, tolerance);
    EXPECT_NEAR(got.kurtosis, expected.kurtosis, 10 * tolerance);
    EXPECT_EQ(got.max, *std::max_element(elements.begin(), elements.end()));
    EXPECT_EQ(got.count, elements.size());
  }
}

TEST_F(Thrust, StatisticsOfMoreThanTheBlocksTakeAtOnce) {
  std::vector<__nv_fp8_e5m2> elements(detail::device::max_blocks * detail::device::tile + 5000);
  for (std::size_t j = 0; j < elements.size(); ++j) {
    elements[j].__x = static_cast<unsigned char>((j * 2654435761u >> 13) % 0x41);  // 0 to 2.5
  }
  const thrust::device_vector<__nv_fp8_e5m2> vector(elements.begin(), elements.end());
  expect_same(statistics(vector, 0, 1), expected_of(elements, 0, 1));
}

TEST_F(Thrust, StatisticsAreTheSameEachTimeOnAnyStream) {
  thrust::device_vector<float> vector(50000);
  fill(HeNormal(5), vector, {500, 100});
  ASSERT_EQ(cudaDeviceSynchronize(), cudaSuccess);
  cudaStream_t stream = nullptr;
  ASSERT_EQ(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), cudaSuccess);
  const HistogramRange range{HistogramRange::max_bins, -1, 1};
  const Statistics first = statistics(vector, -0.1, 0.1, range);
  const Statistics second = statistics(view(vector.data(), vector.size()), -0.1, 0.1, range, stream);
  const Statistics third =
      statistics(cuda_std::span<const float>(thrust::raw_pointer_cast(vector.data()), 50000), -0.1, 0.1, range, stream);
  ASSERT_EQ(cudaStreamDestroy(stream), cudaSuccess);
  for (const Statistics& other : {second, third}) {
    expect_same(other, first, 0);
    EXPECT_EQ(std::memcmp(&other.mean, &first.mean, sizeof(double)), 0);
  }
}

// ---------------------------------------------------------------- places and refusals

// This works without a device, too.
TEST(ThrustPlaces, OrdinaryMemoryIsFilledByTheHost) {
  const HeNormal initializer{7};
  const std::vector<float> expected = on_host<float>(initializer, {20, 30});
  thrust::host_vector<float> vector(600);
  EXPECT_EQ(view(vector).device, host);
  fill(initializer, vector, {20, 30});
  EXPECT_TRUE(std::equal(expected.begin(), expected.end(), vector.begin()));
  std::vector<float> plain(600);
  fill(initializer, cuda_std::span<float>(plain.data(), plain.size()), {20, 30});
  EXPECT_EQ(plain, expected);
}

TEST_F(Thrust, RefusesWhatIsNotAllowed) {
  const auto refused = [](const auto& f, const std::string& part) {
    const std::string text = test::refusal(f);
    EXPECT_NE(text.find(part), std::string::npos) << "\"" << part << "\" is not in: " << text;
  };
  thrust::device_vector<float> vector(6, 1.0F);
  std::vector<float> plain(6);
  refused([&] { fill(Zeros(), vector, {7}); }, "too small");
  refused([&] { statistics(plain); }, "memory on the host");
  int can_access_plain = 0;
  ASSERT_EQ(cudaDeviceGetAttribute(&can_access_plain, cudaDevAttrPageableMemoryAccess, 0), cudaSuccess);
  const View plain_on_device{plain.data(), DType::float32, 24, cuda(0)};
  if (can_access_plain != 0) {
    EXPECT_EQ(statistics(plain_on_device).max, 0);
  } else {
    refused([&] { statistics(plain_on_device); }, "ordinary host memory");
  }
  refused([&] { statistics(View{nullptr, DType::float32, 24, cuda(0)}); }, "null");
  View odd = view(vector);
  odd.address = static_cast<char*>(odd.address) + 2;
  odd.capacity -= 4;
  refused([&] { statistics(odd); }, "multiple of the element's size");
  refused([&] { statistics(vector, 1, -1); }, "lower <= upper. Received: lower=1.000000, upper=-1.000000");
  refused([&] { statistics(vector, nan, 1); }, "lower <= upper");
  refused([&] { statistics(vector, -1, 1, {HistogramRange::max_bins + 1, 0, 1}); }, "at most 8192 bins");
  for (const HistogramRange& range : {HistogramRange{5, 1, 1}, HistogramRange{5, 2, 1}, HistogramRange{5, nan, 1},
                                      HistogramRange{5, -infinity, 1}, HistogramRange{5, -1e308, 1e308}}) {
    refused([&] { statistics(vector, -1, 1, range); }, "finite numbers with lower < upper");
  }
  EXPECT_EQ(thrust::host_vector<float>(vector), thrust::host_vector<float>(6, 1.0F));
}

}  // namespace
}  // namespace fanin
