// SPDX-License-Identifier: Apache-2.0
// Compares the CPU path's words with cuRAND's, from cuRAND's own device header compiled for the host.
#include <gtest/gtest.h>

#define QUALIFIERS static inline
#include <cuda_runtime.h>
#include <curand_kernel.h>

#include <random>

#include "fanin/core/counter.h"

namespace {

using fanin::core::Philox;
using fanin::core::Words;

TEST(CuRand, BlocksAreItsBlocks) {
  std::mt19937 engine(1);  // the inputs are arbitrary
  const auto random = [&engine] { return static_cast<std::uint32_t>(engine()); };
  for (int j = 0; j < 10000; ++j) {
    const uint4 counter{random(), random(), random(), random()};
    const uint2 key{random(), random()};
    const uint4 theirs = curand_Philox4x32_10(counter, key);
    const Words ours = Philox::block({counter.x, counter.y, counter.z, counter.w}, {key.x, key.y});
    ASSERT_TRUE(ours.x == theirs.x && ours.y == theirs.y && ours.z == theirs.z && ours.w == theirs.w);
  }
}

// head(i) is the word that curand() returns after curand_init(seed, subsequence, i).
TEST(CuRand, HeadsAreItsSequence) {
  const fanin::core::Generator streams[] = {{0, 0}, {42, 7}, {~0ull, (1ull << 63) + 5}, {0x123456789abcdef0, 3}};
  for (const auto& stream : streams) {
    for (const std::uint64_t start : {0ull, 1ull, 5ull, (1ull << 34) - 2, (1ull << 40) + 3, (1ull << 56) - 9}) {
      curandStatePhilox4_32_10_t state;
      curand_init(stream.seed, stream.subsequence, start, &state);
      for (std::uint64_t i = start; i < start + 9; ++i) {
        const Words words = fanin::core::heads<Philox>(stream, i / 4);
        const std::uint32_t lanes[4] = {words.x, words.y, words.z, words.w};
        ASSERT_EQ(lanes[i % 4], curand(&state)) << i;
      }
    }
  }
}

}  // namespace
