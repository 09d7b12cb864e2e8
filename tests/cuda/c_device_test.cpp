// SPDX-License-Identifier: Apache-2.0
// The C interface's plans of device memory. Skips without a device.
#include <cuda_runtime.h>
#include <gtest/gtest.h>

#include <cstring>
#include <utility>
#include <vector>

#include "fanin/fanin.h"
#include "fanin/fanin.hpp"
#include "support/test_support.h"

namespace {

#define CUDA_OK(call) ASSERT_EQ(call, cudaSuccess) << cudaGetErrorString(cudaGetLastError())
#define OK(call) ASSERT_EQ(call, FANIN_OK) << fanin_last_error()

const std::vector<std::int64_t> shape{12, 8};
constexpr std::size_t count = 96;

class CDevice : public testing::Test {
 protected:
  void SetUp() override {
    if (fanin_cuda_devices() == 0) GTEST_SKIP() << "no CUDA device";
    CUDA_OK(cudaMalloc(&memory_, size));
    CUDA_OK(cudaMemset(memory_, 0xa5, size));
    CUDA_OK(cudaDeviceSynchronize());
    CUDA_OK(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking));
    OK(fanin_make_normal(0.5, 0.25, 42, &normal_));
    OK(fanin_plan_create(&plan_));
  }
  void TearDown() override {
    fanin_plan_free(plan_);
    fanin_free(normal_);
    if (stream_ != nullptr) cudaStreamDestroy(stream_);
    cudaFree(memory_);
  }

  fanin_fill_args at(std::size_t offset, std::size_t bytes) {
    fanin_fill_args args = FANIN_FILL_INIT;
    args.address = memory_ + offset;
    args.capacity = bytes;
    args.cuda_device = 0;
    args.rank = 2;
    args.shape = shape.data();
    return args;
  }

  template <class T>
  std::vector<T> read(std::size_t offset, std::size_t n) {
    std::vector<T> values(n);
    EXPECT_EQ(fanin_read(values.data(), memory_ + offset, n * sizeof(T), 0, stream_), FANIN_OK) << fanin_last_error();
    return values;
  }

  // Adds "a" as a master of float32 at 0 and its copy in bfloat16 at 512, elements 43 to 63 of "b" at 1024, and rows 3
  // to 6 of "c" with a leading dimension of 11 at 2048.
  void add_entries() {
    static const std::int64_t offset[] = {3, 0};
    static const std::int64_t extent[] = {4, 8};
    const fanin_element_range range{43, 21};
    fanin_fill_args args = at(0, count * 4);
    args.name = "a";
    std::size_t entry = 9;
    OK(fanin_plan_add(plan_, normal_, &args, &entry));
    args = at(512, count * 2);
    args.dtype = FANIN_BFLOAT16;
    OK(fanin_plan_add_copy(plan_, entry, &args, &entry));
    EXPECT_EQ(entry, 1u);
    args = at(1024, 21 * 4);
    args.name = "b";
    args.elements = &range;
    OK(fanin_plan_add(plan_, normal_, &args, nullptr));
    args = at(2048, 41 * 4);
    args.name = "c";
    args.block_offset = offset;
    args.block_extent = extent;
    args.leading_dimension = 11;
    OK(fanin_plan_add(plan_, normal_, &args, nullptr));
  }

  // The values of a whole tensor on the host.
  template <class T>
  static std::vector<T> whole(const char* name, std::uint64_t seed, std::uint64_t call, fanin::DType dtype) {
    std::vector<T> values(count);
    const auto options = fanin::test::with_subsequence(fanin::subsequence_of(name) + call);
    fanin::View view;
    view.address = values.data();
    view.dtype = dtype;
    view.capacity = count * sizeof(T);
    fanin::RandomNormal(0.5, 0.25, seed).fill(view, {12, 8}, options);
    return values;
  }

  void expect_entries(std::uint64_t seed, std::uint64_t call) {
    using fanin::DType;
    EXPECT_EQ(read<float>(0, count), whole<float>("a", seed, call, DType::float32));
    EXPECT_EQ(read<std::uint16_t>(512, count), whole<std::uint16_t>("a", seed, call, DType::bfloat16));
    const std::vector<float> b = whole<float>("b", seed, call, DType::float32);
    EXPECT_EQ(read<float>(1024, 21), std::vector<float>(b.begin() + 43, b.begin() + 64));
    const std::vector<float> c = whole<float>("c", seed, call, DType::float32);
    std::vector<float> rows(44);
    std::memset(rows.data(), 0xa5, sizeof(float) * rows.size());
    for (std::size_t row = 0; row < 4; ++row) {
      std::memcpy(&rows[11 * row], &c[8 * (3 + row)], 8 * sizeof(float));
    }
    const std::vector<float> got = read<float>(2048, 44);
    EXPECT_EQ(std::memcmp(got.data(), rows.data(), sizeof(float) * rows.size()), 0);
  }

  static constexpr std::size_t size = 1 << 18;
  unsigned char* memory_ = nullptr;
  cudaStream_t stream_ = nullptr;
  fanin_initializer* normal_ = nullptr;
  fanin_plan* plan_ = nullptr;
};

TEST_F(CDevice, PlansHaveTheHostsBits) {
  add_entries();
  fanin_run_args run = FANIN_RUN_INIT;
  run.stream = stream_;
  OK(fanin_plan_fill(plan_, &run));
  fanin_plan_free(plan_);  // before the stream is done
  plan_ = nullptr;
  expect_entries(42, 0);
}

TEST_F(CDevice, AStreamForEachDevice) {
  add_entries();
  const fanin_device_stream streams[] = {{0, stream_}, {7, nullptr}};
  fanin_run_args run = FANIN_RUN_INIT;
  run.streams = streams + 1;
  run.stream_count = 1;
  EXPECT_EQ(fanin_plan_fill(plan_, &run), FANIN_INVALID_ARGUMENT);  // none for device 0
  EXPECT_NE(std::strstr(fanin_last_error(), "one stream for each device"), nullptr) << fanin_last_error();
  run.stream_count = 0;
  EXPECT_EQ(fanin_plan_fill(plan_, &run), FANIN_INVALID_ARGUMENT);
  run.streams = streams;
  run.stream_count = 2;
  OK(fanin_plan_fill(plan_, &run));
  expect_entries(42, 0);
}

TEST_F(CDevice, ASeedAndACallInDeviceMemoryMakeReplaysDiffer) {
  add_entries();
  OK(fanin_plan_prepare(plan_, 0, stream_));
  auto* const numbers = reinterpret_cast<std::uint64_t*>(memory_ + 4096);
  fanin_run_args run = FANIN_RUN_INIT;
  run.stream = stream_;
  run.device_seed = numbers;
  run.device_call = numbers + 1;
  cudaGraph_t graph = nullptr;
  cudaGraphExec_t executable = nullptr;
  CUDA_OK(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeGlobal));
  EXPECT_EQ(fanin_plan_fill(plan_, &run), FANIN_OK) << fanin_last_error();
  CUDA_OK(cudaStreamEndCapture(stream_, &graph));
  CUDA_OK(cudaGraphInstantiate(&executable, graph, 0));
  for (const auto& [seed, call] : std::vector<std::pair<std::uint64_t, std::uint64_t>>{{1, 0}, {1, 1}, {2, 1}}) {
    const std::uint64_t values[] = {seed, call};
    CUDA_OK(cudaMemcpyAsync(numbers, values, sizeof values, cudaMemcpyHostToDevice, stream_));
    CUDA_OK(cudaGraphLaunch(executable, stream_));
    expect_entries(seed, call);
  }
  cudaGraphExecDestroy(executable);
  cudaGraphDestroy(graph);

  // A fill of its own takes both too.
  fanin_fill_args args = at(0, count * 4);
  args.name = "a";
  args.stream = stream_;
  args.device_seed = numbers;
  args.device_call = numbers + 1;
  const std::uint64_t values[] = {5, 6};
  CUDA_OK(cudaMemcpyAsync(numbers, values, sizeof values, cudaMemcpyHostToDevice, stream_));
  OK(fanin_fill(normal_, &args));
  EXPECT_EQ(read<float>(0, count), whole<float>("a", 5, 6, fanin::DType::float32));
}

TEST_F(CDevice, AnUploadKeepsTheBits) {
  constexpr std::size_t tensors = 2000;
  const std::int64_t four = 4;
  for (std::size_t j = 0; j < tensors; ++j) {
    fanin_fill_args args = at(16 * j, 16);
    args.rank = 1;
    args.shape = &four;
    args.subsequence = j;
    OK(fanin_plan_add(plan_, normal_, &args, nullptr));
  }
  std::size_t bytes = 0;
  OK(fanin_plan_workspace_size(plan_, 0, &bytes));
  ASSERT_GT(bytes, 0u);
  void* workspace = nullptr;
  CUDA_OK(cudaMalloc(&workspace, bytes));
  EXPECT_EQ(fanin_plan_upload(plan_, 0, workspace, bytes - 1, stream_), FANIN_INVALID_ARGUMENT);
  EXPECT_NE(std::strstr(fanin_last_error(), "too small"), nullptr) << fanin_last_error();
  EXPECT_EQ(fanin_plan_upload(plan_, 0, nullptr, bytes, stream_), FANIN_INVALID_ARGUMENT);
  OK(fanin_plan_upload(plan_, 0, workspace, bytes, stream_));
  fanin_run_args run = FANIN_RUN_INIT;
  run.stream = stream_;
  OK(fanin_plan_fill(plan_, &run));
  const std::vector<float> got = read<float>(0, 4 * tensors);
  for (std::size_t j = 0; j < tensors; ++j) {
    std::vector<float> wanted(4);
    fanin::RandomNormal(0.5, 0.25, 42).fill(fanin::view(wanted), {4}, fanin::test::with_subsequence(j));
    ASSERT_EQ(std::vector<float>(got.begin() + static_cast<std::ptrdiff_t>(4 * j),
                                 got.begin() + static_cast<std::ptrdiff_t>(4 * j + 4)),
              wanted)
        << j;
  }
  cudaFree(workspace);
}

}  // namespace
