// SPDX-License-Identifier: Apache-2.0
#include <fanin/statistics.h>
#include <fanin/thrust.h>
#include <thrust/device_vector.h>
#include <fanin/fanin.hpp>

#include <cstdio>

int main() {
  if (const fanin::Availability there = fanin::available(); there.cuda_devices == 0) {
    std::printf("no CUDA device: %s\n", there.reason.c_str());
    return 1;
  }

  // In device memory, with the bits that host memory would get.
  const fanin::HeNormal init{42};
  thrust::device_vector<__half> weights(512 * 2048);
  fanin::TensorOptions options;
  options.name = "h.0.mlp.c_fc.weight";
  fanin::fill(init, weights, {512, 2048}, options);

  // One pass on the device: moments, what is outside the truncation's bounds, and a histogram of 8 bins.
  const fanin::Distribution asked = init.describe({512, 2048}).distribution;
  const double bound = asked.stddev * asked.upper;
  const fanin::Statistics got = fanin::statistics(weights, -bound, bound, {8, -bound, bound});
  std::printf("mean %.5f, standard deviation %.5f, kurtosis %.3f, %llu out of bounds\n", got.mean,
              got.standard_deviation, got.kurtosis, static_cast<unsigned long long>(got.out_of_bounds));
  for (const std::uint64_t count : got.histogram) std::printf("%llu\n", static_cast<unsigned long long>(count));
  return got.out_of_bounds == 0 ? 0 : 1;
}
