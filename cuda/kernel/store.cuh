// SPDX-License-Identifier: Apache-2.0
// Elements to memory.
#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>

#include "cuda/job.h"
#include "cuda/kernel/format.cuh"
#include "cuda/kernel/position.cuh"

namespace fanin::gpu {

__device__ __forceinline__ std::uint32_t lane_number() { return threadIdx.x % 32; }

// Memory is known to be global: stores need not ask which kind it is.
template <class T>
__device__ __forceinline__ void store(std::uint64_t address, const T& v) {
  *static_cast<T*>(__cvta_global_to_generic(address)) = v;
}

// Four elements at once, by 16 bytes at most.
template <class Packed>
__device__ __forceinline__ void store_four(std::uint64_t address, const Packed& packed) {
  if constexpr (sizeof packed == 32) {
    store(address, make_double2(packed.of[0], packed.of[1]));
    store(address + 16, make_double2(packed.of[2], packed.of[3]));
  } else if constexpr (sizeof packed == 16) {
    store(address, make_float4(packed.of[0], packed.of[1], packed.of[2], packed.of[3]));
  } else if constexpr (sizeof packed == 8) {
    uint2 bits;
    memcpy(&bits, &packed, sizeof bits);
    store(address, bits);
  } else {
    std::uint32_t bits;
    memcpy(&bits, &packed, sizeof bits);
    store(address, bits);
  }
}

// Elements from ... to - 1 of four, each by itself.
template <class Format>
__device__ __forceinline__ void store_some(std::uint64_t address, const typename Format::Packed& packed,
                                           std::int32_t from, std::int32_t to) {
  typename Format::Element e[4];
  static_assert(sizeof e == sizeof packed);
  memcpy(e, &packed, sizeof e);
#pragma unroll
  for (std::int32_t j = 0; j < 4; ++j) {
    if (j >= from && j < to) store(address + j * sizeof e[0], e[j]);
  }
}

template <class Format, bool clamped>
__device__ __forceinline__ void put(void* memory, bool aligned, const Quad& quad,
                                    const Four<typename Format::Real>& values, const typename Format::Clamp& clamp) {
  const typename Format::Packed packed = Format::template encode<clamped>(values, clamp);
  const std::uint64_t address =
      reinterpret_cast<std::uint64_t>(memory) + quad.element * sizeof(typename Format::Element);
  if (aligned && quad.from == 0 && quad.to == 4) {
    store_four(address, packed);
  } else {
    store_some<Format>(address, packed, quad.from, quad.to);
  }
}

// Draws to values. Draws are given divided by `factor`, a power of two.
template <class Real>
struct Affine {
  Real scale, shift;

  __device__ __forceinline__ Affine(const Job& job, const Extension& more, Real factor) {
    if constexpr (sizeof(Real) == 8) {
      scale = core::mul(more.values->scale, factor);
      shift = more.values->shift;
    } else {
      scale = core::mul(job.scale, factor);
      shift = job.shift;
    }
  }
  __device__ __forceinline__ Real operator()(Real draw) const { return core::fma(draw, scale, shift); }
  __device__ __forceinline__ Four<Real> operator()(const Four<Real>& draws) const {
    return {(*this)(draws.x), (*this)(draws.y), (*this)(draws.z), (*this)(draws.w)};
  }
};

template <class Real>
__device__ __forceinline__ Limits<Real> limits_of(const Job& job, const Extension& more) {
  constexpr Real infinity = INFINITY;
  if (job.has_values == 0) return {-infinity, infinity};
  return {static_cast<Real>(more.values->min), static_cast<Real>(more.values->max)};
}

// Writes a job of one format and no copies. clamped: as the format says, else only if it always clamps.
template <class FormatType, bool clamped>
class Writer {
 public:
  using Format = FormatType;
  using Real = typename Format::Real;
  static constexpr std::uint64_t quad_size = sizeof(typename Format::Packed);
  // Quads that a lane makes together, so that their instructions fill each other's waits: 8 for the dtypes of most
  // weights, which saves 0.3 instructions an element and takes the compiler a second each (CUDA 13.0).
  static constexpr std::uint32_t quads_together =
      std::is_same_v<Format, AsFloat32> || std::is_same_v<Format, AsBFloat16> ? 8 : 4;

  __device__ __forceinline__ Writer(const Job& job, const Extension& more, Real factor)
      : memory_(job.address),
        aligned_(job.aligned != 0),
        affine_(job, more, factor),
        clamp_(limits_of<Real>(job, more)) {}

  __device__ __forceinline__ bool aligned() const { return aligned_; }

  // A whole quad in aligned memory, `further` bytes after the element; clamped only if the format always does.
  __device__ __forceinline__ std::uint64_t address(std::int64_t element) const {
    return reinterpret_cast<std::uint64_t>(memory_) + element * sizeof(typename Format::Element);
  }
  __device__ __forceinline__ void write_whole(std::uint64_t address, const Four<Real>& draws) const {
    store_four(address, Format::template encode<clamped>(affine_(draws), clamp_));
  }

  __device__ __forceinline__ void write(const Quad& quad, const Four<Real>& draws) const {
    put<Format, clamped>(memory_, aligned_, quad, affine_(draws), clamp_);
  }
  // Element n of a quad, which exists.
  __device__ __forceinline__ void write_one(const Place& place, std::int32_t n, Real draw) const {
    const Real v = affine_(draw);
    const typename Format::Packed packed = Format::template encode<clamped>({v, v, v, v}, clamp_);
    typename Format::Element element;
    memcpy(&element, &packed, sizeof element);
    store(address(place.element + n), element);
  }

 private:
  void* memory_;
  bool aligned_;
  Affine<Real> affine_;
  typename Format::Clamp clamp_;
};

// A quad's values to a job's memory and its copies'. A function that is called, because it has code for every format.
static __device__ __noinline__ void put_all(const Job* job, const Copy* copies, float min, float max, float x, float y,
                                            float z, float w, std::int64_t element, std::int32_t from,
                                            std::int32_t to) {
  Copy at{job->address, min, max, job->dtype, job->aligned};
#pragma unroll 1
  for (std::uint32_t c = 0;; ++c) {
    with_format(
        at.dtype, [&](auto format) __attribute__((always_inline)) {
          put<decltype(format), true>(at.address, at.aligned != 0, {{0, element}, from, to}, {x, y, z, w},
                                      Limits<float>{at.min, at.max});
        });
    if (c == job->copies) return;
    at = copies[c];
  }
}

// Writes any job that is computed in binary32, with its copies.
class AnyWriter {
 public:
  using Real = float;

  __device__ __forceinline__ AnyWriter(const Job& job, const Extension& more, float factor)
      : more_(more), affine_(job, more, factor), limits_(limits_of<float>(job, more)) {}

  __device__ __forceinline__ void write(const Quad& quad, const Four<float>& draws) const {
    put(quad.element, quad.from, quad.to, affine_(draws));
  }
  __device__ __forceinline__ void write_one(const Place& place, std::int32_t n, float draw) const {
    const float v = affine_(draw);
    put(place.element, n, n + 1, {v, v, v, v});
  }

 private:
  __device__ __forceinline__ void put(std::int64_t element, std::int32_t from, std::int32_t to,
                                      const Four<float>& v) const {
    put_all(more_.job, more_.copies, limits_.min, limits_.max, v.x, v.y, v.z, v.w, element, from, to);
  }

  const Extension& more_;
  Affine<float> affine_;
  Limits<float> limits_;
};

}  // namespace fanin::gpu
