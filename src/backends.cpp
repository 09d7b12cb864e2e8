// SPDX-License-Identifier: Apache-2.0
#include "backends.h"

#include <cstdint>
#include <cstring>
#include <string>

#include "cpu/fill.h"
#include "cuda/backend.h"
#include "fanin/available.h"
#include "fanin/error.h"

namespace fanin {

Availability available() { return gpu::available(); }

void preload(int device) { gpu::preload(device); }

Place place_of(const void* address) { return gpu::place_of(address); }

void read(void* to, const View& from, CudaStream stream) {
  const int device = from.place.cuda_device;
  if (!from.place.is_host()) gpu::check_device(device);
  if (from.capacity == 0) return;
  if (to == nullptr || from.address == nullptr) {
    throw InvalidArgument("An address is null, but there are " + std::to_string(from.capacity) + " bytes to read");
  }
  if (from.place.is_host()) {
    std::memcpy(to, from.address, from.capacity);
    return;
  }
  gpu::check_address(from.address, device);
  gpu::read(to, from.address, from.capacity, device, stream);
}

namespace detail {

void check_view(const View& view, std::uint64_t count) {
  const std::size_t size = size_of(view.dtype);
  if (!view.place.is_host()) gpu::check_device(view.place.cuda_device);
  if (view.capacity / size < count) {
    throw InvalidArgument("The memory is too small: " + std::to_string(count) + " elements of " +
                          std::string(name_of(view.dtype)) + " need " + std::to_string(count * size) +
                          " bytes. Received: capacity=" + std::to_string(view.capacity));
  }
  if (count == 0) return;
  if (view.address == nullptr) {
    throw InvalidArgument("The address is null, but there are " + std::to_string(count) + " elements to write");
  }
  const std::size_t past = reinterpret_cast<std::uintptr_t>(view.address) % size;
  if (past != 0) {
    throw InvalidArgument("The address must be a multiple of the element's size, " + std::to_string(size) +
                          " bytes. Received: an address that is " + std::to_string(past) + " past one");
  }
  if (!view.place.is_host()) gpu::check_address(view.address, view.place.cuda_device);
}

void check_view(const View& view, const Shape& written) { check_view(view, element_count(written)); }

void check_run(const RunOptions& options, Place place) {
  if (options.threads < 0) {
    throw InvalidArgument("The number of threads must not be negative (0: all). Received: threads=" +
                          std::to_string(options.threads));
  }
  if (options.device_seed != nullptr && place.is_host()) {
    throw InvalidArgument("A seed in device memory is for fills of device memory. Received: memory on the host");
  }
}

void run(const FillJob* jobs, std::size_t count, Place place, const RunOptions& options) {
  check_run(options, place);
  if (place.is_host()) {
    cpu::fill(jobs, count, options.threads, options.target);
  } else {
    gpu::fill(jobs, count, place.cuda_device, options.stream, options.device_seed);
  }
}

}  // namespace detail

void fill(const View& view, const FillParams& params, CudaStream stream, int threads, CpuTarget target,
          const std::uint64_t* device_seed) {
  if (view.dtype != params.dtype) {
    throw InvalidArgument("The fill was prepared for " + std::string(name_of(params.dtype)) + ". Received: a view of " +
                          std::string(name_of(view.dtype)));
  }
  detail::check_view(view, params.index.count);
  const FillJob job{view.address, params};
  detail::run(&job, 1, view.place, {stream, threads, target, device_seed});
}

}  // namespace fanin
