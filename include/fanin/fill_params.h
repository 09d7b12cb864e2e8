// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <type_traits>

#include "fanin/dtype.h"
#include "fanin/export.h"

namespace fanin {

/// Which indices of a tensor a fill writes, in order. Memory is dense; the indices are `rank` nested loops over
/// `extent`, the last one fastest, that step by `stride` from `start`; of these, `count` from number `first` on. The
/// last stride is 1.
struct IndexMap {
  /// Enough for every block of every tensor: a loop that cannot be joined to the one inside it multiplies the tensor's
  /// elements by 3 or more (but for one by 2), and 2 * 3^35 > 2^56.
  static constexpr std::uint32_t max_rank = 36;

  std::uint64_t start;
  std::uint64_t first;
  std::uint64_t count;
  std::uint32_t rank;  ///< >= 1
  std::uint64_t extent[max_rank];
  std::uint64_t stride[max_rank];
};

/// All that a back end sees of a fill besides an address: plain data, checked, ready for the value contract.
/// Numbers are in binary64; unless the dtype is float64 they are binary32 numbers, `lower` and `upper` apart.
struct FillParams {
  enum class Kind : std::uint8_t {
    constant,  ///< `pattern` everywhere
    identity,  ///< `pattern` where row == column, else zero; `columns` is the length of a row
    uniform,   ///< a fraction of one word, centred unless `shifted`
    normal     ///< a standard normal within [lower, upper]
  };

  Kind kind;
  DType dtype;
  bool shifted;  ///< value = fma(fraction or normal, scale, shift) instead of a product with scale
  bool clamped;  ///< clamping to [min, max] can change a value; true is always right, false is faster
  std::uint64_t seed;
  std::uint64_t subsequence;
  std::uint64_t pattern;  ///< the element's bits, in the low bytes
  std::uint64_t columns;
  double scale, shift;
  double lower, upper;  ///< window of the standard normal, both included
  double min, max;      ///< values are clamped to these
  IndexMap index;

  bool is_random() const { return kind == Kind::uniform || kind == Kind::normal; }
};

static_assert(std::is_trivially_copyable_v<FillParams>);

/// The part of a fill that writes its elements first ... first + count - 1, in the order of memory.
/// Throws InvalidArgument if there are not as many.
FANIN_API FillParams part_of(const FillParams& params, std::uint64_t first, std::uint64_t count);

}  // namespace fanin
