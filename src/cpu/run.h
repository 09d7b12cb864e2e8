// SPDX-License-Identifier: Apache-2.0
// The seam behind which instruction sets differ.
#pragma once

#include <cstdint>

#include "fanin/fill_params.h"

namespace fanin::cpu {

// Writes the elements of indices [index, index + count) to dense memory at `out`. Expects the default floating-point
// environment.
void run_portable(const FillParams& params, void* out, std::uint64_t index, std::uint64_t count) noexcept;

}  // namespace fanin::cpu
