// SPDX-License-Identifier: Apache-2.0
// Functions of binary64 that are correctly rounded, so that they give the same bits everywhere. MPFR computes them.
#pragma once

#include <string>

namespace fanin::detail::exact {

// Whether this build has MPFR.
bool is_available();

// Throws InvalidArgument, which says what needs the functions, if this build has no MPFR.
void require(const std::string& what);

// While it lives, the calling thread may call the functions below. It keeps the settings that the caller has made for
// MPFR on this thread.
class Arithmetic {
 public:
  Arithmetic();
  ~Arithmetic();
  Arithmetic(const Arithmetic&) = delete;
  Arithmetic& operator=(const Arithmetic&) = delete;

 private:
  // MPFR's types, so that its header is not needed here.
  long min_exponent_ = 0, max_exponent_ = 0;
  unsigned flags_ = 0;
};

// NaN for a NaN. Requires the default floating-point environment.
double log(double x);
double exp(double x);
double sin(double x);
double cos(double x);
double pow(double x, double y);
double log1p(double x);
double expm1(double x);

// x + log(-expm1(-x)), three functions that are rounded one by one: the inverse of softplus(x) = log(1 + exp(x)) in the
// form that does not overflow, as Mamba's dt_bias has it.
double softplus_inverse(double x);

}  // namespace fanin::detail::exact
