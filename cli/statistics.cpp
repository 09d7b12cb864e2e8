// SPDX-License-Identifier: Apache-2.0
#include "cli/statistics.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <numeric>
#include <tuple>
#include <type_traits>
#include <vector>

namespace fanin::cli {

namespace {

constexpr std::size_t lanes = 8;  // sums side by side, so that the compiler can use vector instructions

// The values of all elements of a dtype of at most 16 bits, by their bits.
template <class Bits>
std::vector<double> all_values(DType dtype) {
  std::vector<Bits> bits(std::size_t{1} << (8 * sizeof(Bits)));
  std::iota(bits.begin(), bits.end(), Bits{0});
  std::vector<double> values(bits.size());
  to_binary64(values.data(), bits.data(), dtype, bits.size());
  return values;
}

// Whether values_of lists the dtype's elements: those of 8 and 16 bits.
bool is_listed(DType dtype) {
  const std::size_t bits = facts_of(dtype).bits;
  return bits == 8 || bits == 16;
}

const double* values_of(DType dtype) {
  static const auto tables = [] {
    std::array<std::vector<double>, std::tuple_size_v<std::decay_t<decltype(dtypes())>>> all;
    for (const DTypeFacts& facts : dtypes()) {
      if (!is_listed(facts.dtype)) continue;
      all[static_cast<std::size_t>(facts.dtype)] =
          facts.bits == 16 ? all_values<std::uint16_t>(facts.dtype) : all_values<std::uint8_t>(facts.dtype);
    }
    return all;
  }();
  return tables[static_cast<std::size_t>(dtype)].data();
}

}  // namespace

double Statistics::mean() const { return std::ldexp(mean_, exponent_); }

double Statistics::stddev() const {
  return count_ == 0 ? 0 : std::ldexp(std::sqrt(m2_ / static_cast<double>(count_)), exponent_);
}

void Statistics::scale_to(int exponent) {
  if (exponent == exponent_) return;
  mean_ = std::ldexp(mean_, exponent_ - exponent);
  m2_ = std::ldexp(m2_, 2 * (exponent_ - exponent));
  exponent_ = exponent;
}

// The pairwise update of Chan, Golub and LeVeque.
void Statistics::add(Statistics other) {
  if (other.count_ == 0) return;
  if (count_ == 0) {
    *this = other;
    return;
  }
  // Zeros have no scale of their own.
  const auto is_zero = [](const Statistics& s) { return s.mean_ == 0 && s.m2_ == 0; };
  const int common = is_zero(*this)   ? other.exponent_
                     : is_zero(other) ? exponent_
                                      : std::max(exponent_, other.exponent_);
  scale_to(common);
  other.scale_to(common);
  const auto a = static_cast<double>(count_);
  const auto b = static_cast<double>(other.count_);
  const double delta = other.mean_ - mean_;
  mean_ += delta * (b / (a + b));
  m2_ += other.m2_ + delta * delta * (a * (b / (a + b)));
  count_ += other.count_;
  min_ = std::min(min_, other.min_);
  max_ = std::max(max_, other.max_);
}

void Statistics::add_block(const double* values, std::uint64_t count, int exponent) {
  // Powers of deviations from a number among them need no division and lose few digits.
  const double pivot = values[0];
  std::array<double, lanes> s1{};
  std::array<double, lanes> s2{};
  std::array<double, lanes> low{};
  std::array<double, lanes> high{};
  low.fill(pivot);
  high.fill(pivot);
  const std::uint64_t whole = count / lanes * lanes;
  for (std::uint64_t j = 0; j < whole; j += lanes) {
    for (std::size_t k = 0; k < lanes; ++k) {
      const double x = values[j + k];
      const double d = x - pivot;
      s1[k] += d;
      s2[k] += d * d;
      low[k] = x < low[k] ? x : low[k];
      high[k] = x > high[k] ? x : high[k];
    }
  }
  for (std::uint64_t j = whole; j < count; ++j) {
    const double d = values[j] - pivot;
    s1[0] += d;
    s2[0] += d * d;
    low[0] = std::min(low[0], values[j]);
    high[0] = std::max(high[0], values[j]);
  }
  for (std::size_t k = 1; k < lanes; ++k) {
    s1[0] += s1[k];
    s2[0] += s2[k];
  }
  Statistics block;
  block.count_ = count;
  block.exponent_ = exponent;
  const double shift = s1[0] / static_cast<double>(count);
  block.mean_ = pivot + shift;
  block.m2_ = std::max(0.0, s2[0] - shift * s1[0]);
  block.min_ = std::ldexp(*std::min_element(low.begin(), low.end()), exponent);
  block.max_ = std::ldexp(*std::max_element(high.begin(), high.end()), exponent);
  add(block);
}

void Statistics::add_histogram(const std::uint32_t* counts, const double* values, std::uint64_t bins) {
  Statistics block;
  double sum = 0;
  for (std::uint64_t j = 0; j < bins; ++j) {
    if (counts[j] == 0) continue;
    block.count_ += counts[j];
    sum += counts[j] * values[j];
    block.min_ = std::min(block.min_, values[j]);
    block.max_ = std::max(block.max_, values[j]);
  }
  block.mean_ = sum / static_cast<double>(block.count_);
  for (std::uint64_t j = 0; j < bins; ++j) {
    if (counts[j] == 0) continue;
    const double d = values[j] - block.mean_;
    block.m2_ += counts[j] * (d * d);
  }
  add(block);
}

void Statistics::add(const void* elements, std::uint64_t count, DType dtype) {
  const auto* next = static_cast<const unsigned char*>(elements);
  const std::size_t size = facts_of(dtype).bits / 8;  // 0 for packed elements
  // Counting is faster than converting where there are few different elements.
  constexpr std::uint64_t most = std::uint64_t{1} << 31;
  const std::uint64_t bins = std::uint64_t{1} << (8 * std::min<std::size_t>(size, 2));
  while (is_listed(dtype) && count >= bins / 2) {
    const std::uint64_t part = std::min(count, most);
    std::vector<std::uint32_t> counts(bins);
    if (size == 1) {
      for (std::uint64_t j = 0; j < part; ++j) ++counts[next[j]];
    } else {
      for (std::uint64_t j = 0; j < part; ++j) {
        std::uint16_t bits = 0;
        std::memcpy(&bits, next + 2 * j, 2);
        ++counts[bits];
      }
    }
    add_histogram(counts.data(), values_of(dtype), bins);
    next += part * size;
    count -= part;
  }
  std::array<double, 1024> values{};
  while (count > 0) {
    const std::uint64_t part = std::min<std::uint64_t>(count, values.size());
    to_binary64(values.data(), next, dtype, part);
    int exponent = 0;
    if (dtype == DType::float64) {
      double largest = 0;
      for (std::uint64_t j = 0; j < part; ++j) largest = std::max(largest, std::abs(values[j]));
      // Beyond these, squares or sums of squares leave binary64.
      if (std::isfinite(largest) && (largest > 0x1p+480 || (largest > 0 && largest < 0x1p-480))) {
        exponent = std::ilogb(largest);
        for (std::uint64_t j = 0; j < part; ++j) values[j] = std::ldexp(values[j], -exponent);
      }
    }
    add_block(values.data(), part, exponent);
    next += bytes_of(dtype, part);
    count -= part;
  }
}

}  // namespace fanin::cli
