// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cfenv>

namespace fanin::detail {

// Sets the calling thread's floating-point environment to the default (round to nearest even, subnormals kept, no
// traps) and restores it, with its exception flags, on destruction. Do arithmetic only in functions that are called
// while it lives: the compiler does not know that arithmetic in the same function depends on it.
class DefaultFpEnvironment {
 public:
  DefaultFpEnvironment() noexcept {
    std::fegetenv(&saved_);
    std::fesetenv(FE_DFL_ENV);
  }
  ~DefaultFpEnvironment() { std::fesetenv(&saved_); }
  DefaultFpEnvironment(const DefaultFpEnvironment&) = delete;
  DefaultFpEnvironment& operator=(const DefaultFpEnvironment&) = delete;

 private:
  std::fenv_t saved_;
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
