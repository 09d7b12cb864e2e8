// SPDX-License-Identifier: Apache-2.0
// How a launch is cut up. It changes speed only, never a bit.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "cuda/encoded_job.h"

namespace fanin::gpu {

// What a launch depends on.
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

// Warps of a block: as many as have 168 registers a thread, one block to a multiprocessor.
inline constexpr std::uint32_t warps_per_block = 12;

constexpr std::uint32_t table_bytes = table_entries * 4;

// tables: Header::tables; warp_bytes: what a warp has besides, the row of an EncodedBlock or turn_bytes.
constexpr std::uint32_t shared_bytes(std::uint32_t tables, std::uint32_t table_copies, bool waits,
                                     std::uint32_t threads, std::uint32_t warp_bytes = 0) {
  const std::uint32_t count = (tables & 1) + (tables >> 1);
  if (waits) warp_bytes += sizeof(Waiting);
  return count * table_copies * table_bytes + threads / 32 * warp_bytes;
}

// The slots of a tile: tiles of all kinds take about as long. A tile of normals is a quad for each lane, 84 to 96
// instructions; uniforms take 60, windows that reject many and binary64 some 200, narrow windows 600; constants wait
// for memory alone. A copy takes about a sixth of the normals in addition.
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

// One block to each multiprocessor, or to each tile. A lane finds a table's entries in banks of its own if there are 32
// copies; those of two tables do not fit everywhere.
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
