// SPDX-License-Identifier: Apache-2.0
#include "api/backends.h"

#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <utility>

#include "cpu/fill.h"
#include "cuda/backend.h"
#include "fanin/available.h"
#include "fanin/error.h"

namespace fanin {

Availability available() { return gpu::available(); }

void preload(int device) { gpu::preload(device); }

Place place_of(const void* address) { return gpu::place_of(address); }

void read(void* to, const View& from, CudaStream stream) {
  const detail::Destination there(from.place);
  if (from.capacity == 0) return;
  if (to == nullptr || from.address == nullptr) {
    throw InvalidArgument("An address is null, but there are " + std::to_string(from.capacity) + " bytes to read");
  }
  if (from.place.is_host()) {
    std::memcpy(to, from.address, from.capacity);
    return;
  }
  gpu::device_address(from.address, there.device());
  gpu::read(to, from.address, from.capacity, there.device(), stream);
}

DeviceMemory use_on_device(const View& view) {
  auto current = std::make_shared<const gpu::CurrentDevice>(view.place.cuda_device);
  void* const address = gpu::device_address(view.address, *current);
  return {std::move(current), address};
}

namespace detail {

void check_run(const RunOptions& options, Place place) {
  if (options.threads < 0) {
    throw InvalidArgument("The number of threads must not be negative (0: all). Received: threads=" +
                          std::to_string(options.threads));
  }
  if (options.device_seed != nullptr && place.is_host()) {
    throw InvalidArgument("A seed in device memory is for fills of device memory. Received: memory on the host");
  }
}

Destination::Destination(Place place) {
  if (!place.is_host()) device_.emplace(place.cuda_device);
}

void* Destination::address_of(const View& view, std::uint64_t count) const {
  const std::size_t size = size_of(view.dtype);
  if (view.capacity / size < count) {
    throw InvalidArgument("The memory is too small: " + std::to_string(count) + " elements of " +
                          std::string(name_of(view.dtype)) + " need " + std::to_string(count * size) +
                          " bytes. Received: capacity=" + std::to_string(view.capacity));
  }
  if (count == 0) return view.address;
  if (view.address == nullptr) {
    throw InvalidArgument("The address is null, but there are " + std::to_string(count) + " elements to write");
  }
  const std::size_t past = reinterpret_cast<std::uintptr_t>(view.address) % size;
  if (past != 0) {
    throw InvalidArgument("The address must be a multiple of the element's size, " + std::to_string(size) +
                          " bytes. Received: an address that is " + std::to_string(past) + " past one");
  }
  return device_ ? gpu::device_address(view.address, *device_) : view.address;
}

void Destination::fill(const FillJob& job, const RunOptions& options) const {
  if (device_) {
    gpu::fill(job, *device_, options.stream, options.device_seed);
  } else {
    cpu::fill(&job, 1, options.threads, options.target);
  }
}

}  // namespace detail

void fill(const View& view, const FillParams& params, CudaStream stream, int threads, CpuTarget target,
          const std::uint64_t* device_seed) {
  if (view.dtype != params.dtype) {
    throw InvalidArgument("The fill was prepared for " + std::string(name_of(params.dtype)) + ". Received: a view of " +
                          std::string(name_of(view.dtype)));
  }
  const detail::Destination there(view.place);
  const FillJob job{there.address_of(view, params.index.count), params};
  const detail::RunOptions options{stream, threads, target, device_seed};
  detail::check_run(options, view.place);
  there.fill(job, options);
}

}  // namespace fanin
