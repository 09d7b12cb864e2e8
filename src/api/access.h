// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <utility>

#include "fanin/distribution.h"
#include "fanin/fill_params.h"
#include "fanin/initializer.h"
#include "formulas/formula.h"

namespace fanin::detail {

// For the library's own sources: makes and looks into initializers.
struct Access {
  static Initializer make(std::shared_ptr<const Formula> formula, Seed seed) {
    return {std::move(formula), std::move(seed)};
  }
  static const Formula& formula(const Initializer& initializer) { return *initializer.formula_; }

  // What a fill is given, for call number 0 if the seed is a sequence. Counts no call. Throws InvalidArgument.
  struct Prepared {
    Distribution distribution;
    FillParams params;
  };
  static Prepared prepare(const Initializer& initializer, const Shape& shape, DType dtype,
                          const TensorOptions& options);

  // claim() counts a call of a sequence if it is still the next one (Initializer::calls); next_call() counts whichever
  // is next and returns its number, 0 for other seeds.
  static bool claim(const Initializer& initializer, std::uint64_t call);
  static std::uint64_t next_call(const Initializer& initializer);
};

}  // namespace fanin::detail
