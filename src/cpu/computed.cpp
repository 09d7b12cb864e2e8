// SPDX-License-Identifier: Apache-2.0
#include "cpu/computed.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "base/formats.h"
#include "base/fp_environment.h"
#include "fanin/core/rounding.h"
#include "fanin/dtype.h"
#include "fanin/error.h"

namespace fanin::cpu {

using Kind = ComputedValue::Meaning::Kind;

namespace {

constexpr auto draw_input = static_cast<std::int32_t>(ComputedValue::max_axes);

std::vector<detail::Program::Binding> bindings_of(const FillParams& params) {
  std::vector<detail::Program::Binding> bindings;
  for (const ComputedValue::Meaning& meaning : params.computed->meanings()) {
    switch (meaning.kind) {
      case Kind::constant:
        bindings.push_back({meaning.constant});
        break;
      case Kind::extent:
        bindings.push_back({static_cast<double>(params.axes[meaning.axis].extent)});
        break;
      case Kind::coordinate:
        bindings.push_back({std::nullopt, static_cast<std::int32_t>(meaning.axis)});
        break;
      case Kind::draw:
        bindings.push_back({std::nullopt, draw_input});
        break;
    }
  }
  return bindings;
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

}  // namespace

Computed::Computed(const FillParams& params)
    : params_(params), draws_(draws_of(params)), program_(params.computed->expression(), bindings_of(params)) {
  for (const ComputedValue::Meaning& meaning : params.computed->meanings()) {
    if (meaning.kind == Kind::coordinate) has_coordinate_[meaning.axis] = true;
  }
}

bool Computed::is_finite(Arithmetic* arithmetic) const {
  std::vector<detail::Program::Interval> inputs;
  for (const FillParams::Axis& axis : params_.axes) {
    inputs.push_back({0, axis.extent == 0 ? 0 : static_cast<double>(axis.extent - 1)});
  }
  const bool uniform = params_.computed->draw() == ComputedValue::Draw::uniform;
  using Interval = detail::Program::Interval;
  inputs.push_back(uniform ? Interval{0x1p-25, 1 - 0x1p-25} : Interval{-9, 9});  // |z| < 8.42
  const auto bounds = program_.bounds(inputs, arithmetic);
  return bounds && detail::with_format(params_.dtype, [&](auto format) {
           typename decltype(format)::Storage element;
           return encode(format, bounds->low, &element) && encode(format, bounds->high, &element);
         });
}

template <class Use>
void Computed::for_blocks(std::uint64_t index, std::uint64_t count, Run draw, Arithmetic* arithmetic,
                          const Use& use) const {
  double inputs[ComputedValue::max_axes + 1][block];
  double stack[detail::Expression::max_slots * block];
  float words[block];
  const double* addresses[ComputedValue::max_axes + 1];
  for (std::size_t j = 0; j <= ComputedValue::max_axes; ++j) addresses[j] = inputs[j];
  const double centre = params_.computed->draw() == ComputedValue::Draw::uniform ? 0x1p-25 : 0;
  for (std::uint64_t first = 0; first < count; first += block) {
    const auto n = static_cast<std::size_t>(std::min<std::uint64_t>(block, count - first));
    for (std::size_t j = 0; j < ComputedValue::max_axes; ++j) {
      if (has_coordinate_[j]) coordinates(params_.axes[j], index + first, n, inputs[j]);
    }
    if (params_.uses_draw) {
      run_best(draws_, words, index + first, n, draw);
      for (std::size_t k = 0; k < n; ++k) inputs[draw_input][k] = static_cast<double>(words[k]) + centre;
    }
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
