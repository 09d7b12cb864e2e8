// SPDX-License-Identifier: Apache-2.0
#include "cli/filler.h"

#include <algorithm>
#include <chrono>
#include <cstring>

#include "fanin/cpu.h"
#include "fanin/fill.h"
#include "fanin/initializers.h"

namespace fanin::cli {

namespace {

constexpr std::uint64_t piece_bytes = std::uint64_t{64} << 20;

template <class F>
double seconds(const F& f) {
  const auto start = std::chrono::steady_clock::now();
  f();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

Filler::Filler(int threads, Device device) : threads_(threads), device_(device) {}

int Filler::threads() const { return threads_ > 0 ? threads_ : available_threads(); }

void Filler::fill_piece(const View& view, const FillParams& part) {
  if (device_.is_host()) return fanin::fill(view, part, {nullptr, threads_});
  Tensor on_device({static_cast<std::int64_t>(part.index.count)}, part.dtype, device_);
  fanin::fill(on_device.view(), part);
  std::memcpy(view.address, on_device.to(host).data(), on_device.bytes());
}

Statistics Filler::fill(const FillParams& params, OutputFile* out, const std::function<void(std::uint64_t)>& progress) {
  const std::uint64_t size = size_of(params.dtype);
  const std::uint64_t most = piece_bytes / size;
  if (!buffer_ || buffer_->bytes() < std::min(params.index.count * size, piece_bytes)) {
    const std::uint64_t wanted = std::min(params.index.count * size, piece_bytes);
    buffer_.reset();
    buffer_.emplace(Shape{static_cast<std::int64_t>(wanted)}, DType::float8_e5m2);
    std::memset(buffer_->data(), 0, wanted);  // so that the times below include no page faults
  }
  Statistics statistics;
  for (std::uint64_t first = 0; first < params.index.count; first += most) {
    const std::uint64_t count = std::min(most, params.index.count - first);
    const View view{buffer_->data(), params.dtype, count * size, host};
    if (compare_) {
      // A fill with zeros is one memset on each thread.
      const FillParams zeros = Zeros().params({static_cast<std::int64_t>(count)}, params.dtype);
      memset_seconds_ += seconds([&] { fanin::fill(view, zeros, {nullptr, threads_}); });
    }
    const FillParams part = part_of(params, first, count);
    fill_seconds_ += seconds([&] { fill_piece(view, part); });
    elements_ += count;
    bytes_ += count * size;
    statistics.add(view.address, count, params.dtype);
    if (out != nullptr) out->write(view.address, count * size);
    if (progress) progress(bytes_);
  }
  return statistics;
}

}  // namespace fanin::cli
