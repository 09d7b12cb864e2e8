// SPDX-License-Identifier: Apache-2.0
// How a launch is cut up. It changes speed only, never a bit.
#pragma once

#include <cstdint>

namespace fanin::gpu {

struct Policy {
  std::uint32_t quads_per_tile;  // what warps are dealt, in rows of tiles
  std::uint32_t table_copies;    // a power of two, at most 32: so many lanes find a width in banks of their own
  std::uint32_t blocks_per_sm;   // at most as many are launched
};

// `capability` is 10 * major + minor of the device's; `quads` are those of the whole launch.
constexpr Policy policy_for(int capability, std::uint64_t quads) {
  // As many as find room beside each other.
  const std::uint32_t blocks = capability < 80 || capability >= 100 ? 3 : 4;
  // Few elements: short ways, on all multiprocessors.
  if (quads <= 1u << 18) return {64, 1, blocks};
  // A random look-up takes 3.2 passes through the banks of shared memory, with a copy of the table for each lane one.
  // As many as fit into a multiprocessor's shared memory (64 KiB, 100 KiB, 164 KiB, 228 KiB) beside the warps' queues.
  if (capability < 80) return {256, 4, blocks};
  if (capability == 80 || capability == 87) return {256, 16, blocks};
  if (capability < 90 || capability >= 120) return {256, 8, blocks};
  return {256, 32, blocks};
}

}  // namespace fanin::gpu
