// SPDX-License-Identifier: Apache-2.0
#include "params/index_map.h"

#include <algorithm>

#include "fanin/error.h"

namespace fanin::detail {

namespace {

void check_range(std::uint64_t size, const Block& block) {
  const ElementRange range = *block.elements;
  if (!block.offset.empty() || !block.extent.empty()) {
    throw InvalidArgument("A block is a range of elements, or has an offset and an extent. Received: both");
  }
  if (range.first <= size && range.count <= size - range.first) return;
  throw InvalidArgument("The range reaches outside the tensor of " + std::to_string(size) +
                        " elements. Received: first=" + std::to_string(range.first) +
                        ", count=" + std::to_string(range.count));
}

void check_block(const Shape& shape, const Block& block) {
  const auto refuse = [&](const std::string& what) {
    throw InvalidArgument(what + " Received: partition_offset=" + to_string(block.offset) +
                          ", partition_shape=" + to_string(block.extent) + ", shape=" + to_string(shape));
  };
  if (block.offset.size() != shape.size() || block.extent.size() != shape.size()) {
    refuse("A partition needs an offset and an extent for each dimension of the tensor.");
  }
  for (std::size_t j = 0; j < shape.size(); ++j) {
    if (block.offset[j] < 0 || block.extent[j] < 0) refuse("Offsets and extents of a partition must not be negative.");
    if (block.offset[j] > shape[j] || block.extent[j] > shape[j] - block.offset[j]) {
      refuse("The partition reaches outside the tensor in dimension " + std::to_string(j) + ".");
    }
  }
}

// Returns whether a map has an index in [first, last]. Each stride of the map is at least as large as the range of the
// loops inside it.
bool has_index_in(const IndexMap& map, std::uint64_t first, std::uint64_t last) {
  if (map.start >= first) return map.start <= last;
  if (last_index(map) < first) return false;
  // The loops' numbers for the smallest index that is not below `first`.
  std::uint64_t number[IndexMap::max_rank] = {};
  std::uint64_t left = first - map.start;
  for (std::uint32_t j = 0; j < map.rank; ++j) {
    number[j] = left / map.stride[j];
    if (number[j] < map.extent[j]) {
      left -= number[j] * map.stride[j];
      continue;
    }
    number[j] = 0;  // beyond this loop: its beginning, in the next iteration of an outer loop
    for (--j; ++number[j] == map.extent[j]; --j) number[j] = 0;
    break;
  }
  std::uint64_t index = map.start;
  for (std::uint32_t j = 0; j < map.rank; ++j) index += number[j] * map.stride[j];
  return index <= last;
}

}  // namespace

IndexMap make_index_map(const Shape& shape, const Block& block) {
  IndexMap map{};
  map.count = element_count(shape);
  map.rank = 1;
  map.extent[0] = map.count;
  map.stride[0] = 1;
  if (is_whole(block)) return map;
  if (block.elements) {
    check_range(map.count, block);
    map.start = block.elements->first;
    map.count = map.extent[0] = block.elements->count;
    return map;
  }
  check_block(shape, block);
  map.count = element_count(block.extent);
  map.extent[0] = map.count;
  if (map.count == 0) return map;  // below, no extent of the tensor is 0

  // Goes from the innermost dimension outwards. It drops dimensions with one index, and it joins a dimension to the one
  // inside it if together they are dense.
  struct Loop {
    std::uint64_t extent, stride;
  };
  Loop loops[IndexMap::max_rank];
  std::uint32_t rank = 0;
  std::uint64_t stride = 1;
  for (std::size_t j = shape.size(); j-- > 0;) {
    const auto extent = static_cast<std::uint64_t>(block.extent[j]);
    map.start += static_cast<std::uint64_t>(block.offset[j]) * stride;
    if (rank != 0 && loops[rank - 1].stride * loops[rank - 1].extent == stride) {
      loops[rank - 1].extent *= extent;
    } else if (extent > 1) {
      loops[rank++] = {extent, stride};
    }
    stride *= static_cast<std::uint64_t>(shape[j]);
  }
  // The last loop of an IndexMap steps by 1.
  const bool is_dense = rank != 0 && loops[0].stride == 1;
  map.rank = rank + (is_dense ? 0 : 1);
  map.extent[map.rank - 1] = map.stride[map.rank - 1] = 1;
  for (std::uint32_t j = 0; j < rank; ++j) {
    map.extent[rank - 1 - j] = loops[j].extent;
    map.stride[rank - 1 - j] = loops[j].stride;
  }
  return map;
}

Shape written_shape(const Shape& shape, const Block& block) {
  if (block.elements) return {block.elements->count};
  return is_whole(block) ? shape : block.extent;
}

std::uint64_t row_length(const Shape& shape, const Block& block) {
  if (block.elements) return block.elements->count;
  const Shape& written = is_whole(block) ? shape : block.extent;
  return written.empty() ? 1 : static_cast<std::uint64_t>(written.back());
}

IndexMap in_rows(const IndexMap& map, std::uint64_t row) {
  IndexMap rows = map;
  std::uint64_t& run = rows.extent[rows.rank - 1];
  if (run == row) return rows;
  rows.extent[rows.rank] = row;
  rows.stride[rows.rank] = 1;
  run /= row;
  rows.stride[rows.rank - 1] = row;
  ++rows.rank;
  return rows;
}

bool share_index(const IndexMap& a, const IndexMap& b) {
  if (a.count == 0 || b.count == 0) return false;
  if (b.rank == 1) return has_index_in(a, b.start, last_index(b));
  return has_index_in(b, a.start, last_index(a));
}

}  // namespace fanin::detail
