// SPDX-License-Identifier: Apache-2.0
// The CUDA back end: the host's bits for every way to launch, and what a user of streams expects. Skips without a
// device; an emulator of the CUDA runtime can stand in for one.
#include <cuda_runtime.h>
#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "cpu/run.h"
#include "cuda/encode.h"
#include "cuda/launch.h"
#include "fanin/fanin.hpp"
#include "params.h"

namespace fanin {
namespace {

constexpr DType all_dtypes[] = {DType::float32,  DType::float64,       DType::float16,
                                DType::bfloat16, DType::float8_e4m3fn, DType::float8_e5m2};

#define CUDA_OK(call) ASSERT_EQ(call, cudaSuccess) << cudaGetErrorString(cudaGetLastError())

// Device memory that remembers what nobody may write: `margin` bytes on either side.
class DeviceBytes {
 public:
  static constexpr std::size_t margin = 256;
  static constexpr unsigned char untouched = 0xA5;

  explicit DeviceBytes(std::size_t size) : size_(size) {
    if (cudaMalloc(&memory_, size + 2 * margin) != cudaSuccess) throw std::bad_alloc();
    clear();
  }
  ~DeviceBytes() { cudaFree(memory_); }
  DeviceBytes(const DeviceBytes&) = delete;
  DeviceBytes& operator=(const DeviceBytes&) = delete;

  void clear() { cudaMemset(memory_, untouched, size_ + 2 * margin); }
  unsigned char* data() { return static_cast<unsigned char*>(memory_) + margin; }
  View view(DType dtype, std::size_t offset = 0) { return {data() + offset, dtype, size_ - offset, cuda(0)}; }

  std::vector<unsigned char> all() const {
    std::vector<unsigned char> bytes(size_ + 2 * margin);
    EXPECT_EQ(cudaMemcpy(bytes.data(), memory_, bytes.size(), cudaMemcpyDeviceToHost), cudaSuccess)
        << cudaGetErrorString(cudaGetLastError());
    return bytes;
  }

 private:
  void* memory_ = nullptr;
  std::size_t size_;
};

class Gpu : public testing::Test {
 protected:
  void SetUp() override {
    const Availability there = available();
    if (there.cuda_devices == 0) GTEST_SKIP() << "no CUDA device: " << there.reason;
  }
};

// What the portable loop writes.
std::vector<unsigned char> host_bytes(const FillParams& params) {
  std::vector<unsigned char> bytes(params.index.count * size_of(params.dtype));
  fill({bytes.data(), params.dtype, bytes.size(), host}, params, nullptr, 1, CpuTarget::portable);
  return bytes;
}

// Expects the bytes at `offset`, and nothing touched around them.
void expect_only(const DeviceBytes& memory, std::size_t offset, const std::vector<unsigned char>& expected,
                 const std::string& what) {
  const std::vector<unsigned char> got = memory.all();
  const std::size_t begin = DeviceBytes::margin + offset;
  for (std::size_t j = 0; j < got.size(); ++j) {
    const bool inside = j >= begin && j < begin + expected.size();
    const unsigned char wanted = inside ? expected[j - begin] : DeviceBytes::untouched;
    ASSERT_EQ(got[j], wanted) << what << ", byte " << static_cast<std::ptrdiff_t>(j - begin) << " of "
                              << expected.size();
  }
}

void expect_host_bits(const FillParams& params, const gpu::Policy& policy, std::uint32_t blocks, std::size_t offset,
                      const std::string& what) {
  const std::vector<unsigned char> expected = host_bytes(params);
  DeviceBytes memory(expected.size() + offset);
  const FillJob job{memory.data() + offset, params};
  for (const gpu::Batch& batch :
       gpu::encode(&job, 1, sizeof gpu::SmallParameters::data, [&](std::uint64_t) { return policy; })) {
    gpu::launch(batch, nullptr, blocks);
  }
  expect_only(memory, offset, expected, what + ", " + std::string(name_of(params.dtype)));
}

struct Case {
  const char* name;
  Initializer initializer;
};

std::vector<Case> all_kinds() {
  return {{"HeNormal", HeNormal(1)},
          {"normal", RandomNormal(0.0, 0.02, 2)},
          {"normal with a mean", RandomNormal(1.5, 2.0, 3)},
          {"truncated with a mean", TruncatedNormal(-0.5, 0.25, 4)},
          {"GlorotUniform", GlorotUniform(5)},
          {"uniform", RandomUniform(0.25, 3.0, 6)},
          {"tiny uniform", RandomUniform(-1e-37, 1e-37, 6)},
          {"constant", Constant(-0.75)},
          {"zeros", Zeros()}};
}

FillParams dense(const Initializer& initializer, DType dtype, std::uint64_t first, std::uint64_t count) {
  // One dimension as long as indices go, of fan-in 1; only a part of it is written.
  FillParams params = initializer.params({std::int64_t{1} << 40}, dtype, {});
  params.index.start = 0;
  params.index.first = first;
  params.index.count = count;
  params.index.extent[0] = first + count;
  return params;
}

TEST_F(Gpu, GivesTheHostsBitsForEveryKindAndDtype) {
  for (const Case& c : all_kinds()) {
    for (const DType dtype : all_dtypes) {
      expect_host_bits(dense(c.initializer, dtype, 0, 3001), gpu::policy_for(90, 751), 0, 0, c.name);
    }
  }
}

}  // namespace
}  // namespace fanin
