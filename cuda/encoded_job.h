// SPDX-License-Identifier: Apache-2.0
// What the host tells a kernel: plain data, laid out by encode.cpp and read by cuda/kernel/.
#pragma once

#include <cstdint>

#include "fanin/core/host_device.h"

namespace fanin::gpu {

// What an element is made from.
enum class Draw : std::uint32_t {
  constant,         // EncodedJob::bits everywhere
  identity,         // EncodedJob::bits on the diagonal, else zero
  centred,          // uniform on (-scale, scale)
  unit,             // uniform on [shift, shift + scale)
  normal,           // by a table, and only points of edge cells can be rejected: no window, or [-2, 2]
  windowed_normal,  // by the table of the whole curve, within Values::lower and upper
  narrow_normal     // without a table, within a core::NarrowWindow
};

// One fill, or a part of one. Its memory is rows of consecutive indices, one row if it is a whole tensor. Elements are
// made four at a time: a quad is the elements with indices 4n ... 4n + 3, one Philox block. A slot is a quad's place in
// a row: a row has as many as the quads that it touches. Slots are dealt to warps in tiles, which are numbered through
// a launch's jobs.
struct alignas(16) EncodedJob {
  void* address;       // of the first element
  std::uint64_t bits;  // the subsequence; of a constant the pattern
  std::uint64_t seed;
  std::uint64_t start;  // index of the first element; with Rows: of the first element of row 0
  std::uint64_t count;  // of elements; with Rows also of those that lie between rows
  float scale, shift;  // value = fma(draw, scale, shift), binary32; the shift of a product is -0, which changes nothing
  std::uint32_t tile_begin;
  std::uint32_t tile_slots;
  std::uint32_t draw : 3;
  std::uint32_t dtype : 3;
  std::uint32_t cut : 1;      // by the table of [-2, 2]
  std::uint32_t fast : 1;     // a normal of Draw::normal, or a uniform whose scale can be divided by 2^32 exactly; no
                              // short rows; and copies, or else aligned and nothing to be clamped that its format does
                              // not clamp anyway
  std::uint32_t aligned : 1;  // a quad's memory is aligned to its size, or 16 bytes
  std::uint32_t has_values : 1;
  std::uint32_t has_rows : 1;
  std::uint32_t copies : 3;
  std::uint32_t whole_rows : 1;  // all rows are whole quads, with indices below 2^32
  // Where its extension is, in units of 8 bytes from the first job: the columns of an identity, or those that apply of
  // Values, core::NarrowWindow (Draw::narrow_normal), Rows with Dimensions, Copies, in this order.
  std::uint32_t extension;
};
static_assert(sizeof(EncodedJob) == 64);

// Numbers that few jobs need. A float64 job has its scale and shift here, others have binary32 numbers.
struct Values {
  double scale, shift;
  double min, max;      // what values are clamped to; infinite if no binary32 value would be
  double lower, upper;  // window of a normal
};

// Rows of `run` consecutive indices, `pitch` elements apart in memory. Of that memory, counted from the first row's
// beginning, elements first ... first + count - 1 are the job's, except those between rows. The rows are `rank` nested
// loops, given by as many Dimensions, which follow; the last one is fastest.
struct Rows {
  std::uint64_t run, pitch, first;
  std::uint64_t slots;  // of a row
  std::uint32_t rank;
  // n / slots = n * inverse >> inverse_shift for n < max_share; 0 if there are max_share or more slots.
  std::uint32_t inverse;
  std::uint32_t inverse_shift;
  std::uint32_t unused;
};
struct Dimension {
  std::uint64_t extent, stride;
};

// A job alone in its launch, of which the device's memory says the generators and the place (DeviceBlock). It stands
// for one row of a member; the rows of all members are numbered through. `rank` BlockLoops follow, the last one is that
// of a row.
struct EncodedBlock {
  const std::uint32_t* generators;
  const std::int32_t* number;
  std::uint64_t rows;  // of a member
  std::uint64_t run;   // elements of a row
  std::uint64_t rank;
};
struct BlockLoop {
  std::uint64_t extent, stride, step, bound, axis;
};

// Another place and dtype for the same draws, for all of a job's elements.
struct Copy {
  void* address;
  float min, max;
  std::uint32_t dtype;
  std::uint32_t aligned;
};

// The slots of a job; rows: its, if it has any.
FANIN_HOST_DEVICE std::uint64_t slots_of(const EncodedJob& job, const Rows* rows) {
  if (job.has_rows == 0) return (job.start % 4 + job.count + 3) / 4;
  return ((rows->first + job.count - 1) / rows->pitch + 1 - rows->first / rows->pitch) * rows->slots;
}

// A warp handles so many slots of a job at a time.
inline constexpr std::uint32_t max_share_bits = 22;
inline constexpr std::uint32_t max_share = 1u << max_share_bits;

// Rows of fewer slots are handled together.
inline constexpr std::uint32_t least_row_slots = 32;

inline constexpr std::uint32_t table_entries = 256;  // binary32

// What rejected elements wait in, for each warp.
struct Waiting {
  static constexpr std::uint32_t size = 64;
  std::uint32_t slot[size];
  std::uint32_t state[size];
};

// The values of a warp that are rounded for several destinations.
inline constexpr std::uint32_t turn_quads = 256;
inline constexpr std::uint32_t turn_bytes = turn_quads * 16;

struct alignas(16) Header {
  std::uint32_t jobs;
  std::uint32_t tiles;
  std::uint32_t tables;              // 1: of the whole curve, 2: cut at 2, 3: both
  std::uint32_t table_copies;        // a power of two up to 32: the number of lanes that have their own banks
  std::uint32_t waits;               // 1: every warp has a Waiting
  std::uint32_t copies;              // 1: there are fast jobs with copies, and every warp has turn_bytes
  std::uint32_t row_tiles;           // tiles of a block's row; 0: there is no block
  std::uint32_t half;                // 0x80, see centred_number()
  const std::uint64_t* device_seed;  // in device memory, or null: read instead of the jobs' seeds
  const std::uint64_t* device_call;  // in device memory, or null: added to the jobs' subsequences
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
