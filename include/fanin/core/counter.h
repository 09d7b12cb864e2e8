// SPDX-License-Identifier: Apache-2.0
// Which Philox block serves which element (docs/VALUES.md, section 1). The 64-bit subsequence numbers the tensor. The
// low 56 bits of the rest of the counter are an index, and its top byte is a tag that keeps all uses apart.
#pragma once

#include "fanin/core/integers.h"
#include "fanin/core/philox.h"

namespace fanin::core {

inline constexpr uint32_t first_refinement_tag = 128;  // binary64's extra digits of trial t: tags 128 ... 190
inline constexpr uint32_t rounding_tag = 191;
inline constexpr uint32_t trials = 63;

struct Generator {
  uint64_t seed;
  uint64_t subsequence;

  FANIN_HOST_DEVICE Key key() const { return {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)}; }
};

// A GeneratorType has a subsequence, and a key that Bits takes.
template <class Bits, class GeneratorType>
FANIN_HOST_DEVICE auto block(const GeneratorType& generator, uint64_t index, uint32_t tag) {
  const Words counter{static_cast<uint32_t>(index), static_cast<uint32_t>(index >> 32) | tag << 24,
                      static_cast<uint32_t>(generator.subsequence), static_cast<uint32_t>(generator.subsequence >> 32)};
  return Bits::block(counter, generator.key());
}

// Words of elements 4*quad ... 4*quad + 3.
template <class Bits, class GeneratorType>
FANIN_HOST_DEVICE Words heads(const GeneratorType& generator, uint64_t quad) {
  return block<Bits>(generator, quad, 0);
}

// Refinement words of trial 0 of elements 4*quad ... 4*quad + 3.
template <class Bits, class GeneratorType>
FANIN_HOST_DEVICE Words head_refinements(const GeneratorType& generator, uint64_t quad) {
  return block<Bits>(generator, quad, first_refinement_tag);
}

// Words that decide the stochastic rounding of elements 4*quad ... 4*quad + 3.
template <class Bits, class GeneratorType>
FANIN_HOST_DEVICE Words roundings(const GeneratorType& generator, uint64_t quad) {
  return block<Bits>(generator, quad, rounding_tag);
}

// The block that serves element i after its trial t - 1 failed, and that chooses an edge point in trial t - 1.
template <class Bits, class GeneratorType>
FANIN_HOST_DEVICE auto retry(const GeneratorType& generator, uint64_t i, uint32_t t) {
  return block<Bits>(generator, i, t);
}

// Refinement word of trial t >= 1 of element i.
template <class Bits, class GeneratorType>
FANIN_HOST_DEVICE uint32_t retry_refinement(const GeneratorType& generator, uint64_t i, uint32_t t) {
  return block<Bits>(generator, i, first_refinement_tag + t).x;
}

}  // namespace fanin::core
