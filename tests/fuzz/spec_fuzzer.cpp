// SPDX-License-Identifier: Apache-2.0
// A model's specification: read, described, and its small tensors filled whole and in two ranges.
#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "fanin/fanin.hpp"
#include "fuzz/fuzz.h"

namespace {

constexpr std::size_t most_tensors = 64;
constexpr std::uint64_t most_elements = 512;

void use(const fanin::ModelSpec& spec) {
  for (std::size_t j = 0; j < std::min(spec.tensors.size(), most_tensors); ++j) {
    const fanin::ModelTensor& tensor = spec.tensors[j];
    for (const fanin::ModelPart& part : tensor.parts) fanin::fuzz::is_accepted([&] { describe(part); });
    const std::uint64_t count = element_count(tensor.shape);
    if (count > most_elements) continue;
    const std::size_t size = size_of(tensor.dtype);
    std::vector<double> whole(count + 1), halves(count + 1);  // aligned for every dtype
    auto* const second = reinterpret_cast<std::byte*>(halves.data()) + count / 2 * size;
    const bool is_filled = fanin::fuzz::is_accepted([&] { fill(tensor, 0, count, whole.data(), 1); });
    if (!is_filled) continue;
    fill(tensor, 0, count / 2, halves.data(), 1);
    fill(tensor, count / 2, count - count / 2, second, 1);
    fanin::fuzz::require(std::memcmp(whole.data(), halves.data(), count * size) == 0, "ranges are slices of the whole");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = fanin::fuzz::text_of(data, size);
  if (fanin::fuzz::has_long_number(text, 3)) return 0;  // as many tensors
  fanin::ModelSpecOptions options;
  options.folder = "/nonexistent";
  options.explain = true;
  fanin::fuzz::is_accepted([&] { use(fanin::parse_model_spec(text, 7, options)); });
  return 0;
}
