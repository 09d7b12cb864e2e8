// SPDX-License-Identifier: Apache-2.0
// What "tensors" of a specification says, before rules choose initializers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "fanin/dtype.h"
#include "fanin/shape.h"
#include "formulas/expression.h"
#include "model/axis_order.h"
#include "model/name_pattern.h"
#include "model/number.h"
#include "model/place.h"
#include "model/rule.h"

namespace fanin::detail {

// More than a file can list; a slip such as a vocabulary's size in "repeat" must not exhaust the memory.
constexpr std::size_t max_parts = std::size_t{1} << 22;

// A capture that counts: from the first to before the last.
struct Loop {
  std::string capture;
  Place place;
  std::optional<Number> first;
  Number end;
};

// The numbers of a capture, from the first to before the last.
struct CaptureRange {
  std::int64_t first, end;
};

// A count can depend on earlier captures. Adds it to `counted`, the numbers of all captures. Throws InvalidArgument.
CaptureRange capture_range(const Loop& loop, const Scope& scope, std::size_t& counted);

// Calls f() for each combination of the captures' numbers, with the scope's variables and the numbers set.
void for_each(const std::vector<Loop>& loops, Scope& scope, std::vector<std::int64_t>& numbers, std::size_t& counted,
              const std::function<void()>& f);

// A name with the numbers of captures.
std::string name_with(const NamePattern& pattern, const std::vector<Loop>& loops,
                      const std::vector<std::int64_t>& numbers, const std::vector<Loop>& outer = {},
                      const std::vector<std::int64_t>& outer_numbers = {});

// A part of a tensor of the specification.
struct PartEntry {
  Place place;
  std::optional<NamePattern> name;
  std::vector<Loop> loops;
  Number size;
  std::optional<std::vector<Number>> shape;
  std::optional<InitializerTemplate> initializer;
};

// An entry of "tensors": a tensor or a tie, or many of them by captures that count.
struct TensorEntry {
  Place place;
  NamePattern name;
  std::vector<Loop> loops;
  std::vector<Number> shape;
  std::optional<DType> dtype;
  std::optional<AxisOrder> layout;
  std::optional<Number> axis;
  std::vector<PartEntry> parts;
  std::optional<NamePattern> tie;
};

// Throws InvalidArgument.
TensorEntry tensor_entry(const Place& place, const std::string& name, const Scope& constants, std::uint64_t seed);

// Throws InvalidArgument.
Shape shape_of(const std::vector<Number>& extents, const Place& place, const Scope& scope);

}  // namespace fanin::detail
