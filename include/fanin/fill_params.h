// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <type_traits>

#include "fanin/dtype.h"
#include "fanin/export.h"
#include "fanin/low_precision.h"

namespace fanin {

/// The indices of the tensor that a fill writes to dense memory, in order: `rank` nested loops over `extent`, the last
/// one fastest, step by `stride` from `start`; the fill writes `count` of their indices, from number `first` on. The
/// last stride is 1.
struct IndexMap {
  /// Enough for every block of every tensor: each loop that cannot be joined to the one inside it multiplies the number
  /// of elements by at least 3 (one loop: by at least 2), and 2 * 3^35 > 2^56. Rows apart in memory add a loop.
  static constexpr std::uint32_t max_rank = 37;

  std::uint64_t start;
  std::uint64_t first;
  std::uint64_t count;
  std::uint32_t rank;  ///< >= 1
  std::uint64_t extent[max_rank];
  std::uint64_t stride[max_rank];
};

namespace detail {
class ComputedValue;
class MatrixStore;
}  // namespace detail

/// All that a back end needs for a fill except the address: plain, checked data. Numbers are binary64. Unless the dtype
/// is float64, all except `lower` and `upper` have binary32 values. If the host computes the values, they refer to the
/// initializer: it, or a copy of it, must live as long as they are used.
struct FillParams {
  enum class Kind : std::uint8_t {
    constant,   ///< `pattern` everywhere
    identity,   ///< `pattern` where row == column, else zero; `columns` is the length of a row
    uniform,    ///< a fraction of one word, centred unless `shifted`
    normal,     ///< a standard normal within [lower, upper]
    computed,   ///< the expression `computed` of each element's coordinates; in host memory only
    orthogonal  ///< `scale` times a matrix of `rows` and `columns` that is computed as a whole; in host memory only
  };

  /// An axis of the whole tensor: coordinate = index / stride % extent.
  struct Axis {
    std::uint64_t extent, stride;
  };

  Kind kind;
  DType dtype;
  bool shifted;  ///< value = fma(fraction or normal, scale, shift) instead of a product with scale
  bool open;     ///< a fill of low precision: no value equals the bound `max`
  bool clamped;  ///< clamping to [min, max] can change a value; true is always right, false is faster
  std::uint64_t seed;
  std::uint64_t subsequence;
  std::uint64_t pattern;  ///< the element's bits, in the low bytes
  std::uint64_t rows, columns;
  double scale, shift;
  double lower, upper;  ///< window [lower, upper] of the standard normal
  double min, max;      ///< values are clamped to [min, max]; a fill of low precision divides these bounds by the scale
  IndexMap index;
  const detail::ComputedValue* computed;
  detail::MatrixStore* matrices;  ///< keeps an orthogonal matrix for fills of its other parts
  Axis axes[8];                   ///< that the expression names
  bool uses_draw;                 ///< the expression uses a draw
  bool finite;                    ///< all values of the expression are known to be finite; false is always right
  Rounding rounding;              ///< nearest unless the fill is random
  OutputScale output_scale;       ///< the memory of `blocks` must live as long as these parameters are used
  bool unpacked;                  ///< elements in memory have at least a byte each

  bool is_random() const {
    return kind == Kind::uniform || kind == Kind::normal || kind == Kind::orthogonal ||
           (kind == Kind::computed && uses_draw);
  }

  /// The values are those of docs/VALUES.md, section 9: drawn in the compute type, which `pattern` and the bounds are
  /// in, then divided by a scale, clamped and rounded.
  bool is_low_precision() const {
    return fanin::is_low_precision(dtype) || rounding == Rounding::stochastic || output_scale.number != 1 ||
           output_scale.blocks != nullptr;
  }

  /// The host computes the values for every destination. The device knows an identity by whole rows only.
  bool is_from_host() const {
    const bool has_parts_of_rows = kind == Kind::identity && index.rank > 1 && index.extent[index.rank - 1] != columns;
    return kind == Kind::computed || kind == Kind::orthogonal || is_low_precision() || has_parts_of_rows;
  }
};

static_assert(std::is_trivially_copyable_v<FillParams>);

/// The part of a fill that writes its elements [first, first + count), in the order of memory. Throws InvalidArgument
/// if the fill has fewer elements.
FANIN_API FillParams part_of(const FillParams& params, std::uint64_t first, std::uint64_t count);

}  // namespace fanin
