// SPDX-License-Identifier: Apache-2.0
// The seam behind which instruction sets differ.
#pragma once

#include <cstdint>

#include "fanin/cpu.h"
#include "fanin/fill_params.h"

namespace fanin::cpu {

// Writes the elements of indices [index, index + count) to dense memory at `out`, and returns the instruction set of
// the loop that did it: vector loops leave some fills to the portable one. Expects the default floating-point
// environment.
using Run = CpuTarget (*)(const FillParams& params, void* out, std::uint64_t index, std::uint64_t count) noexcept;

// Does every kind of fill.
CpuTarget run_portable(const FillParams& params, void* out, std::uint64_t index, std::uint64_t count) noexcept;

// The loop for random kinds with vector instructions, or null if this build has none for the target.
Run vector_run(CpuTarget target) noexcept;

}  // namespace fanin::cpu
