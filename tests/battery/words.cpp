// SPDX-License-Identifier: Apache-2.0
// Writes the words of docs/VALUES.md, section 1, to standard output, for programs that test random bits: dieharder,
// PractRand.
//
//   battery_words USE [WORDS]    the words of one use, until the reader closes the pipe or so many are written
//
// A word is 4 bytes in this machine's order. The uses "subsequences", "seeds" and "names" take 4 words of each
// generator in turn, so that a test of consecutive words compares generators whose numbers or names are close.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "fanin/core/counter.h"
#include "fanin/seed.h"

namespace {

using fanin::core::Generator;
using fanin::core::Words;

constexpr Generator one_tensor{20260101, 0};
constexpr std::uint32_t first_place_tag = 192;
constexpr std::uint32_t place_tags = 24;

Words block(const Generator& generator, std::uint64_t index, std::uint64_t tag) {
  return fanin::core::block<fanin::core::Philox>(generator, index, static_cast<std::uint32_t>(tag));
}

// A name with this number in 6 letters, such as "layer_aaaaab/kernel"; neighbours differ in one letter or few.
std::string name_of_number(std::uint64_t number) {
  std::string letters(6, 'a');
  for (std::size_t at = letters.size(); at-- > 0; number /= 26)
    letters[at] = static_cast<char>('a' + static_cast<char>(number % 26));
  return "layer_" + letters + "/kernel";
}

struct Use {
  const char* name;
  Words (*block_number)(std::uint64_t number);  // in the order in which the words are tested
};

const Use uses[] = {
    {"heads", [](std::uint64_t n) { return block(one_tensor, n, 0); }},
    {"trials", [](std::uint64_t n) { return block(one_tensor, n / fanin::core::trials, 1 + n % fanin::core::trials); }},
    {"refinements", [](std::uint64_t n) { return block(one_tensor, n, fanin::core::first_refinement_tag); }},
    {"places", [](std::uint64_t n) { return block(one_tensor, n / place_tags, first_place_tag + n % place_tags); }},
    {"subsequences",
     [](std::uint64_t n) {
       return block({one_tensor.seed, n}, 0, 0);
     }},
    {"seeds",
     [](std::uint64_t n) {
       return block({n, 0}, 0, 0);
     }},
    {"names",
     [](std::uint64_t n) {
       return block({one_tensor.seed, fanin::subsequence_of(name_of_number(n))}, 0, 0);
     }},
};

void write(const Use& use, std::uint64_t words) {
  constexpr std::size_t blocks = 1 << 14;
  std::vector<std::uint32_t> buffer(4 * blocks);
  for (std::uint64_t number = 0; words > 0;) {
    for (std::size_t at = 0; at < buffer.size(); at += 4, ++number) {
      const Words words_of_block = use.block_number(number);
      std::memcpy(&buffer[at], &words_of_block, sizeof words_of_block);
    }
    const auto count = words < buffer.size() ? static_cast<std::size_t>(words) : buffer.size();
    if (std::fwrite(buffer.data(), sizeof(std::uint32_t), count, stdout) != count) return;
    words -= count;
  }
}

}  // namespace

int main(int argc, char** argv) {
  const std::string name = argc > 1 ? argv[1] : "";
  for (const Use& use : uses) {
    if (name != use.name) continue;
    write(use, argc > 2 ? std::strtoull(argv[2], nullptr, 10) : std::numeric_limits<std::uint64_t>::max());
    return 0;
  }
  std::fputs("usage: battery_words USE [WORDS]. The uses:", stderr);
  for (const Use& use : uses) std::fprintf(stderr, " %s", use.name);
  std::fputs("\n", stderr);
  return 2;
}
