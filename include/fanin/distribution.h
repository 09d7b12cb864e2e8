// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <string_view>

#include "fanin/export.h"

namespace fanin {

namespace detail {
class ComputedValue;
class MatrixStore;
}  // namespace detail

/// What an initializer draws for a given shape, in binary64 and before any rounding to a dtype.
struct Distribution {
  enum class Kind : std::uint8_t { constant, identity, uniform, normal, truncated_normal, computed, orthogonal };

  Kind kind = Kind::constant;
  double value = 0;  ///< constant: every element; identity: the diagonal; other elements are 0; orthogonal: the gain
  double low = 0;    ///< uniform on [low, high)
  double high = 0;
  double mean = 0;    ///< normal and truncated normal, before truncation
  double stddev = 0;  ///< before truncation
  /// Truncation to [lower, upper], in standard deviations from the mean; an infinite bound is no bound.
  double lower = -std::numeric_limits<double>::infinity();
  double upper = std::numeric_limits<double>::infinity();
  /// The window's ends as values, where the caller gave values (PyTorch's a and b), also if it is so far from the mean
  /// or so narrow that the distribution is uniform or constant. No element is below `least` or above `most`, also after
  /// rounding. Infinite: the ends follow from the other members.
  double least = -std::numeric_limits<double>::infinity();
  double most = std::numeric_limits<double>::infinity();
  std::shared_ptr<const detail::ComputedValue> computed;  ///< computed: the expression of the elements' coordinates
  bool uses_draw = false;                                 ///< computed: the expression uses a draw
  std::uint64_t rows = 0;                                 ///< identity, orthogonal: of the tensor's matrix
  std::uint64_t columns = 0;
  std::shared_ptr<detail::MatrixStore> matrices;  ///< orthogonal: the initializer's

  bool is_random() const {
    return kind == Kind::computed ? uses_draw : kind != Kind::constant && kind != Kind::identity;
  }
};

/// "constant", "identity", "uniform", "normal", "truncated_normal", "computed" or "orthogonal".
FANIN_API std::string_view name_of(Distribution::Kind kind);

/// Mean and standard deviation of the tensor's values: after truncation, before rounding to a dtype. Both are NaN, for
/// unknown, for computed values.
struct Moments {
  double mean;
  double stddev;
};
FANIN_API Moments moments_of(const Distribution& distribution);

}  // namespace fanin
