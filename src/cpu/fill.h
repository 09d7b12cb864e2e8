// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

#include "fanin/cpu.h"
#include "params/fill_job.h"

namespace fanin::cpu {

// How the host fills.
struct HostRun {
  int threads;                // the most, with the caller's; 0: as many as the process may run on
  CpuTarget target;           // a result of cpu_target()
  void (*pause)() = nullptr;  // RunOptions::pause

  int most_threads() const { return threads > 0 ? threads : available_threads(); }
};

// Fills host memory and returns when it is full. The work of all jobs is split evenly, and the split changes only
// speed. It throws std::bad_alloc, and InvalidArgument for the same reasons as check(), only before it writes anything,
// and what run.pause throws.
void fill(const FillJob* jobs, std::size_t count, const HostRun& run);

// Throws InvalidArgument for computed values that this build cannot compute, or that are not finite in the dtype, and
// for an orthogonal matrix that needs more memory than the machine has. It evaluates all values that are not known to
// be finite, and keeps none of them.
void check(const FillJob* jobs, std::size_t count, const HostRun& run);

// Does the same for one fill, and computes an orthogonal matrix, which its store then keeps for fills of its parts.
void prepare(const FillParams& params, const HostRun& run);

}  // namespace fanin::cpu
