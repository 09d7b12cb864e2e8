// SPDX-License-Identifier: Apache-2.0
#include "formulas/exact_functions.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <new>

#include "fanin/error.h"

#if FANIN_MPFR
#include <mpfr.h>

#include <mutex>
#endif

namespace fanin::detail::exact {

#if FANIN_MPFR

namespace {

// Where MPFR has no variables of each thread, one thread at a time uses it. Debian's has them.
std::mutex& one_at_a_time() {
  static std::mutex mutex;
  return mutex;
}

// Rounds f(x) once, to binary64. MPFR rounds to 53 bits; mpfr_subnormalize rounds subnormals, from the exact value
// and not a second time.
template <class F>
double rounded(const F& f, double x) {
  MPFR_DECL_INIT(number, 53);
  mpfr_set_d(number, x, MPFR_RNDN);
  mpfr_subnormalize(number, f(number, number, MPFR_RNDN), MPFR_RNDN);
  return mpfr_get_d(number, MPFR_RNDN);
}

}  // namespace

bool is_available() { return true; }
void require(const std::string&) {}

Arithmetic::Arithmetic() {
  if (mpfr_buildopt_tls_p() == 0) one_at_a_time().lock();
  min_exponent_ = mpfr_get_emin();
  max_exponent_ = mpfr_get_emax();
  flags_ = mpfr_flags_save();
  mpfr_set_emin(-1073);  // binary64's exponents, as MPFR counts them: its smallest subnormal is 0.5 * 2^-1073
  mpfr_set_emax(1024);
}

Arithmetic::~Arithmetic() {
  mpfr_free_cache2(MPFR_FREE_LOCAL_CACHE);  // constants such as pi, which the thread's end would not free
  mpfr_set_emin(min_exponent_);
  mpfr_set_emax(max_exponent_);
  mpfr_flags_restore(flags_, MPFR_FLAGS_ALL);
  if (mpfr_buildopt_tls_p() == 0) one_at_a_time().unlock();
}

template <class Compute>
double Arithmetic::result(Function function, double x, double y, const Compute& compute) {
  if (std::isnan(x) || std::isnan(y)) return std::numeric_limits<double>::quiet_NaN();
  std::unique_ptr<Result[]>& results = results_[function];
  if (!results) {
    results.reset(new (std::nothrow) Result[remembered]);
    if (!results) return compute();
    std::fill_n(results.get(), remembered, Result{std::numeric_limits<double>::quiet_NaN(), 0, 0});
  }
  std::uint64_t bits[2];
  std::memcpy(&bits[0], &x, sizeof x);
  std::memcpy(&bits[1], &y, sizeof y);
  const std::uint64_t hash = (bits[0] ^ bits[1] >> 7) * 0x9e3779b97f4a7c15U;  // Fibonacci hashing
  Result& one = results[hash >> 54];
  static_assert(remembered == 1 << (64 - 54));
  const bool is_same = one.x == x && one.y == y && std::signbit(one.x) == std::signbit(x);
  if (!is_same) one = {x, y, compute()};
  return one.value;
}

double Arithmetic::log(double x) {
  return result(log_, x, 0, [&] { return rounded(mpfr_log, x); });
}
double Arithmetic::exp(double x) {
  return result(exp_, x, 0, [&] { return rounded(mpfr_exp, x); });
}
double Arithmetic::sin(double x) {
  return result(sin_, x, 0, [&] { return rounded(mpfr_sin, x); });
}
double Arithmetic::cos(double x) {
  return result(cos_, x, 0, [&] { return rounded(mpfr_cos, x); });
}
double Arithmetic::log1p(double x) {
  return result(log1p_, x, 0, [&] { return rounded(mpfr_log1p, x); });
}
double Arithmetic::expm1(double x) {
  return result(expm1_, x, 0, [&] { return rounded(mpfr_expm1, x); });
}

double Arithmetic::pow(double x, double y) {
  return result(pow_, x, y, [&] {
    MPFR_DECL_INIT(exponent, 53);
    mpfr_set_d(exponent, y, MPFR_RNDN);
    return rounded([&](auto* to, auto* from, mpfr_rnd_t mode) { return mpfr_pow(to, from, exponent, mode); }, x);
  });
}

double Arithmetic::softplus_inverse(double x) { return x + log(-expm1(-x)); }

#else

bool is_available() { return false; }

void require(const std::string& what) {
  throw InvalidArgument(what +
                        " needs correctly rounded functions, but this build of fanin has no MPFR. Install MPFR "
                        "(Debian: libmpfr-dev) and build fanin with FANIN_MPFR=ON");
}

Arithmetic::Arithmetic() = default;
Arithmetic::~Arithmetic() = default;

// Nothing gets here without require.
double Arithmetic::log(double) { return std::numeric_limits<double>::quiet_NaN(); }
double Arithmetic::exp(double) { return std::numeric_limits<double>::quiet_NaN(); }
double Arithmetic::sin(double) { return std::numeric_limits<double>::quiet_NaN(); }
double Arithmetic::cos(double) { return std::numeric_limits<double>::quiet_NaN(); }
double Arithmetic::pow(double, double) { return std::numeric_limits<double>::quiet_NaN(); }
double Arithmetic::log1p(double) { return std::numeric_limits<double>::quiet_NaN(); }
double Arithmetic::expm1(double) { return std::numeric_limits<double>::quiet_NaN(); }
double Arithmetic::softplus_inverse(double) { return std::numeric_limits<double>::quiet_NaN(); }

#endif

}  // namespace fanin::detail::exact
