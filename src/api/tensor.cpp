// SPDX-License-Identifier: Apache-2.0
#include "fanin/tensor.h"

#include <cstring>
#include <new>
#include <string>
#include <utility>

#include "cuda/backend.h"

namespace fanin {

namespace {

constexpr std::align_val_t alignment{64};

void* allocate(std::size_t size, DType dtype, Place place) {
  const std::size_t bytes = size * size_of(dtype);
  return place.is_host() ? ::operator new(bytes, alignment) : gpu::allocate(bytes, place.cuda_device);
}

}  // namespace

Tensor::Tensor(Shape shape, DType dtype, Place place)
    : shape_(std::move(shape)),
      size_(element_count(shape_)),
      dtype_(dtype),
      place_(place),
      memory_(allocate(size_, dtype, place), Release{place}) {}

void Tensor::Release::operator()(void* memory) const noexcept {
  if (place.is_host()) {
    ::operator delete(memory, alignment);
  } else {
    gpu::release(memory, place.cuda_device);
  }
}

Tensor Tensor::to(Place place) const {
  Tensor copy(shape_, dtype_, place);
  if (bytes() == 0) return copy;
  if (place.is_host() && place_.is_host()) {
    std::memcpy(copy.data(), data(), bytes());
  } else {
    gpu::copy(copy.data(), place, data(), place_, bytes());
  }
  return copy;
}

void Tensor::check_host_access(DType wanted) const {
  if (!place_.is_host()) throw InvalidArgument("The tensor is on " + to_string(place_) + ", not in host memory");
  if (dtype_ != wanted) {
    throw InvalidArgument("The tensor holds " + std::string(name_of(dtype_)) + ", not " + std::string(name_of(wanted)));
  }
}

}  // namespace fanin
