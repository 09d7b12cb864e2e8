// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

#include "fill_job.h"

namespace fanin::cpu {

// Fills host memory on up to `threads` threads (0: as many as the process may run on), the caller's included, and
// returns when it is full. Elements are split evenly by number, over all jobs; the split changes nothing but speed.
// Throws std::bad_alloc before anything is written, or not at all.
void fill(const FillJob* jobs, std::size_t count, int threads);

// How many threads the process may run on: its processor affinity, where the system tells it.
int available_threads();

}  // namespace fanin::cpu
