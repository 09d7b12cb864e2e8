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
  const FillParams params = checked(prepared, threads);
  const std::uint64_t size = size_of(params.dtype);
  const int workers = threads > 0 ? threads : available_threads();
  const auto make = [&](std::uint64_t first, std::size_t bytes, void* memory) {
    const FillParams part = part_of(params, first / size, bytes / size);
    if (device.is_host()) {
      fanin::fill({memory, params.dtype, bytes, host}, part, {nullptr, 1});
    } else {
      Tensor on_device({static_cast<std::int64_t>(bytes / size)}, params.dtype, device);
      fanin::fill(on_device.view(), part);
      std::memcpy(memory, on_device.to(host).data(), bytes);
    }
    Statistics found;
    found.add(memory, bytes / size, params.dtype);
    return found;
  };
  Statistics whole;
  stream<Statistics>(0, params.index.count * size, piece_bytes_for(workers), workers, make,
                     [&](std::uint64_t first, std::size_t bytes, const void* memory, const Statistics& found) {
                       whole.add(found);
                       if (out != nullptr) out->write(memory, bytes);
                       progress(first + bytes);
                     });
  return whole;
}

}  // namespace fanin::cli
