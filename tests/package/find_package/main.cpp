// SPDX-License-Identifier: Apache-2.0
// A C++ program that uses the library. It checks a fill, and what can break between two linked parts: exceptions and
// ownership of memory.
#include <fanin/fanin.hpp>

#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "../checksum.h"

namespace {

void check(bool good, const char* what) {
  if (good) return;
  std::fprintf(stderr, "consumer: %s\n", what);
  std::exit(1);
}

}  // namespace

int main() {
  const fanin::Shape shape{512, 2048};
  const std::size_t count = 512 * 2048;
  std::vector<float> weights(count);
  fanin::HeNormal(42).fill(fanin::view(weights.data(), count), shape);
  const std::uint64_t found = checksum(weights.data(), count * sizeof(float));
  if (found != EXPECTED_CHECKSUM) {
    std::fprintf(stderr, "consumer: HeNormal has the checksum %016llx, not %016llx\n",
                 static_cast<unsigned long long>(found), static_cast<unsigned long long>(EXPECTED_CHECKSUM));
    return 1;
  }

  // The library allocates this memory, and this program releases it.
  fanin::Tensor tensor(shape, fanin::DType::float32, fanin::host);
  fanin::Plan plan;
  plan.add(fanin::make("he_normal", 42), tensor.view(), shape);
  fanin::Plan moved = std::move(plan);
  moved.fill();
  check(checksum(tensor.data(), tensor.bytes()) == EXPECTED_CHECKSUM, "a plan and a fill give different bits");

  const std::string json = fanin::serialize(fanin::HeNormal(42));
  check(fanin::deserialize(json).class_name() == "HeNormal", "a configuration is not read back");

  // Exceptions keep their types on the way out of the library.
  bool caught = false;
  try {
    fanin::make("he_norml");
  } catch (const fanin::InvalidArgument& error) {
    caught = std::string(error.what()).find("he_normal") != std::string::npos;
  }
  check(caught, "a wrong name does not throw InvalidArgument with a hint");
  caught = false;
  try {
    fanin::Tensor(shape, fanin::DType::float32, fanin::cuda(1000));
  } catch (const std::runtime_error& error) {
    caught = dynamic_cast<const fanin::DeviceError*>(&error) != nullptr;
    std::printf("%s\n", error.what());
  }
  check(caught, "a device that is not there does not throw DeviceError");
  return 0;
}
