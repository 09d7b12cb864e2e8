// SPDX-License-Identifier: Apache-2.0
// Writes windows of a model's tensors to standard output, without filling the model. tests/cli/recipes_test.py compares
// them with the oracle.
//
//   model_window SPEC SEED [TENSOR FIRST COUNT] ...
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "fanin/dtype.h"
#include "fanin/model_spec.h"

int main(int argc, char** argv) {
  if (argc < 3 || argc % 3 != 0) {
    std::fprintf(stderr, "usage: model_window SPEC SEED [TENSOR FIRST COUNT] ...\n");
    return 2;
  }
  try {
    std::ifstream file(argv[1]);
    const std::string json{std::istreambuf_iterator<char>(file), {}};
    const fanin::ModelSpec spec = fanin::parse_model_spec(json, std::stoull(argv[2]));
    for (int j = 3; j < argc; j += 3) {
      const std::string name = argv[j];
      const auto tensor =
          std::find_if(spec.tensors.begin(), spec.tensors.end(), [&](const auto& t) { return t.name == name; });
      if (tensor == spec.tensors.end()) {
        std::fprintf(stderr, "model_window: %s has no tensor %s\n", argv[1], argv[j]);
        return 1;
      }
      const std::uint64_t count = std::stoull(argv[j + 2]);
      std::vector<unsigned char> bytes(count * fanin::size_of(tensor->dtype));
      fanin::fill(*tensor, std::stoull(argv[j + 1]), count, bytes.data());
      std::fwrite(bytes.data(), 1, bytes.size(), stdout);
    }
  } catch (const std::exception& e) {
    std::fprintf(stderr, "model_window: %s\n", e.what());
    return 1;
  }
  return 0;
}
