// SPDX-License-Identifier: Apache-2.0
// Writes elements to memory.
#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>

#include "cuda/encoded_job.h"
#include "cuda/kernel/format.cuh"
#include "cuda/kernel/hints.cuh"
#include "cuda/kernel/position.cuh"

namespace fanin::gpu {

__device__ __forceinline__ std::uint32_t lane_number() { return threadIdx.x % 32; }

// Stores a value to global memory. The cast tells the compiler the kind of memory, so that the store does not determine
// it.
template <class T>
__device__ __forceinline__ void store(std::uint64_t address, const T& v) {
  *static_cast<T*>(__cvta_global_to_generic(address)) = v;
}

// Stores four elements at once, with at most 16 bytes per store.
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

// Stores elements from ... to - 1 of four, one by one.
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

// Moves the elements of a warp's 32 consecutive quads, one quad per lane, up by 1 to 3 elements. The last elements of a
// lane go to the next lane, and the last elements of the last lane go to the first lane.
template <std::int32_t shift, class Packed>
__device__ __forceinline__ Packed moved_up(const Packed& packed) {
  constexpr std::uint32_t words = sizeof(Packed) / 4;
  constexpr std::int32_t bits = 8 * words * shift;  // with 4 words, a whole number of words
  const std::uint32_t lane_before = (lane_number() + 31) % 32;
  const auto before = [&](std::uint32_t word) { return __shfl_sync(0xffffffffu, word, lane_before); };
  std::uint32_t w[words];
  memcpy(w, &packed, sizeof w);
  if constexpr (words == 4) {
    const std::uint32_t v[4] = {w[0], w[1], w[2], w[3]};
#pragma unroll
    for (std::int32_t j = 0; j < 4; ++j) w[j] = j < shift ? before(v[4 - shift + j]) : v[j - shift];
  } else if constexpr (words == 2) {
    const std::uint32_t last = before(w[1]);
    if constexpr (bits < 32) {
      w[1] = __funnelshift_l(w[0], w[1], bits);
      w[0] = __funnelshift_l(last, w[0], bits);
    } else {
      const std::uint32_t last_but_one = before(w[0]);
      w[1] = __funnelshift_l(last, w[0], bits - 32);
      w[0] = __funnelshift_l(last_but_one, last, bits - 32);
    }
  } else {
    w[0] = __funnelshift_l(before(w[0]), w[0], bits);
  }
  Packed moved;
  memcpy(&moved, w, sizeof w);
  return moved;
}

// Stores whole quads of all lanes to memory that is `shift` elements past an aligned address. A lane's first quad goes
// to `address`, and each next quad goes 32 quads further. All stores are aligned, except those of the first and the
// last elements of 32 quads.
template <class Format, std::int32_t shift, std::uint32_t quads>
__device__ __forceinline__ void store_quads(std::uint64_t address, const typename Format::Packed (&packed)[quads]) {
  using Packed = typename Format::Packed;
  constexpr std::uint64_t size = sizeof(Packed) / 4;
  Packed moved[quads];
#pragma unroll
  for (std::uint32_t k = 0; k < quads; ++k) {
    moved[k] = packed[k];
    if constexpr (shift != 0) moved[k] = moved_up<shift>(packed[k]);
  }
  address -= shift * size;
  if (shift == 0 || lane_number() != 0) {
#pragma unroll
    for (std::uint32_t k = 0; k < quads; ++k) {
      const std::uint64_t at = address + k * 32 * sizeof(Packed);
      if constexpr (sizeof(Packed) == 16) {
        store_vector(at, moved[k].of[0], moved[k].of[1], moved[k].of[2], moved[k].of[3]);
      } else {
        store_four(at, moved[k]);
      }
    }
  } else {
#pragma unroll
    for (std::uint32_t k = 0; k < quads; ++k) {
      typename Format::Element e[4];
      memcpy(e, &moved[k], sizeof e);
#pragma unroll
      for (std::int32_t j = 0; j < 4; ++j) {
        store(address + (k + (j < shift ? 1 : 0)) * 32 * sizeof(Packed) + j * size, e[j]);
      }
    }
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

// Turns draws into values. The draws are divided by `factor`, a power of two.
template <class Real>
struct Affine {
  Real scale, shift;

  __device__ __forceinline__ Affine(const EncodedJob& job, const Extension& more, Real factor) {
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
__device__ __forceinline__ Limits<Real> limits_of(const EncodedJob& job, const Extension& more) {
  constexpr Real infinity = INFINITY;
  if (job.has_values == 0) return {-infinity, infinity};
  return {static_cast<Real>(more.values->min), static_cast<Real>(more.values->max)};
}

// Writes a job that has one format and no copies. If `clamped`, the format clamps the values; otherwise only a format
// that always clamps does.
template <class FormatType, bool clamped>
class Writer {
 public:
  using Format = FormatType;
  using Real = typename Format::Real;
  static constexpr bool general = sizeof(Real) == 8;  // serves any job, also one with short rows
  static constexpr std::uint64_t element_size = sizeof(typename Format::Element);
  // The number of quads that a lane makes together, so that the instructions of one quad hide the latencies of the
  // others. The dtypes of most weights have 8, which saves 0.3 instructions per element and takes a second of compile
  // time for each dtype (CUDA 13.0).
  static constexpr std::uint32_t quads_together =
      std::is_same_v<Format, AsFloat32> || std::is_same_v<Format, AsBFloat16> ? 8
      : general                                                               ? 2
                                                                              : 4;

  __device__ __forceinline__ Writer(const EncodedJob& job, const Extension& more, Real factor, std::uint32_t = 0)
      : memory_(job.address),
        aligned_(job.aligned != 0),
        affine_(job, more, factor),
        clamp_(limits_of<Real>(job, more)) {}

  __device__ __forceinline__ bool aligned() const { return aligned_; }

  __device__ __forceinline__ std::uint64_t address(std::int64_t element) const {
    return reinterpret_cast<std::uint64_t>(memory_) + element * sizeof(typename Format::Element);
  }

  // Writes whole quads to aligned memory. The lane's first quad goes to `address`, and each next quad goes 32 quads
  // further.
  __device__ __forceinline__ void write_turn(std::uint64_t address, const Four<Real> (&draws)[quads_together]) const {
#pragma unroll
    for (std::uint32_t k = 0; k < quads_together; ++k) {
      store_four(address + k * 128 * element_size, Format::template encode<clamped>(affine_(draws[k]), clamp_));
    }
  }
  __device__ __forceinline__ void write(const Quad& quad, const Four<Real>& draws) const {
    put<Format, clamped>(memory_, aligned_, quad, affine_(draws), clamp_);
  }
  // Writes nothing unless `really`. Only the store is conditional.
  __device__ __forceinline__ void write_one(bool really, std::uint64_t address, Real draw) const {
    const Real v = affine_(draw);
    const typename Format::Packed packed = Format::template encode<clamped>({v, v, v, v}, clamp_);
    typename Format::Element element;
    memcpy(&element, &packed, sizeof element);
    if (really) store(address, element);
  }

 private:
  void* memory_;
  bool aligned_;
  Affine<Real> affine_;
  typename Format::Clamp clamp_;
};

// Calls f(destination, format) for a job's memory and for each copy.
template <class F>
__device__ __forceinline__ void for_destinations(const EncodedJob* job, const Copy* copies, float min, float max,
                                                 const F& f) {
  Copy at{job->address, min, max, job->dtype, job->aligned};
  const std::uint32_t count = job->copies;
#pragma unroll 1
  for (std::uint32_t c = 0;; ++c) {
    with_format(
        at.dtype, [&](auto format) __attribute__((always_inline)) { f(at, format); });
    if (c == count) return;
    at = copies[c];
  }
}

template <class Format>
__device__ __forceinline__ void store_one(std::uint64_t address, float v, const typename Format::Clamp& clamp) {
  const typename Format::Packed packed = Format::template encode<true>({v, v, v, v}, clamp);
  typename Format::Element element;
  memcpy(&element, &packed, sizeof element);
  store(address, element);
}

// Writes an element's value to a job's memory and its copies. It is not inlined, because it has code for every format.
static __device__ __noinline__ void put_one(const EncodedJob* job, const Copy* copies, float min, float max, float v,
                                            std::int64_t element) {
  for_destinations(
      job, copies, min, max, [&](const Copy& at, auto format) __attribute__((always_inline)) {
        using Format = decltype(format);
        store_one<Format>(reinterpret_cast<std::uint64_t>(at.address) + element * sizeof(typename Format::Element), v,
                          Limits<float>{at.min, at.max});
      });
}

// Does the same for a quad's values.
static __device__ __noinline__ void put_all(const EncodedJob* job, const Copy* copies, float min, float max, float x,
                                            float y, float z, float w, std::int64_t element, std::int32_t from,
                                            std::int32_t to) {
  for_destinations(
      job, copies, min, max, [&](const Copy& at, auto format) __attribute__((always_inline)) {
        put<decltype(format), true>(at.address, at.aligned != 0, {{0, element}, from, to}, {x, y, z, w},
                                    Limits<float>{at.min, at.max});
      });
}

// Writes any job that is computed in binary32, with its copies, to memory of any alignment. Its addresses are element
// numbers.
class GeneralWriter {
 public:
  using Real = float;
  static constexpr bool general = true;
  static constexpr std::uint64_t element_size = 1;
  static constexpr std::uint32_t quads_together = 4;

  __device__ __forceinline__ GeneralWriter(const EncodedJob& job, const Extension& more, float factor,
                                           std::uint32_t = 0)
      : more_(more), affine_(job, more, factor), limits_(limits_of<float>(job, more)) {}

  __device__ __forceinline__ bool aligned() const { return true; }
  __device__ __forceinline__ std::uint64_t address(std::int64_t element) const {
    return static_cast<std::uint64_t>(element);
  }

  // Writes whole quads. The lane's first quad begins at `element`, and each next quad is 32 quads further.
  __device__ __forceinline__ void write_turn(std::uint64_t element, const Four<float> (&draws)[quads_together]) const {
    Four<float> values[quads_together];
#pragma unroll
    for (std::uint32_t k = 0; k < quads_together; ++k) values[k] = affine_(draws[k]);
    Copy at{more_.job->address, limits_.min, limits_.max, more_.job->dtype, more_.job->aligned};
#pragma unroll 1
    for (std::uint32_t c = 0;; ++c) {
      with_format(
          at.dtype, [&](auto format) __attribute__((always_inline)) {
            using Format = decltype(format);
            const Limits<float> limits{at.min, at.max};
            // Most values need no clamp, and most formats always clamp.
            const bool clamped = !std::is_same_v<Format, AsFloat32> || at.min > -INFINITY || at.max < INFINITY;
            typename Format::Packed packed[quads_together];
#pragma unroll
            for (std::uint32_t k = 0; k < quads_together; ++k) {
              packed[k] = Format::template encode<false>(values[k], limits);
            }
            if (clamped) {
#pragma unroll
              for (std::uint32_t k = 0; k < quads_together; ++k) {
                packed[k] = Format::template encode<true>(values[k], limits);
              }
            }
            constexpr std::uint64_t size = sizeof(typename Format::Element);
            const std::uint64_t address = reinterpret_cast<std::uint64_t>(at.address) + element * size;
            const auto shift = static_cast<std::uint32_t>(address / size % 4);
            if (shift == 0) store_quads<Format, 0>(address, packed);
            if (shift == 1) store_quads<Format, 1>(address, packed);
            if (shift == 2) store_quads<Format, 2>(address, packed);
            if (shift == 3) store_quads<Format, 3>(address, packed);
          });
      if (c == more_.job->copies) return;
      at = more_.copies[c];
    }
  }
  __device__ __forceinline__ void write(const Quad& quad, const Four<float>& draws) const {
    put(quad.element, quad.from, quad.to, affine_(draws));
  }
  __device__ __forceinline__ void write_one(bool really, std::uint64_t element, float draw) const {
    const float v = affine_(draw);
    if (really) {
      put_one(more_.job, more_.copies, limits_.min, limits_.max, v, static_cast<std::int64_t>(element));
    }
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

// The values of a turn, in order, in the warp's shared memory. They are rounded and written to each destination from
// there. This takes little code, and memory of any alignment needs no exchange between lanes.
struct Turn {
  std::uint32_t address;  // in shared memory

  // Returns quad number k of the lane's turn_quads / 32.
  __device__ __forceinline__ float4* quad(std::uint32_t k) const {
    return static_cast<float4*>(__cvta_shared_to_generic(lane() + 512 * k));
  }
  __device__ __forceinline__ float value(std::uint32_t n) const {
    return *static_cast<const float*>(__cvta_shared_to_generic(address + 4 * n));
  }

 private:
  __device__ __forceinline__ std::uint32_t lane() const { return opaque(address + 16 * lane_number()); }
};

// Writes a turn to an aligned address.
template <class Format, bool clamped>
__device__ __forceinline__ void store_turn(std::uint64_t address, const Turn& turn,
                                           const typename Format::Clamp& clamp) {
  constexpr std::uint32_t quad_size = 4 * sizeof(typename Format::Element);
  const std::uint64_t at = opaque(address + lane_number() * quad_size);
#pragma unroll
  for (std::uint32_t k = 0; k < turn_quads / 32; ++k) {
    const float4 v = *turn.quad(k);
    const Four<float> values{v.x, v.y, v.z, v.w};
    if constexpr (clamped) {
      store_four(at + k * 32 * quad_size, Format::template encode<true>(values, clamp));
    } else {
      store_four(at + k * 32 * quad_size, Format::round(values));
    }
  }
}

// Writes a turn that begins at `element` to memory of any alignment. It is not inlined, because few destinations need
// it.
static __device__ __noinline__ void put_unaligned_turn(void* memory, float min, float max, std::uint32_t dtype,
                                                       Turn turn, std::int64_t element) {
  with_format(
      dtype, [&](auto format) __attribute__((always_inline)) {
        using Format = decltype(format);
        constexpr std::uint64_t size = sizeof(typename Format::Element);
        const std::uint64_t address = reinterpret_cast<std::uint64_t>(memory) + element * size;
        const typename Format::Clamp clamp{Limits<float>{min, max}};
        // Aligned groups of four elements come first, then the other 4 elements one by one.
        const auto past = static_cast<std::uint32_t>(address / size) % 4;
        const std::uint32_t first = (4 - past) % 4;
#pragma unroll 2
        for (std::uint32_t n = first + 4 * lane_number(); n < 4 * turn_quads - 3; n += 128) {
          const Four<float> values{turn.value(n), turn.value(n + 1), turn.value(n + 2), turn.value(n + 3)};
          store_four(address + n * size, Format::template encode<true>(values, clamp));
        }
        if (lane_number() < 4 && past != 0) {
          const std::uint32_t n = lane_number() < first ? lane_number() : lane_number() + 4 * turn_quads - 4;
          store_one<Format>(address + n * size, turn.value(n), clamp);
        }
      });
}

// Writes a job with copies to memory of any alignment, in the fast kernel. Its addresses are element numbers.
class CopyWriter {
 public:
  using Real = float;
  static constexpr bool general = false;
  static constexpr std::uint64_t element_size = 1;
  static constexpr std::uint32_t quads_together = turn_quads / 32;

  __device__ __forceinline__ CopyWriter(const EncodedJob& job, const Extension& more, float factor, std::uint32_t turn)
      : more_(more), affine_(job, more, factor), limits_(limits_of<float>(job, more)), turn_{turn} {}

  __device__ __forceinline__ bool aligned() const { return true; }
  __device__ __forceinline__ std::uint64_t address(std::int64_t element) const {
    return static_cast<std::uint64_t>(element);
  }
  __device__ __forceinline__ void write_turn(std::uint64_t element, const Four<float> (&draws)[quads_together]) const {
#pragma unroll
    for (std::uint32_t k = 0; k < quads_together; ++k) {
      const Four<float> v = affine_(draws[k]);
      *turn_.quad(k) = make_float4(v.x, v.y, v.z, v.w);
    }
    element -= 4 * lane_number();
    __syncwarp();
    for_destinations(
        more_.job, more_.copies, limits_.min,
        limits_.max, [&](const Copy& at, auto format) __attribute__((always_inline)) {
          using Format = decltype(format);
          if (at.aligned == 0) {
            put_unaligned_turn(at.address, at.min, at.max, at.dtype, turn_, static_cast<std::int64_t>(element));
            return;
          }
          const std::uint64_t address =
              reinterpret_cast<std::uint64_t>(at.address) + element * sizeof(typename Format::Element);
          const Limits<float> limits{at.min, at.max};
          if (at.min == -INFINITY && at.max == INFINITY) {  // as for most destinations
            store_turn<Format, false>(address, turn_, limits);
          } else {
            store_turn<Format, true>(address, turn_, limits);
          }
        });
    __syncwarp();  // all lanes read before any lane writes there again
  }
  __device__ __forceinline__ void write(const Quad& quad, const Four<float>& draws) const {
    const Four<float> v = affine_(draws);
    put_all(more_.job, more_.copies, limits_.min, limits_.max, v.x, v.y, v.z, v.w, quad.element, quad.from, quad.to);
  }
  __device__ __forceinline__ void write_one(bool really, std::uint64_t element, float draw) const {
    const float v = affine_(draw);
    if (really) put_one(more_.job, more_.copies, limits_.min, limits_.max, v, static_cast<std::int64_t>(element));
  }

 private:
  const Extension& more_;
  Affine<float> affine_;
  Limits<float> limits_;
  Turn turn_;
};

}  // namespace fanin::gpu
