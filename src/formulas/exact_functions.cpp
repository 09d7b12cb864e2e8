// SPDX-License-Identifier: Apache-2.0
#include "formulas/exact_functions.h"

#include <cmath>
#include <limits>

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

// Rounds f(x...) once, to binary64. MPFR rounds to 53 bits; mpfr_subnormalize rounds subnormals, from the exact value
// and not a second time.
template <class F>
double rounded(const F& f, double x) {
  if (std::isnan(x)) return x;
  MPFR_DECL_INIT(number, 53);
  mpfr_set_d(number, x, MPFR_RNDN);
  mpfr_subnormalize(number, f(number, number), MPFR_RNDN);
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

double log(double x) {
  return rounded([](auto* to, auto* from) { return mpfr_log(to, from, MPFR_RNDN); }, x);
}
double exp(double x) {
  return rounded([](auto* to, auto* from) { return mpfr_exp(to, from, MPFR_RNDN); }, x);
}
double sin(double x) {
  return rounded([](auto* to, auto* from) { return mpfr_sin(to, from, MPFR_RNDN); }, x);
}
double cos(double x) {
  return rounded([](auto* to, auto* from) { return mpfr_cos(to, from, MPFR_RNDN); }, x);
}
double log1p(double x) {
  return rounded([](auto* to, auto* from) { return mpfr_log1p(to, from, MPFR_RNDN); }, x);
}
double expm1(double x) {
  return rounded([](auto* to, auto* from) { return mpfr_expm1(to, from, MPFR_RNDN); }, x);
}

double pow(double x, double y) {
  if (std::isnan(x) || std::isnan(y)) return std::numeric_limits<double>::quiet_NaN();
  MPFR_DECL_INIT(exponent, 53);
  mpfr_set_d(exponent, y, MPFR_RNDN);
  return rounded([&](auto* to, auto* from) { return mpfr_pow(to, from, exponent, MPFR_RNDN); }, x);
}

double softplus_inverse(double x) { return x + log(-expm1(-x)); }

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
double log(double) { return std::numeric_limits<double>::quiet_NaN(); }
double exp(double) { return std::numeric_limits<double>::quiet_NaN(); }
double sin(double) { return std::numeric_limits<double>::quiet_NaN(); }
double cos(double) { return std::numeric_limits<double>::quiet_NaN(); }
double pow(double, double) { return std::numeric_limits<double>::quiet_NaN(); }
double log1p(double) { return std::numeric_limits<double>::quiet_NaN(); }
double expm1(double) { return std::numeric_limits<double>::quiet_NaN(); }
double softplus_inverse(double) { return std::numeric_limits<double>::quiet_NaN(); }

#endif

}  // namespace fanin::detail::exact
