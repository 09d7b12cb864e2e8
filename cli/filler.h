// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <optional>

#include "cli/output_file.h"
#include "cli/statistics.h"
#include "fanin/fill_params.h"
#include "fanin/tensor.h"

namespace fanin::cli {

// Fills tensors of any size through one buffer of 64 MiB: each piece is filled, measured and written before the next. A
// fill on a device uses a buffer of that size there as well.
class Filler {
 public:
  // `threads` is a maximum; 0 means available_threads().
  explicit Filler(int threads, Device device = host);

  // Fills one tensor and appends it to `out`, if given. Calls `progress` with the bytes done after each piece.
  Statistics fill(const FillParams& params, OutputFile* out, const std::function<void(std::uint64_t)>& progress);

  // Also times a memset to zero of every piece on the same threads, for comparison.
  void compare_with_memset() { compare_ = true; }

  double fill_seconds() const { return fill_seconds_; }
  double memset_seconds() const { return memset_seconds_; }
  std::uint64_t elements() const { return elements_; }
  std::uint64_t bytes() const { return bytes_; }
  int threads() const;

 private:
  void fill_piece(const View& view, const FillParams& part);

  std::optional<Tensor> buffer_;  // made when the first piece needs it
  int threads_;
  Device device_;
  bool compare_ = false;
  double fill_seconds_ = 0;
  double memset_seconds_ = 0;
  std::uint64_t elements_ = 0;
  std::uint64_t bytes_ = 0;
};

}  // namespace fanin::cli
