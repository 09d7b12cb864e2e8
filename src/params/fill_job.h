// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

#include "fanin/fill_params.h"

namespace fanin {

// A fill of which the device's memory says the seeds and the place. Its elements are those of `members` tensors,
// params.index.count of each, one after the other. In loop j of params.index, coordinate c is number[axis] * step + c
// of the whole tensor; if that is not below the bound, the element is zero. The step of a loop that is not cut is 0.
struct DeviceBlock {
  static constexpr std::uint32_t max_rank = 16;  // of params.index

  std::uint64_t members;
  const std::uint32_t* generators;  // four words of each member, in place of params.seed and params.subsequence
  const std::int32_t* number;       // null if no loop is cut
  std::uint32_t axis[max_rank];
  std::uint64_t step[max_rank], bound[max_rank];
};

// One fill, as a back end sees it: where, and what. The address is good for params.index.count elements.
// Jobs of the same draws, which differ in address, dtype and limits, can be done in one pass: an original leads to its
// copies.
struct FillJob {
  static constexpr std::size_t none = ~std::size_t{0};
  static constexpr std::size_t max_copies = 7;  // of an original

  void* address;
  FillParams params;
  std::size_t next_copy = none;  // number of the original's, or the copy's, next copy among the jobs
  bool is_copy = false;
  const DeviceBlock* device_block = nullptr;  // of device memory only; such a job is not one of several
};

}  // namespace fanin
