// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "api/box_index.h"

namespace fanin::detail {

// `rows` pieces of memory of `width` bytes each, `pitch` bytes from the beginning of one to that of the next. One row
// is dense memory, and none has an empty row.
struct Region {
  std::uintptr_t first = 0;
  std::uint64_t rows = 0, width = 0, pitch = 0;

  std::uintptr_t end() const { return first + (rows - 1) * pitch + width; }
};

// Whether they have a byte in common. For rows with different pitches, what lies between rows counts.
bool overlap(const Region& a, const Region& b);

// Regions of one memory without common bytes, each with the number of its owner.
class MemoryRegions {
 public:
  // An owner whose region has a byte in common with this one.
  std::optional<std::size_t> owner_in(const Region& region) const;
  // If adding throws, nothing is added.
  void add(const Region& region, std::size_t owner);

 private:
  struct Owned {
    Region region;
    std::size_t owner;
  };
  std::map<std::uintptr_t, Owned> dense_;  // by first byte
  std::vector<Owned> in_rows_;
  // Of the regions in rows, by number: the bytes from the first to the last one; by pitch, also their rows and columns
  // in a memory that begins at address 0.
  BoxIndex spans_;
  std::map<std::uint64_t, BoxIndex> grids_;
};

}  // namespace fanin::detail
