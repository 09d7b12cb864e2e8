// SPDX-License-Identifier: Apache-2.0
// From fills to what a kernel reads.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cuda/encoded_job.h"
#include "cuda/policy.h"
#include "params/fill_job.h"

namespace fanin::gpu {

enum class Kernel : std::uint8_t {
  fast,    // EncodedJob::fast, constants and identities
  general  // all others
};

// What one launch does. `header.data` and what a DeviceRun says are left null.
struct Launch {
  Header header;
  Kernel kernel;
  std::uint32_t blocks, threads, shared_bytes;
  std::size_t words;  // of jobs, then extensions
  bool others;        // there were jobs that belong to the other kernel
};

// 64-bit words of jobs in device memory, at most.
inline constexpr std::size_t max_words = std::size_t{1} << 20;

// Encodes jobs from number `first` on that belong to a kernel, as many as fit into `capacity` words; jobs of no
// elements are left out, copies are done with their originals. Returns the number of the first job that was not looked
// at. Takes no heap. A job without copies fits into SmallParameters.
std::size_t encode_launch(const FillJob* jobs, std::size_t first, std::size_t count, Kernel kernel,
                          const DeviceFacts& device, std::uint64_t* words, std::size_t capacity, Launch* launch);

}  // namespace fanin::gpu
