// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

#include "fanin/cpu.h"
#include "params/fill_job.h"

namespace fanin::cpu {

// Fills host memory on up to `threads` threads (0: as many as the process may run on), the caller's included, and
// returns when it is full. All jobs together are split evenly by the work that they are; the split changes nothing but
// speed.
// Throws InvalidArgument as cpu_target does, or std::bad_alloc, before anything is written.
void fill(const FillJob* jobs, std::size_t count, int threads, CpuTarget target);

}  // namespace fanin::cpu
