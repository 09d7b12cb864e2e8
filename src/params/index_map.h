// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "fanin/fill_params.h"
#include "fanin/shape.h"

namespace fanin::detail {

inline bool is_whole(const Block& block) { return block.offset.empty() && block.extent.empty() && !block.elements; }

// Returns the indices of a block in the row-major order of the whole tensor. Throws InvalidArgument for a block that
// has another rank than the tensor or reaches outside it.
IndexMap make_index_map(const Shape& shape, const Block& block);

// Returns the extents of what a fill writes: the tensor's, the block's, or the number of a range's elements.
Shape written_shape(const Shape& shape, const Block& block);

// Returns the number of elements in a row of what a fill writes: its last extent, or 1 for a scalar.
std::uint64_t row_length(const Shape& shape, const Block& block);

// Returns the same indices with a last loop of `row` elements. The extent of the map's last loop must be a multiple of
// `row`.
IndexMap in_rows(const IndexMap& map, std::uint64_t row);

// Returns whether two blocks of tensors have an index in common. The answer is exact if one of them is a range of
// indices. Otherwise one block counts as the range from its first index to its last.
bool share_index(const IndexMap& a, const IndexMap& b);

// Returns the last index of a map that is not empty.
inline std::uint64_t last_index(const IndexMap& map) {
  std::uint64_t last = map.start;
  for (std::uint32_t j = 0; j < map.rank; ++j) last += (map.extent[j] - 1) * map.stride[j];
  return last;
}

// Returns the tensor's index of element n of a map's loops. It does not add map.first.
inline std::uint64_t index_of(const IndexMap& map, std::uint64_t n) {
  const std::uint64_t run = map.extent[map.rank - 1];
  std::uint64_t index = map.start + n % run;
  std::uint64_t row = n / run;
  for (std::uint32_t j = map.rank - 1; j-- > 0; row /= map.extent[j]) index += row % map.extent[j] * map.stride[j];
  return index;
}

}  // namespace fanin::detail
