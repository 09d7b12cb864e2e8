// SPDX-License-Identifier: Apache-2.0
// INTERIM: the old knobs of tests and benchmarks, until they use Launch.
#pragma once

#include <algorithm>

#include "cuda/encode.h"
#include "cuda/launch.h"

namespace fanin::gpu {

inline Launch launch_of(const Batch& batch, std::uint32_t max_blocks, int multiprocessors) {
  if (max_blocks == 0) max_blocks = static_cast<std::uint32_t>(multiprocessors) * batch.blocks_per_sm;
  Launch launch{};
  launch.header = batch.header;
  launch.threads = batch.threads_per_block;
  launch.blocks = std::min(max_blocks, (batch.header.tiles - 1) / (batch.threads_per_block / 32) + 1);
  launch.shared_bytes = shared_bytes(batch.header.table_copies, batch.threads_per_block);
  launch.words = batch.data.size();
  return launch;
}
inline void launch(const Batch& batch, CudaStream stream, std::uint32_t max_blocks = 0) {
  if (batch.header.tiles == 0) return;
  launch(launch_of(batch, max_blocks, facts_here().multiprocessors), batch.data.data(), stream);
}
inline Policy policy_here(std::uint64_t quads) { return policy_for(facts_here().capability, quads); }
inline bool can_launch(const Policy& policy) {
  Launch launch{};
  launch.threads = policy.threads_per_block;
  launch.shared_bytes = shared_bytes(policy.table_copies, policy.threads_per_block);
  return can_launch(launch);
}

}  // namespace fanin::gpu
