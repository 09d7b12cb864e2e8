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
  if (quads <= 1u << 18) return {256, 1, 4};
  // A large tile wastes less of the warps that redo what was rejected. As many as fit beside each other into the
  // registers and the shared memory (64 KiB, 100 KiB, 164 KiB, 228 KiB) of a multiprocessor.
  if (capability < 80) return {704, 1, 3};
  if (capability >= 120) return {1152, 1, 3};
  if (capability >= 100) return {2048, 1, 3};
  if (capability >= 90) return {2048, 1, 4};
  if (capability == 80) return {1408, 1, 4};
  return {832, 1, 4};
}

}  // namespace fanin::gpu
