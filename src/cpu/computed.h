// SPDX-License-Identifier: Apache-2.0
// Computed values, evaluated for blocks of elements.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "cpu/run.h"
#include "fanin/fill_params.h"
#include "formulas/computed_value.h"
#include "formulas/exact_functions.h"

namespace fanin::cpu {

using detail::ComputedValue;
using detail::exact::Arithmetic;

// The computed values of a tensor, with its extents and constants put in. Immutable.
class Computed {
 public:
  // Throws InvalidArgument for a function that this build lacks. Call it in the default floating-point environment.
  explicit Computed(const FillParams& params);

  // Those below require the default floating-point environment. `arithmetic` may be null unless uses_exact_functions().
  // `draw` is the vector loop for draws, or null.
  bool uses_exact_functions() const { return program_.has_exact_functions(); }

  // Whether interval arithmetic shows that all values are finite in the dtype.
  bool is_finite(Arithmetic* arithmetic) const;

  // Writes the elements with indices [index, index + count), rounded once, to dense memory.
  void write(void* out, std::uint64_t index, std::uint64_t count, Run draw, Arithmetic* arithmetic) const noexcept;

  // The first of these indices whose value is not finite in the dtype, or `none`.
  static constexpr std::uint64_t none = ~std::uint64_t{0};
  std::uint64_t first_not_finite(std::uint64_t index, std::uint64_t count, Run draw,
                                 Arithmetic* arithmetic) const noexcept;

  // Throws InvalidArgument, which names the value at the index and the variables there.
  [[noreturn]] void refuse(std::uint64_t index) const;

 private:
  static constexpr std::size_t block = 128;  // elements at a time; with all slots in 48 KiB

  // Writes the values of a variable for the elements with indices [index, index + n).
  void evaluate(const ComputedValue::Meaning& input, std::uint64_t index, std::size_t n, Run draw, double* to) const;
  void evaluate_draw(const ComputedValue::Meaning& input, std::uint64_t index, std::size_t n, Run draw,
                     double* to) const;

  // Calls use(values, first, n) for blocks of elements. It returns whether to go on.
  template <class Use>
  void for_blocks(std::uint64_t index, std::uint64_t count, Run draw, Arithmetic* arithmetic, const Use& use) const;

  FillParams params_;
  FillParams draws_;                            // of the numbers that u or z are made of, in binary32
  std::vector<ComputedValue::Meaning> inputs_;  // the variables that differ between elements
  detail::Program program_;                     // with these inputs
};

}  // namespace fanin::cpu
