// SPDX-License-Identifier: Apache-2.0
#include "cuda/encode.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <tuple>
#include <type_traits>

#include "base/fp_environment.h"
#include "fanin/core/window.h"
#include "fanin/error.h"
#include "params/index_map.h"

namespace fanin::gpu {

namespace {

bool is_wide(const FillParams& params) { return params.is_random() && params.dtype == DType::float64; }

// Builds a job and its extension.
class Encoder {
 public:
  // Encodes elements begin ... end - 1 of a leader, with those of its copies that have these elements.
  Encoder(const FillJob* jobs, const FillJob& fill, std::uint64_t begin, std::uint64_t end)
      : begin_(begin), end_(end), pitch_(fill.pitch) {
    const FillParams& params = fill.params;
    job_.address = static_cast<std::byte*>(fill.address) + begin * size_of(params.dtype);
    static_assert(static_cast<std::uint32_t>(DType::float8_e5m2) < 8);  // the host computes fills of later dtypes
    job_.dtype = static_cast<std::uint32_t>(params.dtype) & 7u;
    if (params.is_random()) {
      set_draw(params);
    } else {
      job_.bits = params.pattern;
      set_kind(params.kind == FillParams::Kind::constant ? Draw::constant : Draw::identity);
    }
    if (fill.device_block != nullptr) {
      set_block(params, *fill.device_block);
    } else {
      set_place(params);
      set_copies(jobs, fill);
    }
    const bool clamps = params.clamped && params.dtype == DType::float32;
    job_.fast = params.is_random() && !is_wide(params) && may_be_fast_ && !short_rows_ &&
                        (job_.copies != 0 || (job_.aligned != 0 && !clamps))
                    ? 1
                    : 0;
    job_.tile_slots = tile_slots(static_cast<Draw>(job_.draw), static_cast<std::uint32_t>(size_of(params.dtype)),
                                 job_.fast != 0, copies_);
  }

  const EncodedJob& job() const { return job_; }
  Kernel kernel() const {
    const auto draw = static_cast<Draw>(job_.draw);
    const bool fast = job_.fast != 0 || draw == Draw::constant || draw == Draw::identity;
    return fast ? Kernel::fast : Kernel::general;
  }
  const std::uint64_t* extension() const { return extension_; }
  std::size_t words() const { return words_; }

 private:
  template <class T>
  void append(const T& value) {
    static_assert(sizeof value % 8 == 0);
    std::memcpy(extension_ + words_, &value, sizeof value);
    words_ += sizeof value / 8;
  }

  void set_kind(Draw draw) { job_.draw = static_cast<std::uint32_t>(draw) & 7u; }

  void set_draw(const FillParams& params) {
    job_.bits = params.subsequence;
    job_.seed = params.seed;
    job_.scale = static_cast<float>(params.scale);
    job_.shift = params.shifted ? static_cast<float>(params.shift) : -0.0F;
    bool has_window = false;
    if (params.kind == FillParams::Kind::uniform) {
      set_kind(params.shifted ? Draw::unit : Draw::centred);
      // The fast kernel divides the scale by 2^31 or 2^32.
      may_be_fast_ = job_.scale * 0x1p-32F * 0x1p32F == job_.scale;
    } else {
      const core::Sampler sampler = core::sampler_of(params.lower, params.upper);
      job_.cut = sampler == core::Sampler::cut_at_2 ? 1 : 0;
      // The kernel draws these normals at half their size, so the scale is doubled.
      const bool has_table = job_.cut != 0 || (std::isinf(params.lower) && std::isinf(params.upper));
      set_kind(core::is_narrow(sampler)                        ? Draw::narrow_normal
               : has_table && std::isfinite(job_.scale * 2.0F) ? Draw::normal
                                                               : Draw::windowed_normal);
      may_be_fast_ = static_cast<Draw>(job_.draw) == Draw::normal;
      has_window = !may_be_fast_;
    }
    if (params.clamped || has_window || is_wide(params)) {
      job_.has_values = 1;
      constexpr double infinity = std::numeric_limits<double>::infinity();
      const bool limited = params.clamped || is_wide(params);
      append(Values{params.scale, params.shifted ? params.shift : -0.0, limited ? params.min : -infinity,
                    limited ? params.max : infinity, params.lower, params.upper});
    }
    if (static_cast<Draw>(job_.draw) == Draw::narrow_normal) append(core::narrow_window(params.lower, params.upper));
  }

  void set_place(const FillParams& params) {
    const IndexMap& map = params.index;
    job_.count = end_ - begin_;
    const std::uint64_t run = map.extent[map.rank - 1];
    const std::uint64_t first = map.first + begin_;
    const bool one_row = first % run + job_.count <= run;
    if (params.kind == FillParams::Kind::constant && (one_row || pitch_ == 0)) {
      job_.start = 0;
    } else if (one_row) {
      job_.start = detail::index_of(map, first);
      if (params.kind == FillParams::Kind::identity) append(params.columns);
    } else {
      set_rows(map, run, first);
    }
    job_.aligned = is_aligned(job_.address, params.dtype) ? 1 : 0;
  }

  void set_rows(const IndexMap& map, std::uint64_t run, std::uint64_t first) {
    job_.has_rows = 1;
    job_.start = map.start;
    Rows rows{};
    rows.run = run;
    rows.pitch = pitch_ != 0 ? pitch_ : run;
    const auto in_memory = [&](std::uint64_t n) { return n / run * rows.pitch + n % run; };
    rows.first = in_memory(first);
    const std::uint64_t last_in_memory = in_memory(first + job_.count - 1);
    rows.rank = map.rank - 1;
    rows_alike_ = std::all_of(map.stride, map.stride + rows.rank, [](std::uint64_t stride) { return stride % 4 == 0; });
    // All rows begin at the same position of a quad, or each row may begin at any position.
    rows.slots = rows_alike_ ? (map.start % 4 + run + 3) / 4 : (run + 2) / 4 + 1;
    if (rows.slots < max_share) {
      std::uint32_t bits = 0;
      while (std::uint64_t{1} << bits < rows.slots) ++bits;
      rows.inverse_shift = max_share_bits + bits;
      rows.inverse =
          static_cast<std::uint32_t>(((std::uint64_t{1} << rows.inverse_shift) + rows.slots - 1) / rows.slots);
    }
    std::uint64_t last = map.start + run - 1;
    for (std::uint32_t j = 0; j < rows.rank; ++j) last += (map.extent[j] - 1) * map.stride[j];
    const bool whole = rows_alike_ && (map.start | run | first | job_.count) % 4 == 0;
    job_.whole_rows = whole && rows.pitch == run && last >> 34 == 0 ? 1 : 0;
    job_.count = last_in_memory + 1 - rows.first;
    short_rows_ = rows.slots < least_row_slots;
    first_in_memory_ = rows.first;
    row_pitch_ = rows.pitch;
    append(rows);
    for (std::uint32_t j = 0; j < rows.rank; ++j) append(Dimension{map.extent[j], map.stride[j]});
  }

  // Encodes a block. The kernel makes a job of each row, and determines then whether the row is aligned.
  void set_block(const FillParams& params, const DeviceBlock& block) {
    const IndexMap& map = params.index;
    job_.aligned = 1;
    const std::uint64_t run = map.extent[map.rank - 1];
    append(EncodedBlock{block.generators, block.number, map.count / run, run, map.rank});
    for (std::uint32_t j = 0; j < map.rank; ++j) {
      append(BlockLoop{map.extent[j], map.stride[j], block.step[j], block.bound[j], block.axis[j]});
    }
  }

  // Returns whether every quad's memory is aligned to its size or to 16 bytes, the smaller of the two.
  bool is_aligned(const void* address, DType dtype) const {
    const std::size_t size = size_of(dtype);
    const std::size_t alignment = std::min<std::size_t>(4 * size, 16);
    return rows_alike_ && row_pitch_ * size % alignment == 0 &&
           (reinterpret_cast<std::uintptr_t>(address) - (first_in_memory_ + job_.start % 4) * size) % alignment == 0;
  }

  void set_copies(const FillJob* jobs, const FillJob& fill) {
    for (std::size_t next = fill.next_copy; next != FillJob::none; next = jobs[next].next_copy) {
      const FillJob& copy = jobs[next];
      const FillParams& params = copy.params;
      if (begin_ < copy.copy_begin || copy.copy_begin + params.index.count < end_) continue;
      void* const address = static_cast<std::byte*>(copy.address) + (begin_ - copy.copy_begin) * size_of(params.dtype);
      constexpr float infinity = std::numeric_limits<float>::infinity();
      append(Copy{address, params.clamped ? static_cast<float>(params.min) : -infinity,
                  params.clamped ? static_cast<float>(params.max) : infinity, static_cast<std::uint32_t>(params.dtype),
                  is_aligned(address, params.dtype) ? 1u : 0u});
      ++copies_;
    }
    job_.copies = copies_ & 7u;
  }

  static constexpr std::size_t most_words =
      (sizeof(Values) + sizeof(core::NarrowWindow) +
       std::max(sizeof(Rows) + IndexMap::max_rank * sizeof(Dimension) + FillJob::max_copies * sizeof(Copy),
                sizeof(EncodedBlock) + DeviceBlock::max_rank * sizeof(BlockLoop))) /
      8;
  static_assert(sizeof(EncodedJob) + 8 * most_words <= sizeof SmallParameters::data);

  std::uint64_t begin_, end_, pitch_;
  EncodedJob job_{};
  std::uint64_t extension_[most_words];
  std::size_t words_ = 0;
  std::uint32_t copies_ = 0;
  bool may_be_fast_ = false;
  bool rows_alike_ = true;
  bool short_rows_ = false;
  std::uint64_t first_in_memory_ = 0, row_pitch_ = 0;  // Rows::first and Rows::pitch
};

// The element numbers at which a leader is cut into parts: 0, ..., its number of elements. Each copy has all elements
// of a part, or none.
class Cuts {
 public:
  Cuts(const FillJob* jobs, const FillJob& fill) {
    put(0);
    put(fill.params.index.count);
    if (fill.next_copy == FillJob::none) return;
    for (std::size_t next = fill.next_copy; next != FillJob::none; next = jobs[next].next_copy) {
      put(jobs[next].copy_begin);
      put(jobs[next].copy_begin + jobs[next].params.index.count);
    }
    std::sort(at_, end_);
    end_ = std::unique(at_, end_);
  }
  const std::uint64_t* begin() const { return at_; }
  const std::uint64_t* last() const { return end_ - 1; }

 private:
  void put(std::uint64_t element) { *end_++ = element; }

  std::uint64_t at_[2 * (FillJob::max_copies + 1)] = {};
  std::uint64_t* end_ = at_;
};

constexpr std::size_t job_words = sizeof(EncodedJob) / 8;

// Numbers the tiles and returns their count. The count is less than 2^31, because the tiles of larger fills are larger.
std::uint32_t number_tiles(std::uint64_t* words, std::uint32_t jobs) {
  const auto each = [&](std::uint32_t shift, const auto& f) {
    std::uint64_t tiles = 0;
    for (std::uint32_t j = 0; j < jobs; ++j) {
      EncodedJob job;
      std::memcpy(&job, words + j * job_words, sizeof job);
      Rows rows{};
      if (job.has_rows != 0) {
        std::size_t at = job.extension;
        if (job.has_values != 0) at += sizeof(Values) / 8;
        if (static_cast<Draw>(job.draw) == Draw::narrow_normal) at += sizeof(core::NarrowWindow) / 8;
        std::memcpy(&rows, words + at, sizeof rows);
      }
      job.tile_slots <<= shift;
      job.tile_begin = static_cast<std::uint32_t>(tiles);
      tiles += (slots_of(job, &rows) - 1) / job.tile_slots + 1;
      f(j, job);
    }
    return tiles;
  };
  std::uint32_t shift = 0;
  while (each(shift, [](std::uint32_t, const EncodedJob&) {}) >> 31 != 0) ++shift;
  return static_cast<std::uint32_t>(each(
      shift, [&](std::uint32_t j, const EncodedJob& job) { std::memcpy(words + j * job_words, &job, sizeof job); }));
}

// Does the same for a block, whose job is the first one.
std::uint32_t number_row_tiles(std::uint64_t* words, const FillJob& fill, Header* header) {
  const IndexMap& map = fill.params.index;
  const DeviceBlock& block = *fill.device_block;
  const std::uint64_t run = map.extent[map.rank - 1];
  // Whether every row begins with a whole quad, for every position of the block.
  bool whole = block.step[map.rank - 1] % 4 == 0;
  for (std::uint32_t j = 0; j + 1 < map.rank; ++j) whole = whole && map.stride[j] % 4 == 0;
  const std::uint64_t slots = whole ? (run + 3) / 4 : (run + 2) / 4 + 1;
  const std::uint64_t rows = map.count / run * block.members;
  EncodedJob job;
  std::memcpy(&job, words, sizeof job);
  std::uint64_t row_tiles = (slots - 1) / job.tile_slots + 1;
  while (row_tiles > 1 && row_tiles * rows >> 31 != 0) {
    job.tile_slots *= 2;
    row_tiles = (slots - 1) / job.tile_slots + 1;
  }
  if (row_tiles * rows >> 31 != 0) {
    throw DeviceError("A launch cannot fill 2^31 rows of blocks or more. Received: " + std::to_string(rows));
  }
  std::memcpy(words, &job, sizeof job);
  header->row_tiles = static_cast<std::uint32_t>(row_tiles);
  return static_cast<std::uint32_t>(row_tiles * rows);
}

}  // namespace

std::size_t encode_launch(const FillJob* jobs, std::size_t first, std::size_t count, Kernel kernel,
                          const DeviceFacts& device, std::uint64_t* words, std::size_t capacity, Launch* launch) {
  *launch = {};
  launch->kernel = kernel;
  bool waits = false;
  // Jobs are written from the front of `words` and extensions from the back. At the end the extensions move up behind
  // the jobs.
  std::size_t front = 0;
  std::size_t back = capacity;
  // Writes a part of a job, unless it belongs to another kernel. Returns false if there is no room.
  const auto put = [&](const Encoder& encoder) {
    if (encoder.kernel() != kernel) {
      launch->others = true;
      return true;
    }
    if (back - front < job_words + encoder.words()) return false;
    EncodedJob job = encoder.job();
    back -= encoder.words();
    std::memcpy(words + back, encoder.extension(), encoder.words() * 8);
    job.extension = static_cast<std::uint32_t>(back);
    std::memcpy(words + front, &job, sizeof job);
    front += job_words;
    const auto draw = static_cast<Draw>(job.draw);
    if (draw == Draw::normal || draw == Draw::windowed_normal) launch->header.tables |= job.cut != 0 ? 2 : 1;
    waits |= draw == Draw::normal || draw == Draw::windowed_normal;
    if (job.fast != 0 && job.copies != 0) launch->header.copies = 1;
    return true;
  };
  // Writes all parts of a job, or none. Returns false if there is no room.
  const auto put_all = [&](const FillJob& fill) {
    const std::size_t front_before = front;
    const std::size_t back_before = back;
    const Cuts cuts(jobs, fill);
    for (const std::uint64_t* cut = cuts.begin(); cut != cuts.last(); ++cut) {
      if (put(Encoder(jobs, fill, cut[0], cut[1]))) continue;
      front = front_before;
      back = back_before;
      return false;
    }
    return true;
  };
  std::size_t next = first;
  fanin::detail::in_default_fp_environment([&] {
    for (; next < count; ++next) {
      const FillJob& fill = jobs[next];
      if (!fill.is_copy && fill.params.index.count != 0 && !put_all(fill)) break;
    }
  });
  if (front == 0) return next;
  std::memmove(words + front, words + back, (capacity - back) * 8);
  launch->header.jobs = static_cast<std::uint32_t>(front / job_words);
  for (std::size_t at = 0; at < front; at += job_words) {
    EncodedJob job;
    std::memcpy(&job, words + at, sizeof job);
    job.extension -= static_cast<std::uint32_t>(back - front);
    std::memcpy(words + at, &job, sizeof job);
  }
  launch->words = front + (capacity - back);
  const bool block = jobs[first].device_block != nullptr;
  launch->header.waits = waits ? 1 : 0;
  launch->header.half = 0x80;
  launch->header.tiles =
      block ? number_row_tiles(words, jobs[first], &launch->header) : number_tiles(words, launch->header.jobs);
  const std::uint32_t warp_bytes = block ? std::uint32_t{sizeof(EncodedJob)} : launch->header.copies * turn_bytes;
  const Policy policy = policy_for(device, launch->header.tables, waits, launch->header.tiles, warp_bytes);
  launch->header.table_copies = policy.table_copies;
  launch->blocks = policy.blocks;
  launch->threads = policy.threads;
  launch->shared_bytes = policy.shared_bytes;
  return next;
}

}  // namespace fanin::gpu
