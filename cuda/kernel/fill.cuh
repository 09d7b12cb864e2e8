// SPDX-License-Identifier: Apache-2.0
// The body of the kernels. Each warp draws and writes its own elements, and resamples those that were rejected. No warp
// waits for another, and no memory is used that depends on a tensor's size.
#pragma once

#include <cstdint>

#include "cuda/encoded_job.h"
#include "cuda/kernel/block.cuh"
#include "cuda/kernel/pattern.cuh"
#include "cuda/kernel/resample.cuh"
#include "cuda/kernel/shared.cuh"

namespace fanin::gpu {

// Fills a share. Each whole quad is written by one store if the writer can do that.
template <class Source, class Writer>
class Filler {
 public:
  using Real = typename Source::Real;

  __device__ __forceinline__ Filler(const Source& source, const Generator& generator, const Share& share,
                                    const Writer& writer, Waiting& waiting)
      : source_(source),
        generator_(generator),
        share_(share),
        writer_(writer),
        stack_(waiting),
        short_rows_(Writer::general && share.has_short_rows()) {}

  __device__ __forceinline__ void fill() {
    std::uint32_t slot = 0;     // the first slot of the next span
    std::uint32_t enough = 32;  // the stack height from which to resample; 1 at the end
#pragma unroll 1
    do {
      Waiter waiter(0, 0);
      if (next_ < batches_end_) {
        waiter = fill_batch();
      } else if (rest_ < rest_end_) {
        waiter = fill_quad();
      } else if (slot < share_.count()) {
        span_ = short_rows_ ? share_.short_rows() : share_.span(slot);
        slot += span_.count;
        begin_span();
        continue;
      } else {
        enough = 1;
      }
      if constexpr (Source::can_reject) {
        stack_.push(waiter);
#pragma unroll 1
        while (stack_.height() >= enough) resample(source_, generator_, share_, writer_, stack_);
      }
    } while (enough > 1);
  }

 private:
  // A lane makes `together` quads at a time, and a warp makes turn_quads. A batch is as many such turns as fit into a
  // Waiter.
  static constexpr std::uint32_t together = Writer::quads_together;
  static constexpr std::uint32_t turn_quads = 32 * together;

  __device__ __forceinline__ void begin_span() {
    whole_ = (span_.from + 3) / 4;
    next_ = batches_end_ = whole_;
    if (span_.to / 4 > whole_ && writer_.aligned()) {
      batches_end_ += (span_.to / 4 - whole_) / turn_quads * turn_quads;
    }
    rest_ = 0;
    rest_end_ = span_.count - (batches_end_ - whole_);
  }

  // Fills whole quads of a span, from number next_ on.
  __device__ __forceinline__ Waiter fill_batch() {
    const std::uint32_t left = batches_end_ - next_;
    const std::uint32_t quads = Source::can_reject ? min(left, 32 * Waiter::most_quads) : left;
    std::uint32_t n = next_ + lane_number();
    next_ += quads;
    const auto high = static_cast<std::uint32_t>(span_.index >> 32);
    std::uint32_t low = static_cast<std::uint32_t>(span_.index) + n;
    const std::uint32_t end = low + quads;
    std::uint64_t address = writer_.address(span_.element + 4 * static_cast<std::int64_t>(n));
    std::uint32_t rejected = 0;
#pragma unroll 1
    do {
      std::uint32_t index[together];  // low words of the quads' indices
#pragma unroll
      for (std::uint32_t k = 0; k < together; ++k) index[k] = low + 32 * k;
      if (short_rows_) {
#pragma unroll
        for (std::uint32_t k = 0; k < together; ++k) index[k] = share_.index_in_short_rows(n + 32 * k);
      }
      std::uint32_t these = 0;
      Four<Real> draws[together];
#pragma unroll
      for (std::uint32_t k = 0; k < together; ++k) {
        const auto trials =
            source_.first(generator_, index[k] | std::uint64_t{high} << 32, generator_.block(index[k], high));
        draws[k] = trials.draws;
        if (trials.rejected) these |= 1u << (together - 1 - k);
      }
      writer_.write_turn(address, draws);
      rejected = (rejected << together) + these;
      if constexpr (Writer::general) n += turn_quads;
      low += turn_quads;
      address += 4 * turn_quads * Writer::element_size;
    } while (low != end);
    return {span_.slot + next_ - 32 + lane_number(), rejected};
  }

  // Fills one quad per lane, from the quads before and after a span's batches. Some of these quads are partial.
  __device__ __forceinline__ Waiter fill_quad() {
    std::uint32_t n = rest_ + lane_number();
    const bool exists = n < rest_end_;
    rest_ += 32;
    if (n >= whole_) n += batches_end_ - whole_;
    Quad quad;
    if (!short_rows_) {
      quad = {{span_.index + n, span_.element + 4 * static_cast<std::int64_t>(n)},
              max(static_cast<std::int32_t>(span_.from - 4 * n), 0),
              min(static_cast<std::int32_t>(span_.to - 4 * n), 4)};
    } else if (exists) {
      quad = share_.quad(n);
    }
    const Waiter nothing(0, 0);
    if (!exists || quad.from >= quad.to) return nothing;
    const auto trials = source_.first(generator_, quad.index, generator_.block(quad.index, 0));
    writer_.write(quad, trials.draws);
    if (!trials.rejected) return nothing;
    return {span_.slot + n, 1, 0xfu ^ ((1u << quad.to) - (1u << quad.from))};
  }

  const Source& source_;
  const Generator& generator_;
  const Share& share_;
  const Writer& writer_;
  Stack stack_;
  bool short_rows_;
  Span span_;
  // Numbers of a span's quads: the first whole quad, the beginning of the next batch, the end of the batches.
  std::uint32_t whole_ = 0, next_ = 0, batches_end_ = 0;
  std::uint32_t rest_ = 0, rest_end_ = 0;  // quads outside the batches: done, and in total
};

template <class Writer, class Source>
__device__ __forceinline__ void fill_from(const Source& source, const EncodedJob& job, const Extension& more,
                                          const Share& share, const Generator& generator, const SharedMemory& shared) {
  const Writer writer(job, more, source.factor(), shared.turn());
  Filler<Source, Writer>(source, generator, share, writer, *shared.waiting()).fill();
}

// Fills a share of an EncodedJob::fast job, as nearly all jobs are.
template <class Writer>
__device__ __forceinline__ void fill_fast(const EncodedJob& job, const Extension& more, const Share& share,
                                          const Generator& generator, const SharedMemory& shared) {
  using Real = typename Writer::Real;
  if (static_cast<Draw>(job.draw) == Draw::normal) {
    const TableNormals<Real, false> normals(job, more, shared.table(job.cut != 0));
    fill_from<Writer>(normals, job, more, share, generator, shared);
  } else {
    fill_from<Writer>(Uniforms<Real, true>(job), job, more, share, generator, shared);
  }
}

// Fills a share of any other job, except one with a narrow window.
template <class Writer>
__device__ __forceinline__ void fill_general(const EncodedJob& job, const Extension& more, const Share& share,
                                             const Generator& generator, const SharedMemory& shared) {
  const AnyDraws<typename Writer::Real> draws(job, more, shared.table(job.cut != 0));
  fill_from<Writer>(draws, job, more, share, generator, shared);
}

// Returns the number of the last job that begins at this tile or before it.
__device__ __forceinline__ std::uint32_t find_job(const EncodedJob* jobs, std::uint32_t count, std::uint32_t tile) {
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

// Fills a warp's tiles. A kernel calls it after it has made the tables. fill_share(job, extension, share, generator,
// shared) draws the jobs that fill_share.takes() accepts. Constants and identities are filled here, unless fill_share
// handles only copies.
template <class FillShare>
__device__ __forceinline__ void fill(const Header& header, const std::uint64_t* behind, const FillShare& fill_share) {
  // Each warp has an equal number of consecutive tiles, or one more. Neighbouring warps are in different blocks, so
  // that even a few tiles are distributed over all multiprocessors.
  const std::uint32_t warps = gridDim.x * (blockDim.x / 32);
  const std::uint32_t warp = threadIdx.x / 32 * gridDim.x + blockIdx.x;
  const std::uint32_t each = header.tiles / warps;
  const std::uint32_t more_have = header.tiles % warps;
  std::uint32_t tile = warp * each + min(warp, more_have);
  const std::uint32_t end = tile + each + (warp < more_have ? 1 : 0);
  if (tile == end) return;
  const std::uint64_t* const data = header.data != nullptr ? header.data : behind;
  const SharedMemory shared(header);
  const EncodedJob* const jobs = reinterpret_cast<const EncodedJob*>(data);
  const std::uint32_t row_tiles = FillShare::only_copies ? 0 : header.row_tiles;
  std::uint32_t number = row_tiles != 0 ? tile / row_tiles : find_job(jobs, header.jobs, tile);
#pragma unroll 1
  for (; tile < end; ++number) {
    Extension more(jobs[row_tiles != 0 ? 0 : number], data);
    std::uint32_t job_end = end;
    if (row_tiles != 0) {
      job_end = min((number + 1) * row_tiles, end);
      begin_row(more.job, more.block, row_tiles, number, tile, job_end, shared.row());
      more.job = shared.row();
    } else if (number + 1 < header.jobs) {
      job_end = min(jobs[number + 1].tile_begin, end);
    }
    const EncodedJob& job = *more.job;
    const std::uint64_t slots = slots_of(job, more.rows);
    std::uint64_t begin = std::uint64_t{tile - job.tile_begin} * job.tile_slots;
    const std::uint64_t slots_end = min(slots, std::uint64_t{job_end - job.tile_begin} * job.tile_slots);
    const auto draw = static_cast<Draw>(job.draw);
    if (!FillShare::only_copies && (draw == Draw::constant || draw == Draw::identity)) {
      if (job.has_rows == 0) {
        fill_pattern(job, data, begin, slots_end);
      } else {
        fill_pattern_in_rows(&job, data, begin, slots_end);
      }
    } else if (fill_share.takes(job)) {
      const Generator generator(header.device_seed != nullptr ? *header.device_seed : job.seed,
                                job.bits + (header.device_call != nullptr ? *header.device_call : 0));
#pragma unroll 1
      for (; begin < slots_end; begin += max_share) {
        const auto count = static_cast<std::uint32_t>(min(slots_end - begin, std::uint64_t{max_share}));
        fill_share(job, more, Share(job, more, begin, count), generator, shared);
      }
    }
    tile = job_end;
  }
}

}  // namespace fanin::gpu
