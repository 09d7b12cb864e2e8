// SPDX-License-Identifier: Apache-2.0
// Checks that the caller's floating-point environment changes no bit and that fills preserve it. This program is linked
// with -ffast-math, with which some compilers set flush-to-zero at start-up.
#include <gtest/gtest.h>

#include <cfenv>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "fanin/fanin.hpp"

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

namespace {

// The processor's control and status bits as one number; <cfenv> does not give access to all of them. all_wrong()
// rounds upward, flushes subnormals, traps inexact results, which nearly every operation gives, and raises no flag.
#if defined(__x86_64__)
#define KNOWN_PROCESSOR 1
constexpr std::uint64_t flush = 0x8040;  // results and operands
std::uint64_t control() { return _mm_getcsr(); }
void set_control(std::uint64_t bits) { _mm_setcsr(static_cast<unsigned>(bits)); }
constexpr std::uint64_t all_wrong(std::uint64_t bits) {
  constexpr std::uint64_t upward = 0x4000, inexact_masked = 0x1000, flags = 0x3f;
  return (bits | upward | flush) & ~inexact_masked & ~flags;
}
#elif defined(__aarch64__)
#define KNOWN_PROCESSOR 1
constexpr std::uint64_t flush = 1u << 24;
std::uint64_t control() {
  std::uint64_t modes = 0, flags = 0;
  asm volatile("mrs %0, fpcr\n\tmrs %1, fpsr" : "=r"(modes), "=r"(flags));
  return modes | flags << 32;
}
void set_control(std::uint64_t bits) {
  asm volatile("msr fpcr, %0\n\tmsr fpsr, %1" ::"r"(bits & 0xffffffff), "r"(bits >> 32));
}
constexpr std::uint64_t all_wrong(std::uint64_t bits) {
  // The C library's default environment does not change the last three.
  constexpr std::uint64_t upward = 1u << 22, trap_inexact = 1u << 12, flush_halves = 1u << 19, default_nan = 1u << 25,
                          alternative_half = 1u << 26;
  return (bits & 0xffffffff) | upward | flush | trap_inexact | flush_halves | default_nan | alternative_half;
}
#endif

constexpr std::int64_t elements = 300000;  // enough for several threads

std::vector<fanin::Initializer> initializers() {
  return {fanin::HeNormal(1),
          fanin::RandomNormal(0.3, 1.7, 2),
          fanin::RandomNormal(0, 1e-40, 3),  // all values are subnormal
          fanin::RandomUniform(-0.1, 0.3, 4),
          fanin::RandomUniform(-1e-39, 1e-39, 5),
          fanin::TruncatedNormal(0.25, 0.05, 6)};
}

std::vector<unsigned char> fill(const fanin::Initializer& init, fanin::DType dtype, int threads) {
  std::vector<unsigned char> bytes(elements * fanin::size_of(dtype));
  fanin::RunOptions options;
  options.threads = threads;
  init.fill({bytes.data(), dtype, bytes.size()}, {elements}, {}, options);
  return bytes;
}

// All results that depend on floating-point arithmetic: fills of each dtype, plans, descriptions and texts.
std::vector<std::vector<unsigned char>> everything(int threads) {
  std::vector<std::vector<unsigned char>> all;
  for (const fanin::Initializer& init : initializers()) {
    for (const fanin::DType dtype : {fanin::DType::float32, fanin::DType::float64, fanin::DType::float16,
                                     fanin::DType::bfloat16, fanin::DType::float8_e4m3fn, fanin::DType::float8_e5m2}) {
      try {
        all.push_back(fill(init, dtype, threads));
      } catch (const fanin::InvalidArgument&) {
        all.emplace_back();  // no value of the dtype is inside the bounds
      }
    }
    std::vector<float> planned(elements);
    fanin::Plan plan;
    plan.add(init, fanin::view(planned.data(), planned.size()), {elements});
    plan.fill({nullptr, threads});
    const auto* bytes = reinterpret_cast<const unsigned char*>(planned.data());
    all.emplace_back(bytes, bytes + planned.size() * sizeof(float));
    const std::string texts = init.describe({elements}).derivation + fanin::serialize(init) +
                              fanin::serialize(fanin::deserialize(fanin::serialize(init)));
    all.emplace_back(texts.begin(), texts.end());
  }
  const std::string he =
      fanin::HeUniform(1).describe({7, 3}).derivation + fanin::GlorotNormal(1).describe({7, 3}).derivation;
  all.emplace_back(he.begin(), he.end());
  return all;
}

class FpEnvironment : public testing::Test {
 protected:
  void SetUp() override {
    std::fegetenv(&before_);
    std::fesetenv(FE_DFL_ENV);
    expected_ = everything(1);
  }
  void TearDown() override { std::fesetenv(&before_); }

  // In the environment that is now set.
  void check() {
#if defined(KNOWN_PROCESSOR)
    const std::uint64_t before = control();
#endif
    const int mode = std::fegetround();
    for (const int threads : {1, 3}) {
      const auto got = everything(threads);
      ASSERT_EQ(got.size(), expected_.size());
      for (std::size_t j = 0; j < got.size(); ++j) EXPECT_TRUE(got[j] == expected_[j]) << "part " << j;
    }
    EXPECT_EQ(std::fegetround(), mode);
#if defined(KNOWN_PROCESSOR)
    EXPECT_EQ(control(), before);  // modes, masks and exception flags
#endif
  }

 private:
  std::fenv_t before_;
  std::vector<std::vector<unsigned char>> expected_;
};

TEST_F(FpEnvironment, RoundingModes) {
  for (const int mode : {FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO}) {
    ASSERT_EQ(std::fesetround(mode), 0);
    check();
  }
}

#if defined(KNOWN_PROCESSOR)
TEST_F(FpEnvironment, FlushToZero) {
  set_control(control() | flush);
  volatile float tiny = 1e-40F;
  volatile float scaled = tiny * 1e10F;
  ASSERT_EQ(scaled, 0.0F) << "the setting has no effect, so that this test would prove nothing";
  check();
}

TEST_F(FpEnvironment, AllSetWrongWithTraps) {
  const auto expected = fill(fanin::HeNormal(1), fanin::DType::float32, 1);
  std::vector<unsigned char> got(expected.size());
  fanin::RunOptions options;
  options.threads = 3;
  const fanin::HeNormal init(1);
  const fanin::View view{got.data(), fanin::DType::float32, got.size()};
  const std::uint64_t saved = control();
  set_control(all_wrong(saved));
  const std::uint64_t before = control();  // Arm processors may have no traps
  init.fill(view, {elements}, {}, options);
  const std::uint64_t after = control();
  set_control(saved);
  EXPECT_EQ(before & flush, flush);
  EXPECT_EQ(after, before);
  EXPECT_TRUE(got == expected);
}

TEST(FastMathProgram, StartsFlushing) {
  EXPECT_NE(control() & flush, 0u) << "linking with -ffast-math has no effect here";
}
#endif

}  // namespace
