// SPDX-License-Identifier: Apache-2.0
// Resamples rejected elements. In each warp they wait on a stack until there are 32 of them. The full warp then draws
// 32 elements again from their numbers alone.
#pragma once

#include <cstdint>

#include "cuda/encoded_job.h"
#include "cuda/kernel/normal.cuh"
#include "cuda/kernel/position.cuh"
#include "cuda/kernel/store.cuh"

namespace fanin::gpu {

constexpr std::uint32_t all_lanes = 0xffffffffu;

// Quads of a lane that wait. Bit k of `quads` stands for the quad in slot `slot` - 32 k, and the quad with the highest
// bit is next. An element of that quad whose bit in `skip` is set is done or does not exist. If `trial` is not 0, it is
// the next trial of the first element that is left.
struct Waiter {
  static constexpr std::uint32_t most_quads = 16;

  std::uint32_t slot;
  std::uint32_t state;

  __device__ __forceinline__ Waiter(std::uint32_t its_slot, std::uint32_t quads, std::uint32_t skip = 0)
      : slot(its_slot), state(quads | skip << most_quads) {}

  // Both functions return the state after a trial of element n of the next quad. It continues with one more trial of
  // the element, or with the elements after it.
  static __device__ __forceinline__ std::uint32_t next_trial(std::uint32_t state, std::uint32_t n) {
    return (state + (1u << (most_quads + 4))) | ((1u << n) - 1) << most_quads;
  }
  static __device__ __forceinline__ std::uint32_t next_element(std::uint32_t state, std::uint32_t n) {
    return (state & ((1u << (most_quads + 4)) - 1)) | ((2u << n) - 1) << most_quads;
  }

  __device__ __forceinline__ std::uint32_t quads() const { return state & ((1u << most_quads) - 1); }
  __device__ __forceinline__ std::uint32_t skip() const { return state >> most_quads & 0xfu; }
  __device__ __forceinline__ std::uint32_t trial() const { return state >> (most_quads + 4); }
};

// A stack of waiters in shared memory. Its height is the same in all lanes and stays in a register.
class Stack {
 public:
  __device__ __forceinline__ explicit Stack(Waiting& memory) : memory_(memory) {}

  __device__ __forceinline__ std::uint32_t height() const { return height_; }

  // Pushes the waiters of all lanes that wait for something. A ballot tells which lanes these are, and a population
  // count of the votes of lower lanes gives a lane's position.
  __device__ __forceinline__ void push(const Waiter& waiter) {
    const bool waits = waiter.state != 0;
    const std::uint32_t votes = __ballot_sync(all_lanes, waits);
    std::uint32_t before;
    asm("mov.u32 %0, %%lanemask_lt;" : "=r"(before));
    if (waits) {
      const std::uint32_t at = height_ + __popc(votes & before);
      memory_.slot[at] = waiter.slot;
      memory_.state[at] = waiter.state;
    }
    height_ += __popc(votes);
  }

  // Pops up to 32 waiters, one per lane. The state is 0 in lanes that get none.
  __device__ __forceinline__ Waiter pop() {
    __syncwarp();
    const std::uint32_t count = min(height_, 32u);
    height_ -= count;
    Waiter waiter(0, 0);
    if (lane_number() < count) {
      const std::uint32_t at = height_ + lane_number();
      waiter.slot = memory_.slot[at];
      waiter.state = memory_.state[at];
    }
    __syncwarp();  // all lanes read before any lane writes there again
    return waiter;
  }

 private:
  Waiting& memory_;
  std::uint32_t height_ = 0;
};

// Moves each bit n of four bits to bit 8 n + 7.
__device__ __forceinline__ std::uint32_t spread(std::uint32_t bits) { return bits * 0x10204080u & 0x80808080u; }

// Draws one more trial of one element of each of up to 32 waiters, and writes the elements that are accepted.
template <class Normals, class Writer>
__device__ __forceinline__ void resample(const Normals& normals, const Generator& generator, const Share& share,
                                         const Writer& writer, Stack& stack) {
  Waiter waiter = stack.pop();
  if (waiter.state != 0) {
    const std::uint32_t quads = waiter.quads();
    const std::uint32_t skip = waiter.skip();
    const std::uint32_t trial = waiter.trial();
    const std::uint32_t k = 31 - __clz(quads);
    const Place place = share.place(waiter.slot - 32 * k);
    std::uint32_t left = ~spread(skip) & 0x80808080u;  // elements that may need a draw, as in Normals::rejected()
    std::uint32_t n = __ffs(left) / 8 - 1;
    const bool again = trial > 0;
    const Words words = generator.block(again ? 4 * place.index + n : place.index, trial);
    std::uint32_t head = words.x;
    if (!again) {
      left &= normals.rejected(words);
      n = __ffs(left) / 8 - 1;
      head = word_of(words, n);
    }
    const std::uint32_t state = waiter.state;
    waiter.state = quads ^ 1u << k;
    if (left != 0) {
      const auto drawn = normals.resample(generator, place.index, n, trial, head);
      writer.write_one(drawn.accepted, writer.address(place.element + n), drawn.draw);
      if (!drawn.accepted) {
        waiter.state = Waiter::next_trial(state, n);
      } else if ((left & left - 1) != 0) {
        waiter.state = Waiter::next_element(state, n);
      }
    }
  }
  stack.push(waiter);
}

}  // namespace fanin::gpu
