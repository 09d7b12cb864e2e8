// SPDX-License-Identifier: Apache-2.0
// The interface to the products of matrices of the instruction sets.
#pragma once

#include <cstddef>

#include "fanin/cpu.h"

namespace fanin::cpu {

// Products of row-major matrices with the sums of docs/VALUES.md, section 8. They require the default floating-point
// environment. A sliver is a dense matrix of `width` columns.
template <class Real>
struct OrthogonalKernels {
  std::size_t width;

  // Adds the products of `count` columns of a matrix `left` and a sliver, over `rows` rows, to sums: a row of it for
  // each of the columns. The pitches are the distances between rows.
  void (*dots)(const Real* left, std::size_t left_pitch, std::size_t count, const Real* sliver,
               std::size_t sliver_pitch, std::size_t rows, Real* sums, std::size_t sums_pitch);

  // Replaces a sliver w of `count` rows by -(I + U)^-1 w. U is the part of `triangle` above its diagonal.
  void (*solve)(const Real* triangle, std::size_t triangle_pitch, std::size_t count, Real* w);

  // Adds the product of a matrix of `rows` rows and `count` columns, taken from the last to the first, and the sliver
  // `from` to the sliver `to`.
  void (*update)(const Real* factors, std::size_t factors_pitch, std::size_t rows, std::size_t count, const Real* from,
                 Real* to);
};

// The kernels of an instruction set.
template <class Real>
struct OrthogonalTable {
  OrthogonalKernels<Real> slivers;  // for the widest slivers
  OrthogonalKernels<Real> panels;   // its `dots` take panels, whose columns are multiples of its width
  OrthogonalKernels<Real> narrow;   // slivers of one column, for matrices of few columns
};

// `target` is a result of cpu_target().
template <class Real>
const OrthogonalTable<Real>& orthogonal_table(CpuTarget target) noexcept;

}  // namespace fanin::cpu
