// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

#include "fanin/cpu.h"
#include "params/fill_job.h"

namespace fanin::cpu {

// Fills host memory on up to `threads` threads, including the caller's, and returns when the memory is full. If
// `threads` is 0, it uses as many threads as the process may run on. The work of all jobs is split evenly, and the
// split changes only speed. `target` is a result of cpu_target(). It throws std::bad_alloc, and InvalidArgument for the
// same reasons as check(), only before it writes anything.
void fill(const FillJob* jobs, std::size_t count, int threads, CpuTarget target);

// Throws InvalidArgument for computed values that this build cannot compute, or that are not finite in the dtype, and
// for an orthogonal matrix that needs more memory than the machine has. It evaluates all values that are not known to
// be finite, and keeps none of them.
void check(const FillJob* jobs, std::size_t count, int threads, CpuTarget target);

// Does the same for one fill, and computes an orthogonal matrix, which its store then keeps for fills of its parts.
void prepare(const FillParams& params, int threads, CpuTarget target);

}  // namespace fanin::cpu
