// SPDX-License-Identifier: Apache-2.0
// Orthogonal matrices: docs/VALUES.md, section 8.
#pragma once

#include <cstdint>
#include <memory>

#include "cpu/fill.h"
#include "cpu/run.h"
#include "fanin/cpu.h"
#include "fanin/fill_params.h"

namespace fanin::cpu {

// Throws InvalidArgument if the matrix needs more memory than the machine has, and std::bad_alloc if it cannot be
// allocated now.
void check_orthogonal(const FillParams& params);

// The matrix of a fill, without its gain, in the compute type and in the order of the tensor's elements. Immutable.
class Orthogonal {
 public:
  // Takes the matrix from params.matrices, or computes it and leaves it there for fills of other parts, if this one is
  // of `count` elements. Throws std::bad_alloc and what run.pause throws.
  Orthogonal(const FillParams& params, std::uint64_t count, const HostRun& run);

  // Writes the elements with indices [index, index + count), rounded once, to dense memory. Requires the default
  // floating-point environment.
  void write(void* out, std::uint64_t index, std::uint64_t count, Round round) const noexcept;

 private:
  FillParams params_;
  std::shared_ptr<const void> matrix_;
};

}  // namespace fanin::cpu
