// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <memory>

#include "fanin/dtype.h"
#include "fanin/error.h"
#include "fanin/export.h"
#include "fanin/shape.h"
#include "fanin/view.h"

namespace fanin {

/// Memory of its own for one dense, row-major tensor. Moves, never copies; one that was moved from can only be
/// destroyed or assigned to.
class FANIN_API Tensor {
 public:
  /// Uninitialised memory, aligned to 64 bytes. Throws InvalidArgument for an impossible shape, DeviceError for a
  /// device that is not there, std::bad_alloc if there is not enough memory.
  Tensor(Shape shape, DType dtype, Place place = host);

  const Shape& shape() const { return shape_; }
  DType dtype() const { return dtype_; }
  Place place() const { return place_; }
  std::size_t size() const { return size_; }  ///< elements
  std::size_t bytes() const { return size_ * size_of(dtype_); }

  void* data() { return memory_.get(); }
  const void* data() const { return memory_.get(); }

  /// The elements as float or double. Throws InvalidArgument if the tensor has another dtype or is not on the host.
  template <class Real>
  Real* as() {
    check_host_access(dtype_of(static_cast<Real*>(nullptr)));
    return static_cast<Real*>(data());
  }
  template <class Real>
  const Real* as() const {
    check_host_access(dtype_of(static_cast<Real*>(nullptr)));
    return static_cast<const Real*>(data());
  }

  View view() { return {data(), dtype_, bytes(), place_}; }

  /// A copy in the given place. Waits until the devices concerned have done all that they were given. Throws as the
  /// constructor does.
  Tensor to(Place place) const;

 private:
  static constexpr DType dtype_of(const float*) { return DType::float32; }
  static constexpr DType dtype_of(const double*) { return DType::float64; }
  void check_host_access(DType wanted) const;

  struct Release {
    Place place;
    FANIN_API void operator()(void* memory) const noexcept;
  };

  Shape shape_;
  std::size_t size_;
  DType dtype_;
  Place place_;
  std::unique_ptr<void, Release> memory_;
};

}  // namespace fanin
