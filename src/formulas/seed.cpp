// SPDX-License-Identifier: Apache-2.0
#include "fanin/seed.h"

#include <random>

#include "fanin/error.h"

namespace fanin {

namespace {

std::uint64_t drawn_seed() {
  std::random_device source;
  const std::uint64_t high = source();
  return (high << 32 | source()) >> 1;  // 63 bits, so that a signed integer can hold it
}

}  // namespace

Seed::Seed() : Seed(Kind::none, drawn_seed(), {}) {}

Seed Seed::sequence(std::uint64_t value, std::string generator_name, std::uint64_t first_call) {
  return {Kind::sequence, value, std::move(generator_name), first_call};
}

void Seed::refuse_negative(std::int64_t value) {
  throw InvalidArgument("A seed is an integer from 0 to 2^64 - 1. Received: seed=" + std::to_string(value) +
                        ". The same bits as an unsigned number are " +
                        std::to_string(static_cast<std::uint64_t>(value)) + ", which is allowed");
}

std::string_view name_of(Seed::Kind kind) {
  switch (kind) {
    case Seed::Kind::none:
      return "none";
    case Seed::Kind::fixed:
      return "fixed";
    case Seed::Kind::sequence:
      return "sequence";
  }
  return "";
}

// 64-bit FNV-1a (Fowler, Noll, Vo).
std::uint64_t subsequence_of(std::string_view name) {
  std::uint64_t hash = 0xcbf29ce484222325u;
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return hash;
}

}  // namespace fanin
