// SPDX-License-Identifier: Apache-2.0
#include "api/destination.h"

#include <algorithm>
#include <cstddef>
#include <limits>
#include <memory>
#include <string>

#include "fanin/error.h"
#include "params/index_map.h"
#include "params/output_scale.h"

namespace fanin::detail {

void check(Device device) {
  if (device.cuda_device >= host.cuda_device) return;
  throw InvalidArgument("A device is the host or cuda(n) with n >= 0. Received: cuda(" +
                        std::to_string(device.cuda_device) + ")");
}

void check_cuda(int ordinal) {
  if (ordinal >= 0) return;
  throw InvalidArgument("CUDA devices are numbered from 0. Received: " + std::to_string(ordinal));
}

RunOptions checked(RunOptions options, Device device) {
  if (options.threads < 0) {
    throw InvalidArgument("The number of threads must not be negative (0: all). Received: threads=" +
                          std::to_string(options.threads));
  }
  if (!device.is_host()) return options;
  if (options.device_seed != nullptr || options.device_call != nullptr) {
    throw InvalidArgument(std::string("A ") + (options.device_seed != nullptr ? "seed" : "call number") +
                          " in device memory is for fills of device memory. Received: memory on the host");
  }
  options.cpu_target = cpu_target(options.cpu_target);
  return options;
}

cpu::HostRun host_run(const RunOptions& options) { return {options.threads, options.cpu_target, options.pause}; }

Destination::Destination(Device device) {
  check(device);
  if (!device.is_host()) current_.emplace(device.cuda_device);
}

Destination::Destination(Device device, const RunOptions& options) : Destination(device) {
  options_ = checked(options, device);
}

FillJob Destination::job_for(const View& view, const FillParams& params) const {
  FillJob job{nullptr, params};
  job.params.unpacked = view.unpacked;
  check_packing(job.params);
  job.address = address_of(view, params.index.count);
  return job;
}

FillJob Destination::job_for(const View& view, const FillParams& params, std::uint64_t row) const {
  const std::uint64_t count = params.index.count;
  const std::uint64_t pitch = view.leading_dimension;
  if (pitch == 0 || count == 0) return job_for(view, params);
  if (pitch < row) {
    throw InvalidArgument("The leading dimension must not be less than a row, which has " + std::to_string(row) +
                          " elements. Received: leading_dimension=" + std::to_string(pitch));
  }
  if (pitch == row || count == row) return job_for(view, params);
  FillJob job{nullptr, params};
  job.params.index = in_rows(params.index, row);
  job.params.unpacked = view.unpacked;
  job.pitch = pitch;
  check_packing(job.params);
  const std::uint64_t row_bytes = bytes_in_memory(job.params, row);
  const std::uint64_t addresses =
      std::numeric_limits<std::uintptr_t>::max() - reinterpret_cast<std::uintptr_t>(view.address);
  const std::uint64_t room = std::min<std::uint64_t>(view.capacity, addresses);
  // The bytes of a longer pitch might not fit into 64 bits.
  const bool fits = pitch <= max_elements && room >= row_bytes &&
                    (room - row_bytes) / bytes_in_memory(job.params, pitch) >= count / row - 1;
  if (!fits) {
    throw InvalidArgument("The memory is too small: " + std::to_string(count / row) + " rows of " +
                          std::to_string(row) + " elements of " + std::string(name_of(view.dtype)) + ", " +
                          std::to_string(pitch) +
                          " elements apart, do not fit. Received: capacity=" + std::to_string(view.capacity));
  }
  job.address = address_of(view, row);
  return job;
}

void* Destination::address_of(const View& view, std::uint64_t count) const {
  const std::uint64_t bytes = bytes_in_memory(view.dtype, view.unpacked, count);
  if (view.capacity < bytes) {
    throw InvalidArgument("The memory is too small: " + std::to_string(count) + " elements of " +
                          std::string(name_of(view.dtype)) + " need " + std::to_string(bytes) +
                          " bytes. Received: capacity=" + std::to_string(view.capacity));
  }
  if (count == 0) return view.address;
  if (view.address == nullptr) {
    throw InvalidArgument("The address is null, but there are " + std::to_string(count) + " elements to write");
  }
  const std::size_t size = facts_of(view.dtype).is_packed() ? 1 : size_of(view.dtype);
  const std::size_t past = reinterpret_cast<std::uintptr_t>(view.address) % size;
  if (past != 0) {
    throw InvalidArgument("The address must be a multiple of the element's size, " + std::to_string(size) +
                          " bytes. Received: an address that is " + std::to_string(past) + " bytes past a multiple");
  }
  return current_ ? gpu::device_address(view.address, *current_) : view.address;
}

// The host computes the values and copies them, piece by piece. A matrix stays in its store between the pieces.
void Destination::fill_from_host(const FillJob& job) const {
  if (job.params.is_random() && (options_.device_seed != nullptr || options_.device_call != nullptr)) {
    throw InvalidArgument(
        std::string("A ") + (options_.device_seed != nullptr ? "seed" : "call number") +
        " in device memory cannot change values that the host computes: those of a Formula or an Orthogonal, or of low "
        "precision");
  }
  gpu::check_not_captured(*current_, options_.stream, "A fill with values that the host computes");
  cpu::HostRun run = host_run(options_);
  run.target = cpu_target(run.target);
  cpu::check(&job, 1, run);
  const auto bytes = [&](std::uint64_t elements) { return bytes_in_memory(job.params, elements); };
  const std::uint64_t count = job.params.index.count;
  const std::uint64_t row = job.pitch == 0 ? count : job.params.index.extent[job.params.index.rank - 1];
  const std::uint64_t most = std::min<std::uint64_t>(count, (std::uint64_t{4} << 20) / bytes(4) * 4);
  const std::unique_ptr<std::byte[]> staged(new std::byte[bytes(most)]);
  for (std::uint64_t first = 0; first < count; first += most) {
    FillJob piece{staged.get(), part_of(job.params, first, std::min(most, count - first))};
    piece.params.finite = true;
    cpu::fill(&piece, 1, run);
    const std::uint64_t end = first + piece.params.index.count;
    try {
      for (std::uint64_t at = first; at < end;) {  // row by row
        const std::uint64_t n = std::min(end - at, row - at % row);
        gpu::write(static_cast<std::byte*>(job.address) + bytes(place_of(job, at)), staged.get() + bytes(at - first),
                   bytes(n), *current_, options_.stream);
        at += n;
      }
    } catch (const DeviceError&) {
      try {
        gpu::wait(*current_, options_.stream);  // for the copies of the rows before
      } catch (const DeviceError&) {            // the first error counts
      }
      throw;
    }
    gpu::wait(*current_, options_.stream);  // before the memory is used again
  }
}

void Destination::fill(const FillJob& job) const {
  if (current_ && job.params.is_from_host()) {
    fill_from_host(job);
  } else if (current_) {
    gpu::fill(job, *current_, {options_.stream, options_.device_seed, options_.device_call});
  } else {
    cpu::fill(&job, 1, host_run(options_));
  }
}

}  // namespace fanin::detail
