// SPDX-License-Identifier: Apache-2.0
#include "api/memory_regions.h"

#include <algorithm>

namespace fanin::detail {

namespace {

Interval span_of(const Region& region) { return {region.first, region.end() - 1}; }

// The region's bytes, rows and columns in a memory with rows of `pitch` bytes that begins at address 0.
std::vector<Box> boxes_of(const Region& region, std::uint64_t pitch) {
  const Interval span = span_of(region);
  constexpr Interval all{0, ~std::uint64_t{0}};
  if (region.rows > 1 && region.pitch != pitch) return {{span, all, all}};
  const std::uint64_t row = region.first / pitch;
  const std::uint64_t column = region.first % pitch;
  if (region.width > pitch) return {{span, {row, span.last / pitch}, all}};
  const std::uint64_t end = column + region.width;
  if (end <= pitch) return {{span, {row, row + region.rows - 1}, {column, end - 1}}};
  return {{span, {row, row + region.rows - 1}, {column, pitch - 1}},
          {span, {row + 1, row + region.rows}, {0, end - pitch - 1}}};
}

}  // namespace

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
  const auto owner_among = [&](const std::vector<std::size_t>& numbers) -> std::optional<std::size_t> {
    const auto overlaps = [&](std::size_t number) { return overlap(in_rows_[number].region, region); };
    const auto found = std::find_if(numbers.begin(), numbers.end(), overlaps);
    return found == numbers.end() ? std::nullopt : std::optional(in_rows_[*found].owner);
  };
  // Tensors lie one behind the other, and few spans meet. Columns of one matrix lie inside each other's span.
  constexpr std::size_t few = 64;
  const std::vector<std::size_t> near = spans_.candidates({span_of(region)}, few);
  if (near.size() < few) return owner_among(near);
  for (const auto& [pitch, grid] : grids_) {
    for (const Box& box : boxes_of(region, pitch)) {
      if (const auto owner = owner_among(grid.candidates(box))) return owner;
    }
  }
  return std::nullopt;
}

void MemoryRegions::add(const Region& region, std::size_t owner) {
  if (region.rows == 1) {
    dense_.insert({region.first, {region, owner}});
    return;
  }
  const std::size_t number = in_rows_.size();
  const std::vector<Box> boxes = boxes_of(region, region.pitch);
  BoxIndex& grid = grids_[region.pitch];
  in_rows_.push_back({region, owner});
  try {
    spans_.add({span_of(region)}, number);
    for (const Box& box : boxes) grid.add(box, number);
  } catch (...) {
    spans_.remove({span_of(region)}, number);
    for (const Box& box : boxes) grid.remove(box, number);
    in_rows_.pop_back();
    throw;
  }
}

}  // namespace fanin::detail
