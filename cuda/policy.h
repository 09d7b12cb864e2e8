// SPDX-License-Identifier: Apache-2.0
// How a launch is divided among blocks and warps. The division changes only the speed, never a bit.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "cuda/encoded_job.h"

namespace fanin::gpu {

// The properties of a device that determine a launch.
struct DeviceFacts {
  int capability;  // 10 * major + minor
  int multiprocessors;
  std::uint32_t shared_bytes_per_block;  // dynamic shared memory that a block can have
};

struct Policy {
  std::uint32_t blocks, threads;
  std::uint32_t table_copies;  // a power of two
  std::uint32_t shared_bytes;
};

// The number of warps in a block: the largest with 168 registers per thread and one block per multiprocessor.
inline constexpr std::uint32_t warps_per_block = 12;

constexpr std::uint32_t table_bytes = table_entries * 4;

// Returns the dynamic shared memory of a block. `tables` is Header::tables. `warp_bytes` is the memory that a warp
// needs in addition: the row of an EncodedBlock, or turn_bytes.
constexpr std::uint32_t shared_bytes(std::uint32_t tables, std::uint32_t table_copies, bool waits,
                                     std::uint32_t threads, std::uint32_t warp_bytes = 0) {
  const std::uint32_t count = (tables & 1) + (tables >> 1);
  if (waits) warp_bytes += sizeof(Waiting);
  return count * table_copies * table_bytes + threads / 32 * warp_bytes;
}

// Returns the number of slots in a tile. Tiles of all kinds take about the same time. A tile of normals is one quad per
// lane and takes 84 to 96 instructions. Uniforms take 60, windows that reject many elements and binary64 take about
// 200, and narrow windows take 600. Constants wait only for memory. A copy adds about a sixth of the normals' time.
constexpr std::uint32_t tile_slots(Draw draw, std::uint32_t element_size, bool fast, std::uint32_t copies) {
  const auto shared = [&](std::uint32_t slots) { return slots * 6 / (6 + copies); };
  switch (draw) {
    case Draw::constant:
    case Draw::identity:
      return std::max(128 / element_size, 16u);
    case Draw::centred:
    case Draw::unit:
      return shared(element_size == 8 ? 16 : fast ? 32 : 24);
    case Draw::normal:
      return shared(element_size == 8 ? 12 : fast ? 32 : 16);
    case Draw::windowed_normal:
      return shared(element_size == 8 ? 8 : 12);
    case Draw::narrow_normal:
      return element_size == 8 ? 4 : 5;
  }
  return 32;
}

// Uses one block per multiprocessor, or one per tile if there are fewer tiles. With 32 copies of a table, each lane
// reads from a shared memory bank of its own. 32 copies of two tables do not fit on every device.
constexpr Policy policy_for(const DeviceFacts& device, std::uint32_t tables, bool waits, std::uint64_t tiles,
                            std::uint32_t warp_bytes = 0) {
  Policy policy{};
  policy.threads = 32 * warps_per_block;
  policy.blocks = static_cast<std::uint32_t>(
      std::max<std::uint64_t>(std::min<std::uint64_t>(tiles, static_cast<std::uint64_t>(device.multiprocessors)), 1));
  policy.table_copies = 32;
  while (policy.table_copies > 1 &&
         shared_bytes(tables, policy.table_copies, waits, policy.threads, warp_bytes) > device.shared_bytes_per_block) {
    policy.table_copies /= 2;
  }
  policy.shared_bytes = shared_bytes(tables, policy.table_copies, waits, policy.threads, warp_bytes);
  return policy;
}

}  // namespace fanin::gpu
