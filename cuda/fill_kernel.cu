// SPDX-License-Identifier: Apache-2.0
// The kernel: every warp draws and writes the elements that are its own, and draws again those that were rejected.
//
// A launch's elements are dealt out to warps in one piece each. Every lane makes quads and stores them as they are;
// quads in which a point may have been rejected, because it is at least 2 in magnitude, are noted in a ring in
// shared memory. Whenever there are enough, each lane looks which it was, redoes the element and stores it over what
// stands there; what is rejected again is noted again. Elements that need a point of an edge cell, which takes
// longer, wait in a second ring until there are 32 of them, too. So all lanes nearly always have work, no warp waits
// for another, and nothing is kept that depends on a tensor's size.
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
__device__ const core::Ziggurat ziggurat = core::normal_table;
__device__ const EdgeTables edge_tables = make_edge_tables();

constexpr std::uint32_t infinity_bits = 0x7f800000u;

// The keys of curand_Philox4x32_10's ten rounds. Kept, because the compiler would rather work them out for each block.
constexpr std::uint32_t philox_rounds = 10;
struct RoundKeys {
  uint2 of[philox_rounds];
};

// A block before its last round.
struct NearlyDone {
  uint4 state;
  uint2 key;

  // The first word alone takes half of the round.
  __device__ __forceinline__ std::uint32_t head() const { return _philox4x32round(state, key).x; }
  __device__ __forceinline__ Words words() const {
    const uint4 words = _philox4x32round(state, key);
    return {words.x, words.y, words.z, words.w};
  }
};

// Rounds `first` to the last but one, by cuRAND's own function.
template <std::uint32_t first>
__device__ __forceinline__ NearlyDone rounds_from(uint4 state, const RoundKeys& keys) {
#pragma unroll
  for (std::uint32_t round = first; round < philox_rounds - 1; ++round) state = _philox4x32round(state, keys.of[round]);
  return {state, keys.of[philox_rounds - 1]};
}

struct CuRand {
  static __device__ __forceinline__ Words block(Words counter, const RoundKeys& keys) {
    return rounds_from<0>(make_uint4(counter.x, counter.y, counter.z, counter.w), keys).words();
  }
};
// The same, but for the last round.
struct CuRandNearly {
  static __device__ __forceinline__ NearlyDone block(Words counter, const RoundKeys& keys) {
    return rounds_from<0>(make_uint4(counter.x, counter.y, counter.z, counter.w), keys);
  }
};

struct Stream {
  RoundKeys keys;
  std::uint64_t subsequence;
  __device__ __forceinline__ const RoundKeys& key() const { return keys; }
};

// A value that the compiler does not work out anew where it is used.
__device__ __forceinline__ std::uint32_t kept(std::uint32_t v) {
  asm volatile("" : "+r"(v));
  return v;
}

__device__ __forceinline__ std::uint32_t lane_number() { return threadIdx.x % 32; }

__device__ __forceinline__ std::uint32_t address_of(const void* shared_memory) {
  return static_cast<std::uint32_t>(__cvta_generic_to_shared(shared_memory));
}

// The table of widths in shared memory: a cell's entry is at cell * cell_bytes + address.
struct Table {
  std::uint32_t cell_bytes;
  std::uint32_t address;
  float unit;                 // what a width of 1 is there: a power of two
  std::uint32_t notes_shift;  // notes, shifted right by it, are the warps of notes to redo
  // From memory, lest the compiler know them.
  std::uint32_t half;    // 0x80: a logic instruction takes one immediate number only
  std::uint32_t stride;  // 32: products of numbers that it knew to be 32 apart it would work out from one another

  __device__ __forceinline__ float per_unit() const { return __uint_as_float(0x7f000000u - __float_as_uint(unit)); }
};

__device__ __forceinline__ float load_width(std::uint32_t address) {
  float v;
  asm("ld.shared.f32 %0, [%1];" : "=f"(v) : "r"(address));
  return v;
}

// k * X of a word, times the table's unit, or infinite in an edge cell (docs/VALUES.md, section 3; centred fractions:
// section 2).
__device__ __forceinline__ float rectangle_point(std::uint32_t word, const Table& table) {
  const auto k = static_cast<float>(static_cast<std::int32_t>((word & 0xffffff00u) | table.half));  // times 2^7
  // The dot product of bytes takes the lowest one, scales it and adds, in one instruction.
  return core::mul(k, load_width(__dp4a(word, table.cell_bytes, table.address)));
}

// ---- what was rejected ----------------------------------------------------------------------------------------------

template <class Real>
struct Quad {
  Real x, y, z, w;
};

// Tags of blocks, where a counter has them (docs/VALUES.md, section 1).
constexpr std::uint32_t tag_shift = 24;
constexpr std::uint32_t first_tag = 1u << tag_shift;

constexpr std::uint32_t quads_together = 8;

// A quad of which some points may be rejected.
struct alignas(16) Note {
  Quad<float> z;
  std::uint32_t tag;     // of the last block that was used for the last of those points; 0: of none
  std::uint32_t number;  // the quad's
  std::uint32_t unused[2];
};
// An element in an edge cell.
struct alignas(16) EdgeNote {
  uint4 state;  // of the retry block that chooses its point, before its last round: y, x, w, z
  std::uint32_t element;
  std::uint32_t tag;  // of that block; in the highest bit the point's sign
  std::uint32_t unused[2];
};

// A warp's. Two rings, whose heads Redo knows. Used through addresses in shared memory.
//
// Within [-2, 2] a quad is noted with a probability of 0.217. A warp makes 256, and adds what it notes to up to 31
// notes and the dozen that it has noted again. Of 256 quads 56 are noted, with a standard deviation of 6.6; that the
// ring is full when a call of redo() begins has a probability below 1e-80. Nor are places noted again that a slow lane
// may still read: though it had not read those of the last call, 1e-19 a call. Other windows, which may reject half,
// add 32 quads at a time, and nothing waits.
//
// A call of redo() takes 32 edge elements, if there are, and notes at most as many as it takes notes. Within [-2, 2] a
// fourth of the notes are edge elements, 17 a call: for their ring 4e-33 and 1e-17. Without a window all may be; then a
// call takes only one warp of notes, and only when there are 128 (Header::notes_shift): 256 quads bring 16, and there
// are never more than 63 edge elements.
struct alignas(16) Queue {
  static constexpr std::uint32_t size = 256;
  static constexpr std::uint32_t edges_size = 128;

  Note notes[size];  // tags are 0 in free places
  EdgeNote edges[edges_size];
  std::uint32_t tail, edges_tail;  // numbers of the next free places
  // Twice the same, for lanes of even and odd number: what the compiler does not know to be the same for all lanes
  // it keeps in ordinary registers. Of those for uniform values there are not enough for a key's rounds.
  uint2 keys[philox_rounds][2];
  uint2 subsequence[2];
  uint4 aside;  // see Notes::put_aside()
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
__device__ __forceinline__ uint4 load_shared_quad(std::uint32_t address) {
  uint4 v;
  asm volatile("ld.shared.v4.u32 {%0, %1, %2, %3}, [%4];"
               : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
               : "r"(address)
               : "memory");
  return v;
}
__device__ __forceinline__ void store_shared(std::uint32_t address, std::uint32_t v) {
  asm volatile("st.shared.u32 [%0], %1;" : : "r"(address), "r"(v) : "memory");
}

// The number of the highest bit that is set.
__device__ __forceinline__ std::uint32_t highest_bit(std::uint32_t v) {
  std::uint32_t bit;
  asm("bfind.u32 %0, %1;" : "=r"(bit) : "r"(v));
  return bit;
}

// Where a warp notes what it has to redo.
struct Notes {
  std::uint32_t queue;    // addresses in shared memory
  std::uint32_t lane_at;  // of the lane's note, if the head were 0
  std::uint32_t unused;   // less that of a queue's tail: of a word for each lane, which nobody reads
  uint2 limits;           // the rings' last numbers, from memory, lest the compiler load them again and again

  __device__ __forceinline__ std::uint32_t at(std::size_t offset) const {
    return queue + static_cast<std::uint32_t>(offset);
  }
  __device__ __forceinline__ uint2 tails() const { return load_shared_pair(at(offsetof(Queue, tail))); }

  // Of empty rings, with heads of 0.
  __device__ __forceinline__ void start() const {
    __syncwarp();
    if (lane_number() == 0) {
      store_shared(at(offsetof(Queue, tail)), 0);
      store_shared(at(offsetof(Queue, edges_tail)), 0);
    }
    __syncwarp();
  }

  // Two numbers, the same for all lanes, while registers are needed for something else.
  __device__ __forceinline__ void put_aside(std::uint64_t a, std::uint64_t b) const {
    __syncwarp();
    if (lane_number() == 0) {
      asm volatile("st.shared.v2.u64 [%0], {%1, %2};" : : "r"(at(offsetof(Queue, aside))), "l"(a), "l"(b) : "memory");
    }
    __syncwarp();
  }
  __device__ __forceinline__ void get_back(std::uint64_t& a, std::uint64_t& b) const {
    asm volatile("ld.shared.v2.u64 {%0, %1}, [%2];" : "=l"(a), "=l"(b) : "r"(at(offsetof(Queue, aside))) : "memory");
  }

  // In what follows, lanes that note nothing add elsewhere: a branch around the addition would take longer than the
  // addition, and so would the same address for all.

  // Notes a quad if one of its points is at least 2 in magnitude.
  __device__ __forceinline__ void note_if_large(const Quad<float>& z, std::uint32_t number) const {
    asm volatile(
        "{\n\t.reg .pred large;\n\t.reg .u32 at;\n\t"
        "lop3.b32 at, %0, %1, %2, 0xfe;\n\t"
        "lop3.b32 at, at, %3, 0x40000000, 0xa8;\n\t"  // the highest bit of 2's exponent, of any of them
        "setp.ne.u32 large, at, 0;\n\t"
        "selp.b32 at, %5, %6, large;\n\t"
        "atom.shared.inc.u32 at, [at + %7], %8;\n\t"
        "mad.lo.u32 at, at, %9, %5;\n\t"
        "@large st.shared.v4.u32 [at], {%0, %1, %2, %3};\n\t"
        "@large st.shared.u32 [at + 20], %4;\n\t}"
        :
        : "r"(__float_as_uint(z.x)), "r"(__float_as_uint(z.y)), "r"(__float_as_uint(z.z)), "r"(__float_as_uint(z.w)),
          "r"(number), "r"(queue), "r"(unused), "n"(offsetof(Queue, tail)), "r"(limits.x), "n"(sizeof(Note))
        : "memory");
  }
  // Notes a quad if `noted` is not 0, with `other` in the place of the point whose flag this bit is (see
  // Normal::flags).
  __device__ __forceinline__ void note_if(std::uint32_t noted, const Quad<float>& z, std::uint32_t bit, float other,
                                          std::uint32_t number, std::uint32_t tag) const {
    asm volatile(
        "{\n\t.reg .pred noted;\n\t.reg .u32 at;\n\t.reg .u32 other;\n\t"
        "setp.ne.u32 noted, %4, 0;\n\t"
        "selp.b32 at, %7, %8, noted;\n\t"
        "atom.shared.inc.u32 at, [at + %9], %10;\n\t"
        "mad.lo.u32 at, at, %11, %7;\n\t"
        "shr.u32 other, %12, 1;\n\t"
        "add.u32 other, other, at;\n\t"
        "@noted st.shared.v4.u32 [at], {%0, %1, %2, %3};\n\t"
        "@noted st.shared.v2.u32 [at + 16], {%6, %5};\n\t"
        "@noted st.shared.u32 [other + -3], %13;\n\t}"
        :
        : "r"(__float_as_uint(z.x)), "r"(__float_as_uint(z.y)), "r"(__float_as_uint(z.z)), "r"(__float_as_uint(z.w)),
          "r"(noted), "r"(number), "r"(tag), "r"(queue), "r"(unused), "n"(offsetof(Queue, tail)), "r"(limits.x),
          "n"(sizeof(Note)), "r"(bit), "r"(__float_as_uint(other))
        : "memory");
  }
  __device__ __forceinline__ void note_edge_if(bool noted, const uint4& state, std::uint32_t element,
                                               std::uint32_t tag) const {
    asm volatile(
        "{\n\t.reg .pred noted;\n\t.reg .u32 n, at;\n\t"
        "setp.ne.u32 noted, %4, 0;\n\t"
        "selp.b32 at, %7, %8, noted;\n\t"
        "atom.shared.inc.u32 n, [at + %9], %10;\n\t"
        "mad.lo.u32 at, n, %11, %7;\n\t"
        // In this order because the second and the fourth are the high words of products.
        "@noted st.shared.v4.u32 [at + %12], {%1, %0, %3, %2};\n\t"
        "@noted st.shared.v2.u32 [at + %12 + 16], {%5, %6};\n\t}"
        :
        : "r"(state.x), "r"(state.y), "r"(state.z), "r"(state.w), "r"(static_cast<std::uint32_t>(noted)), "r"(element),
          "r"(tag), "r"(queue), "r"(unused), "n"(offsetof(Queue, edges_tail)), "r"(limits.y), "n"(sizeof(EdgeNote)),
          "n"(offsetof(Queue, edges))
        : "memory");
  }
};
static_assert(offsetof(Queue, notes) == 0);
static_assert(offsetof(Note, z) == 0 && sizeof(EdgeNote) == sizeof(Note));  // see note_if(), Notes::lane_at
static_assert(sizeof(Queue) == queue_bytes);

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

// Of a job that comes after `number` others.
__device__ __forceinline__ Extensions extensions_of(const Job& job, std::uint32_t number) {
  return {job, reinterpret_cast<const std::uint64_t*>(&job - number)};
}

// Quads of a job that a warp makes in one go, a segment, numbered from 0. Those of a dense job have consecutive
// indices; their low words do not pass 2^32, nor those of their elements, so that all that follows from the high ones
// is the same for all lanes.
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

// ---- words --------------------------------------------------------------------------------------------------------

constexpr std::uint32_t max_segment_quads = 1u << 20;

// The blocks of a segment, wherever they are. Its quads are numbered from first() on; element j of quad n is element
// 4 n + j, modulo 2^32.
template <class Place>
struct AnyBlocks {
  const Stream& stream;
  const Place& place;

  static constexpr __device__ std::uint32_t first() { return 0; }
  __device__ __forceinline__ Words heads(std::uint32_t number) const {
    return core::heads<CuRand>(stream, place.quad(number));
  }
  __device__ __forceinline__ Words head_refinements(std::uint32_t number) const {
    return core::head_refinements<CuRand>(stream, place.quad(number));
  }
  __device__ __forceinline__ NearlyDone retry(std::uint32_t element, std::uint32_t tag) const {
    return core::retry<CuRandNearly>(stream, place.index(element), tag >> tag_shift);
  }
  __device__ __forceinline__ std::uint32_t retry_refinement(std::uint32_t element, std::uint32_t trial) const {
    return core::retry_refinement<CuRand>(stream, place.index(element), trial);
  }
  __device__ __forceinline__ uint2 last_key() const { return stream.keys.of[philox_rounds - 1]; }
};

// Those of a dense segment, numbered by the low words of their indices. Nothing else in counters changes but the tag:
// what the first two rounds of Philox make of that is worked out once, the others are cuRAND's.
struct DenseBlocks {
  RoundKeys keys;
  std::uint32_t low;     // of the first quad's index
  std::uint32_t z1, x2;  // in the first round z, in the second x: what a product is combined with
  std::uint32_t z2, w2;  // of heads, in the second round
  std::uint32_t x1;      // of retries, in the first round

  __device__ DenseBlocks(const Stream& stream, const Dense& dense) : keys(stream.keys), low(dense.low) {
    std::uint32_t high;
    const std::uint32_t y1 = mulhilo32(PHILOX_M4x32_1, static_cast<std::uint32_t>(stream.subsequence), &high);
    z1 = kept(static_cast<std::uint32_t>(stream.subsequence >> 32) ^ keys.of[0].y);
    x2 = kept(y1 ^ keys.of[1].x);
    x1 = kept(high ^ keys.of[0].x ^ static_cast<std::uint32_t>(dense.index(0) >> 32));
    w2 = mulhilo32(PHILOX_M4x32_0, high ^ keys.of[0].x ^ dense.high, &z2);
    z2 = kept(z2 ^ keys.of[1].y);
    w2 = kept(w2);
  }

  __device__ __forceinline__ std::uint32_t first() const { return low; }
  __device__ __forceinline__ Words heads(std::uint32_t number) const { return rest(number, z2, w2).words(); }
  __device__ __forceinline__ NearlyDone retry(std::uint32_t element, std::uint32_t tag) const {
    const std::uint64_t p = std::uint64_t{PHILOX_M4x32_0} * (tag ^ x1);
    return rest(element, static_cast<std::uint32_t>(p >> 32) ^ keys.of[1].y, static_cast<std::uint32_t>(p));
  }
  __device__ __forceinline__ uint2 last_key() const { return keys.of[philox_rounds - 1]; }

 private:
  // All rounds of a counter with this x; the second one is given what it adds to z, and w.
  __device__ __forceinline__ NearlyDone rest(std::uint32_t x, std::uint32_t z, std::uint32_t w) const {
    std::uint32_t high;
    const std::uint32_t low1 = mulhilo32(PHILOX_M4x32_0, x, &high);
    std::uint32_t high2;
    const std::uint32_t y = mulhilo32(PHILOX_M4x32_1, high ^ z1, &high2);
    return rounds_from<2>(make_uint4(high2 ^ x2, y, low1 ^ z, w), keys);
  }
};

// ---- draws --------------------------------------------------------------------------------------------------------

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

  template <class Blocks>
  __device__ __forceinline__ Quad<Real> make(const Blocks& blocks, std::uint32_t number) const {
    const Words h = blocks.heads(number);
    Words r{};
    if constexpr (sizeof(Real) == 8) r = blocks.head_refinements(number);
    return {fraction(h.x, r.x), fraction(h.y, r.y), fraction(h.z, r.z), fraction(h.w, r.w)};
  }
};

// Standard normals within [lower, upper], all times the table's unit. If symmetric, within [-upper, upper], and no
// point below 2 in magnitude is rejected.
template <class Real, bool symmetric>
struct Normal {
  static constexpr bool is_symmetric = symmetric;
  float lower, upper;
  Table table;
  const Wide* wide;  // of Real = double

  // Whether a rectangle's point is outside the window, or the infinite one that stands for a point of an edge cell.
  __device__ __forceinline__ bool rejects(float z) const {
    return symmetric ? fabsf(z) > upper : z < lower || z > upper;
  }

  __device__ __forceinline__ Quad<float> points(const Words& h) const {
    return {rectangle_point(h.x, table), rectangle_point(h.y, table), rectangle_point(h.z, table),
            rectangle_point(h.w, table)};
  }
  // Trial 0 of a quad's elements with points z: what they are if they are not rejected.
  template <class Blocks>
  __device__ __forceinline__ Quad<Real> values(const Quad<float>& z, const Words& h, const Blocks& blocks,
                                               std::uint32_t number) const {
    if constexpr (sizeof(Real) == 4) {
      return z;
    } else {
      const Words r = blocks.head_refinements(number);
      return {refined(h.x, r.x), refined(h.y, r.y), refined(h.z, r.z), refined(h.w, r.w)};
    }
  }
  // A point that is not rejected.
  static constexpr float harmless = symmetric ? 0 : NAN;

  // Flags of points that may be rejected: bit 6 of byte n for number n.
  __device__ __forceinline__ std::uint32_t flags(const Quad<float>& z) const {
    if constexpr (symmetric) {
      // The highest bit of 2's exponent.
      const std::uint32_t low = __byte_perm(__float_as_uint(z.x), __float_as_uint(z.y), 0x0073);
      const std::uint32_t high = __byte_perm(__float_as_uint(z.z), __float_as_uint(z.w), 0x0073);
      return __byte_perm(low, high, 0x5410) & 0x40404040u;
    } else {
      return (rejects(z.x) ? 1u << 6 : 0) | (rejects(z.y) ? 1u << 14 : 0) | (rejects(z.z) ? 1u << 22 : 0) |
             (rejects(z.w) ? 1u << 30 : 0);
    }
  }
  __device__ __forceinline__ void note(const Notes& notes, const Quad<float>& z, std::uint32_t number) const {
    if constexpr (symmetric) {
      notes.note_if_large(z, number);
    } else {
      notes.note_if(flags(z), z, 6, z.x, number, 0);
    }
  }

  // A point of a rectangle with all its digits.
  __device__ __forceinline__ double refined(std::uint32_t head, std::uint32_t refinement) const {
    if (core::is_edge(head)) return 0;
    const double k = core::refined(core::centred(head), refinement);
    return core::clamp(core::mul(k, ziggurat.x_scaled64[core::cell_of(head)]), wide->lower, wide->upper);
  }

  // The value of an element's accepted trial, z, a rectangle's point.
  template <class Blocks>
  __device__ __forceinline__ Real rectangle_value(float z, const Blocks& blocks, std::uint32_t element,
                                                  std::uint32_t head, std::uint32_t trial) const {
    if constexpr (sizeof(Real) == 4) {
      return z;
    } else {
      return trial == core::trials ? 0.0 : refined(head, blocks.retry_refinement(element, trial));
    }
  }

  // The value of an element's accepted trial, z, a point of an edge cell.
  template <class Blocks>
  __device__ __forceinline__ Real edge_value(float z, const Blocks& blocks, std::uint32_t element,
                                             std::uint32_t trial) const {
    if constexpr (sizeof(Real) == 4) {
      return z;
    } else {
      std::uint32_t word;
      if (trial > 0) {
        word = blocks.retry_refinement(element, trial);
      } else {
        const Words r = blocks.head_refinements(element / 4);
        word = element % 4 == 0 ? r.x : element % 4 == 1 ? r.y : element % 4 == 2 ? r.z : r.w;
      }
      // The head word of any edge cell does.
      const core::Accepted accepted{core::mul(z, table.per_unit()), core::rectangles, trial};
      return core::clamp(core::refine(accepted, word, ziggurat), wide->lower, wide->upper);
    }
  }
};

template <class Real, bool symmetric>
__device__ __forceinline__ Normal<Real, symmetric> normal_of(const Job& job, const Extensions& more,
                                                             const Table& table) {
  // Without a window all points are accepted but infinite ones, which stand for points of edge cells.
  const float upper = fminf(job.upper, 0x1p100F);
  return {symmetric ? -upper : fmaxf(job.lower, -0x1p100F), upper, table, more.wide};
}

// The point of an edge cell with this sign bit that a retry block chooses: core::edge_point() for many lanes, whose
// boxes differ. Box 0, the tail, has other formulas; what they share is worked out once.
__device__ __forceinline__ core::Trial edge_point(std::uint32_t sign, const Words& words) {
  const std::uint32_t first = edge_tables.first[words.y >> (32 - EdgeTables::first_bits)];
  std::uint32_t number = first & 0xff;
  if (words.y << EdgeTables::first_bits > first) ++number;
  const EdgeTables::Box box = edge_tables.box[number];
  float ux = core::edge_fraction(words.z);
  const float l = core::neglog(core::fma(core::edge_fraction(words.w), box.dy, box.y_low));
  if (number == 0) {
    __syncwarp(__activemask());  // makes it a branch: seldom does a lane of a warp go there
    ux = core::mul(core::neglog(ux), core::normal_table.inverse_x0);
  }
  const float x = core::fma(ux, box.dx, box.x_low);
  const float distance = number == 0 ? ux : x;
  return {__uint_as_float(__float_as_uint(x) | sign), core::mul(distance, distance) < core::add(l, l)};
}

// ---- formats ------------------------------------------------------------------------------------------------------

// Fractions and normals to values.
template <class Real>
struct Affine {
  Real scale, shift;

  __device__ __forceinline__ Real operator()(Real v) const { return core::fma(v, scale, shift); }
  __device__ __forceinline__ Quad<Real> operator()(const Quad<Real>& v) const {
    return {(*this)(v.x), (*this)(v.y), (*this)(v.z), (*this)(v.w)};
  }
};

template <class Real>
struct Clamp {
  Real min, max;

  __device__ __forceinline__ float operator()(float v) const { return fminf(fmaxf(v, min), max); }
  __device__ __forceinline__ double operator()(double v) const { return fmin(fmax(v, min), max); }
  __device__ __forceinline__ Quad<Real> operator()(const Quad<Real>& v) const {
    return {(*this)(v.x), (*this)(v.y), (*this)(v.z), (*this)(v.w)};
  }
};

// A format rounds four values to four elements, and clamps them before or afterwards, to Limits.
struct AsFloat32 {
  using Real = float;
  using Element = float;
  using Elements = float4;
  using Limits = Clamp<float>;
  template <bool clamped>
  static __device__ __forceinline__ Elements encode(Quad<float> v, const Limits& limits) {
    if (clamped) v = limits(v);
    return make_float4(v.x, v.y, v.z, v.w);
  }
};

struct AsFloat64 {
  using Real = double;
  using Element = double;
  struct alignas(16) Elements {
    double2 low, high;
  };
  using Limits = Clamp<double>;
  template <bool clamped>
  static __device__ __forceinline__ Elements encode(Quad<double> v, const Limits& limits) {
    if (clamped) v = limits(v);
    return {make_double2(v.x, v.y), make_double2(v.z, v.w)};
  }
};

__device__ __forceinline__ __nv_bfloat162 round_pair(float a, float b, __nv_bfloat162) {
  return __floats2bfloat162_rn(a, b);
}
__device__ __forceinline__ __half2 round_pair(float a, float b, __half2) { return __floats2half2_rn(a, b); }

// Clamped in pairs after rounding, which is monotone; what has become infinite comes back.
template <class Pair, class ElementType>
struct AsHalves {
  using Real = float;
  using Element = ElementType;
  using Elements = uint2;
  struct Limits {
    Pair min, max;
    __device__ __forceinline__ Limits(const Clamp<float>& clamp) : min(both(clamp.min)), max(both(clamp.max)) {}

   private:
    static __device__ __forceinline__ Pair both(float v) {
      Pair pair = round_pair(v, v, Pair{});
      std::uint32_t bits;
      memcpy(&bits, &pair, sizeof bits);
      bits = kept(bits);
      memcpy(&pair, &bits, sizeof bits);
      return pair;
    }
  };
  template <bool clamped>
  static __device__ __forceinline__ Elements encode(const Quad<float>& v, const Limits& limits) {
    Pair low = round_pair(v.x, v.y, Pair{});
    Pair high = round_pair(v.z, v.w, Pair{});
    if (clamped) {
      low = __hmin2(__hmax2(low, limits.min), limits.max);
      high = __hmin2(__hmax2(high, limits.min), limits.max);
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
  using Limits = Clamp<float>;
  template <bool clamped>
  static __device__ __forceinline__ Elements encode(Quad<float> v, const Limits& limits) {
    if (clamped) v = limits(v);
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
  *static_cast<Elements*>(__cvta_global_to_generic(address)) = elements;
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
    return {more.wide->scale, more.wide->shift};
  } else {
    return {job.scale, job.shift};
  }
}

template <class Real>
__device__ __forceinline__ Clamp<Real> clamp_of(const Job& job, const Extensions& more) {
  if constexpr (sizeof(Real) == 8) {
    return {more.wide->min, more.wide->max};
  } else {
    return job.clamped != 0 ? Clamp<Real>{more.limits->min, more.limits->max} : Clamp<Real>{-INFINITY, INFINITY};
  }
}

// Writes whole quads of a dense job to memory that is aligned to them.
template <class FormatOf, bool clamped>
struct AlignedWriter {
  using Format = FormatOf;
  using Real = typename Format::Real;
  std::uintptr_t begin, element_begin;  // of the quad and the element with number 0, though they may not exist
  Affine<Real> affine;
  typename Format::Limits limits;

  __device__ __forceinline__ void write(std::uint32_t number, std::uint32_t further, const Quad<Real>& draws) const {
    constexpr std::uint64_t size = sizeof(typename Format::Elements);
    store(begin + number * size + further * size, Format::template encode<clamped>(affine(draws), limits));
  }
  __device__ __forceinline__ void write_some(std::uint32_t number, const Quad<Real>& draws, std::int64_t from,
                                             std::int64_t to) const {
    store_some<Format>(begin + std::uint64_t{number} * sizeof(typename Format::Elements),
                       Format::template encode<clamped>(affine(draws), limits), from, to);
  }
  __device__ __forceinline__ void write_one(std::uint32_t element, Real draw) const {
    const Real v = affine(draw);
    store_some<Format>(element_begin + element * std::uint64_t{sizeof(typename Format::Element)},
                       Format::template encode<clamped>({v, v, v, v}, limits), 0, 1);
  }
};

// Writes whatever exists of quads, wherever it is, with its copies.
template <class RealOf, class Place>
struct AnyWriter {
  using Real = RealOf;
  const Job& job;
  const Extensions& more;
  const Place& place;
  float factor;  // of binary32's scale

  // Calls f(format, address, clamp) for each place that the draws go to.
  template <class F>
  __device__ __forceinline__ void for_outputs(const F& f) const {
    Clamp<Real> clamp = clamp_of<Real>(job, more);
    if constexpr (sizeof(Real) == 8) {
      f(AsFloat64{}, job.address, clamp);
    } else {
      std::uint32_t dtype = job.dtype;
      void* address = job.address;
#pragma unroll 1
      for (std::uint32_t c = 0;; ++c) {
        with_format(
            dtype, [&](auto format) __attribute__((always_inline)) { f(format, address, clamp); });
        if (c == job.copies) return;
        const Copy copy = more.copies[c];
        clamp = {copy.limits.min, copy.limits.max};
        dtype = copy.dtype;
        address = copy.address;
      }
    }
  }
  __device__ __forceinline__ Affine<Real> affine() const {
    Affine<Real> affine = affine_of<Real>(job, more);
    if constexpr (sizeof(Real) == 4) affine.scale = core::mul(affine.scale, factor);
    return affine;
  }

  __device__ __forceinline__ void write(std::uint32_t number, std::uint32_t further, const Quad<Real>& draws) const {
    const Part part = part_of_quad(job, place, number + further);
    const Quad<Real> v = affine()(draws);
    for_outputs([&](auto format, void* address, const Clamp<Real>& clamp) __attribute__((always_inline)) {
      using Format = decltype(format);
      const auto elements = Format::template encode<true>(v, clamp);
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
    const Real v = affine()(draw);
    for_outputs([&](auto format, void* address, const Clamp<Real>& clamp) __attribute__((always_inline)) {
      using Format = decltype(format);
      store_some<Format>(
          reinterpret_cast<std::uintptr_t>(address) + (part.number + j) * sizeof(typename Format::Element),
          Format::template encode<true>({v, v, v, v}, clamp), 0, 1);
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
template <class Normal, class Blocks, class Writer>
struct Redo {
  using Real = typename Writer::Real;
  const Normal& normal;
  const Blocks& blocks;
  const Writer& writer;
  const Notes& notes;
  std::uint32_t head = 0, edges_head = 0;  // of the rings, but for multiples of their sizes

  // Redoes elements if enough quads are noted, and then 32 in edge cells, too, if there are; all: if there are any.
  // Says whether it did. What it notes itself waits for the next time.
  template <bool all>
  __device__ __forceinline__ bool redo() {
    __syncwarp();  // what lanes have noted is to be seen by all
    const uint2 tails = notes.tails();
    const std::uint32_t noted = (tails.x - head) % Queue::size;
    const std::uint32_t edges = (tails.y - edges_head) % Queue::edges_size;
    const std::uint32_t warps = noted >> normal.table.notes_shift;
    // Not before all lanes have read the tails may one of them note anything.
    const bool any = __any_sync(0xffffffffu, all ? noted != 0 || edges != 0 : warps != 0);
    const bool any_edges = __any_sync(0xffffffffu, edges >= 32 || (all && noted == 0));
    if (!any) return false;
    if (any_edges) redo_edges<all>(min(edges, 32u));
    if (all) {
      if (noted != 0) redo_noted<true>(min(noted, 32u));
    } else {
      const std::uint32_t end = head + 32 * warps;
      do {
        redo_noted<false>(32);
      } while (Normal::is_symmetric && head != end);
    }
    return true;
  }

 private:
  // The place of the lane's note in a ring, of which `count` are taken, 32 if not all; false if it has none. lane_at:
  // what it would be if the head were 0.
  template <bool all, std::uint32_t size, std::uint32_t bytes>
  __device__ __forceinline__ bool take(std::uint32_t& at, std::uint32_t lane_at, std::uint32_t& head,
                                       std::uint32_t count) {
    if (all) {
      at = lane_at + head % size * bytes;
      if (head % size + lane_number() >= size) at -= size * bytes;
      head += count;
      return lane_number() < count;
    }
    // Heads are multiples of 32 until the end. The product of a head's low byte in one instruction.
    at = size == 256 ? __dp4a(head, normal.table.stride, lane_at) : lane_at + head % size * bytes;
    head += 32;
    return true;
  }

  // Whether all trials have failed: then an element is 0. In a symmetric window that has a probability below 1e-80.
  static __device__ __forceinline__ bool is_last(std::uint32_t trial) {
    return !Normal::is_symmetric && trial == core::trials;
  }

  // Redoes the last flagged point of each of 32 notes, or as many as there are.
  template <bool all>
  __device__ __forceinline__ void redo_noted(std::uint32_t count) {
    std::uint32_t at;
    if (!take<all, Queue::size, sizeof(Note)>(at, notes.lane_at, head, count)) return;
    const uint4 loaded = load_shared_quad(at);
    const uint2 tag_number = load_shared_pair(at + offsetof(Note, tag));
    store_shared(at + offsetof(Note, tag), 0);
    const Quad<float> z{__uint_as_float(loaded.x), __uint_as_float(loaded.y), __uint_as_float(loaded.z),
                        __uint_as_float(loaded.w)};
    const std::uint32_t flags = normal.flags(z);
    const std::uint32_t bit = highest_bit(flags);  // 6, 14, 22 or 30
    const float z_flagged = __uint_as_float(load_shared(at + bit / 2 - 3));

    const std::uint32_t number = tag_number.y;
    const std::uint32_t element = 4 * number + bit / 8;
    const std::uint32_t tag = tag_number.x + first_tag;
    const NearlyDone block = blocks.retry(element, tag);
    const bool edge = fabsf(z_flagged) == INFINITY;
    const bool redone = normal.rejects(z_flagged) & !edge;
    notes.note_edge_if(edge, block.state, element, (__float_as_uint(z_flagged) & 0x80000000u) | tag);

    const std::uint32_t word = block.head();
    float next = rectangle_point(word, normal.table);
    const std::uint32_t trial = tag >> tag_shift;
    const bool last = is_last(trial);
    if (last) next = 0;
    const bool again = redone & !last & normal.rejects(next);
    // What is rejected again will be written over, as in the first trial.
    if (redone) writer.write_one(element, normal.rectangle_value(next, blocks, element, word, trial));
    const std::uint32_t again_tag = again ? tag : 0;
    notes.note_if((flags & (flags - 1)) | again_tag, z, bit, again ? next : Normal::harmless, number, again_tag);
  }

  // Redoes 32 elements in edge cells, or as many as there are.
  template <bool all>
  __device__ __forceinline__ void redo_edges(std::uint32_t count) {
    std::uint32_t at;
    constexpr auto offset = static_cast<std::uint32_t>(offsetof(Queue, edges));
    if (!take<all, Queue::edges_size, sizeof(EdgeNote)>(at, notes.lane_at + offset, edges_head, count)) return;
    const uint4 yxwz = load_shared_quad(at);
    const uint2 note = load_shared_pair(at + offsetof(EdgeNote, element));
    const NearlyDone block{make_uint4(yxwz.y, yxwz.x, yxwz.w, yxwz.z), blocks.last_key()};
    const Words words = block.words();
    const std::uint32_t element = note.x;
    const std::uint32_t tag = note.y & 0x7fffffffu;
    const core::Trial point = edge_point(note.y & 0x80000000u, words);
    const float z = core::mul(point.z, normal.table.unit);
    const bool accepted = point.kept & !normal.rejects(z);

    float next = rectangle_point(words.x, normal.table);
    const std::uint32_t trial = tag >> tag_shift;
    const bool last = is_last(trial);
    if (last) next = 0;
    const bool again = !accepted & !last & normal.rejects(next);
    if (!again) {
      writer.write_one(element, accepted ? normal.edge_value(z, blocks, element, trial - 1)
                                         : normal.rectangle_value(next, blocks, element, words.x, trial));
    }
    constexpr float harmless = Normal::harmless;
    notes.note_if(again, {harmless, harmless, harmless, harmless}, 8 * (element % 4) + 6, next, element / 4, tag);
  }
};

// Fills quads first ... end - 1 of a segment with normals. stride: Table::stride.
template <class Normal, class Blocks, class Writer>
__device__ __forceinline__ void fill_normals(std::uint32_t first, std::uint32_t end, const Normal& normal,
                                             const Blocks& blocks, const Writer& writer, const Notes& notes,
                                             std::uint32_t stride) {
  using Real = typename Writer::Real;
  const auto make = [&](std::uint32_t number, std::uint32_t begin, std::uint32_t more) {
    const Words h = blocks.heads(number);
    const Quad<float> z = normal.points(h);
    writer.write(begin, more, normal.values(z, h, blocks, number));
    normal.note(notes, z, number);
  };
  Redo<Normal, Blocks, Writer> redo{normal, blocks, writer, notes};
  constexpr std::uint32_t together = sizeof(Real) == 8 || !Normal::is_symmetric ? 1 : quads_together;
  std::uint32_t q = blocks.first() + first + lane_number();
  const std::uint32_t together_end = q + (max(end, first) - first) / (32 * together) * (32 * together);
#pragma unroll 1
  while (q != together_end) {
    std::uint32_t number = q;
#pragma unroll
    for (std::uint32_t k = 0; k < together; ++k) {
      make(number, q, 32 * k);
      number += stride;
    }
    q += 32 * together;
    if (Normal::is_symmetric) {
      redo.template redo<false>();
    } else {
      while (redo.template redo<false>()) {
      }
    }
  }
  // Counted from the segment's first quad, because numbers may end at 2^32.
#pragma unroll 1
  for (; q - blocks.first() < end; q += 32) make(q, q, 0);
  while (redo.template redo<true>()) {
  }
  notes.start();
}

template <class Real, class Blocks, class Writer>
__device__ __forceinline__ void fill_uniforms(std::uint32_t quads, const Uniform<Real>& uniform, const Blocks& blocks,
                                              const Writer& writer) {
#pragma unroll 1
  for (std::uint32_t q = lane_number(); q < quads; q += 32) writer.write(q, 0, uniform.make(blocks, q));
}

// Uniforms in aligned memory, `together` quads of them. make(number) gives those of a quad.
template <std::uint32_t together, class Make, class Writer>
__device__ __forceinline__ void fill_uniforms_aligned(const Slots& slots, std::uint32_t first, const Make& make,
                                                      const Writer& writer, std::uint32_t stride) {
  slots.for_partial_quads([&](std::uint32_t q, int from, int to) {
    const std::uint32_t number = first + q;
    writer.write_some(number, make(number), from, to);
  });
  const std::uint32_t end = slots.end_whole();
  std::uint32_t q = slots.first_whole() + lane_number();
#pragma unroll 1
  for (; q + (together - 1) * 32 < end; q += together * 32) {
    std::uint32_t number = first + q;
#pragma unroll
    for (std::uint32_t k = 0; k < together; ++k) {
      writer.write(first + q, k * 32, make(number));
      number += stride;
    }
  }
#pragma unroll 1
  for (; q < end; q += 32) writer.write(first + q, 0, make(first + q));
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
                                               std::uint32_t quads, const Table& table, const Notes& notes) {
  using Real = typename Format::Real;
  constexpr bool is_wide = sizeof(Real) == 8;
  asm volatile("" ::: "memory");  // lest the compiler read and derive all this before it knows the format
  const auto draw = static_cast<Draw>(job.draw);
  const Stream stream = stream_of(notes);
  const Slots slots(job, dense, quads);
  const std::uintptr_t begin = reinterpret_cast<std::uintptr_t>(job.address) +
                               (4 * dense.quad(0) - job.start) * sizeof(typename Format::Element);
  AlignedWriter<Format, clamped> writer{begin, begin, affine_of<Real>(job, more), clamp_of<Real>(job, more)};
  const auto fill = [&](const auto& blocks) __attribute__((always_inline)) {
    writer.begin -= blocks.first() * std::uint64_t{sizeof(typename Format::Elements)};
    writer.element_begin -= std::uint64_t{4 * blocks.first()} * sizeof(typename Format::Element);
    if (draw == Draw::symmetric_normal) {
      const Normal<Real, true> normal = normal_of<Real, true>(job, more, table);
      if constexpr (!is_wide) writer.affine.scale = core::mul(writer.affine.scale, Real{table.per_unit()});
      slots.for_partial_quads([&](std::uint32_t q, int from, int to) {
        const std::uint32_t number = blocks.first() + q;
        const Words h = blocks.heads(number);
        Quad<float> z = normal.points(h);
        writer.write_some(number, normal.values(z, h, blocks, number), from, to);
        if (from > 0) z.x = 0;
        if (from > 1 || to <= 1) z.y = 0;
        if (from > 2 || to <= 2) z.z = 0;
        if (to <= 3) z.w = 0;
        normal.note(notes, z, number);
      });
      fill_normals(slots.first_whole(), slots.end_whole(), normal, blocks, writer, notes, table.stride);
    } else if constexpr (is_wide) {
      const Uniform<double> uniform(draw, table.half);
      fill_uniforms_aligned<2>(
          slots, blocks.first(), [&](std::uint32_t number) { return uniform.make(blocks, number); }, writer,
          table.stride);
    } else {
      const Uniform<float> uniform(draw, table.half);
      writer.affine.scale = uniform.folded(job.scale);
      fill_uniforms_aligned<8>(
          slots, blocks.first(), [&](std::uint32_t number) { return uniform.numbers(blocks.heads(number)); }, writer,
          table.stride);
    }
  };
  if constexpr (is_wide) {
    fill(AnyBlocks<Dense>{stream, dense});
  } else {
    fill(DenseBlocks(stream, dense));
  }
}

// The jobs that nearly all fills are: dense, in aligned memory, without copies, and either a uniform or a normal within
// [-2, 2] or all.
__device__ __forceinline__ void fill_direct(const Job& job, const Extensions& more, const Dense& dense,
                                            std::uint32_t quads, const Table& table, const Notes& notes) {
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
__device__ __noinline__ void fill_direct_wide(const Job& job, Extensions more, Dense dense, std::uint32_t quads,
                                              Table table, Notes notes) {
  fill_direct_as<AsFloat64, true>(job, more, dense, quads, table, notes);
}

// All others.
template <class Real, class Place>
__device__ __noinline__ void fill_any(const Job& job, Extensions more, Place place, std::uint32_t quads, Table table,
                                      Notes notes) {
  const Stream stream = stream_of(notes);
  const AnyBlocks<Place> blocks{stream, place};
  AnyWriter<Real, Place> writer{job, more, place, 1};
  const auto draw = static_cast<Draw>(job.draw);
  if (draw == Draw::symmetric_normal || draw == Draw::normal) {
    writer.factor = table.per_unit();
    fill_normals(0, quads, normal_of<Real, false>(job, more, table), blocks, writer, notes, table.stride);
  } else {
    fill_uniforms(quads, Uniform<Real>(draw, table.half), blocks, writer);
  }
}

// The quads of a job.
__device__ __forceinline__ std::uint64_t quads_of(const Job& job, const Extensions& more) {
  if (job.blocked == 0) return (job.start + job.count + 3) / 4 - job.start / 4;
  const Rows& rows = *more.rows;
  return ((rows.first + job.count - 1) / rows.run - rows.first / rows.run + 1) * quads_of_row(rows.run);
}

// Fills quads begin ... end - 1 of a job.
__device__ __forceinline__ void fill_quads(const Job& job, std::uint32_t number, std::uint64_t begin, std::uint64_t end,
                                           const Table& table, const Notes& notes) {
#pragma unroll 1
  while (begin < end) {
    auto quads = static_cast<std::uint32_t>(min(end - begin, std::uint64_t{max_segment_quads}));
    // Quads of a dense job have the same high word of elements.
    constexpr std::uint32_t alike = 1u << 30;
    if (job.blocked == 0) quads = min(quads, alike - static_cast<std::uint32_t>(job.start / 4 + begin) % alike);
    notes.put_aside(begin + quads, end);
    const Extensions more = extensions_of(job, number);
    const auto draw = static_cast<Draw>(job.draw);
    const bool wide = static_cast<DType>(job.dtype) == DType::float64;
    if (job.blocked != 0) {
      const std::uint64_t quads_per_row = quads_of_row(more.rows->run);
      const Blocked blocked{job.start,
                            more.rows->first / more.rows->run + begin / quads_per_row,
                            begin % quads_per_row,
                            quads_per_row,
                            more.rows,
                            more.dimensions};
      if (wide) {
        fill_any<double>(job, more, blocked, quads, table, notes);
      } else {
        fill_any<float>(job, more, blocked, quads, table, notes);
      }
    } else {
      const std::uint64_t first = job.start / 4 + begin;
      const Dense dense{static_cast<std::uint32_t>(first), static_cast<std::uint32_t>(first >> 32)};
      if (draw == Draw::constant || draw == Draw::identity) {
        fill_pattern(job, more, dense, quads);
      } else if (job.direct != 0 && wide) {
        fill_direct_wide(job, more, dense, quads, table, notes);
      } else if (job.direct != 0) {
        fill_direct(job, more, dense, quads, table, notes);
      } else if (wide) {
        fill_any<double>(job, more, dense, quads, table, notes);
      } else {
        fill_any<float>(job, more, dense, quads, table, notes);
      }
    }
    notes.get_back(begin, end);
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
  extern __shared__ float4 widths[];        // and behind them the warps' queues
  __shared__ std::uint32_t unused[32 + 1];  // of which a lane's next is its word for the second ring
  __shared__ uint4 constants[2];
  const std::uint32_t copies = header.table_copies;
#pragma unroll 1
  for (std::uint32_t cell = threadIdx.x; cell < table_entries; cell += blockDim.x) {
    // 2^-7 for the numbers of rectangle_point, which have as much too many.
    const float width = cell < core::rectangles ? core::mul(ziggurat.x_scaled[cell], 0x1p-7F * header.table_unit)
                                                : __uint_as_float(infinity_bits);
    if (copies < 4) {
      for (std::uint32_t n = 0; n < copies; ++n) reinterpret_cast<float*>(widths)[cell * copies + n] = width;
    } else {
      // In an order of its own for each lane, so that they store to different banks.
#pragma unroll 1
      for (std::uint32_t n = 0; n < copies / 4; ++n) {
        widths[cell * (copies / 4) + ((n + lane_number()) & (copies / 4 - 1))] =
            make_float4(width, width, width, width);
      }
    }
  }
  if (threadIdx.x < 2) constants[threadIdx.x] = make_uint4(0x80, 32, Queue::size - 1, Queue::edges_size - 1);
  Queue& queue = reinterpret_cast<Queue*>(widths + table_entries / 4 * copies)[threadIdx.x / 32];
  Notes notes{address_of(&queue),
              address_of(&queue.notes[lane_number()]),
              address_of(&unused[lane_number()]) - static_cast<std::uint32_t>(offsetof(Queue, tail)),
              {}};
  for (std::uint32_t n = lane_number(); n < Queue::size; n += 32) queue.notes[n].tag = 0;
  notes.start();
  __syncthreads();
  const uint4 constant = load_shared_quad(address_of(&constants[threadIdx.x % 2]));
  notes.limits = make_uint2(constant.z, constant.w);
  const Table table{4 * copies,        address_of(widths) + (threadIdx.x & (copies - 1)) * 4,
                    header.table_unit, header.notes_shift,
                    constant.x,        constant.y};

  // Every warp has as many tiles as any other, or one more.
  const std::uint64_t* const data = header.data != nullptr ? header.data : behind;
  const Job* const jobs = reinterpret_cast<const Job*>(data);
  const std::uint32_t warps = gridDim.x * (blockDim.x / 32);
  const std::uint32_t warp = blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32;
  const std::uint32_t each = header.tiles / warps;
  const std::uint32_t more_have = header.tiles % warps;
  std::uint32_t tile = warp * each + min(warp, more_have);
  const std::uint32_t end = tile + each + (warp < more_have ? 1 : 0);
  if (tile == end) return;
  std::uint32_t number = find_job(jobs, header.jobs, tile);
#pragma unroll 1
  for (const Job* at = jobs + number; tile < end; ++number, ++at) {
    const Job& job = *at;
    const std::uint32_t job_end = number + 1 < header.jobs ? min(at[1].tile_begin, end) : end;
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
    const std::uint64_t quads = quads_of(job, extensions_of(job, number));
    fill_quads(job, number, std::uint64_t{tile - job.tile_begin} * header.quads_per_tile,
               min(quads, std::uint64_t{job_end - job.tile_begin} * header.quads_per_tile), table, notes);
    tile = job_end;
  }
}

}  // namespace

__global__ void __launch_bounds__(max_threads_per_block) fill_small(const __grid_constant__ SmallParameters p) {
  fill(p.header, p.data);
}

__global__ void __launch_bounds__(max_threads_per_block) fill_large(const __grid_constant__ LargeParameters p) {
  fill(p.header, p.data);
}

}  // namespace fanin::gpu
