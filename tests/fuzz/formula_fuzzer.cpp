// SPDX-License-Identifier: Apache-2.0
// A Formula: read, written, and filled whole and as a block of each dtype.
#include <cstring>
#include <string>
#include <vector>

#include "fanin/fanin.hpp"
#include "fuzz/fuzz.h"

using fanin::fuzz::is_accepted;
using fanin::fuzz::require;

namespace {

void use(const fanin::Formula& formula) {
  require(serialize(fanin::deserialize(serialize(formula))) == serialize(formula),
          "a Formula that was written is read");
  const fanin::Shape shape{4, 5, 3};
  fanin::TensorOptions part;
  part.block = {{1, 2, 0}, {2, 2, 3}};
  for (const fanin::DTypeFacts& facts : fanin::dtypes()) {
    if (facts.is_packed()) continue;  // this block does not begin and end with whole bytes
    const std::size_t bytes = facts.bits / 8;
    std::vector<double> whole(60), block(12);  // aligned for every dtype
    const std::vector<double> untouched = whole;
    const auto fill = [&](std::vector<double>& to, const fanin::TensorOptions& options) {
      formula.fill({to.data(), facts.dtype, to.size() * sizeof(double), fanin::host}, shape, options);
    };
    if (!is_accepted([&] { fill(whole, {}); })) {
      require(whole == untouched, "a refused fill writes nothing");
      continue;
    }
    fill(block, part);
    const auto* const of_whole = reinterpret_cast<const std::byte*>(whole.data());
    const auto* const of_block = reinterpret_cast<const std::byte*>(block.data());
    for (std::size_t row = 0; row < 4; ++row) {
      const std::size_t at = ((1 + row / 2) * 5 + 2 + row % 2) * 3;
      require(std::memcmp(of_whole + at * bytes, of_block + row * 3 * bytes, 3 * bytes) == 0,
              "a block is a slice of the whole");
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = fanin::fuzz::text_of(data, size);
  is_accepted([&] { use(fanin::Formula(text, {{"a", 2}, {"b", -0.5}}, 3)); });
  return 0;
}
