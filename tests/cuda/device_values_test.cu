// SPDX-License-Identifier: Apache-2.0
// Checks that the value contract's functions compile for the device and give the host's bits there, with random bits
// from cuRAND.
#include <cuda_runtime.h>
#include <curand_kernel.h>
#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "fanin/core/normal.h"
#include "fanin/core/rounding.h"
#include "fanin/core/values.h"

namespace {

using namespace fanin::core;

__device__ const Ziggurat device_normal_table = normal_table;
__device__ const Ziggurat device_cut_table = cut_table;

struct CuRand {
  static __device__ Words block(Words counter, Key key) {
    const uint4 words =
        curand_Philox4x32_10(make_uint4(counter.x, counter.y, counter.z, counter.w), make_uint2(key.low, key.high));
    return {words.x, words.y, words.z, words.w};
  }
};

// All values of one element. There is no padding, so that the bytes can be compared.
struct Values {
  double centred64, unit64, normal64;
  float centred, unit, normal32;
  std::uint16_t half, bfloat;
  std::uint8_t e4m3, e5m2, unused[6];
};

FANIN_HOST_DEVICE std::uint32_t lane(const Words& words, std::uint64_t i) {
  return i % 4 == 0 ? words.x : i % 4 == 1 ? words.y : i % 4 == 2 ? words.z : words.w;
}

template <class Bits>
FANIN_HOST_DEVICE Values values_of(const Generator& stream, std::uint64_t i, Window window, const Ziggurat& table) {
  const std::uint32_t head = lane(heads<Bits>(stream, i / 4), i);
  const std::uint32_t more = lane(head_refinements<Bits>(stream, i / 4), i);
  const Accepted accepted = first_accepted<Bits>(stream, i, head, window, table);
  const std::uint32_t word =
      accepted.trial > 0 && accepted.trial < trials ? retry_refinement<Bits>(stream, i, accepted.trial) : more;
  Values v{};
  v.centred = centred_fraction(head);
  v.unit = unit_fraction(head);
  v.normal32 = value(accepted.z, Affine<float>{0.05F, 0.3F, -1e30F, 1e30F, true});
  v.centred64 = centred_fraction(head, more);
  v.unit64 = unit_fraction(head, more);
  v.normal64 = value(refine(accepted, word, table), Affine<double>{0.05, 0.3, -1e30, 1e30, true});
  v.half = Float16::encode(accepted.z);
  v.bfloat = BFloat16::encode(accepted.z);
  v.e4m3 = Float8E4M3FN::encode(accepted.z);
  v.e5m2 = Float8E5M2::encode(accepted.z * 1e-5F);
  return v;
}

__global__ void fill(Values* out, std::uint64_t first, std::uint64_t count, Generator stream, Window window, bool cut) {
  for (std::uint64_t j = blockIdx.x * std::uint64_t{blockDim.x} + threadIdx.x; j < count;
       j += gridDim.x * std::uint64_t{blockDim.x}) {
    out[j] = values_of<CuRand>(stream, first + j, window, cut ? device_cut_table : device_normal_table);
  }
}

TEST(Device, GivesTheHostsBits) {
  int devices = 0;
  const cudaError_t error = cudaGetDeviceCount(&devices);
  if (error != cudaSuccess || devices == 0) {
    GTEST_SKIP() << "no CUDA device: " << (error == cudaSuccess ? "none found" : cudaGetErrorString(error));
  }
  const Generator stream{0x123456789abcdef0, 7};
  for (const std::uint64_t first :
       {std::uint64_t{1}, (std::uint64_t{1} << 34) - 501, (std::uint64_t{1} << 56) - 5000}) {
    for (const bool cut : {false, true}) {
      const Window window = cut ? Window{-2, 2} : Window{-1e30F, 1e30F};
      const Ziggurat& table = cut ? cut_table : normal_table;
      std::vector<Values> got(5000);
      Values* memory = nullptr;
      ASSERT_EQ(cudaMalloc(&memory, got.size() * sizeof(Values)), cudaSuccess);
      fill<<<7, 96>>>(memory, first, got.size(), stream, window, cut);
      ASSERT_EQ(cudaGetLastError(), cudaSuccess);
      ASSERT_EQ(cudaMemcpy(got.data(), memory, got.size() * sizeof(Values), cudaMemcpyDeviceToHost), cudaSuccess);
      ASSERT_EQ(cudaFree(memory), cudaSuccess);
      for (std::size_t j = 0; j < got.size(); ++j) {
        const Values expected = values_of<Philox>(stream, first + j, window, table);
        ASSERT_EQ(std::memcmp(&got[j], &expected, sizeof expected), 0) << first + j << (cut ? ", cut" : "");
      }
    }
  }
}

}  // namespace
