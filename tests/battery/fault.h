// SPDX-License-Identifier: Apache-2.0
// Deliberate faults of a sampler, which the battery must find.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>

#include "fanin/core/normal.h"
#include "fanin/fill_params.h"

// A fault makes float32 elements of an untruncated standard normal wrong, as if its table had a wrong entry.
enum class Fault : std::uint8_t {
  none,
  entry,  // one of the 252 rectangles is too wide by a thousandth
  box     // one of the 253 edge boxes begins 2^-8 too far from 0
};

inline Fault fault_named(const std::string& name) {
  if (name == "none") return Fault::none;
  if (name == "entry") return Fault::entry;
  if (name == "box") return Fault::box;
  throw std::invalid_argument("No such fault: " + name);
}

inline void make_wrong(float* values, const fanin::FillParams& params, std::uint64_t first, std::uint64_t count,
                       Fault fault) {
  using fanin::core::Philox;
  constexpr std::uint32_t wrong_rectangle = 100;
  constexpr std::uint32_t wrong_box = 60;
  const fanin::core::Generator generator{params.seed, params.subsequence};
  for (std::uint64_t j = 0; j < count; ++j) {
    const std::uint64_t i = first + j;
    const fanin::core::Words quad = fanin::core::heads<Philox>(generator, i / 4);
    const std::uint32_t words[4] = {quad.x, quad.y, quad.z, quad.w};
    const std::uint32_t head = words[i % 4];
    if (fault == Fault::entry && fanin::core::cell_of(head) == wrong_rectangle) values[j] *= 1.001F;
    if (fault == Fault::box && fanin::core::is_edge(head)) {
      const std::uint32_t chosen = fanin::core::retry<Philox>(generator, i, 1).y;
      if (fanin::core::box_of(chosen, fanin::core::normal_table) == wrong_box)
        values[j] += values[j] < 0 ? -0x1p-8F : 0x1p-8F;
    }
  }
}
