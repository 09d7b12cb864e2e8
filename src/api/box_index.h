// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <vector>

namespace fanin::detail {

// Integers, ends included.
struct Interval {
  std::uint64_t first, last;
};

// One interval for each axis.
using Box = std::vector<Interval>;

// Boxes of one rank, each with the number of its owner. Finds those that may share a point with another box without
// comparing it with each: tilings of a tensor are told apart along at least one axis.
class BoxIndex {
 public:
  // If adding throws, nothing is added.
  void add(const Box& box, std::size_t owner);
  // Also a box that is not there.
  void remove(const Box& box, std::size_t owner);

  // The owners of all boxes that share a point with this one, and of others. The search ends when there are `enough`.
  std::vector<std::size_t> candidates(const Box& box, std::size_t enough = ~std::size_t{0}) const;

 private:
  // An axis has its intervals by the number of bits of their lengths, then by where they begin.
  using ByBegin = std::multimap<std::uint64_t, std::size_t>;
  using Axis = std::map<int, ByBegin>;

  // The owners of the first boxes are candidates for all: most indices have one box.
  std::vector<std::size_t> few_;
  std::vector<Axis> axes_;
};

}  // namespace fanin::detail
