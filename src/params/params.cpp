// SPDX-License-Identifier: Apache-2.0
#include "params/params.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <string>

#include "base/text.h"
#include "core/rounding.h"
#include "fanin/error.h"

namespace fanin::detail {

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

// The compute type is binary64 for float64, binary32 for everything else.
struct Compute {
  bool binary64;

  double round(double v) const { return binary64 ? v : static_cast<double>(static_cast<float>(v)); }
  bool finite(double v) const { return std::isfinite(round(v)); }
  std::string name() const { return binary64 ? "float64" : "float32"; }
};

[[noreturn]] void refuse(const std::string& what, const Distribution& d, DType dtype) {
  std::string received;
  switch (d.kind) {
    case Distribution::Kind::constant:
      received = "value=" + to_text(d.value);
      break;
    case Distribution::Kind::identity:
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
  }
  throw InvalidArgument(what + " Received: " + received + ", dtype=" + std::string(name_of(dtype)));
}

// The outermost finite value of the format, as binary32, that is not past (strict: not at) the bound; side +1 for an
// upper bound, -1 for a lower one. NaN if there is none. A limit that is zero is -0 below and +0 above.
template <class Format>
float outermost(float bound, int side, bool strict) {
  // Work on the upper side; a lower bound is the mirror image. Patterns in order: p in [-largest - 1, largest], where
  // p >= 0 is +magnitude p, and p < 0 is -magnitude (-1 - p).
  const float b = side > 0 ? bound : -bound;
  const auto largest = static_cast<std::int32_t>(Format::largest);
  const auto decode = [](std::int32_t p) {
    return p >= 0 ? Format::decode(static_cast<std::uint32_t>(p)) : -Format::decode(static_cast<std::uint32_t>(-1 - p));
  };
  const auto inside = [&](std::int32_t p) { return strict ? decode(p) < b : decode(p) <= b; };
  std::int32_t low = -largest - 2;  // inside, or nothing is
  std::int32_t high = largest + 1;  // not inside
  while (high - low > 1) {
    const std::int32_t middle = low + (high - low) / 2;
    (inside(middle) ? low : high) = middle;
  }
  if (low == -largest - 2) return std::numeric_limits<float>::quiet_NaN();
  return side > 0 ? decode(low) : -decode(low);
}

float outermost32(float bound, int side, bool strict) {
  if (std::isinf(bound)) return static_cast<float>(side) * std::numeric_limits<float>::max();
  if (strict) return std::nextafter(bound, -static_cast<float>(side) * std::numeric_limits<float>::infinity());
  return bound == 0 ? std::copysign(0.0F, static_cast<float>(side)) : bound;
}

double outermost64(double bound, int side, bool strict) {
  if (std::isinf(bound)) return side * std::numeric_limits<double>::max();
  if (strict) return std::nextafter(bound, -side * infinity);
  return bound == 0 ? std::copysign(0.0, static_cast<double>(side)) : bound;
}

double outermost(double bound, DType dtype, int side, bool strict) {
  const auto bound32 = static_cast<float>(bound);
  switch (dtype) {
    case DType::float64:
      return outermost64(bound, side, strict);
    case DType::float32:
      return outermost32(bound32, side, strict);
    case DType::float16:
      return outermost<core::Float16>(bound32, side, strict);
    case DType::bfloat16:
      return outermost<core::BFloat16>(bound32, side, strict);
    case DType::float8_e4m3fn:
      return outermost<core::Float8E4M3FN>(bound32, side, strict);
    case DType::float8_e5m2:
      return outermost<core::Float8E5M2>(bound32, side, strict);
  }
  return std::numeric_limits<double>::quiet_NaN();
}

// Bounds in the compute type (perhaps infinite) to the clamp's limits.
void set_limits(FillParams& params, double low, double high, bool high_excluded, const Distribution& d) {
  params.min = outermost(low, params.dtype, -1, false);
  params.max = outermost(high, params.dtype, +1, high_excluded);
  if (!(params.min <= params.max)) {
    refuse("No value of " + std::string(name_of(params.dtype)) + " lies inside the bounds " + to_text(low) + " to " +
               to_text(high) + ".",
           d, params.dtype);
  }
}

// The bits of a constant: rounded to the compute type, clamped to the dtype's finite range, rounded once.
std::uint64_t pattern_of(double v, DType dtype) {
  const auto v32 = static_cast<float>(v);
  const auto narrow = [&](auto format) {
    using Format = decltype(format);
    const float largest = Format::decode(Format::largest);
    return std::uint64_t{Format::encode(core::clamp(v32, -largest, largest))};
  };
  switch (dtype) {
    case DType::float64: {
      std::uint64_t bits;
      std::memcpy(&bits, &v, sizeof bits);
      return bits;
    }
    case DType::float32:
      return core::bits_of(v32);
    case DType::float16:
      return narrow(core::Float16{});
    case DType::bfloat16:
      return narrow(core::BFloat16{});
    case DType::float8_e4m3fn:
      return narrow(core::Float8E4M3FN{});
    case DType::float8_e5m2:
      return narrow(core::Float8E5M2{});
  }
  return 0;
}

void set_constant(FillParams& params, double v) {
  params.kind = FillParams::Kind::constant;
  params.pattern = pattern_of(v, params.dtype);
}

void set_value(FillParams& params, const Distribution& d, Compute compute) {
  if (!compute.finite(d.value)) refuse("The value must be finite in " + compute.name() + ".", d, params.dtype);
  if (d.value != 0 && compute.round(d.value) == 0) {
    refuse("The value becomes zero in " + compute.name() + ".", d, params.dtype);
  }
  set_constant(params, d.value);
}

void set_uniform(FillParams& params, const Distribution& d, Compute compute) {
  if (!compute.finite(d.low) || !compute.finite(d.high) || d.low > d.high) {
    refuse("A uniform distribution needs minval <= maxval, both finite in " + compute.name() + ".", d, params.dtype);
  }
  if (d.low == d.high) return set_constant(params, d.low);
  const double low = compute.round(d.low);
  const double high = compute.round(d.high);
  const double width = compute.round(d.high - d.low);
  if (low == high || !std::isfinite(width)) {
    refuse("The interval is empty or too wide in " + compute.name() + ".", d, params.dtype);
  }
  params.kind = FillParams::Kind::uniform;
  params.shifted = d.low != -d.high;
  params.scale = params.shifted ? width : high;
  params.shift = params.shifted ? low : 0.0;
  set_limits(params, low, high, true, d);
}

// The value formula applied to a bound, rounded to the compute type; infinite ones stay infinite.
double value_at(double bound, const Distribution& d, Compute compute) {
  if (std::isinf(bound)) return bound;
  if (compute.binary64) return d.mean != 0 ? core::fma(bound, d.stddev, d.mean) : bound * d.stddev;
  const auto z = static_cast<float>(bound);
  const auto scale = static_cast<float>(d.stddev);
  return static_cast<double>(d.mean != 0 ? core::fma(z, scale, static_cast<float>(d.mean)) : core::mul(z, scale));
}

void check_window(const Distribution& d, DType dtype, Compute compute) {
  if (!(d.lower < d.upper)) refuse("A truncated normal needs lower < upper.", d, dtype);
  for (const double bound : {d.lower, d.upper}) {
    if (std::isinf(bound)) continue;
    if (!std::isfinite(static_cast<float>(bound))) {
      refuse("A bound of the truncated normal is finite, but not in float32, in which values are accepted.", d, dtype);
    }
    if (!std::isfinite(value_at(bound, d, compute))) {
      refuse("A bound of the truncated normal is not finite in " + compute.name() + ".", d, dtype);
    }
  }
}

void set_normal(FillParams& params, const Distribution& d, Compute compute) {
  if (!compute.finite(d.mean) || !compute.finite(d.stddev) || d.stddev < 0) {
    refuse("A normal needs a mean and a stddev >= 0 that are finite in " + compute.name() + ".", d, params.dtype);
  }
  if (d.stddev > 0 && compute.round(d.stddev) == 0) {
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
  set_limits(params, value_at(params.lower, d, compute), value_at(params.upper, d, compute), false, d);
}

}  // namespace

FillParams make_params(const Distribution& distribution, const Shape& shape, DType dtype, std::uint64_t seed,
                       std::uint64_t subsequence, const Block& block) {
  size_of(dtype);  // throws for a number that is no dtype
  FillParams params{};
  params.dtype = dtype;
  params.seed = seed;
  params.subsequence = subsequence;
  params.index = make_index_map(shape, block);
  const Compute compute{dtype == DType::float64};
  switch (distribution.kind) {
    case Distribution::Kind::constant:
      set_value(params, distribution, compute);
      break;
    case Distribution::Kind::identity:
      set_value(params, distribution, compute);
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
  }
  return params;
}

}  // namespace fanin::detail

namespace fanin {

FillParams part_of(const FillParams& params, std::uint64_t first, std::uint64_t count) {
  if (first > params.index.count || count > params.index.count - first) {
    throw InvalidArgument("A fill of " + std::to_string(params.index.count) + " elements has no elements " +
                          std::to_string(first) + " to " + std::to_string(first) + " + " + std::to_string(count) +
                          " - 1");
  }
  FillParams part = params;
  part.index.first += first;
  part.index.count = count;
  return part;
}

}  // namespace fanin
