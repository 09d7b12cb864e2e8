// SPDX-License-Identifier: Apache-2.0
#include "api/device_blocks.h"

#include <string>
#include <vector>

#include "api/destination.h"
#include "fanin/error.h"

namespace fanin {

namespace {

// The extents of a block.
Shape extent_of(const DeviceBlocks& blocks) {
  const auto refuse = [&] {
    throw InvalidArgument("Each dimension of a tensor is cut into one block or more. Received: parts=" +
                          to_string(blocks.parts) + ", shape=" + to_string(blocks.shape));
  };
  if (blocks.parts.size() != blocks.shape.size()) refuse();
  Shape extent;
  for (std::size_t j = 0; j < blocks.shape.size(); ++j) {
    const std::int64_t parts = blocks.parts[j];
    if (parts < 1) refuse();
    extent.push_back(blocks.shape[j] / parts + (blocks.shape[j] % parts != 0 ? 1 : 0));
  }
  return extent;
}

}  // namespace

namespace detail {

BlockLoops loops_of(const DeviceBlocks& blocks) {
  element_count(blocks.shape);  // throws for an invalid shape
  const Shape extent = extent_of(blocks);
  BlockLoops result{};
  result.map.count = element_count(extent);
  result.block.members = blocks.tensors;
  result.block.generators = blocks.generators;

  // Goes from the innermost dimension out. A dimension joins the loop inside it if that loop is not cut, because
  // together they are dense.
  struct Loop {
    std::uint64_t extent, stride, step, bound;
    std::size_t axis;
  };
  std::vector<Loop> loops{{1, 1, 0, 1, 0}};
  for (std::size_t j = extent.size(); j-- > 0;) {
    const auto length = static_cast<std::uint64_t>(extent[j]);
    const auto whole = static_cast<std::uint64_t>(blocks.shape[j]);
    const Loop inner = loops.back();
    if (inner.step != 0) loops.push_back({1, inner.stride * inner.bound, 0, 1, 0});
    Loop& loop = loops.back();
    loop.extent *= length;
    loop.bound *= whole;
    if (blocks.parts[j] > 1) {
      if (blocks.number == nullptr) throw InvalidArgument("The address of the block's number is null");
      loop.step = loop.extent;
      loop.axis = j;
      result.block.number = blocks.number;
    }
    if (loop.bound == 1 && loop.step == 0 && loops.size() > 1) loops.pop_back();
  }
  if (loops.size() > DeviceBlock::max_rank) {
    throw InvalidArgument("Too many dimensions are cut. Received: parts=" + to_string(blocks.parts));
  }
  result.map.rank = static_cast<std::uint32_t>(loops.size());
  for (std::uint32_t j = 0; j < result.map.rank; ++j) {
    const Loop& loop = loops[loops.size() - 1 - j];
    result.map.extent[j] = loop.extent;
    result.map.stride[j] = loop.stride;
    result.block.axis[j] = static_cast<std::uint32_t>(loop.axis);
    result.block.step[j] = loop.step;
    result.block.bound[j] = loop.bound;
  }
  return result;
}

}  // namespace detail

void fill(const View& view, const FillParams& params, const DeviceBlocks& blocks, CudaStream stream) {
  if (view.device.is_host()) {
    throw InvalidArgument(
        "Blocks with seeds in device memory can be filled only in device memory. Received: a view of host memory");
  }
  if (params.is_from_host()) {
    throw InvalidArgument(
        "The values of a Formula or an Orthogonal, and those of low precision, are computed on the host, so blocks "
        "with seeds in device memory "
        "cannot have them. Fill each with Initializer::fill");
  }
  const IndexMap& index = params.index;
  if (view.dtype != params.dtype || params.kind == FillParams::Kind::identity || index.rank != 1 || index.start != 0 ||
      index.first != 0 || index.count != element_count(blocks.shape)) {
    throw InvalidArgument("The fill must have been prepared for whole tensors of this shape and dtype, and not be an " +
                          std::string("identity. Received: shape=") + to_string(blocks.shape) + ", a view of " +
                          std::string(name_of(view.dtype)));
  }
  const detail::Destination destination(view.device, {stream});
  const detail::BlockLoops loops = detail::loops_of(blocks);
  if (loops.map.count != 0 && blocks.tensors > max_elements / loops.map.count) {
    throw InvalidArgument("There are more than 2^56 elements. Received: tensors=" + std::to_string(blocks.tensors) +
                          ", shape=" + to_string(blocks.shape));
  }
  if (view.leading_dimension != 0) {
    throw InvalidArgument("Blocks of tensors are written in rows that follow each other. Received: leading_dimension=" +
                          std::to_string(view.leading_dimension));
  }
  FillJob job{destination.address_of(view, loops.map.count * blocks.tensors), params};
  job.params.index = loops.map;
  job.device_block = &loops.block;
  if (loops.map.count == 0 || blocks.tensors == 0) return;
  if (blocks.generators == nullptr) throw InvalidArgument("The address of the tensors' seeds is null");
  destination.fill(job);
}

}  // namespace fanin
