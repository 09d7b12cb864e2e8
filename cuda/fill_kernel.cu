// SPDX-License-Identifier: Apache-2.0
// The kernel: draws tiles of elements, draws again what was rejected, and writes what comes out.
//
// A tile lies in shared memory. Every thread makes quads and notes those in which an element was rejected. These
// elements are queued and redone by whole warps; those that need a point of an edge cell, which takes longer, apart
// from those that only fell outside the window. Failures go to the next round's queue. Then the tile is scaled,
// rounded and written. Uniforms, which reject nothing, are written as they are drawn.
#include "cuda/fill_kernel.h"

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_fp8.h>
#include <curand_kernel.h>

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

using core::Stream;
using core::Words;

// In device memory, not in constant memory, because threads look up different entries.
__device__ const core::Ziggurat ziggurat = core::ziggurat;
__device__ const EdgeTables edge_tables = make_edge_tables();

constexpr std::uint32_t infinity_bits = 0x7f800000u;
// Stands in a tile for an element outside a window that is not symmetric. Infinity stands for one in an edge cell.
constexpr float outside = 0x1p100F;

struct CuRand {
  static __device__ __forceinline__ Words block(Words counter, core::Key key) {
    const uint4 words =
        curand_Philox4x32_10(make_uint4(counter.x, counter.y, counter.z, counter.w), make_uint2(key.low, key.high));
    return {words.x, words.y, words.z, words.w};
  }
};

// The table of widths in shared memory: a cell's entry is at cell * cell_bytes + address.
struct Table {
  std::uint32_t cell_bytes;
  std::uint32_t address;
  // 0x80, from memory, lest the compiler know it: a logic instruction takes one immediate number only.
  std::uint32_t half;
  std::uint32_t quads_queue;  // the address of Queues::quads
  std::uint32_t unused;       // of a word for each lane, which nobody reads
};

__device__ __forceinline__ float load_width(std::uint32_t address) {
  float v;
  asm("ld.shared.f32 %0, [%1];" : "=f"(v) : "r"(address));
  return v;
}

// Queues are used through addresses in shared memory.
__device__ __forceinline__ std::uint32_t load_queued(std::uint32_t address) {
  std::uint32_t v;
  asm volatile("ld.shared.u32 %0, [%1];" : "=r"(v) : "r"(address) : "memory");
  return v;
}

// k * X of a word, or infinite in an edge cell (docs/VALUES.md, section 3; centred fractions: section 2).
__device__ __forceinline__ float rectangle_point(std::uint32_t word, const Table& table) {
  const auto k = static_cast<float>(static_cast<std::int32_t>((word & 0xffffff00u) | table.half));  // times 2^7
  // The dot product of bytes takes the lowest one, scales it and adds, in one instruction.
  return core::mul(k, load_width(__dp4a(word, table.cell_bytes, table.address)));
}

__device__ __forceinline__ bool is_edge_mark(float v) { return fabsf(v) == INFINITY; }
__device__ __forceinline__ bool is_edge_mark(double v) { return fabs(v) == INFINITY; }

// ---- where elements are -------------------------------------------------------------------------------------------

// What follows a job.
struct Extensions {
  const std::uint64_t* columns;
  const Wide* wide;
  const Limits* limits;
  const Rows* rows;
  const Dimension* dimensions;
  const Copy* copies;

  __device__ void find(const Job& job, const std::uint64_t* data) {
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

// A tile's quads. Those of a dense job are consecutive indices in consecutive memory. Those of a blocked job are dealt
// out row by row; each row has as many as one that begins anywhere may touch.
struct Tile {
  std::uint64_t first_quad;               // of a dense job
  std::uint64_t first_row, first_column;  // of a blocked one, the column in quads
  std::uint64_t quads_per_row;
  std::uint32_t quads;
  bool blocked;

  // The tile after `skipped` quads, of at most `most`.
  __device__ void find(const Job& job, const Extensions& more, std::uint64_t skipped, std::uint32_t most) {
    blocked = job.blocked != 0;
    std::uint64_t left;
    if (!blocked) {
      first_quad = job.start / 4 + skipped;
      left = (job.start + job.count + 3) / 4 - first_quad;
    } else {
      const Rows rows = *more.rows;
      quads_per_row = quads_of_row(rows.run);
      const std::uint64_t job_row = rows.first / rows.run;
      left = ((rows.first + job.count - 1) / rows.run - job_row + 1) * quads_per_row - skipped;
      first_row = job_row + skipped / quads_per_row;
      first_column = skipped % quads_per_row;
    }
    quads = static_cast<std::uint32_t>(min(left, std::uint64_t{most}));
  }
};

struct Position {
  std::uint64_t row;
  std::uint64_t row_start;  // index of its first element
  std::uint64_t quad;
};

__device__ __forceinline__ Position position_in_rows(const Tile& tile, std::uint64_t start, const Extensions& more,
                                                     std::uint32_t q) {
  const std::uint64_t n = tile.first_column + q;
  std::uint64_t row = n >= tile.quads_per_row ? 1 : 0;
  if (tile.quads_per_row < (1u << 30)) {
    row = static_cast<std::uint32_t>(n) / static_cast<std::uint32_t>(tile.quads_per_row);
  }
  const std::uint64_t column = n - row * tile.quads_per_row;
  row += tile.first_row;
  std::uint64_t row_start = start;
  std::uint64_t rest = row;
  for (std::uint64_t j = more.rows->rank; j-- > 1; rest /= more.dimensions[j].extent) {
    row_start += rest % more.dimensions[j].extent * more.dimensions[j].stride;
  }
  row_start += rest * more.dimensions[0].stride;
  return {row, row_start, row_start / 4 + column};
}

// The tile: `capacity` quads of float, or half as many of double. Behind it are
extern __shared__ float4 draws[];

__device__ __forceinline__ std::uint32_t address_of(const void* shared_memory) {
  return static_cast<std::uint32_t>(__cvta_generic_to_shared(shared_memory));
}
// the quads in which an element was rejected, up to `capacity` of them,
__device__ __forceinline__ std::uint32_t quads_queue(std::uint32_t capacity) {
  return address_of(draws) + 16 * capacity;
}
// two queues, for rounds of either parity, of `capacity` elements each: slot | trial << 16,
__device__ __forceinline__ std::uint32_t elements_queue(std::uint32_t capacity, std::uint32_t round) {
  return address_of(draws) + (18 + round % 2 * 4) * capacity;
}
// and the table of widths.
__device__ __forceinline__ float* table_memory(std::uint32_t capacity) {
  return reinterpret_cast<float*>(reinterpret_cast<char*>(draws) + 26 * capacity);
}

// The next free places of queues, as addresses in shared memory.
struct Queues {
  std::uint32_t quads;           // with a rejected element; upwards, 2 bytes each
  std::uint32_t elements[2][2];  // by round modulo 2: outside the window, upwards; in an edge cell, downwards; 4 bytes

  __device__ void reset(std::uint32_t capacity, std::uint32_t round) {
    elements[round % 2][0] = elements_queue(capacity, round);
    elements[round % 2][1] = elements_queue(capacity, round) + (capacity - 1) * 4;
  }
};

// What else all threads of a block see. In memory rather than in every thread's registers.
struct Shared {
  Job job;
  Extensions more;
  Tile tile;
  Queues queues;
  std::uint32_t capacity;  // quads_per_tile
  // Twice the same, for threads of even and odd number: what the compiler does not know to be the same for all threads
  // it keeps in ordinary registers. Of those for uniform values there are not enough for a key's rounds.
  Stream stream[2];
  std::uint32_t half[2];  // 0x80

  __device__ __forceinline__ std::uint64_t quad(std::uint32_t q) const {
    return tile.blocked ? position_in_rows(tile, job.start, more, q).quad : tile.first_quad + q;
  }
};

// Calls f(first_quad + q, q) for q < quads, consecutive quads of a tile, `together` of them at a time. A counter's high
// word changes at most once in a tile; where it does not, all that follows from it is the same for all threads, and the
// compiler takes it out of the loop.
template <std::uint32_t together, class F>
__device__ __forceinline__ void for_dense_quads(std::uint64_t first_quad, std::uint32_t quads, const F& f) {
  const auto low = static_cast<std::uint32_t>(first_quad);
  auto high = static_cast<std::uint32_t>(first_quad >> 32);
  const std::uint32_t before = low == 0 ? quads : min(quads, 0u - low);
  std::uint32_t q = threadIdx.x;
  std::uint32_t end = before;
#pragma unroll 1
  for (;;) {
    if constexpr (together > 1) {
#pragma unroll 1
      for (; q + (together - 1) * threads_per_block < end; q += together * threads_per_block) {
#pragma unroll
        for (std::uint32_t k = 0; k < together; ++k) {
          const std::uint32_t n = q + k * threads_per_block;
          f(std::uint64_t{high} << 32 | (low + n), n);
        }
      }
    }
#pragma unroll 1
    for (; q < end; q += threads_per_block) f(std::uint64_t{high} << 32 | (low + q), q);
    if (end == quads) return;
    ++high;
    q = before + threadIdx.x;
    end = quads;
  }
}

// ---- draws --------------------------------------------------------------------------------------------------------

template <class Real>
struct Quad {
  Real x, y, z, w;
};

__device__ __forceinline__ void store_quad(std::uint32_t q, const Quad<float>& v) {
  draws[q] = make_float4(v.x, v.y, v.z, v.w);
}
__device__ __forceinline__ void store_quad(std::uint32_t q, const Quad<double>& v) {
  reinterpret_cast<double2*>(draws)[2 * q] = make_double2(v.x, v.y);
  reinterpret_cast<double2*>(draws)[2 * q + 1] = make_double2(v.z, v.w);
}

template <class Real>
__device__ __forceinline__ Quad<Real> load_quad(std::uint32_t q) {
  if constexpr (sizeof(Real) == 4) {
    const float4 v = draws[q];
    return {v.x, v.y, v.z, v.w};
  } else {
    const double2 a = reinterpret_cast<const double2*>(draws)[2 * q];
    const double2 b = reinterpret_cast<const double2*>(draws)[2 * q + 1];
    return {a.x, a.y, b.x, b.y};
  }
}

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

  __device__ __forceinline__ Real fraction(std::uint32_t word, std::uint32_t refinement) const {
    if constexpr (sizeof(Real) == 4) {
      return core::mul(number(word), unit());
    } else {
      return centred ? core::centred_fraction(word, refinement) : core::unit_fraction(word, refinement);
    }
  }

  __device__ __forceinline__ void make(const Stream& stream, std::uint64_t quad, std::uint32_t q, const Table&) const {
    const Words h = core::heads<CuRand>(stream, quad);
    Words r{};
    if constexpr (sizeof(Real) == 8) r = core::head_refinements<CuRand>(stream, quad);
    const Quad<Real> v{fraction(h.x, r.x), fraction(h.y, r.y), fraction(h.z, r.z), fraction(h.w, r.w)};
    store_quad(q, v);
  }
};

// Standard normals within [lower, upper]; if symmetric, within [-upper, upper].
template <class Real, bool symmetric>
struct Normal {
  float lower, upper;
  const Wide* wide;  // of Real = double

  // What stands in the tile with a larger magnitude is rejected.
  __device__ __forceinline__ float reject_above() const { return symmetric ? upper : outside / 2; }
  __device__ __forceinline__ bool is_rejected(Real v) const { return fabs(v) > static_cast<Real>(reject_above()); }

  // z, or what stands for it if it is outside.
  __device__ __forceinline__ float mark(float z) const {
    if (symmetric || is_edge_mark(z) || (z >= lower && z <= upper)) return z;
    return copysignf(outside, z);
  }

  // Trial 0 of a quad's elements.
  __device__ __forceinline__ void make(const Stream& stream, std::uint64_t quad, std::uint32_t q,
                                       const Table& table) const {
    const Words h = core::heads<CuRand>(stream, quad);
    const Quad<float> z{mark(rectangle_point(h.x, table)), mark(rectangle_point(h.y, table)),
                        mark(rectangle_point(h.z, table)), mark(rectangle_point(h.w, table))};
    if constexpr (sizeof(Real) == 4) {
      store_quad(q, z);
    } else {
      const Words r = core::head_refinements<CuRand>(stream, quad);
      const Quad<Real> v{refined(z.x, h.x, r.x), refined(z.y, h.y, r.y), refined(z.z, h.z, r.z),
                         refined(z.w, h.w, r.w)};
      store_quad(q, v);
    }
    const float largest = fmaxf(fmaxf(fabsf(z.x), fabsf(z.y)), fmaxf(fabsf(z.z), fabsf(z.w)));
    // Threads without one add elsewhere: a branch around the addition would take longer than the addition.
    asm volatile(
        "{\n\t.reg .pred rejected;\n\t.reg .u32 at;\n\t"
        "setp.gt.f32 rejected, %0, %1;\n\t"
        "selp.b32 at, %2, %3, rejected;\n\t"
        "atom.shared.add.u32 at, [at], 2;\n\t"
        "@rejected st.shared.u16 [at], %4;\n\t}"
        :
        : "f"(largest), "f"(reject_above()), "r"(table.quads_queue), "r"(table.unused),
          "h"(static_cast<std::uint16_t>(q))
        : "memory");
  }

  // A point of a rectangle with all its digits, or the mark.
  __device__ __forceinline__ double refined(float z, std::uint32_t head, std::uint32_t refinement) const {
    if (fabsf(z) > reject_above()) return static_cast<double>(z);
    const double k = core::refined(core::centred(head), refinement);
    return core::clamp(core::mul(k, ziggurat.x_scaled64[core::cell_of(head)]), wide->lower, wide->upper);
  }

  // The next trial of element i after `trial` failed, begun by the word `head`: into the tile, and into the next
  // round's queue if it fails too.
  __device__ __forceinline__ void next_trial(const Stream& stream, std::uint64_t i, std::uint32_t slot,
                                             std::uint32_t trial, std::uint32_t head, const Table& table,
                                             std::uint32_t next_queue) const {
    float z = mark(rectangle_point(head, table));
    if (trial + 1 == core::trials) z = 0.0F;
    const bool rejected = fabsf(z) > reject_above();
    if constexpr (sizeof(Real) == 4) {
      reinterpret_cast<float*>(draws)[slot] = z;
    } else {
      double v = z;
      if (!rejected && trial + 1 < core::trials) {
        v = refined(z, head, core::retry_refinement<CuRand>(stream, i, trial + 1));
      }
      reinterpret_cast<double*>(draws)[slot] = v;
    }
    if (rejected) push(next_queue, slot | (trial + 1) << 16, is_edge_mark(z));
  }

  // A trial of element i in an edge cell, with the words that choose a point: into the tile and true, or it fails.
  __device__ __forceinline__ bool edge_trial(const Stream& stream, std::uint64_t i, std::uint32_t slot,
                                             std::uint32_t trial, const Words& words) const {
    auto& place = reinterpret_cast<Real*>(draws)[slot];
    std::uint32_t box = edge_tables.first_box[words.y >> (32 - EdgeTables::first_box_bits)];
    if (words.y > edge_tables.last_word[box]) ++box;
    const core::Trial point = core::point_of_box(place < 0 ? 0x80000000u : 0u, box, edge_tables.box[box], words);
    const bool inside = symmetric ? fabsf(point.z) <= upper : point.z >= lower && point.z <= upper;
    if (!(point.kept && inside)) return false;
    if constexpr (sizeof(Real) == 4) {
      place = point.z;
    } else {
      std::uint32_t word;
      if (trial > 0) {
        word = core::retry_refinement<CuRand>(stream, i, trial);
      } else {
        const Words r = core::head_refinements<CuRand>(stream, i / 4);
        word = i % 4 == 0 ? r.x : i % 4 == 1 ? r.y : i % 4 == 2 ? r.z : r.w;
      }
      const core::Accepted accepted{point.z, core::rectangles, trial};  // the head word of any edge cell does
      place = core::clamp(core::refine(accepted, word, ziggurat), wide->lower, wide->upper);
    }
    return true;
  }

  // Puts an item at the end of a queue that is for it; `queue` is the address of one of Queues::elements.
  static __device__ __forceinline__ void push(std::uint32_t queue, std::uint32_t item, bool edge) {
    asm volatile(
        "{\n\t.reg .u32 at;\n\t"
        "atom.shared.add.u32 at, [%0], %1;\n\t"
        "st.shared.u32 [at], %2;\n\t}"
        :
        : "r"(edge ? queue + 4 : queue), "r"(edge ? -4 : 4), "r"(item)
        : "memory");
  }

  // The same for an element of the first round, whatever stands there.
  __device__ __forceinline__ void push_if_rejected(Real v, std::uint32_t queue, std::uint32_t item,
                                                   const Table& table) const {
    const bool rejected = is_rejected(v);
    const bool edge = is_edge_mark(v);
    const std::uint32_t end = edge ? queue + 4 : queue;
    asm volatile(
        "{\n\t.reg .pred rejected;\n\t.reg .u32 at;\n\t"
        "setp.ne.u32 rejected, %3, 0;\n\t"
        "atom.shared.add.u32 at, [%0], %1;\n\t"
        "@rejected st.shared.u32 [at], %2;\n\t}"
        :
        : "r"(rejected ? end : table.unused), "r"(edge ? -4 : 4), "r"(item), "r"(static_cast<std::uint32_t>(rejected))
        : "memory");
  }
};

// Uniforms reject nothing.
template <class Real>
__device__ __forceinline__ void redo_rejected(const Uniform<Real>&, Shared&, const Table&) {
  __syncthreads();
}

// Redoes what was rejected until nothing is. Begins and ends with a barrier.
template <class Real, bool symmetric>
__device__ __forceinline__ void redo_rejected(const Normal<Real, symmetric>& normal, Shared& shared,
                                              const Table& table) {
  __syncthreads();
  const Stream stream = shared.stream[threadIdx.x % 2];
  const std::uint32_t capacity = shared.capacity;
  const std::uint32_t quads_end = load_queued(address_of(&shared.queues.quads));
#pragma unroll 1
  for (std::uint32_t quads = quads_queue(capacity); quads < quads_end;) {
    // As many quads as the queue of elements has room for.
    const std::uint32_t end = min(quads_end, quads + capacity / 4 * 2);
#pragma unroll 1
    for (quads += threadIdx.x * 2; quads < end; quads += threads_per_block * 2) {
      const std::uint32_t queue = address_of(shared.queues.elements[0]);
      std::uint16_t q;
      asm volatile("ld.shared.u16 %0, [%1];" : "=h"(q) : "r"(quads) : "memory");
      const auto v = load_quad<Real>(q);
      normal.push_if_rejected(v.x, queue, 4 * q, table);
      normal.push_if_rejected(v.y, queue, 4 * q + 1, table);
      normal.push_if_rejected(v.z, queue, 4 * q + 2, table);
      normal.push_if_rejected(v.w, queue, 4 * q + 3, table);
    }
    quads = end;
    // The first round is for all warps. What fails there is so little that one warp does the rest.
#pragma unroll 1
    for (std::uint32_t round = 0;; ++round) {
      if (round < 2) {
        __syncthreads();
        if (round == 1 && threadIdx.x >= 32) break;
      } else {
        __syncwarp();
      }
      const std::uint32_t queue = address_of(shared.queues.elements[round % 2]);
      const std::uint32_t inner_begin = elements_queue(capacity, round);
      const std::uint32_t edges_begin = inner_begin + (capacity - 1) * 4;
      const std::uint32_t inner = (load_queued(queue) - inner_begin) / 4;
      const std::uint32_t edges = (edges_begin - load_queued(queue + 4)) / 4;
      if (round > 0) {
        if (inner + edges == 0) break;
        __syncwarp();
        if (threadIdx.x == 0) shared.queues.reset(capacity, round + 1);  // the one before, which is done
        __syncwarp();
      }
      const std::uint32_t next_queue = address_of(shared.queues.elements[(round + 1) % 2]);
      const std::uint32_t edge_warps = (edges + 31) / 32;
      const std::uint32_t warps = edge_warps + (inner + 31) / 32;
      const std::uint32_t step = round == 0 ? threads_per_block / 32 : 1;
#pragma unroll 1
      for (std::uint32_t warp = threadIdx.x / 32; warp < warps; warp += step) {
        const bool edge = warp < edge_warps;
        const std::uint32_t n = (edge ? warp : warp - edge_warps) * 32 + threadIdx.x % 32;
        if (n >= (edge ? edges : inner)) continue;
        const std::uint32_t item = load_queued(edge ? edges_begin - 4 * n : inner_begin + 4 * n);
        const std::uint32_t slot = item & 0xffffu;
        const std::uint32_t trial = item >> 16;
        // Symmetric windows are used with dense jobs only.
        const std::uint64_t i = symmetric ? 4 * shared.tile.first_quad + slot : 4 * shared.quad(slot / 4) + slot % 4;
        const Words words = core::retry<CuRand>(stream, i, trial + 1);
        if (!edge || !normal.edge_trial(stream, i, slot, trial, words)) {
          normal.next_trial(stream, i, slot, trial, words.x, table, next_queue);
        }
      }
    }
    __syncthreads();
    if (quads < quads_end) {
      if (threadIdx.x == 0) {
        for (std::uint32_t r = 0; r < 2; ++r) shared.queues.reset(capacity, r);
      }
      __syncthreads();
    }
  }
}

// Fills any tile with draws. Begins after a barrier, ends with one.
template <class Maker>
__device__ __forceinline__ void make_tile(const Maker& maker, Shared& shared, const Table& table) {
  const Stream stream = shared.stream[threadIdx.x % 2];
  const std::uint32_t quads = shared.tile.quads;
#pragma unroll 1
  for (std::uint32_t q = threadIdx.x; q < quads; q += threads_per_block) {
    maker.make(stream, shared.quad(q), q, table);
  }
  redo_rejected(maker, shared, table);
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

// Calls f(format) with the dtype's, if it computes in Real.
template <class Real, class F>
__device__ __forceinline__ void with_format(std::uint32_t dtype, const F& f) {
  if constexpr (sizeof(Real) == 8) {
    f(AsFloat64{});
  } else {
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
__device__ __forceinline__ void store_some(std::uintptr_t address, const typename Format::Elements& elements, int from,
                                           int to) {
  using Element = typename Format::Element;
  Element e[4];
  static_assert(sizeof e == sizeof elements);
  memcpy(e, &elements, sizeof e);
#pragma unroll
  for (int j = 0; j < 4; ++j) {
    if (j >= from && j < to) store(address + j * sizeof(Element), e[j]);
  }
}

// The slots of a dense tile's elements that exist: the first and the last quad may be partial.
struct Slots {
  std::uint32_t first, last;

  __device__ explicit Slots(const Shared& shared) {
    const Job& job = shared.job;
    const Tile& tile = shared.tile;
    const std::uint64_t index = 4 * tile.first_quad;
    first = index < job.start ? static_cast<std::uint32_t>(job.start - index) : 0;
    last = static_cast<std::uint32_t>(min(job.start + job.count - index, std::uint64_t{4} * tile.quads));
  }
};

// Where a dense tile's slot 0 is, or would be.
template <class Element>
__device__ __forceinline__ std::uintptr_t first_address(const Shared& shared, const void* address) {
  return reinterpret_cast<std::uintptr_t>(address) + (4 * shared.tile.first_quad - shared.job.start) * sizeof(Element);
}

// `scale` is the job's, for fractions and normals.
__device__ __forceinline__ Affine<float> affine_of(const Shared& shared, float scale) {
  const Job& job = shared.job;
  const Limits limits = job.clamped != 0 ? *shared.more.limits : Limits{-INFINITY, INFINITY};
  return {scale, job.shift, limits.min, limits.max};
}

// Where a tile's draws go, and as what.
struct Output {
  void* address;  // of the job's first element
  std::uint32_t dtype;
  bool clamped;
};

template <class Format, bool clamped>
__device__ __forceinline__ void write_whole_quads(std::uintptr_t begin, std::uint32_t first, std::uint32_t last,
                                                  const Affine<typename Format::Real>& affine) {
  using Elements = typename Format::Elements;
#pragma unroll 4
  for (std::uint32_t q = first + threadIdx.x; q < last; q += threads_per_block) {
    const auto v = affine(load_quad<typename Format::Real>(q));
    store(begin + q * sizeof(Elements), Format::template encode<clamped>(v, affine));
  }
}

template <class Format>
__device__ __forceinline__ void write_dense(const Shared& shared, const Output& output,
                                            const Affine<typename Format::Real>& affine) {
  using Real = typename Format::Real;
  using Element = typename Format::Element;
  using Elements = typename Format::Elements;
  const std::uintptr_t begin = first_address<Element>(shared, output.address);
  const Slots slots(shared);
  // Slots [first, last) are stored by fours.
  std::uint32_t first = (slots.first + 3) / 4 * 4;
  std::uint32_t last = max(first, slots.last / 4 * 4);
  if (begin % alignof(Elements) != 0) first = last = slots.last;
  if (output.clamped) {
    write_whole_quads<Format, true>(begin, first / 4, last / 4, affine);
  } else {
    write_whole_quads<Format, false>(begin, first / 4, last / 4, affine);
  }
  if (first == slots.first && last == slots.last) return;
#pragma unroll 1
  for (std::uint32_t e = slots.first + threadIdx.x; e < slots.last; e += threads_per_block) {
    if (e >= first && e < last) continue;
    const Real v = affine(reinterpret_cast<const Real*>(draws)[e]);
    store_some<Format>(begin + e * sizeof(Element), Format::template encode<true>({v, v, v, v}, affine), 0, 1);
  }
}

template <class Format>
__device__ __forceinline__ void write_blocked(const Shared& shared, const Output& output,
                                              const Affine<typename Format::Real>& affine) {
  using Element = typename Format::Element;
  using Elements = typename Format::Elements;
  const auto run = static_cast<std::int64_t>(shared.more.rows->run);
#pragma unroll 1
  for (std::uint32_t q = threadIdx.x; q < shared.tile.quads; q += threads_per_block) {
    const Position at = position_in_rows(shared.tile, shared.job.start, shared.more, q);
    const auto v = affine(load_quad<typename Format::Real>(q));
    const Elements elements = Format::template encode<true>(v, affine);
    // Numbers of the quad's first element in its row and in the job; which of its elements exist.
    const auto column = static_cast<std::int64_t>(4 * at.quad - at.row_start);
    const std::int64_t number =
        static_cast<std::int64_t>(at.row * shared.more.rows->run - shared.more.rows->first) + column;
    const std::int64_t from = max(std::int64_t{0}, max(-column, -number));
    const std::int64_t to =
        min(std::int64_t{4}, min(run - column, static_cast<std::int64_t>(shared.job.count) - number));
    const std::uintptr_t begin = reinterpret_cast<std::uintptr_t>(output.address) + number * sizeof(Element);
    if (from == 0 && to == 4 && begin % alignof(Elements) == 0) {
      store(begin, elements);
    } else if (from < to) {
      store_some<Format>(begin, elements, static_cast<int>(from), static_cast<int>(to));
    }
  }
}

template <class Real>
__device__ __forceinline__ void write(const Shared& shared, const Output& output, const Affine<Real>& affine) {
  with_format<Real>(output.dtype, [&](auto format) {
    using Format = decltype(format);
    if (shared.tile.blocked) {
      write_blocked<Format>(shared, output, affine);
    } else {
      write_dense<Format>(shared, output, affine);
    }
  });
}

// ---- kinds of jobs --------------------------------------------------------------------------------------------------

// Uniforms straight from words to aligned memory.
template <class Format, bool clamped>
__device__ __forceinline__ void write_uniforms(const Shared& shared, const Table& table) {
  using Elements = typename Format::Elements;
  asm volatile("" ::: "memory");  // lest the compiler read and derive all this before it knows the format
  const Stream stream = shared.stream[threadIdx.x % 2];
  const Uniform<float> uniform(static_cast<Draw>(shared.job.draw), table.half);
  const Affine<float> affine = affine_of(shared, uniform.folded(shared.job.scale));
  const std::uintptr_t begin = first_address<typename Format::Element>(shared, shared.job.address);
  const auto make = [&](std::uint64_t quad) {
    const Words w = core::heads<CuRand>(stream, quad);
    const auto v = affine({uniform.number(w.x), uniform.number(w.y), uniform.number(w.z), uniform.number(w.w)});
    return Format::template encode<clamped>(v, affine);
  };
  // The first and the last quad may be partial: two threads make them alone.
  const Slots slots(shared);
  const std::uint32_t first = (slots.first + 3) / 4;
  const std::uint32_t last = slots.last / 4;
  if (threadIdx.x < 2 && (threadIdx.x == 0 ? first > 0 : slots.last % 4 != 0 && (last > 0 || first == 0))) {
    const std::uint32_t q = threadIdx.x == 0 ? 0 : last;
    store_some<Format>(begin + q * sizeof(Elements), make(shared.tile.first_quad + q),
                       max(0, static_cast<int>(slots.first - 4 * q)), min(4, static_cast<int>(slots.last - 4 * q)));
  }
  for_dense_quads<8>(
      shared.tile.first_quad + first, last > first ? last - first : 0,
      [&](std::uint64_t quad, std::uint32_t q) { store(begin + (first + q) * sizeof(Elements), make(quad)); });
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
__device__ __forceinline__ void fill_pattern(const Shared& shared) {
  const Job& job = shared.job;
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
  const Slots slots(shared);
  const std::uint64_t skipped = 4 * shared.tile.first_quad - job.start;  // elements before slot 0; may be negative
  const std::uintptr_t begin = reinterpret_cast<std::uintptr_t>(job.address) + (skipped + slots.first) * size;
  const std::uintptr_t end = begin + (slots.last - slots.first) * size;
  const std::uintptr_t first = min((begin + 15) / 16 * 16, end);  // [first, last) is stored by 16 bytes
  const std::uintptr_t last = first + (end - first) / 16 * 16;
#pragma unroll 4
  for (std::uintptr_t at = first + threadIdx.x * 16; at < last; at += threads_per_block * 16) {
    store(at, make_ulonglong2(repeated, repeated));
  }
  if (threadIdx.x < 16) {  // at most 15 elements on either side
    const std::uintptr_t head = begin + threadIdx.x * size;
    const std::uintptr_t tail = last + threadIdx.x * size;
    if (head < first) store_bits(head, repeated, size);
    if (tail < end) store_bits(tail, repeated, size);
  }
  if (constant) return;
  asm volatile("" ::: "memory");  // lest the compiler keep what it can read again
  // The diagonal of a matrix has the indices row * (columns + 1), row < columns.
  __syncthreads();
  const std::uint64_t columns = *shared.more.columns;
  const std::uint64_t from = 4 * shared.tile.first_quad + slots.first;
  const std::uint64_t to = 4 * shared.tile.first_quad + slots.last;
#pragma unroll 1
  for (std::uint64_t row = (from + columns) / (columns + 1) + threadIdx.x; row < columns; row += threads_per_block) {
    const std::uint64_t index = row * (columns + 1);
    if (index >= to) break;
    store_bits(reinterpret_cast<std::uintptr_t>(job.address) + (index - job.start) * size, job.bits, size);
  }
}

__device__ __forceinline__ void fill_narrow(Shared& shared, const Table& table) {
  const Job& job = shared.job;
  const auto draw = static_cast<Draw>(job.draw);
  if (job.direct != 0) {
    return with_format<float>(job.dtype, [&](auto format) {
      if (shared.job.clamped != 0) {
        write_uniforms<decltype(format), true>(shared, table);
      } else {
        write_uniforms<decltype(format), false>(shared, table);
      }
    });
  }
  if (draw == Draw::symmetric_normal && !shared.tile.blocked) {
    const Normal<float, true> normal{job.lower, job.upper, nullptr};
    const Stream stream = shared.stream[threadIdx.x % 2];
    for_dense_quads<2>(shared.tile.first_quad, shared.tile.quads,
                       [&](std::uint64_t quad, std::uint32_t q) { normal.make(stream, quad, q, table); });
    redo_rejected(normal, shared, table);
  } else if (draw == Draw::symmetric_normal || draw == Draw::normal) {
    make_tile(Normal<float, false>{job.lower, job.upper, nullptr}, shared, table);
  } else {
    make_tile(Uniform<float>(draw, table.half), shared, table);
  }
  Affine<float> affine = affine_of(shared, job.scale);
  Output output{job.address, job.dtype, job.clamped != 0};
#pragma unroll 1
  for (std::uint32_t c = 0;; ++c) {
    write(shared, output, affine);
    if (c == job.copies) return;
    const Copy copy = shared.more.copies[c];
    affine.min = copy.limits.min;
    affine.max = copy.limits.max;
    output = {copy.address, copy.dtype, copy.clamped != 0};
  }
}

__device__ __forceinline__ void fill_wide(Shared& shared, const Table& table) {
  const Job& job = shared.job;
  const Wide& wide = *shared.more.wide;
  if (static_cast<Draw>(job.draw) == Draw::normal) {
    make_tile(Normal<double, false>{job.lower, job.upper, &wide}, shared, table);
  } else {
    make_tile(Uniform<double>(static_cast<Draw>(job.draw), table.half), shared, table);
  }
  write(shared, {job.address, job.dtype, job.clamped != 0}, Affine<double>{wide.scale, wide.shift, wide.min, wide.max});
}

// The last job that begins at this tile or before.
__device__ __forceinline__ const Job& find_job(const Header& header, const std::uint64_t* data, std::uint32_t tile) {
  const Job* jobs = reinterpret_cast<const Job*>(data);
#pragma unroll 1
  for (std::uint32_t left = header.jobs; left > 1;) {
    const std::uint32_t half = left / 2;
    const bool later = jobs[half].tile_begin <= tile;
    jobs += later ? half : 0;
    left = later ? left - half : half;
  }
  return *jobs;
}

__device__ __forceinline__ void find_tile(const Header& header, const std::uint64_t* behind, std::uint32_t number,
                                          Shared& shared) {
  const std::uint64_t* const data = header.data != nullptr ? header.data : behind;
  const Job& job = shared.job = find_job(header, data, number);
  const bool wide = static_cast<DType>(job.dtype) == DType::float64;
  const std::uint32_t quads = quads_per_tile_of(job, header.quads_per_tile, wide);
  shared.more.find(job, data);
  shared.tile.find(job, shared.more, std::uint64_t{number - job.tile_begin} * quads, quads);
  shared.stream[0] = shared.stream[1] = {header.device_seed != nullptr ? *header.device_seed : job.seed, job.bits};
  shared.queues.quads = quads_queue(shared.capacity);
  for (std::uint32_t round = 0; round < 2; ++round) shared.queues.reset(shared.capacity, round);
}

__device__ __forceinline__ void fill(const Header& header, const std::uint64_t* behind) {
  __shared__ Shared shared;
  __shared__ std::uint32_t unused[32];
  float* const widths = table_memory(header.quads_per_tile);
#pragma unroll 1
  for (std::uint32_t n = threadIdx.x; n < table_entries * header.table_copies; n += threads_per_block) {
    const std::uint32_t cell = n / header.table_copies;
    // 2^-7 for the numbers of rectangle_point, which have as much too many.
    widths[n] = cell < core::rectangles ? core::mul(ziggurat.x_scaled[cell], 0x1p-7F) : __uint_as_float(infinity_bits);
  }
  if (threadIdx.x == 0) {
    shared.capacity = header.quads_per_tile;
    shared.half[0] = shared.half[1] = 0x80;
  }
#pragma unroll 1
  for (std::uint32_t n = blockIdx.x; n < header.tiles; n += gridDim.x) {
    if (threadIdx.x == 0) find_tile(header, behind, n, shared);
    __syncthreads();
    const Table table{4 * header.table_copies, address_of(widths) + (threadIdx.x & (header.table_copies - 1)) * 4,
                      load_queued(address_of(&shared.half[threadIdx.x % 2])), address_of(&shared.queues.quads),
                      address_of(&unused[threadIdx.x % 32])};
    const auto draw = static_cast<Draw>(shared.job.draw);
    if (draw == Draw::constant || draw == Draw::identity) {
      fill_pattern(shared);
    } else if (static_cast<DType>(shared.job.dtype) == DType::float64) {
      fill_wide(shared, table);
    } else {
      fill_narrow(shared, table);
    }
    __syncthreads();  // before all that is shared is used again
  }
}

}  // namespace

// Enough registers for all, and for as many blocks as their shared memory allows.
constexpr int blocks_per_sm = 4;

__global__ void __launch_bounds__(threads_per_block, blocks_per_sm)
    fill_small(const __grid_constant__ SmallParameters p) {
  fill(p.header, p.data);
}

__global__ void __launch_bounds__(threads_per_block, blocks_per_sm)
    fill_large(const __grid_constant__ LargeParameters p) {
  fill(p.header, p.data);
}

}  // namespace fanin::gpu
