// SPDX-License-Identifier: Apache-2.0
// Compares every instruction set's loop with the portable one. The contract's golden vectors test all of them.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "cpu/fill.h"
#include "cpu/run.h"
#include "fanin/fanin.hpp"
#include "params/index_map.h"
#include "params/make_params.h"

namespace {

using fanin::CpuTarget;
using fanin::Distribution;
using fanin::DType;
using fanin::FillParams;

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr DType dtypes[] = {DType::float32,  DType::float64,       DType::float16,
                            DType::bfloat16, DType::float8_e4m3fn, DType::float8_e5m2};

Distribution normal(double mean, double stddev, double lower = -infinity, double upper = infinity) {
  Distribution d;
  const bool truncated = lower > -infinity || upper < infinity;
  d.kind = truncated ? Distribution::Kind::truncated_normal : Distribution::Kind::normal;
  d.mean = mean;
  d.stddev = stddev;
  d.lower = lower;
  d.upper = upper;
  return d;
}

Distribution uniform(double low, double high) {
  Distribution d;
  d.kind = Distribution::Kind::uniform;
  d.low = low;
  d.high = high;
  return d;
}

struct Case {
  const char* name;
  Distribution distribution;
};

const std::vector<Case> cases = {
    {"he_normal", normal(0, 0.0217, -2, 2)},
    {"normal", normal(0, 0.05)},
    {"normal with a mean", normal(0.7, 1.3)},
    {"truncated normal with a mean", normal(-0.3, 0.11, -2, 2)},
    {"half of a normal", normal(0, 1, 0, infinity)},  // every second trial is rejected
    {"other half, with a mean", normal(-2, 0.3, -infinity, 0)},
    {"window to one side", normal(0.25, 0.5, -0.1, 7)},
    {"window at 0", normal(0, 1, 0, 2.5)},
    {"window within the table's cells", normal(0.1, 2, -1.25, 1.25)},
    {"window past the tail's begin", normal(0, 1, -3.7, 3.64)},
    {"narrow window with 0", normal(0, 1, -0.5, 0.5)},
    {"very narrow window", normal(0.5, 1, -0.01, 0.02)},
    {"window that begins at 0", normal(0, 0.02, 0, 1)},
    {"window that ends at 0", normal(0, 1, -2, 0)},
    {"box", normal(0, 1, 1, 2)},
    {"box below 0 with a mean", normal(3, 0.25, -1.75, -0.5)},
    {"box far out", normal(0, 1, 8, 8.1)},
    {"box whose ends coincide in binary32", normal(0, 1, 1, 1 + 0x1p-30)},
    {"tail", normal(0, 1, 2, infinity)},
    {"tail with a bound", normal(0, 1, 3, 8)},
    {"tail below 0 with a mean", normal(-1, 0.5, -9, -0.75)},
    {"tail far out", normal(0, 1, -infinity, -30)},
    {"tail near 0", normal(0, 1, 0x1p-20, infinity)},
    {"small values", normal(0, 1e-6)},  // subnormal in the narrow formats
    {"tiny values", normal(0, 1e-38)},  // subnormal except in float64
    {"wide values", normal(0, 60)},     // float8 is clamped
    {"he_uniform", uniform(-0.0931, 0.0931)},
    {"unit uniform", uniform(0, 1)},
    {"uniform with an end that rounding reaches", uniform(1, 1 + 0x1p-3)},
    {"narrow uniform with an offset", uniform(-0.75, -0.7)},
    {"uniform that does not scale exactly", uniform(-1e-35, 1e-35)},
    {"uniform that does not in float64", uniform(-1e-310, 1e-310)},  // refused in other dtypes
};

constexpr std::uint64_t one = 1;

// Some of these overflow the counter's low word, in the quad's number (at 2^34) or in the element's (at 2^32).
const std::uint64_t starts[] = {
    0, 1, 6, 4095, (one << 32) - 77, (one << 34) - 4096 - 70, (one << 34) - 3, (one << 41) + 2, (one << 56) - 20000};
const std::uint64_t counts[] = {1, 3, 4, 5, 16, 31, 64, 127, 128, 130, 515, 1024, 4096, 9001};

std::vector<CpuTarget> vector_targets() {
  std::vector<CpuTarget> targets = fanin::cpu_targets();
  targets.pop_back();
  return targets;
}

// Prepares the distribution in this dtype; returns false if the contract refuses it.
bool prepared(FillParams& params, const Distribution& d, DType dtype, std::uint64_t start, std::uint64_t count) {
  try {
    const fanin::Shape shape{std::int64_t{1} << 56};
    const fanin::IndexMap index =
        fanin::detail::make_index_map(shape, {{static_cast<std::int64_t>(start)}, {static_cast<std::int64_t>(count)}});
    params = fanin::detail::make_params(d, shape, index, dtype, 0x0123456789abcdefu, 0xfedcba9876543210u);
    return true;
  } catch (const fanin::InvalidArgument&) {
    return false;
  }
}

// Fills memory that is `shift` elements past an aligned address, and returns it with the memory around it.
std::vector<unsigned char> filled(const FillParams& params, std::uint64_t shift, CpuTarget target, int threads = 1) {
  const std::size_t size = size_of(params.dtype);
  std::vector<unsigned char> bytes((params.index.count + 2 * shift + 64) * size, 0xca);
  auto address = reinterpret_cast<std::uintptr_t>(bytes.data());
  const std::size_t offset = (64 - address % 64) % 64 + shift * size;
  EXPECT_LE(offset + params.index.count * size, bytes.size());
  const fanin::FillJob job{bytes.data() + offset, params};
  if (target != CpuTarget::portable) {
    EXPECT_NE(fanin::cpu::vector_run(target), nullptr) << name_of(target);
    EXPECT_EQ(fanin::cpu::suits_vectors(params, params.index.count), params.index.count >= 32);
  }
  fanin::cpu::fill(&job, 1, {threads, target});
  return {bytes.begin() + static_cast<std::ptrdiff_t>(offset - shift * size),
          bytes.begin() + static_cast<std::ptrdiff_t>(offset + (params.index.count + shift) * size)};
}

TEST(CpuTargets, BestFirstAndPortableLast) {
  const auto targets = fanin::cpu_targets();
  ASSERT_FALSE(targets.empty());
  EXPECT_EQ(targets.back(), CpuTarget::portable);
  std::string names;
  for (const CpuTarget target : targets) names += " " + std::string(name_of(target));
  RecordProperty("targets", names);
  printf("This processor has:%s\n", names.c_str());
#if defined(__x86_64__) || defined(__aarch64__)
  EXPECT_GE(targets.size(), 2u);
#endif
}

TEST(CpuTargets, SameBitsAsThePortableLoop) {
  for (const Case& c : cases) {
    const bool tiniest = std::string(c.name) == "uniform that does not in float64";
    for (const DType dtype : dtypes) {
      std::size_t compared = 0;
      for (const std::uint64_t start : starts) {
        for (const std::uint64_t count : counts) {
          FillParams params;
          if (!prepared(params, c.distribution, dtype, start, count)) continue;
          const std::uint64_t shift = (start + count) % 5;
          const auto expected = filled(params, shift, CpuTarget::portable);
          for (const CpuTarget target : vector_targets()) {
            const bool falls_back =
                tiniest || (std::string(c.name) == "uniform that does not scale exactly" && dtype != DType::float64);
            if (falls_back) {
              std::vector<unsigned char> got(count * size_of(dtype));
              const fanin::FillJob job{got.data(), params};
              EXPECT_FALSE(fanin::cpu::suits_vectors(params, count));
              fanin::cpu::fill(&job, 1, {1, target});
              ASSERT_EQ(std::memcmp(got.data(), expected.data() + shift * size_of(dtype), got.size()), 0);
            } else {
              ASSERT_TRUE(filled(params, shift, target) == expected)
                  << c.name << ", " << name_of(dtype) << ", " << name_of(target) << ", [" << start << ", +" << count
                  << "), " << shift << " elements past an aligned address";
            }
            ++compared;
          }
        }
      }
      // Only formats that cannot hold the values refuse some.
      if ((dtype == DType::float32 && !tiniest) || dtype == DType::float64) {
        EXPECT_EQ(compared, vector_targets().size() * std::size(starts) * std::size(counts)) << c.name;
      }
    }
  }
}

// The elements of a normal in this window, on one thread.
template <class Real>
std::vector<Real> normals_within(double lower, double upper, CpuTarget target) {
  constexpr std::uint64_t count = 512;
  constexpr DType dtype = sizeof(Real) == sizeof(double) ? DType::float64 : DType::float32;
  FillParams params;
  EXPECT_TRUE(prepared(params, normal(0, 1, lower, upper), dtype, 0, count));
  const auto bytes = filled(params, 0, target);
  std::vector<Real> values(count);
  std::memcpy(values.data(), bytes.data(), bytes.size());
  return values;
}

// A window that ends at an element's normal keeps that element, because windows are closed. Its float64 value, which
// has more digits, can lie beyond the window and then is the bound.
TEST(CpuTargets, AWindowHasItsBounds) {
  for (const CpuTarget target : fanin::cpu_targets()) {
    SCOPED_TRACE(name_of(target));
    const std::vector<float> normals = normals_within<float>(-infinity, infinity, target);
    int clamped = 0;
    for (std::size_t k = 0; k < normals.size(); k += 8) {
      const auto bound = static_cast<double>(normals[k]);
      const double lower = bound > 0 ? -infinity : bound;  // so that the window has the same table
      const double upper = bound > 0 ? bound : infinity;
      EXPECT_EQ(normals_within<float>(lower, upper, target)[k], normals[k]) << k;
      const double refined = normals_within<double>(lower, upper, target)[k];
      EXPECT_TRUE(refined >= lower && refined <= upper) << k;
      EXPECT_NEAR(refined, bound, 0x1p-20) << k;
      clamped += refined == bound ? 1 : 0;
    }
    EXPECT_GE(clamped, 8);  // half of 64; false alarm 1e-10
  }
}

// Counts around the ends of pieces (2048 elements; the list of rejected elements continues in the next piece) and of
// sessions (65,532 elements; the list ends).
TEST(CpuTargets, EndsOfPiecesAndSessions) {
  for (const Case& c : cases) {
    if (c.distribution.kind == Distribution::Kind::uniform) continue;
    for (const DType dtype : {DType::float32, DType::float64, DType::bfloat16}) {
      for (const std::uint64_t count : {2047u, 2049u, 4100u, 65531u, 65537u}) {
        FillParams params;
        ASSERT_TRUE(prepared(params, c.distribution, dtype, one << 33 | 1, count) || dtype != DType::float64) << c.name;
        if (params.index.count != count) continue;
        const auto expected = filled(params, count % 7, CpuTarget::portable);
        for (const CpuTarget target : vector_targets()) {
          ASSERT_TRUE(filled(params, count % 7, target) == expected)
              << c.name << ", " << name_of(dtype) << ", " << name_of(target) << ", " << count << " elements";
        }
      }
    }
  }
}

// Runs that are long enough for stores that bypass the cache, in pieces of any length, on several threads.
TEST(CpuTargets, LongRunsInAnyPieces) {
  for (const char* name : {"he_normal", "normal with a mean", "half of a normal", "box", "tail below 0 with a mean",
                           "he_uniform", "unit uniform"}) {
    const Case& c =
        *std::find_if(cases.begin(), cases.end(), [&](const Case& x) { return x.name == std::string(name); });
    const std::uint64_t count =
        (c.distribution.kind == Distribution::Kind::uniform ? 12 * one : 3 * one) * (one << 18) + 5;
    for (const DType dtype : {DType::float32, DType::bfloat16, DType::float64}) {
      FillParams whole;
      ASSERT_TRUE(prepared(whole, c.distribution, dtype, 8, count));
      const auto expected = filled(whole, 0, CpuTarget::portable, 2);
      for (const CpuTarget target : vector_targets()) {
        for (const int threads : {1, 3}) EXPECT_TRUE(filled(whole, 0, target, threads) == expected) << name_of(target);
        std::vector<unsigned char> got(expected.size());
        std::uint64_t piece = 1;
        for (std::uint64_t at = 0; at < count; at += piece, piece = piece * 5 / 3 + 1) {
          const std::uint64_t n = std::min(piece, count - at);
          const fanin::FillJob job{got.data() + at * size_of(dtype), fanin::part_of(whole, at, n)};
          fanin::cpu::fill(&job, 1, {1, target});
        }
        EXPECT_TRUE(got == expected) << name_of(target) << " in pieces";
      }
    }
  }
}

TEST(CpuTargets, ForcedByTheEnvironment) {
  const char* before = std::getenv("FANIN_CPU_TARGET");
  const std::string saved = before == nullptr ? "" : before;
  for (const CpuTarget target : fanin::cpu_targets()) {
    setenv("FANIN_CPU_TARGET", std::string(name_of(target)).c_str(), 1);
    EXPECT_EQ(fanin::cpu_target(), target);
    // The call's target takes precedence over the environment's.
    EXPECT_EQ(fanin::cpu_target(CpuTarget::portable), CpuTarget::portable);
  }
  for (const char* wrong : {"avx3", "AVX2", "sve,neon"}) {
    setenv("FANIN_CPU_TARGET", wrong, 1);
    try {
      fanin::HeNormal(1)({3, 4}, DType::float32);
      ADD_FAILURE() << wrong;
    } catch (const fanin::InvalidArgument& e) {
      EXPECT_NE(std::string(e.what()).find("FANIN_CPU_TARGET"), std::string::npos) << e.what();
      EXPECT_NE(std::string(e.what()).find("portable"), std::string::npos) << e.what();
    }
  }
  for (const char* nothing : {"", "automatic"}) {
    setenv("FANIN_CPU_TARGET", nothing, 1);
    EXPECT_EQ(fanin::cpu_target(), fanin::cpu_targets().front());
  }
  if (before == nullptr) {
    unsetenv("FANIN_CPU_TARGET");
  } else {
    setenv("FANIN_CPU_TARGET", saved.c_str(), 1);
  }
}

TEST(CpuTargets, ForcedInCode) {
  const auto targets = fanin::cpu_targets();
  const fanin::HeNormal init(7);
  std::vector<float> expected(5000);
  init.fill(fanin::view(expected.data(), expected.size()), {50, 100});
  for (const CpuTarget target : targets) {
    std::vector<float> got(5000);
    fanin::RunOptions options;
    options.cpu_target = target;
    init.fill(fanin::view(got.data(), got.size()), {50, 100}, {}, options);
    EXPECT_EQ(got, expected) << name_of(target);
    got.assign(5000, 0.0F);
    fanin::Plan plan;
    plan.add(init, fanin::view(got.data(), got.size()), {50, 100});
    plan.fill({nullptr, 1, target});
    EXPECT_EQ(got, expected) << name_of(target);
  }
  for (const CpuTarget target : {CpuTarget::sse4, CpuTarget::avx512, CpuTarget::neon, CpuTarget::sve}) {
    if (std::find(targets.begin(), targets.end(), target) != targets.end()) continue;
    std::vector<float> untouched(12, 5.0F);
    fanin::RunOptions options;
    options.cpu_target = target;
    EXPECT_THROW(init.fill(fanin::view(untouched.data(), 12), {3, 4}, {}, options), fanin::InvalidArgument);
    EXPECT_EQ(untouched, std::vector<float>(12, 5.0F));
  }
  EXPECT_THROW(fanin::cpu_target(static_cast<CpuTarget>(99)), fanin::InvalidArgument);
}

}  // namespace
