// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

#include "fanin/device.h"
#include "fanin/fill_params.h"

namespace fanin {

// A fill whose seeds and position are in device memory. It writes `members` tensors one after the other, with
// params.index.count elements each. Coordinate c in loop j of params.index is coordinate number[axis[j]] * step[j] + c
// of the whole tensor; if that is not below bound[j], the element is zero. The step of a loop that is not cut is 0.
struct DeviceBlock {
  static constexpr std::uint32_t max_rank = 16;  // loops of params.index

  std::uint64_t members;
  const std::uint32_t* generators;  // four words per member, which replace params.seed and params.subsequence
  const std::int32_t* number;       // null if no loop is cut
  std::uint32_t axis[max_rank];
  std::uint64_t step[max_rank], bound[max_rank];
};

// One fill for a back end: where and what. The address is valid for params.index.count elements. Jobs that draw the
// same numbers can share one pass, which one of them leads. The leader links to its copies, which differ from it in
// address, dtype and limits, and which can cover a part of it. Jobs that share a pass are dense and random, and none is
// float64.
struct FillJob {
  static constexpr std::size_t none = ~std::size_t{0};
  static constexpr std::size_t max_copies = 7;  // per leader

  void* address;
  FillParams params;
  std::uint64_t pitch = 0;       // elements in memory from a row, the last loop of params.index, to the next; 0: dense
  std::size_t next_copy = none;  // index of the next copy among the jobs
  bool is_copy = false;
  std::uint64_t copy_begin = 0;               // the leader's element that is the copy's first one, in memory order
  const DeviceBlock* device_block = nullptr;  // device memory only; such a job is filled alone
};

// Returns the place in memory of a job's element, counted in elements from the job's address. It serves jobs without
// DeviceBlock.
inline std::uint64_t place_of(const FillJob& job, std::uint64_t element) {
  const std::uint64_t run = job.params.index.extent[job.params.index.rank - 1];
  return job.pitch == 0 ? element : element / run * job.pitch + element % run;
}

// How a back end fills device memory; see RunOptions.
struct DeviceRun {
  CudaStream stream = nullptr;
  DeviceSeed seed = nullptr;
  DeviceCall call = nullptr;
};

}  // namespace fanin
