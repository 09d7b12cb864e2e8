// SPDX-License-Identifier: Apache-2.0
#include "cpu/low_precision.h"

#include <algorithm>
#include <limits>
#include <tuple>
#include <type_traits>

#include "fanin/core/arithmetic.h"
#include "fanin/core/counter.h"
#include "fanin/core/philox.h"

namespace fanin::cpu {

namespace {

// Appends elements of any number of bits to memory, lowest bit of each byte first.
class Packer {
 public:
  Packer(const detail::NumberFormat& format, std::byte* out) : bits_(format.bits()), out_(out) {}
  void put(std::uint64_t pattern) {
    waiting_ |= static_cast<unsigned>(pattern) << held_;
    for (held_ += bits_; held_ >= 8; held_ -= 8, waiting_ >>= 8) *out_++ = static_cast<std::byte>(waiting_ & 0xff);
  }

 private:
  unsigned bits_;
  std::byte* out_;
  unsigned waiting_ = 0, held_ = 0;  // bits that do not fill a byte yet
};

// Appends elements of whole bytes.
class Appender {
 public:
  Appender(const detail::NumberFormat& format, std::byte* out) : format_(format), out_(out) {}
  void put(std::uint64_t pattern) {
    format_.store(pattern, out_);
    out_ += format_.bytes();
  }

 private:
  const detail::NumberFormat& format_;
  std::byte* out_;
};

// The words of stochastic rounding for consecutive elements.
class RoundingWords {
 public:
  RoundingWords(const FillParams& params, std::uint64_t index)
      : generator_{params.seed, params.subsequence}, index_(index) {
    read();
  }
  std::uint32_t next() {
    const std::uint32_t word = words_[index_ % 4];
    if (++index_ % 4 == 0) read();
    return word;
  }

 private:
  void read() {
    const core::Words words = core::roundings<core::Philox>(generator_, index_ / 4);
    words_[0] = words.x;
    words_[1] = words.y;
    words_[2] = words.z;
    words_[3] = words.w;
  }

  core::Generator generator_;
  std::uint64_t index_;
  std::uint32_t words_[4];
};

// Calls group(scale's number, first value, end of the values) for the values that share a scale.
template <class Group>
void for_groups(const OutputScale& scale, std::uint64_t number, std::uint64_t count, const Group& group) {
  if (scale.blocks == nullptr) return group(0, 0, count);
  for (std::uint64_t first = 0; first < count;) {
    const std::uint64_t at = number + first;
    const std::uint64_t end = std::min(count, first + scale.group - at % scale.group);
    group(at / scale.group, first, end);
    first = end;
  }
}

}  // namespace

FillParams values_of(const FillParams& params) {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  FillParams values = params;
  values.dtype = params.kind == FillParams::Kind::computed ? DType::float64 : detail::compute_type_of(params.dtype);
  values.clamped = false;
  values.min = -infinity;
  values.max = infinity;
  values.rounding = Rounding::nearest;
  values.output_scale = {};
  return values;
}

template <class Real>
void LowPrecision::write(Real* values, std::uint64_t number, std::uint64_t index, std::uint64_t count,
                         std::byte* out) const {
  if constexpr (std::is_same_v<Real, float>) {
    if (params_.rounding == Rounding::nearest && !is_low_precision(params_.dtype)) {
      FillParams limited = params_;
      limited.clamped = true;
      limited.index.count = 0;  // a small run, which does not bypass the cache
      for_groups(params_.output_scale, number, count, [&](std::uint64_t group, std::uint64_t first, std::uint64_t end) {
        const double scale = limits_.scale_of(group);
        const auto divisor = static_cast<float>(scale);
        std::tie(limited.min, limited.max) = limits_.at(scale);
        for (std::uint64_t k = first; k < end; ++k) values[k] /= divisor;
        round_(limited, values + first, out + first * format_.bytes(), end - first);
      });
      return;
    }
  }
  const auto encode_to = [&](auto to, const auto& pattern_of) {
    for_groups(params_.output_scale, number, count, [&](std::uint64_t group, std::uint64_t first, std::uint64_t end) {
      const double scale = limits_.scale_of(group);
      const auto divisor = static_cast<Real>(scale);
      const auto [least, most] = limits_.at(scale);
      for (std::uint64_t k = first; k < end; ++k) {
        to.put(pattern_of(core::clamp(static_cast<double>(values[k] / divisor), least, most)));
      }
    });
  };
  const auto encode = [&](const auto& pattern_of) {
    const bool is_packed = format_.bits() < 8 && !params_.unpacked;
    is_packed ? encode_to(Packer(format_, out), pattern_of) : encode_to(Appender(format_, out), pattern_of);
  };
  if (params_.rounding == Rounding::stochastic) {
    RoundingWords words(params_, index);
    encode([&](double v) { return format_.stochastic(v, words.next()); });
  } else {
    encode([&](double v) { return format_.nearest(v); });
  }
}

template void LowPrecision::write(float*, std::uint64_t, std::uint64_t, std::uint64_t, std::byte*) const;
template void LowPrecision::write(double*, std::uint64_t, std::uint64_t, std::uint64_t, std::byte*) const;

}  // namespace fanin::cpu
