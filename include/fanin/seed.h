// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "fanin/export.h"

namespace fanin {

/// The 64-bit number that a set of weights follows from, and what a second call with it means.
///
/// - fixed: the same call gives the same values, always (Keras 3, TF 2.3). What an integer converts to.
/// - sequence: call number c of an initializer, counted from 0, uses subsequence base + c, where base is the call's
///   subsequence (TF 2.7; Keras 3's SeedGenerator). Two initializers with one seed give one sequence.
/// - none: a seed in [0, 2^63) is drawn from the system once, here, and can be read; from then on it is fixed.
class FANIN_API Seed {
 public:
  enum class Kind : std::uint8_t { none, fixed, sequence };

  /// Kind none. Throws what std::random_device throws if the system has no entropy to give.
  Seed();

  /// A fixed seed from any integer type. Throws InvalidArgument if it is negative.
  template <class Integer, std::enable_if_t<std::is_integral_v<Integer>, int> = 0>
  Seed(Integer value) : Seed(Kind::fixed, checked(value), {}) {}  // NOLINT(google-explicit-constructor)

  /// A sequence. The generator's name is kept for Keras's configuration and has no influence on values. An initializer
  /// counts its calls from first_call on: one that goes on where another was (Initializer::calls) is given its number.
  static Seed sequence(std::uint64_t value, std::string generator_name = "seed_generator",
                       std::uint64_t first_call = 0);

  /// The kind none, with a value that was drawn before: for what reads back an initializer that was stored with it.
  static Seed drawn(std::uint64_t value) { return {Kind::none, value, {}}; }

  Kind kind() const { return kind_; }
  std::uint64_t value() const { return value_; }
  const std::string& generator_name() const { return generator_name_; }
  std::uint64_t first_call() const { return first_call_; }

 private:
  Seed(Kind kind, std::uint64_t value, std::string generator_name, std::uint64_t first_call = 0)
      : value_(value), first_call_(first_call), generator_name_(std::move(generator_name)), kind_(kind) {}

  template <class Integer>
  static std::uint64_t checked(Integer value) {
    if constexpr (std::is_signed_v<Integer>) {
      if (value < 0) refuse_negative(value);
    }
    return static_cast<std::uint64_t>(value);
  }
  [[noreturn]] static void refuse_negative(std::int64_t value);

  std::uint64_t value_;
  std::uint64_t first_call_;
  std::string generator_name_;
  Kind kind_;
};

/// "none", "fixed" or "sequence".
FANIN_API std::string_view name_of(Seed::Kind kind);

/// The subsequence of a tensor's name: FNV-1a, 64 bits, of its UTF-8 bytes.
FANIN_API std::uint64_t subsequence_of(std::string_view name);

}  // namespace fanin
