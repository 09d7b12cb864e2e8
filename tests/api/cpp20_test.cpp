// SPDX-License-Identifier: Apache-2.0
// Checks that C++20 programs can use the interface in their style, without a warning.
#include <gtest/gtest.h>

#include <fanin/fanin.hpp>
#include <span>
#include <vector>

namespace {

TEST(Cpp20, DesignatedInitialisers) {
  const fanin::HeNormal init{42};
  std::vector<float> weights(64 * 32);
  std::vector<float> shard(16 * 32);
  const fanin::CudaStream stream = nullptr;
  init.fill(fanin::view(weights.data(), weights.size()), {64, 32}, {.name = "h.0.attn.weight"}, {.stream = stream});
  const fanin::Shape offset{8, 0};
  const fanin::Shape extent{16, 32};
  init.fill(fanin::view(shard.data(), shard.size()), {64, 32}, {.name = "h.0.attn.weight", .block = {offset, extent}},
            {.threads = 1});
  EXPECT_EQ(shard, std::vector<float>(weights.begin() + 8 * 32, weights.begin() + 24 * 32));

  fanin::Plan plan;
  plan.add(init, fanin::view(weights.data(), weights.size()), {64, 32}, "a");
  plan.add(fanin::make("he_normal", 42), fanin::view(shard.data(), shard.size()), {64, 32},
           {.name = "b", .block = {offset, extent}});
  std::vector<float> more(64 * 32);
  plan.add(init, fanin::view(more.data(), more.size()), {64, 32}, {.name = "c"});
  plan.fill({.stream = stream, .threads = 1});
  EXPECT_EQ(plan.size(), 3u);
}

TEST(Cpp20, ViewsOfSpans) {
  std::vector<float> memory(12);
  const std::span<float> part(memory.data() + 4, 8);
  EXPECT_EQ(fanin::view(part).address, memory.data() + 4);
  EXPECT_EQ(fanin::view(part).capacity, 32u);
}

}  // namespace
