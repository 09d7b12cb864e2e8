// SPDX-License-Identifier: Apache-2.0
// The ziggurat's table in the forms that vector instructions look up.
#pragma once

#include <cstdint>
#include <limits>

#include "core/normal.h"

namespace fanin::cpu {

struct VectorTables {
  static constexpr int first_box_bits = 10;

  // X[cell] * 2^-31, to be multiplied with k * 2^7. Infinite for edge cells, so that their points lie outside of every
  // window.
  float x[256];
  std::uint8_t x_byte[4][256];  // the bytes of x, lowest first
  double x64[256];              // X[cell] * 2^-53; 0 for edge cells
  // How many thresholds are <= the smallest word with these high bits. At most one more is in reach of the other bits.
  std::uint32_t first_box[1 << first_box_bits];
};

constexpr VectorTables make_vector_tables() {
  VectorTables tables{};
  for (std::uint32_t cell = 0; cell < 256; ++cell) {
    const bool edge = cell >= core::rectangles;
    tables.x[cell] = edge ? std::numeric_limits<float>::infinity() : core::ziggurat.x_scaled[cell] * 0x1p-7F;
    tables.x64[cell] = edge ? 0.0 : core::ziggurat.x_scaled64[cell];
    const auto bits = __builtin_bit_cast(std::uint32_t, tables.x[cell]);
    for (int i = 0; i < 4; ++i) tables.x_byte[i][cell] = static_cast<std::uint8_t>(bits >> (8 * i));
  }
  std::uint32_t box = 0;
  for (std::uint32_t i = 0; i < 1u << VectorTables::first_box_bits; ++i) {
    const std::uint32_t word = i << (32 - VectorTables::first_box_bits);
    const std::uint32_t before = box;
    while (box < core::boxes - 1 && core::ziggurat.threshold[box] <= word) ++box;
    tables.first_box[i] = box;
    if (i > 0 && box > before + 1) throw "two thresholds share their high bits";  // fails to compile
  }
  return tables;
}

inline constexpr VectorTables vector_tables = make_vector_tables();

}  // namespace fanin::cpu
