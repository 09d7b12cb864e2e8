// SPDX-License-Identifier: Apache-2.0
#include "params/make_params.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <utility>

#include "base/formats.h"
#include "base/number_format.h"
#include "base/text.h"
#include "fanin/core/rounding.h"
#include "fanin/error.h"
#include "formulas/computed_value.h"
#include "params/affine.h"
#include "params/output_scale.h"

namespace fanin::detail {

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

// The compute type is binary64 for float64, binary32 for everything else.
struct Compute {
  bool binary64;

  double round(double v) const { return binary64 ? v : static_cast<double>(static_cast<float>(v)); }
  bool finite(double v) const { return std::isfinite(round(v)); }
  // The outermost number of the compute type that does not pass a bound. `side` is +1 for an upper bound and -1 for a
  // lower one.
  double round_inward(double bound, int side) const {
    if (binary64) return bound;
    const auto nearest = static_cast<float>(bound);
    const bool passes = side > 0 ? static_cast<double>(nearest) > bound : static_cast<double>(nearest) < bound;
    const float inward = side > 0 ? -std::numeric_limits<float>::infinity() : std::numeric_limits<float>::infinity();
    return static_cast<double>(passes ? std::nextafter(nearest, inward) : nearest);
  }
  std::string name() const { return binary64 ? "float64" : "float32"; }
};

[[noreturn]] void refuse(const std::string& what, const Distribution& d, DType dtype) {
  std::string received;
  switch (d.kind) {
    case Distribution::Kind::constant:
      received = "value=" + to_text(d.value);
      break;
    case Distribution::Kind::identity:
    case Distribution::Kind::orthogonal:
      received = "gain=" + to_text(d.value);
      break;
    case Distribution::Kind::uniform:
      received = "minval=" + to_text(d.low) + ", maxval=" + to_text(d.high);
      break;
    case Distribution::Kind::normal:
      received = "mean=" + to_text(d.mean) + ", stddev=" + to_text(d.stddev);
      break;
    case Distribution::Kind::truncated_normal:
      received = "mean=" + to_text(d.mean) + ", stddev=" + to_text(d.stddev) + ", lower=" + to_text(d.lower) +
                 ", upper=" + to_text(d.upper) + " (in standard deviations)";
      break;
    case Distribution::Kind::computed:
      received = "value=\"" + d.computed->expression().text() + "\"";
      break;
  }
  throw InvalidArgument(what + " Received: " + received + ", dtype=" + std::string(name_of(dtype)));
}

// Returns the outermost finite value of the format, as binary32, that does not pass the bound and, if `strict`, does
// not equal it. `side` is +1 for an upper bound and -1 for a lower one. Returns NaN if there is no such value. A zero
// is -0 as a lower limit and +0 as an upper one.
template <class Format>
float outermost(float bound, int side, bool strict) {
  // A lower bound is treated as the mirror image of an upper one. Values ascend with p in [-largest - 1, largest],
  // where p >= 0 is +magnitude p and p < 0 is -magnitude (-1 - p).
  const float b = side > 0 ? bound : -bound;
  const auto largest = static_cast<std::int32_t>(Format::largest);
  const auto decode = [](std::int32_t p) {
    return p >= 0 ? Format::decode(static_cast<std::uint32_t>(p)) : -Format::decode(static_cast<std::uint32_t>(-1 - p));
  };
  const auto inside = [&](std::int32_t p) { return strict ? decode(p) < b : decode(p) <= b; };
  std::int32_t low = -largest - 2;  // inside, unless no value is
  std::int32_t high = largest + 1;  // not inside
  while (high - low > 1) {
    const std::int32_t middle = low + (high - low) / 2;
    (inside(middle) ? low : high) = middle;
  }
  if (low == -largest - 2) return std::numeric_limits<float>::quiet_NaN();
  return side > 0 ? decode(low) : -decode(low);
}

// Does the same for the compute types.
template <class Real>
Real outermost(Real bound, int side, bool strict) {
  const Real signed_one = static_cast<Real>(side);
  if (std::isinf(bound)) return signed_one * std::numeric_limits<Real>::max();
  if (strict) return std::nextafter(bound, -signed_one * std::numeric_limits<Real>::infinity());
  return bound == 0 ? std::copysign(Real(0), signed_one) : bound;
}

double outermost(double bound, DType dtype, int side, bool strict) {
  return with_format(dtype, [&](auto format) {
    using Format = decltype(format);
    const auto at = static_cast<typename Format::Compute>(bound);
    if constexpr (is_compute_type<Format>) {
      return static_cast<double>(outermost(at, side, strict));
    } else {
      return static_cast<double>(outermost<Format>(at, side, strict));
    }
  });
}

// Throws if no value of the output type lies inside the bounds of a fill of low precision, divided by one of its
// scales.
void check_limits(const FillParams& params, const Distribution& d) {
  if (std::isinf(params.min) || std::isinf(params.max)) return;
  const ScaledLimits limits(params);
  for (std::uint64_t group = 0; group < limits.groups(); ++group) {
    const double scale = limits.scale_of(group);
    const auto [least, most] = limits.at(scale);
    if (least <= most) continue;
    refuse("No value of " + std::string(name_of(params.dtype)) + " lies inside the bounds " + to_text(params.min) +
               " to " + to_text(params.max) + ", divided by the scale " + to_text(scale) + ".",
           d, params.dtype);
  }
}

// Sets the limits of the clamp from bounds in the compute type, which may be infinite.
void set_limits(FillParams& params, double low, double high, bool high_excluded, const Distribution& d) {
  if (params.is_low_precision()) {
    params.min = low;
    params.max = high;
    params.open = high_excluded;
    check_limits(params, d);
    return;
  }
  params.min = outermost(low, params.dtype, -1, false);
  params.max = outermost(high, params.dtype, +1, high_excluded);
  if (!(params.min <= params.max)) {
    refuse("No value of " + std::string(name_of(params.dtype)) + " lies inside the bounds " + to_text(low) + " to " +
               to_text(high) + ".",
           d, params.dtype);
  }
}

// Returns the bits of a constant, which is rounded to the compute type, clamped to the dtype's finite range and rounded
// to the dtype.
std::uint64_t pattern_of(double v, DType dtype) {
  return with_format(dtype, [&](auto format) {
    using Format = decltype(format);
    auto value = static_cast<typename Format::Compute>(v);
    if constexpr (!is_compute_type<Format>) {
      const auto largest = static_cast<float>(facts_of(dtype).largest);
      value = core::clamp(value, -largest, largest);
    }
    const typename Format::Storage element = Format::encode(value);
    std::uint64_t pattern = 0;
    std::memcpy(&pattern, &element, sizeof element);
    return pattern;
  });
}

// Returns whether clamping changes the element of this fraction. Values are monotone in the fraction, also after
// rounding. If clamping matters at neither end of the fractions, it therefore matters nowhere.
template <class Format>
bool clamping_matters(double fraction, const FillParams& params) {
  const auto map = affine_of<typename Format::Compute>(params);
  const auto v = core::unclamped_value(static_cast<typename Format::Compute>(fraction), map);
  const auto clamped = core::clamp(v, map.min, map.max);
  if (v == clamped) return false;
  if constexpr (is_compute_type<Format>) {
    return true;
  } else {
    const auto largest = static_cast<float>(facts_of(params.dtype).largest);
    return v < -largest || v > largest || Format::encode(v) != Format::encode(clamped);
  }
}

// Returns whether clamping changes any element. `least` and `most` are the smallest and the largest fraction drawn.
bool clamping_matters(double least, double most, const FillParams& params) {
  return with_format(params.dtype, [&](auto format) {
    using Format = decltype(format);
    return clamping_matters<Format>(least, params) || clamping_matters<Format>(most, params);
  });
}

void set_constant(FillParams& params, double v) {
  params.kind = FillParams::Kind::constant;
  params.rounding = Rounding::nearest;
  params.pattern = pattern_of(v, params.is_low_precision() ? compute_type_of(params.dtype) : params.dtype);
  params.min = -infinity;
  params.max = infinity;
}

void check_value(const Distribution& d, DType dtype, Compute compute) {
  if (!compute.finite(d.value)) refuse("The value must be finite in " + compute.name() + ".", d, dtype);
  if (d.value != 0 && compute.round(d.value) == 0)
    refuse("The value becomes zero in " + compute.name() + ".", d, dtype);
}

// Returns an end of a distribution in the compute type: `bound`, or the caller's value, which no element passes.
double end_of(double value, double bound, int side, Compute compute) {
  return std::isinf(value) ? bound : compute.round_inward(value, side);
}

bool has_ends(const Distribution& d) { return !std::isinf(d.least) || !std::isinf(d.most); }

// Sets the constant, or the number of the dtype inside the distribution's ends that is nearest to it.
void set_value(FillParams& params, double v, const Distribution& d, Compute compute) {
  if (!has_ends(d)) return set_constant(params, v);
  set_limits(params, end_of(d.least, -infinity, -1, compute), end_of(d.most, infinity, +1, compute), false, d);
  const double low = params.min;
  const double high = params.max;
  set_constant(params, std::min(std::max(compute.round(v), low), high));
  if (!params.is_low_precision()) return;
  params.min = low;  // the constant is still to be divided by a scale
  params.max = high;
}

void set_uniform(FillParams& params, const Distribution& d, Compute compute) {
  if (!compute.finite(d.low) || !compute.finite(d.high) || d.low > d.high) {
    refuse("A uniform distribution needs minval <= maxval, both finite in " + compute.name() + ".", d, params.dtype);
  }
  const double low = end_of(d.least, compute.round(d.low), -1, compute);
  const double high = end_of(d.most, compute.round(d.high), +1, compute);
  if (d.low == d.high || (has_ends(d) && low >= high)) return set_value(params, d.low, d, compute);
  const double width = compute.round(d.high - d.low);
  if (low == high || !std::isfinite(width)) {
    refuse("The interval is empty or too wide in " + compute.name() + ".", d, params.dtype);
  }
  params.kind = FillParams::Kind::uniform;
  params.shifted = d.low != -d.high;
  params.scale = params.shifted ? width : high;
  params.shift = params.shifted ? low : 0.0;
  set_limits(params, low, high, !has_ends(d), d);
  if (params.is_low_precision()) return;
  const double most = compute.binary64 ? 1 - 0x1p-53 : 1 - 0x1p-24;
  params.clamped = clamping_matters(params.shifted ? 0 : -most, most, params);
}

// Returns the value at a bound, rounded to the compute type. An infinite bound stays infinite.
double value_at(double bound, const Distribution& d, Compute compute) {
  if (std::isinf(bound)) return bound;
  if (compute.binary64) return d.mean != 0 ? core::fma(bound, d.stddev, d.mean) : bound * d.stddev;
  const auto z = static_cast<float>(bound);
  const auto scale = static_cast<float>(d.stddev);
  return static_cast<double>(d.mean != 0 ? core::fma(z, scale, static_cast<float>(d.mean)) : core::mul(z, scale));
}

void check_window(const Distribution& d, DType dtype, Compute compute) {
  if (!(d.lower < d.upper)) refuse("A truncated normal needs lower < upper.", d, dtype);
  for (const auto& [bound, end] : {std::pair{d.lower, d.least}, std::pair{d.upper, d.most}}) {
    if (std::isinf(bound)) continue;
    if (!std::isfinite(static_cast<float>(bound))) {
      refuse("A bound of the truncated normal is finite, but not in float32, in which values are accepted.", d, dtype);
    }
    if (std::isinf(end) && !std::isfinite(value_at(bound, d, compute))) {
      refuse("A bound of the truncated normal is not finite in " + compute.name() + ".", d, dtype);
    }
  }
}

void set_normal(FillParams& params, const Distribution& d, Compute compute) {
  if (!compute.finite(d.mean) || !compute.finite(d.stddev) || d.stddev < 0) {
    refuse("A normal needs a mean and a stddev >= 0 that are finite in " + compute.name() + ".", d, params.dtype);
  }
  if (d.stddev > 0 && compute.round(d.stddev) == 0) {
    if (has_ends(d)) return set_value(params, std::min(std::max(d.mean, d.least), d.most), d, compute);
    refuse("The stddev becomes zero in " + compute.name() + ".", d, params.dtype);
  }
  const bool truncated = d.kind == Distribution::Kind::truncated_normal;
  if (truncated) check_window(d, params.dtype, compute);
  if (d.stddev == 0) return set_constant(params, d.mean);
  params.kind = FillParams::Kind::normal;
  params.shifted = d.mean != 0;
  params.scale = compute.round(d.stddev);
  params.shift = compute.round(d.mean);
  params.lower = truncated ? d.lower : -infinity;
  params.upper = truncated ? d.upper : infinity;
  const double low = end_of(d.least, value_at(params.lower, d, compute), -1, compute);
  const double high = end_of(d.most, value_at(params.upper, d, compute), +1, compute);
  set_limits(params, low, high, false, d);
  if (params.is_low_precision()) return;
  // A tail's u is at least 2^-25, so its points are at most 25 ln 2 < 18 beyond the nearer bound or, with the table of
  // the whole curve, at most X[0] + 25 ln 2 / X[0] < 9 from 0.
  const double least = std::max(params.lower, std::min(-9.0, params.upper - 18));
  const double most = std::min(params.upper, std::max(9.0, params.lower + 18));
  params.clamped = clamping_matters(least, most, params);
}

Rounding checked_rounding(Rounding rounding, DType dtype) {
  if (rounding == Rounding::nearest) return rounding;
  if (rounding != Rounding::stochastic) {
    throw InvalidArgument("rounding number " + std::to_string(static_cast<int>(rounding)) + " does not exist");
  }
  if (dtype == DType::float32 || dtype == DType::float64) {
    throw InvalidArgument("Stochastic rounding is for dtypes narrower than float32, in which values are computed. " +
                          std::string("Received: dtype=") + std::string(name_of(dtype)));
  }
  return rounding;
}

// float8_e8m0fnu has neither zero nor sign, so only a constant that is one of its powers of two fills it.
void check_scale_value(const FillParams& params, const Distribution& d) {
  int exponent = 0;
  const bool is_constant = params.kind == FillParams::Kind::constant && d.kind == Distribution::Kind::constant;
  const bool is_power = is_constant && std::frexp(d.value, &exponent) == 0.5 && exponent >= -126 && exponent <= 128;
  if (is_power && params.output_scale.number == 1 && params.output_scale.blocks == nullptr) return;
  refuse("float8_e8m0fnu holds scales: only a constant that is a power of two from 2^-127 to 2^127 fills it.", d,
         params.dtype);
}

void set_orthogonal(FillParams& params, const Distribution& d, Compute compute) {
  check_value(d, params.dtype, compute);
  params.kind = FillParams::Kind::orthogonal;
  params.rows = d.rows;
  params.columns = d.columns;
  params.matrices = d.matrices.get();
  params.scale = compute.round(d.value);
  set_limits(params, -infinity, infinity, false, d);
  params.clamped = true;
}

void set_computed(FillParams& params, const Distribution& d, const Shape& shape) {
  static_assert(sizeof params.axes / sizeof params.axes[0] == ComputedValue::max_axes);
  params.kind = FillParams::Kind::computed;
  params.computed = d.computed.get();
  params.min = -infinity;
  params.max = infinity;
  params.uses_draw = d.uses_draw;
  for (std::size_t j = 0; j < d.computed->subscripts().size(); ++j) {
    const std::size_t axis = d.computed->axis_of(d.computed->subscripts()[j], shape.size());
    params.axes[j] = {static_cast<std::uint64_t>(shape[axis]), 1};
    for (std::size_t inner = axis + 1; inner < shape.size(); ++inner) {
      params.axes[j].stride *= static_cast<std::uint64_t>(shape[inner]);
    }
  }
}

}  // namespace

FillParams make_params(const Distribution& distribution, const Shape& shape, const IndexMap& index, DType dtype,
                       std::uint64_t seed, std::uint64_t subsequence, const OutputScale& output_scale,
                       Rounding rounding) {
  FillParams params{};
  params.dtype = facts_of(dtype).dtype;  // throws for a number outside the enumeration
  params.seed = seed;
  params.subsequence = subsequence;
  params.index = index;
  params.output_scale = output_scale;
  check_output_scale(params, shape);
  params.rounding = distribution.is_random() ? checked_rounding(rounding, dtype) : Rounding::nearest;
  const Compute compute{dtype == DType::float64};
  switch (distribution.kind) {
    case Distribution::Kind::constant:
      check_value(distribution, dtype, compute);
      set_value(params, distribution.value, distribution, compute);
      break;
    case Distribution::Kind::identity:
      check_value(distribution, dtype, compute);
      set_constant(params, distribution.value);
      params.kind = FillParams::Kind::identity;
      params.columns = static_cast<std::uint64_t>(shape.back());
      break;
    case Distribution::Kind::uniform:
      set_uniform(params, distribution, compute);
      break;
    case Distribution::Kind::normal:
    case Distribution::Kind::truncated_normal:
      set_normal(params, distribution, compute);
      break;
    case Distribution::Kind::orthogonal:
      set_orthogonal(params, distribution, compute);
      break;
    case Distribution::Kind::computed:
      set_computed(params, distribution, shape);
      break;
  }
  if (dtype == DType::float8_e8m0fnu) check_scale_value(params, distribution);
  return params;
}

}  // namespace fanin::detail
