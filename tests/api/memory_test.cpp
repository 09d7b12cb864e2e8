// SPDX-License-Identifier: Apache-2.0
// Checks that the peak memory of a 4 GiB fill is little more than 4 GiB, so that nothing is drawn into a temporary.
// With less than 6 GiB free, or with the argument --small, it fills 256 MiB instead.
#include <sys/resource.h>

#include <cstdint>
#include <cstdio>
#include <fanin/fanin.hpp>
#include <fstream>
#include <string>

namespace {

constexpr std::int64_t kib_per_mib = 1024;

std::int64_t peak_kib() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss;
}

std::int64_t available_kib() {
  std::ifstream info("/proc/meminfo");
  std::string key;
  std::int64_t value = 0;
  std::string unit;
  while (info >> key >> value) {
    if (key == "MemAvailable:") return value;
    std::getline(info, unit);
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  std::puts("skipped: a sanitizer's own memory would be measured");
  return 77;
#endif
  const bool small = argc > 1 && std::string(argv[1]) == "--small";
  const std::int64_t mib = !small && available_kib() >= 6144 * kib_per_mib ? 4096 : 256;
  fanin::HeNormal(1)({1000});  // the memory that a first fill loads is not measured
  const std::int64_t before = peak_kib();
  const fanin::Tensor tensor = fanin::HeNormal(1)({mib, 1 << 18});
  const std::int64_t extra = peak_kib() - before - mib * kib_per_mib;
  std::printf("filled %lld MiB; the peak grew by that and %lld KiB\n", static_cast<long long>(mib),
              static_cast<long long>(extra));
  return tensor.bytes() == static_cast<std::size_t>(mib) << 20 && extra < 4 * kib_per_mib ? 0 : 1;
}
