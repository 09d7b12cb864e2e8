// SPDX-License-Identifier: Apache-2.0
#include "cpu/computed.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "base/formats.h"
#include "base/fp_environment.h"
#include "fanin/core/counter.h"
#include "fanin/core/rounding.h"
#include "fanin/dtype.h"
#include "fanin/error.h"

namespace fanin::cpu {

using Kind = ComputedValue::Meaning::Kind;

namespace {

std::vector<detail::Program::Binding> bindings_of(const FillParams& params) {
  std::vector<detail::Program::Binding> bindings;
  std::int32_t inputs = 0;
  for (const ComputedValue::Meaning& meaning : params.computed->meanings()) {
    if (meaning.kind == Kind::constant) {
      bindings.push_back({meaning.constant});
    } else if (meaning.kind == Kind::extent) {
      bindings.push_back({static_cast<double>(params.axes[meaning.axis].extent)});
    } else {
      bindings.push_back({std::nullopt, inputs++});
    }
  }
  return bindings;
}

std::vector<ComputedValue::Meaning> inputs_of(const FillParams& params) {
  std::vector<ComputedValue::Meaning> inputs;
  for (const ComputedValue::Meaning& meaning : params.computed->meanings()) {
    if (meaning.kind != Kind::constant && meaning.kind != Kind::extent) inputs.push_back(meaning);
  }
  return inputs;
}

// A fill of float32 with (word >> 8) * 2^-24 for u, or with z.
FillParams draws_of(const FillParams& params) {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  FillParams draws = params;
  const bool uniform = params.computed->draw() == ComputedValue::Draw::uniform;
  draws.kind = uniform ? FillParams::Kind::uniform : FillParams::Kind::normal;
  draws.dtype = DType::float32;
  draws.shifted = uniform;  // for a uniform, on [0, 1)
  draws.scale = 1;
  draws.lower = draws.min = -infinity;
  draws.upper = draws.max = infinity;
  return draws;
}

// A number that rounds to the narrow formats as v does: the binary32 number beside an inexact v whose last bit is 1
// (rounding to odd: Boldo and Melquiond, "Emulation of a FMA and correctly rounded sums", 2008).
float rounded_to_odd(double v) {
  const auto f = static_cast<float>(v);
  if (static_cast<double>(f) == v) return f;
  std::uint32_t bits = 0;
  std::memcpy(&bits, &f, sizeof bits);
  if ((bits & 1) != 0) return f;
  bits += std::abs(static_cast<double>(f)) < std::abs(v) ? 1U : ~0U;
  float odd = 0;
  std::memcpy(&odd, &bits, sizeof odd);
  return odd;
}

// Rounds a finite number once, and returns whether the result is finite.
bool encode(core::Float64, double v, double* to) {
  *to = v;
  return true;
}
bool encode(core::Float32, double v, float* to) {
  *to = static_cast<float>(v);
  return std::isfinite(*to);
}
template <class Format>
bool encode(Format, double v, typename Format::Storage* to) {
  const float odd = rounded_to_odd(v);
  if (std::abs(odd) >= 2 * Format::decode(Format::largest)) return false;
  *to = Format::encode(odd);
  return (*to & (Format::sign - 1)) <= Format::largest;
}

void coordinates(const FillParams::Axis& axis, std::uint64_t index, std::size_t count, double* to) {
  std::uint64_t at = index / axis.stride % axis.extent;
  std::uint64_t rest = index % axis.stride;
  for (std::size_t k = 0; k < count; ++k) {
    to[k] = static_cast<double>(at);
    if (++rest < axis.stride) continue;
    rest = 0;
    if (++at == axis.extent) at = 0;
  }
}

// The place of an element in a random order of its line, the elements that differ from it only on this axis: a Feistel
// network on the coordinate's bits (Luby and Rackoff, "How to construct pseudorandom permutations", 1988), repeated
// until the result is a coordinate (cycle walking: Black and Rogaway, "Ciphers with arbitrary finite domains", 2002).
std::uint64_t place(const core::Generator& generator, const FillParams::Axis& axis, std::uint64_t index) {
  constexpr std::uint32_t first_tag = core::rounding_tag + 1;
  if (axis.extent == 1) return 0;
  std::uint32_t bits = 1;  // of a half
  while ((axis.extent - 1) >> (2 * bits) != 0) ++bits;
  const std::uint64_t mask = (std::uint64_t{1} << bits) - 1;
  const std::uint32_t rounds = std::min(24U, 4 + 2 * ((19 + bits) / bits));  // pairs of places are uniform to 1e-6
  std::uint64_t at = (index / axis.stride) % axis.extent;
  const std::uint64_t line = index - at * axis.stride;
  do {
    std::uint64_t left = at >> bits;
    std::uint64_t right = at & mask;
    for (std::uint32_t round = 0; round < rounds; ++round) {
      const std::uint64_t element = line + right * axis.stride;
      left ^= core::block<core::Philox>(generator, element, first_tag + round).x & mask;
      std::swap(left, right);
    }
    at = left << bits | right;
  } while (at >= axis.extent);
  return at;
}

}  // namespace

Computed::Computed(const FillParams& params)
    : params_(params),
      draws_(draws_of(params)),
      inputs_(inputs_of(params)),
      program_(params.computed->expression(), bindings_of(params)) {}

bool Computed::is_finite(Arithmetic* arithmetic) const {
  const bool uniform = params_.computed->draw() == ComputedValue::Draw::uniform;
  using Interval = detail::Program::Interval;
  std::vector<Interval> inputs;
  for (const ComputedValue::Meaning& input : inputs_) {
    if (input.kind == Kind::draw || input.kind == Kind::row_draw) {
      inputs.push_back(uniform ? Interval{0x1p-25, 1 - 0x1p-25} : Interval{-9, 9});  // |z| < 8.42
    } else if (input.kind == Kind::table) {
      const std::vector<double>& values = params_.computed->table()->values;
      if (!std::all_of(values.begin(), values.end(), [](double value) { return std::isfinite(value); })) return false;
      const auto [least, most] = std::minmax_element(values.begin(), values.end());
      inputs.push_back({*least, *most});
    } else {
      const std::uint64_t extent = params_.axes[input.axis].extent;
      inputs.push_back({0, extent == 0 ? 0 : static_cast<double>(extent - 1)});
    }
  }
  const auto bounds = program_.bounds(inputs, arithmetic);
  return bounds && detail::with_format(params_.dtype, [&](auto format) {
           typename decltype(format)::Storage element;
           return encode(format, bounds->low, &element) && encode(format, bounds->high, &element);
         });
}

void Computed::evaluate(const ComputedValue::Meaning& input, std::uint64_t index, std::size_t n, Run draw,
                        double* to) const {
  if (input.kind == Kind::draw || input.kind == Kind::row_draw) return evaluate_draw(input, index, n, draw, to);
  if (input.kind == Kind::coordinate) return coordinates(params_.axes[input.axis], index, n, to);
  if (input.kind == Kind::place) {
    const core::Generator generator{params_.seed, params_.subsequence};
    for (std::size_t k = 0; k < n; ++k) {
      to[k] = static_cast<double>(place(generator, params_.axes[input.axis], index + k));
    }
    return;
  }
  double at[block];
  std::uint64_t places[block] = {};
  for (const ComputedValue::TableAxis& axis : params_.computed->table_axes()) {
    coordinates(params_.axes[axis.axis], index, n, at);
    for (std::size_t k = 0; k < n; ++k) places[k] += static_cast<std::uint64_t>(at[k]) * axis.stride;
  }
  for (std::size_t k = 0; k < n; ++k) to[k] = params_.computed->table()->values[places[k]];
}

void Computed::evaluate_draw(const ComputedValue::Meaning& input, std::uint64_t index, std::size_t n, Run draw,
                             double* to) const {
  constexpr auto most = static_cast<std::size_t>(ComputedValue::max_row);
  const bool is_row = input.kind == Kind::row_draw;
  const std::uint64_t row = is_row ? params_.axes[input.axis].extent : 1;
  const std::uint64_t first = index / row * row;
  const std::uint64_t last = (index + n + row - 1) / row * row;
  float words[block + 2 * most];
  run_best(draws_, words, first, last - first, draw);
  const double centre = params_.computed->draw() == ComputedValue::Draw::uniform ? 0x1p-25 : 0;
  for (std::size_t k = 0; k < n; ++k) {
    const std::uint64_t element =
        is_row ? (index + k) / row * row + static_cast<std::uint64_t>(input.element) : index + k;
    to[k] = static_cast<double>(words[element - first]) + centre;
  }
}

template <class Use>
void Computed::for_blocks(std::uint64_t index, std::uint64_t count, Run draw, Arithmetic* arithmetic,
                          const Use& use) const {
  double inputs[ComputedValue::max_inputs][block];
  double stack[detail::Expression::max_slots * block];
  const double* addresses[ComputedValue::max_inputs];
  for (std::size_t j = 0; j < ComputedValue::max_inputs; ++j) addresses[j] = inputs[j];
  for (std::uint64_t first = 0; first < count; first += block) {
    const auto n = static_cast<std::size_t>(std::min<std::uint64_t>(block, count - first));
    for (std::size_t j = 0; j < inputs_.size(); ++j) evaluate(inputs_[j], index + first, n, draw, inputs[j]);
    program_.run(addresses, n, stack, arithmetic);
    if (!use(addresses, stack, first, n)) return;
  }
}

void Computed::write(void* out, std::uint64_t index, std::uint64_t count, Run draw,
                     Arithmetic* arithmetic) const noexcept {
  detail::with_format(params_.dtype, [&](auto format) {
    auto* to = static_cast<typename decltype(format)::Storage*>(out);
    for_blocks(index, count, draw, arithmetic,
               [&](const auto&, const double* values, std::uint64_t first, std::size_t n) {
                 for (std::size_t k = 0; k < n; ++k) encode(format, values[k], to + first + k);
                 return true;
               });
  });
}

std::uint64_t Computed::first_not_finite(std::uint64_t index, std::uint64_t count, Run draw,
                                         Arithmetic* arithmetic) const noexcept {
  std::uint64_t found = none;
  detail::with_format(params_.dtype, [&](auto format) {
    typename decltype(format)::Storage element;
    for_blocks(index, count, draw, arithmetic,
               [&](const auto&, const double* values, std::uint64_t first, std::size_t n) {
                 for (std::size_t k = 0; k < n; ++k) {
                   if (std::isfinite(values[k]) && encode(format, values[k], &element)) continue;
                   found = index + first + k;
                   return false;
                 }
                 return true;
               });
  });
  return found;
}

void Computed::refuse(std::uint64_t index) const {
  std::vector<double> variables;
  double value = 0;
  {
    std::optional<Arithmetic> arithmetic;
    if (uses_exact_functions()) arithmetic.emplace();
    const std::vector<detail::Program::Binding> bindings = bindings_of(params_);
    for_blocks(index, 1, nullptr, arithmetic ? &*arithmetic : nullptr,
               [&](const auto& inputs, const double* values, std::uint64_t, std::size_t) {
                 for (const auto& one : bindings) variables.push_back(one.value ? *one.value : *inputs[one.input]);
                 value = values[0];
                 return true;
               });
  }
  throw InvalidArgument(detail::not_finite(params_.computed->expression(), variables, value, name_of(params_.dtype)));
}

}  // namespace fanin::cpu
