// SPDX-License-Identifier: Apache-2.0
// Tests fanin/device.cuh: elements drawn one by one, by quads and in loops are those of fills, in host code and on a
// device. The source is compiled with nvcc's default flags, which contract multiplications and additions, and with
// --use_fast_math. Tests of the device skip without one; an emulator of the CUDA runtime can replace it.
#include <cuda_runtime.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <string>
#include <type_traits>
#include <vector>

#include "fanin/device.cuh"
#include "fanin/fanin.hpp"
#include "params/make_params.h"
#include "support/test_support.h"

namespace fanin {
namespace {

using Kind = Distribution::Kind;

template <class T>
constexpr DType dtype_of() {
  return device::detail::dtype_of(typename device::Distribution<T>::Format{});
}

// ---------------------------------------------------------------- random cases

class Random : public test::Choices {
 public:
  using Choices::Choices;

  std::uint64_t word() {
    std::uint64_t bits = 0;
    for (int i = 0; i < 8; ++i) bits = bits << 8 | below(256);
    return bits;
  }
  double fraction() { return static_cast<double>(below(1 << 30)) / (1 << 30); }
  double between(double low, double high) { return low + (high - low) * fraction(); }
  // Small and large numbers alike, some of them subnormal in every dtype.
  double scale(DType dtype) { return std::exp2(between(dtype == DType::float64 ? -1060 : -140, 12)); }
};

Distribution random_distribution(Random& random, DType dtype) {
  Distribution d;
  d.kind = static_cast<Kind>(random.below(5));
  const double scale = random.scale(dtype);
  const double shift = random.below(2) == 0 ? 0 : random.between(-3, 3) * (random.below(2) == 0 ? scale : 1);
  d.value = random.below(4) == 0 ? -0.0 : shift;
  d.low = random.below(2) == 0 ? -scale : shift;
  d.high = random.below(2) == 0 ? -d.low : d.low + scale;
  d.mean = shift;
  d.stddev = scale;
  if (d.kind == Kind::truncated_normal) {
    switch (random.below(6)) {
      case 0:  // by the table that is cut
        d.lower = -2;
        d.upper = 2;
        break;
      case 1:  // by the whole table
        d.lower = random.between(-4, -1.3);
        d.upper = random.between(1.3, 4);
        break;
      case 2:  // a tail
        d.lower = random.between(0.1, 7);
        break;
      case 3:
        d.upper = random.between(-7, -0.1);
        break;
      case 4:  // narrow
        d.lower = random.between(-5, 5);
        d.upper = d.lower + random.between(1e-3, 2);
        break;
      case 5:  // of subnormal width in binary32
        d.lower = random.below(2) == 0 ? 0 : -1e-39;
        d.upper = d.lower + 1e-39;
        break;
    }
  }
  return d;
}

// Parameters of a random distribution for a tensor of as many elements as there may be.
FillParams random_params(Random& random, DType dtype) {
  for (;;) {
    const auto columns = static_cast<std::int64_t>(1 + random.below(1u << 28));
    const Shape shape{std::int64_t{1} << 28, columns};
    IndexMap one{};
    one.count = one.rank = one.extent[0] = one.stride[0] = 1;
    try {
      return detail::make_params(random_distribution(random, dtype), shape, one, dtype, 0, 0);
    } catch (const InvalidArgument&) {
      // This dtype does not have the distribution.
    }
  }
}

struct Case {
  std::uint64_t seed, subsequence, index;
};

Case random_case(Random& random, const FillParams& params) {
  const std::uint64_t any = random.word() >> (8 + random.below(56));  // below 2^56
  const bool on_diagonal = params.kind == FillParams::Kind::identity && random.below(2) == 0;
  return {random.word(), random.word(), on_diagonal ? random.below(params.columns) * (params.columns + 1) : any};
}

// `cases_each` cases of each distribution, and what fills write.
template <class T>
struct Cases {
  static constexpr std::size_t cases_each = 32;

  explicit Cases(std::size_t count) : cases(count), expected(count) {
    Random random(std::uint64_t{sizeof(T)} << 8 | static_cast<unsigned>(dtype_of<T>()));
    FillParams params{};
    for (std::size_t i = 0; i < count; ++i) {
      if (i % cases_each == 0) {
        params = random_params(random, dtype_of<T>());
        distributions.push_back(device::distribution_of<T>(params));
      }
      cases[i] = random_case(random, params);
      params.seed = cases[i].seed;
      params.subsequence = cases[i].subsequence;
      params.index.start = cases[i].index;
      fill({&expected[i], params.dtype, sizeof(T), host}, params);
    }
  }

  std::vector<device::Distribution<T>> distributions;
  std::vector<Case> cases;
  std::vector<T> expected;
};

// 6 dtypes: more than 10^6 cases.
constexpr std::size_t case_count = 170'016;

template <class T>
const Cases<T>& random_cases() {
  static const Cases<T> cases(case_count);
  return cases;
}

template <class T>
::testing::AssertionResult same(const std::vector<T>& got, const std::vector<T>& expected) {
  for (std::size_t i = 0; i < expected.size(); ++i) {
    if (std::memcmp(&got[i], &expected[i], sizeof(T)) != 0) {
      return testing::AssertionFailure() << "element " << i << " is " << static_cast<double>(got[i]) << ", not "
                                         << static_cast<double>(expected[i]);
    }
  }
  return testing::AssertionSuccess();
}

// ---------------------------------------------------------------- kernels

template <class T>
__global__ void draw_cases(const device::Distribution<T>* distributions, const Case* cases, T* values,
                           std::size_t count) {
  const std::size_t i = blockIdx.x * std::size_t{blockDim.x} + threadIdx.x;
  if (i >= count) return;
  values[i] =
      device::value(distributions[i / Cases<T>::cases_each], cases[i].seed, cases[i].subsequence, cases[i].index);
}

template <class T>
__global__ void draw_quads(device::Distribution<T> distribution, Case first, device::Quad<T>* quads,
                           std::size_t count) {
  const std::size_t i = blockIdx.x * std::size_t{blockDim.x} + threadIdx.x;
  if (i < count) quads[i] = device::quad(distribution, first.seed, first.subsequence, first.index / 4 + i);
}

// Counts the calls for each element, too.
template <class T>
__global__ void draw_range(device::Distribution<T> distribution, Case first, std::uint64_t count, T* values,
                           int* calls) {
  device::for_each(distribution, first.seed, first.subsequence, first.index, count, [=](std::uint64_t index, T value) {
    values[index - first.index] = value;
    atomicAdd(&calls[index - first.index], 1);
  });
}

template <class T>
class Buffer {
 public:
  explicit Buffer(std::size_t count) : count_(count) {
    if (cudaMalloc(&memory_, count * sizeof(T)) != cudaSuccess) throw std::bad_alloc();
    cudaMemset(memory_, 0, count * sizeof(T));
  }
  explicit Buffer(const std::vector<T>& values) : Buffer(values.size()) {
    cudaMemcpy(memory_, values.data(), count_ * sizeof(T), cudaMemcpyHostToDevice);
  }
  ~Buffer() { cudaFree(memory_); }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  T* get() { return memory_; }
  std::vector<T> values() const {
    std::vector<T> values(count_);
    EXPECT_EQ(cudaMemcpy(values.data(), memory_, count_ * sizeof(T), cudaMemcpyDeviceToHost), cudaSuccess)
        << cudaGetErrorString(cudaGetLastError());
    return values;
  }

 private:
  T* memory_ = nullptr;
  std::size_t count_;
};

// ---------------------------------------------------------------- tests

template <class T>
class HeaderOnHost : public testing::Test {};
template <class T>
class HeaderOnDevice : public testing::Test {
 protected:
  void SetUp() override {
    int devices = 0;
    const cudaError_t error = cudaGetDeviceCount(&devices);
    if (error != cudaSuccess || devices == 0) {
      GTEST_SKIP() << "no CUDA device: " << (error == cudaSuccess ? "none found" : cudaGetErrorString(error));
    }
  }
};
using Elements = testing::Types<float, double, __half, __nv_bfloat16, __nv_fp8_e4m3, __nv_fp8_e5m2>;
TYPED_TEST_SUITE(HeaderOnHost, Elements);
TYPED_TEST_SUITE(HeaderOnDevice, Elements);

TYPED_TEST(HeaderOnHost, DrawsRandomElementsOfFills) {
  const Cases<TypeParam>& random = random_cases<TypeParam>();
  std::vector<TypeParam> got(case_count);
  for (std::size_t i = 0; i < case_count; ++i) {
    const Case& c = random.cases[i];
    got[i] = device::value(random.distributions[i / random.cases_each], c.seed, c.subsequence, c.index);
  }
  EXPECT_TRUE(same(got, random.expected));
}

TYPED_TEST(HeaderOnDevice, DrawsRandomElementsOfFills) {
  const Cases<TypeParam>& random = random_cases<TypeParam>();
  Buffer<device::Distribution<TypeParam>> distributions(random.distributions);
  Buffer<Case> cases(random.cases);
  Buffer<TypeParam> values(case_count);
  draw_cases<<<(case_count + 127) / 128, 128>>>(distributions.get(), cases.get(), values.get(), case_count);
  ASSERT_EQ(cudaGetLastError(), cudaSuccess);
  EXPECT_TRUE(same(values.values(), random.expected));
}

// One distribution of each kind, with a range of a tensor that begins and ends within a quad.
template <class T, class F>
void for_ranges(const F& f) {
  const auto range = [&](const char* name, const Initializer& initializer, std::uint64_t first, std::uint64_t count) {
    SCOPED_TRACE(name);
    // Columns such that the range has elements of the diagonal.
    const FillParams params = initializer.params({1 << 24, 1 << 20}, dtype_of<T>(), test::with_name("kernel"));
    FillParams part = params;
    part.index.start += first;
    part.index.extent[part.index.rank - 1] = count;
    part.index.count = count;
    std::vector<T> expected(count);
    fill({expected.data(), params.dtype, count * sizeof(T), host}, part);
    f(device::distribution_of<T>(params), Case{params.seed, params.subsequence, first}, expected);
  };
  range("constant", Constant(-0.3), 5, 1000);
  range("identity", Identity(0.7), (1 << 20) - 500, 1001);
  range("centred", RandomUniform(-0.05, 0.05, 7), 2, 2001);
  range("unit", RandomUniform(0.25, 4, 7), (std::uint64_t{1} << 34) - 1001, 2001);
  range("normal", RandomNormal(0, 0.05, 7), (std::uint64_t{1} << 43) - 4003, 8000);
  range("truncated", TruncatedNormal(0.1, 0.05, 7), 3, 8001);
  range("narrow", TruncatedNormal(0, 0.05, 7, 0.5, 0.8), 2, 3001);
  range("one element", RandomNormal(0, 0.05, 7), 6, 1);
}

TYPED_TEST(HeaderOnHost, DrawsQuadsAndSharesOfARange) {
  using T = TypeParam;
  for_ranges<T>([](const device::Distribution<T>& d, const Case& first, const std::vector<T>& expected) {
    std::vector<T> by_quads(expected.size());
    for (std::size_t i = 0; i < expected.size(); ++i) {
      const std::uint64_t index = first.index + i;
      by_quads[i] = device::quad(d, first.seed, first.subsequence, index / 4).element[index % 4];
    }
    EXPECT_TRUE(same(by_quads, expected)) << "quad";
    std::vector<T> by_shares(expected.size());
    std::size_t calls = 0;
    for (std::uint64_t worker = 0; worker < 3; ++worker) {
      const std::size_t before = calls;
      device::for_each(d, first.seed, first.subsequence, first.index, expected.size(), worker, 3,
                       [&](std::uint64_t index, T value) {
                         by_shares.at(index - first.index) = value;
                         ++calls;
                       });
      EXPECT_LE(calls - before, expected.size() / 3 + 8) << "worker " << worker;
    }
    EXPECT_TRUE(same(by_shares, expected)) << "for_each";
    EXPECT_EQ(calls, expected.size());
  });
}

TYPED_TEST(HeaderOnDevice, DrawsQuadsAndARange) {
  using T = TypeParam;
  for_ranges<T>([](const device::Distribution<T>& d, const Case& first, const std::vector<T>& expected) {
    const std::size_t quads = expected.size() / 4 + 2;
    Buffer<device::Quad<T>> by_quads(quads);
    draw_quads<<<static_cast<unsigned>(quads + 95) / 96, 96>>>(d, first, by_quads.get(), quads);
    ASSERT_EQ(cudaGetLastError(), cudaSuccess);
    const std::vector<device::Quad<T>> got = by_quads.values();
    const T* elements = got[0].element + first.index % 4;
    EXPECT_TRUE(same({elements, elements + expected.size()}, expected)) << "quad";

    Buffer<T> by_range(expected.size());
    Buffer<int> calls(expected.size());
    draw_range<<<3, 96>>>(d, first, expected.size(), by_range.get(), calls.get());
    ASSERT_EQ(cudaGetLastError(), cudaSuccess);
    EXPECT_TRUE(same(by_range.values(), expected)) << "for_each";
    EXPECT_EQ(calls.values(), std::vector<int>(expected.size(), 1));
  });
}

TEST(Header, RefusesWhatTheHostComputes) {
  const std::vector<unsigned char> scales(4, 128);
  for (const Initializer& init : {Initializer(HeNormal(1)), Initializer(Ones()), Initializer(RandomUniform(0, 1, 1))}) {
    TensorOptions scaled;
    scaled.output_scale.number = 0.5;
    TensorOptions grouped;
    grouped.output_scale.blocks = scales.data();
    grouped.output_scale.count = scales.size();
    TensorOptions stochastic;
    stochastic.rounding = Rounding::stochastic;
    EXPECT_THROW(device::distribution_of<float>(init.params({128}, DType::float32, scaled)), InvalidArgument);
    EXPECT_THROW(device::distribution_of<float>(init.params({128}, DType::float32, grouped)), InvalidArgument);
    const FillParams params = init.params({128}, DType::bfloat16, stochastic);
    if (!params.is_random()) continue;  // 1 is a value of bfloat16, which needs no rounding
    EXPECT_THROW(device::distribution_of<__nv_bfloat16>(params), InvalidArgument);
  }
}

TEST(Header, RefusesAnotherDType) {
  const FillParams params = HeNormal(7).params({3, 5}, DType::bfloat16);
  test::expect_refused([&] { device::distribution_of<float>(params); }, {"bfloat16", "float32"});
  EXPECT_NO_THROW(device::distribution_of<__nv_bfloat16>(params));
}

}  // namespace
}  // namespace fanin
