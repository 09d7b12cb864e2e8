// SPDX-License-Identifier: Apache-2.0
// A configuration in JSON: read, written in both forms, read again, described and filled.
#include <string>

#include "fanin/fanin.hpp"
#include "fuzz/fuzz.h"

using fanin::fuzz::is_accepted;

namespace {

void use(const fanin::Initializer& initializer) {
  const std::string text = serialize(initializer);
  const fanin::Initializer again = fanin::deserialize(text);
  fanin::fuzz::require(serialize(again) == text, "a configuration that was written is read and written alike");
  is_accepted([&] { fanin::deserialize(serialize(initializer, fanin::ConfigForm::tf2)); });
  float weights[2 * 3 * 4];
  for (const fanin::Shape& shape : {fanin::Shape{2, 3, 4}, fanin::Shape{4, 6}, fanin::Shape{5}, fanin::Shape{}}) {
    is_accepted([&] { initializer.describe(shape); });
    is_accepted([&] { initializer.fill(fanin::view(weights, 24), shape); });
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  is_accepted([&] { use(fanin::deserialize(fanin::fuzz::text_of(data, size))); });
  is_accepted([&] { use(fanin::make(fanin::fuzz::text_of(data, size), 1)); });
  return 0;
}
