// SPDX-License-Identifier: Apache-2.0
// Encodes fills as the data that a kernel reads.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cuda/encoded_job.h"
#include "cuda/policy.h"
#include "params/fill_job.h"

namespace fanin::gpu {

enum class Kernel : std::uint8_t {
  fast,    // jobs that are EncodedJob::fast, constants and identities
  general  // all other jobs
};

// What one launch does. In the header, encode_launch() leaves `data` null, and also the two pointers that a DeviceRun
// sets.
struct Launch {
  Header header;
  Kernel kernel;
  std::uint32_t blocks, threads, shared_bytes;
  std::size_t words;  // 64-bit words: jobs, then extensions
  bool others;        // whether there were jobs that belong to the other kernel
};

// The maximum number of 64-bit words of a launch whose jobs are in device memory.
inline constexpr std::size_t max_words = std::size_t{1} << 20;

// Encodes the jobs from number `first` on that belong to `kernel`, as many as fit into `capacity` words. It skips jobs
// without elements, and it encodes copies together with their leader. Returns the number of the first job that it did
// not look at. It allocates no heap memory. A job without copies fits into SmallParameters.
std::size_t encode_launch(const FillJob* jobs, std::size_t first, std::size_t count, Kernel kernel,
                          const DeviceFacts& device, std::uint64_t* words, std::size_t capacity, Launch* launch);

}  // namespace fanin::gpu
