// SPDX-License-Identifier: Apache-2.0
// Turns words into fractions and normals (docs/VALUES.md, sections 2 and 3), for the first trial of an element.
#pragma once

#include <cstdint>

#include "cuda/encoded_job.h"
#include "cuda/kernel/philox.cuh"
#include "fanin/core/fractions.h"
#include "fanin/core/normal.h"

namespace fanin::gpu {

template <class T>
struct Four {
  T x, y, z, w;
};

// Returns the high 24 bits as an odd number, times 2^7: core::centred() without the shift. `half` is 0x80. It is a
// variable, because an instruction takes only one immediate number; this saves 1 instruction per element (CUDA 13.0).
__device__ __forceinline__ float centred_number(std::uint32_t word, std::uint32_t half) {
  return static_cast<float>(static_cast<std::int32_t>((word & 0xffffff00u) | half));
}

// A table in shared memory. Its entries are halved, so that the entries and the points that they give are less than 2.
// The entries of edge cells are infinite. One bit of a point therefore tells whether the point can be rejected.
struct Table {
  std::uint32_t address;     // of the lane's copy, in shared memory
  std::uint32_t cell_bytes;  // from one entry to the next
  std::uint32_t half;        // see centred_number()
  bool cut;

  static constexpr float unit = 0.5F;                    // the number that stands for 1
  static constexpr std::uint32_t suspect = 0x40000000u;  // set in numbers of 2 and more

  // Returns the point of a rectangle, times `unit`, or an infinity for an edge cell. cell_bytes fits into a byte, so
  // that one instruction, a dot product of bytes, takes the word's lowest byte, multiplies and adds. This saves 1
  // instruction per element (CUDA 13.0).
  __device__ __forceinline__ float point(std::uint32_t word) const {
    float x;
    asm("ld.shared.f32 %0, [%1];" : "=f"(x) : "r"(__dp4a(word, cell_bytes, address)));
    return core::mul(centred_number(word, half), x);
  }
  __device__ __forceinline__ Four<float> points(const Words& words) const {
    return {point(words.x), point(words.y), point(words.z), point(words.w)};
  }
};

__device__ __forceinline__ bool any_suspect(const Four<float>& z) {
  const std::uint32_t bits = __float_as_uint(z.x) | __float_as_uint(z.y) | __float_as_uint(z.z) | __float_as_uint(z.w);
  return (bits & Table::suspect) != 0;
}

// The first trials of a quad.
template <class Real>
struct FirstTrials {
  Four<Real> draws;
  bool rejected;  // whether any of them may be rejected
};

// Uniforms of a job. The same code serves both kinds: it takes 24 bits, flips the sign bit if the numbers count from 0,
// reads the bits as a signed number, and adds the offset that the flip requires. All steps are exact. If `folded`, the
// scale includes the power of two that turns these numbers into fractions. This takes one product instead of two, and
// it gives the same bits where the scale times that power is exact.
template <class RealType, bool folded>
class Uniforms {
 public:
  using Real = RealType;
  static constexpr bool can_reject = false;

  __device__ __forceinline__ explicit Uniforms(const EncodedJob& job)
      : centred_(static_cast<Draw>(job.draw) == Draw::centred),
        flip_(centred_ ? 0x80 : 0x80000000u),
        offset_(centred_ ? 0.0F : 0x1p31F) {}

  __device__ __forceinline__ Real factor() const { return sizeof(Real) == 4 && folded ? Real{unit()} : Real{1}; }

  __device__ __forceinline__ FirstTrials<Real> first(const Generator& generator, std::uint64_t quad,
                                                     const Words& words) const {
    if constexpr (sizeof(Real) == 4) {
      return {{number(words.x), number(words.y), number(words.z), number(words.w)}, false};
    } else {
      const Words more = generator.block(quad, core::first_refinement_tag);
      return {
          {fraction(words.x, more.x), fraction(words.y, more.y), fraction(words.z, more.z), fraction(words.w, more.w)},
          false};
    }
  }

 private:
  __device__ __forceinline__ float unit() const { return centred_ ? 0x1p-31F : 0x1p-32F; }
  __device__ __forceinline__ float number(std::uint32_t word) const {
    const float n = core::add(static_cast<float>(static_cast<std::int32_t>((word & 0xffffff00u) ^ flip_)), offset_);
    return folded ? n : core::mul(n, unit());
  }
  __device__ __forceinline__ double fraction(std::uint32_t word, std::uint32_t more) const {
    return centred_ ? core::centred_fraction(word, more) : core::unit_fraction(word, more);
  }

  bool centred_;
  std::uint32_t flip_;
  float offset_;
};

}  // namespace fanin::gpu
