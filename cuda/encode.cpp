// SPDX-License-Identifier: Apache-2.0
#include "cuda/encode.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <unordered_map>

#include "cpu/clamping.h"
#include "cpu/formats.h"
#include "fanin/error.h"
#include "fp_environment.h"

namespace fanin::gpu::detail {

namespace {

template <class T>
void append(std::vector<std::uint64_t>& words, const T& value) {
  static_assert(sizeof value % 8 == 0);
  const std::size_t size = words.size();
  words.resize(size + sizeof value / 8);
  std::memcpy(&words[size], &value, sizeof value);
}

bool clamping_matters(const FillParams& params) {
  bool matters = false;
  cpu::with_format(params.dtype, [&](auto format) {
    using Format = decltype(format);
    using Real = typename Format::Compute;
    const auto map = cpu::affine_of<Real>(params);
    const auto range = cpu::range_of<Real>(params);
    matters = cpu::clamping_matters<Format>(range.least, map) || cpu::clamping_matters<Format>(range.most, map);
  });
  return matters;
}

bool is_wide(const FillParams& params) { return params.dtype == DType::float64; }

Limits limits_of(const FillParams& params) { return {static_cast<float>(params.min), static_cast<float>(params.max)}; }

// Whether the second job can be a copy of the first.
bool same_draws(const FillParams& a, const FillParams& b) {
  const IndexMap& p = a.index;
  const IndexMap& q = b.index;
  return a.kind == b.kind && !is_wide(a) && !is_wide(b) && a.seed == b.seed && a.subsequence == b.subsequence &&
         a.shifted == b.shifted && a.scale == b.scale && a.shift == b.shift &&
         (a.kind != FillParams::Kind::normal || (a.lower == b.lower && a.upper == b.upper)) && p.start == q.start &&
         p.first == q.first && p.count == q.count && p.rank == q.rank &&
         std::equal(p.extent, p.extent + p.rank, q.extent) && std::equal(p.stride, p.stride + p.rank, q.stride);
}

void set_draw(Job& job, const FillParams& params) {
  const auto set = [&](Draw draw) { job.draw = static_cast<std::uint32_t>(draw) & 7u; };
  switch (params.kind) {
    case FillParams::Kind::constant:
      return set(Draw::constant);
    case FillParams::Kind::identity:
      return set(Draw::identity);
    case FillParams::Kind::uniform:
      return set(params.shifted ? Draw::unit : Draw::centred);
    case FillParams::Kind::normal:
      job.lower = static_cast<float>(params.lower);
      job.upper = static_cast<float>(params.upper);
      if (job.lower != -job.upper || (job.upper != 2 && std::isfinite(job.upper))) {
        return set(Draw::normal);
      }
      return set(Draw::symmetric_normal);
  }
}

// Jobs that the kernel has a short way for. A uniform is one product there, of the numbers that it is made from with
// its scale times theirs: that has the bits of the contract's two products if the latter is exact, as it is for all but
// the smallest scales.
void make_direct(Job& job, const FillParams& params) {
  const std::size_t size = size_of(params.dtype);
  const auto address = reinterpret_cast<std::uintptr_t>(job.address);
  if (!is_random(params) || job.blocked != 0 || job.copies != 0) return;
  if ((address - job.start * size) % std::min<std::size_t>(4 * size, 16) != 0) return;
  if (params.kind == FillParams::Kind::normal) {
    job.direct = static_cast<Draw>(job.draw) == Draw::symmetric_normal ? 1 : 0;
    return;
  }
  if (is_wide(params)) {
    job.direct = 1;
    return;
  }
  const float unit = params.shifted ? 0x1p-32F : 0x1p-31F;
  job.direct = job.scale * unit / unit == job.scale ? 1 : 0;
}

void set_place(Draft& draft, const FillParams& params) {
  const IndexMap& map = params.index;
  Job& job = draft.job;
  job.count = map.count;
  const std::uint64_t run = map.extent[map.rank - 1];
  const std::uint64_t rows = (map.first + map.count - 1) / run - map.first / run + 1;
  if (params.kind == FillParams::Kind::constant || rows == 1) {
    // One row: its indices follow one another.
    job.start = params.kind == FillParams::Kind::constant ? 0 : index_of(map, map.first);
    draft.quads = (job.start + job.count + 3) / 4 - job.start / 4;
    return;
  }
  job.start = map.start;
  job.blocked = 1;
  append(draft.extension, Rows{run, map.first, map.rank - 1});
  for (std::uint32_t j = 0; j + 1 < map.rank; ++j) append(draft.extension, Dimension{map.extent[j], map.stride[j]});
  draft.quads = rows * quads_of_row(run);
}

Draft draft_of(const FillJob& fill) {
  const FillParams& params = fill.params;
  Draft draft{};
  Job& job = draft.job;
  job.address = fill.address;
  job.dtype = static_cast<std::uint32_t>(params.dtype) & 7u;
  set_draw(job, params);
  if (!is_random(params)) {
    job.bits = params.pattern;
    set_place(draft, params);
    if (params.kind == FillParams::Kind::identity) append(draft.extension, params.columns);
    return draft;
  }
  job.bits = params.subsequence;
  job.seed = params.seed;
  job.scale = static_cast<float>(params.scale);
  job.shift = params.shifted ? static_cast<float>(params.shift) : -0.0F;
  job.clamped = clamping_matters(params) ? 1 : 0;
  if (is_wide(params)) {
    append(draft.extension, Wide{params.scale, params.shifted ? params.shift : -0.0, params.min, params.max,
                                 params.lower, params.upper});
  } else if (job.clamped != 0) {
    append(draft.extension, limits_of(params));
  }
  set_place(draft, params);
  return draft;
}

}  // namespace

std::vector<Draft> drafts_of(const FillJob* jobs, std::size_t count) {
  return fanin::detail::in_default_fp_environment([&] {
    std::vector<Draft> drafts;
    std::vector<const FillParams*> params;                          // of each draft
    std::unordered_multimap<std::uint64_t, std::size_t> by_tensor;  // subsequence to draft
    drafts.reserve(count);
    params.reserve(count);
    for (std::size_t j = 0; j < count; ++j) {
      const FillJob& fill = jobs[j];
      if (fill.params.index.count == 0) continue;
      if (is_random(fill.params) && count > 1) {
        const auto [begin, end] = by_tensor.equal_range(fill.params.subsequence);
        const auto same = std::find_if(begin, end, [&](const auto& at) {
          return drafts[at.second].job.copies < max_copies && same_draws(*params[at.second], fill.params);
        });
        if (same != end) {
          Draft& original = drafts[same->second];
          ++original.job.copies;
          append(original.extension,
                 Copy{fill.address, limits_of(fill.params), static_cast<std::uint32_t>(fill.params.dtype),
                      clamping_matters(fill.params) ? 1u : 0u});
          continue;
        }
        by_tensor.emplace(fill.params.subsequence, drafts.size());
      }
      drafts.push_back(draft_of(fill));
      params.push_back(&fill.params);
    }
    for (std::size_t j = 0; j < drafts.size(); ++j) make_direct(drafts[j].job, *params[j]);
    return drafts;
  });
}

std::size_t drafts_within(const Draft* drafts, std::size_t count, std::size_t max_bytes) {
  std::size_t bytes = 0;
  std::size_t n = 0;
  while (n < count && bytes + drafts[n].bytes() <= max_bytes) bytes += drafts[n++].bytes();
  return n;
}

// If no normal has a window, all are made 1024 times smaller, and their scales larger, which changes no bit: then none
// but the infinite point of an edge cell is as large as 2, from which on the kernel has to look twice.
float table_unit(const Draft* drafts, std::size_t count) {
  constexpr float unit = 0x1p-10F;
  constexpr float largest = 0x1p118F;  // scale / unit is finite below; not divided: the caller's rounding is in force
  const bool small = std::all_of(drafts, drafts + count, [&](const Draft& draft) {
    const Job& job = draft.job;
    const auto draw = static_cast<Draw>(job.draw);
    if (draw != Draw::symmetric_normal && draw != Draw::normal) return true;
    return draw == Draw::symmetric_normal && !std::isfinite(job.upper) && std::fabs(job.scale) < largest;
  });
  return small ? unit : 1;
}

Batch batch_of(const Draft* drafts, std::size_t count, const Policy& policy) {
  Batch batch{};
  batch.threads_per_block = policy.threads_per_block;
  batch.blocks_per_sm = policy.blocks_per_sm;
  std::vector<std::uint64_t> extensions;
  std::uint64_t tiles = 0;
  for (std::size_t j = 0; j < count; ++j) {
    Job job = drafts[j].job;
    job.tile_begin = static_cast<std::uint32_t>(tiles);
    job.extension = static_cast<std::uint32_t>(count * (sizeof(Job) / 8) + extensions.size()) & max_extension;
    append(batch.data, job);
    extensions.insert(extensions.end(), drafts[j].extension.begin(), drafts[j].extension.end());
    tiles += (drafts[j].quads + policy.quads_per_tile - 1) / policy.quads_per_tile;
    if (tiles > std::numeric_limits<std::uint32_t>::max()) {
      throw DeviceError("A launch cannot fill so many elements: it would take more than 2^32 tiles of " +
                        std::to_string(4 * policy.quads_per_tile));
    }
  }
  batch.data.insert(batch.data.end(), extensions.begin(), extensions.end());
  batch.header.jobs = static_cast<std::uint32_t>(count);
  batch.header.tiles = static_cast<std::uint32_t>(tiles);
  batch.header.quads_per_tile = policy.quads_per_tile;
  batch.header.table_copies = policy.table_copies;
  batch.header.table_unit = table_unit(drafts, count);
  // All whole ones. But only one of 128 if all that are noted are points of edge cells, lest these pile up.
  batch.header.notes_shift = batch.header.table_unit == 1 ? 5 : 7;
  return batch;
}

}  // namespace fanin::gpu::detail

namespace fanin::gpu {

// INTERIM: the new interface over the old encoder.
std::size_t encode(const FillJob* jobs, std::size_t first, std::size_t count, Kernel kernel, const DeviceFacts& facts,
                   std::uint64_t* words, std::size_t capacity, Launch* launch) {
  *launch = {};
  if (kernel == Kernel::wide) return count;
  const auto policy = [&](std::uint64_t quads) { return policy_for(facts.capability, quads); };
  std::size_t n = count - first;
  std::vector<Batch> batches = encode(jobs + first, n, capacity * 8, policy);
  while (batches.size() > 1) {
    n -= (n + 15) / 16;
    batches = encode(jobs + first, n, capacity * 8, policy);
  }
  if (batches.empty()) return first + n;
  const Batch& batch = batches[0];
  launch->header = batch.header;
  launch->threads = batch.threads_per_block;
  launch->blocks = std::min<std::uint32_t>(static_cast<std::uint32_t>(facts.multiprocessors) * batch.blocks_per_sm,
                                           (batch.header.tiles - 1) / (batch.threads_per_block / 32) + 1);
  launch->shared_bytes = shared_bytes(batch.header.table_copies, batch.threads_per_block);
  launch->words = batch.data.size();
  std::memcpy(words, batch.data.data(), batch.data.size() * 8);
  return first + n;
}

}  // namespace fanin::gpu
