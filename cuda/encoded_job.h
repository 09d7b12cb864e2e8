// SPDX-License-Identifier: Apache-2.0
// The data that the host passes to a kernel. encode.cpp lays it out, and cuda/kernel/ reads it.
#pragma once

#include <cstdint>

#include "fanin/core/host_device.h"

namespace fanin::gpu {

// How the elements of a job are made.
enum class Draw : std::uint32_t {
  constant,         // EncodedJob::bits everywhere
  identity,         // EncodedJob::bits on the diagonal, else zero
  centred,          // uniform on (-scale, scale)
  unit,             // uniform on [shift, shift + scale)
  normal,           // from a table, where only points of edge cells can be rejected: no window, or [-2, 2]
  windowed_normal,  // from the table of the whole curve, within Values::lower and upper
  narrow_normal     // without a table, within a core::NarrowWindow
};

// One fill, or a part of one. Its memory consists of rows of consecutive indices; a whole tensor is one row. A quad is
// the four elements with indices 4n ... 4n + 3. They are made together, because one Philox block has the words for all
// four. A slot is the position of a quad in a row: a row has as many slots as it touches quads. Warps process slots in
// tiles, which are numbered consecutively through all jobs of a launch.
struct alignas(16) EncodedJob {
  void* address;       // of the first element
  std::uint64_t bits;  // the subsequence, or the pattern of a constant or an identity
  std::uint64_t seed;
  std::uint64_t start;  // index of the first element or, with Rows, of the first element of row 0
  std::uint64_t count;  // of elements; with Rows it includes those that lie between rows
  // value = fma(draw, scale, shift) in binary32. A shift of -0 changes nothing, so a job without a shift has -0.
  float scale, shift;
  std::uint32_t tile_begin;
  std::uint32_t tile_slots;
  std::uint32_t draw : 3;
  std::uint32_t dtype : 3;
  std::uint32_t cut : 1;  // draws from the table of [-2, 2]
  // The job suits the fast kernel. It is a Draw::normal, or a uniform whose scale can be divided by 2^32 exactly. It
  // has no short rows. It has copies, or it is aligned and its values need no clamp or have a format that always
  // clamps.
  std::uint32_t fast : 1;
  std::uint32_t aligned : 1;  // a quad's memory is aligned to its size or to 16 bytes, the smaller of the two
  std::uint32_t has_values : 1;
  std::uint32_t has_rows : 1;
  std::uint32_t copies : 3;
  std::uint32_t whole_rows : 1;  // all rows consist of whole quads, whose numbers are below 2^32
  // The position of the job's extension, in units of 8 bytes from the first job. The extension of an identity without
  // Rows is its number of columns. The extension of any other job has those of the following that apply, in this order:
  // Values, core::NarrowWindow (Draw::narrow_normal), Rows with Dimensions, Copies.
  std::uint32_t extension;
};
static_assert(sizeof(EncodedJob) == 64);

// Numbers that few jobs need. A float64 job has its scale and shift here; other jobs use the binary32 numbers in
// EncodedJob.
struct Values {
  double scale, shift;
  double min, max;      // limits of the clamp; infinite if it would change no binary32 value
  double lower, upper;  // window of a normal
};

// Rows of `run` consecutive indices that begin `pitch` elements apart in memory. Counted from the beginning of row 0,
// elements first ... first + count - 1 of this memory belong to the job, except those between rows. `rank` nested loops
// give the rows. As many Dimensions follow, and the last one is the fastest loop.
struct Rows {
  std::uint64_t run, pitch, first;
  std::uint64_t slots;  // per row
  std::uint32_t rank;
  // n / slots = n * inverse >> inverse_shift for n < max_share. `inverse` is 0 if there are max_share slots or more.
  std::uint32_t inverse;
  std::uint32_t inverse_shift;
  std::uint32_t unused;
};
struct Dimension {
  std::uint64_t extent, stride;
};

// A job that is alone in its launch and reads its generators and its place from device memory (DeviceBlock). The
// encoded job stands for one row of a member, and rows are numbered consecutively through all members. `rank`
// BlockLoops follow, and the last one is the loop within a row.
struct EncodedBlock {
  const std::uint32_t* generators;
  const std::int32_t* number;
  std::uint64_t rows;  // per member
  std::uint64_t run;   // elements per row
  std::uint64_t rank;
};
struct BlockLoop {
  std::uint64_t extent, stride, step, bound, axis;
};

// A further destination, with its own dtype, for the draws of all of a job's elements.
struct Copy {
  void* address;
  float min, max;
  std::uint32_t dtype;
  std::uint32_t aligned;
};

// Returns the number of slots of a job. `rows` points to the job's Rows, if it has any.
FANIN_HOST_DEVICE std::uint64_t slots_of(const EncodedJob& job, const Rows* rows) {
  if (job.has_rows == 0) return (job.start % 4 + job.count + 3) / 4;
  return ((rows->first + job.count - 1) / rows->pitch + 1 - rows->first / rows->pitch) * rows->slots;
}

// A warp handles at most this many slots of a job at a time.
inline constexpr std::uint32_t max_share_bits = 22;
inline constexpr std::uint32_t max_share = 1u << max_share_bits;

// Rows with fewer slots than this are handled together.
inline constexpr std::uint32_t least_row_slots = 32;

inline constexpr std::uint32_t table_entries = 256;  // binary32

// The memory in which the rejected elements of a warp wait to be resampled.
struct Waiting {
  static constexpr std::uint32_t size = 64;
  std::uint32_t slot[size];
  std::uint32_t state[size];
};

// A turn: the quads whose values a warp rounds for several destinations at a time.
inline constexpr std::uint32_t turn_quads = 256;
inline constexpr std::uint32_t turn_bytes = turn_quads * 16;

struct alignas(16) Header {
  std::uint32_t jobs;
  std::uint32_t tiles;
  std::uint32_t tables;        // 1: the whole curve, 2: the curve cut at 2, 3: both
  std::uint32_t table_copies;  // a power of two up to 32: lanes with shared memory banks of their own
  std::uint32_t waits;         // 1: every warp has a Waiting
  std::uint32_t copies;        // 1: there are fast jobs with copies, and every warp has turn_bytes of shared memory
  std::uint32_t row_tiles;     // tiles per row of an EncodedBlock; 0: there is no EncodedBlock
  std::uint32_t half;          // 0x80, see centred_number()
  const std::uint64_t* device_seed;  // in device memory, or null: read instead of the jobs' seeds
  const std::uint64_t* device_call;  // in device memory, or null: added to the jobs' subsequences
  const std::uint64_t* data;         // in device memory, or null: the data follow the header
};

// The parameters of a kernel. `data` holds jobs, then extensions.
template <std::uint32_t bytes>
struct Parameters {
  Header header;
  std::uint64_t data[bytes / 8];
};

// A single fill of any kind fits into the small parameters. The large parameters have the maximum size of a kernel's
// parameters.
using SmallParameters = Parameters<1024>;
using LargeParameters = Parameters<(32764 - sizeof(Header)) / 64 * 64>;

}  // namespace fanin::gpu
