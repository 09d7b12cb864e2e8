// SPDX-License-Identifier: Apache-2.0
#include "fanin/model_plan.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "fanin/dtype.h"
#include "fanin/error.h"
#include "params/index_map.h"
#include "params/output_scale.h"

namespace fanin {

namespace {

// A block of a tensor in memory: extents, and where its rows begin.
struct Box {
  Shape offset, extent;
  std::uint64_t begin = 0;  // the element of the view with which it begins
  std::uint64_t pitch = 0;  // elements between the beginnings of rows
};

std::uint64_t product(const Shape& shape, std::size_t first, std::size_t last) {
  std::uint64_t product = 1;
  for (std::size_t j = first; j < last; ++j) product *= static_cast<std::uint64_t>(shape[j]);
  return product;
}

// A range of a tensor's elements, as boxes that follow each other in memory: rows that it cuts, and whole ones, for
// each axis. There are at most 2 * rank - 1.
std::vector<Box> boxes_of(const Shape& shape, const ElementRange& range) {
  std::vector<Box> boxes;
  std::uint64_t done = 0;
  while (done < range.count) {
    const std::uint64_t first = range.first + done;
    // The outermost axis along which whole slices begin at the first element and fit into the range.
    std::size_t axis = 0;
    std::uint64_t slice = product(shape, 1, shape.size());
    while (first % slice != 0 || range.count - done < slice) slice /= static_cast<std::uint64_t>(shape[++axis]);
    const auto extent = static_cast<std::uint64_t>(shape[axis]);
    const std::uint64_t slices = std::min((range.count - done) / slice, extent - first / slice % extent);
    Box box{{}, {}, done, static_cast<std::uint64_t>(shape.back())};
    for (std::size_t j = 0; j < shape.size(); ++j) {
      const std::uint64_t index = first / product(shape, j + 1, shape.size()) % static_cast<std::uint64_t>(shape[j]);
      box.offset.push_back(static_cast<std::int64_t>(index));
      box.extent.push_back(j < axis ? 1 : j == axis ? static_cast<std::int64_t>(slices) : shape[j]);
    }
    if (axis + 1 == shape.size()) box.pitch = slices;
    boxes.push_back(std::move(box));
    done += slices * slice;
  }
  return boxes;
}

const Initializer& initializer_of(const ModelTensor& tensor, const ModelPart& part) {
  if (part.initializer) return *part.initializer;
  throw InvalidArgument("The values of \"" + part.name + "\" in tensor \"" + tensor.name + "\" are loaded from " +
                        part.load_file + ", which a plan cannot do: copy them to its memory");
}

// Where the last row begins must fit into 64 bits. An element has at least half a byte, and a tensor at most 2^59
// bytes.
void check_pitch(const Box& box, const View& view) {
  const std::uint64_t rows = product(box.extent, 0, box.extent.size() - 1);
  const std::uint64_t room = std::min<std::uint64_t>(view.capacity, 8 * max_elements);
  if (rows < 2 || box.pitch / 2 <= room / (rows - 1)) return;
  throw InvalidArgument("The memory is too small: " + std::to_string(rows) + " rows of " +
                        std::to_string(box.extent.back()) + " elements, " + std::to_string(box.pitch) +
                        " elements apart, do not fit. Received: capacity=" + std::to_string(view.capacity));
}

// The parts of one tensor, added to a plan.
class Parts {
 public:
  Parts(Plan& plan, const ModelTensor& tensor, const View& view)
      : plan_(plan),
        tensor_(tensor),
        view_(view),
        axis_(static_cast<std::size_t>(tensor.axis)),
        last_(tensor.shape.size() - 1) {}

  // A part's rows are at one distance if the axis is the last one. Otherwise they are if nothing lies outside the axis,
  // so each index of the axes before it has entries of its own.
  void add(const Box& box) const {
    if (axis_ == last_) return add_parts(box, 1);
    const std::uint64_t slice = product(box.extent, axis_ + 1, last_) * box.pitch;
    const std::uint64_t outer = product(box.extent, 0, axis_);
    for (std::uint64_t n = 0; n < outer; ++n) {
      Box one = box;
      one.begin += n * static_cast<std::uint64_t>(box.extent[axis_]) * slice;
      std::uint64_t rest = n;
      for (std::size_t j = axis_; j-- > 0; one.extent[j] = 1) {
        const auto extent = static_cast<std::uint64_t>(box.extent[j]);
        one.offset[j] += static_cast<std::int64_t>(rest % extent);
        rest /= extent;
      }
      add_parts(one, slice);
    }
  }

 private:
  // `slice`: elements between two indices of the axis.
  void add_parts(const Box& box, std::uint64_t slice) const {
    std::int64_t begin = 0;  // of the part along the axis
    for (const ModelPart& part : tensor_.parts) {
      const std::int64_t end = begin + static_cast<std::int64_t>(part.size);
      const std::int64_t from = std::max(begin, box.offset[axis_]);
      const std::int64_t to = std::min(end, box.offset[axis_] + box.extent[axis_]);
      if (from < to) {
        Box piece = box;
        piece.begin += static_cast<std::uint64_t>(from - box.offset[axis_]) * slice;
        piece.offset[axis_] = from - begin;
        piece.extent[axis_] = to - from;
        add_entry(part, piece);
      }
      begin = end;
    }
  }

  // `box` counts from the part's beginning.
  void add_entry(const ModelPart& part, const Box& box) const {
    TensorOptions options = part.options();
    options.block = block_of(part, box);
    View view = view_;
    const std::uint64_t bytes = detail::bytes_in_memory(view.dtype, view.unpacked, box.begin);
    view.address = static_cast<std::byte*>(view.address) + bytes;
    view.capacity -= std::min<std::uint64_t>(view.capacity, bytes);
    view.leading_dimension = options.block.elements ? 0 : box.pitch;
    plan_.add(initializer_of(tensor_, part), view, part.shape, options);
  }

  // The box as a block of the part. A part of size 1 can lack the axis, as an expert does in a stack.
  Block block_of(const ModelPart& part, const Box& box) const {
    Shape stretch = tensor_.shape;
    stretch[axis_] = static_cast<std::int64_t>(part.size);
    if (part.shape == stretch) return {box.offset, box.extent};
    if (part.shape == without_axis(stretch) && axis_ != last_) {
      return {without_axis(box.offset), without_axis(box.extent)};
    }
    // Another shape has the same elements in the same order, so that only a range of them is a block of both.
    const std::uint64_t inner = product(tensor_.shape, axis_ + 1, last_ + 1);
    if (product(tensor_.shape, 0, axis_) != 1 || product(box.extent, axis_ + 1, last_ + 1) != inner ||
        (product(box.extent, 0, last_) > 1 && box.pitch != static_cast<std::uint64_t>(box.extent[last_]))) {
      throw InvalidArgument("The part \"" + part.name + "\" of tensor \"" + tensor_.name + "\" has the shape " +
                            to_string(part.shape) + ", so that a block can only cut it along axis " +
                            std::to_string(axis_) + " of the tensor, in memory without gaps");
    }
    Block range;
    range.elements = ElementRange{static_cast<std::uint64_t>(box.offset[axis_]) * inner,
                                  static_cast<std::uint64_t>(box.extent[axis_]) * inner};
    return range;
  }

  Shape without_axis(Shape shape) const {
    shape.erase(shape.begin() + tensor_.axis);
    return shape;
  }

  Plan& plan_;
  const ModelTensor& tensor_;
  const View& view_;
  std::size_t axis_, last_;
};

}  // namespace

void add(Plan& plan, const ModelTensor& tensor, const View& view, const Block& block) {
  if (tensor.parts.size() == 1 && (tensor.parts[0].shape == tensor.shape || tensor.shape.empty())) {
    const ModelPart& part = tensor.parts[0];
    TensorOptions options = part.options();
    options.block = block;
    plan.add(initializer_of(tensor, part), view, part.shape, options);
    return;
  }
  if (detail::make_index_map(tensor.shape, block).count == 0) return;
  const Parts parts(plan, tensor, view);
  if (block.elements) {
    for (const Box& box : boxes_of(tensor.shape, *block.elements)) parts.add(box);
    return;
  }
  Box box{block.offset, block.extent};
  if (detail::is_whole(block)) box = {Shape(std::vector<std::int64_t>(tensor.shape.size())), tensor.shape};
  box.pitch = view.leading_dimension == 0 ? static_cast<std::uint64_t>(box.extent.back()) : view.leading_dimension;
  check_pitch(box, view);
  parts.add(box);
}

}  // namespace fanin
