// SPDX-License-Identifier: Apache-2.0
// Tests initializers: constructors, seeds, blocks, splits of a fill, and refusals that leave memory unchanged.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cfenv>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <limits>
#include <memory>
#include <numeric>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <type_traits>
#include <vector>

#include "fanin/fanin.hpp"
#include "support/test_support.h"

namespace {

using fanin::Block;
using fanin::Distribution;
using fanin::DType;
using fanin::FanAxes;
using fanin::FillParams;
using fanin::Initializer;
using fanin::InvalidArgument;
using fanin::Seed;
using fanin::Shape;
using fanin::size_of;
using fanin::subsequence_of;
using fanin::TensorOptions;
using fanin::View;
using fanin::test::all_dtypes;
using fanin::test::Bytes;
using fanin::test::Choices;
using fanin::test::expect_refused;
using fanin::test::filled;
using fanin::test::on_threads;
using fanin::test::poison;
using fanin::test::RoundingMode;
using fanin::test::slice;
using fanin::test::values_of;
using fanin::test::view_of;
using fanin::test::with_block;
using fanin::test::with_name;
using fanin::test::with_subsequence;

constexpr double infinity = std::numeric_limits<double>::infinity();
const double nan = std::numeric_limits<double>::quiet_NaN();

// ---------------------------------------------------------------- constructors

TEST(Constructors, Defaults) {
  EXPECT_EQ(fanin::VarianceScaling().scale(), 1.0);
  EXPECT_EQ(fanin::VarianceScaling().mode(), "fan_in");
  EXPECT_EQ(fanin::VarianceScaling().distribution(), "truncated_normal");
  EXPECT_FALSE(fanin::VarianceScaling().axes().input);
  EXPECT_FALSE(fanin::VarianceScaling().axes().output);
  for (const Initializer& initializer : {Initializer(fanin::TruncatedNormal()), Initializer(fanin::RandomNormal())}) {
    EXPECT_EQ(initializer.describe({2}).distribution.mean, 0.0);
    EXPECT_EQ(initializer.describe({2}).distribution.stddev, 0.05);
  }
  EXPECT_EQ(fanin::TruncatedNormal().describe({2}).distribution.lower, -2.0);
  EXPECT_EQ(fanin::TruncatedNormal().describe({2}).distribution.upper, 2.0);
  EXPECT_EQ(fanin::RandomUniform().describe({2}).distribution.low, -0.05);
  EXPECT_EQ(fanin::RandomUniform().describe({2}).distribution.high, 0.05);
  EXPECT_EQ(fanin::Constant().describe({2}).distribution.value, 0.0);
  EXPECT_EQ(fanin::Identity().describe({2, 2}).distribution.value, 1.0);
  for (const Initializer& initializer :
       {Initializer(fanin::VarianceScaling()), Initializer(fanin::HeNormal()), Initializer(fanin::TruncatedNormal()),
        Initializer(fanin::RandomNormal()), Initializer(fanin::RandomUniform())}) {
    EXPECT_EQ(initializer.seed().kind(), Seed::Kind::none);
  }
}

TEST(Constructors, ScaledClasses) {
  const FanAxes axes{{{0}}, {{1, 2}}};
  const auto check = [&](const fanin::VarianceScaling& initializer, double scale, const char* mode,
                         const char* distribution) {
    EXPECT_EQ(initializer.scale(), scale);
    EXPECT_EQ(initializer.mode(), mode);
    EXPECT_EQ(initializer.distribution(), distribution);
    EXPECT_EQ(initializer.seed().value(), 5u);
    EXPECT_EQ(initializer.axes().input, axes.input);
    EXPECT_EQ(initializer.axes().output, axes.output);
  };
  check(fanin::HeNormal(5, axes), 2, "fan_in", "truncated_normal");
  check(fanin::HeUniform(5, axes), 2, "fan_in", "uniform");
  check(fanin::LecunNormal(5, axes), 1, "fan_in", "truncated_normal");
  check(fanin::LecunUniform(5, axes), 1, "fan_in", "uniform");
  check(fanin::GlorotNormal(5, axes), 1, "fan_avg", "truncated_normal");
  check(fanin::GlorotUniform(5, axes), 1, "fan_avg", "uniform");
  check(fanin::VarianceScaling(3.5, "fan_out", "untruncated_normal", 5, axes), 3.5, "fan_out", "untruncated_normal");
}

TEST(Constructors, ArgumentOrder) {
  const fanin::TruncatedNormal truncated(1, 2, 3, -1.5, 4);
  EXPECT_EQ(truncated.get_config(), R"({"seed":3,"mean":1.0,"stddev":2.0,"lower":-1.5,"upper":4.0})");
  EXPECT_EQ(fanin::RandomNormal(1, 2, 3).get_config(), R"({"seed":3,"mean":1.0,"stddev":2.0})");
  EXPECT_EQ(fanin::RandomUniform(-1, 2, 3).get_config(), R"({"seed":3,"minval":-1.0,"maxval":2.0})");
  EXPECT_EQ(fanin::Constant(4).get_config(), R"({"value":4.0})");
  EXPECT_EQ(fanin::Identity(5).get_config(), R"({"gain":5.0})");
}

TEST(Constructors, AreExplicit) {
  static_assert(!std::is_convertible_v<int, fanin::HeNormal>);
  static_assert(!std::is_convertible_v<double, fanin::VarianceScaling>);
  static_assert(!std::is_convertible_v<double, fanin::Constant>);
  static_assert(!std::is_convertible_v<double, Initializer>);
  static_assert(!std::is_constructible_v<fanin::HeNormal, double>, "a seed is an integer");
  static_assert(!std::is_constructible_v<fanin::HeNormal, fanin::HeUniform>);
}

// A conditional expression needs one type. If only one operand were converted, a constant of the other class would not
// convert to it.
TEST(Constructors, AConditionalExpressionConvertsBoth) {
  const fanin::RandomNormal normal(0.0, 0.02, 42);
  const fanin::Zeros zeros;
  const Shape shape{3, 5};
  for (const bool random : {false, true}) {
    const fanin::Initializer init = random ? fanin::Initializer(normal) : fanin::Initializer(zeros);
    EXPECT_EQ(init.class_name(), random ? "RandomNormal" : "Zeros");
    EXPECT_EQ(filled(init, shape), random ? filled(normal, shape) : filled(zeros, shape));
  }
}

TEST(Shapes, BracesTakeEveryIntegerType) {
  const std::size_t rows = 3;
  const unsigned char columns = 5;
  EXPECT_EQ((fanin::Shape{rows, columns, 7}), (fanin::Shape{std::int64_t{3}, std::int64_t{5}, std::int64_t{7}}));
  EXPECT_EQ(fanin::Shape{rows}.size(), 1u);  // a vector of 3 elements, not three extents
  EXPECT_EQ(fanin::HeNormal(1)({rows, columns}).shape(), (fanin::Shape{3, 5}));
}

TEST(Constructors, LowerCaseNamesAreTheSameClasses) {
  static_assert(std::is_same_v<fanin::variance_scaling, fanin::VarianceScaling>);
  static_assert(std::is_same_v<fanin::he_normal, fanin::HeNormal>);
  static_assert(std::is_same_v<fanin::he_uniform, fanin::HeUniform>);
  static_assert(std::is_same_v<fanin::lecun_normal, fanin::LecunNormal>);
  static_assert(std::is_same_v<fanin::lecun_uniform, fanin::LecunUniform>);
  static_assert(std::is_same_v<fanin::glorot_normal, fanin::GlorotNormal>);
  static_assert(std::is_same_v<fanin::glorot_uniform, fanin::GlorotUniform>);
  static_assert(std::is_same_v<fanin::truncated_normal, fanin::TruncatedNormal>);
  static_assert(std::is_same_v<fanin::random_normal, fanin::RandomNormal>);
  static_assert(std::is_same_v<fanin::random_uniform, fanin::RandomUniform>);
  static_assert(std::is_same_v<fanin::constant, fanin::Constant>);
  static_assert(std::is_same_v<fanin::zeros, fanin::Zeros>);
  static_assert(std::is_same_v<fanin::ones, fanin::Ones>);
  static_assert(std::is_same_v<fanin::identity, fanin::Identity>);
}

// Each class equals its VarianceScaling, bit for bit.
TEST(Constructors, NamedClassesDrawAsVarianceScaling) {
  const Shape shape{7, 5, 3};
  const auto same = [&](const Initializer& named, double scale, const char* mode, const char* distribution) {
    EXPECT_EQ(filled(named, shape), filled(fanin::VarianceScaling(scale, mode, distribution, 9), shape))
        << named.class_name();
  };
  same(fanin::HeNormal(9), 2, "fan_in", "truncated_normal");
  same(fanin::HeUniform(9), 2, "fan_in", "uniform");
  same(fanin::LecunNormal(9), 1, "fan_in", "truncated_normal");
  same(fanin::LecunUniform(9), 1, "fan_in", "uniform");
  same(fanin::GlorotNormal(9), 1, "fan_avg", "truncated_normal");
  same(fanin::GlorotUniform(9), 1, "fan_avg", "uniform");
  EXPECT_NE(filled(fanin::HeNormal(9), shape), filled(fanin::LecunNormal(9), shape));
  EXPECT_NE(filled(fanin::VarianceScaling(1, "fan_in", "normal", 9), shape),
            filled(fanin::VarianceScaling(1, "fan_in", "untruncated_normal", 9), shape));
}

// ---------------------------------------------------------------- seeds

const Shape small{6, 11};

TEST(Seeds, FixedIsTheSameAlways) {
  const fanin::HeNormal he(42);
  const Bytes first = filled(he, small);
  EXPECT_EQ(filled(he, small), first);
  EXPECT_EQ(filled(fanin::HeNormal(42), small), first);
  EXPECT_NE(filled(fanin::HeNormal(43), small), first);
  EXPECT_NE(filled(fanin::HeNormal(42 + (std::uint64_t{1} << 32)), small), first);  // the seed's high half matters
}

TEST(Seeds, NoneIsDrawnOnceAndCanBeGivenAgain) {
  const fanin::HeNormal he;
  const fanin::HeNormal other;
  EXPECT_EQ(he.seed().kind(), Seed::Kind::none);
  EXPECT_LT(he.seed().value(), std::uint64_t{1} << 63);
  EXPECT_NE(he.seed().value(), other.seed().value());  // they are equal by chance once in 2^63 runs
  const Bytes first = filled(he, small);
  EXPECT_EQ(filled(he, small), first);
  EXPECT_EQ(filled(fanin::HeNormal(he), small), first);
  EXPECT_EQ(filled(fanin::HeNormal(he.seed().value()), small), first);
  EXPECT_EQ(filled(fanin::HeNormal(he.seed()), small), first);
  EXPECT_NE(filled(other, small), first);
  EXPECT_EQ(he.get_config(), R"({"seed":null})");
}

TEST(Seeds, AnyIntegerType) {
  const auto value = [](auto number) {
    const Seed seed = number;
    EXPECT_EQ(seed.kind(), Seed::Kind::fixed);
    return seed.value();
  };
  EXPECT_EQ(value(true), 1u);
  EXPECT_EQ(value('\x7f'), 127u);
  EXPECT_EQ(value(static_cast<signed char>(3)), 3u);
  EXPECT_EQ(value(static_cast<unsigned char>(200)), 200u);
  EXPECT_EQ(value(static_cast<short>(3)), 3u);
  EXPECT_EQ(value(std::numeric_limits<int>::max()), 2147483647u);
  EXPECT_EQ(value(std::numeric_limits<unsigned>::max()), 4294967295u);
  EXPECT_EQ(value(std::numeric_limits<long>::max()), std::uint64_t{9223372036854775807u});
  EXPECT_EQ(value(std::numeric_limits<std::int64_t>::max()), std::uint64_t{9223372036854775807u});
  EXPECT_EQ(value(std::numeric_limits<std::uint64_t>::max()), ~std::uint64_t{0});
  EXPECT_EQ(value(0), 0u);
  static_assert(!std::is_constructible_v<Seed, double>);
  static_assert(!std::is_constructible_v<Seed, const char*>);
}

TEST(Seeds, NegativeIsRefusedWithTheUnsignedNumber) {
  expect_refused([] { fanin::HeNormal he(-1); }, {"seed=-1", "18446744073709551615"});
  expect_refused([] { Seed{static_cast<signed char>(-128)}; }, {"seed=-128", "18446744073709551488"});
  expect_refused([] { Seed{std::numeric_limits<std::int64_t>::min()}; },
                 {"-9223372036854775808", "9223372036854775808"});
}

TEST(Seeds, SequenceCallUsesItsNumber) {
  const fanin::HeNormal sequence(Seed::sequence(7));
  const fanin::HeNormal second(Seed::sequence(7));
  const fanin::HeNormal fixed(7);
  for (std::uint64_t call = 0; call < 5; ++call) {
    const Bytes expected = filled(fixed, small, DType::float32, with_subsequence(call));
    EXPECT_EQ(filled(sequence, small), expected) << call;
    EXPECT_EQ(filled(second, small), expected) << call;  // one seed, one sequence
  }
}

// The number counts the initializer's calls, whatever subsequence each call gives.
TEST(Seeds, SequenceAddsToTheBase) {
  const fanin::RandomNormal sequence(0, 1, Seed::sequence(7));
  const fanin::RandomNormal fixed(0, 1, 7);
  const auto expected = [&](std::uint64_t subsequence) {
    return filled(fixed, small, DType::float32, with_subsequence(subsequence));
  };
  EXPECT_EQ(filled(sequence, small, DType::float32, with_name("a")), expected(subsequence_of("a")));
  EXPECT_EQ(filled(sequence, small, DType::float32, with_name("a")), expected(subsequence_of("a") + 1));
  EXPECT_EQ(filled(sequence, small, DType::float32, with_name("b")), expected(subsequence_of("b") + 2));
  EXPECT_EQ(filled(sequence, small, DType::float32, with_subsequence(100)), expected(103));
  EXPECT_EQ(filled(sequence, small, DType::float32, with_subsequence(~std::uint64_t{0})), expected(3));  // wraps
  EXPECT_EQ(filled(sequence, small), expected(5));
}

// operator(), fill and params count as calls; describe and get_config do not.
TEST(Seeds, WhatCountsAsACall) {
  const fanin::HeNormal sequence(Seed::sequence(7));
  sequence.describe(small);
  sequence.get_config();
  EXPECT_EQ(sequence.params(small, DType::float32).subsequence, 0u);
  sequence(small);
  filled(sequence, small);
  filled(sequence, {0, 3});  // an empty fill counts as a call
  EXPECT_EQ(sequence.params(small, DType::float32).subsequence, 4u);
}

TEST(Seeds, ARefusedCpuTargetIsNotACall) {
  const fanin::HeNormal sequence(Seed::sequence(7));
  std::vector<float> memory(66, 7.0F);
  fanin::RunOptions run;
  run.cpu_target = static_cast<fanin::CpuTarget>(99);
  EXPECT_THROW(sequence.fill(fanin::view(memory), small, {}, run), InvalidArgument);
  EXPECT_EQ(sequence.calls(), 0u);
  EXPECT_EQ(memory, std::vector<float>(66, 7.0F));
}

TEST(Devices, OtherNegativeNumbersAreRefused) {
  std::vector<float> memory(66, 7.0F);
  View view = fanin::view(memory);
  view.device = fanin::cuda(-7);
  fanin::Plan plan;
  EXPECT_THROW(fanin::HeNormal(1).fill(view, small), InvalidArgument);
  EXPECT_THROW(plan.add(fanin::HeNormal(1), view, small), InvalidArgument);
  EXPECT_THROW(fanin::Tensor({3}, DType::float32, fanin::cuda(-7)), InvalidArgument);
  EXPECT_EQ(memory, std::vector<float>(66, 7.0F));
}

// What they return outlives the initializer.
TEST(VarianceScaling, NamesAreLiterals) {
  const std::string_view mode = fanin::VarianceScaling(1, "fan_out", "Normal", 1).mode();
  const std::string_view distribution = fanin::VarianceScaling(1, "fan_out", "Normal", 1).distribution();
  EXPECT_EQ(mode, "fan_out");
  EXPECT_EQ(distribution, "truncated_normal");
}

TEST(Seeds, ARefusedCallIsNotCounted) {
  const fanin::RandomNormal sequence(0, 1e-50, Seed::sequence(7));  // not representable in binary32
  alignas(double) float memory[66];
  TensorOptions both = with_name("a");
  both.subsequence = 1;
  EXPECT_THROW(sequence(small), InvalidArgument);
  EXPECT_THROW(sequence.fill(fanin::view(memory, 66), small), InvalidArgument);
  EXPECT_THROW(sequence.fill({memory, DType::float64, 8, fanin::host}, {1}, {}, on_threads(-1)), InvalidArgument);
  EXPECT_THROW(sequence.params({-1}, DType::float64), InvalidArgument);
  EXPECT_THROW(sequence.params(small, DType::float64, both), InvalidArgument);
  EXPECT_THROW(sequence(small, DType::float64, {}, on_threads(-1)), InvalidArgument);
  EXPECT_THROW(sequence.params(small, DType::float64, with_block({0}, {1})), InvalidArgument);
  EXPECT_THROW(sequence.fill({memory, DType::float64, 8, fanin::host}, small), InvalidArgument);  // too small
  EXPECT_THROW(sequence.fill({nullptr, DType::float64, 10000, fanin::host}, small), InvalidArgument);
  EXPECT_THROW(sequence(small, static_cast<DType>(77)), InvalidArgument);
  EXPECT_EQ(sequence.params(small, DType::float64).subsequence, 0u);
}

TEST(Seeds, ACopyGoesOnCounting) {
  const fanin::HeNormal original(Seed::sequence(7));
  const auto next = [](const Initializer& initializer) {
    return initializer.params(small, DType::float32).subsequence;
  };
  EXPECT_EQ(next(original), 0u);
  EXPECT_EQ(next(original), 1u);
  const fanin::HeNormal copy(original);
  EXPECT_EQ(next(copy), 2u);
  EXPECT_EQ(next(original), 2u);
  EXPECT_EQ(next(original), 3u);
  EXPECT_EQ(next(copy), 3u);
  Initializer assigned = fanin::Zeros();
  assigned = original;
  EXPECT_EQ(next(assigned), 4u);
  EXPECT_EQ(assigned.class_name(), "HeNormal");
  EXPECT_EQ(assigned.seed().kind(), Seed::Kind::sequence);
}

TEST(Seeds, AnotherProcessGoesOn) {
  const fanin::HeNormal original(Seed::sequence(7));
  EXPECT_EQ(original.calls(), 0u);
  filled(original, small);
  EXPECT_EQ(original.calls(), 1u);
  const fanin::HeNormal resumed(Seed::sequence(7, "seed_generator", original.calls()));
  EXPECT_EQ(resumed.calls(), 1u);
  EXPECT_EQ(filled(resumed, small), filled(original, small));

  const fanin::HeNormal drawn;
  const fanin::HeNormal restored(Seed::drawn(drawn.seed().value()));
  EXPECT_EQ(restored.seed().kind(), Seed::Kind::none);
  EXPECT_EQ(restored.get_config(), R"({"seed":null})");
  EXPECT_EQ(filled(restored, small), filled(drawn, small));
}

TEST(Seeds, WithAnother) {
  const fanin::VarianceScaling original(3.0, "fan_out", "uniform", Seed::sequence(7));
  filled(original, small);
  EXPECT_EQ(filled(original.with_seed(8), small), filled(fanin::VarianceScaling(3.0, "fan_out", "uniform", 8), small));
  EXPECT_EQ(original.calls(), 1u);
  EXPECT_EQ(original.with_seed(original.seed()).calls(), 0u);
}

TEST(Seeds, EightThreadsShareOneSequence) {
  const fanin::HeNormal sequence(Seed::sequence(7));
  constexpr std::size_t calls = 2000;
  std::vector<std::vector<std::uint64_t>> taken(8);
  std::atomic<std::size_t> ready{0};
  std::vector<std::thread> threads;
  for (std::vector<std::uint64_t>& mine : taken) {
    threads.emplace_back([&] {
      for (++ready; ready < 8;) std::this_thread::yield();  // all threads start at once
      for (std::size_t j = 0; j < calls; ++j) mine.push_back(sequence.params({3, 4}, DType::float32).subsequence);
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::vector<std::uint64_t> all;
  for (const auto& mine : taken) {
    EXPECT_TRUE(std::is_sorted(mine.begin(), mine.end()));
    all.insert(all.end(), mine.begin(), mine.end());
  }
  std::sort(all.begin(), all.end());
  std::vector<std::uint64_t> expected(8 * calls);
  std::iota(expected.begin(), expected.end(), std::uint64_t{0});
  EXPECT_EQ(all, expected);
}

TEST(Seeds, NamesAndSubsequences) {
  const fanin::HeNormal he(42);
  const Bytes plain = filled(he, small);
  EXPECT_EQ(filled(he, small, DType::float32, with_subsequence(0)), plain);  // the default is 0
  const Bytes kernel = filled(he, small, DType::float32, with_name("dense/kernel"));
  EXPECT_EQ(filled(he, small, DType::float32, with_subsequence(subsequence_of("dense/kernel"))), kernel);
  EXPECT_NE(kernel, plain);
  EXPECT_NE(filled(he, small, DType::float32, with_name("dense_1/kernel")), kernel);
  EXPECT_NE(filled(he, small, DType::float32, with_name("")), plain);  // the empty name counts as a name
  EXPECT_NE(filled(he, small, DType::float32, with_subsequence(std::uint64_t{1} << 63)), plain);
  TensorOptions both = with_name("a");
  both.subsequence = 0;
  expect_refused([&] { filled(he, small, DType::float32, both); }, {"name=\"a\"", "subsequence=0"});
}

// Without names, one seed gives the same draws for every distribution: values at the same index have the same sign.
TEST(Seeds, SameDrawsWithoutNames) {
  const auto he = values_of<float>(filled(fanin::HeNormal(42), {8, 16}));
  const auto lecun = values_of<float>(filled(fanin::LecunNormal(42), {16, 8}));
  for (std::size_t j = 0; j < he.size(); ++j) {
    // sqrt(2 / 8) and sqrt(1 / 16) are powers of two, and so is their ratio.
    EXPECT_EQ(he[j], lecun[j] * 2) << j;
  }
}

// ---------------------------------------------------------------- blocks

struct Kind {
  Initializer initializer;
  DType dtype;
};

std::string text_of(const Kind& kind) {
  return std::string(kind.initializer.class_name()) + " " + std::string(name_of(kind.dtype));
}

std::vector<Kind> block_kinds() {
  return {{fanin::HeNormal(1), DType::float32},
          {fanin::RandomUniform(0, 1, 2), DType::float32},
          {fanin::HeNormal(3), DType::float64},
          {fanin::RandomUniform(0, 1, 4), DType::float64},
          {fanin::RandomNormal(0, 1, 5), DType::bfloat16},
          {fanin::HeNormal(6), DType::float8_e4m3fn},
          {fanin::RandomUniform(0, 1, 7), DType::float8_e5m2},
          {fanin::Constant(3), DType::float16}};
}

void expect_block(const Kind& kind, const Bytes& whole, const Shape& shape, const Block& block) {
  TensorOptions options;
  options.block = block;
  ASSERT_EQ(filled(kind.initializer, shape, kind.dtype, options), slice(whole, shape, block, size_of(kind.dtype)))
      << text_of(kind) << " offset " << fanin::to_string(block.offset) << " extent " << fanin::to_string(block.extent);
}

// Tests every offset and extent of a small tensor, empty ones too.
TEST(Blocks, EveryBlockOfASmallTensor) {
  const Shape shape{3, 4, 5};
  std::vector<std::vector<std::pair<std::int64_t, std::int64_t>>> ranges(3);
  for (std::size_t j = 0; j < 3; ++j) {
    for (std::int64_t offset = 0; offset <= shape[j]; ++offset) {
      for (std::int64_t extent = 0; extent <= shape[j] - offset; ++extent) ranges[j].emplace_back(offset, extent);
    }
  }
  for (const Kind& kind : block_kinds()) {
    const Bytes whole = filled(kind.initializer, shape, kind.dtype);
    for (const auto& a : ranges[0]) {
      for (const auto& b : ranges[1]) {
        for (const auto& c : ranges[2]) {
          expect_block(kind, whole, shape, {{a.first, b.first, c.first}, {a.second, b.second, c.second}});
        }
      }
    }
  }
}

TEST(Blocks, OfRankTwelve) {
  const Shape shape{2, 3, 1, 2, 3, 4, 1, 3, 2, 5, 1, 3};
  const Block blocks[] = {
      {{0, 1, 0, 1, 0, 1, 0, 1, 0, 2, 0, 1}, {2, 2, 1, 1, 3, 2, 1, 1, 2, 2, 1, 2}},  // partial in every dimension
      {{1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, {1, 3, 1, 2, 3, 4, 1, 3, 2, 5, 1, 3}},  // contiguous
      {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2}, {2, 3, 1, 2, 3, 4, 1, 3, 2, 5, 1, 1}},  // one column: stride 3
      {{0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0}, {2, 3, 1, 2, 1, 4, 1, 3, 2, 5, 1, 3}},  // one index in a middle dimension
      {{0, 1, 0, 0, 0, 3, 0, 0, 0, 1, 0, 0}, {2, 1, 1, 2, 3, 1, 1, 3, 2, 3, 1, 3}},  // some dimensions join
      {{1, 2, 0, 1, 2, 3, 0, 2, 1, 4, 0, 2}, {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}},  // the last element
      {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, {2, 3, 1, 2, 3, 4, 1, 3, 2, 5, 1, 3}},  // the whole tensor
      {{2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 3}, {0, 3, 1, 2, 3, 4, 1, 3, 2, 5, 0, 0}},  // empty, at the very end
      {{0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1}, {2, 3, 1, 2, 2, 4, 1, 3, 2, 5, 1, 2}},
  };
  for (const Kind& kind : block_kinds()) {
    const Bytes whole = filled(kind.initializer, shape, kind.dtype);
    for (const Block& block : blocks) expect_block(kind, whole, shape, block);
  }
}

// A block with the largest number of loops: 34 with extent 2 of 3, one outside them and a column inside them.
TEST(Blocks, OfTheMostLoops) {
  Shape shape(std::vector<std::int64_t>(36, 3));
  shape.front() = 2;
  shape.back() = 2;
  Shape offset(std::vector<std::int64_t>(36, 1));
  offset.front() = 0;
  Shape extent(std::vector<std::int64_t>(36, 2));
  extent.back() = 1;
  const fanin::RandomUniform initializer(0, 1, 1);
  const FillParams params = initializer.params(shape, DType::float32, with_block(offset, extent));
  ASSERT_EQ(params.index.count, std::uint64_t{1} << 35);
  Choices choices(1);
  for (int j = 0; j < 200; ++j) {
    // The binary digits of `first` choose the index in each dimension.
    const std::uint64_t first = choices.below(1u << 31) * 16 + choices.below(16);
    Shape one = offset;
    for (std::size_t d = 0; d < 35; ++d) one[d] += static_cast<std::int64_t>(first >> (34 - d) & 1);
    float alone = 0;
    initializer.fill(fanin::view(&alone, 1), shape, with_block(one, Shape(std::vector<std::int64_t>(36, 1))));
    float part = 1;
    fanin::fill(fanin::view(&part, 1), part_of(params, first, 1));
    ASSERT_EQ(part, alone) << first;
  }
}

TEST(Blocks, Refusals) {
  const fanin::HeNormal he(1);
  const Shape shape{3, 4};
  const Block bad[] = {
      {{0, 0}, {4, 4}},   // too long in a dimension
      {{0, 1}, {3, 4}},   // too long after the offset
      {{4, 0}, {0, 4}},   // empty, but outside
      {{-1, 0}, {1, 1}},  // negative
      {{0, 0}, {1, -1}},
      {{0}, {1}},  // wrong rank
      {{0, 0, 0}, {1, 1, 1}},
      {{0, 0}, {1}},
      {{0}, {1, 1}},
      {{0, 0}, {}},  // only one of the two
      {{}, {3, 4}},
      {{std::numeric_limits<std::int64_t>::max(), 0}, {1, 1}},
      {{1, 0}, {std::numeric_limits<std::int64_t>::max(), 1}},
      {{std::numeric_limits<std::int64_t>::min(), 0}, {1, 1}},
  };
  for (const Block& block : bad) {
    SCOPED_TRACE(fanin::to_string(block.offset) + " " + fanin::to_string(block.extent));
    const TensorOptions options = with_block(block.offset, block.extent);
    EXPECT_THROW(he.params(shape, DType::float32, options), InvalidArgument);
    EXPECT_THROW(he(shape, DType::float32, options), InvalidArgument);
    std::vector<float> memory(12);
    EXPECT_THROW(he.fill(fanin::view(memory.data(), 12), shape, options), InvalidArgument);
  }
  expect_refused(
      [&] {
        he.params(shape, DType::float32, with_block({0, 2}, {3, 3}));
      },
      {"dimension 1", "[0, 2]", "[3, 3]", "[3, 4]"});
  // A scalar has no dimension to split.
  EXPECT_THROW(he.params({}, DType::float32, with_block({0}, {1})), InvalidArgument);
}

TEST(Blocks, FansAreTheWholeTensors) {
  const fanin::HeUniform he(1);
  const FillParams whole = he.params({64, 8}, DType::float64);
  const FillParams part = he.params({64, 8}, DType::float64, with_block({8, 0}, {8, 8}));
  EXPECT_EQ(part.scale, whole.scale);
  EXPECT_NE(part.scale, he.params({8, 8}, DType::float64).scale);
}

TEST(Blocks, OfTheTensorThatACallMakes) {
  const fanin::HeNormal he(1);
  const fanin::Tensor tensor = he({6, 7}, DType::float32, with_block({1, 2}, {3, 4}));
  EXPECT_EQ(tensor.shape(), (Shape{3, 4}));
  EXPECT_EQ(tensor.size(), 12u);
  if (!tensor.device().is_host()) return;
  const Bytes expected = slice(filled(he, {6, 7}), {6, 7}, {{1, 2}, {3, 4}}, 4);
  EXPECT_EQ(std::memcmp(tensor.data(), expected.data(), expected.size()), 0);
}

// ---------------------------------------------------------------- Identity, Constant and small tensors

TEST(Identity, NotSquareAndGain) {
  for (const Shape& shape :
       {Shape{3, 3}, Shape{2, 5}, Shape{5, 2}, Shape{1, 4}, Shape{4, 1}, Shape{0, 3}, Shape{3, 0}}) {
    const auto values = values_of<float>(filled(fanin::Identity(-2.5), shape));
    for (std::size_t j = 0; j < values.size(); ++j) {
      const auto columns = static_cast<std::size_t>(shape[1]);
      const float expected = j / columns == j % columns ? -2.5F : 0.0F;
      EXPECT_EQ(values[j], expected) << fanin::to_string(shape) << " " << j;
      EXPECT_EQ(std::signbit(values[j]), expected < 0);
    }
  }
  const auto half = values_of<std::uint16_t>(filled(fanin::Identity(), {2, 2}, DType::bfloat16));
  EXPECT_EQ(half, (std::vector<std::uint16_t>{0x3f80, 0, 0, 0x3f80}));
}

TEST(Identity, Blocks) {
  const auto values = values_of<float>(filled(fanin::Identity(3), {7, 5}, DType::float32, with_block({2, 1}, {4, 3})));
  EXPECT_EQ(values, (std::vector<float>{0, 3, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0}));
  EXPECT_TRUE(fanin::Identity().params({7, 5}, DType::float32, with_block({2, 1}, {4, 3})).is_from_host());
  EXPECT_FALSE(fanin::Identity().params({7, 5}, DType::float32, with_block({2, 0}, {4, 5})).is_from_host());
}

TEST(Identity, Refusals) {
  for (const Shape& shape : {Shape{}, Shape{3}, Shape{3, 3, 3}}) {
    expect_refused(
        [&] { filled(fanin::Identity(), shape); },
        {"Identity matrix initializer can only be used for 2D matrices", "rank " + std::to_string(shape.size())});
  }
}

TEST(Constant, EveryElementAndDType) {
  EXPECT_EQ(values_of<float>(filled(fanin::Constant(0.1), {2, 2})), std::vector<float>(4, 0.1F));
  EXPECT_EQ(values_of<double>(filled(fanin::Constant(0.1), {2, 2}, DType::float64)), std::vector<double>(4, 0.1));
  EXPECT_EQ(values_of<std::uint16_t>(filled(fanin::Constant(1), {3}, DType::float16)),
            std::vector<std::uint16_t>(3, 0x3c00));
  EXPECT_EQ(values_of<std::uint16_t>(filled(fanin::Constant(1), {3}, DType::bfloat16)),
            std::vector<std::uint16_t>(3, 0x3f80));
  EXPECT_EQ(filled(fanin::Constant(1), {3}, DType::float8_e4m3fn), Bytes(3, 0x38));
  EXPECT_EQ(filled(fanin::Constant(1), {3}, DType::float8_e5m2), Bytes(3, 0x3c));
  for (const DType dtype : all_dtypes) {
    EXPECT_EQ(filled(fanin::Zeros(), {5}, dtype), Bytes(5 * size_of(dtype), 0)) << name_of(dtype);
    EXPECT_EQ(filled(fanin::Ones(), {5}, dtype), filled(fanin::Constant(1), {5}, dtype)) << name_of(dtype);
  }
  EXPECT_TRUE(std::signbit(values_of<float>(filled(fanin::Constant(-0.0), {1}))[0]));
  // A number that is finite in binary32 but larger than the dtype's largest becomes that largest number.
  EXPECT_EQ(values_of<std::uint16_t>(filled(fanin::Constant(-1e10), {1}, DType::float16))[0], 0xfbff);
  EXPECT_EQ(filled(fanin::Constant(1e10), {1}, DType::float8_e4m3fn)[0], 0x7e);
}

// Initializers that are not random ignore the seed, also the seed of a sequence.
TEST(Constant, IgnoresTheSeed) {
  const Initializer ones = fanin::make("ones", Seed::sequence(3));
  EXPECT_EQ(filled(ones, {4}), filled(fanin::Ones(), {4}));
  EXPECT_EQ(filled(ones, {4}), filled(fanin::Ones(), {4}));
}

TEST(Degenerate, AreConstants) {
  EXPECT_EQ(filled(fanin::RandomNormal(1.5, 0, 1), small), filled(fanin::Constant(1.5), small));
  EXPECT_EQ(filled(fanin::TruncatedNormal(1.5, 0, 1), small), filled(fanin::Constant(1.5), small));
  EXPECT_EQ(filled(fanin::RandomUniform(1.5, 1.5, 1), small), filled(fanin::Constant(1.5), small));
}

TEST(SmallTensors, WithoutElements) {
  for (const DType dtype : all_dtypes) {
    for (const Shape& shape : {Shape{0}, Shape{0, 4}, Shape{4, 0}, Shape{3, 0, 5}}) {
      EXPECT_NO_THROW(fanin::HeNormal(1).fill({nullptr, dtype, 0, fanin::host}, shape));
      EXPECT_EQ(fanin::HeNormal(1)(shape, dtype).size(), 0u);
      EXPECT_EQ(fanin::HeNormal(1)(shape, dtype).shape(), shape);
    }
  }
  EXPECT_NO_THROW(
      fanin::HeNormal(1).fill({nullptr, DType::float32, 0, fanin::host}, {3, 4}, with_block({1, 1}, {0, 2})));
  // With an extent of 0, the others may be anything.
  EXPECT_EQ(filled(fanin::RandomNormal(0, 1, 1), {std::int64_t{1} << 40, 0}).size(), 0u);
}

TEST(SmallTensors, Scalars) {
  const fanin::HeNormal he(1);
  const Bytes scalar = filled(he, {});
  ASSERT_EQ(scalar.size(), 4u);
  EXPECT_EQ(scalar, filled(he, {1}));  // both have fans of 1, and element 0
  EXPECT_EQ(scalar, filled(he, {1, 1, 1}));
  const fanin::Tensor tensor = he({});
  EXPECT_EQ(tensor.size(), 1u);
  EXPECT_TRUE(tensor.shape().empty());
}

// A call returns new memory, aligned to 64 bytes.
TEST(SmallTensors, OfACall) {
  std::vector<fanin::Tensor> tensors;  // all alive at once, so that their addresses differ
  for (const DType dtype : all_dtypes) {
    for (std::int64_t extent = 1; extent < 20; ++extent) tensors.push_back(fanin::Ones()({extent, 3}, dtype));
  }
  for (const fanin::Tensor& tensor : tensors) {
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(tensor.data()) % 64, 0u);
    EXPECT_EQ(tensor.size(), static_cast<std::size_t>(tensor.shape()[0]) * 3);
    EXPECT_EQ(tensor.bytes(), tensor.size() * size_of(tensor.dtype()));
    EXPECT_EQ(tensor.device().is_host(), fanin::available().cuda_devices == 0);
    if (!tensor.device().is_host()) continue;
    const Bytes expected = filled(fanin::Ones(), tensor.shape(), tensor.dtype());
    EXPECT_EQ(std::memcmp(tensor.data(), expected.data(), expected.size()), 0);
    EXPECT_EQ(tensor.to_binary64(), std::vector<double>(tensor.size(), 1.0));
    EXPECT_EQ(fanin::Constant(-0.75)({3}, tensor.dtype()).to_binary64(), std::vector<double>(3, -0.75));
  }
}

TEST(Tensors, GiveTheirElementsByTheRightTypeOnly) {
  const auto ones = [](DType dtype) {
    fanin::Tensor tensor({3}, dtype);
    fanin::Ones().fill(tensor.view(), {3});
    return tensor;
  };
  EXPECT_EQ(ones(DType::float32).as<float>()[2], 1.0F);
  EXPECT_EQ(ones(DType::float64).as<double>()[2], 1.0);
  EXPECT_EQ(ones(DType::float16).as<std::uint16_t>()[2], 0x3c00);
  EXPECT_EQ(ones(DType::bfloat16).as<std::uint16_t>()[2], 0x3f80);
  EXPECT_EQ(ones(DType::float8_e4m3fn).as<std::uint8_t>()[2], 0x38);
  EXPECT_EQ(ones(DType::float8_e5m2).as<std::uint8_t>()[2], 0x3c);
  for (const DType dtype : all_dtypes) {
    SCOPED_TRACE(name_of(dtype));
    fanin::Tensor tensor = ones(dtype);
    int right = 0;
    const auto count = [&](auto access) {
      try {
        access();
        ++right;
      } catch (const InvalidArgument& error) {
        EXPECT_NE(std::string(error.what()).find(name_of(dtype)), std::string::npos) << error.what();
      }
    };
    count([&] { tensor.as<float>(); });
    count([&] { tensor.as<double>(); });
    count([&] { tensor.as<std::uint16_t>(); });
    count([&] { tensor.as<std::uint8_t>(); });
    EXPECT_EQ(right, 1);
  }
}

TEST(Views, AreMadeOfHostArrays) {
  std::vector<float> floats(6);
  std::array<double, 6> doubles{};
  EXPECT_EQ(fanin::view(floats).address, floats.data());
  EXPECT_EQ(fanin::view(floats).capacity, 24u);
  EXPECT_EQ(fanin::view(floats).dtype, DType::float32);
  EXPECT_EQ(fanin::view(doubles).capacity, 48u);
  EXPECT_EQ(fanin::view(doubles).dtype, DType::float64);
  EXPECT_TRUE(fanin::view(doubles).device.is_host());
}

TEST(Layouts, OtherNumbersAreRefused) {
  const auto layout = static_cast<fanin::Layout>(9);
  EXPECT_THROW(fanin::compute_fans({3, 4}, layout), InvalidArgument);
  EXPECT_THROW(fanin::compute_fans({3}, layout), InvalidArgument);
  EXPECT_THROW(fanin::HeNormal(1).describe({3, 4}, layout), InvalidArgument);
  EXPECT_THROW(fanin::name_of(layout), InvalidArgument);
  TensorOptions options;
  options.layout = layout;
  EXPECT_THROW(fanin::HeNormal(1).params({3, 4}, DType::float32, options), InvalidArgument);
}

// ---------------------------------------------------------------- one tensor, however it is cut

const Shape cut_shape{131, 141, 143};  // 2,641,353 elements: enough for 5 threads

std::vector<Kind> cut_kinds() {
  return {{fanin::HeNormal(1), DType::float32},
          {fanin::RandomUniform(0, 1, 2), DType::bfloat16},
          {fanin::GlorotUniform(3), DType::float64},
          {fanin::RandomNormal(0.5, 2, 4), DType::float8_e5m2},
          {fanin::TruncatedNormal(0, 1, 5), DType::float16}};
}

// Boundaries 0 = b0 < b1 < ... = length, for about `pieces` pieces, at odd numbers where possible.
std::vector<std::uint64_t> cuts(std::uint64_t length, std::uint64_t pieces, Choices& choices) {
  std::set<std::uint64_t> places{0, length};
  for (std::uint64_t j = 1; j < pieces; ++j) places.insert(std::min(length, choices.below(length) | 1));
  return {places.begin(), places.end()};
}

// Writes a prepared fill in pieces, the last piece first.
void fill_in_parts(const View& view, const FillParams& params, int threads, Choices& choices) {
  const auto bounds = cuts(params.index.count, 1 + choices.below(9), choices);
  for (std::size_t j = bounds.size() - 1; j-- > 0;) {
    View part = view;
    part.address = static_cast<unsigned char*>(view.address) + bounds[j] * size_of(view.dtype);
    part.capacity = (bounds[j + 1] - bounds[j]) * size_of(view.dtype);
    fanin::fill(part, part_of(params, bounds[j], bounds[j + 1] - bounds[j]), {nullptr, threads});
  }
}

// Copies a block's dense bytes to its position in the tensor.
void place_block(unsigned char* tensor, const Block& block, const Bytes& dense, std::size_t size) {
  const auto at = [](const Shape& v, std::size_t j) { return static_cast<std::size_t>(v[j]); };
  const std::size_t run = at(block.extent, 2) * size;
  const unsigned char* from = dense.data();
  for (std::size_t i = 0; i < at(block.extent, 0); ++i) {
    for (std::size_t j = 0; j < at(block.extent, 1); ++j, from += run) {
      const std::size_t row = (at(block.offset, 0) + i) * at(cut_shape, 1) + at(block.offset, 1) + j;
      std::memcpy(tensor + (row * at(cut_shape, 2) + at(block.offset, 2)) * size, from, run);
    }
  }
}

// Fills every block of a partition of the tensor, each at its own address, and assembles them.
void fill_in_blocks(const Kind& kind, unsigned char* tensor, int threads, bool in_parts, Choices& choices) {
  const std::size_t size = size_of(kind.dtype);
  std::vector<std::vector<std::uint64_t>> bounds;
  for (const std::int64_t extent : cut_shape) {
    bounds.push_back(cuts(static_cast<std::uint64_t>(extent), 1 + choices.below(3), choices));
  }
  const auto range = [&](Block& block, std::size_t dimension, std::size_t j) {
    block.offset.push_back(static_cast<std::int64_t>(bounds[dimension][j]));
    block.extent.push_back(static_cast<std::int64_t>(bounds[dimension][j + 1] - bounds[dimension][j]));
  };
  for (std::size_t i = 0; i + 1 < bounds[0].size(); ++i) {
    for (std::size_t j = 0; j + 1 < bounds[1].size(); ++j) {
      for (std::size_t k = 0; k + 1 < bounds[2].size(); ++k) {
        TensorOptions options;
        range(options.block, 0, i);
        range(options.block, 1, j);
        range(options.block, 2, k);
        Bytes dense(fanin::element_count(options.block.extent) * size, poison);
        if (in_parts) {
          fill_in_parts(view_of(dense, kind.dtype), kind.initializer.params(cut_shape, kind.dtype, options), threads,
                        choices);
        } else {
          kind.initializer.fill(view_of(dense, kind.dtype), cut_shape, options, on_threads(threads));
        }
        place_block(tensor, options.block, dense, size);
      }
    }
  }
}

TEST(OneTensor, SixtyFourWaysToCutIt) {
  const std::vector<Kind> kinds = cut_kinds();
  std::vector<Bytes> whole;
  for (const Kind& kind : kinds) {
    whole.push_back(filled(kind.initializer, cut_shape, kind.dtype, {}, on_threads(1)));
  }
  for (std::size_t way = 0; way < 64; ++way) {
    const Kind& kind = kinds[way % kinds.size()];
    const Bytes& expected = whole[way % kinds.size()];
    const int threads = 1 + static_cast<int>(way / 4 % 5);
    Choices choices(way);
    // Any multiple of the element's size is a legal address, and the memory around the fill does not change.
    const std::size_t before = (1 + choices.below(70)) * size_of(kind.dtype);
    Bytes memory(before + expected.size() + 64, poison);
    const View view{memory.data() + before, kind.dtype, expected.size(), fanin::host};
    switch (way % 4) {
      case 0:
        kind.initializer.fill(view, cut_shape, {}, on_threads(threads));
        break;
      case 1:
        fill_in_parts(view, kind.initializer.params(cut_shape, kind.dtype), threads, choices);
        break;
      case 2:
        fill_in_blocks(kind, memory.data() + before, threads, false, choices);
        break;
      case 3:
        fill_in_blocks(kind, memory.data() + before, threads, true, choices);
        break;
    }
    const unsigned char* first = memory.data() + before;
    EXPECT_EQ(std::memcmp(first, expected.data(), expected.size()), 0) << "way " << way << ", " << text_of(kind);
    EXPECT_TRUE(fanin::test::all_poison(memory.data(), first)) << "way " << way;
    EXPECT_TRUE(fanin::test::all_poison(first + expected.size(), memory.data() + memory.size())) << "way " << way;
  }
}

TEST(OneTensor, PartsOfParts) {
  const fanin::HeNormal he(1);
  const auto whole = values_of<float>(filled(he, {13, 7}));
  const FillParams part = part_of(part_of(he.params({13, 7}, DType::float32), 10, 50), 7, 20);
  std::vector<float> values(20);
  fanin::fill(fanin::view(values.data(), 20), part);
  EXPECT_TRUE(std::equal(values.begin(), values.end(), whole.begin() + 17));
  EXPECT_NO_THROW(part_of(part, 20, 0));
  EXPECT_NO_THROW(part_of(part, 0, 20));
  EXPECT_THROW(part_of(part, 21, 0), InvalidArgument);
  EXPECT_THROW(part_of(part, 0, 21), InvalidArgument);
  EXPECT_THROW(part_of(part, 1, ~std::uint64_t{0}), InvalidArgument);
  EXPECT_THROW(part_of(part, ~std::uint64_t{0}, 1), InvalidArgument);
}

TEST(OneTensor, UnderEveryRoundingMode) {
  for (const Kind& kind : cut_kinds()) {
    const Bytes expected = filled(kind.initializer, {50, 41}, kind.dtype);
    for (const int mode : {FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO}) {
      Bytes got;
      int after = 0;
      {
        const RoundingMode wrong(mode);
        got = filled(kind.initializer, {50, 41}, kind.dtype);
        after = std::fegetround();
      }
      EXPECT_EQ(got, expected) << text_of(kind) << " mode " << mode;
      EXPECT_EQ(after, mode);  // the caller's mode is preserved
    }
  }
}

// The layout changes fans, but not the order of elements.
TEST(OneTensor, LayoutChangesFansAlone) {
  TensorOptions oihw;
  oihw.layout = fanin::Layout::oihw;
  EXPECT_EQ(filled(fanin::RandomNormal(0, 1, 1), {3, 5}, DType::float32, oihw),
            filled(fanin::RandomNormal(0, 1, 1), {3, 5}));
  // fan_in is 4 in one layout and 16 in the other: a factor of 2.
  const auto torch = values_of<float>(filled(fanin::HeNormal(1), {16, 4}, DType::float32, oihw));
  const auto keras = values_of<float>(filled(fanin::HeNormal(1), {16, 4}));
  for (std::size_t j = 0; j < torch.size(); ++j) EXPECT_EQ(torch[j], 2 * keras[j]);
}

// ---------------------------------------------------------------- refusals leave memory unchanged

struct Attempt {
  const char* name;
  const char* part;                                 // of the message
  std::function<void(unsigned char* memory)> fill;  // of 4096 bytes
};

template <class Error>
void expect_untouched(const std::vector<Attempt>& attempts) {
  const auto memory = std::make_unique<std::array<double, 512>>();  // aligned for every dtype
  auto* bytes = reinterpret_cast<unsigned char*>(memory->data());
  for (const Attempt& attempt : attempts) {
    SCOPED_TRACE(attempt.name);
    std::memset(bytes, poison, 4096);
    const std::string text = fanin::test::refusal<Error>([&] { attempt.fill(bytes); });
    EXPECT_NE(text.find(attempt.part), std::string::npos) << "\"" << attempt.part << "\" is not in: " << text;
    EXPECT_TRUE(fanin::test::all_poison(bytes, bytes + 4096));
  }
}

View f32(void* address, std::size_t bytes = 4000) { return {address, DType::float32, bytes, fanin::host}; }
View of(DType dtype, void* address) { return {address, dtype, 4000, fanin::host}; }

const Shape matrix{3, 4};

TEST(BadInput, ShapesAndMemory) {
  const fanin::HeNormal he(1);
  const Shape too_large{1 << 28, 1 << 29};
  const Shape overflowing{std::int64_t{1} << 62, std::int64_t{1} << 62, 16};
  const Shape largest{std::int64_t{1} << 56};
  const Shape larger{(std::int64_t{1} << 56) + 1};
  const Shape negative{-2, 3};
  const Shape twice_negative{-2, -3};
  const Shape zero_and_negative{0, -3};
  const TensorOptions block = with_block({0, 0}, {2, 2});
  const auto bad = static_cast<DType>(12);
  const auto worse = static_cast<DType>(255);
  expect_untouched<InvalidArgument>({
      {"negative extent", "[-2, 3]", [&](auto* m) { he.fill(f32(m), negative); }},
      {"two negative extents", "[-2, -3]", [&](auto* m) { he.fill(f32(m), twice_negative); }},
      {"negative beside zero", "[0, -3]", [&](auto* m) { he.fill(f32(m), zero_and_negative); }},
      {"2^56 + 1 elements", "2^56", [&](auto* m) { he.fill(f32(m), larger); }},
      {"2^57 elements", "2^56", [&](auto* m) { he.fill(f32(m), too_large); }},
      {"2^128 elements", "2^56", [&](auto* m) { he.fill(f32(m), overflowing); }},
      {"block of 2^57 elements", "2^56", [&](auto* m) { he.fill(f32(m), too_large, block); }},
      {"one byte too few", "capacity=47", [&](auto* m) { he.fill(f32(m, 47), matrix); }},
      {"no capacity", "capacity=0", [&](auto* m) { he.fill(f32(m, 0), matrix); }},
      {"capacity of a block", "capacity=15", [&](auto* m) { he.fill(f32(m, 15), matrix, block); }},
      {"2^58 bytes", "capacity=4000", [&](auto* m) { he.fill(f32(m), largest); }},
      {"null address", "null", [&](auto*) { he.fill(f32(nullptr), matrix); }},
      {"1 past a float32", "multiple", [&](auto* m) { he.fill(f32(m + 1), matrix); }},
      {"2 past a float32", "multiple", [&](auto* m) { he.fill(f32(m + 2), matrix); }},
      {"4 past a float64", "multiple", [&](auto* m) { he.fill(of(DType::float64, m + 4), matrix); }},
      {"1 past a bfloat16", "multiple", [&](auto* m) { he.fill(of(DType::bfloat16, m + 1), matrix); }},
      {"dtype 12", "dtype number 12", [&](auto* m) { he.fill(of(bad, m), matrix); }},
      {"dtype 255", "dtype number 255", [&](auto* m) { he.fill(of(worse, m), matrix); }},
      {"dtype 12 of a constant", "dtype number 12", [&](auto* m) { fanin::Ones().fill(of(bad, m), matrix); }},
      {"dtype 12 of nothing", "dtype number 12", [&](auto* m) { he.fill(of(bad, m), Shape{0}); }},
  });
}

TEST(BadInput, Parameters) {
  using fanin::Constant;
  using fanin::RandomNormal;
  using fanin::RandomUniform;
  using fanin::TruncatedNormal;
  using fanin::VarianceScaling;
  const auto f16 = [](void* m) { return of(DType::float16, m); };
  const auto f64 = [](void* m) { return of(DType::float64, m); };
  const auto bf16 = [](void* m) { return of(DType::bfloat16, m); };
  const auto e4m3 = [](void* m) { return of(DType::float8_e4m3fn, m); };
  const auto e5m2 = [](void* m) { return of(DType::float8_e5m2, m); };
  const auto list = [] { return Constant::from_config(R"({"value": [1, 2, 3, 4]})"); };
  expect_untouched<InvalidArgument>({
      {"NaN mean", "mean", [&](auto* m) { RandomNormal(nan, 1, 1).fill(f32(m), matrix); }},
      {"infinite stddev", "stddev", [&](auto* m) { RandomNormal(0, infinity, 1).fill(f32(m), matrix); }},
      {"NaN minval", "minval", [&](auto* m) { RandomUniform(nan, 1, 1).fill(f32(m), matrix); }},
      {"NaN scale", "scale", [&](auto* m) { VarianceScaling(nan).fill(f32(m), matrix); }},
      {"minval > maxval", "minval", [&](auto* m) { RandomUniform(1, -1, 1).fill(f32(m), matrix); }},
      {"stddev < 0", "stddev", [&](auto* m) { RandomNormal(0, -1, 1).fill(f32(m), matrix); }},
      {"lower > upper", "lower", [&](auto* m) { TruncatedNormal(0, 1, 1, 1, -1).fill(f32(m), matrix); }},
      {"empty window", "lower", [&](auto* m) { TruncatedNormal(0, 1, 1, 2, 2).fill(f32(m), matrix); }},
      {"NaN in a window", "lower", [&](auto* m) { TruncatedNormal(0, 1, 1, nan, 2).fill(f32(m), matrix); }},
      {"bound past binary32 in a window", "upper",
       [&](auto* m) { TruncatedNormal(0, 1, 1, 1, 1e39).fill(f64(m), matrix); }},
      {"NaN constant", "finite", [&](auto* m) { Constant(nan).fill(f32(m), matrix); }},
      {"infinite constant", "finite", [&](auto* m) { Constant(-infinity).fill(f64(m), matrix); }},
      {"list constant", "does not broadcast",
       [&](auto* m) {
         list().fill(f32(m), Shape{4, 3});
       }},
      {"constant past binary32", "finite in float32", [&](auto* m) { Constant(1e39).fill(f32(m), matrix); }},
      {"constant past binary32, float16", "finite", [&](auto* m) { Constant(1e39).fill(f16(m), matrix); }},
      {"constant that becomes zero", "zero in float32", [&](auto* m) { Constant(1e-50).fill(f32(m), matrix); }},
      {"gain past binary32", "gain=1e+39", [&](auto* m) { fanin::Identity(1e39).fill(f32(m), matrix); }},
      {"stddev that becomes zero", "zero", [&](auto* m) { RandomNormal(0, 1e-50, 1).fill(f32(m), matrix); }},
      {"the same in float8", "zero", [&](auto* m) { RandomNormal(0, 1e-50, 1).fill(e5m2(m), matrix); }},
      {"scale that becomes zero", "zero", [&](auto* m) { VarianceScaling(1e-300).fill(f32(m), matrix); }},
      {"mean past binary32", "finite", [&](auto* m) { RandomNormal(1e39, 1, 1).fill(f32(m), matrix); }},
      {"stddev past binary32", "finite", [&](auto* m) { RandomNormal(0, 1e39, 1).fill(f32(m), matrix); }},
      {"maxval past binary32", "finite", [&](auto* m) { RandomUniform(0, 1e39, 1).fill(f32(m), matrix); }},
      {"width past binary32", "too wide", [&](auto* m) { RandomUniform(-3e38, 2e38, 1).fill(f32(m), matrix); }},
      {"width past binary64", "too wide", [&](auto* m) { RandomUniform(-1.5e308, 1e308, 1).fill(f64(m), matrix); }},
      {"bound past binary32", "bound", [&](auto* m) { TruncatedNormal(0, 3e38, 1).fill(f32(m), matrix); }},
      {"empty in binary32", "empty", [&](auto* m) { RandomUniform(1, 1 + 1e-12, 1).fill(f32(m), matrix); }},
      {"no float8", "No value", [&](auto* m) { RandomUniform(1e-9, 2e-9, 1).fill(e4m3(m), matrix); }},
      {"no float16", "No value", [&](auto* m) { RandomUniform(1e5, 2e5, 1).fill(f16(m), matrix); }},
      {"no bfloat16", "No value", [&](auto* m) { TruncatedNormal(1.003, 1e-5, 1).fill(bf16(m), matrix); }},
      {"axis outside", "Axis 2",
       [&](auto* m) {
         fanin::HeNormal(1, {{{2}}, {{0}}}).fill(f32(m), matrix);
       }},
  });
}

TEST(BadInput, OptionsAndPreparedFills) {
  const fanin::HeNormal he(1);
  const FillParams params = he.params(matrix, DType::float32);
  const Shape cube{3, 4, 5};
  TensorOptions both = with_name("a");
  both.subsequence = 0;
  const TensorOptions block = with_block({0, 0}, {1, 1});
  expect_untouched<InvalidArgument>({
      {"threads < 0", "threads=-1", [&](auto* m) { he.fill(f32(m), matrix, {}, on_threads(-1)); }},
      {"threads < 0, prepared", "threads=-1",
       [&](auto* m) {
         fanin::fill(f32(m), params, {nullptr, -1});
       }},
      {"name and subsequence", "not both", [&](auto* m) { he.fill(f32(m), matrix, both); }},
      {"identity of rank 3", "rank 3", [&](auto* m) { fanin::Identity().fill(f32(m), cube); }},
      {"another dtype", "prepared for float32", [&](auto* m) { fanin::fill(of(DType::float64, m), params); }},
      {"prepared, too small", "capacity=47", [&](auto* m) { fanin::fill(f32(m, 47), params); }},
      {"prepared, null", "null", [&](auto*) { fanin::fill(f32(nullptr), params); }},
      {"prepared, misaligned", "multiple", [&](auto* m) { fanin::fill(f32(m + 1), params); }},
  });
}

TEST(BadInput, ADeviceThatIsNotThere) {
  const int missing = fanin::available().cuda_devices;
  const std::string name = to_string(fanin::cuda(missing));
  EXPECT_EQ(fanin::device_of(&missing), fanin::host);
  const fanin::HeNormal he(1);
  const auto at = [&](unsigned char* m) { return View{m, DType::float32, 4096, fanin::cuda(missing)}; };
  expect_untouched<fanin::DeviceError>({
      {"fill", name.c_str(), [&](auto* m) { he.fill(at(m), matrix); }},
      {"fill of nothing", name.c_str(), [&](auto* m) { he.fill(at(m), Shape{0}); }},
      {"prepared", name.c_str(), [&](auto* m) { fanin::fill(at(m), he.params(matrix, DType::float32)); }},
      {"plan", name.c_str(), [&](auto* m) { fanin::Plan().add(he, at(m), matrix); }},
      {"tensor", name.c_str(), [&](auto*) { fanin::Tensor(matrix, DType::float32, fanin::cuda(missing)); }},
      {"read", name.c_str(), [&](auto* m) { fanin::read(m, at(m)); }},
  });
}

TEST(Views, OfTheHostAreRead) {
  float from[3] = {1, 2, 3};
  float to[3] = {};
  fanin::read(to, fanin::view(from, 2));
  EXPECT_EQ(std::vector<float>(to, to + 3), (std::vector<float>{1, 2, 0}));
  fanin::read(nullptr, fanin::view(from, 0));
  expect_untouched<InvalidArgument>({
      {"from null", "12 bytes", [&](auto* m) { fanin::read(m, f32(nullptr, 12)); }},
      {"to null", "12 bytes", [&](auto* m) { fanin::read(nullptr, f32(m, 12)); }},
  });
}

// params writes no memory, but it must refuse a number that is not an enumerator too.
TEST(BadInput, ParamsOfAnUnknownDType) {
  const auto bad = static_cast<DType>(12);
  for (const Initializer& initializer : {Initializer(fanin::HeNormal(1)), Initializer(fanin::RandomUniform(0, 1, 1)),
                                         Initializer(fanin::RandomNormal(0, 1, 1)), Initializer(fanin::Constant(1)),
                                         Initializer(fanin::Zeros()), Initializer(fanin::Identity())}) {
    EXPECT_THROW(initializer.params({2, 2}, bad), InvalidArgument) << initializer.class_name();
  }
}

// The same numbers are legal if the compute type is binary64, and so is a large fan.
TEST(BadInput, Float64HoldsMore) {
  for (const Initializer& initializer :
       {Initializer(fanin::RandomNormal(0, 1e-50, 1)),
        Initializer(fanin::VarianceScaling(1e-300, "fan_in", "normal", 1)), Initializer(fanin::Constant(1e39)),
        Initializer(fanin::Constant(1e-50)), Initializer(fanin::RandomUniform(1, 1 + 1e-12, 1)),
        Initializer(fanin::RandomUniform(-3e38, 2e38, 1))}) {
    EXPECT_THROW(filled(initializer, {3, 4}), InvalidArgument) << initializer.get_config();
    for (const double v : values_of<double>(filled(initializer, {3, 4}, DType::float64))) {
      EXPECT_TRUE(std::isfinite(v) && v != 0) << initializer.get_config();
    }
  }
  // HeNormal's stddev never becomes zero: the smallest one is that of 2^56 inputs.
  const Shape widest{std::int64_t{1} << 56, 1};
  for (const DType dtype : all_dtypes) {
    EXPECT_NO_THROW(fanin::HeNormal(1).params(widest, dtype)) << name_of(dtype);
    EXPECT_NO_THROW(fanin::GlorotUniform(1).params(widest, dtype)) << name_of(dtype);
  }
}

// The last elements of the largest tensor have distinct indices.
TEST(SmallTensors, TheEndOfTheLargest) {
  const std::int64_t most = std::int64_t{1} << 56;
  const fanin::RandomUniform uniform(0, 1, 1);
  const auto last = values_of<double>(filled(uniform, {most}, DType::float64, with_block({most - 6}, {6})));
  const auto also =
      values_of<double>(filled(uniform, {most / 2, 2}, DType::float64, with_block({most / 2 - 3, 0}, {3, 2})));
  EXPECT_EQ(last, also);
  EXPECT_EQ(std::set<double>(last.begin(), last.end()).size(), 6u);
}

// This object is made before main() and used after it by a destructor: the library does not depend on the order of
// static objects.
struct AtExit {
  fanin::Initializer made = fanin::deserialize(R"({"class_name": "HeNormal", "config": {"seed": 1}})");
  ~AtExit() { fanin::deserialize(fanin::serialize(made)); }
};
const AtExit before_main;

TEST(StaticObjects, InitializersCanBeOnes) { EXPECT_EQ(before_main.made.seed().value(), 1u); }

TEST(EmptyTensors, HaveFansOfAnySize) {
  const std::int64_t large = std::int64_t{1} << 40;
  EXPECT_EQ(fanin::HeNormal(1)({large, large, 0}).size(), 0u);
}

}  // namespace
