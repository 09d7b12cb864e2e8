// SPDX-License-Identifier: Apache-2.0
#include "cli/filler.h"

#include <cstring>

#include "cli/stream.h"
#include "fanin/cpu.h"
#include "fanin/fill.h"
#include "fanin/tensor.h"

namespace fanin::cli {

Statistics fill_in_pieces(const FillParams& prepared, Device device, int threads, OutputFile* out,
                          const std::function<void(std::uint64_t)>& progress) {
  RunOptions run;
  run.threads = threads;
  const FillParams params = checked(prepared, run);
  // Pieces have whole units: an element, or the packed elements that have whole bytes.
  const std::uint64_t together = facts_of(params.dtype).elements_together();
  const std::uint64_t unit = bytes_of(params.dtype, together);
  const auto elements_in = [&](std::uint64_t bytes) { return bytes / unit * together; };
  const int workers = threads > 0 ? threads : available_threads();
  const auto make = [&](std::uint64_t first, std::size_t bytes, void* memory) {
    const FillParams part = part_of(params, elements_in(first), elements_in(bytes));
    if (device.is_host()) {
      fanin::fill({memory, params.dtype, bytes, host}, part, {nullptr, 1});
    } else {
      Tensor on_device({static_cast<std::int64_t>(elements_in(bytes))}, params.dtype, device);
      fanin::fill(on_device.view(), part);
      std::memcpy(memory, on_device.to(host).data(), bytes);
    }
    Statistics found;
    found.add(memory, elements_in(bytes), params.dtype);
    return found;
  };
  Statistics whole;
  const std::uint64_t piece = piece_bytes_for(workers) / unit * unit;
  stream<Statistics>(0, bytes_of(params.dtype, params.index.count), piece, workers, make,
                     [&](std::uint64_t first, std::size_t bytes, const void* memory, const Statistics& found) {
                       whole.add(found);
                       if (out != nullptr) out->write(memory, bytes);
                       progress(first + bytes);
                     });
  return whole;
}

}  // namespace fanin::cli
