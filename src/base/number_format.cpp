// SPDX-License-Identifier: Apache-2.0
#include "base/number_format.h"

#include <cmath>
#include <limits>

namespace fanin::detail {

NumberFormat::NumberFormat(DType dtype) {
  const DTypeFacts& facts = facts_of(dtype);
  bits_ = static_cast<unsigned>(facts.bits);
  bytes_ = facts.is_packed() ? 1 : facts.bits / 8;
  mantissa_ = facts.significant_bits - 1;
  bias_ = facts.exponent_bias;
  sign_ = std::uint64_t{1} << (bits_ - 1);
  has_sign_ = dtype != DType::float8_e8m0fnu;
  has_negative_zero_ = dtype != DType::float8_e4m3fnuz && dtype != DType::float8_e5m2fnuz;
  largest_ = split_of(facts.largest).pattern;
}

double NumberFormat::magnitude_of(std::uint64_t pattern) const {
  const std::uint64_t exponent = pattern >> mantissa_;
  std::uint64_t significand = pattern & ((std::uint64_t{1} << mantissa_) - 1);
  if (exponent != 0) significand |= std::uint64_t{1} << mantissa_;
  return std::ldexp(static_cast<double>(significand),
                    static_cast<int>(exponent == 0 ? 1 : exponent) - bias_ - mantissa_);
}

double NumberFormat::decode(std::uint64_t pattern) const {
  constexpr double nan = std::numeric_limits<double>::quiet_NaN();
  if (!has_sign_) return pattern == 0xff ? nan : std::ldexp(1, static_cast<int>(pattern) - bias_);  // there is no zero
  if (!has_negative_zero_ && pattern == sign_) return nan;
  const double magnitude = magnitude_of(pattern & (sign_ - 1));
  return (pattern & sign_) != 0 ? -magnitude : magnitude;
}

double NumberFormat::outermost(double bound, int side, bool strict) const {
  // A lower bound is treated as the mirror image of an upper one. Values ascend with `at`, whose magnitude is a
  // pattern.
  const double b = side > 0 ? bound : -bound;
  const auto top = static_cast<std::int64_t>(largest_);
  const auto value = [&](std::int64_t at) {
    return at >= 0 ? magnitude_of(static_cast<std::uint64_t>(at)) : -magnitude_of(static_cast<std::uint64_t>(-at));
  };
  const double largest = value(top);
  if (-b > largest) return std::numeric_limits<double>::quiet_NaN();
  // Toward zero; then inward if that has passed the bound.
  std::int64_t at = b >= largest ? top : static_cast<std::int64_t>(split_of(std::abs(b)).pattern);
  if (b < 0) at = -at;
  if (value(at) > b || (strict && value(at) == b)) --at;
  if (at < -top) return std::numeric_limits<double>::quiet_NaN();
  return side > 0 ? value(at) : -value(at);
}

std::uint64_t NumberFormat::element(const unsigned char* memory, std::size_t number) const {
  std::uint64_t pattern = 0;
  if (bits_ >= 8) {
    std::memcpy(&pattern, memory + number * bytes_, bytes_);
    return pattern;
  }
  const std::size_t first = number * bits_;
  unsigned two = memory[first / 8];
  if (first % 8 + bits_ > 8) two |= static_cast<unsigned>(memory[first / 8 + 1]) << 8;
  return two >> first % 8 & ((1u << bits_) - 1);
}

}  // namespace fanin::detail
