// SPDX-License-Identifier: Apache-2.0
// Fills by one kernel: every warp draws and writes the elements that are its own, and draws again those that were
// rejected. No warp waits for another, and nothing is kept that depends on a tensor's size.
#pragma once

#include <cstdint>

#include "cuda/job.h"
#include "cuda/kernel/block.cuh"
#include "cuda/kernel/pattern.cuh"
#include "cuda/kernel/resample.cuh"

namespace fanin::gpu {

// Rows of fewer slots are handled slot by slot.
constexpr std::uint32_t least_row_slots = 32;

// Fills a share. fast: memory is aligned and there are no copies, so that whole quads are written by one store each.
template <class Source, class Writer, bool fast>
class Filler {
 public:
  using Real = typename Source::Real;

  __device__ __forceinline__ Filler(const Source& source, const Stream& stream, const Share& share,
                                    const Writer& writer, Waiting& waiting)
      : source_(source), stream_(stream), share_(share), writer_(writer), stack_(waiting) {}

  __device__ __forceinline__ void fill(bool long_rows) {
    std::uint32_t slot = 0;  // of the next span
    if (!long_rows) {
      slot = rest_end_ = share_.count();
      span_.slot = 0;
    }
    std::uint32_t enough = 32;  // to be drawn again; at the end whatever is left
#pragma unroll 1
    do {
      Waiter waiter(0, 0);
      if (next_ < batches_end_) {
        if constexpr (fast) waiter = fill_batch();
      } else if (rest_ < rest_end_) {
        waiter = fill_quad(long_rows);
      } else if (slot < share_.count()) {
        span_ = share_.span(slot);
        slot += span_.count;
        begin_span();
        continue;
      } else {
        enough = 1;
      }
      if constexpr (Source::can_reject) {
        stack_.push(waiter);
#pragma unroll 1
        while (stack_.height() >= enough) resample(source_, stream_, share_, writer_, stack_);
      }
    } while (enough > 1);
  }

 private:
  // Quads of a warp that are made together; a batch is as many turns as fit into a Waiter.
  static constexpr __device__ std::uint32_t turn_quads() { return 32 * Writer::quads_together; }

  __device__ __forceinline__ void begin_span() {
    whole_ = (span_.from + 3) / 4;
    next_ = batches_end_ = whole_;
    if constexpr (fast) {
      if (span_.to / 4 > whole_ && writer_.aligned())
        batches_end_ += (span_.to / 4 - whole_) / turn_quads() * turn_quads();
    }
    rest_ = 0;
    rest_end_ = span_.count - (batches_end_ - whole_);
  }

  // Whole quads of a span, from number next_ on.
  __device__ __forceinline__ Waiter fill_batch() {
    const std::uint32_t left = batches_end_ - next_;
    const std::uint32_t quads = Source::can_reject ? min(left, 32 * Waiter::most_quads) : left;
    const std::uint32_t first = next_ + lane_number();
    next_ += quads;
    const auto high = static_cast<std::uint32_t>(span_.index >> 32);
    std::uint32_t low = static_cast<std::uint32_t>(span_.index) + first;
    const std::uint32_t end = low + quads;
    std::uint64_t address = writer_.address(span_.element + 4 * static_cast<std::int64_t>(first));
    std::uint32_t rejected = 0;
#pragma unroll 1
    do {
      std::uint32_t these = 0;
#pragma unroll
      for (std::uint32_t k = 0; k < Writer::quads_together; ++k) {
        const Words words = stream_.block(low + 32 * k, high);
        const auto trials = source_.first(stream_, span_.index, words);
        writer_.write_whole(address + k * 32 * Writer::quad_size, trials.draws);
        if (trials.rejected) these |= 1u << (Writer::quads_together - 1 - k);
      }
      rejected = (rejected << Writer::quads_together) + these;
      low += turn_quads();
      address += turn_quads() * Writer::quad_size;
    } while (low != end);
    return {span_.slot + next_ - 32 + lane_number(), rejected};
  }

  // Whatever exists of a quad for each lane: of a span those before and behind its batches.
  __device__ __forceinline__ Waiter fill_quad(bool of_span) {
    std::uint32_t n = rest_ + lane_number();
    const bool exists = n < rest_end_;
    rest_ += 32;
    Quad quad{};
    if (of_span) {
      if (n >= whole_) n += batches_end_ - whole_;
      quad = {{span_.index + n, span_.element + 4 * static_cast<std::int64_t>(n)},
              max(static_cast<std::int32_t>(span_.from - 4 * n), 0),
              min(static_cast<std::int32_t>(span_.to - 4 * n), 4)};
    } else if (exists) {
      quad = share_.quad(n);
    }
    const Waiter nothing(0, 0);
    if (!exists || quad.from >= quad.to) return nothing;
    if constexpr (Source::has_heads) {
      const auto trials = source_.first(stream_, quad.index, stream_.block(quad.index, 0));
      writer_.write(quad, trials.draws);
      if (!trials.rejected) return nothing;
    }
    return {span_.slot + n, 1, 0xfu ^ ((1u << quad.to) - (1u << quad.from))};
  }

  const Source& source_;
  const Stream& stream_;
  const Share& share_;
  const Writer& writer_;
  Stack stack_;
  Span span_;
  // Numbers of a span's quads: the first whole one, the next batch, the end of the batches.
  std::uint32_t whole_ = 0, next_ = 0, batches_end_ = 0;
  std::uint32_t rest_ = 0, rest_end_ = 0;  // of the quads that are in no batch: how many are done, and all
};

// What a warp's fills have in common.
struct Shared {
  Table normal, cut;  // of these, those that the launch has
  Waiting* waiting;
};

template <class Writer, bool fast, class Source>
__device__ __forceinline__ void fill_from(const Source& source, const Job& job, const Extension& more,
                                          const Share& share, const Stream& stream, const Shared& shared) {
  const Writer writer(job, more, source.factor());
  const bool long_rows = job.has_rows == 0 || more.rows->slots >= least_row_slots;
  Filler<Source, Writer, fast>(source, stream, share, writer, *shared.waiting).fill(long_rows);
}

// The jobs that nearly all fills are.
template <class Writer>
__device__ __forceinline__ void fill_usual(const Job& job, const Extension& more, const Share& share,
                                           const Stream& stream, const Shared& shared) {
  using Real = typename Writer::Real;
  if (static_cast<Draw>(job.draw) == Draw::normal) {
    const TableNormals<Real, false> normals(job, more, job.cut != 0 ? shared.cut : shared.normal);
    fill_from<Writer, true>(normals, job, more, share, stream, shared);
  } else {
    fill_from<Writer, true>(Uniforms<Real, true>(job), job, more, share, stream, shared);
  }
}

// All jobs that draw.
template <class Writer>
__device__ __forceinline__ void fill_any(const Job& job, const Extension& more, const Share& share,
                                         const Stream& stream, const Shared& shared) {
  using Real = typename Writer::Real;
  const auto draw = static_cast<Draw>(job.draw);
  if (draw == Draw::narrow_normal) {
    fill_from<Writer, false>(NarrowNormals<Real>(more), job, more, share, stream, shared);
  } else if (draw == Draw::normal || draw == Draw::windowed_normal) {
    const TableNormals<Real, true> normals(job, more, job.cut != 0 ? shared.cut : shared.normal);
    fill_from<Writer, false>(normals, job, more, share, stream, shared);
  } else {
    fill_from<Writer, false>(Uniforms<Real, false>(job), job, more, share, stream, shared);
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

// Puts a table into a block's shared memory, `copies` times side by side, and returns the lane's copy.
__device__ __forceinline__ Table make_table(float* memory, const core::Ziggurat& from, bool cut, std::uint32_t copies) {
  for (std::uint32_t n = threadIdx.x; n < table_entries * copies; n += blockDim.x) {
    const std::uint32_t cell = n / copies;
    // The numbers that it is multiplied with are 2^7 times too large.
    const float x = cell < core::rectangles ? core::mul(from.x_scaled[cell], 0x1p-7F * Table::unit) : INFINITY;
    memory[n] = x;
  }
  const auto address = static_cast<std::uint32_t>(__cvta_generic_to_shared(memory + (threadIdx.x & (copies - 1))));
  return {address, 4 * copies, opaque(0x80), cut};
}

// A kernel's body. fill_share(job, extension, share, stream, shared) draws.
template <class FillShare>
__device__ __forceinline__ void fill(const Header& header, const std::uint64_t* behind, const FillShare& fill_share) {
  extern __shared__ float4 memory[];
  auto* tables = reinterpret_cast<float*>(memory);
  const std::uint32_t copies = header.table_copies;
  Shared shared{};
  if ((header.tables & 1) != 0) {
    shared.normal = make_table(tables, normal_table, false, copies);
    tables += table_entries * copies;
  }
  if ((header.tables & 2) != 0) {
    shared.cut = make_table(tables, cut_table, true, copies);
    tables += table_entries * copies;
  }
  auto* const waiting = reinterpret_cast<Waiting*>(tables);
  shared.waiting = waiting + threadIdx.x / 32;
  Job* const row = reinterpret_cast<Job*>(waiting + header.waits * (blockDim.x / 32)) + threadIdx.x / 32;
  __syncthreads();

  // Every warp has as many consecutive tiles as any other, or one more. Neighbours are in different blocks, so that few
  // tiles, too, are dealt to all multiprocessors.
  const std::uint64_t* const data = header.data != nullptr ? header.data : behind;
  const Job* const jobs = reinterpret_cast<const Job*>(data);
  const std::uint32_t warps = gridDim.x * (blockDim.x / 32);
  const std::uint32_t warp = threadIdx.x / 32 * gridDim.x + blockIdx.x;
  const std::uint32_t each = header.tiles / warps;
  const std::uint32_t more_have = header.tiles % warps;
  std::uint32_t tile = warp * each + min(warp, more_have);
  const std::uint32_t end = tile + each + (warp < more_have ? 1 : 0);
  if (tile == end) return;
  const std::uint32_t row_tiles = header.row_tiles;
  std::uint32_t number = row_tiles != 0 ? tile / row_tiles : find_job(jobs, header.jobs, tile);
#pragma unroll 1
  for (; tile < end; ++number) {
    Extension more(jobs[row_tiles != 0 ? 0 : number], data);
    std::uint32_t job_end = end;
    if (row_tiles != 0) {
      job_end = min((number + 1) * row_tiles, end);
      begin_row(more.job, more.block, row_tiles, number, tile, job_end, row);
      more.job = row;
    } else if (number + 1 < header.jobs) {
      job_end = min(jobs[number + 1].tile_begin, end);
    }
    const Job job = *more.job;  // in registers
    const std::uint64_t slots = slots_of(job, more.rows);
    std::uint64_t begin = std::uint64_t{tile - job.tile_begin} * job.tile_slots;
    const std::uint64_t slots_end = min(slots, std::uint64_t{job_end - job.tile_begin} * job.tile_slots);
    const auto draw = static_cast<Draw>(job.draw);
    if (draw == Draw::constant || draw == Draw::identity) {
      fill_pattern(job, data, begin, slots_end);
    } else {
      const Stream stream(header.device_seed != nullptr ? *header.device_seed : job.seed, job.bits);
#pragma unroll 1
      for (; begin < slots_end; begin += max_share) {
        const auto count = static_cast<std::uint32_t>(min(slots_end - begin, std::uint64_t{max_share}));
        fill_share(job, more, Share(job, more, begin, count), stream, shared);
      }
    }
    tile = job_end;
  }
}

}  // namespace fanin::gpu
