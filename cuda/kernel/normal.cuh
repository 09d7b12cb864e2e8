// SPDX-License-Identifier: Apache-2.0
// Normals of a job: first trials, and a resample that draws one more trial of a rejected element (docs/VALUES.md,
// section 3).
#pragma once

#include <cstdint>

#include "cuda/kernel/draw.cuh"
#include "cuda/kernel/position.cuh"
#include "fanin/core/edge_boxes.h"
#include "fanin/core/normal.h"

namespace fanin::gpu {

// The tables are in device memory instead of constant memory, because threads look up different entries.
__device__ const core::Ziggurat normal_table = core::normal_table;
__device__ const core::Ziggurat cut_table = core::cut_table;

// Multiplies widths and heights by 2^-25. edge_point() then multiplies them by edge_number() instead of
// edge_fraction(), which gives the same product.
constexpr core::EdgeBoxes scaled(core::EdgeBoxes edges) {
  for (auto& box : edges.box) {
    box.dx *= 0x1p-25F;
    box.dy *= 0x1p-25F;
  }
  return edges;
}
__device__ const core::EdgeBoxes edge_boxes[2] = {scaled(core::normal_edges), scaled(core::cut_edges)};

// core::edge_point() for lanes whose boxes differ. The tail has other formulas, and the operations that all formulas
// share are done once.
__device__ __forceinline__ core::Trial edge_point(std::uint32_t head, const Words& words, bool cut) {
  const core::EdgeBoxes& edges = edge_boxes[cut ? 1 : 0];
  const std::uint32_t number = core::EdgeBoxes::box_of(words.y, edges.first[core::EdgeBoxes::entry_of(words.y)]);
  const core::EdgeBoxes::Box box = edges.box[number];
  const float nx = core::edge_number(words.z);
  const float l = core::neglog(core::fma(core::edge_number(words.w), box.dy, box.y_low));
  float x = core::fma(nx, box.dx, box.x_low);
  float distance = x;
  if (number == 0) {             // the tail
    __syncwarp(__activemask());  // forces a branch, which few warps take: 16 of about 280 instructions (CUDA 13.0)
    distance = core::mul(core::neglog(core::mul(nx, 0x1p-25F)), core::normal_table.inverse_x0);
    x = core::add(box.x_low, distance);
  }
  return {__uint_as_float(__float_as_uint(x) | (head & 0x80000000u)), core::mul(distance, distance) < core::add(l, l)};
}

// The result of a resample.
template <class Real>
struct Resampled {
  bool accepted;
  Real draw;
};

// Returns the word that refines trial `trial` of element n of a quad in binary64.
__device__ __forceinline__ std::uint32_t refinement_word(const Generator& generator, std::uint64_t quad,
                                                         std::uint32_t n, std::uint32_t trial) {
  const std::uint32_t tag = core::first_refinement_tag + trial;
  if (trial > 0) return generator.block(4 * quad + n, tag).x;
  return word_of(generator.block(quad, tag), n);
}

// Draws normals from a table. If `windowed`, the bounds can reject points of rectangles too. Otherwise draws in
// binary32 are multiplied by the table's unit.
template <class RealType, bool windowed>
class TableNormals {
 public:
  using Real = RealType;
  static constexpr bool can_reject = true;

  __device__ __forceinline__ TableNormals(const EncodedJob& job, const Extension& more, const Table& table)
      : table_(table), values_(more.values) {
    upper_ = table.cut ? 2.0F * Table::unit : beyond;
    lower_ = -upper_;
    has_window_ = windowed && static_cast<Draw>(job.draw) == Draw::windowed_normal;
    if (has_window_) {
      lower_ = fmaxf(core::mul(static_cast<float>(more.values->lower), Table::unit), lower_);
      upper_ = fminf(core::mul(static_cast<float>(more.values->upper), Table::unit), upper_);
    }
  }

  __device__ __forceinline__ Real factor() const { return sizeof(Real) == 4 && !windowed ? 1 / Table::unit : 1.0F; }

  __device__ __forceinline__ FirstTrials<Real> first(const Generator& generator, std::uint64_t quad,
                                                     const Words& words) const {
    const Four<float> z = table_.points(words);
    FirstTrials<Real> trials;
    if (windowed && has_window_) {
      trials.rejected = rejected(words) != 0;
    } else {
      trials.rejected = any_suspect(z);
    }
    if constexpr (sizeof(Real) == 4) {
      trials.draws = {draw(z.x), draw(z.y), draw(z.z), draw(z.w)};
    } else {
      const Words more = generator.block(quad, core::first_refinement_tag);
      trials.draws = {refined(words.x, more.x), refined(words.y, more.y), refined(words.z, more.z),
                      refined(words.w, more.w)};
    }
    return trials;
  }

  // Returns a mask. Its bit 8 n + 7 says that the first trial of element n, with this word, is rejected.
  __device__ __forceinline__ std::uint32_t rejected(const Words& words) const {
    if constexpr (windowed) {
      return (rejects(words.x) ? 0x80 : 0) | (rejects(words.y) ? 0x8000 : 0) | (rejects(words.z) ? 0x800000 : 0) |
             (rejects(words.w) ? 0x80000000u : 0);
    } else {
      // Collects the bytes of the cells and complements them. The bytes of edge cells, from 252 on, become 0, and all
      // others become at least 4. The last line finds the zeros.
      static_assert(core::rectangles == 252);
      const std::uint32_t low = __byte_perm(words.x, words.y, 0x0040);
      const std::uint32_t cells = __byte_perm(low, __byte_perm(words.z, words.w, 0x0040), 0x5410);
      const std::uint32_t others = ~cells & 0xfcfcfcfcu;
      return (others - 0x01010101u) & ~others & 0x80808080u;
    }
  }

  // Resamples an element. `head` is the head of its trial `trial`, which needs a point of an edge cell or whose
  // rectangle's point was rejected. The draw is the point of the edge cell or, if that is rejected, the rectangle's
  // point of the next trial. If neither is accepted, the element continues with trial + 1.
  __device__ __forceinline__ Resampled<Real> resample(const Generator& generator, std::uint64_t quad, std::uint32_t n,
                                                      std::uint32_t trial, std::uint32_t head) const {
    const Words words = generator.block(4 * quad + n, trial + 1);
    float z = 0;
    bool accepted = false;
    if (!windowed || core::is_edge(head)) {  // without a window of its own, a job rejects nothing else
      const core::Trial point = edge_point(head, words, table_.cut);
      z = core::mul(point.z, Table::unit);
      accepted = point.kept && z >= lower_ && z <= upper_;
    }
    std::uint32_t at = trial;
    if (!accepted) {
      head = words.x;
      at = trial + 1;
      // Without such a window, all trials fail with a probability below 1e-130.
      z = windowed && at == core::trials ? 0.0F : table_.point(head);
      accepted = z >= lower_ && z <= upper_;
    }
    if constexpr (sizeof(Real) == 4) {
      return {accepted, draw(z)};
    } else {
      if (!accepted || at == core::trials) return {accepted, 0.0};
      const std::uint32_t more = refinement_word(generator, quad, n, at);
      if (!core::is_edge(head)) return {true, refined(head, more)};
      return {true, clamp64(core::with_more_digits(core::mul(z, 1 / Table::unit), more))};
    }
  }

 private:
  __device__ __forceinline__ float draw(float z) const { return windowed ? core::mul(z, 1 / Table::unit) : z; }
  __device__ __forceinline__ bool rejects(std::uint32_t word) const {
    const float z = table_.point(word);
    return z < lower_ || z > upper_;
  }
  __device__ __forceinline__ double clamp64(double z) const {
    return windowed || table_.cut ? core::clamp(z, values_->lower, values_->upper) : z;
  }
  // Returns a rectangle's point with all its digits.
  __device__ __forceinline__ double refined(std::uint32_t head, std::uint32_t more) const {
    if (core::is_edge(head)) return 0;
    const core::Ziggurat& table = table_.cut ? cut_table : normal_table;
    const double k = core::refined(core::centred(head), more);
    return clamp64(core::mul(k, table.x_scaled64[core::cell_of(head)]));
  }

  static constexpr float beyond = 0x1p100F;  // larger than every point except the infinite ones of edge cells

  Table table_;
  const Values* values_;  // only if windowed, or in binary64
  bool has_window_;
  float lower_, upper_;  // times the table's unit
};

// Uniforms and normals of any job. The same code serves both.
template <class RealType>
class AnyDraws {
 public:
  using Real = RealType;
  static constexpr bool can_reject = true;

  __device__ __forceinline__ AnyDraws(const EncodedJob& job, const Extension& more, const Table& table)
      : is_normal_(static_cast<Draw>(job.draw) == Draw::normal || static_cast<Draw>(job.draw) == Draw::windowed_normal),
        normals_(job, more, table),
        uniforms_(job) {}

  __device__ __forceinline__ Real factor() const { return 1; }
  __device__ __forceinline__ FirstTrials<Real> first(const Generator& generator, std::uint64_t quad,
                                                     const Words& words) const {
    return is_normal_ ? normals_.first(generator, quad, words) : uniforms_.first(generator, quad, words);
  }
  __device__ __forceinline__ std::uint32_t rejected(const Words& words) const { return normals_.rejected(words); }
  __device__ __forceinline__ Resampled<Real> resample(const Generator& generator, std::uint64_t quad, std::uint32_t n,
                                                      std::uint32_t trial, std::uint32_t head) const {
    return normals_.resample(generator, quad, n, trial, head);
  }

 private:
  bool is_normal_;
  TableNormals<Real, true> normals_;
  Uniforms<Real, false> uniforms_;
};

}  // namespace fanin::gpu
