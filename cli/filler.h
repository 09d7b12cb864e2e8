// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>

#include "cli/output_file.h"
#include "cli/statistics.h"
#include "fanin/device.h"
#include "fanin/fill_params.h"

namespace fanin::cli {

// Fills a tensor of any size in pieces and appends them to `out`, if given. Filling, statistics and writing overlap.
// `threads` is a maximum; 0 means available_threads(). A fill on a device uses the device memory of one piece. Calls
// `progress` with the bytes done.
Statistics fill_in_pieces(const FillParams& params, Device device, int threads, OutputFile* out,
                          const std::function<void(std::uint64_t)>& progress);

}  // namespace fanin::cli
