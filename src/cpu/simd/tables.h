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
  alignas(64) std::uint8_t x_byte[4][256];  // the bytes of x, lowest first
  alignas(64) std::uint8_t first_odd[64];   // first_odd_top_byte everywhere
  // Bytes of two vectors of 16 words: where the cells of four vectors go, of every other vector. What follows works
  // within blocks of 16 bytes, so that each block has four of each vector.
  alignas(64) std::uint8_t cell_order[64];
  alignas(64) std::uint8_t x64_byte[8][256];  // the bytes of x64
  // Pairs of two vectors of 16 words: of their lower halves (0, 16, 1, 17 ...), and of their upper ones.
  alignas(64) std::uint32_t pair_order[16];
  alignas(64) std::uint32_t upper_pair_order[16];
  // The upper and the lower halves of the elements of two vectors of 16, in order, if for_words did not put them so.
  alignas(64) std::uint16_t upper_halves[32];
  alignas(64) std::uint16_t lower_halves[32];
  double x64[256];  // X[cell] * 2^-53; 0 for edge cells
  // How many thresholds are <= the smallest word with these high bits. At most one more is in reach of the other bits:
  // the next box is that of words > last_word[box].
  std::uint16_t first_box[1 << first_box_bits];
  std::uint32_t last_word[core::boxes];
  struct alignas(16) Box {
    float x_low, dx, y_low, dy;
  };
  Box box[core::boxes];
  // Which of 8 (or 4) elements come first to bring those to the front whose bits are set; of 4, byte by byte.
  alignas(8) std::uint8_t front8[256][8];
  alignas(16) std::uint8_t front4[16][16];
};

// Up to this cell, all x have the same highest byte.
constexpr std::uint32_t first_odd_top_byte = 192;

constexpr VectorTables make_vector_tables() {
  VectorTables tables{};
  for (std::uint32_t cell = 0; cell < 256; ++cell) {
    const bool edge = cell >= core::rectangles;
    tables.x[cell] = edge ? std::numeric_limits<float>::infinity() : core::normal_table.x_scaled[cell] * 0x1p-7F;
    tables.x64[cell] = edge ? 0.0 : core::normal_table.x_scaled64[cell];
    const auto bits = __builtin_bit_cast(std::uint32_t, tables.x[cell]);
    for (int i = 0; i < 4; ++i) tables.x_byte[i][cell] = static_cast<std::uint8_t>(bits >> (8 * i));
    const auto bits64 = __builtin_bit_cast(std::uint64_t, tables.x64[cell]);
    for (int i = 0; i < 8; ++i) tables.x64_byte[i][cell] = static_cast<std::uint8_t>(bits64 >> (8 * i));
  }
  std::uint32_t box = 0;
  for (std::uint32_t i = 0; i < 1u << VectorTables::first_box_bits; ++i) {
    const std::uint32_t word = i << (32 - VectorTables::first_box_bits);
    const std::uint32_t before = box;
    while (box < core::boxes - 1 && core::normal_table.threshold[box] <= word) ++box;
    tables.first_box[i] = static_cast<std::uint16_t>(box);
    if (i > 0 && box > before + 1) throw "two thresholds share their high bits";  // fails to compile
  }
  for (std::uint32_t i = 0; i < core::boxes; ++i) {
    tables.last_word[i] = i < core::boxes - 1 ? core::normal_table.threshold[i] - 1 : 0xffffffffu;
    tables.box[i] = {core::normal_table.x_low[i], core::normal_table.dx[i], core::normal_table.y_low[i], core::normal_table.dy[i]};
    if (i > 0 && !(tables.box[i].dx > 0)) throw "a box has no width";  // fails to compile
  }
  // The tail has no box: a width that no box has, and a height that is its second fraction.
  tables.box[0] = {core::normal_table.x0, -1.0F, 0.0F, 1.0F};
  for (std::uint32_t cell = 0; cell < first_odd_top_byte; ++cell) {
    if (tables.x_byte[3][cell] != tables.x_byte[3][0]) throw "the high bytes differ too early";  // fails to compile
  }
  for (std::uint32_t i = 0; i < 16; ++i) {
    tables.pair_order[i] = i / 2 + i % 2 * 16;
    tables.upper_pair_order[i] = tables.pair_order[i] + 8;
  }
  for (std::uint32_t i = 0; i < 32; ++i) {
    const std::uint32_t lane = i / 4 % 4 * 2 + i / 16;  // of for_words, of block i / 4
    tables.lower_halves[i] = static_cast<std::uint16_t>(i / 2 % 2 * 32 + lane * 4 + i % 2 * 2);
    tables.upper_halves[i] = static_cast<std::uint16_t>(tables.lower_halves[i] + 1);
  }
  for (int i = 0; i < 64; ++i) {
    tables.first_odd[i] = first_odd_top_byte;
    tables.cell_order[i] = static_cast<std::uint8_t>(i / 4 % 2 * 64 + i / 16 * 16 + i % 4 * 4);
  }
  for (int mask = 0; mask < 256; ++mask) {
    int n = 0;
    for (int bit = 0; bit < 8; ++bit) {
      if ((mask >> bit & 1) != 0) tables.front8[mask][n++] = static_cast<std::uint8_t>(bit);
    }
  }
  for (int mask = 0; mask < 16; ++mask) {
    for (int byte = 0; byte < 16; ++byte) {
      tables.front4[mask][byte] = static_cast<std::uint8_t>(4 * tables.front8[mask][byte / 4] + byte % 4);
    }
  }
  return tables;
}

inline constexpr VectorTables vector_tables = make_vector_tables();

}  // namespace fanin::cpu
