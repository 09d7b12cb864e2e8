// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

#include "fanin/fill_params.h"

namespace fanin {

// A fill whose seeds and position are in device memory. It writes `members` tensors one after the other,
// params.index.count elements of each. Coordinate c in loop j of params.index is coordinate number[axis[j]] * step[j] +
// c of the whole tensor; if that is not below bound[j], the element is zero. The step of a loop that is not cut is 0.
struct DeviceBlock {
  static constexpr std::uint32_t max_rank = 16;  // loops of params.index

  std::uint64_t members;
  const std::uint32_t* generators;  // four words per member, which replace params.seed and params.subsequence
  const std::int32_t* number;       // null if no loop is cut
  std::uint32_t axis[max_rank];
  std::uint64_t step[max_rank], bound[max_rank];
};

// One fill for a back end: where and what. The address is valid for params.index.count elements. Jobs with the same
// draws, which differ in address, dtype and limits, can share one pass: an original links to its copies.
struct FillJob {
  static constexpr std::size_t none = ~std::size_t{0};
  static constexpr std::size_t max_copies = 7;  // per original

  void* address;
  FillParams params;
  std::size_t next_copy = none;  // index of the next copy among the jobs
  bool is_copy = false;
  const DeviceBlock* device_block = nullptr;  // device memory only; such a job is filled alone
};

}  // namespace fanin
