// SPDX-License-Identifier: Apache-2.0
// The contract's tables, and orders of elements, in the forms that vector instructions use.
#pragma once

#include <cstdint>
#include <limits>

#include "fanin/core/edge_boxes.h"
#include "fanin/core/ziggurat.h"

namespace fanin::cpu {

// All cells before this one have the same highest byte of x.
constexpr std::uint32_t first_odd_top_byte = 192;

struct VectorTable {
  const core::Ziggurat& core;
  const core::EdgeBoxes& edges;
  // X[cell] * 2^-31, a factor for k * 2^7. Edge cells have -infinity: their points lie outside of every window, and the
  // sign marks them.
  alignas(64) float x[256];
  alignas(64) std::uint8_t x_byte[4][256];    // the bytes of x, lowest first
  alignas(64) std::uint8_t x64_byte[8][256];  // the bytes of x64
  alignas(64) double x64[256];                // X[cell] * 2^-53; 0 for edge cells
};

constexpr VectorTable make_vector_table(const core::Ziggurat& table, const core::EdgeBoxes& edges) {
  VectorTable made{table, edges, {}, {}, {}, {}};
  for (std::uint32_t cell = 0; cell < 256; ++cell) {
    const bool edge = cell >= core::rectangles;
    made.x[cell] = edge ? -std::numeric_limits<float>::infinity() : table.x_scaled[cell] * 0x1p-7F;
    made.x64[cell] = edge ? 0.0 : table.x_scaled64[cell];
    const auto bits = __builtin_bit_cast(std::uint32_t, made.x[cell]);
    for (int i = 0; i < 4; ++i) made.x_byte[i][cell] = static_cast<std::uint8_t>(bits >> (8 * i));
    const auto bits64 = __builtin_bit_cast(std::uint64_t, made.x64[cell]);
    for (int i = 0; i < 8; ++i) made.x64_byte[i][cell] = static_cast<std::uint8_t>(bits64 >> (8 * i));
  }
  for (std::uint32_t cell = 0; cell < first_odd_top_byte; ++cell) {
    if (made.x_byte[3][cell] != made.x_byte[3][0]) throw "the high bytes differ too early";  // fails to compile
  }
  return made;
}

inline constexpr VectorTable normal_vectors = make_vector_table(core::normal_table, core::normal_edges);
inline constexpr VectorTable cut_vectors = make_vector_table(core::cut_table, core::cut_edges);

struct VectorOrders {
  alignas(64) std::uint8_t first_odd[64];  // first_odd_top_byte everywhere
  // Collects the cells of two of four vectors of 16 words, as bytes. Later steps work within blocks of 16 bytes, so
  // each block gets four cells of each vector.
  alignas(64) std::uint8_t cells[64];
  // `pairs` pairs the words of the lower halves of two vectors of 16 (0, 16, 1, 17 ...), and `upper_pairs` pairs the
  // words of their upper halves.
  alignas(64) std::uint32_t pairs[16];
  alignas(64) std::uint32_t upper_pairs[16];
  // These orders put the upper or the lower halves of the elements of two vectors of 16 in order, for words that
  // for_words left out of order.
  alignas(64) std::uint16_t upper_halves[32];
  alignas(64) std::uint16_t lower_halves[32];
  // The number of the element, among 64, for each bit of two masks of 32 that are made by packing four vectors of 8.
  // For the mask 0 it is any number.
  std::uint8_t packed[65];
  // Permutations of 8 and of 4 elements that bring the elements whose bits are set to the front. The permutations of 4
  // elements are given byte by byte.
  alignas(8) std::uint8_t front8[256][8];
  alignas(16) std::uint8_t front4[16][16];
};

constexpr VectorOrders make_vector_orders() {
  VectorOrders orders{};
  for (std::uint32_t i = 0; i < 16; ++i) {
    orders.pairs[i] = i / 2 + i % 2 * 16;
    orders.upper_pairs[i] = orders.pairs[i] + 8;
  }
  for (std::uint32_t i = 0; i < 32; ++i) {
    const std::uint32_t lane = i / 4 % 4 * 2 + i / 16;  // of block i / 4, in the order of for_words
    orders.lower_halves[i] = static_cast<std::uint16_t>(i / 2 % 2 * 32 + lane * 4 + i % 2 * 2);
    orders.upper_halves[i] = static_cast<std::uint16_t>(orders.lower_halves[i] + 1);
  }
  for (int i = 0; i < 64; ++i) {
    orders.first_odd[i] = first_odd_top_byte;
    orders.cells[i] = static_cast<std::uint8_t>(i / 4 % 2 * 64 + i / 16 * 16 + i % 4 * 4);
  }
  for (int bit = 0; bit < 64; ++bit) {
    orders.packed[bit] = static_cast<std::uint8_t>(bit / 32 * 32 + bit / 4 % 4 * 8 + bit / 16 % 2 * 4 + bit % 4);
  }
  for (int mask = 0; mask < 256; ++mask) {
    int n = 0;
    for (int bit = 0; bit < 8; ++bit) {
      if ((mask >> bit & 1) != 0) orders.front8[mask][n++] = static_cast<std::uint8_t>(bit);
    }
  }
  for (int mask = 0; mask < 16; ++mask) {
    for (int byte = 0; byte < 16; ++byte) {
      orders.front4[mask][byte] = static_cast<std::uint8_t>(4 * orders.front8[mask][byte / 4] + byte % 4);
    }
  }
  return orders;
}

inline constexpr VectorOrders vector_orders = make_vector_orders();

}  // namespace fanin::cpu
