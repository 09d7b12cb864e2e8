// SPDX-License-Identifier: Apache-2.0
#include "strided.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "fanin/error.h"
#include "fanin/fill.h"

namespace fanin::python {

namespace {

constexpr std::uint64_t piece_bytes = 64 * 1024;
constexpr std::uint64_t elements_between_pauses = std::uint64_t{1} << 24;

// One of the nested loops over the elements.
struct Loop {
  std::int64_t extent;
  std::int64_t stride;
};

// The fewest loops that visit the elements in row-major order, outermost first; at least one.
std::vector<Loop> loops_of(const Shape& shape, const Shape& strides, std::size_t size) {
  std::vector<Loop> loops;
  for (std::size_t j = 0; j < shape.size(); ++j) {
    if (shape[j] == 1) continue;
    if (!loops.empty() && loops.back().stride == shape[j] * strides[j]) {
      loops.back() = {loops.back().extent * shape[j], strides[j]};
    } else {
      loops.push_back({shape[j], strides[j]});
    }
  }
  if (loops.empty()) loops.push_back({1, static_cast<std::int64_t>(size)});
  return loops;
}

// A position in the loops.
class Walk {
 public:
  Walk(unsigned char* address, std::vector<Loop> loops)
      : loops_(std::move(loops)), index_(loops_.size(), 0), at_(address) {}

  // Copies the next `count` elements of `size` bytes to their addresses.
  template <std::size_t size>
  void scatter(const unsigned char* from, std::uint64_t count) {
    const Loop inner = loops_.back();
    while (count > 0) {
      const auto run =
          static_cast<std::int64_t>(std::min(count, static_cast<std::uint64_t>(inner.extent - index_.back())));
      if (inner.stride == static_cast<std::int64_t>(size)) {
        std::memcpy(at_, from, static_cast<std::size_t>(run) * size);
      } else {
        unsigned char* to = at_;
        for (std::int64_t j = 0; j < run; ++j, to += inner.stride) {
          std::memcpy(to, from + static_cast<std::size_t>(j) * size, size);
        }
      }
      from += static_cast<std::size_t>(run) * size;
      count -= static_cast<std::uint64_t>(run);
      advance(run);
    }
  }

 private:
  // Advances within the innermost loop, at most to its end.
  void advance(std::int64_t elements) {
    std::size_t j = loops_.size() - 1;
    index_[j] += elements;
    at_ += elements * loops_[j].stride;
    while (index_[j] == loops_[j].extent && j > 0) {
      at_ -= index_[j] * loops_[j].stride;
      index_[j] = 0;
      --j;
      ++index_[j];
      at_ += loops_[j].stride;
    }
  }

  std::vector<Loop> loops_;
  std::vector<std::int64_t> index_;
  unsigned char* at_;
};

}  // namespace

void check_no_overlap(const Shape& shape, const Shape& strides, std::size_t size) {
  if (element_count(shape) == 0) return;
  std::vector<Loop> loops;
  for (std::size_t j = 0; j < shape.size(); ++j) {
    if (shape[j] != 1) loops.push_back({shape[j], strides[j] < 0 ? -strides[j] : strides[j]});
  }
  std::sort(loops.begin(), loops.end(), [](const Loop& a, const Loop& b) { return a.stride < b.stride; });
  auto taken = static_cast<std::int64_t>(size);  // the bytes that the loops so far span
  for (const Loop& loop : loops) {
    if (loop.stride < taken) {
      throw InvalidArgument(
          "Elements of the array share memory or its axes interleave, as in a broadcast or overlapping view. " +
          std::string("Received: shape=") + to_string(shape) + ", strides in bytes " + to_string(strides) +
          ". Fill the array that the view is of");
    }
    taken += (loop.extent - 1) * loop.stride;
  }
}

void fill_strided(void* address, const Shape& shape, const Shape& strides, const FillParams& prepared,
                  void (*pause)()) {
  RunOptions run;
  run.pause = pause;
  const FillParams params = checked(prepared, run);
  const bool unpacked = facts_of(params.dtype).is_packed();  // packed arrays are dense
  const std::size_t size = unpacked ? 1 : size_of(params.dtype);
  const std::uint64_t count = params.index.count;
  if (count == 0) return;
  const std::uint64_t piece = std::min(count, piece_bytes / size);
  const std::unique_ptr<unsigned char[]> memory(new unsigned char[piece * size]);
  Walk walk(static_cast<unsigned char*>(address), loops_of(shape, strides, size));
  for (std::uint64_t first = 0; first < count; first += piece) {
    const std::uint64_t n = std::min(piece, count - first);
    if (pause && first > 0 && first % elements_between_pauses == 0) pause();
    fill({memory.get(), params.dtype, n * size, host, 0, unpacked}, part_of(params, first, n), {nullptr, 1});
    switch (size) {
      case 1:
        walk.scatter<1>(memory.get(), n);
        break;
      case 2:
        walk.scatter<2>(memory.get(), n);
        break;
      case 4:
        walk.scatter<4>(memory.get(), n);
        break;
      default:
        walk.scatter<8>(memory.get(), n);
    }
  }
}

}  // namespace fanin::python
