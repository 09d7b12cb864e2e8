// SPDX-License-Identifier: Apache-2.0
// A fill's elements, drawn one by one in your own kernel, for example to check weights in a training step or to draw
// what is never stored. The header is for nvcc, NVRTC and, to prepare a kernel's arguments or to draw on the host, C++
// compilers. fanin.hpp does not include it.
//
// Device code gives the same bits with any flags, also with -fmad=true and --use_fast_math. Host code needs
// -ffp-contract=off (nvcc: -Xcompiler=-ffp-contract=off) where the processor has fused multiply-add.
//
// NVRTC needs --std=c++17 and, to include this header, fanin's include directory. The types __half, __nv_bfloat16 and
// __nv_fp8_* need the CUDA toolkit's include directory too.
#pragma once

#include "fanin/core/counter.h"
#include "fanin/core/fractions.h"
#include "fanin/core/integers.h"
#include "fanin/core/normal.h"
#include "fanin/core/philox.h"
#include "fanin/core/rounding.h"
#include "fanin/core/values.h"
#include "fanin/core/window.h"
#include "fanin/core/ziggurat.h"

#if __has_include(<cuda_fp16.h>) && __has_include(<cuda_bf16.h>) && __has_include(<cuda_fp8.h>)
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_fp8.h>
#define FANIN_DEVICE_HAS_NARROW_TYPES 1
#else
#define FANIN_DEVICE_HAS_NARROW_TYPES 0
#endif

#if !defined(__CUDACC_RTC__)
#include <cstring>
#include <string>
#include <type_traits>

#include "fanin/dtype.h"
#include "fanin/error.h"
#include "fanin/fill_params.h"
#endif

#if defined(__CUDA_ARCH__)
#define FANIN_UNROLL _Pragma("unroll")
#define FANIN_NO_UNROLL _Pragma("unroll 1")
#else
#define FANIN_UNROLL
#define FANIN_NO_UNROLL
#endif

namespace fanin::device {

using core::uint64_t;

namespace detail {

// What makes an element: the format of its bits.
template <class T>
struct Element {
  static_assert(sizeof(T) == 0,
                "fanin's elements are float, double, __half, __nv_bfloat16, __nv_fp8_e4m3 and __nv_fp8_e5m2; the last "
                "four need the CUDA toolkit's headers on the include path");
};
template <>
struct Element<float> {
  using Format = core::Float32;
  static FANIN_HOST_DEVICE float of(float v) { return v; }
};
template <>
struct Element<double> {
  using Format = core::Float64;
  static FANIN_HOST_DEVICE double of(double v) { return v; }
};
#if FANIN_DEVICE_HAS_NARROW_TYPES
template <>
struct Element<__half> {
  using Format = core::Float16;
  static FANIN_HOST_DEVICE __half of(core::uint16_t bits) {
    __half_raw raw;
    raw.x = bits;
    return raw;
  }
};
template <>
struct Element<__nv_bfloat16> {
  using Format = core::BFloat16;
  static FANIN_HOST_DEVICE __nv_bfloat16 of(core::uint16_t bits) {
    __nv_bfloat16_raw raw;
    raw.x = bits;
    return raw;
  }
};
template <>
struct Element<__nv_fp8_e4m3> {
  using Format = core::Float8E4M3FN;
  static FANIN_HOST_DEVICE __nv_fp8_e4m3 of(core::uint8_t bits) {
    __nv_fp8_e4m3 element;
    element.__x = bits;
    return element;
  }
};
template <>
struct Element<__nv_fp8_e5m2> {
  using Format = core::Float8E5M2;
  static FANIN_HOST_DEVICE __nv_fp8_e5m2 of(core::uint8_t bits) {
    __nv_fp8_e5m2 element;
    element.__x = bits;
    return element;
  }
};
#endif

enum class Kind : core::uint8_t {
  constant,
  identity,
  centred,  // uniform on (-scale, scale)
  unit,     // uniform on [shift, shift + scale)
  normal,   // by the table of the whole curve
  cut,      // by the table of the curve up to 2
  narrow    // in a window without a table
};

#if defined(__CUDACC__)
// Each source that draws normals has tables of its own: without -rdc=true, nvcc has no variables in device memory that
// sources share.
static __device__ const core::Ziggurat normal_table = core::normal_table;
static __device__ const core::Ziggurat cut_table = core::cut_table;
#endif

}  // namespace detail

/// What a fill draws for elements of type T: float, double, __half, __nv_bfloat16, __nv_fp8_e4m3 or __nv_fp8_e5m2.
/// Plain data of at most 200 bytes, to be passed to a kernel by value. distribution_of makes it on the host.
template <class T>
struct Distribution {
  using Format = typename detail::Element<T>::Format;
  using Real = typename Format::Compute;

  detail::Kind kind;
  typename Format::Storage pattern;  ///< constant: every element; identity: the diagonal
  uint64_t columns;                  ///< identity
  core::Affine<Real> map;
  core::Window window;        ///< kinds normal and cut
  core::NarrowWindow narrow;  ///< kind narrow
  double lower, upper;        ///< the window in binary64, if T is double
};

#if !defined(__CUDACC_RTC__)

namespace detail {

constexpr DType dtype_of(core::Float32) { return DType::float32; }
constexpr DType dtype_of(core::Float64) { return DType::float64; }
constexpr DType dtype_of(core::Float16) { return DType::float16; }
constexpr DType dtype_of(core::BFloat16) { return DType::bfloat16; }
constexpr DType dtype_of(core::Float8E4M3FN) { return DType::float8_e4m3fn; }
constexpr DType dtype_of(core::Float8E5M2) { return DType::float8_e5m2; }

inline Kind kind_of(const FillParams& params) {
  switch (params.kind) {
    case FillParams::Kind::constant:
      break;
    case FillParams::Kind::identity:
      return Kind::identity;
    case FillParams::Kind::uniform:
      return params.shifted ? Kind::unit : Kind::centred;
    case FillParams::Kind::normal: {
      const core::Sampler sampler = core::sampler_of(params.lower, params.upper);
      return core::is_narrow(sampler) ? Kind::narrow : sampler == core::Sampler::cut_at_2 ? Kind::cut : Kind::normal;
    }
    case FillParams::Kind::computed:
    case FillParams::Kind::orthogonal:
      throw InvalidArgument(
          "The values of a Formula or an Orthogonal are computed on the host, and a kernel cannot draw them");
  }
  return Kind::constant;
}

}  // namespace detail

/// The distribution of a fill, from Initializer::params, which also says the seed and the subsequence. A block or a
/// part of the fill has the distribution of the whole tensor. Throws InvalidArgument if params.dtype is not T's, and
/// for values that the host computes: those of a Formula or an Orthogonal, with an output scale, or rounded
/// stochastically.
template <class T>
Distribution<T> distribution_of(const FillParams& params) {
  static_assert(std::is_trivially_copyable_v<Distribution<T>> && sizeof(Distribution<T>) <= 200);
  constexpr DType dtype = detail::dtype_of(typename Distribution<T>::Format{});
  if (params.dtype != dtype) {
    throw InvalidArgument("The fill's dtype is " + std::string(name_of(params.dtype)) + ", but the elements are " +
                          std::string(name_of(dtype)) + ". Pass the same dtype to params.");
  }
  if (params.is_low_precision()) {
    throw InvalidArgument(
        "Values with an output scale or stochastic rounding are computed on the host, and a kernel cannot draw them");
  }
  using Real = typename Distribution<T>::Real;
  Distribution<T> d{};
  d.kind = detail::kind_of(params);
  std::memcpy(&d.pattern, &params.pattern, sizeof d.pattern);
  d.columns = params.columns;
  d.map = {static_cast<Real>(params.scale), static_cast<Real>(params.shift), static_cast<Real>(params.min),
           static_cast<Real>(params.max), params.shifted};
  d.lower = params.lower;
  d.upper = params.upper;
  d.window = {static_cast<float>(params.lower), static_cast<float>(params.upper)};
  if (d.kind == detail::Kind::narrow) d.narrow = core::narrow_window(params.lower, params.upper);
  return d;
}

#endif  // !defined(__CUDACC_RTC__)

namespace detail {

template <class T>
FANIN_HOST_DEVICE const core::Ziggurat& table_of(const Distribution<T>& d) {
#if defined(__CUDA_ARCH__)
  return d.kind == Kind::cut ? cut_table : normal_table;
#else
  return d.kind == Kind::cut ? core::cut_table : core::normal_table;
#endif
}

FANIN_HOST_DEVICE core::uint32_t word_of(const core::Words& words, int lane) {
  return lane == 0 ? words.x : lane == 1 ? words.y : lane == 2 ? words.z : words.w;
}

// The words that the first trials of a quad share: what serves elements 4q ... 4q + 3.
struct QuadWords {
  core::Words head;
  core::Words refinement;  // binary64 only
};

template <class T>
FANIN_HOST_DEVICE QuadWords words_of(const Distribution<T>& d, const core::Generator& generator, uint64_t quad) {
  QuadWords words{};
  if (d.kind != Kind::narrow) words.head = core::heads<core::Philox>(generator, quad);
  if constexpr (sizeof(T) == 8) words.refinement = core::head_refinements<core::Philox>(generator, quad);
  return words;
}

template <class T>
FANIN_HOST_DEVICE T element_of(const Distribution<T>& d, typename Distribution<T>::Real fraction) {
  return Element<T>::of(Distribution<T>::Format::encode(core::value(fraction, d.map)));
}

template <class T>
FANIN_HOST_DEVICE T uniform(const Distribution<T>& d, core::uint32_t head, core::uint32_t refinement) {
  if constexpr (sizeof(T) == 8) {
    return element_of(
        d, d.kind == Kind::centred ? core::centred_fraction(head, refinement) : core::unit_fraction(head, refinement));
  } else {
    return element_of(d, d.kind == Kind::centred ? core::centred_fraction(head) : core::unit_fraction(head));
  }
}

// The element of an accepted trial; `shape` is the table or the narrow window. `refinement` is trial 0's word.
template <class T, class Shape>
FANIN_HOST_DEVICE T normal(const Distribution<T>& d, const core::Generator& generator, uint64_t index,
                           const core::Accepted& accepted, core::uint32_t refinement, const Shape& shape) {
  if constexpr (sizeof(T) == 8) {
    const bool again = accepted.trial > 0 && accepted.trial < core::trials;
    const core::uint32_t word =
        again ? core::retry_refinement<core::Philox>(generator, index, accepted.trial) : refinement;
    return element_of(d, core::clamp(core::refine(accepted, word, shape), d.lower, d.upper));
  } else {
    return element_of(d, accepted.z);
  }
}

// A normal, through all its trials.
template <class T>
FANIN_HOST_DEVICE T normal(const Distribution<T>& d, const core::Generator& generator, uint64_t index,
                           core::uint32_t head, core::uint32_t refinement) {
  if (d.kind == Kind::narrow) {
    return normal(d, generator, index, core::first_accepted<core::Philox>(generator, index, d.narrow), refinement,
                  d.narrow);
  }
  const core::Ziggurat& table = table_of(d);
  return normal(d, generator, index, core::first_accepted<core::Philox>(generator, index, head, d.window, table),
                refinement, table);
}

template <class T>
FANIN_HOST_DEVICE bool is_random(const Distribution<T>& d) {
  return d.kind != Kind::constant && d.kind != Kind::identity;
}

template <class T>
FANIN_HOST_DEVICE T constant(const Distribution<T>& d, uint64_t index) {
  const uint64_t step = d.columns + 1;  // from one element of the diagonal to the next
  const bool set = d.kind == Kind::constant || (index % step == 0 && index / step < d.columns);
  return Element<T>::of(set ? d.pattern : typename Distribution<T>::Format::Storage{});
}

}  // namespace detail

/// The element that a fill of this distribution, seed and subsequence writes at this index of the whole tensor, in
/// row-major order; index < 2^56. Its cost is a Philox block (two if T is double), which serves four elements of a
/// fill: neighbours take a third of the instructions by quad or for_each (float32 normals: 65 and 198 PTX instructions
/// an element). 1.6 % of normals, more in a truncated one, take further blocks.
template <class T>
FANIN_HOST_DEVICE T value(const Distribution<T>& distribution, uint64_t seed, uint64_t subsequence, uint64_t index) {
  if (!detail::is_random(distribution)) return detail::constant(distribution, index);
  const core::Generator generator{seed, subsequence};
  const detail::QuadWords words = detail::words_of(distribution, generator, index / 4);
  const int lane = static_cast<int>(index % 4);
  const core::uint32_t head = detail::word_of(words.head, lane);
  const core::uint32_t refinement = detail::word_of(words.refinement, lane);
  const bool is_uniform = distribution.kind == detail::Kind::centred || distribution.kind == detail::Kind::unit;
  return is_uniform ? detail::uniform(distribution, head, refinement)
                    : detail::normal(distribution, generator, index, head, refinement);
}

/// Four elements.
template <class T>
struct Quad {
  T element[4];
};

/// Elements 4 * number ... 4 * number + 3: the values of four calls of value for the cost of one Philox block (two if T
/// is double). Elements beyond the tensor's end are values too; ignore them.
template <class T>
FANIN_HOST_DEVICE Quad<T> quad(const Distribution<T>& distribution, uint64_t seed, uint64_t subsequence,
                               uint64_t number) {
  using detail::Kind;
  Quad<T> result;
  const uint64_t index = 4 * number;
  if (!detail::is_random(distribution)) {
    FANIN_UNROLL
    for (int i = 0; i < 4; ++i) result.element[i] = detail::constant(distribution, index + static_cast<uint64_t>(i));
    return result;
  }
  const core::Generator generator{seed, subsequence};
  const detail::QuadWords words = detail::words_of(distribution, generator, number);
  if (distribution.kind == Kind::centred || distribution.kind == Kind::unit) {
    FANIN_UNROLL
    for (int i = 0; i < 4; ++i) {
      result.element[i] =
          detail::uniform(distribution, detail::word_of(words.head, i), detail::word_of(words.refinement, i));
    }
    return result;
  }
  // First trials in rectangles are nearly all. The others have one piece of code.
  core::uint32_t others = 0xf;
  if (distribution.kind != Kind::narrow) {
    const core::Ziggurat& table = detail::table_of(distribution);
    FANIN_UNROLL
    for (int i = 0; i < 4; ++i) {
      const core::uint32_t head = detail::word_of(words.head, i);
      if (core::is_edge(head)) continue;
      const float z = core::rectangle_point(head, table);
      if (!(z >= distribution.window.lower && z <= distribution.window.upper)) continue;
      result.element[i] = detail::normal(distribution, generator, index + static_cast<uint64_t>(i),
                                         core::Accepted{z, head, 0}, detail::word_of(words.refinement, i), table);
      others &= ~(1u << i);
    }
  }
  FANIN_NO_UNROLL
  for (int i = 0; others != 0; ++i, others >>= 1) {
    if ((others & 1u) == 0) continue;
    const T element = detail::normal(distribution, generator, index + static_cast<uint64_t>(i),
                                     detail::word_of(words.head, i), detail::word_of(words.refinement, i));
    FANIN_UNROLL
    for (int j = 0; j < 4; ++j) {  // constant positions, so that elements stay in registers
      if (j == i) result.element[j] = element;
    }
  }
  return result;
}

/// Calls function(index, element) for the elements [first, first + count) that are the share of a worker: whole quads,
/// number `worker` of them and every further `workers`. The share's Philox blocks are drawn once.
#if defined(__CUDACC__)
#pragma nv_exec_check_disable
#endif
template <class T, class Function>
FANIN_HOST_DEVICE void for_each(const Distribution<T>& distribution, uint64_t seed, uint64_t subsequence,
                                uint64_t first, uint64_t count, uint64_t worker, uint64_t workers,
                                Function&& function) {
  const uint64_t end = first + count;
  FANIN_NO_UNROLL
  for (uint64_t number = first / 4 + worker; 4 * number < end; number += workers) {
    const Quad<T> four = quad(distribution, seed, subsequence, number);
    FANIN_UNROLL
    for (int i = 0; i < 4; ++i) {
      const uint64_t index = 4 * number + static_cast<uint64_t>(i);
      if (index >= first && index < end) function(index, four.element[i]);
    }
  }
}

#if defined(__CUDACC__)
/// The same with the threads of a one-dimensional grid as workers: a grid-stride loop.
template <class T, class Function>
__device__ __forceinline__ void for_each(const Distribution<T>& distribution, uint64_t seed, uint64_t subsequence,
                                         uint64_t first, uint64_t count, Function&& function) {
  for_each(distribution, seed, subsequence, first, count, blockIdx.x * uint64_t{blockDim.x} + threadIdx.x,
           gridDim.x * uint64_t{blockDim.x}, function);
}
#endif

}  // namespace fanin::device

#undef FANIN_UNROLL
#undef FANIN_NO_UNROLL
#undef FANIN_DEVICE_HAS_NARROW_TYPES
