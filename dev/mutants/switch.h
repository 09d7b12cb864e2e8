// SPDX-License-Identifier: Apache-2.0
// run.py builds its copy of the sources with this header in front of each. The copy has all mutants at once, and this
// switch chooses one of them at run time (mutant schemata: Untch, Offutt and Harrold, 1993).
#pragma once

#include <cstdlib>

namespace fanin_mutants {

#if defined(__CUDACC__)
// The number of the mutant in device code, plus 1000000000. run.py finds the initial value in the program's PTX, where
// it has ten digits, and replaces it.
static __device__ int on_device = 1000000000;
#endif

inline const int on_host = [] {
  const char* number = std::getenv("FANIN_MUTANT");
  return number != nullptr ? std::atoi(number) : 0;
}();

// Whether mutant `number` is the chosen one. Constants that the compiler evaluates are never mutated.
#if defined(__CUDACC__)
__host__ __device__
#endif
    constexpr bool
    is(int number) {
#if defined(__CUDA_ARCH__)
  return !__builtin_is_constant_evaluated() && on_device == 1000000000 + number;
#else
  return !__builtin_is_constant_evaluated() && on_host == number;
#endif
}

}  // namespace fanin_mutants
