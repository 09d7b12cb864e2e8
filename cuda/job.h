// SPDX-License-Identifier: Apache-2.0
// What the host tells the kernel: plain data, laid out by encode.cpp and read by fill_kernel.cu.
#pragma once

#include <cstdint>

#include "core/host_device.h"

namespace fanin::gpu {

// What an element is made from.
enum class Draw : std::uint32_t {
  constant,          // Job::bits everywhere
  identity,          // Job::bits on the diagonal, else zero
  centred,           // uniform on (-scale, scale)
  unit,              // uniform on [shift, shift + scale)
  symmetric_normal,  // a normal within [-2, 2] or without a window
  normal             // a normal within [lower, upper]
};

// One fill. Binary32 numbers; float64 has its own in a Wide.
// Elements are made four at a time: a quad is the elements 4n ... 4n + 3, one Philox block. A job's quads are dealt out
// in tiles, which are numbered through all jobs of a launch; every warp makes a row of them.
struct alignas(16) Job {
  void* address;       // of the first element
  std::uint64_t bits;  // the subsequence; of a constant the pattern
  std::uint64_t seed;
  std::uint64_t start;  // index of the first element; with Rows: of the first element of row 0
  std::uint64_t count;
  float scale, shift;  // value = fma(draw, scale, shift); the shift of a product is -0, which changes nothing
  float lower, upper;  // window of a normal
  std::uint32_t tile_begin;
  // Bit-fields, so that 500 jobs fit into a kernel's parameters.
  std::uint32_t draw : 3;
  std::uint32_t dtype : 3;
  std::uint32_t clamped : 1;     // clamping can change a value
  std::uint32_t direct : 1;      // in aligned memory, not blocked, without copies; either a symmetric normal, or a
                                 // uniform, of float64 or of a scale that can be divided by 2^32 exactly
  std::uint32_t blocked : 1;     // only a part of each row; there are Rows and Dimensions
  std::uint32_t copies : 3;      // there are so many Copies
  std::uint32_t extension : 20;  // where what the job needs besides is, in units of 8 bytes from the first job: the
                                 // columns of an identity, or those that apply of Wide, Limits, Rows and as many
                                 // Dimensions as it says, Copies, in this order
};
static_assert(sizeof(Job) == 64);

inline constexpr std::uint32_t max_copies = 7;
inline constexpr std::uint32_t max_extension = (1u << 20) - 1;

// float64's numbers.
struct Wide {
  double scale, shift, min, max, lower, upper;
};

// What other values are clamped to, if `clamped`.
struct Limits {
  float min, max;
};

// A block of a tensor: rows of `run` consecutive indices, of which elements first ... first + count - 1 are filled.
// The rows are `rank` nested loops, given by as many Dimensions; the last one is fastest.
struct Rows {
  std::uint64_t run, first;
  std::uint64_t rank;
};
struct Dimension {
  std::uint64_t extent, stride;
};

// Another place and dtype for the same draws.
struct Copy {
  void* address;
  Limits limits;
  std::uint32_t dtype;
  std::uint32_t clamped;
};

// Quads that a row of `run` elements may touch, wherever it begins.
FANIN_HOST_DEVICE constexpr std::uint64_t quads_of_row(std::uint64_t run) { return (run + 2) / 4 + 1; }

inline constexpr std::uint32_t table_entries = 256;  // binary32, of the table of widths

inline constexpr std::uint32_t queue_bytes = 12496;  // of a warp's notes
// The dynamic shared memory of a block.
constexpr std::uint32_t shared_bytes(std::uint32_t table_copies, std::uint32_t threads) {
  return table_entries * 4 * table_copies + threads / 32 * queue_bytes;
}

struct alignas(16) Header {
  std::uint32_t jobs;
  std::uint32_t tiles;
  std::uint32_t quads_per_tile;
  std::uint32_t table_copies;        // a power of two up to 32: so many lanes find a width in banks of their own
  float table_unit;                  // the table of widths is multiplied by this power of two
  std::uint32_t notes_shift;         // notes of rejected elements, shifted right by it, are the warps of them to redo
  const std::uint64_t* device_seed;  // in device memory, or null: read instead of the jobs' seeds
  const std::uint64_t* data;         // in device memory, or null: behind the header
};

// The kernel's parameters. The data are jobs, then extensions.
template <std::uint32_t bytes>
struct Parameters {
  Header header;
  std::uint64_t data[bytes / 8];
};

// A single fill of any kind fits into the small ones; the large ones are as long as a kernel's parameters may be.
using SmallParameters = Parameters<1024>;
using LargeParameters = Parameters<(32764 - sizeof(Header)) / 64 * 64>;

}  // namespace fanin::gpu
