// SPDX-License-Identifier: Apache-2.0
// Unit tests of the program.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "cli/arguments.h"
#include "cli/npy.h"
#include "cli/statistics.h"

namespace {

TEST(Statistics, PartsJoinToTheWhole) {
  std::vector<double> values;
  for (int j = 0; j < 1000; ++j) values.push_back(1e6 + std::sin(j));
  fanin::cli::Statistics whole;
  whole.add(values.data(), values.size(), fanin::DType::float64);
  fanin::cli::Statistics parts;
  for (std::size_t first : {0u, 1u, 2u, 500u}) {
    const std::size_t last = first == 0 ? 1 : first == 1 ? 2 : first == 2 ? 500 : 1000;
    parts.add(values.data() + first, last - first, fanin::DType::float64);
  }
  double mean = 0;
  for (const double v : values) mean += (v - 1e6) / 1000;
  double variance = 0;
  for (const double v : values) variance += (v - 1e6 - mean) * (v - 1e6 - mean) / 1000;
  for (const auto& statistics : {whole, parts}) {
    EXPECT_EQ(statistics.count(), 1000u);
    EXPECT_NEAR(statistics.mean(), 1e6 + mean, 1e-8);
    EXPECT_NEAR(statistics.stddev(), std::sqrt(variance), 1e-8);
    EXPECT_EQ(statistics.max(), *std::max_element(values.begin(), values.end()));
    EXPECT_EQ(statistics.min(), *std::min_element(values.begin(), values.end()));
  }
}

TEST(Statistics, NarrowElements) {
  const std::vector<std::uint16_t> halves{0x3c00, 0xbc00, 0x0001};  // 1, -1, 2^-24
  fanin::cli::Statistics statistics;
  statistics.add(halves.data(), halves.size(), fanin::DType::float16);
  EXPECT_EQ(statistics.max(), 1.0);
  EXPECT_EQ(statistics.min(), -1.0);
  EXPECT_NEAR(statistics.mean(), std::ldexp(1.0, -24) / 3, 1e-15);
}

TEST(Statistics, ManyElementsAreCountedAndFewConverted) {
  for (const fanin::DTypeFacts& facts : fanin::dtypes()) {
    if (facts.bits != 8) continue;
    std::vector<unsigned char> elements(1000);
    for (std::size_t j = 0; j < elements.size(); ++j) elements[j] = static_cast<unsigned char>(1 + j * 7 % 100);
    fanin::cli::Statistics many;
    fanin::cli::Statistics few;
    many.add(elements.data(), elements.size(), facts.dtype);
    for (std::size_t j = 0; j < elements.size(); j += 100) few.add(elements.data() + j, 100, facts.dtype);
    EXPECT_EQ(many.count(), few.count());
    EXPECT_EQ(many.max(), few.max()) << facts.name;
    EXPECT_NEAR(many.stddev() / few.stddev(), 1, 1e-12) << facts.name;
  }
}

TEST(Npy, HeadersAreWhole64Bytes) {
  for (const fanin::Shape& shape :
       {fanin::Shape{}, {3}, {0, 4}, {1, 2, 3}, fanin::Shape(std::vector<std::int64_t>(40, 1))}) {
    const std::string header = fanin::cli::npy_header(shape, fanin::DType::float32);
    EXPECT_EQ(header.size() % 64, 0u);
    EXPECT_EQ(header.back(), '\n');
  }
}

TEST(Extents, AreReadStrictly) {
  using fanin::cli::parse_extents;
  EXPECT_EQ(parse_extents("scalar", "--shape"), fanin::Shape{});
  EXPECT_EQ(parse_extents("2, 3", "--shape"), (fanin::Shape{2, 3}));
  EXPECT_EQ(parse_extents("-2", "--shape"), fanin::Shape{-2});  // refused later, with a reason
  for (const char* bad : {"", ",", "2,", "2,,3", "2.0", "2x3", "a", "2 3", "9223372036854775808"}) {
    EXPECT_THROW(parse_extents(bad, "--shape"), fanin::InvalidArgument) << bad;
  }
}

}  // namespace
