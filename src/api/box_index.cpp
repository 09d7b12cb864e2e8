// SPDX-License-Identifier: Apache-2.0
#include "api/box_index.h"

#include <algorithm>
#include <utility>

namespace fanin::detail {

namespace {

constexpr std::size_t most_few = 8;

int bits_of(std::uint64_t v) {
  int bits = 0;
  for (; v != 0; v >>= 1) ++bits;
  return bits;
}

int class_of(const Interval& interval) { return bits_of(interval.last - interval.first); }

// The largest last - first in a class.
std::uint64_t longest_in(int length_class) {
  return length_class == 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << length_class) - 1;
}

}  // namespace

void BoxIndex::add(const Box& box, std::size_t owner) {
  if (few_.size() < most_few && axes_.empty()) {
    few_.push_back(owner);
    return;
  }
  if (axes_.empty()) axes_.resize(box.size());
  try {
    for (std::size_t j = 0; j < box.size(); ++j) axes_[j][class_of(box[j])].emplace(box[j].first, owner);
  } catch (...) {
    remove(box, owner);
    throw;
  }
}

void BoxIndex::remove(const Box& box, std::size_t owner) {
  for (std::size_t j = 0; j < std::min(axes_.size(), box.size()); ++j) {
    const auto intervals = axes_[j].find(class_of(box[j]));
    if (intervals == axes_[j].end()) continue;
    auto [at, end] = intervals->second.equal_range(box[j].first);
    at = std::find_if(at, end, [owner](const auto& one) { return one.second == owner; });
    if (at != end) intervals->second.erase(at);
  }
  few_.erase(std::remove(few_.begin(), few_.end(), owner), few_.end());
}

std::vector<std::size_t> BoxIndex::candidates(const Box& box, std::size_t enough) const {
  if (axes_.empty()) return few_;
  // The intervals that may share a point with the box along an axis, and those of them that have been looked at.
  struct Search {
    std::vector<std::pair<ByBegin::const_iterator, ByBegin::const_iterator>> left;
    std::vector<std::size_t> found;
  };
  std::vector<Search> searches(axes_.size(), {{}, few_});
  for (std::size_t j = 0; j < axes_.size(); ++j) {
    for (const auto& [length_class, intervals] : axes_[j]) {
      const std::uint64_t reach = std::min(longest_in(length_class), box[j].first);
      searches[j].left.emplace_back(intervals.lower_bound(box[j].first - reach), intervals.upper_bound(box[j].last));
    }
  }
  // All axes go on together, so that the one with the fewest intervals is the first to end.
  for (;;) {
    for (Search& search : searches) {
      while (!search.left.empty() && search.left.back().first == search.left.back().second) search.left.pop_back();
      if (search.left.empty() || search.found.size() >= enough) return std::move(search.found);
      search.found.push_back((search.left.back().first++)->second);
    }
  }
}

}  // namespace fanin::detail
