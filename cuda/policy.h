// SPDX-License-Identifier: Apache-2.0
// How a launch is cut up. It changes speed only, never a bit.
#pragma once

#include <cstdint>

namespace fanin::gpu {

struct Policy {
  std::uint32_t quads_per_tile;  // a multiple of 8, at most max_quads_per_tile
  std::uint32_t table_copies;    // a power of two, at most 32
  std::uint32_t blocks_per_sm;   // at most as many are launched; they go from tile to tile
};

// Slots of a tile are numbered by 16 bits.
inline constexpr std::uint32_t max_quads_per_tile = 16384;

// `capability` is 10 * major + minor of the device's; `quads` are those of the whole launch.
constexpr Policy policy_for(int capability, std::uint64_t quads) {
  // Few elements: many small tiles, so that all multiprocessors have some, each a short way of its own.
  if (quads <= 1u << 18) return {256, 1, 8};
  // A large tile wastes less of the warps that redo what was rejected. As many as fit four times into the shared memory
  // of a multiprocessor: 64 KiB, 100 KiB, else 160 KiB or more.
  if (capability < 80) return {512, 1, 4};
  if (capability == 86 || capability == 87 || capability == 89 || capability >= 120) return {896, 1, 4};
  if (capability == 80) return {1536, 1, 4};
  return {1792, 1, 4};
}

}  // namespace fanin::gpu
