// SPDX-License-Identifier: Apache-2.0
#include "fanin/tensor.h"

#include <cstring>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "api/destination.h"
#include "cuda/backend.h"
#include "fanin/error.h"

namespace fanin {

namespace {

constexpr std::align_val_t alignment{64};

void* allocate(std::size_t size, DType dtype, Device device) {
  detail::check(device);
  const std::size_t bytes = bytes_of(dtype, size);
  return device.is_host() ? ::operator new(bytes, alignment) : gpu::allocate(bytes, device.cuda_device);
}

}  // namespace

Tensor::Tensor(Shape shape, DType dtype, Device device)
    : shape_(std::move(shape)),
      size_(element_count(shape_)),
      dtype_(dtype),
      device_(device),
      memory_(allocate(size_, dtype, device), Release{device}) {}

void Tensor::Release::operator()(void* memory) const noexcept {
  if (device.is_host()) {
    ::operator delete(memory, alignment);
  } else {
    gpu::release(memory, device.cuda_device);
  }
}

Tensor Tensor::to(Device device) const {
  Tensor copy(shape_, dtype_, device);
  if (bytes() == 0) return copy;
  if (device.is_host() && device_.is_host()) {
    std::memcpy(copy.data(), data(), bytes());
  } else {
    gpu::copy(copy.data(), device, data(), device_, bytes());
  }
  return copy;
}

void Tensor::check_on_host() const {
  if (!device_.is_host()) throw InvalidArgument("The tensor is on " + to_string(device_) + ", not in host memory");
}

void Tensor::check_access(const char* element, bool is_right) const {
  check_on_host();
  if (is_right) return;
  throw InvalidArgument(
      "The tensor holds " + std::string(name_of(dtype_)) + ", whose elements are not " + element +
      ": float32 is float, float64 double; the bits of float16 and bfloat16 are std::uint16_t, those " +
      "of float8 and packed elements std::uint8_t");
}

std::vector<double> Tensor::to_binary64() const {
  check_on_host();
  std::vector<double> values(size_);
  fanin::to_binary64(values.data(), data(), dtype_, size_);
  return values;
}

}  // namespace fanin
