// SPDX-License-Identifier: Apache-2.0
#include "params/output_scale.h"

#include <string>

#include "base/text.h"
#include "fanin/error.h"

namespace fanin::detail {

namespace {

// Whether each row of the fill begins and ends at a multiple of `group` elements of the whole tensor.
bool has_whole_groups(const IndexMap& map, std::uint64_t group) {
  if (map.start % group != 0 || map.first % group != 0 || map.count % group != 0) return false;
  if (map.rank == 1) return true;
  if (map.extent[map.rank - 1] % group != 0) return false;
  for (std::uint32_t j = 0; j + 1 < map.rank; ++j) {
    if (map.stride[j] % group != 0) return false;
  }
  return true;
}

[[noreturn]] void refuse_scale(double scale, const std::string& where) {
  throw InvalidArgument("A scale must be positive and finite" + where + ". Received: " + to_text(scale));
}

void check_blocks(const FillParams& params, const Shape& shape) {
  const OutputScale& scale = params.output_scale;
  const std::uint64_t group = scale.group;
  if (group != 32 && group != 16) {
    throw InvalidArgument("A scale is for 32 or 16 elements. Received: group=" + std::to_string(group));
  }
  if (shape.empty() || static_cast<std::uint64_t>(shape.back()) % group != 0) {
    throw InvalidArgument("The last extent must be a multiple of the group of a scale, which has " +
                          std::to_string(group) + " elements. Received: shape=" + to_string(shape));
  }
  if (!has_whole_groups(params.index, group)) {
    throw InvalidArgument("A block must begin and end, in each row, at a multiple of the group of a scale, which has " +
                          std::to_string(group) + " elements");
  }
  if (scale.count != params.index.count / group) {
    throw InvalidArgument("There must be a scale for each " + std::to_string(group) + " of " +
                          std::to_string(params.index.count) + " elements, " +
                          std::to_string(params.index.count / group) +
                          " scales. Received: " + std::to_string(scale.count));
  }
  const std::size_t size = size_of(scale.dtype);
  if (reinterpret_cast<std::uintptr_t>(scale.blocks) % size != 0) {
    throw InvalidArgument("The address of the scales must be a multiple of " + std::to_string(size) + " bytes");
  }
  const ScaledLimits scales(params);
  for (std::uint64_t j = 0; j < scale.count; ++j) {
    const double one = scales.scale_of(j);
    if (!(one > 0) || std::isinf(one)) refuse_scale(one, ", also in float32; this is number " + std::to_string(j));
  }
}

}  // namespace

void check_output_scale(const FillParams& params, const Shape& shape) {
  const OutputScale& scale = params.output_scale;
  const bool binary64 = params.dtype == DType::float64;
  const double number = binary64 ? scale.number : static_cast<double>(static_cast<float>(scale.number));
  if (!(number > 0) || std::isinf(number)) refuse_scale(scale.number, binary64 ? "" : ", also in float32");
  if (scale.blocks == nullptr && scale.count == 0) return;
  if (scale.number != 1) {
    throw InvalidArgument("Give one scale or an array of scales. Received: both, the one is " + to_text(scale.number));
  }
  if (scale.blocks == nullptr) {
    throw InvalidArgument("The address of the scales is null, but there are " + std::to_string(scale.count));
  }
  check_blocks(params, shape);
}

void check_packing(const FillParams& params) {
  const DTypeFacts& facts = facts_of(params.dtype);
  const std::uint64_t together = facts.elements_together();
  if (params.unpacked || has_whole_groups(params.index, together)) return;
  throw InvalidArgument("Elements of " + std::string(facts.name) + " are packed, " + std::to_string(together) +
                        " into " + (facts.bits == 4 ? "a byte" : "3 bytes") +
                        ": a fill begins and ends, in each row of a block, at " + "a multiple of " +
                        std::to_string(together) + " elements");
}

}  // namespace fanin::detail
