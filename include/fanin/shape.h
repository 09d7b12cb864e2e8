// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <initializer_list>
#include <iterator>
#include <limits>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "fanin/export.h"

namespace fanin {

/// One extent, from an integer or enumerator of any type but bool. A number over 2^63 - 1 becomes 2^63 - 1, which no
/// tensor has.
class Extent {
  template <class T>
  static constexpr bool is_number = (std::is_integral_v<T> || (std::is_enum_v<T> && std::is_convertible_v<T, int>)) &&
                                    !std::is_same_v<T, bool> && sizeof(T) <= sizeof(std::int64_t);

 public:
  template <class T, std::enable_if_t<is_number<T>, int> = 0>
  constexpr Extent(T n)  // NOLINT(google-explicit-constructor)
      : value_(sizeof(T) == 8 && n > T{} && static_cast<std::uint64_t>(n) > std::uint64_t{largest}
                   ? largest
                   : static_cast<std::int64_t>(n)) {}
  constexpr std::int64_t value() const { return value_; }

 private:
  static constexpr std::int64_t largest = std::numeric_limits<std::int64_t>::max();
  std::int64_t value_;
};

/// Extents, outermost first; {} is a scalar. Elements are numbered row-major: the last index runs fastest. It is a
/// std::vector whose braces take integers of any type, std::size_t included.
class Shape : public std::vector<std::int64_t> {
 public:
  Shape() = default;
  Shape(std::initializer_list<Extent> extents) {
    reserve(extents.size());
    for (const Extent extent : extents) push_back(extent.value());
  }
  Shape(std::vector<std::int64_t> extents)  // NOLINT(google-explicit-constructor)
      : std::vector<std::int64_t>(std::move(extents)) {}
  template <class It, class = typename std::iterator_traits<It>::iterator_category>
  Shape(It first, It last) : std::vector<std::int64_t>(first, last) {}
};

/// The maximum number of elements of a tensor: an element's index has 56 bits.
inline constexpr std::uint64_t max_elements = std::uint64_t{1} << 56;

/// Elements [first, first + count) of a tensor, in the row-major order of the whole tensor.
struct ElementRange {
  std::uint64_t first = 0;
  std::uint64_t count = 0;
};

/// A part of a tensor, in one of two forms: the elements whose index in every dimension is in [offset, offset +
/// extent), which Keras calls partition_offset and partition_shape; or a range of elements, such as a shard of flat
/// parameters, which offset and extent must be empty for. Without any of them it is the whole tensor.
struct Block {
  Shape offset = {};
  Shape extent = {};
  std::optional<ElementRange> elements = {};
};

/// Product of the extents; 1 for a scalar, 0 if an extent is 0.
/// Throws InvalidArgument if an extent is negative or the product is over max_elements.
FANIN_API std::uint64_t element_count(const Shape& shape);

/// "[3, 4]"; a scalar is "[]".
FANIN_API std::string to_string(const Shape& shape);

}  // namespace fanin
