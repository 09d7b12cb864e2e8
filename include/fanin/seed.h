// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "fanin/export.h"

namespace fanin {

/// A 64-bit number that decides a set of weights, and the effect of repeated calls.
///
/// - fixed: repeated calls give the same values (Keras 3, TF 2.3). An integer converts to this kind.
/// - sequence: call number c of an initializer, counted from 0, uses subsequence base + c, where base is the call's
///   subsequence (TF 2.7; Keras 3's SeedGenerator). Two initializers with one seed give the same sequence.
/// - none: the constructor draws a seed in [0, 2^63) from the system, which value() returns; from then on it is fixed.
class FANIN_API Seed {
 public:
  enum class Kind : std::uint8_t { none, fixed, sequence };

  /// Draws a seed of kind none. Throws what std::random_device throws if the system has no entropy.
  Seed();

  /// A fixed seed from any integer type. Throws InvalidArgument if it is negative.
  template <class Integer, std::enable_if_t<std::is_integral_v<Integer>, int> = 0>
  Seed(Integer value) : Seed(Kind::fixed, checked(value), {}) {}  // NOLINT(google-explicit-constructor)

  /// A sequence. Keras's configuration keeps the generator's name, which does not affect values. An initializer counts
  /// its calls from first_call on; pass Initializer::calls() to continue where another one stopped.
  static Seed sequence(std::uint64_t value, std::string generator_name = "seed_generator",
                       std::uint64_t first_call = 0);

  /// Kind none with a value that was drawn before, to restore a stored initializer.
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

/// The subsequence of a tensor's name: the 64-bit FNV-1a hash of its UTF-8 bytes.
FANIN_API std::uint64_t subsequence_of(std::string_view name);

}  // namespace fanin
