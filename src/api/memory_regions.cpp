// SPDX-License-Identifier: Apache-2.0
#include "api/memory_regions.h"

namespace fanin::detail {

bool overlap(const Region& a, const Region& b) {
  if (a.first >= b.end() || b.first >= a.end()) return false;
  if (a.first > b.first) return overlap(b, a);
  if (a.rows == 1) return true;
  // b's first row begins in a's row number `row`, or in the gap behind it.
  const std::uint64_t row = (b.first - a.first) / a.pitch;
  const std::uint64_t column = (b.first - a.first) % a.pitch;
  if (b.rows > 1 && b.pitch != a.pitch) return true;
  // Rows of b meet those of a that begin before them, or the next ones.
  return (column < a.width && row < a.rows) || (column + b.width > a.pitch && row + 1 < a.rows);
}

std::optional<std::size_t> MemoryRegions::owner_in(const Region& region) const {
  auto next = dense_.lower_bound(region.first);
  if (next != dense_.begin()) --next;  // of those that begin before, only the last one can reach so far
  for (; next != dense_.end() && next->first < region.end(); ++next) {
    if (overlap(next->second.region, region)) return next->second.owner;
  }
  for (const Owned& owned : in_rows_) {
    if (overlap(owned.region, region)) return owned.owner;
  }
  return std::nullopt;
}

void MemoryRegions::add(const Region& region, std::size_t owner) {
  if (region.rows == 1) {
    dense_.insert({region.first, {region, owner}});
  } else {
    in_rows_.push_back({region, owner});
  }
}

}  // namespace fanin::detail
