// SPDX-License-Identifier: Apache-2.0
// The kernel: every warp draws and writes the elements that are its own, and draws again those that were rejected.
//
// A launch's elements are dealt out to warps in one piece each. Every lane makes quads and stores them as they are;
// quads in which an element was rejected are noted in the warp's queue in shared memory. Whenever 32 are noted, each
// lane redoes one element and stores it over what stands there; failures are noted again. Elements that need a point of
// an edge cell, which takes longer, wait in a second queue until there are 32 of them. So all lanes nearly always have
// work, no warp waits for another, and nothing is kept that depends on a tensor's size.
#include "cuda/fill_kernel.h"

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_fp8.h>
#include <curand_kernel.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "core/fractions.h"
#include "core/normal.h"
#include "core/streams.h"
#include "cuda/edge_tables.h"
#include "fanin/dtype.h"

namespace fanin::gpu {

namespace {

using core::Words;

// In device memory, not in constant memory, because threads look up different entries.
__device__ const core::Ziggurat ziggurat = core::ziggurat;
__device__ const EdgeTables edge_tables = make_edge_tables();

constexpr std::uint32_t infinity_bits = 0x7f800000u;

// The keys of curand_Philox4x32_10's ten rounds. Kept, because the compiler would rather work them out for each block.
constexpr std::uint32_t philox_rounds = 10;
struct RoundKeys {
  uint2 of[philox_rounds];
};

struct CuRand {
  static __device__ __forceinline__ Words block(Words counter, const RoundKeys& keys) {
    uint4 words = make_uint4(counter.x, counter.y, counter.z, counter.w);
#pragma unroll
    for (std::uint32_t round = 0; round < philox_rounds; ++round) words = _philox4x32round(words, keys.of[round]);
    return {words.x, words.y, words.z, words.w};
  }
};

struct Stream {
  RoundKeys keys;
  std::uint64_t subsequence;
  __device__ __forceinline__ const RoundKeys& key() const { return keys; }
};

__device__ __forceinline__ std::uint32_t lane_number() { return threadIdx.x % 32; }

__device__ __forceinline__ std::uint32_t address_of(const void* shared_memory) {
  return static_cast<std::uint32_t>(__cvta_generic_to_shared(shared_memory));
}

// The table of widths in shared memory: a cell's entry is at cell * cell_bytes + address.
struct Table {
  std::uint32_t cell_bytes;
  std::uint32_t address;
  // 0x80, from memory, lest the compiler know it: a logic instruction takes one immediate number only.
  std::uint32_t half;
};

__device__ __forceinline__ float load_width(std::uint32_t address) {
  float v;
  asm("ld.shared.f32 %0, [%1];" : "=f"(v) : "r"(address));
  return v;
}

// k * X of a word, or infinite in an edge cell (docs/VALUES.md, section 3; centred fractions: section 2).
__device__ __forceinline__ float rectangle_point(std::uint32_t word, const Table& table) {
  const auto k = static_cast<float>(static_cast<std::int32_t>((word & 0xffffff00u) | table.half));  // times 2^7
  // The dot product of bytes takes the lowest one, scales it and adds, in one instruction.
  return core::mul(k, load_width(__dp4a(word, table.cell_bytes, table.address)));
}

// ---- what was rejected ----------------------------------------------------------------------------------------------

// What became of an element is the high byte of a binary32 number: not rejected, or outside the window, or in an edge
// cell, and then its sign.
constexpr std::uint32_t rejected_bit = 0x40;
constexpr std::uint32_t edge_bits = 0x7f;  // infinity's
constexpr std::uint32_t sign_bit = 0x80;
constexpr std::uint32_t all_rejected_bits = 0x01010101u * rejected_bit;

// The high bytes of four numbers.
__device__ __forceinline__ std::uint32_t marks_of(float x, float y, float z, float w) {
  const std::uint32_t low = __byte_perm(__float_as_uint(x), __float_as_uint(y), 0x0073);
  const std::uint32_t high = __byte_perm(__float_as_uint(z), __float_as_uint(w), 0x0073);
  return __byte_perm(low, high, 0x5410);
}

// Up to four elements in a row, of which some were rejected.
struct Noted {
  // The first one, counted from a segment's first quad; the tag of its next block in the high byte.
  std::uint32_t element;
  std::uint32_t marks;  // of the first one in the low byte
};
constexpr std::uint32_t tag_shift = 24;
constexpr std::uint32_t first_tag = 1u << tag_shift;
constexpr std::uint32_t max_segment_quads = 1u << 20;

constexpr std::uint32_t quads_together = 4;

// A warp's. Two rings, of which the warp knows the heads. Used through addresses in shared memory.
struct alignas(16) Queue {
  // Powers of two, for what all lanes note together, and two incomplete warps.
  static constexpr std::uint32_t size = 256;
  static constexpr std::uint32_t edges_size = 64;

  static_assert(size >= 32 * (quads_together + 3));

  uint4 words[edges_size];  // of noted edge elements: those of the retry block
  uint2 edges[edges_size];  // the same elements' Noted
  uint2 noted[size];
  std::uint32_t tail, edges_tail;  // numbers of the next free places
  // Twice the same, for lanes of even and odd number: what the compiler does not know to be the same for all lanes
  // it keeps in ordinary registers. Of those for uniform values there are not enough for a key's rounds.
  uint2 keys[philox_rounds][2];
  uint2 subsequence[2];
};

__device__ __forceinline__ std::uint32_t load_shared(std::uint32_t address) {
  std::uint32_t v;
  asm volatile("ld.shared.u32 %0, [%1];" : "=r"(v) : "r"(address) : "memory");
  return v;
}
__device__ __forceinline__ uint2 load_shared_pair(std::uint32_t address) {
  uint2 v;
  asm volatile("ld.shared.v2.u32 {%0, %1}, [%2];" : "=r"(v.x), "=r"(v.y) : "r"(address) : "memory");
  return v;
}

// Where a warp notes what it has to redo.
struct Notes {
  std::uint32_t queue;   // addresses in shared memory
  std::uint32_t unused;  // of a word for each lane, which nobody reads
  std::uint32_t head, edges_head;

  __device__ __forceinline__ std::uint32_t noted(std::uint32_t n) const {
    return queue + offsetof(Queue, noted) + 8 * n;
  }
  __device__ __forceinline__ uint2 tails() const { return load_shared_pair(queue + offsetof(Queue, tail)); }

  // Notes elements if one of them is rejected. Lanes without one add elsewhere: a branch around the addition would
  // take longer than the addition.
  __device__ __forceinline__ void note_if_rejected(const Noted& n) const {
    asm volatile(
        "{\n\t.reg .pred rejected;\n\t.reg .u32 at;\n\t"
        "and.b32 at, %1, 0x40404040;\n\t"
        "setp.ne.u32 rejected, at, 0;\n\t"
        "selp.b32 at, %2, %3, rejected;\n\t"
        "atom.shared.inc.u32 at, [at], %4;\n\t"
        "mad.lo.u32 at, at, 8, %5;\n\t"
        "@rejected st.shared.v2.u32 [at], {%0, %1};\n\t}"
        :
        : "r"(n.element), "r"(n.marks), "r"(queue + static_cast<std::uint32_t>(offsetof(Queue, tail))), "r"(unused),
          "r"(Queue::size - 1), "r"(noted(0))
        : "memory");
  }
  // An element in an edge cell, and the words that choose its point.
  __device__ __forceinline__ void note_edge(const Noted& n, const Words& words) const {
    asm volatile(
        "{\n\t.reg .u32 n, at;\n\t"
        "atom.shared.inc.u32 n, [%0], %9;\n\t"
        "mad.lo.u32 at, n, 8, %1;\n\t"
        "st.shared.v2.u32 [at], {%3, %4};\n\t"
        "mad.lo.u32 at, n, 16, %2;\n\t"
        "st.shared.v4.u32 [at], {%5, %6, %7, %8};\n\t}"
        :
        : "r"(queue + static_cast<std::uint32_t>(offsetof(Queue, edges_tail))),
          "r"(queue + static_cast<std::uint32_t>(offsetof(Queue, edges))),
          "r"(queue + static_cast<std::uint32_t>(offsetof(Queue, words))), "r"(n.element), "r"(n.marks), "r"(words.x),
          "r"(words.y), "r"(words.z), "r"(words.w), "n"(Queue::edges_size - 1)
        : "memory");
  }
};

// ---- where elements are -------------------------------------------------------------------------------------------

// What follows a job.
struct Extensions {
  const std::uint64_t* columns;
  const Wide* wide;
  const Limits* limits;
  const Rows* rows;
  const Dimension* dimensions;
  const Copy* copies;

  __device__ Extensions(const Job& job, const std::uint64_t* data) {
    const std::uint64_t* at = data + job.extension;
    columns = at;
    const bool is_wide = static_cast<DType>(job.dtype) == DType::float64;
    wide = reinterpret_cast<const Wide*>(at);
    if (is_wide) at += sizeof(Wide) / 8;
    limits = reinterpret_cast<const Limits*>(at);
    if (job.clamped != 0 && !is_wide) at += sizeof(Limits) / 8;
    rows = reinterpret_cast<const Rows*>(at);
    if (job.blocked != 0) at += sizeof(Rows) / 8;
    dimensions = reinterpret_cast<const Dimension*>(at);
    if (job.blocked != 0) at += rows->rank * (sizeof(Dimension) / 8);
    copies = reinterpret_cast<const Copy*>(at);
  }
};

// Quads of a job that a warp makes in one go, numbered from 0. Those of a dense job have consecutive indices; their low
// words do not pass 2^32, nor those of their elements, so that all that follows from the high ones is the same for all
// lanes.
struct Dense {
  std::uint32_t low, high;  // index of the first quad
  __device__ __forceinline__ std::uint64_t quad(std::uint32_t q) const { return std::uint64_t{high} << 32 | (low + q); }
  __device__ __forceinline__ std::uint64_t index(std::uint32_t element) const {
    return std::uint64_t{high << 2 | low >> 30} << 32 | (4 * low + element);
  }
};

// The quads of a blocked job are dealt out row by row; each row has as many as one that begins anywhere may touch.
struct Blocked {
  std::uint64_t start;
  std::uint64_t first_row, first_column;  // the column in quads
  std::uint64_t quads_per_row;
  const Rows* rows;
  const Dimension* dimensions;

  struct Position {
    std::uint64_t row;
    std::uint64_t row_start;  // index of its first element
    std::uint64_t quad;
  };

  __device__ __forceinline__ Position position(std::uint32_t q) const {
    const std::uint64_t n = first_column + q;
    std::uint64_t row = n >= quads_per_row ? 1 : 0;
    if (quads_per_row < (1u << 30)) row = static_cast<std::uint32_t>(n) / static_cast<std::uint32_t>(quads_per_row);
    const std::uint64_t column = n - row * quads_per_row;
    row += first_row;
    std::uint64_t row_start = start;
    std::uint64_t rest = row;
    for (std::uint64_t j = rows->rank; j-- > 1; rest /= dimensions[j].extent) {
      row_start += rest % dimensions[j].extent * dimensions[j].stride;
    }
    row_start += rest * dimensions[0].stride;
    return {row, row_start, row_start / 4 + column};
  }
  __device__ __forceinline__ std::uint64_t quad(std::uint32_t q) const { return position(q).quad; }
  __device__ __forceinline__ std::uint64_t index(std::uint32_t element) const {
    return 4 * quad(element / 4) + element % 4;
  }
};

// The elements of a quad that are a job's: `from` to `to` - 1, the first of all four would be element `number` of it.
struct Part {
  std::int64_t number;
  std::int64_t from, to;
};

__device__ __forceinline__ Part part_of_quad(const Job& job, const Dense& dense, std::uint32_t q) {
  const auto number = static_cast<std::int64_t>(4 * dense.quad(q) - job.start);
  return {number, max(std::int64_t{0}, -number), min(std::int64_t{4}, static_cast<std::int64_t>(job.count) - number)};
}

__device__ __forceinline__ Part part_of_quad(const Job& job, const Blocked& blocked, std::uint32_t q) {
  const Blocked::Position at = blocked.position(q);
  const auto run = static_cast<std::int64_t>(blocked.rows->run);
  const auto column = static_cast<std::int64_t>(4 * at.quad - at.row_start);
  const auto number = static_cast<std::int64_t>(at.row * blocked.rows->run - blocked.rows->first) + column;
  return {number, max(std::int64_t{0}, max(-column, -number)),
          min(std::int64_t{4}, min(run - column, static_cast<std::int64_t>(job.count) - number))};
}

// ---- draws --------------------------------------------------------------------------------------------------------

template <class Real>
struct Quad {
  Real x, y, z, w;
};

// Both kinds of fractions by one piece of code: 24 bits, the sign bit flipped if they are to count from 0, read as a
// signed number, then moved up again. All steps are exact.
template <class Real>
struct Uniform {
  bool centred;
  std::uint32_t flip;
  float offset;

  __device__ Uniform(Draw draw, std::uint32_t half)
      : centred(draw == Draw::centred), flip(centred ? half : 0x80000000u), offset(centred ? 0.0F : 0x1p31F) {}

  // The fraction times 2^31, or 2^32 if it counts from 0.
  __device__ __forceinline__ float number(std::uint32_t word) const {
    return core::add(static_cast<float>(static_cast<std::int32_t>((word & 0xffffff00u) ^ flip)), offset);
  }

  __device__ __forceinline__ float unit() const { return centred ? 0x1p-31F : 0x1p-32F; }

  // What takes a number to where `scale` takes its fraction, for all scales but the smallest.
  __device__ __forceinline__ float folded(float scale) const { return core::mul(scale, unit()); }

  __device__ __forceinline__ Quad<float> numbers(const Words& w) const {
    return {number(w.x), number(w.y), number(w.z), number(w.w)};
  }

  __device__ __forceinline__ Real fraction(std::uint32_t word, std::uint32_t refinement) const {
    if constexpr (sizeof(Real) == 4) {
      return core::mul(number(word), unit());
    } else {
      return centred ? core::centred_fraction(word, refinement) : core::unit_fraction(word, refinement);
    }
  }

  __device__ __forceinline__ Quad<Real> make(const Stream& stream, std::uint64_t quad) const {
    const Words h = core::heads<CuRand>(stream, quad);
    Words r{};
    if constexpr (sizeof(Real) == 8) r = core::head_refinements<CuRand>(stream, quad);
    return {fraction(h.x, r.x), fraction(h.y, r.y), fraction(h.z, r.z), fraction(h.w, r.w)};
  }
};

// Standard normals within [lower, upper]; if symmetric, within [-2, 2] or all.
template <class Real, bool symmetric>
struct Normal {
  static constexpr bool is_symmetric = symmetric;
  float lower, upper;
  Table table;
  const Wide* wide;  // of Real = double

  // A number whose high byte says what becomes of a rectangle's point z, or of the infinite one that stands for a
  // point of an edge cell.
  __device__ __forceinline__ float mark(float z) const {
    if constexpr (symmetric) {
      // |z| > 2 exactly if the product with the number below 1 is at least 2; without a window, |z| < 2^10.
      return core::mul(z, upper == 2 ? 1 - 0x1p-24F : 0x1p-10F);
    } else {
      if (fabsf(z) == INFINITY) return z;
      return z >= lower && z <= upper ? 0.0F : 2.0F;
    }
  }

  __device__ __forceinline__ bool is_inside(float z) const {
    return symmetric ? fabsf(z) <= upper : z >= lower && z <= upper;
  }

  // Trial 0 of a quad's elements: what they are if they are not rejected.
  __device__ __forceinline__ Quad<Real> make(const Stream& stream, std::uint64_t quad, std::uint32_t& marks) const {
    const Words h = core::heads<CuRand>(stream, quad);
    const Quad<float> z{rectangle_point(h.x, table), rectangle_point(h.y, table), rectangle_point(h.z, table),
                        rectangle_point(h.w, table)};
    marks = marks_of(mark(z.x), mark(z.y), mark(z.z), mark(z.w));
    if constexpr (sizeof(Real) == 4) {
      return z;
    } else {
      const Words r = core::head_refinements<CuRand>(stream, quad);
      return {refined(h.x, r.x), refined(h.y, r.y), refined(h.z, r.z), refined(h.w, r.w)};
    }
  }

  // A point of a rectangle with all its digits.
  __device__ __forceinline__ double refined(std::uint32_t head, std::uint32_t refinement) const {
    if (core::is_edge(head)) return 0;
    const double k = core::refined(core::centred(head), refinement);
    return core::clamp(core::mul(k, ziggurat.x_scaled64[core::cell_of(head)]), wide->lower, wide->upper);
  }

  // The value of element i's accepted trial, z, a rectangle's point.
  __device__ __forceinline__ Real rectangle_value(float z, const Stream& stream, std::uint64_t i, std::uint32_t head,
                                                  std::uint32_t trial) const {
    if constexpr (sizeof(Real) == 4) {
      return z;
    } else {
      return trial == core::trials ? 0.0 : refined(head, core::retry_refinement<CuRand>(stream, i, trial));
    }
  }

  // The value of element i's accepted trial, z, a point of an edge cell.
  __device__ __forceinline__ Real edge_value(float z, const Stream& stream, std::uint64_t i,
                                             std::uint32_t trial) const {
    if constexpr (sizeof(Real) == 4) {
      return z;
    } else {
      std::uint32_t word;
      if (trial > 0) {
        word = core::retry_refinement<CuRand>(stream, i, trial);
      } else {
        const Words r = core::head_refinements<CuRand>(stream, i / 4);
        word = i % 4 == 0 ? r.x : i % 4 == 1 ? r.y : i % 4 == 2 ? r.z : r.w;
      }
      const core::Accepted accepted{z, core::rectangles, trial};  // the head word of any edge cell does
      return core::clamp(core::refine(accepted, word, ziggurat), wide->lower, wide->upper);
    }
  }
};

// The point of an edge cell that a retry block chooses.
__device__ __forceinline__ core::Trial edge_point(bool negative, const Words& words) {
  std::uint32_t box = edge_tables.first_box[words.y >> (32 - EdgeTables::first_box_bits)];
  if (words.y > edge_tables.last_word[box]) ++box;
  return core::point_of_box(negative ? 0x80000000u : 0u, box, edge_tables.box[box], words);
}

// ---- formats ------------------------------------------------------------------------------------------------------

// Fractions and normals to values.
template <class Real>
struct Affine {
  Real scale, shift, min, max;

  __device__ __forceinline__ Real operator()(Real v) const { return core::fma(v, scale, shift); }
  __device__ __forceinline__ Quad<Real> operator()(const Quad<Real>& v) const {
    return {(*this)(v.x), (*this)(v.y), (*this)(v.z), (*this)(v.w)};
  }
  __device__ __forceinline__ float clamp(float v) const { return fminf(fmaxf(v, min), max); }
  __device__ __forceinline__ double clamp(double v) const { return fmin(fmax(v, min), max); }
  __device__ __forceinline__ Quad<Real> clamp(const Quad<Real>& v) const {
    return {clamp(v.x), clamp(v.y), clamp(v.z), clamp(v.w)};
  }
};

// A format rounds four values to four elements, and clamps them before or afterwards.
struct AsFloat32 {
  using Real = float;
  using Element = float;
  using Elements = float4;
  template <bool clamped>
  static __device__ __forceinline__ Elements encode(Quad<float> v, const Affine<float>& affine) {
    if (clamped) v = affine.clamp(v);
    return make_float4(v.x, v.y, v.z, v.w);
  }
};

struct AsFloat64 {
  using Real = double;
  using Element = double;
  struct alignas(16) Elements {
    double2 low, high;
  };
  template <bool clamped>
  static __device__ __forceinline__ Elements encode(Quad<double> v, const Affine<double>& affine) {
    if (clamped) v = affine.clamp(v);
    return {make_double2(v.x, v.y), make_double2(v.z, v.w)};
  }
};

__device__ __forceinline__ __nv_bfloat162 round_pair(float a, float b, __nv_bfloat162) {
  return __floats2bfloat162_rn(a, b);
}
__device__ __forceinline__ __half2 round_pair(float a, float b, __half2) { return __floats2half2_rn(a, b); }
__device__ __forceinline__ __nv_bfloat162 both(float v, __nv_bfloat162) { return __float2bfloat162_rn(v); }
__device__ __forceinline__ __half2 both(float v, __half2) { return __float2half2_rn(v); }

// Clamped in pairs after rounding, which is monotone; what has become infinite comes back.
template <class Pair, class ElementType>
struct AsHalves {
  using Real = float;
  using Element = ElementType;
  using Elements = uint2;
  template <bool clamped>
  static __device__ __forceinline__ Elements encode(const Quad<float>& v, const Affine<float>& affine) {
    Pair low = round_pair(v.x, v.y, Pair{});
    Pair high = round_pair(v.z, v.w, Pair{});
    if (clamped) {
      const Pair min = both(affine.min, Pair{});
      const Pair max = both(affine.max, Pair{});
      low = __hmin2(__hmax2(low, min), max);
      high = __hmin2(__hmax2(high, min), max);
    }
    Elements e;
    memcpy(&e.x, &low, sizeof e.x);
    memcpy(&e.y, &high, sizeof e.y);
    return e;
  }
};
using AsFloat16 = AsHalves<__half2, __half>;
using AsBFloat16 = AsHalves<__nv_bfloat162, __nv_bfloat16>;

template <__nv_fp8_interpretation_t format>
struct AsFloat8 {
  using Real = float;
  using Element = std::uint8_t;
  using Elements = ushort2;
  template <bool clamped>
  static __device__ __forceinline__ Elements encode(Quad<float> v, const Affine<float>& affine) {
    if (clamped) v = affine.clamp(v);
    return make_ushort2(__nv_cvt_float2_to_fp8x2(make_float2(v.x, v.y), __NV_SATFINITE, format),
                        __nv_cvt_float2_to_fp8x2(make_float2(v.z, v.w), __NV_SATFINITE, format));
  }
};

// Calls f(format) with the dtype's, which is not float64.
template <class F>
__device__ __forceinline__ void with_format(std::uint32_t dtype, const F& f) {
  switch (static_cast<DType>(dtype)) {
    case DType::float32:
      return f(AsFloat32{});
    case DType::float16:
      return f(AsFloat16{});
    case DType::bfloat16:
      return f(AsBFloat16{});
    case DType::float8_e4m3fn:
      return f(AsFloat8<__NV_E4M3>{});
    case DType::float8_e5m2:
      return f(AsFloat8<__NV_E5M2>{});
    case DType::float64:
      return;
  }
}

// ---- writing ------------------------------------------------------------------------------------------------------

template <class Elements>
__device__ __forceinline__ void store(std::uintptr_t address, const Elements& elements) {
  auto* const place = reinterpret_cast<Elements*>(address);
  __builtin_assume(__isGlobal(place));
  *place = elements;
}

// Elements `from` to `to` - 1 of four.
template <class Format>
__device__ __forceinline__ void store_some(std::uintptr_t address, const typename Format::Elements& elements,
                                           std::int64_t from, std::int64_t to) {
  using Element = typename Format::Element;
  Element e[4];
  static_assert(sizeof e == sizeof elements);
  memcpy(e, &elements, sizeof e);
#pragma unroll
  for (int j = 0; j < 4; ++j) {
    if (j >= from && j < to) store(address + j * sizeof(Element), e[j]);
  }
}

template <class Real>
__device__ __forceinline__ Affine<Real> affine_of(const Job& job, const Extensions& more) {
  if constexpr (sizeof(Real) == 8) {
    const Wide& wide = *more.wide;
    return {wide.scale, wide.shift, wide.min, wide.max};
  } else {
    const Limits limits = job.clamped != 0 ? *more.limits : Limits{-INFINITY, INFINITY};
    return {job.scale, job.shift, limits.min, limits.max};
  }
}

// Writes whole quads of a dense job to memory that is aligned to them.
template <class FormatOf, bool clamped>
struct AlignedWriter {
  using Format = FormatOf;
  using Real = typename Format::Real;
  std::uintptr_t begin;  // of quad 0, though it may not exist
  Affine<Real> affine;

  __device__ __forceinline__ void write(std::uint32_t q, std::uint32_t more, const Quad<Real>& draws) const {
    constexpr std::uint64_t size = sizeof(typename Format::Elements);
    store(begin + q * size + more * size, Format::template encode<clamped>(affine(draws), affine));
  }
  __device__ __forceinline__ void write_some(std::uint32_t q, const Quad<Real>& draws, std::int64_t from,
                                             std::int64_t to) const {
    store_some<Format>(begin + std::uint64_t{q} * sizeof(typename Format::Elements),
                       Format::template encode<clamped>(affine(draws), affine), from, to);
  }
  __device__ __forceinline__ void write_one(std::uint32_t element, Real draw) const {
    const Real v = affine(draw);
    store_some<Format>(begin + element * std::uint64_t{sizeof(typename Format::Element)},
                       Format::template encode<clamped>({v, v, v, v}, affine), 0, 1);
  }
};

// Writes whatever exists of quads, wherever it is, with its copies.
template <class RealOf, class Place>
struct AnyWriter {
  using Real = RealOf;
  const Job& job;
  const Extensions& more;
  const Place& place;

  // Calls f(format, address, affine) for each place that the draws go to.
  template <class F>
  __device__ __forceinline__ void for_outputs(const F& f) const {
    Affine<Real> affine = affine_of<Real>(job, more);
    if constexpr (sizeof(Real) == 8) {
      f(AsFloat64{}, job.address, affine);
    } else {
      std::uint32_t dtype = job.dtype;
      void* address = job.address;
#pragma unroll 1
      for (std::uint32_t c = 0;; ++c) {
        with_format(
            dtype, [&](auto format) __attribute__((always_inline)) { f(format, address, affine); });
        if (c == job.copies) return;
        const Copy copy = more.copies[c];
        affine.min = copy.limits.min;
        affine.max = copy.limits.max;
        dtype = copy.dtype;
        address = copy.address;
      }
    }
  }

  __device__ __forceinline__ void write(std::uint32_t q, std::uint32_t more_quads, const Quad<Real>& draws) const {
    const Part part = part_of_quad(job, place, q + more_quads);
    for_outputs([&](auto format, void* address, const Affine<Real>& affine) __attribute__((always_inline)) {
      using Format = decltype(format);
      const auto elements = Format::template encode<true>(affine(draws), affine);
      const auto begin = reinterpret_cast<std::uintptr_t>(address) + part.number * sizeof(typename Format::Element);
      if (part.from == 0 && part.to == 4 && begin % alignof(typename Format::Elements) == 0) {
        store(begin, elements);
      } else {
        store_some<Format>(begin, elements, part.from, part.to);
      }
    });
  }
  __device__ __forceinline__ void write_one(std::uint32_t element, Real draw) const {
    const Part part = part_of_quad(job, place, element / 4);
    const std::uint32_t j = element % 4;
    if (j < part.from || j >= part.to) return;
    for_outputs([&](auto format, void* address, const Affine<Real>& affine) __attribute__((always_inline)) {
      using Format = decltype(format);
      const Real v = affine(draw);
      store_some<Format>(
          reinterpret_cast<std::uintptr_t>(address) + (part.number + j) * sizeof(typename Format::Element),
          Format::template encode<true>({v, v, v, v}, affine), 0, 1);
    });
  }
};

// The warp's.
__device__ __forceinline__ Stream stream_of(const Notes& notes) {
  const std::uint32_t at = notes.queue + threadIdx.x % 2 * 8;
  Stream stream;
#pragma unroll
  for (std::uint32_t round = 0; round < philox_rounds; ++round) {
    stream.keys.of[round] = load_shared_pair(at + offsetof(Queue, keys) + 16 * round);
  }
  const uint2 words = load_shared_pair(at + offsetof(Queue, subsequence));
  stream.subsequence = std::uint64_t{words.y} << 32 | words.x;
  return stream;
}

// ---- kinds of jobs --------------------------------------------------------------------------------------------------

// Elements first ... last - 1 of a segment's quads exist: the first and the last quad may be partial.
struct Slots {
  std::uint32_t first, last;

  __device__ Slots(const Job& job, const Dense& dense, std::uint32_t quads) {
    const std::uint64_t index = 4 * dense.quad(0);
    first = index < job.start ? static_cast<std::uint32_t>(job.start - index) : 0;
    last = static_cast<std::uint32_t>(min(job.start + job.count - index, std::uint64_t{4} * quads));
  }

  // Whole quads are first_whole() ... end_whole() - 1.
  __device__ __forceinline__ std::uint32_t first_whole() const { return (first + 3) / 4; }
  __device__ __forceinline__ std::uint32_t end_whole() const { return max(last / 4, first_whole()); }

  // Calls f(q, from, to) for partial quads, of which only elements from ... to - 1 exist, in a lane each.
  template <class F>
  __device__ __forceinline__ void for_partial_quads(const F& f) const {
    const std::uint32_t end = last / 4;
    const std::uint32_t lane = lane_number();
    if (lane < 2 && (lane == 0 ? first > 0 : last % 4 != 0 && (end > 0 || first == 0))) {
      const std::uint32_t q = lane == 0 ? 0 : end;
      f(q, max(0, static_cast<int>(first - 4 * q)), min(4, static_cast<int>(last - 4 * q)));
    }
  }
};

// What redoes rejected elements.
template <class Normal, class Place, class Writer>
struct Redo {
  using Real = typename Writer::Real;
  const Normal& normal;
  const Stream& stream;
  const Place& place;
  const Writer& writer;
  Notes& notes;

  // Redoes up to 32 elements, if there are `least` of either sort; says whether it did.
  template <std::uint32_t least>
  __device__ __forceinline__ bool redo_if() {
    __syncwarp();  // what lanes have noted is to be seen by all
    const uint2 tails = notes.tails();
    const std::uint32_t noted = (tails.x - notes.head) % Queue::size;
    const std::uint32_t edges = (tails.y - notes.edges_head) % Queue::edges_size;
    // Not before all lanes have read these numbers may one of them note anything.
    if (!__any_sync(0xffffffffu, noted >= least || edges >= least)) return false;
    if (edges >= 32 || noted < least) {
      redo_edges<least == 32>(min(edges, 32u));
    } else {
      redo_noted<least == 32>(min(noted, 32u));
    }
    return true;
  }

 private:
  // Redoes the first rejected element of `count` <= 32 notes; all: of 32.
  template <bool all>
  __device__ __forceinline__ void redo_noted(std::uint32_t count) {
    const std::uint32_t at = (notes.head + lane_number()) % Queue::size;
    notes.head = (notes.head + (all ? 32 : count)) % Queue::size;
    if (!all && lane_number() >= count) return;
    const uint2 loaded = load_shared_pair(notes.noted(at));
    const std::uint32_t shift = (__ffs(static_cast<int>(loaded.y & all_rejected_bits)) - 1) & 24;
    const Noted n{loaded.x + shift / 8, loaded.y >> shift};
    const Words words = core::retry<CuRand>(stream, index(n), n.element >> tag_shift);
    if ((n.marks & edge_bits) == edge_bits) {
      notes.note_edge(n, words);
    } else {
      settle(n, words.x, false, 0);
    }
  }

  // Redoes `count` <= 32 elements in edge cells; all: 32.
  template <bool all>
  __device__ __forceinline__ void redo_edges(std::uint32_t count) {
    const std::uint32_t at = (notes.edges_head + lane_number()) % Queue::edges_size;
    notes.edges_head = (notes.edges_head + (all ? 32 : count)) % Queue::edges_size;
    if (!all && lane_number() >= count) return;
    const uint2 loaded = load_shared_pair(notes.queue + offsetof(Queue, edges) + 8 * at);
    const Noted n{loaded.x, loaded.y};
    Words words;
    asm volatile("ld.shared.v4.u32 {%0, %1, %2, %3}, [%4];"
                 : "=r"(words.x), "=r"(words.y), "=r"(words.z), "=r"(words.w)
                 : "r"(notes.queue + static_cast<std::uint32_t>(offsetof(Queue, words)) + 16 * at)
                 : "memory");
    const core::Trial point = edge_point((n.marks & sign_bit) != 0, words);
    settle(n, words.x, point.kept && normal.is_inside(point.z), point.z);
  }

  static __device__ __forceinline__ std::uint32_t element(const Noted& n) {
    return n.element & ((1u << tag_shift) - 1);
  }
  __device__ __forceinline__ std::uint64_t index(const Noted& n) const { return place.index(element(n)); }

  // Writes the first element of n: `point`, if it is accepted, else what the next trial gives, whose head word is the
  // first of the block with n's tag. Notes it, if it is rejected again, and what is rejected behind it.
  __device__ __forceinline__ void settle(const Noted& n, std::uint32_t head, bool point_accepted, float point) {
    float z = rectangle_point(head, normal.table);
    float mark = normal.mark(z);
    const std::uint32_t trial = n.element >> tag_shift;
    // In a symmetric window all 63 fail with a probability below 1e-80.
    if (!Normal::is_symmetric && trial == core::trials) z = mark = 0;
    if (point_accepted) {
      z = point;
      mark = 0;
    }
    const bool accepted = fabsf(mark) < 2;
    if (accepted) {
      writer.write_one(element(n), point_accepted ? normal.edge_value(z, stream, index(n), trial - 1)
                                                  : normal.rectangle_value(z, stream, index(n), head, trial));
    }
    notes.note_if_rejected({accepted ? element(n) | first_tag : n.element + first_tag,
                            __byte_perm(n.marks, __float_as_uint(mark), 0x3217)});
  }
};

// Fills quads first ... end - 1 of a segment with normals.
template <class Normal, class Place, class Writer>
__device__ __forceinline__ void fill_normals(std::uint32_t first, std::uint32_t end, const Normal& normal,
                                             const Stream& stream, const Place& place, const Writer& writer,
                                             Notes& notes) {
  using Real = typename Writer::Real;
  const auto make = [&](std::uint32_t q, std::uint32_t more) {
    std::uint32_t marks;
    const Quad<Real> v = normal.make(stream, place.quad(q + more), marks);
    writer.write(q, more, v);
    notes.note_if_rejected({(4 * q + first_tag) + 4 * more, marks});
  };
  Redo<Normal, Place, Writer> redo{normal, stream, place, writer, notes};
  constexpr std::uint32_t together = sizeof(Real) == 4 ? quads_together : 1;
  std::uint32_t q = first + lane_number();
  const std::uint32_t together_end = q + (max(end, first) - first) / (32 * together) * (32 * together);
#pragma unroll 1
  while (q != together_end) {
#pragma unroll
    for (std::uint32_t k = 0; k < together; ++k) make(q, 32 * k);
    q += 32 * together;
    while (redo.template redo_if<32>()) {
    }
  }
#pragma unroll 1
  for (; q < end; q += 32) make(q, 0);
  while (redo.template redo_if<1>()) {
  }
}

template <class Real, class Place, class Writer>
__device__ __forceinline__ void fill_uniforms(std::uint32_t quads, const Uniform<Real>& uniform, const Stream& stream,
                                              const Place& place, const Writer& writer) {
#pragma unroll 1
  for (std::uint32_t q = lane_number(); q < quads; q += 32) writer.write(q, 0, uniform.make(stream, place.quad(q)));
}

// Uniforms in aligned memory, `together` quads of them. make(q) gives those of quad q.
template <std::uint32_t together, class Make, class Writer>
__device__ __forceinline__ void fill_uniforms_aligned(const Slots& slots, const Make& make, const Writer& writer) {
  slots.for_partial_quads([&](std::uint32_t q, int from, int to) { writer.write_some(q, make(q), from, to); });
  const std::uint32_t end = slots.end_whole();
  std::uint32_t q = slots.first_whole() + lane_number();
#pragma unroll 1
  for (; q + (together - 1) * 32 < end; q += together * 32) {
#pragma unroll
    for (std::uint32_t k = 0; k < together; ++k) writer.write(q, k * 32, make(q + k * 32));
  }
#pragma unroll 1
  for (; q < end; q += 32) writer.write(q, 0, make(q));
}

__device__ __forceinline__ void store_bits(std::uintptr_t address, std::uint64_t bits, std::uint32_t size) {
  if (size == 1) {
    store(address, static_cast<std::uint8_t>(bits));
  } else if (size == 2) {
    store(address, static_cast<std::uint16_t>(bits));
  } else if (size == 4) {
    store(address, static_cast<std::uint32_t>(bits));
  } else {
    store(address, bits);
  }
}

// Constants and identities.
__device__ __forceinline__ void fill_pattern(const Job& job, const Extensions& more, const Dense& dense,
                                             std::uint32_t quads) {
  const auto dtype = static_cast<DType>(job.dtype);
  const std::uint32_t size = dtype == DType::float64                               ? 8
                             : dtype == DType::float32                             ? 4
                             : dtype == DType::float16 || dtype == DType::bfloat16 ? 2
                                                                                   : 1;
  const bool constant = static_cast<Draw>(job.draw) == Draw::constant;
  std::uint64_t repeated = constant ? job.bits : 0;
  if (size == 1) repeated *= 0x0101010101010101u;
  if (size == 2) repeated *= 0x0001000100010001u;
  if (size == 4) repeated *= 0x0000000100000001u;
  const std::uint32_t lane = lane_number();
  const Slots slots(job, dense, quads);
  const std::uint64_t index = 4 * dense.quad(0);
  const std::uintptr_t begin = reinterpret_cast<std::uintptr_t>(job.address) + (index - job.start + slots.first) * size;
  const std::uintptr_t end = begin + (slots.last - slots.first) * std::uint64_t{size};
  const std::uintptr_t first = min((begin + 15) / 16 * 16, end);  // [first, last) is stored by 16 bytes
  const std::uintptr_t last = first + (end - first) / 16 * 16;
#pragma unroll 4
  for (std::uintptr_t at = first + lane * 16; at < last; at += 32 * 16) {
    store(at, make_ulonglong2(repeated, repeated));
  }
  if (lane < 16) {  // at most 15 elements on either side
    const std::uintptr_t head = begin + lane * size;
    const std::uintptr_t tail = last + lane * size;
    if (head < first) store_bits(head, repeated, size);
    if (tail < end) store_bits(tail, repeated, size);
  }
  if (constant) return;
  // The diagonal of a matrix has the indices row * (columns + 1), row < columns.
  __syncwarp();
  const std::uint64_t columns = *more.columns;
  const std::uint64_t from = index + slots.first;
  const std::uint64_t to = index + slots.last;
#pragma unroll 1
  for (std::uint64_t row = (from + columns) / (columns + 1) + lane; row < columns; row += 32) {
    const std::uint64_t at = row * (columns + 1);
    if (at >= to) break;
    store_bits(reinterpret_cast<std::uintptr_t>(job.address) + (at - job.start) * size, job.bits, size);
  }
}

template <class Format, bool clamped>
__device__ __forceinline__ void fill_direct_as(const Job& job, const Extensions& more, const Dense& dense,
                                               std::uint32_t quads, const Table& table, Notes& notes) {
  using Real = typename Format::Real;
  constexpr bool is_wide = sizeof(Real) == 8;
  asm volatile("" ::: "memory");  // lest the compiler read and derive all this before it knows the format
  const auto draw = static_cast<Draw>(job.draw);
  const Stream stream = stream_of(notes);
  const Slots slots(job, dense, quads);
  AlignedWriter<Format, clamped> writer{reinterpret_cast<std::uintptr_t>(job.address) +
                                            (4 * dense.quad(0) - job.start) * sizeof(typename Format::Element),
                                        affine_of<Real>(job, more)};
  if (draw == Draw::symmetric_normal) {
    const Normal<Real, true> normal{job.lower, job.upper, table, more.wide};
    slots.for_partial_quads([&](std::uint32_t q, int from, int to) {
      std::uint32_t marks;
      const Quad<Real> v = normal.make(stream, dense.quad(q), marks);
      writer.write_some(q, v, from, to);
      const std::uint32_t exist = (to == 4 ? 0xffffffffu : (1u << 8 * to) - 1) & (0xffffffffu << 8 * from);
      notes.note_if_rejected({4 * q | first_tag, marks & exist});
    });
    fill_normals(slots.first_whole(), slots.end_whole(), normal, stream, dense, writer, notes);
  } else if constexpr (is_wide) {
    const Uniform<double> uniform(draw, table.half);
    fill_uniforms_aligned<2>(
        slots, [&](std::uint32_t q) { return uniform.make(stream, dense.quad(q)); }, writer);
  } else {
    const Uniform<float> uniform(draw, table.half);
    writer.affine.scale = uniform.folded(job.scale);
    fill_uniforms_aligned<8>(
        slots, [&](std::uint32_t q) { return uniform.numbers(core::heads<CuRand>(stream, dense.quad(q))); }, writer);
  }
}

// The jobs that nearly all fills are: dense, in aligned memory, without copies, and either a uniform or a normal within
// [-2, 2] or all.
__device__ __forceinline__ void fill_direct(const Job& job, const Extensions& more, const Dense& dense,
                                            std::uint32_t quads, const Table& table, Notes& notes) {
  with_format(
      job.dtype, [&](auto format) __attribute__((always_inline)) {
        if (job.clamped != 0) {
          fill_direct_as<decltype(format), true>(job, more, dense, quads, table, notes);
        } else {
          fill_direct_as<decltype(format), false>(job, more, dense, quads, table, notes);
        }
      });
}

// Functions that are called, with copies, so that what they need does not take registers from the short ways above.
__device__ __noinline__ Notes fill_direct_wide(const Job& job, Extensions more, Dense dense, std::uint32_t quads,
                                               Table table, Notes notes) {
  fill_direct_as<AsFloat64, true>(job, more, dense, quads, table, notes);
  return notes;
}

// All others.
template <class Real, class Place>
__device__ __noinline__ Notes fill_any(const Job& job, Extensions more, Place place, std::uint32_t quads, Table table,
                                       Notes notes) {
  const Stream stream = stream_of(notes);
  const AnyWriter<Real, Place> writer{job, more, place};
  const auto draw = static_cast<Draw>(job.draw);
  if (draw == Draw::symmetric_normal || draw == Draw::normal) {
    const Normal<Real, false> normal{job.lower, job.upper, table, more.wide};
    fill_normals(0, quads, normal, stream, place, writer, notes);
  } else {
    fill_uniforms(quads, Uniform<Real>(draw, table.half), stream, place, writer);
  }
  return notes;
}

// The quads of a job.
__device__ __forceinline__ std::uint64_t quads_of(const Job& job, const Extensions& more) {
  if (job.blocked == 0) return (job.start + job.count + 3) / 4 - job.start / 4;
  const Rows& rows = *more.rows;
  return ((rows.first + job.count - 1) / rows.run - rows.first / rows.run + 1) * quads_of_row(rows.run);
}

// Fills quads begin ... end - 1 of a job.
__device__ __forceinline__ void fill_quads(const Job& job, const Extensions& more, std::uint64_t begin,
                                           std::uint64_t end, const Table& table, Notes& notes) {
  const auto draw = static_cast<Draw>(job.draw);
  const bool wide = static_cast<DType>(job.dtype) == DType::float64;
#pragma unroll 1
  while (begin < end) {
    auto quads = static_cast<std::uint32_t>(min(end - begin, std::uint64_t{max_segment_quads}));
    if (job.blocked != 0) {
      const std::uint64_t quads_per_row = quads_of_row(more.rows->run);
      const Blocked blocked{job.start,
                            more.rows->first / more.rows->run + begin / quads_per_row,
                            begin % quads_per_row,
                            quads_per_row,
                            more.rows,
                            more.dimensions};
      if (wide) {
        notes = fill_any<double>(job, more, blocked, quads, table, notes);
      } else {
        notes = fill_any<float>(job, more, blocked, quads, table, notes);
      }
    } else {
      const std::uint64_t first = job.start / 4 + begin;
      const Dense dense{static_cast<std::uint32_t>(first), static_cast<std::uint32_t>(first >> 32)};
      constexpr std::uint32_t together = 1u << 30;  // quads with the same high word of elements
      quads = min(quads, together - dense.low % together);
      if (draw == Draw::constant || draw == Draw::identity) {
        fill_pattern(job, more, dense, quads);
      } else if (job.direct != 0 && wide) {
        notes = fill_direct_wide(job, more, dense, quads, table, notes);
      } else if (job.direct != 0) {
        fill_direct(job, more, dense, quads, table, notes);
      } else if (wide) {
        notes = fill_any<double>(job, more, dense, quads, table, notes);
      } else {
        notes = fill_any<float>(job, more, dense, quads, table, notes);
      }
    }
    begin += quads;
  }
}

// The last job that begins at this tile or before.
__device__ __forceinline__ std::uint32_t find_job(const Job* jobs, std::uint32_t count, std::uint32_t tile) {
  std::uint32_t first = 0;
#pragma unroll 1
  for (std::uint32_t left = count; left > 1;) {
    const std::uint32_t half = left / 2;
    const bool later = jobs[first + half].tile_begin <= tile;
    first += later ? half : 0;
    left = later ? left - half : half;
  }
  return first;
}

__device__ __forceinline__ void fill(const Header& header, const std::uint64_t* behind) {
  extern __shared__ float widths[];
  __shared__ Queue queues[threads_per_block / 32];
  __shared__ std::uint32_t unused[32];
  __shared__ std::uint32_t half[2];
#pragma unroll 1
  for (std::uint32_t n = threadIdx.x; n < table_entries * header.table_copies; n += threads_per_block) {
    const std::uint32_t cell = n / header.table_copies;
    // 2^-7 for the numbers of rectangle_point, which have as much too many.
    widths[n] = cell < core::rectangles ? core::mul(ziggurat.x_scaled[cell], 0x1p-7F) : __uint_as_float(infinity_bits);
  }
  if (threadIdx.x < 2) half[threadIdx.x] = 0x80;
  Queue& queue = queues[threadIdx.x / 32];
  if (lane_number() == 0) {
    queue.tail = queue.edges_tail = 0;
  }
  __syncthreads();
  const Table table{4 * header.table_copies, address_of(widths) + (threadIdx.x & (header.table_copies - 1)) * 4,
                    load_shared(address_of(&half[threadIdx.x % 2]))};
  Notes notes{address_of(&queue), address_of(&unused[lane_number()]), 0, 0};

  // Every warp has as many tiles as any other, or one more.
  const std::uint64_t* const data = header.data != nullptr ? header.data : behind;
  const Job* const jobs = reinterpret_cast<const Job*>(data);
  const std::uint32_t warps = gridDim.x * (threads_per_block / 32);
  const std::uint32_t warp = blockIdx.x * (threads_per_block / 32) + threadIdx.x / 32;
  const std::uint32_t each = header.tiles / warps;
  const std::uint32_t more_have = header.tiles % warps;
  std::uint32_t tile = warp * each + min(warp, more_have);
  const std::uint32_t end = tile + each + (warp < more_have ? 1 : 0);
  if (tile == end) return;
#pragma unroll 1
  for (std::uint32_t number = find_job(jobs, header.jobs, tile); tile < end; ++number) {
    const Job& job = jobs[number];
    const std::uint32_t job_end = number + 1 < header.jobs ? min(jobs[number + 1].tile_begin, end) : end;
    const Extensions more(job, data);
    __syncwarp();
    if (lane_number() < philox_rounds) {
      const std::uint64_t seed = header.device_seed != nullptr ? *header.device_seed : job.seed;
      uint2* const keys = queue.keys[lane_number()];
      keys[0] = keys[1] = make_uint2(static_cast<std::uint32_t>(seed) + lane_number() * PHILOX_W32_0,
                                     static_cast<std::uint32_t>(seed >> 32) + lane_number() * PHILOX_W32_1);
    }
    if (lane_number() < 2) {
      queue.subsequence[lane_number()] =
          make_uint2(static_cast<std::uint32_t>(job.bits), static_cast<std::uint32_t>(job.bits >> 32));
    }
    __syncwarp();
    const std::uint64_t quads = quads_of(job, more);
    fill_quads(job, more, std::uint64_t{tile - job.tile_begin} * header.quads_per_tile,
               min(quads, std::uint64_t{job_end - job.tile_begin} * header.quads_per_tile), table, notes);
    tile = job_end;
  }
}

}  // namespace

// Enough registers for all of it: 128 a thread, and on sm_100 some more.
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 1000
constexpr int blocks_per_sm = 3;
#else
constexpr int blocks_per_sm = 4;
#endif

__global__ void __launch_bounds__(threads_per_block, blocks_per_sm)
    fill_small(const __grid_constant__ SmallParameters p) {
  fill(p.header, p.data);
}

__global__ void __launch_bounds__(threads_per_block, blocks_per_sm)
    fill_large(const __grid_constant__ LargeParameters p) {
  fill(p.header, p.data);
}

}  // namespace fanin::gpu
