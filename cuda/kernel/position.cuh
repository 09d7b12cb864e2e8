// SPDX-License-Identifier: Apache-2.0
// The positions of a job's slots in the tensor and in memory.
#pragma once

#include <cstdint>

#include "cuda/encoded_job.h"
#include "fanin/core/window.h"

namespace fanin::gpu {

// Pointers to a job and to the parts of its extension. A pointer is valid only if the job has that part.
struct Extension {
  const EncodedJob* job;
  const Values* values;
  const core::NarrowWindow* narrow;
  const Rows* rows;
  const Dimension* dimensions;
  const Copy* copies;
  const EncodedBlock* block;  // in a launch with a block

  __device__ __forceinline__ Extension(const EncodedJob& its_job, const std::uint64_t* data) : job(&its_job) {
    const std::uint64_t* at = data + its_job.extension;
    values = reinterpret_cast<const Values*>(at);
    if (its_job.has_values != 0) at += sizeof(Values) / 8;
    narrow = reinterpret_cast<const core::NarrowWindow*>(at);
    if (static_cast<Draw>(its_job.draw) == Draw::narrow_normal) at += sizeof(core::NarrowWindow) / 8;
    rows = reinterpret_cast<const Rows*>(at);
    if (its_job.has_rows != 0) at += sizeof(Rows) / 8;
    dimensions = reinterpret_cast<const Dimension*>(at);
    if (its_job.has_rows != 0) at += rows->rank * (sizeof(Dimension) / 8);
    copies = reinterpret_cast<const Copy*>(at);
    block = reinterpret_cast<const EncodedBlock*>(at);
  }
};

// A quad and its position in memory.
struct Place {
  std::uint64_t index;   // the number of its Philox block
  std::int64_t element;  // the position of its element 0 in the job's memory; may be negative
};

// A quad whose elements `from` ... `to` - 1 belong to the job.
struct Quad : Place {
  std::int32_t from, to;
};

// Consecutive quads of one row.
struct Span {
  std::uint64_t index;     // of the first quad
  std::int64_t element;    // position in memory of its element 0
  std::uint32_t slot;      // number of its slot in the share
  std::uint32_t count;     // of quads
  std::uint32_t from, to;  // elements from ... to - 1 of 0 ... 4 * count - 1 belong to the job
};

// Slots begin ... begin + count - 1 of a job, with count <= max_share. A share numbers them from 0.
class Share {
 public:
  __device__ __forceinline__ Share(const EncodedJob& job, const Extension& more, std::uint64_t begin,
                                   std::uint32_t count)
      : job_(job), more_(more), count_(count) {
    const std::uint64_t slots = job.has_rows != 0 ? more.rows->slots : 0;
    row_ = job.has_rows != 0 ? begin / slots : 0;
    column_ = begin - row_ * slots;
    if (job.has_rows != 0) row_ += more.rows->first / more.rows->pitch;
    const std::uint64_t left = slots - column_;
    left_ = job.has_rows == 0 || left > max_share ? max_share : static_cast<std::uint32_t>(left);
    first_ = {job.start / 4 + begin, static_cast<std::int64_t>(4 * begin - job.start % 4)};
  }

  __device__ __forceinline__ std::uint32_t count() const { return count_; }

  // Returns the span from a slot to the end of its row or of the share. It serves rows that are long enough to be
  // handled one by one, and it is the same for all lanes.
  __device__ __forceinline__ Span span(std::uint32_t slot) const {
    const At at = find(slot);
    const std::uint64_t start = row_start(at.row);
    const std::uint64_t left = job_.has_rows != 0 ? more_.rows->slots - at.column : max_share;
    Span span;
    span.slot = slot;
    span.count = static_cast<std::uint32_t>(min(left, static_cast<std::uint64_t>(count_ - slot)));
    span.index = start / 4 + at.column;
    // The indices of a span's quads have the same high words, and so do the indices of their elements.
    constexpr std::uint32_t alike = 1u << 30;
    span.count = min(span.count, alike - static_cast<std::uint32_t>(span.index) % alike);
    span.element = element_of(at, start);
    const Bounds bounds = bounds_of(at, start, span.element);
    const std::int64_t elements = 4 * static_cast<std::int64_t>(span.count);
    span.from = static_cast<std::uint32_t>(min(max(bounds.from, std::int64_t{0}), elements));
    span.to = static_cast<std::uint32_t>(max(min(bounds.to, elements), static_cast<std::int64_t>(span.from)));
    return span;
  }

  // Returns whether the rows have so few slots that they are handled together.
  __device__ __forceinline__ bool has_short_rows() const {
    return job_.has_rows != 0 && more_.rows->slots < least_row_slots;
  }
  // Returns the whole share as a span, if the share has short rows. Elements from ... to - 1 belong to whole quads that
  // are contiguous in memory; there are none unless all rows consist of whole quads.
  __device__ __forceinline__ Span short_rows() const {
    Span span{0, 0, 0, count_, 0, 0};
    if (job_.whole_rows != 0) {
      span.element = static_cast<std::int64_t>(row_ * more_.rows->pitch - more_.rows->first + 4 * column_);
      const std::int64_t elements = 4 * static_cast<std::int64_t>(count_);
      span.from = static_cast<std::uint32_t>(min(max(-span.element, std::int64_t{0}), elements));
      const std::int64_t to = static_cast<std::int64_t>(job_.count) - span.element;
      span.to = static_cast<std::uint32_t>(max(min(to, elements), static_cast<std::int64_t>(span.from)));
    }
    return span;
  }
  // Returns the index of a slot's quad in such a span.
  __device__ __forceinline__ std::uint32_t index_in_short_rows(std::uint32_t slot) const {
    const At at = find(slot);
    auto row = static_cast<std::uint32_t>(at.row);
    std::uint32_t index = static_cast<std::uint32_t>(job_.start / 4 + at.column);
#pragma unroll 1
    for (std::uint32_t j = more_.rows->rank; --j > 0;) {
      const auto extent = static_cast<std::uint32_t>(more_.dimensions[j].extent);
      index += row % extent * static_cast<std::uint32_t>(more_.dimensions[j].stride / 4);
      row /= extent;
    }
    return index + row * static_cast<std::uint32_t>(more_.dimensions[0].stride / 4);
  }
  // Returns the quad of one slot. Each lane passes another slot.
  __device__ __forceinline__ Quad quad(std::uint32_t slot) const {
    const At at = find(slot);
    const std::uint64_t start = row_start(at.row);
    const std::int64_t element = element_of(at, start);
    const Bounds bounds = bounds_of(at, start, element);
    return {{start / 4 + at.column, element},
            static_cast<std::int32_t>(min(max(bounds.from, std::int64_t{0}), std::int64_t{4})),
            static_cast<std::int32_t>(max(min(bounds.to, std::int64_t{4}), std::int64_t{0}))};
  }
  // Returns the same without the bounds, for a quad whose elements are known.
  __device__ __forceinline__ Place place(std::uint32_t slot) const {
    if (job_.has_rows == 0) return {first_.index + slot, first_.element + 4 * static_cast<std::int64_t>(slot)};
    const At at = find(slot);
    const std::uint64_t start = row_start(at.row);
    return {start / 4 + at.column, element_of(at, start)};
  }

 private:
  struct At {
    std::uint64_t row, column;  // the column is counted in slots
  };
  struct Bounds {
    std::int64_t from, to;
  };

  __device__ __forceinline__ At find(std::uint32_t slot) const {
    if (slot < left_) return {row_, column_ + slot};
    const std::uint32_t n = slot - left_;
    const Rows& rows = *more_.rows;
    const auto row = static_cast<std::uint32_t>(static_cast<std::uint64_t>(n) * rows.inverse >> rows.inverse_shift);
    return {row_ + 1 + row, n - row * static_cast<std::uint32_t>(rows.slots)};
  }

  // Returns the index of a row's first element.
  __device__ __forceinline__ std::uint64_t row_start(std::uint64_t row) const {
    std::uint64_t start = job_.start;
    if (job_.has_rows == 0) return start;
#pragma unroll 1
    for (std::uint32_t j = more_.rows->rank; --j > 0; row /= more_.dimensions[j].extent) {
      start += row % more_.dimensions[j].extent * more_.dimensions[j].stride;
    }
    return start + row * more_.dimensions[0].stride;
  }

  __device__ __forceinline__ std::int64_t element_of(const At& at, std::uint64_t start) const {
    const std::uint64_t row_element = job_.has_rows != 0 ? at.row * more_.rows->pitch - more_.rows->first : 0;
    return static_cast<std::int64_t>(row_element + 4 * at.column - start % 4);
  }

  // Returns the bounds of the job's elements in the row, counted from element 0 of a quad.
  __device__ __forceinline__ Bounds bounds_of(const At& at, std::uint64_t start, std::int64_t element) const {
    Bounds bounds{-element, static_cast<std::int64_t>(job_.count) - element};
    if (job_.has_rows != 0) {
      const auto column = static_cast<std::int64_t>(4 * at.column - start % 4);
      bounds.from = max(bounds.from, -column);
      bounds.to = min(bounds.to, static_cast<std::int64_t>(more_.rows->run) - column);
    }
    return bounds;
  }

  const EncodedJob& job_;
  const Extension& more_;
  std::uint32_t count_;
  std::uint64_t row_, column_;  // of slot 0
  std::uint32_t left_;          // slots from slot 0 to the end of its row
  Place first_;                 // of slot 0, if there are no rows
};

}  // namespace fanin::gpu
