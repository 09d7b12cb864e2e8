// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <type_traits>
#include <vector>

#include "fanin/dtype.h"
#include "fanin/error.h"
#include "fanin/export.h"
#include "fanin/shape.h"
#include "fanin/view.h"

namespace fanin {

/// Owns the memory of one dense, row-major tensor. It moves but does not copy; a moved-from tensor can only be
/// destroyed or assigned to.
class FANIN_API Tensor {
 public:
  /// Allocates uninitialised memory, aligned to 64 bytes. Throws InvalidArgument for an invalid shape, DeviceError for
  /// a missing device, and std::bad_alloc.
  Tensor(Shape shape, DType dtype, Device device = host);

  const Shape& shape() const { return shape_; }
  DType dtype() const { return dtype_; }
  Device device() const { return device_; }
  std::size_t size() const { return size_; }  ///< elements
  std::size_t bytes() const { return bytes_of(dtype_, size_); }

  void* data() { return memory_.get(); }
  const void* data() const { return memory_.get(); }

  /// The elements. T is float for float32, double for float64, std::uint16_t for the bits of float16 and bfloat16,
  /// std::uint8_t for 8 or fewer bits. Throws InvalidArgument for another T, or if the tensor is not on the host.
  template <class T>
  T* as() {
    check_access<T>();
    return static_cast<T*>(data());
  }
  template <class T>
  const T* as() const {
    check_access<T>();
    return static_cast<const T*>(data());
  }

  /// All elements as binary64, without loss. Throws InvalidArgument if the tensor is not on the host.
  std::vector<double> to_binary64() const;

  View view() { return {data(), dtype_, bytes(), device_}; }

  /// A copy on the given device. Waits until both devices have finished all earlier work. Throws as the constructor
  /// does.
  Tensor to(Device device) const;

 private:
  template <class T>
  void check_access() const {
    if constexpr (std::is_same_v<T, float>) {
      check_access("float", dtype_ == DType::float32);
    } else if constexpr (std::is_same_v<T, double>) {
      check_access("double", dtype_ == DType::float64);
    } else if constexpr (std::is_same_v<T, std::uint16_t>) {
      check_access("std::uint16_t", facts_of(dtype_).bits == 16);
    } else {
      static_assert(std::is_same_v<T, std::uint8_t>, "T is float, double, std::uint16_t or std::uint8_t");
      check_access("std::uint8_t", facts_of(dtype_).bits <= 8);
    }
  }
  void check_on_host() const;
  void check_access(const char* element, bool is_right) const;

  struct Release {
    Device device;
    FANIN_API void operator()(void* memory) const noexcept;
  };

  Shape shape_;
  std::size_t size_;
  DType dtype_;
  Device device_;
  std::unique_ptr<void, Release> memory_;
};

}  // namespace fanin
