// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

#include "fanin/cpu.h"
#include "params/fill_job.h"

namespace fanin::cpu {

// Fills host memory on up to `threads` threads (0: as many as the process may run on), the caller's included, and
// returns when it is full. The work of all jobs is split evenly; the split changes only speed. The target is one
// that cpu_target has returned. Before anything is written, throws std::bad_alloc, and InvalidArgument as check does.
void fill(const FillJob* jobs, std::size_t count, int threads, CpuTarget target);

// Throws InvalidArgument for computed values that this build cannot compute, or that are not finite in the dtype. It
// evaluates all that are not known to be finite, and keeps none.
void check(const FillJob* jobs, std::size_t count, int threads, CpuTarget target);

}  // namespace fanin::cpu
