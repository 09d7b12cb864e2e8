// SPDX-License-Identifier: Apache-2.0
// Philox4x32-10: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC'11. Returns the same
// words as cuRAND's curand_Philox4x32_10.
#pragma once

#include "fanin/core/host_device.h"
#include "fanin/core/integers.h"

namespace fanin::core {

struct Words {
  uint32_t x, y, z, w;
};

struct Key {
  uint32_t low, high;
};

// Multipliers of a round, and its increments of the key: the golden ratio and sqrt(3) - 1.
inline constexpr uint32_t philox_m0 = 0xD2511F53u;
inline constexpr uint32_t philox_m1 = 0xCD9E8D57u;
inline constexpr uint32_t philox_w0 = 0x9E3779B9u;
inline constexpr uint32_t philox_w1 = 0xBB67AE85u;

// A source of random bits is a type with this static function; the CUDA back end has one that calls cuRAND.
struct Philox {
  static FANIN_HOST_DEVICE Words block(Words counter, Key key) {
    for (int round = 0; round < 10; ++round) {
      const uint64_t p0 = uint64_t{philox_m0} * counter.x;
      const uint64_t p1 = uint64_t{philox_m1} * counter.z;
      counter = {static_cast<uint32_t>(p1 >> 32) ^ counter.y ^ key.low, static_cast<uint32_t>(p1),
                 static_cast<uint32_t>(p0 >> 32) ^ counter.w ^ key.high, static_cast<uint32_t>(p0)};
      key.low += philox_w0;
      key.high += philox_w1;
    }
    return counter;
  }
};

}  // namespace fanin::core
