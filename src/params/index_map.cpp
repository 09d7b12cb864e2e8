// SPDX-License-Identifier: Apache-2.0
#include "params/index_map.h"

#include "fanin/error.h"

namespace fanin::detail {

namespace {

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

}  // namespace

IndexMap make_index_map(const Shape& shape, const Block& block) {
  IndexMap map{};
  map.count = element_count(shape);
  map.rank = 1;
  map.extent[0] = map.count;
  map.stride[0] = 1;
  if (is_whole(block)) return map;
  check_block(shape, block);
  map.count = element_count(block.extent);
  map.extent[0] = map.count;
  if (map.count == 0) return map;  // below, no extent of the tensor is 0

  // Goes from the innermost dimension out, drops dimensions of one index, and joins a dimension to the one inside it if
  // together they are dense.
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

}  // namespace fanin::detail
