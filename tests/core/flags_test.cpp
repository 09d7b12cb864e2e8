// SPDX-License-Identifier: Apache-2.0
// Checks that the determinism flags work. With -ffast-math and fused multiply-add, plain arithmetic is exact with them.
// Without them it is not, which shows that the check can fail.
#include <gtest/gtest.h>

#include <limits>

namespace with_flags {
#include "core/flags_probe.h"
}
namespace without_flags {
#include "core/flags_probe.h"
}

namespace {

// Inputs are volatile, so that the compiler computes nothing.
float hidden(float v) {
  volatile float memory = v;
  return memory;
}

const float a = 1 + 0x1p-12F;
const float square = 1 + 0x1p-11F;  // a * a, rounded: a * a = 1 + 2^-11 + 2^-24, halfway between two floats

TEST(Flags, ProductAndSumAreNotFused) {
  EXPECT_EQ(with_flags::product_and_sum(hidden(a), hidden(a), hidden(-square)), 0.0F);
}

TEST(Flags, SubnormalsAreKept) {
  EXPECT_EQ(with_flags::product(hidden(0x1p-100F), hidden(0x1p-40F)), 0x1p-140F);
  EXPECT_EQ(with_flags::product(hidden(0x1p-140F), hidden(0x1p+100F)), 0x1p-40F);
}

TEST(Flags, RoundingIsToNearestEven) {
  EXPECT_EQ(with_flags::product_and_sum(hidden(1), hidden(1), hidden(0x1p-24F)), 1.0F);
  EXPECT_EQ(with_flags::product_and_sum(hidden(1), hidden(1), hidden(0x1.8p-23F)), 1 + 0x1p-22F);
  EXPECT_EQ(with_flags::quotient(hidden(1), hidden(3)), 0x1.555556p-2F);
}

TEST(Flags, NothingIsReassociatedOrAssumedFinite) {
  EXPECT_EQ(with_flags::there_and_back(hidden(1), hidden(0x1p30F)), 0.0F);
  EXPECT_TRUE(with_flags::is_nan(hidden(std::numeric_limits<float>::quiet_NaN())));
}

TEST(Flags, WithoutThemArithmeticDiffers) {
#if defined(FANIN_PROBE_HAS_FMA)
  EXPECT_NE(without_flags::product_and_sum(hidden(a), hidden(a), hidden(-square)), 0.0F);
#endif
  EXPECT_EQ(without_flags::there_and_back(hidden(1), hidden(0x1p30F)), 1.0F);
}

}  // namespace
