// SPDX-License-Identifier: Apache-2.0
// Chooses the sampler of a window of the standard normal, and computes its constants (docs/VALUES.md, section 3).
#pragma once

#include "fanin/core/arithmetic.h"
#include "fanin/core/integers.h"

namespace fanin::core {

// The closed interval of accepted values in standard deviations; infinite bounds for an untruncated normal.
struct Window {
  float lower, upper;
};

enum class Sampler : uint8_t {
  normal,    // by the table of the whole curve
  cut_at_2,  // by the table of the curve up to 2, for the window [-2, 2]
  box,       // a uniform proposal
  tail       // an exponential proposal: Robert, "Simulation of truncated normal variables", 1995
};

constexpr FANIN_HOST_DEVICE Sampler sampler_of(double lower, double upper) {
  if (lower == -2 && upper == 2) return Sampler::cut_at_2;
  if (lower <= 0 && upper >= 0) return upper - lower >= 2.5 ? Sampler::normal : Sampler::box;
  const double a = upper < 0 ? -upper : lower;
  const double b = upper < 0 ? -lower : upper;
  return (b - a) * (a + b) <= 3 ? Sampler::box : Sampler::tail;
}

constexpr FANIN_HOST_DEVICE bool is_narrow(Sampler sampler) {
  return sampler == Sampler::box || sampler == Sampler::tail;
}

// Constants of the samplers `box` and `tail` for the window or, if it lies below 0, for its mirror image.
struct NarrowWindow {
  float low, high;
  float nearest;              // the point of the window that is nearest to 0
  float width;                // high - low
  float inverse_rate, delta;  // of the exponential proposal; delta = rate - nearest
  bool tail;
  bool negative;                  // the window lies below 0: the result is negated
  double low64, width64, high64;  // in binary64
  double nearest64;
};

#if !defined(__CUDACC_RTC__)
inline NarrowWindow narrow_window(double lower, double upper) {
  const bool negative = upper < 0;
  const double low = negative ? -upper : lower;
  const double high = negative ? -lower : upper;
  const double a = low > 0 ? low : 0;
  const double rate = (a + __builtin_sqrt(a * a + 4)) / 2;
  return {static_cast<float>(low),
          static_cast<float>(high),
          static_cast<float>(a),
          static_cast<float>(high - low),
          static_cast<float>(1 / rate),
          static_cast<float>(rate - a),
          sampler_of(lower, upper) == Sampler::tail,
          negative,
          low,
          high - low,
          high,
          a};
}
#endif

}  // namespace fanin::core
