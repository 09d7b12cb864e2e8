// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "cuda/job.h"
#include "cuda/policy.h"
#include "fill_job.h"

namespace fanin::gpu {

// What a launch depends on.
struct DeviceFacts {
  int capability;  // 10 * major + minor
  int multiprocessors;
  std::uint32_t shared_bytes_per_block;  // dynamic shared memory that a block can have
};

enum class Kernel { single, wide };

struct Launch {
  Header header;
  Kernel kernel;
  std::uint32_t blocks, threads, shared_bytes;
  std::size_t words;
};

std::size_t encode(const FillJob* jobs, std::size_t first, std::size_t count, Kernel kernel, const DeviceFacts& facts,
                   std::uint64_t* words, std::size_t capacity, Launch* launch);

// What one launch does. `header.data` and `header.device_seed` are left null.
struct Batch {
  Header header;
  std::uint32_t threads_per_block;
  std::uint32_t blocks_per_sm;
  std::vector<std::uint64_t> data;  // jobs, then extensions
};

// Jobs as the kernel reads them, in as few batches as hold at most `max_bytes` of data each. Jobs of no elements are
// left out; jobs that write the same draws are done in one pass. `policy(quads)` gives a batch's policy. Throws
// DeviceError if there are too many tiles.
template <class PolicyFor>
std::vector<Batch> encode(const FillJob* jobs, std::size_t count, std::size_t max_bytes, const PolicyFor& policy);

namespace detail {

// A job with what follows it.
struct Draft {
  Job job;
  std::uint64_t quads;
  std::vector<std::uint64_t> extension;
  std::size_t bytes() const { return sizeof(Job) + extension.size() * 8; }
};

std::vector<Draft> drafts_of(const FillJob* jobs, std::size_t count);
Batch batch_of(const Draft* drafts, std::size_t count, const Policy& policy);
std::size_t drafts_within(const Draft* drafts, std::size_t count, std::size_t max_bytes);

}  // namespace detail

template <class PolicyFor>
std::vector<Batch> encode(const FillJob* jobs, std::size_t count, std::size_t max_bytes, const PolicyFor& policy) {
  const std::vector<detail::Draft> drafts = detail::drafts_of(jobs, count);
  std::vector<Batch> batches;
  for (std::size_t first = 0; first < drafts.size();) {
    const std::size_t n = detail::drafts_within(&drafts[first], drafts.size() - first, max_bytes);
    std::uint64_t quads = 0;
    for (std::size_t j = first; j < first + n; ++j) quads += drafts[j].quads;
    batches.push_back(detail::batch_of(&drafts[first], n, policy(quads)));
    first += n;
  }
  return batches;
}

}  // namespace fanin::gpu
