// SPDX-License-Identifier: Apache-2.0
// How a launch is cut up. It changes speed only, never a bit.
#pragma once

#include <cstdint>

namespace fanin::gpu {

struct Policy {
  std::uint32_t quads_per_tile;     // what warps are dealt, in rows of tiles
  std::uint32_t table_copies;       // a power of two, at most 32: so many lanes find a width in banks of their own
  std::uint32_t threads_per_block;  // whole warps
  std::uint32_t blocks_per_sm;      // at most as many are launched
};

// `capability` is 10 * major + minor of the device's; `quads` are those of the whole launch.
constexpr Policy policy_for(int capability, std::uint64_t quads) {
  // Warps are as many as have room for their notes and registers beside each other, with 64 KiB, 164 KiB, 100 KiB or
  // 228 KiB of shared memory in a multiprocessor, and share one table. A random look-up takes 3.2 passes through the
  // banks of shared memory, with 16 copies of the table two.
  const bool small = quads <= 1u << 18;  // short ways, on all multiprocessors
  if (capability < 80) return small ? Policy{64, 1, 64, 2} : Policy{256, 8, 128, 1};
  if (capability == 80 || capability == 87) return small ? Policy{64, 1, 64, 6} : Policy{256, 8, 384, 1};
  if (capability < 90 || capability >= 120) return small ? Policy{64, 1, 64, 3} : Policy{256, 8, 224, 1};
  return small ? Policy{64, 1, 64, 8} : Policy{256, 16, 512, 1};
}

}  // namespace fanin::gpu
