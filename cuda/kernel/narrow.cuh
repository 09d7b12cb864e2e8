// SPDX-License-Identifier: Apache-2.0
// Normals within a narrow window. They have no table, and each trial takes its own block of words (docs/VALUES.md,
// section 3). Each lane tries an element until it is accepted, then takes the next element that no lane has taken.
#pragma once

#include <cstdint>

#include "cuda/kernel/normal.cuh"
#include "cuda/kernel/store.cuh"
#include "fanin/core/neglog.h"

namespace fanin::gpu {

enum class Proposal : std::uint8_t { box, tail, either };

// Draws normals within a narrow window. Draws in binary32 lack the window's sign, which `factor` has.
template <class RealType, Proposal proposal>
class NarrowNormals {
 public:
  using Real = RealType;

  __device__ __forceinline__ explicit NarrowNormals(const Extension& more)
      : values_(more.values), window_(*more.narrow) {}

  __device__ __forceinline__ Real factor() const { return sizeof(Real) == 4 && window_.negative ? -1 : 1; }

  // core::narrow_point() without the sign and without the test of the lower bound, because no x is below it. Instead of
  // doubling l, this code halves the products.
  __device__ __forceinline__ core::Trial point(const Words& words) const {
    const float ux = core::edge_fraction(words.z);
    const float l = core::neglog(core::edge_fraction(words.w));
    float x;
    float half_square;
    if (proposal == Proposal::either ? window_.tail : proposal == Proposal::tail) {
      const float s = core::mul(core::neglog(ux), window_.inverse_rate);
      x = core::add(window_.nearest, s);
      const float q = core::add(s, -window_.delta);
      half_square = core::mul(core::mul(q, 0.5F), q);
    } else {
      x = core::fma(ux, window_.width, window_.low);
      half_square = core::mul(core::add(x, -window_.nearest), core::fma(x, 0.5F, 0.5F * window_.nearest));
    }
    return {x, half_square < l && x <= window_.high};
  }

  // Returns the draw of an accepted trial, or of the last trial of an element whose trials all fail.
  __device__ __forceinline__ Real draw(const Generator& generator, std::uint64_t index, std::uint32_t trial,
                                       std::uint32_t word, const core::Trial& point) const {
    const float x = point.kept ? point.z : window_.nearest;
    if constexpr (sizeof(Real) == 4) {
      return x;
    } else {
      const core::Accepted accepted{window_.negative ? -x : x, word, point.kept ? trial : core::trials};
      const double z = core::refine(accepted, refinement_word(generator, index / 4, index % 4, trial), window_);
      return core::clamp(z, values_->lower, values_->upper);
    }
  }

 private:
  const Values* values_;
  core::NarrowWindow window_;
};

// Elements of a span, numbered from its first element. The high words of their indices are equal.
template <class Writer>
class SpanElements {
 public:
  __device__ __forceinline__ SpanElements(const Span& span, const Writer& writer)
      : count_(span.to - span.from),
        low_(4 * static_cast<std::uint32_t>(span.index) + span.from),
        high_(static_cast<std::uint32_t>(span.index >> 30)),
        address_(opaque(writer.address(span.element + span.from))),
        writer_(writer) {}

  __device__ __forceinline__ std::uint32_t count() const { return count_; }
  __device__ __forceinline__ bool has(std::uint32_t) const { return true; }
  __device__ __forceinline__ std::uint32_t low(std::uint32_t n) const { return low_ + n; }
  __device__ __forceinline__ std::uint32_t high(std::uint32_t) const { return high_; }
  __device__ __forceinline__ void write(bool really, std::uint32_t n, typename Writer::Real draw) const {
    writer_.write_one(really, address_ + std::uint64_t{n} * Writer::element_size, draw);
  }

 private:
  std::uint32_t count_, low_, high_;
  std::uint64_t address_;
  const Writer& writer_;
};

// Four elements for each slot of a share. Some of them may not exist.
template <class Writer>
class SlotElements {
 public:
  __device__ __forceinline__ SlotElements(const Share& share, const Writer& writer) : share_(share), writer_(writer) {}

  __device__ __forceinline__ std::uint32_t count() const { return 4 * share_.count(); }
  __device__ __forceinline__ bool has(std::uint32_t n) const {
    const Quad quad = share_.quad(n / 4);
    const auto j = static_cast<std::int32_t>(n % 4);
    return j >= quad.from && j < quad.to;
  }
  __device__ __forceinline__ std::uint32_t low(std::uint32_t n) const {
    return 4 * static_cast<std::uint32_t>(share_.place(n / 4).index) + n % 4;
  }
  __device__ __forceinline__ std::uint32_t high(std::uint32_t n) const {
    return static_cast<std::uint32_t>(share_.place(n / 4).index >> 30);
  }
  __device__ __forceinline__ void write(bool really, std::uint32_t n, typename Writer::Real draw) const {
    if (really) writer_.write_one(true, writer_.address(share_.place(n / 4).element + n % 4), draw);
  }

 private:
  const Share& share_;
  const Writer& writer_;
};

// Fills elements 0 ... elements.count() - 1. The count is less than 2^31.
template <class Normals, class Elements>
__device__ __forceinline__ void fill_narrow(const Normals& normals, const Generator& generator,
                                            const Elements& elements) {
  // The number of elements that a lane handles at a time. The instructions of one element hide the latencies of the
  // other.
  constexpr std::uint32_t together = 2;
  constexpr std::uint32_t tag = 1u << 24;  // of the first trial
  std::uint32_t before;
  asm("mov.u32 %0, %%lanemask_lt;" : "=r"(before));
  const std::uint32_t count = elements.count();
  std::uint32_t n[together];
  std::uint32_t y[together];  // word y of the counter: the tag and the index's high word
#pragma unroll
  for (std::uint32_t k = 0; k < together; ++k) {
    n[k] = 32 * k + lane_number();
    y[k] = elements.high(n[k]) | tag;
  }
  // The next element replaces each element that is done.
  std::uint32_t next = 32 * together;
#pragma unroll 1
  do {
#pragma unroll
    for (std::uint32_t k = 0; k < together; ++k) {
      const std::uint32_t low = elements.low(n[k]);
      const Words words = generator.block(low, y[k]);
      const core::Trial point = normals.point(words);
      const bool exists = n[k] < count && elements.has(n[k]);
      const bool drawn = point.kept || y[k] >= core::trials * tag;
      const std::uint64_t index = low | std::uint64_t{y[k] % tag} << 32;
      elements.write(exists && drawn, n[k], normals.draw(generator, index, y[k] / tag - 1, words.z, point));
      const bool done = n[k] < count && (drawn || !exists);
      const std::uint32_t votes = __ballot_sync(0xffffffffu, done);
      n[k] = done ? next + __popc(votes & before) : n[k];
      y[k] = done ? elements.high(n[k]) | tag : y[k] + tag;
      next += __popc(votes);
    }
  } while (next != count + 32 * together);
}

// Fills a share of long rows without copies.
template <class Writer, Proposal proposal>
__device__ __forceinline__ void fill_narrow_spans(const EncodedJob& job, const Extension& more, const Share& share,
                                                  const Generator& generator) {
  const NarrowNormals<typename Writer::Real, proposal> normals(more);
  const Writer writer(job, more, normals.factor());
#pragma unroll 1
  for (std::uint32_t slot = 0; slot < share.count();) {
    const Span span = share.span(slot);
    slot += span.count;
    fill_narrow(normals, generator, SpanElements<Writer>(span, writer));
  }
}

// Fills any share.
template <class Writer>
__device__ __forceinline__ void fill_narrow_slots(const EncodedJob& job, const Extension& more, const Share& share,
                                                  const Generator& generator) {
  const NarrowNormals<typename Writer::Real, Proposal::either> normals(more);
  const Writer writer(job, more, normals.factor());
  fill_narrow(normals, generator, SlotElements<Writer>(share, writer));
}

}  // namespace fanin::gpu
