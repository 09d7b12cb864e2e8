// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <utility>

#include "fanin/distribution.h"
#include "fanin/fill_params.h"
#include "fanin/initializer.h"
#include "formulas/scheme.h"

namespace fanin::detail {

// Gives the library's own sources access to the private parts of Initializer.
struct Access {
  static Initializer make(std::shared_ptr<const Scheme> scheme, Seed seed) {
    return {std::move(scheme), std::move(seed)};
  }
  static const Scheme& scheme(const Initializer& initializer) { return *initializer.scheme_; }

  // The distribution and the parameters of a fill, for call 0 of a sequence. Does not count a call. Throws
  // InvalidArgument.
  struct Prepared {
    Distribution distribution;
    FillParams params;
  };
  static Prepared prepare(const Initializer& initializer, const Shape& shape, DType dtype,
                          const TensorOptions& options);

  // claim() counts a call of a sequence if `call` is still the next one, and returns whether it did; for other seeds it
  // returns true. next_call() counts the next call and returns its number; for other seeds it returns 0.
  static bool claim(const Initializer& initializer, std::uint64_t call);
  static std::uint64_t next_call(const Initializer& initializer);
};

}  // namespace fanin::detail
