// SPDX-License-Identifier: Apache-2.0
// One-pass moments in binary64, for the host and for kernels.
#pragma once

#include <cmath>
#include <cstdint>

#ifdef __CUDACC__
#define FANIN_MOMENTS_HOST_DEVICE __host__ __device__
#else
#define FANIN_MOMENTS_HOST_DEVICE
#endif

namespace fanin {

/// Count, mean, extremes, and the sums m2 to m4 of powers of the deviations from the mean.
struct MomentSums {
  std::uint64_t count;
  double mean, m2, m3, m4, min, max;
};

/// The sums of two parts together. P. Pébay, Formulas for Robust, One-Pass Parallel Computation of Covariances and
/// Arbitrary-Order Statistical Moments, SAND2008-6212 (2008): the pairwise update of M_p, for p = 2 (Chan, Golub and
/// LeVeque), 3 and 4.
FANIN_MOMENTS_HOST_DEVICE inline MomentSums merged(const MomentSums& a, const MomentSums& b) {
  if (a.count == 0) return b;
  if (b.count == 0) return a;
  const auto na = static_cast<double>(a.count);
  const auto nb = static_cast<double>(b.count);
  const double delta = b.mean - a.mean;
  const double step = delta / (na + nb);
  const double square = delta * step * na * nb;
  MomentSums both;
  both.count = a.count + b.count;
  both.mean = a.mean + nb * step;
  both.m2 = a.m2 + b.m2 + square;
  both.m3 = a.m3 + b.m3 + square * step * (na - nb) + 3 * step * (na * b.m2 - nb * a.m2);
  both.m4 = a.m4 + b.m4 + square * step * step * (na * na - na * nb + nb * nb) +
            6 * step * step * (na * na * b.m2 + nb * nb * a.m2) + 4 * step * (na * b.m3 - nb * a.m3);
  both.min = b.min < a.min ? b.min : a.min;
  both.max = b.max > a.max ? b.max : a.max;
  return both;
}

/// Sums up one part. Powers of deviations from its first number need no division. They lose few digits, because that
/// number is usually about as close to the others as the mean is.
struct PowerSums {
  std::uint64_t count = 0;
  double pivot = 0, s1 = 0, s2 = 0, s3 = 0, s4 = 0, min = HUGE_VAL, max = -HUGE_VAL;

  FANIN_MOMENTS_HOST_DEVICE void add(double x) {
    if (count == 0) pivot = x;
    const double d = x - pivot;
    const double square = d * d;
    ++count;
    s1 += d;
    s2 += square;
    s3 += square * d;
    s4 += square * square;
    min = x < min ? x : min;
    max = x > max ? x : max;
  }

  // The binomial formula moves the deviations from the pivot to the mean.
  FANIN_MOMENTS_HOST_DEVICE MomentSums moments() const {
    if (count == 0) return {0, 0, 0, 0, 0, min, max};
    const double m = s1 / static_cast<double>(count);
    return {count,
            pivot + m,
            s2 - m * s1,
            s3 - 3 * m * s2 + 2 * m * m * s1,
            s4 - 4 * m * s3 + 6 * m * m * s2 - 3 * m * m * m * s1,
            min,
            max};
  }
};

}  // namespace fanin

#undef FANIN_MOMENTS_HOST_DEVICE
