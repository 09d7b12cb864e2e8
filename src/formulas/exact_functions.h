// SPDX-License-Identifier: Apache-2.0
// Functions of binary64 that are correctly rounded, so that they give the same bits everywhere. MPFR computes them.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

namespace fanin::detail::exact {

// Whether this build has MPFR.
bool is_available();

// Throws InvalidArgument, which says what needs the functions, if this build has no MPFR.
void require(const std::string& what);

// Computes the functions on the thread that makes it. It keeps the settings that the caller has made for MPFR on this
// thread, and remembers results, because many arguments occur again, such as the frequencies of a sinusoid in each row.
// All functions give NaN for a NaN, and require the default floating-point environment.
class Arithmetic {
 public:
  Arithmetic();
  ~Arithmetic();
  Arithmetic(const Arithmetic&) = delete;
  Arithmetic& operator=(const Arithmetic&) = delete;

  double log(double x);
  double exp(double x);
  double sin(double x);
  double cos(double x);
  double pow(double x, double y);
  double log1p(double x);
  double expm1(double x);

  // x + log(-expm1(-x)), three functions that are rounded one by one: the inverse of softplus(x) = log(1 + exp(x)) in
  // the form that does not overflow, as Mamba's dt_bias has it.
  double softplus_inverse(double x);

 private:
  enum Function : std::size_t { log_, exp_, sin_, cos_, pow_, log1p_, expm1_, functions };

  struct Result {
    double x, y, value;
  };
  static constexpr std::size_t remembered = 1024;  // of each function, 24 KiB

  template <class Compute>
  double result(Function function, double x, double y, const Compute& compute);

  std::unique_ptr<Result[]> results_[functions];  // made when needed; null if there is no memory
  // MPFR's types, so that its header is not needed here.
  [[maybe_unused]] long min_exponent_ = 0, max_exponent_ = 0;
  [[maybe_unused]] unsigned flags_ = 0;
};

}  // namespace fanin::detail::exact
