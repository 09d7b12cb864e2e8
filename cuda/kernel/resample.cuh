// SPDX-License-Identifier: Apache-2.0
// What is rejected waits, warp by warp, until there are 32 of them: a full warp then draws 32 elements again from their
// numbers alone.
#pragma once

#include <cstdint>

#include "cuda/job.h"
#include "cuda/kernel/normal.cuh"
#include "cuda/kernel/position.cuh"
#include "cuda/kernel/store.cuh"

namespace fanin::gpu {

constexpr std::uint32_t all_lanes = 0xffffffffu;

// A lane's quads that wait: those of slots slot + 32 k for which bit k of `quads` is set. The one with the highest bit is
// next: its elements before `element` are done, and trial `trial` of that one is the next. Only elements whose bit of
// `exist` is set are the job's.
struct Waiter {
  static constexpr std::uint32_t most_quads = 16;

  std::uint32_t slot;
  std::uint32_t quads;
  std::uint32_t exist = 0xf;
  std::uint32_t element = 0;
  std::uint32_t trial = 0;

  __device__ __forceinline__ std::uint32_t state() const { return quads | exist << 16 | element << 20 | trial << 22; }
  static __device__ __forceinline__ Waiter of(std::uint32_t slot, std::uint32_t state) {
    return {slot, state & 0xffffu, state >> 16 & 0xfu, state >> 20 & 3u, state >> 22};
  }
};

// A stack of waiters in shared memory. Its height is the same in all lanes, and kept in a register.
class Stack {
 public:
  __device__ __forceinline__ explicit Stack(Waiting& memory) : memory_(memory) {}

  __device__ __forceinline__ std::uint32_t height() const { return height_; }

  // Puts down those of the lanes that wait for something. A vote says which, and a lane's place is a population count.
  __device__ __forceinline__ void push(const Waiter& waiter) {
    const bool waits = waiter.quads != 0;
    const std::uint32_t votes = __ballot_sync(all_lanes, waits);
    std::uint32_t before;
    asm("mov.u32 %0, %%lanemask_lt;" : "=r"(before));
    if (waits) {
      const std::uint32_t at = height_ + __popc(votes & before);
      memory_.slot[at] = waiter.slot;
      memory_.state[at] = waiter.state();
    }
    height_ += __popc(votes);
  }

  // Takes up to 32 of them, a lane each; quads is 0 in lanes that get none.
  __device__ __forceinline__ Waiter pop() {
    __syncwarp();
    const std::uint32_t count = min(height_, 32u);
    height_ -= count;
    Waiter waiter{0, 0};
    if (lane_number() < count) {
      const std::uint32_t at = height_ + lane_number();
      waiter = Waiter::of(memory_.slot[at], memory_.state[at]);
    }
    __syncwarp();  // all have read before any of them writes there again
    return waiter;
  }

 private:
  Waiting& memory_;
  std::uint32_t height_ = 0;
};

// Draws one more trial of an element of each of up to 32 waiters, and writes what is accepted.
template <class Normals, class Writer>
__device__ __forceinline__ void resample(const Normals& normals, const Stream& stream, const Share& share,
                                         const Writer& writer, Stack& stack) {
  Waiter waiter = stack.pop();
  if (waiter.quads != 0) {
    const std::uint32_t k = 31 - __clz(waiter.quads);
    const Place place = share.place(waiter.slot + 32 * k);
    std::uint32_t n = waiter.element;
    std::uint32_t head = 0;
    std::uint32_t left = 0xfu << n & waiter.exist;  // elements that may have to be drawn
    if constexpr (Normals::has_heads) {
      const bool again = waiter.trial > 0;
      const Words words = stream.block(again ? 4 * place.index + n : place.index, waiter.trial);
      head = words.x;
      if (!again) {
        left &= normals.rejected_bits(words);
        n = left != 0 ? __ffs(left) - 1 : 0;
        head = word_of(words, n);
      }
    } else if (left != 0) {
      n = __ffs(left) - 1;
    }
    bool done = left == 0;
    if (!done) {
      const auto drawn = normals.resample(stream, place.index, n, waiter.trial, head);
      if (drawn.accepted) writer.write_one(place, n, drawn.draw);
      done = drawn.accepted;
      left &= 0xeu << n;
      waiter.element = n;
      ++waiter.trial;
    }
    if (done) {
      waiter.trial = 0;
      waiter.element = n + 1;
      if (left == 0) {
        waiter.element = 0;
        waiter.quads ^= 1u << k;
      }
    }
  }
  stack.push(waiter);
}

}  // namespace fanin::gpu
