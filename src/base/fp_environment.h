// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cfenv>
#include <cstdint>

#ifdef __x86_64__
#include <xmmintrin.h>
#endif

namespace fanin::detail {

// Sets the calling thread's floating-point environment to the default (round to nearest even, subnormals kept, no
// traps) and restores it, with its exception flags, on destruction. Do arithmetic only in functions that are called
// while it lives: the compiler does not know that arithmetic in the same function depends on it.
class DefaultFpEnvironment {
 public:
#ifdef __x86_64__
  // fegetenv and fesetenv take as long as a fill of 16 elements, because they save and load the x87 unit's whole state.
  // So they are used only if something must be set. The C library rounds decimal numbers by the x87 unit's mode, value
  // code is SSE. The control words are those of a new process: System V ABI for AMD64, 3.4.1.
  DefaultFpEnvironment() noexcept : mxcsr_(_mm_getcsr()) {
    std::uint16_t x87 = 0;
    __asm__ volatile("fnstcw %0" : "=m"(x87));
    constexpr unsigned exception_flags = 0x3f;
    is_default_ = x87 == 0x37f && (mxcsr_ & ~exception_flags) == 0x1f80;
    if (!is_default_) save_and_set();
  }
  ~DefaultFpEnvironment() {
    if (is_default_) {
      _mm_setcsr(mxcsr_);
    } else {
      std::fesetenv(&saved_);
    }
  }
#else
  DefaultFpEnvironment() noexcept { save_and_set(); }
  ~DefaultFpEnvironment() { std::fesetenv(&saved_); }
#endif
  DefaultFpEnvironment(const DefaultFpEnvironment&) = delete;
  DefaultFpEnvironment& operator=(const DefaultFpEnvironment&) = delete;

 private:
  void save_and_set() noexcept {
    std::fegetenv(&saved_);
    std::fesetenv(FE_DFL_ENV);
  }

  std::fenv_t saved_;
#ifdef __x86_64__
  unsigned mxcsr_;
  bool is_default_;
#endif
};

// Returns f(). It is not inlined, so that no arithmetic moves across the call.
template <class F>
[[gnu::noinline]] auto behind_call(const F& f) {
  return f();
}

template <class F>
auto in_default_fp_environment(const F& f) {
  const DefaultFpEnvironment environment;
  return behind_call(f);
}

}  // namespace fanin::detail
