// SPDX-License-Identifier: Apache-2.0
// Tests the CUDA back end: the host's bits for every launch policy, and the behaviour on streams. Skips without a
// device; an emulator of the CUDA runtime can replace one.
#include <cuda_runtime.h>
#include <gtest/gtest.h>

#include <cfenv>
#include <cmath>
#include <cstring>
#include <iostream>
#include <iterator>
#include <limits>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "cuda/encode.h"
#include "cuda/launch.h"
#include "fanin/core/window.h"
#include "fanin/fanin.h"
#include "fanin/fanin.hpp"
#include "params/index_map.h"
#include "params/make_params.h"
#include "support/test_support.h"

namespace fanin {
namespace {

using test::all_dtypes;
using test::RoundingMode;

#define CUDA_OK(call) ASSERT_EQ(call, cudaSuccess) << cudaGetErrorString(cudaGetLastError())

// Device memory with a margin of `margin` bytes on either side that nobody may write.
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

  // Waits, so that this also holds for streams that do not wait for the default one.
  void clear() {
    cudaMemset(memory_, untouched, size_ + 2 * margin);
    cudaDeviceSynchronize();
  }
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

// The bytes that the portable loop writes.
std::vector<unsigned char> host_bytes(const FillParams& params) {
  std::vector<unsigned char> bytes(params.index.count * size_of(params.dtype));
  fill({bytes.data(), params.dtype, bytes.size(), host}, params, {nullptr, 1, CpuTarget::portable});
  return bytes;
}

// Expects the bytes at `offset`, and unchanged memory around them.
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

// The launch policy of one job; 0: the library's choice.
struct Cut {
  std::uint32_t tile_slots, table_copies, threads, blocks;
};
constexpr Cut usual{};

gpu::DeviceFacts h200() { return {90, 132, 227 * 1024 - 1024}; }

// One job in one launch.
struct OneJob {
  std::vector<std::uint64_t> words = std::vector<std::uint64_t>(sizeof(gpu::SmallParameters::data) / 8);
  gpu::Launch launch{};

  explicit OneJob(const FillJob& fill, const gpu::DeviceFacts& device = h200()) {
    for (const gpu::Kernel kernel : {gpu::Kernel::fast, gpu::Kernel::general}) {
      gpu::Launch one{};
      EXPECT_EQ(gpu::encode_launch(&fill, 0, 1, kernel, device, words.data(), words.size(), &one), 1u);
      if (one.words == 0) continue;
      EXPECT_EQ(launch.words, 0u) << "two launches";
      launch = one;
    }
  }
  gpu::EncodedJob job() const {
    gpu::EncodedJob job;
    std::memcpy(&job, words.data(), sizeof job);
    return job;
  }
  void set_job(const gpu::EncodedJob& job) { std::memcpy(words.data(), &job, sizeof job); }

  void cut(const Cut& cut) {
    if (cut.tile_slots != 0) {
      gpu::EncodedJob changed = job();
      changed.tile_slots = cut.tile_slots;
      set_job(changed);
      gpu::Rows rows{};
      std::size_t at = changed.extension;
      if (changed.has_values != 0) at += sizeof(gpu::Values) / 8;
      if (static_cast<gpu::Draw>(changed.draw) == gpu::Draw::narrow_normal) at += sizeof(fanin::core::NarrowWindow) / 8;
      if (changed.has_rows != 0) std::memcpy(&rows, &words[at], sizeof rows);
      launch.header.tiles = static_cast<std::uint32_t>((gpu::slots_of(changed, &rows) - 1) / cut.tile_slots + 1);
    }
    if (cut.table_copies != 0) launch.header.table_copies = cut.table_copies;
    if (cut.threads != 0) launch.threads = cut.threads;
    if (cut.blocks != 0) launch.blocks = cut.blocks;
    launch.shared_bytes =
        gpu::shared_bytes(launch.header.tables, launch.header.table_copies, launch.header.waits != 0, launch.threads);
  }
};

// Many jobs, in launches with large parameters.
struct Launches {
  std::vector<gpu::Launch> all;

  explicit Launches(const std::vector<FillJob>& jobs) {
    std::vector<std::uint64_t> words(sizeof(gpu::LargeParameters::data) / 8);
    for (const gpu::Kernel kernel : {gpu::Kernel::fast, gpu::Kernel::general}) {
      for (std::size_t next = 0; next < jobs.size();) {
        gpu::Launch launch{};
        next = gpu::encode_launch(jobs.data(), next, jobs.size(), kernel, h200(), words.data(), words.size(), &launch);
        if (launch.words != 0) all.push_back(launch);
      }
    }
  }
};

// Rows of bytes, apart in memory.
std::vector<unsigned char> spread(const std::vector<unsigned char>& rows, std::size_t row, std::size_t pitch) {
  std::vector<unsigned char> bytes((rows.size() / row - 1) * pitch + row, DeviceBytes::untouched);
  for (std::size_t at = 0; at < rows.size(); at += row) std::copy_n(&rows[at], row, &bytes[at / row * pitch]);
  return bytes;
}

// pitch: elements from a row to the next one, if rows of `row` elements are apart.
void expect_host_bits(const FillParams& params, const Cut& cut, std::size_t offset, const std::string& what,
                      std::uint64_t row = 0, std::uint64_t pitch = 0) {
  const std::size_t size = size_of(params.dtype);
  std::vector<unsigned char> expected = host_bytes(params);
  if (pitch != 0) expected = spread(expected, row * size, pitch * size);
  DeviceBytes memory(expected.size() + offset);
  FillJob job{memory.data() + offset, params};
  if (pitch != 0) {
    job.params.index = detail::in_rows(params.index, row);
    job.pitch = pitch;
  }
  OneJob one(job);
  ASSERT_EQ(one.launch.words == 0, params.index.count == 0);
  if (one.launch.words != 0) {
    one.cut(cut);
    gpu::launch(one.launch, one.words.data());
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

// Elements first ... first + count - 1 of the longest tensor of one dimension.
FillParams dense(const Initializer& initializer, DType dtype, std::uint64_t first, std::uint64_t count) {
  return part_of(initializer.params({std::int64_t{1} << 56}, dtype, {.subsequence = 77}), first, count);
}

// Any window, also one that no initializer has.
FillParams window(double lower, double upper, DType dtype, std::uint64_t count) {
  FillParams params = dense(TruncatedNormal(0.0, 1.0, 11), dtype, 5, count);
  params.lower = lower;
  params.upper = upper;
  params.min = dtype == DType::float64 ? -1e300 : -400;
  params.max = -params.min;
  return params;
}

std::vector<Cut> cuts() {
  return {{8, 1, 128, 1}, {64, 32, 64, 2}, {1, 2, 32, 3}, {512, 16, 96, 1}, {2048, 1, 128, 2}, {37, 8, 64, 3}};
}

TEST_F(Gpu, GivesTheHostsBitsForEveryKindAndDtype) {
  for (const Case& c : all_kinds()) {
    for (const DType dtype : all_dtypes) {
      expect_host_bits(dense(c.initializer, dtype, 0, 3001), usual, 0, c.name);
    }
  }
}

TEST_F(Gpu, GivesTheSameBitsForEveryCutGridAndAlignment) {
  unsigned n = 0;
  for (const Case& c : all_kinds()) {
    for (const DType dtype : all_dtypes) {
      for (Cut cut : cuts()) {
        // The combinations alternate, because all of them would take too long.
        const std::uint64_t first = n % 7;
        const std::uint64_t count = n % 5 == 0 ? 1 + n % 11 : 2000 + n % 13;
        cut.blocks = 1 + n % 3;
        expect_host_bits(dense(c.initializer, dtype, first, count), cut, n % 9 * size_of(dtype), c.name);
        ++n;
      }
    }
  }
}

TEST_F(Gpu, EveryCountFromOneOnWritesNothingElse) {
  for (std::uint64_t count = 1; count <= 40; ++count) {
    for (const DType dtype : {DType::float32, DType::bfloat16, DType::float8_e5m2}) {
      expect_host_bits(dense(HeNormal(1), dtype, count % 6, count), {8, 1, 64, 1}, 0, std::to_string(count));
      expect_host_bits(dense(GlorotUniform(1), dtype, count % 6, count), {8, 1, 64, 1}, 0, std::to_string(count));
      expect_host_bits(dense(Ones(), dtype, 0, count), {8, 1, 64, 1}, size_of(dtype), std::to_string(count));
    }
  }
}

// Counters carry from the low word to the high word at 2^34 elements; 2^56 - 1 is the last index.
TEST_F(Gpu, WindowsOfHugeTensors) {
  unsigned n = 0;
  for (const std::uint64_t first :
       {(std::uint64_t{1} << 32) - 901, (std::uint64_t{1} << 33) - 800, (std::uint64_t{1} << 34) - 1003,
        (std::uint64_t{1} << 40) - 77, (std::uint64_t{1} << 56) - 2500}) {
    for (const Case& c : all_kinds()) {
      for (const DType dtype : all_dtypes) {
        expect_host_bits(dense(c.initializer, dtype, first, 2500), cuts()[n % 6], n % 5 * size_of(dtype), c.name);
        ++n;
      }
    }
    expect_host_bits(dense(HeNormal(3), DType::float32, first, 2500), {1792, 1, 32, 1}, 4, "one warp");
  }
}

TEST_F(Gpu, BlocksAndIdentitiesOfHugeTensors) {
  struct Part {
    Shape shape;
    Block block;
    std::uint64_t first, count;  // which of the block's elements; a count of 0: all
  };
  constexpr std::int64_t large = std::int64_t{1} << 40;
  const std::vector<Part> parts{
      {{1 << 21, 1 << 20, 3}, {{(1 << 21) - 5, (1 << 20) - 700, 1}, {5, 700, 2}}, 0, 0},
      {{1 << 21, 1 << 20, 3}, {{1365, 100, 0}, {3, 333, 2}}, 0, 0},  // around 2^32
      {{1 << 22, 1 << 22}, {{(1 << 20) - 3, 5}, {6, 1001}}, 0, 0},   // beyond 2^42
      {{1 << 14, 1 << 14, 1 << 14, 1 << 14}, {{16383, 16380, 16000, 16383}, {1, 4, 300, 1}}, 0, 0},
      {{large, 7}, {{large - 2000, 2}, {2000, 3}}, 1, 5999}};
  unsigned n = 0;
  for (const Part& part : parts) {
    for (const Case& c : all_kinds()) {
      const DType dtype = all_dtypes[n % 6];
      FillParams params = c.initializer.params(part.shape, dtype, {.subsequence = n, .block = part.block});
      if (part.count != 0) params = part_of(params, part.first, part.count);
      expect_host_bits(params, cuts()[n % 6], n % 3 * size_of(dtype), c.name + to_string(part.shape));
      ++n;
    }
  }
  constexpr std::uint64_t rows = 1 << 20;
  for (const DType dtype : all_dtypes) {
    const FillParams identity = Identity(0.5).params({rows, rows + 3}, dtype, {});
    for (const std::uint64_t first : {(std::uint64_t{1} << 32) - 3000, (rows + 4) * (rows - 1) - 100}) {
      expect_host_bits(part_of(identity, first, 102), {64, 1, 64, 2}, size_of(dtype), "identity");
    }
  }
}

// Fills of more than 2^31 to 2^40 elements, of which only the last tiles are launched.
TEST_F(Gpu, TilesOfHugeFills) {
  unsigned n = 0;
  for (const int bits : {31, 32, 34, 40}) {
    for (const Case& c : all_kinds()) {
      for (const DType dtype : all_dtypes) {
        const std::uint64_t at = (std::uint64_t{1} << bits) - 1024;
        const std::vector<unsigned char> expected = host_bytes(dense(c.initializer, dtype, at, 4096));
        const std::size_t offset = n % 3 * size_of(dtype);
        DeviceBytes memory(expected.size() + offset);
        auto* const begin =
            reinterpret_cast<void*>(reinterpret_cast<std::uintptr_t>(memory.data()) + offset - at * size_of(dtype));
        OneJob one({begin, dense(c.initializer, dtype, 0, at + 4096)});
        one.cut({256, 1, 64, 1 + n % 2});
        ASSERT_EQ(one.launch.header.tiles, (at + 4096) / 1024);
        const auto before = static_cast<std::uint32_t>(at / 1024);
        gpu::EncodedJob encoded = one.job();
        encoded.tile_begin -= before;  // wraps: tile 0 of the launch is the job's tile number `before`
        one.set_job(encoded);
        one.launch.header.tiles -= before;
        gpu::launch(one.launch, one.words.data());
        expect_only(memory, offset, expected, c.name + (" at " + std::to_string(at)));
        ++n;
      }
    }
  }
}

gpu::DeviceFacts facts_of(int capability) {
  const std::uint32_t kibibytes = capability == 75 ? 64 : capability == 80 ? 163 : capability == 86 ? 99 : 227;
  return {capability, capability == 75 ? 40 : 108, kibibytes * 1024 - 1024};
}

// With the policies of other devices.
TEST_F(Gpu, EveryKindAndDtypeAsOnOtherDevices) {
  unsigned n = 0;
  for (const Case& c : all_kinds()) {
    for (const DType dtype : all_dtypes) {
      for (const int capability : {75, 80, 86, 90}) {
        const FillParams params = dense(c.initializer, dtype, n % 5, 20000 + n);
        const std::vector<unsigned char> expected = host_bytes(params);
        const std::size_t offset = n % 4 * size_of(dtype);
        DeviceBytes memory(expected.size() + offset);
        const OneJob one({memory.data() + offset, params}, facts_of(capability));
        if (gpu::can_launch(one.launch)) {
          gpu::launch(one.launch, one.words.data());
          expect_only(memory, offset, expected, c.name);
        }
        ++n;
      }
      ++n;
    }
  }
}

// A part of a long row takes the tiles that its elements need, not those that the block's rows need.
TEST_F(Gpu, PartsOfLongRowsAreShort) {
  const Block block{{3, 5}, {4, std::int64_t{1} << 33}};
  const FillParams whole =
      HeNormal(8).params({9, std::int64_t{1} << 34}, DType::float32, {.subsequence = 5, .block = block});
  for (const std::uint64_t first : {std::uint64_t{0}, (std::uint64_t{1} << 33) - 3001, (std::uint64_t{3} << 33) + 77}) {
    const FillParams params = part_of(whole, first, 3001);
    const OneJob one({nullptr, params});
    EXPECT_LE(std::uint64_t{one.launch.header.tiles} * one.job().tile_slots, 3001 / 4 + 64);
    expect_host_bits(params, {64, 1, 64, 0}, 4, std::to_string(first));
  }
}

TEST_F(Gpu, WindowsOfEveryShape) {
  const double infinity = std::numeric_limits<double>::infinity();
  // Windows of each sampler: the two tables, box and tail.
  const double windows[][2] = {{-2, 2},        {-0.7, 0.7}, {0, infinity},  {-infinity, 0.1}, {-1, 3},   {-3.7, 3.7},
                               {-infinity, 3}, {-9, 9},     {-2.5, 1.2},    {1, 2},           {-2, -1},  {3, infinity},
                               {-5, -2},       {8, 9},      {1, 1.0000001}, {-1e-9, 1e-9},    {100, 200}};
  for (const auto& w : windows) {
    for (const DType dtype : all_dtypes) {
      expect_host_bits(window(w[0], w[1], dtype, 3000), {256, 1, 128, 3}, 0, std::to_string(w[0]));
      expect_host_bits(window(w[0], w[1], dtype, 5168), {1792, 1, 64, 1}, size_of(dtype), std::to_string(w[1]));
    }
  }
}

TEST_F(Gpu, NormalsWithAndWithoutAWindowInOneLaunch) {
  constexpr std::size_t count = 30001;
  for (const double stddev : {0.02, 3e38}) {
    for (const bool mixed : {false, true}) {
      std::vector<float> expected(2 * count);
      DeviceBytes memory(2 * count * sizeof(float));
      Plan host_plan;
      Plan device_plan;
      const auto add = [&](const Initializer& init, std::size_t first, const char* name) {
        host_plan.add(init, view(&expected[first], count), {std::int64_t{count}}, name);
        device_plan.add(init, {memory.data() + first * sizeof(float), DType::float32, count * sizeof(float), cuda(0)},
                        {std::int64_t{count}}, name);
      };
      add(RandomNormal(0.0, stddev, 21), 0, "a");
      if (mixed) {
        add(TruncatedNormal(0.0, 1.0, 22), count, "b");
      } else {
        add(RandomNormal(1.0, 0.5, 22), count, "b");
      }
      host_plan.fill();
      device_plan.fill();
      std::vector<unsigned char> bytes(expected.size() * sizeof(float));
      std::memcpy(bytes.data(), expected.data(), bytes.size());
      expect_only(memory, 0, bytes, std::to_string(stddev));
    }
  }
}

// The kernel draws normals at half their size, so it would double the scale. The bounds here are values of bfloat16.
TEST_F(Gpu, TwiceAScaleMayBeInfinite) {
  const Initializer init = deserialize(
      R"({"class_name": "torch:trunc_normal", "config": {"mean": 0, "std": 2e38, "a": -4e38, "b": 4e38, "seed": 9}})");
  for (const DType dtype : {DType::bfloat16, DType::float32}) {
    const FillParams params = init.params({30001}, dtype);
    EXPECT_TRUE(std::isinf(static_cast<float>(params.scale) * 2.0F) && params.clamped);
    const std::vector<unsigned char> expected = host_bytes(params);
    DeviceBytes memory(expected.size());
    fill(memory.view(dtype), params);
    expect_only(memory, 0, expected, std::string(name_of(dtype)));
  }
}

TEST_F(Gpu, BlocksOfTensors) {
  const Shape shapes[] = {{40, 64}, {7, 9, 11}, {3, 5, 4, 30}, {2, 3, 4, 5, 6}, {500, 3}, {6, 1, 700}};
  std::uint64_t random = 12345;
  const auto below = [&](std::int64_t n) {
    random = random * 6364136223846793005u + 1442695040888963407u;
    return static_cast<std::int64_t>((random >> 33) % static_cast<std::uint64_t>(n));
  };
  unsigned n = 0;
  for (const Shape& shape : shapes) {
    for (int repetition = 0; repetition < 6; ++repetition) {
      Block block;
      for (const std::int64_t extent : shape) {
        block.offset.push_back(below(extent));
        block.extent.push_back(1 + below(extent - block.offset.back()));
      }
      for (const Case& c : {all_kinds()[0], all_kinds()[3], all_kinds()[4], all_kinds()[5], all_kinds()[7]}) {
        const DType dtype = all_dtypes[n % 6];
        FillParams params = c.initializer.params(shape, dtype, {.subsequence = n, .block = block});
        expect_host_bits(params, cuts()[n % 6], n % 3 * size_of(dtype), c.name + to_string(shape));
        const std::uint64_t count = params.index.count;
        if (count > 3) params = part_of(params, count / 3, count / 2);
        expect_host_bits(params, cuts()[n % 5], 0, c.name + to_string(shape) + " in part");
        ++n;
      }
    }
  }
}

TEST_F(Gpu, GridsAreTheWholeTensor) { EXPECT_EQ(test::expect_grid_equals_whole(cuda(0)), 60); }

// Rows long enough to be written by whole quads, which begin anywhere in a quad and in memory.
TEST_F(Gpu, LongRowsOfBlocksInDeviceMemory) {
  struct Blocks {
    Shape shape, parts;
    std::vector<std::int32_t> number;
  };
  const std::vector<Case> kinds{{"normal", HeNormal(1)},
                                {"uniform", GlorotUniform(1)},
                                {"window", TruncatedNormal(0.5, 2.0, 1, -1.0, 3.0)},
                                {"narrow", TruncatedNormal(0.5, 2.0, 1, 1.0, 2.0)},
                                {"tail", TruncatedNormal(0.5, 2.0, 1, -9.0, -3.0)}};
  constexpr std::uint32_t streams[8] = {7, 8, 9, 10, 0xfffffff0u, 3, 0, 0x80000000u};
  constexpr std::size_t tensors = std::size(streams) / 4;
  unsigned n = 0;
  for (const Blocks& blocks :
       {Blocks{{3, 5003}, {1, 2}, {0, 1}}, Blocks{{5, 2055}, {2, 1}, {1, 0}}, Blocks{{2, 4101}, {1, 3}, {0, 0}},
        Blocks{{1, 1031}, {1, 1}, {0, 0}}, Blocks{{2, 3, 2051}, {1, 2, 2}, {0, 1, 1}}}) {
    const std::size_t rank = blocks.shape.size();
    Shape extent;
    for (std::size_t j = 0; j < rank; ++j) {
      extent.push_back((blocks.shape[j] + blocks.parts[j] - 1) / blocks.parts[j]);
    }
    const auto count = static_cast<std::size_t>(element_count(extent));
    for (const Case& c : kinds) {
      const DType dtype = all_dtypes[n % 6] == DType::float64 ? DType::float32 : all_dtypes[n % 6];
      const std::size_t size = size_of(dtype);
      FillParams params = c.initializer.params(blocks.shape, dtype, {});
      std::vector<unsigned char> expected;
      for (std::size_t t = 0; t < tensors; ++t) {
        params.seed = streams[4 * t] | std::uint64_t{streams[4 * t + 1]} << 32;
        params.subsequence = streams[4 * t + 2] | std::uint64_t{streams[4 * t + 3]} << 32;
        const std::vector<unsigned char> whole = host_bytes(params);
        for (std::size_t element = 0; element < count; ++element) {
          std::size_t index = 0;
          std::size_t rest = element;
          std::size_t stride = 1;
          bool inside = true;
          for (std::size_t j = rank; j-- > 0;) {
            const auto along = static_cast<std::size_t>(extent[j]);
            const std::size_t at = rest % along + static_cast<std::size_t>(blocks.number[j]) * along;
            inside = inside && at < static_cast<std::size_t>(blocks.shape[j]);
            index += at * stride;
            stride *= static_cast<std::size_t>(blocks.shape[j]);
            rest /= along;
          }
          for (std::size_t b = 0; b < size; ++b) expected.push_back(inside ? whole[index * size + b] : 0);
        }
      }
      DeviceBytes told(sizeof streams + blocks.number.size() * sizeof(std::int32_t));
      unsigned char* const number = told.data() + sizeof streams;
      CUDA_OK(cudaMemcpy(told.data(), streams, sizeof streams, cudaMemcpyHostToDevice));
      CUDA_OK(cudaMemcpy(number, blocks.number.data(), rank * sizeof(std::int32_t), cudaMemcpyHostToDevice));
      const std::size_t offset = n % 5 * size;
      DeviceBytes memory(expected.size() + offset);
      fill(memory.view(dtype, offset), params,
           DeviceBlocks{blocks.shape, blocks.parts, tensors, reinterpret_cast<const std::uint32_t*>(told.data()),
                        reinterpret_cast<const std::int32_t*>(number)});
      expect_only(memory, offset, expected, c.name + to_string(blocks.shape) + std::string(name_of(dtype)));
      ++n;
    }
  }
}

// Short rows that are whole quads, which are written by whole quads, and those that are not.
TEST_F(Gpu, ShortRows) {
  unsigned n = 0;
  for (const Shape& shape : {Shape{700, 512}, Shape{90, 9, 64}, Shape{300, 37}}) {
    for (const std::int64_t columns : {4, 20, 36}) {
      for (const std::int64_t first : {0, 1}) {
        Block block{Shape(std::vector<std::int64_t>(shape.size(), 0)), shape};
        block.offset.back() = first;
        block.extent.back() = columns;
        for (const Case& c : all_kinds()) {
          const DType dtype = all_dtypes[n % 6];
          FillParams params = c.initializer.params(shape, dtype, {.subsequence = n, .block = block});
          if (n % 3 == 1) params = part_of(params, 8, params.index.count - 24);
          if (n % 3 == 2) params = part_of(params, 11, params.index.count - 17);
          expect_host_bits(params, n % 2 == 0 ? usual : cuts()[n / 2 % 6], n % 7 % 4 * size_of(dtype), c.name);
          ++n;
        }
      }
    }
  }
}

// Rows that are apart in memory: nothing between them is written.
TEST_F(Gpu, RowsApartInMemory) {
  std::vector<Case> kinds = all_kinds();
  kinds.push_back({"window", TruncatedNormal(0.5, 2.0, 1, -1.0, 3.0)});
  kinds.push_back({"narrow", TruncatedNormal(0.5, 2.0, 1, 1.0, 2.0)});
  kinds.push_back({"clamped", RandomNormal(0.0, 1.5e38, 5)});
  kinds.push_back({"identity", Identity(0.5)});
  unsigned n = 0;
  for (const std::int64_t run : {1, 2, 3, 4, 20, 67, 128, 131, 300, 1031}) {
    const std::int64_t rows = 2 + 3000 / run;
    for (const Case& c : kinds) {
      for (const DType dtype : all_dtypes) {
        ++n;
        const std::uint64_t pitch = static_cast<std::uint64_t>(run) + (n % 3 == 0 ? 4 - run % 4 : 1 + n % 7);
        const std::size_t offset = n / 2 % 4 * size_of(dtype);
        const Cut cut = n % 4 == 0 ? usual : cuts()[n % 6];
        const std::string what = c.name + (" in rows of " + std::to_string(run));
        const auto row = static_cast<std::uint64_t>(run);
        TensorOptions options{.subsequence = n};
        if (n % 2 == 0 && std::string(c.name) != "identity") {
          const std::int64_t first = n % 5;
          options.block = {{1, first}, {rows, run}};
          const FillParams params = c.initializer.params({rows + 2, run + first + n % 4}, dtype, options);
          expect_host_bits(params, cut, offset, what + " of a block", row, pitch);
        } else {
          const FillParams params = c.initializer.params({rows, run}, dtype, options);
          expect_host_bits(params, cut, offset, what, row, pitch);
        }
      }
    }
  }
  // Rows that dimensions nest, of a tensor of which none can be joined.
  for (const DType dtype : all_dtypes) {
    const Block block{{1, 2, 3}, {4, 5, 150}};
    for (const Case& c : {kinds[0], kinds[4], kinds[7]}) {
      const FillParams params = c.initializer.params({6, 9, 160}, dtype, {.subsequence = 3, .block = block});
      expect_host_bits(params, usual, 0, c.name, 150, 152);
      expect_host_bits(params, cuts()[1], size_of(dtype), c.name, 50, 53);
      expect_host_bits(params, cuts()[2], 0, c.name, 30, 32);
    }
  }
}

// Rows that are so far apart that their places in memory, or their numbers, need more than 32 bits.
TEST_F(Gpu, LastRowsOfHugeTensorsApartInMemory) {
  constexpr std::int64_t rows = std::int64_t{1} << 26;
  for (const DType dtype : all_dtypes) {
    for (const Case& c : {all_kinds()[0], all_kinds()[4], all_kinds()[7]}) {
      for (const std::uint64_t pitch : {std::uint64_t{259}, std::uint64_t{1} << 20}) {
        const FillParams whole = c.initializer.params({rows, 256}, dtype, {.subsequence = 1});
        const std::vector<unsigned char> dense_rows = host_bytes(part_of(whole, (rows - 2) * 256, 512));
        const std::size_t size = size_of(dtype);
        const std::vector<unsigned char> expected = spread(dense_rows, 256 * size, pitch * size);
        DeviceBytes memory(expected.size());
        const std::uint64_t before = (rows - 2) * pitch * size;
        FillJob job{reinterpret_cast<void*>(reinterpret_cast<std::uintptr_t>(memory.data()) - before), whole};
        job.params.index = detail::in_rows(whole.index, 256);
        job.pitch = pitch;
        OneJob one(job);
        one.cut({64, 1, 64, 1});
        ASSERT_EQ(one.launch.header.tiles, rows);  // one for each row
        gpu::EncodedJob encoded = one.job();
        encoded.tile_begin -= rows - 2;
        one.set_job(encoded);
        one.launch.header.tiles = 2;
        gpu::launch(one.launch, one.words.data());
        expect_only(memory, 0, expected, c.name);
      }
    }
  }
}

TEST_F(Gpu, Identities) {
  for (const DType dtype : all_dtypes) {
    for (const Shape& shape : {Shape{1, 1}, Shape{30, 70}, Shape{70, 30}, Shape{65, 64}}) {
      const FillParams params = Identity(0.5).params(shape, dtype, {});
      expect_host_bits(params, {64, 1, 64, 0}, size_of(dtype), to_string(shape));
      if (params.index.count > 500) expect_host_bits(part_of(params, 77, 400), {8, 1, 128, 2}, 0, to_string(shape));
    }
  }
}

// Each warp fills as many elements as in large tensors.
TEST_F(Gpu, AMillionElementsByFewWarps) {
  for (const Initializer& init : {Initializer(HeNormal(9)), Initializer(RandomNormal(0.0, 1.0, 10))}) {
    expect_host_bits(dense(init, DType::float32, 1, (1u << 20) + 3), {256, 4, 128, 1}, 0,
                     std::string(init.class_name()));
  }
}

TEST_F(Gpu, AMillionElementsAsOnOtherDevices) {
  constexpr std::uint64_t count = (1u << 20) + 3;
  const FillParams params = dense(HeNormal(9), DType::float32, 0, count);
  const std::vector<unsigned char> expected = host_bytes(params);
  DeviceBytes memory(expected.size());
  int launched = 0;
  for (const int capability : {75, 80, 86, 90, 100}) {
    const OneJob one({memory.data(), params}, facts_of(capability));
    if (!gpu::can_launch(one.launch)) {
      std::cout << "left out: a launch as for compute capability " << capability << " does not fit on this device\n";
      continue;
    }
    ++launched;
    memory.clear();
    gpu::launch(one.launch, one.words.data());
    expect_only(memory, 0, expected, std::to_string(capability));
  }
  EXPECT_GE(launched, 1);
}

// The host's part of a fill uses the default rounding mode, whatever the caller's is.
TEST_F(Gpu, UnderEveryRoundingMode) {
  constexpr std::int64_t count = 1000;
  for (const Initializer& init :
       {Initializer(HeNormal(4)), Initializer(RandomNormal(0.0, 3e38, 5)), Initializer(RandomUniform(-0.1, 0.3, 6))}) {
    for (const DType dtype : {DType::float32, DType::bfloat16, DType::float64}) {
      const std::size_t bytes = count * size_of(dtype);
      const std::vector<unsigned char> expected = host_bytes(init.params({count}, dtype, {}));
      for (const int mode : {FE_TONEAREST, FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO}) {
        DeviceBytes memory(bytes);
        {
          const RoundingMode wrong(mode);
          init.fill(memory.view(dtype), {count});
          EXPECT_EQ(std::fegetround(), mode);
        }
        expect_only(memory, 0, expected, std::string(init.class_name()) + " mode " + std::to_string(mode));
      }
    }
  }
}

TEST_F(Gpu, InitializersFillViewsAndMakeTensors) {
  const HeNormal init(42);
  std::vector<float> expected(64 * 100);
  init.fill(view(expected.data(), expected.size()), {64, 100}, {.name = "w"});
  const Tensor tensor = init({64, 100}, DType::float32, {.name = "w"});
  ASSERT_EQ(tensor.device(), cuda(0));
  std::vector<float> got(expected.size());
  CUDA_OK(cudaMemcpy(got.data(), tensor.data(), tensor.bytes(), cudaMemcpyDeviceToHost));
  EXPECT_EQ(got, expected);
  const Tensor back = tensor.to(host);
  EXPECT_EQ(std::memcmp(back.data(), expected.data(), back.bytes()), 0);
  EXPECT_EQ(std::memcmp(back.to(cuda(0)).to(host).data(), expected.data(), back.bytes()), 0);
  const Tensor empty = init({0, 100});
  EXPECT_EQ(empty.size(), 0u);
}

TEST_F(Gpu, TellsWhereMemoryIs) {
  DeviceBytes memory(16);
  int here = 0;
  EXPECT_EQ(device_of(memory.data() + 3), cuda(0));
  EXPECT_EQ(device_of(&here), host);
  EXPECT_EQ(cudaPeekAtLastError(), cudaSuccess);
}

TEST_F(Gpu, PinnedAndManagedMemoryCountAsTheDevices) {
  const HeNormal init(42);
  std::vector<float> expected(1000);
  init.fill(view(expected.data(), expected.size()), {10, 100});
  void* pinned = nullptr;
  void* managed = nullptr;
  CUDA_OK(cudaMallocHost(&pinned, 4000));
  CUDA_OK(cudaMallocManaged(&managed, 4000));
  EXPECT_EQ(device_of(pinned), host);
  EXPECT_EQ(device_of(managed), cuda(0));
  for (void* memory : {pinned, managed}) {
    init.fill({memory, DType::float32, 4000, cuda(0)}, {10, 100});
    CUDA_OK(cudaDeviceSynchronize());
    EXPECT_EQ(std::memcmp(memory, expected.data(), 4000), 0);
    std::memset(memory, 0, 4000);
    init.fill({memory, DType::float32, 4000, host}, {10, 100});  // on the CPU
    EXPECT_EQ(std::memcmp(memory, expected.data(), 4000), 0);
  }
  CUDA_OK(cudaFreeHost(pinned));
  CUDA_OK(cudaFree(managed));
}

TEST_F(Gpu, ReadsInTheOrderOfTheStream) {
  const HeNormal init(42);
  const FillParams params = init.params({64, 100}, DType::bfloat16);
  const std::vector<unsigned char> expected = host_bytes(params);
  DeviceBytes memory(expected.size());
  cudaStream_t own = nullptr;
  CUDA_OK(cudaStreamCreateWithFlags(&own, cudaStreamNonBlocking));
  for (cudaStream_t stream : {cudaStream_t{}, own}) {
    memory.clear();
    fill(memory.view(DType::bfloat16), params, {stream});
    std::vector<unsigned char> got(expected.size() + 1, DeviceBytes::untouched);
    read(got.data(), memory.view(DType::bfloat16), stream);
    EXPECT_EQ(got.back(), DeviceBytes::untouched);
    got.pop_back();
    EXPECT_EQ(got, expected);
    read(got.data(), {memory.data() + 1, DType::float64, 3, cuda(0)}, stream);  // bytes of any alignment
    EXPECT_EQ(std::memcmp(got.data(), expected.data() + 1, 3), 0);
    void* pinned = nullptr;  // copies to it do not wait by themselves
    CUDA_OK(cudaMallocHost(&pinned, expected.size()));
    read(pinned, memory.view(DType::bfloat16), stream);
    EXPECT_EQ(std::memcmp(pinned, expected.data(), expected.size()), 0);
    CUDA_OK(cudaFreeHost(pinned));
  }
  CUDA_OK(cudaStreamDestroy(own));
}

template <class Error, class F>
void expect_refusal(const F& f, const std::string& part) {
  const std::string text = test::refusal<Error>(f);
  EXPECT_NE(text.find(part), std::string::npos) << text;
  EXPECT_EQ(cudaPeekAtLastError(), cudaSuccess);
}

TEST_F(Gpu, RefusesWhatCannotBeFilled) {
  const HeNormal init(1);
  DeviceBytes memory(64);
  float on_host[16];
  expect_refusal<DeviceError>([&] { init.fill({memory.data(), DType::float32, 64, cuda(77)}, {4, 4}); }, "cuda:77");
  expect_refusal<DeviceError>([&] { preload(77); }, "cuda:77");
  expect_refusal<InvalidArgument>([&] { init.fill(memory.view(DType::float32, 1), {4}); }, "multiple");
  expect_refusal<InvalidArgument>([&] { init.fill(memory.view(DType::float32), {17}); }, "too small");
  expect_refusal<InvalidArgument>(
      [&] {
        init.fill(view(on_host, 16), {4, 4}, {}, {.device_seed = reinterpret_cast<std::uint64_t*>(memory.data())});
      },
      "seed in device memory");
  expect_refusal<InvalidArgument>([&] { read(nullptr, memory.view(DType::float32)); }, "null");
  expect_refusal<InvalidArgument>([&] { read(on_host, {nullptr, DType::float32, 64, cuda(0)}); }, "null");
  expect_refusal<DeviceError>([&] { read(on_host, {memory.data(), DType::float32, 64, cuda(77)}); }, "cuda:77");
  expect_refusal<InvalidArgument>([&] { use_on_device(view(on_host, 16)); }, "device");
  expect_only(memory, 0, {}, "untouched");
}

// View documents this.
TEST_F(Gpu, OrdinaryMemoryIsFilledWhereTheDeviceCanAccessIt) {
  const HeNormal init(1);
  std::vector<float> memory(1000);
  const View there{memory.data(), DType::float32, 4000, cuda(0)};
  int can_access = 0;
  CUDA_OK(cudaDeviceGetAttribute(&can_access, cudaDevAttrPageableMemoryAccess, 0));
  if (can_access == 0) {
    expect_refusal<InvalidArgument>([&] { init.fill(there, {10, 100}); }, "ordinary host memory");
    expect_refusal<InvalidArgument>([&] { read(memory.data(), there); }, "ordinary host memory");
    EXPECT_EQ(memory, std::vector<float>(1000));
    return;
  }
  std::vector<float> expected(1000);
  init.fill(view(expected.data(), 1000), {10, 100});
  init.fill(there, {10, 100});
  std::vector<float> got(1000);
  read(got.data(), there);
  EXPECT_EQ(got, expected);
  EXPECT_EQ(memory, expected);
}

// ---- plans --------------------------------------------------------------------------------------------------------

// A graph of the work that f() puts on the stream.
class Captured {
 public:
  template <class F>
  explicit Captured(const F& f) {
    EXPECT_EQ(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), cudaSuccess);
    EXPECT_EQ(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeGlobal), cudaSuccess);
    f(stream_);
    EXPECT_EQ(cudaStreamEndCapture(stream_, &graph_), cudaSuccess);
  }
  ~Captured() {
    if (executable_ != nullptr) cudaGraphExecDestroy(executable_);
    cudaGraphDestroy(graph_);
    cudaStreamDestroy(stream_);
  }
  std::size_t nodes() const {
    std::size_t n = 0;
    EXPECT_EQ(cudaGraphGetNodes(graph_, nullptr, &n), cudaSuccess);
    return n;
  }
  void replay() {
    if (executable_ == nullptr) {
      ASSERT_EQ(cudaGraphInstantiate(&executable_, graph_, 0), cudaSuccess);
    }
    ASSERT_EQ(cudaGraphLaunch(executable_, stream_), cudaSuccess);
    ASSERT_EQ(cudaStreamSynchronize(stream_), cudaSuccess);
  }

 private:
  cudaStream_t stream_ = nullptr;
  cudaGraph_t graph_ = nullptr;
  cudaGraphExec_t executable_ = nullptr;
};

// GPT-2's 148 tensors, with its 768 features divided by `divisor`.
std::vector<Shape> gpt2(std::int64_t divisor) {
  const std::int64_t d = 768 / divisor;
  std::vector<Shape> shapes{{50257 / divisor, d}, {1024 / divisor, d}, {d}, {d}};
  for (int layer = 0; layer < 12; ++layer) {
    for (const Shape& shape : {Shape{d}, Shape{d}, Shape{d, 3 * d}, Shape{3 * d}, Shape{d, d}, Shape{d}, Shape{d},
                               Shape{d}, Shape{d, 4 * d}, Shape{4 * d}, Shape{4 * d, d}, Shape{d}}) {
      shapes.push_back(shape);
    }
  }
  return shapes;
}

const Initializer& initializer_for(const Shape& shape, std::size_t n) {
  static const RandomNormal normal(0.0, 0.02, 7);
  static const HeNormal he(7);
  static const LecunUniform lecun(7);
  static const Zeros zeros;
  static const Ones ones;
  if (shape.size() == 1) return n % 2 == 0 ? static_cast<const Initializer&>(zeros) : ones;
  return n % 3 == 0   ? static_cast<const Initializer&>(normal)
         : n % 3 == 1 ? static_cast<const Initializer&>(he)
                      : lecun;
}

// The same plan for the device and the host, with memory for each entry.
struct Twin {
  Plan device, host;
  std::vector<std::size_t> offsets;
  std::size_t bytes = 0;

  Twin(const std::vector<Shape>& shapes, const std::vector<DType>& dtypes) {
    for (std::size_t n = 0; n < shapes.size(); ++n) {
      const DType dtype = dtypes[n % dtypes.size()];
      bytes += (8 - bytes % 8) % 8;
      offsets.push_back(bytes);
      bytes += static_cast<std::size_t>(element_count(shapes[n])) * size_of(dtype);
    }
  }
  void add(const std::vector<Shape>& shapes, const std::vector<DType>& dtypes, unsigned char* there,
           unsigned char* here) {
    for (std::size_t n = 0; n < shapes.size(); ++n) {
      const DType dtype = dtypes[n % dtypes.size()];
      const std::size_t size = static_cast<std::size_t>(element_count(shapes[n])) * size_of(dtype);
      const Initializer& init = initializer_for(shapes[n], n);
      const std::string name = "tensor." + std::to_string(n);
      device.add(init, {there + offsets[n], dtype, size, cuda(0)}, shapes[n], name);
      if (here != nullptr) host.add(init, {here + offsets[n], dtype, size, fanin::host}, shapes[n], name);
    }
  }
};

TEST_F(Gpu, AFillIsOneNodeOfAGraph) {
  preload();
  const HeNormal init(3);
  const std::vector<unsigned char> expected = host_bytes(init.params({10, 100}, DType::float32, {.name = "w"}));
  DeviceBytes memory(expected.size());
  Captured graph([&](cudaStream_t stream) {
    init.fill(memory.view(DType::float32), {10, 100}, {.name = "w"}, {.stream = stream});
  });
  EXPECT_EQ(graph.nodes(), 1u);
  graph.replay();
  expect_only(memory, 0, expected, "replayed");
}

TEST_F(Gpu, AReadIsRefusedDuringACaptureWhichGoesOn) {
  preload();
  DeviceBytes memory(64);
  float on_host[16];
  Captured graph([&](cudaStream_t stream) {
    expect_refusal<InvalidArgument>([&] { read(on_host, memory.view(DType::float32), stream); }, "captured");
    Ones().fill(memory.view(DType::float32), {16}, {}, {.stream = stream});
  });
  EXPECT_EQ(graph.nodes(), 1u);
}

// The default stream must not be used while another one is captured.
TEST_F(Gpu, ErrorsNameCudas) {
  DeviceBytes memory(4000);
  cudaStream_t stream = nullptr;
  CUDA_OK(cudaStreamCreate(&stream));
  CUDA_OK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal));
  expect_refusal<DeviceError>(
      [&] {
        HeNormal(3).fill(memory.view(DType::float32), {10, 100});
      },
      "cudaErrorStreamCapture");
  cudaGraph_t graph = nullptr;
  cudaStreamEndCapture(stream, &graph);
  cudaGetLastError();
  CUDA_OK(cudaStreamDestroy(stream));
  expect_only(memory, 0, std::vector<unsigned char>(4000, DeviceBytes::untouched), "refused");
}

TEST_F(Gpu, APlanIsOneLaunchAndEqualsTheHosts) {
  for (const std::vector<DType>& dtypes :
       {std::vector<DType>{DType::float32}, std::vector<DType>(std::begin(all_dtypes), std::end(all_dtypes))}) {
    const std::vector<Shape> shapes = gpt2(32);
    ASSERT_EQ(shapes.size(), 148u);
    Twin twin(shapes, dtypes);
    DeviceBytes memory(twin.bytes);
    std::vector<unsigned char> expected(twin.bytes, DeviceBytes::untouched);
    twin.add(shapes, dtypes, memory.data(), expected.data());
    twin.host.fill();
    twin.device.fill();
    expect_only(memory, 0, expected, "at once");
    preload();
    Captured graph([&](cudaStream_t stream) { twin.device.fill({stream}); });
    EXPECT_EQ(graph.nodes(), dtypes.size() == 1 ? 1u : 2u);  // one more for float64
    memory.clear();
    graph.replay();
    expect_only(memory, 0, expected, "replayed");
  }
}

TEST_F(Gpu, Gpt2IsOneLaunch) {
  const std::vector<Shape> shapes = gpt2(1);
  Twin twin(shapes, {DType::float32});
  void* memory = nullptr;
  CUDA_OK(cudaMalloc(&memory, twin.bytes));
  twin.add(shapes, {DType::float32}, static_cast<unsigned char*>(memory), nullptr);
  EXPECT_EQ(twin.device.workspace_size(0), 0u);
  const Captured graph([&](cudaStream_t stream) { twin.device.fill({stream}); });
  EXPECT_EQ(graph.nodes(), 1u);
  CUDA_OK(cudaFree(memory));
}

TEST_F(Gpu, TenThousandTensorsAreOneLaunchAfterUpload) {
  std::vector<Shape> shapes;
  for (int n = 0; n < 10000; ++n) shapes.push_back(n % 4 == 0 ? Shape{n % 30} : Shape{n % 5, 3});
  const std::vector<DType> dtypes(std::begin(all_dtypes), std::end(all_dtypes));
  Twin twin(shapes, dtypes);
  DeviceBytes memory(twin.bytes);
  std::vector<unsigned char> expected(twin.bytes, DeviceBytes::untouched);
  twin.add(shapes, dtypes, memory.data(), expected.data());
  twin.host.fill();
  twin.device.fill();  // in several launches
  expect_only(memory, 0, expected, "in parts");

  const std::size_t needed = twin.device.workspace_size(0);
  ASSERT_GT(needed, 0u);
  DeviceBytes workspace(needed);
  expect_refusal<InvalidArgument>(
      [&] {
        twin.device.upload({workspace.data(), DType::float32, needed - 1, cuda(0)});
      },
      "too small");
  twin.device.upload(workspace.view(DType::float32));
  memory.clear();
  Captured graph([&](cudaStream_t stream) { twin.device.fill({stream}); });
  EXPECT_EQ(graph.nodes(), 2u);  // one more for float64
  graph.replay();
  expect_only(memory, 0, expected, "uploaded");
}

void fill_from_c(DeviceBytes& memory, const std::uint64_t* seed) {
  memory.clear();
  fanin_initializer* initializer = nullptr;
  ASSERT_EQ(fanin_make("he_normal", 99, &initializer), FANIN_OK);
  const std::int64_t shape[] = {30, 50};
  fanin_fill_args args = FANIN_FILL_INIT;
  args.address = memory.data();
  args.capacity = 6000;
  args.cuda_device = 0;
  args.rank = 2;
  args.shape = shape;
  args.name = "a";
  args.device_seed = seed;
  EXPECT_EQ(fanin_preload(0), FANIN_OK) << fanin_last_error();
  EXPECT_EQ(fanin_fill(initializer, &args), FANIN_OK) << fanin_last_error();
  fanin_free(initializer);
}

TEST_F(Gpu, ASeedInDeviceMemoryMakesAReplayDiffer) {
  const std::vector<Shape> shapes{{30, 50}, {50}, {20, 10}};
  DeviceBytes memory(30 * 50 * 4 + 200 * 8);
  DeviceBytes seed(8);
  Plan plan;
  plan.add(HeNormal(5), memory.view(DType::float32), {30, 50}, "a");
  plan.add(RandomUniform(-1.0, 2.0, 5), memory.view(DType::float64, 6000), {20, 10}, "b");
  const auto* address = reinterpret_cast<const std::uint64_t*>(seed.data());
  Captured graph([&](cudaStream_t stream) { plan.fill({stream, 0, CpuTarget::automatic, address}); });
  for (const std::uint64_t value : {std::uint64_t{5}, std::uint64_t{6}, ~std::uint64_t{0} >> 1}) {
    CUDA_OK(cudaMemcpy(seed.data(), &value, 8, cudaMemcpyHostToDevice));
    std::vector<unsigned char> expected(6000 + 1600);
    HeNormal(value).fill({expected.data(), DType::float32, 6000, host}, {30, 50}, {.name = "a"});
    RandomUniform(-1.0, 2.0, value).fill({expected.data() + 6000, DType::float64, 1600, host}, {20, 10}, {.name = "b"});
    graph.replay();
    expect_only(memory, 0, expected, std::to_string(value));
    memory.clear();
    HeNormal(99).fill(memory.view(DType::float32), {30, 50}, {.name = "a"}, {.device_seed = address});
    expected.resize(6000);
    expect_only(memory, 0, expected, "a fill of its own");
    fill_from_c(memory, address);
    expect_only(memory, 0, expected, "from C");
  }
  DeviceBytes more(4);
  plan.add(HeNormal(6), more.view(DType::float32), {1}, "c");
  expect_refusal<InvalidArgument>([&] { plan.fill({nullptr, 0, CpuTarget::automatic, address}); }, "seeds 5 and 6");
}

TEST_F(Gpu, AMasterAndItsCopiesAreOnePass) {
  const Shape shape{37, 55};
  const std::size_t count = 37 * 55;
  const DType dtypes[] = {DType::float32, DType::bfloat16, DType::float16, DType::float8_e4m3fn, DType::bfloat16};
  for (const Case& c : {all_kinds()[0], all_kinds()[5]}) {
    DeviceBytes memory(count * 11 + 64);
    std::vector<unsigned char> expected(count * 11 + 64, DeviceBytes::untouched);
    Plan plan;
    std::size_t offset = 0;
    for (std::size_t n = 0; n < 5; ++n) {
      const std::size_t bytes = count * size_of(dtypes[n]);
      offset += offset % 2;
      const View there{memory.data() + offset, dtypes[n], bytes, cuda(0)};
      if (n == 0) {
        plan.add(c.initializer, there, shape, "w");
      } else {
        plan.add_copy(0, there);
      }
      c.initializer.fill({expected.data() + offset, dtypes[n], bytes, host}, shape, {.name = "w"});
      offset += bytes;
    }
    plan.fill();
    expect_only(memory, 0, expected, c.name);
  }
  // An original and its copies are one job.
  std::vector<FillJob> jobs;
  for (std::size_t n = 0; n < 5; ++n) {
    jobs.push_back(
        {nullptr, HeNormal(1).params(shape, dtypes[n], {.name = "w"}), 0, n < 4 ? n + 1 : FillJob::none, n > 0});
  }
  const Launches launches(jobs);
  ASSERT_EQ(launches.all.size(), 1u);
  EXPECT_EQ(launches.all[0].header.jobs, 1u);
}

// Jobs and their copies, each with memory of its own.
class Pass {
 public:
  // Of an original with elements first ... first + count - 1 of a tensor.
  void add(const Initializer& initializer, DType dtype, std::uint64_t first, std::uint64_t count) {
    put(dense(initializer, dtype, first, count));
    initializer_ = initializer;
    first_ = first;
  }
  void add_copy(DType dtype, std::uint64_t begin, std::uint64_t count) {
    put(dense(*initializer_, dtype, first_ + begin, count));
    jobs_.back().is_copy = true;
    jobs_.back().copy_begin = begin;
    jobs_[jobs_.size() - 2].next_copy = jobs_.size() - 1;
  }
  // Any original, and copies of all of it.
  void add(const FillParams& params) { put(params); }
  void add_copy(const FillParams& params) {
    put(params);
    jobs_.back().is_copy = true;
    jobs_[jobs_.size() - 2].next_copy = jobs_.size() - 1;
  }

  // Fills all of them. Returns the number of launches of each kernel.
  std::pair<int, int> expect_host_bits(const Cut& cut, const std::string& what) {
    DeviceBytes memory(expected_.size());
    std::pair<int, int> launches;
    std::vector<FillJob> jobs = jobs_;
    for (FillJob& job : jobs) job.address = memory.data() + reinterpret_cast<std::uintptr_t>(job.address);
    std::vector<std::uint64_t> words(sizeof(gpu::LargeParameters::data) / 8);
    for (const gpu::Kernel kernel : {gpu::Kernel::fast, gpu::Kernel::general}) {
      gpu::Launch launch{};
      EXPECT_EQ(gpu::encode_launch(jobs.data(), 0, jobs.size(), kernel, h200(), words.data(), words.size(), &launch),
                jobs.size());
      if (launch.words == 0) continue;
      ++(kernel == gpu::Kernel::fast ? launches.first : launches.second);
      if (cut.table_copies != 0) launch.header.table_copies = cut.table_copies;
      if (cut.threads != 0) launch.threads = cut.threads;
      if (cut.blocks != 0) launch.blocks = cut.blocks;
      launch.shared_bytes =
          gpu::shared_bytes(launch.header.tables, launch.header.table_copies, launch.header.waits != 0, launch.threads,
                            launch.header.copies * gpu::turn_bytes);
      gpu::launch(launch, words.data());
    }
    expect_only(memory, 0, expected_, what);
    return launches;
  }

 private:
  void put(const FillParams& params) {
    const std::size_t size = size_of(params.dtype);
    const std::size_t place = (expected_.size() / 16 + 2) * 16 + jobs_.size() * 7 % 5 * size;
    expected_.resize(place, DeviceBytes::untouched);
    jobs_.push_back({reinterpret_cast<void*>(place), params});  // later the memory's address is added
    const std::vector<unsigned char> bytes = host_bytes(params);
    expected_.insert(expected_.end(), bytes.begin(), bytes.end());
  }

  std::vector<unsigned char> expected_;
  std::vector<FillJob> jobs_;
  std::optional<Initializer> initializer_;
  std::uint64_t first_ = 0;
};

constexpr DType narrow_dtypes[] = {DType::float32, DType::bfloat16, DType::float16, DType::float8_e4m3fn,
                                   DType::float8_e5m2};

std::vector<Case> kinds_with_copies() {
  return {{"HeNormal", HeNormal(1)},
          {"uniform", RandomUniform(0.25, 3.0, 6)},
          {"GlorotUniform", GlorotUniform(5)},
          {"truncated with a mean", TruncatedNormal(-0.5, 0.25, 4)},
          {"clamped", RandomNormal(0.0, 1.5e38, 5)},
          {"window", TruncatedNormal(0.5, 2.0, 1, -1.0, 3.0)},
          {"narrow", TruncatedNormal(0.5, 2.0, 1, 1.0, 2.0)},
          {"tiny uniform", RandomUniform(-1e-37, 1e-37, 6)}};
}

TEST_F(Gpu, CopiesOfEveryPairOfDtypes) {
  unsigned n = 0;
  for (const Case& c : kinds_with_copies()) {
    for (const DType original : narrow_dtypes) {
      for (const DType copy : narrow_dtypes) {
        ++n;
        const std::uint64_t count = 5000 + n % 9;
        Pass pass;
        pass.add(c.initializer, original, n % 7, count);
        pass.add_copy(copy, 0, count);
        const Cut cut{0, 1u << n % 6, 64 + 32 * (n % 3), 1 + n % 2};
        const auto launches = pass.expect_host_bits(n % 5 == 0 ? usual : cut, c.name);
        EXPECT_EQ(launches, n <= 5 * 25 ? std::pair(1, 0) : std::pair(0, 1)) << c.name;
      }
    }
  }
}

// Ranges that begin and end anywhere, of which some share elements, and some are empty or all.
TEST_F(Gpu, CopiesOfRanges) {
  std::uint64_t random = 99;
  const auto below = [&](std::uint64_t n) {
    random = random * 6364136223846793005u + 1442695040888963407u;
    return (random >> 33) % n;
  };
  for (int repetition = 0; repetition < 60; ++repetition) {
    for (const Case& c : kinds_with_copies()) {
      const std::uint64_t count = below(repetition % 3 == 0 ? 40 : 6000) + 1;
      Pass pass;
      pass.add(c.initializer, narrow_dtypes[below(5)], below(9), count);
      for (std::uint64_t copies = below(FillJob::max_copies) + 1; copies > 0; --copies) {
        const std::uint64_t begin = below(4) == 0 ? 0 : below(count);
        const std::uint64_t rest = count - begin;
        pass.add_copy(narrow_dtypes[below(5)], begin, below(4) == 0 ? rest : below(rest) + 1);
      }
      const Cut cut{0, 0, static_cast<std::uint32_t>(32 + 32 * below(4)), static_cast<std::uint32_t>(below(3) + 1)};
      pass.expect_host_bits(cut, c.name + (" number " + std::to_string(repetition)));
    }
  }
}

// Beyond 2^32 elements, where quads have other high words.
TEST_F(Gpu, CopiesOfHugeTensors) {
  for (const std::uint64_t first :
       {(std::uint64_t{1} << 32) - 3001, (std::uint64_t{1} << 34) - 3000, (std::uint64_t{1} << 56) - 6002}) {
    for (const Case& c : kinds_with_copies()) {
      Pass pass;
      pass.add(c.initializer, DType::bfloat16, first, 6002);
      pass.add_copy(DType::float32, 0, 6002);
      pass.add_copy(DType::float16, 2999, 1003);
      pass.expect_host_bits({0, 32, 64, 1}, c.name);
    }
  }
}

TEST_F(Gpu, CopiesOfRows) {
  unsigned n = 0;
  for (const std::int64_t columns : {8, 37, 200, 1031}) {
    for (const Case& c : kinds_with_copies()) {
      const std::int64_t rows = 2 + 4000 / columns;
      const Block block{{1, n % 3}, {rows, columns}};
      const auto params = [&](DType dtype) {
        return c.initializer.params({rows + 1, columns + n % 4 + 2}, dtype, {.subsequence = n, .block = block});
      };
      Pass pass;
      pass.add(params(narrow_dtypes[n % 5]));
      pass.add_copy(params(narrow_dtypes[n / 2 % 5]));
      pass.add_copy(params(narrow_dtypes[n / 3 % 5]));
      pass.expect_host_bits({0, 1, 64, 1 + n % 2}, c.name + (" in rows of " + std::to_string(columns)));
      ++n;
    }
  }
}

// Jobs with copies and others, in one launch.
TEST_F(Gpu, APlanWithMastersShardsAndSlicesIsOneLaunch) {
  const auto add_to = [](Plan& plan, unsigned char* at, Device device) {
    const auto view_at = [&](std::size_t offset, DType dtype, std::size_t leading = 0) {
      return View{at + offset, dtype, 32768, device, leading};
    };
    const std::size_t a = plan.add(HeNormal(5), view_at(0, DType::bfloat16), {64, 128}, "a");
    plan.add_copy(a, view_at(32768, DType::float32), {.elements = ElementRange{2049, 3001}});
    const std::size_t b = plan.add(GlorotUniform(5), view_at(65536, DType::float32), {64, 128}, "b");
    plan.add_copy(b, view_at(98304, DType::bfloat16));
    plan.add(HeNormal(5), view_at(131072, DType::float32, 136), {32, 132}, "c");
    plan.add(Ones(), view_at(163840, DType::float16, 100), {20, 99}, "d");
    plan.add(Identity(), view_at(196608, DType::float32, 40), {36, 36}, "e");
    plan.add(LecunNormal(5), view_at(229376, DType::float8_e5m2), {64, 128}, "f");
    plan.add(Zeros(), view_at(262144, DType::float8_e4m3fn), {777}, "g");
  };
  constexpr std::size_t bytes = 9 * 32768;
  DeviceBytes memory(bytes);
  std::vector<unsigned char> expected(bytes, DeviceBytes::untouched);
  Plan there;
  Plan here;
  add_to(there, memory.data(), cuda(0));
  add_to(here, expected.data(), host);
  EXPECT_EQ(there.launches(0), 1u);
  here.fill();
  there.fill();
  expect_only(memory, 0, expected, "a plan");
}

TEST_F(Gpu, ACallNumberInDeviceMemoryMakesAReplayDiffer) {
  constexpr std::int64_t count = 3000;
  const HeNormal normal(5);
  const RandomUniform uniform(-1.0, 2.0, 5);
  const TruncatedNormal window(0.5, 2.0, 5, -1.0, 3.0);
  DeviceBytes memory(count * (4 + 2 + 8 + 4));
  DeviceBytes told(16);
  const auto* const call = reinterpret_cast<const std::uint64_t*>(told.data());
  Plan plan;
  plan.add(normal, memory.view(DType::float32), {count}, "a");
  plan.add_copy(0, memory.view(DType::bfloat16, 4 * count));
  plan.add(uniform, memory.view(DType::float64, 6 * count), {count}, "b");
  plan.add(window, memory.view(DType::float32, 14 * count), {count}, "c");
  preload();
  Captured calls([&](cudaStream_t stream) { plan.fill({.stream = stream, .device_call = call}); });
  Captured both(
      [&](cudaStream_t stream) { plan.fill({.stream = stream, .device_seed = call + 1, .device_call = call}); });
  for (const std::uint64_t number : {std::uint64_t{0}, std::uint64_t{1}, ~std::uint64_t{0} - 2}) {
    for (const std::uint64_t seed : {std::uint64_t{5}, std::uint64_t{1} << 40}) {
      const std::uint64_t values[2] = {number, seed};
      CUDA_OK(cudaMemcpy(told.data(), values, sizeof values, cudaMemcpyHostToDevice));
      std::vector<unsigned char> expected;
      const auto expect = [&](const Initializer& init, DType dtype, const char* name) {
        FillParams params = init.params({count}, dtype, {.name = name});
        params.seed = seed;
        params.subsequence += number;
        const std::vector<unsigned char> bytes = host_bytes(params);
        expected.insert(expected.end(), bytes.begin(), bytes.end());
      };
      expect(normal, DType::float32, "a");
      expect(normal, DType::bfloat16, "a");
      expect(uniform, DType::float64, "b");
      expect(window, DType::float32, "c");
      memory.clear();
      (seed == 5 ? calls : both).replay();
      expect_only(memory, 0, expected, std::to_string(number));
      if (seed != 5) continue;
      memory.clear();
      normal.fill(memory.view(DType::float32), {count}, {.name = "a"}, {.device_call = call});
      expected.resize(4 * count);
      expect_only(memory, 0, expected, "a fill of its own");
    }
  }
}

TEST_F(Gpu, ManyThreadsFillAtOnce) {
  constexpr int threads = 8;
  std::vector<std::vector<float>> got(threads, std::vector<float>(4000));
  std::vector<std::thread> running;
  for (int t = 0; t < threads; ++t) {
    running.emplace_back([&got, t] {
      cudaStream_t stream = nullptr;
      ASSERT_EQ(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), cudaSuccess);
      DeviceBytes memory(16000);
      for (int repetition = 0; repetition < 5; ++repetition) {
        HeNormal(t).fill(memory.view(DType::float32), {40, 100}, {}, {.stream = stream});
      }
      ASSERT_EQ(cudaMemcpyAsync(got[static_cast<std::size_t>(t)].data(), memory.data(), 16000, cudaMemcpyDeviceToHost,
                                stream),
                cudaSuccess);
      ASSERT_EQ(cudaStreamSynchronize(stream), cudaSuccess);
      ASSERT_EQ(cudaStreamDestroy(stream), cudaSuccess);
    });
  }
  for (std::thread& thread : running) thread.join();
  for (int t = 0; t < threads; ++t) {
    std::vector<float> expected(4000);
    HeNormal(t).fill(view(expected.data(), expected.size()), {40, 100});
    EXPECT_EQ(got[static_cast<std::size_t>(t)], expected) << t;
  }
}

TEST(GpuPolicy, FitsIntoTheSharedMemoryOfItsDevice) {
  for (const int capability : {75, 80, 86, 87, 89, 90, 100, 103, 120}) {
    // The shared memory of a block, from the CUDA programming guide's table of compute capabilities, minus the part
    // that the back end reserves for the kernel.
    const std::uint32_t kibibytes = capability < 80                                             ? 64
                                    : capability == 80 || capability == 87                      ? 163
                                    : capability == 86 || capability == 89 || capability >= 120 ? 99
                                                                                                : 227;
    const gpu::DeviceFacts device{capability, 132, kibibytes * 1024 - 1024};
    for (const std::uint32_t tables : {0u, 1u, 2u, 3u}) {
      for (std::uint64_t tiles = 1; tiles < std::uint64_t{1} << 31; tiles *= 3) {
        const gpu::Policy policy = gpu::policy_for(device, tables, true, tiles);
        EXPECT_LE(policy.shared_bytes, device.shared_bytes_per_block);
        EXPECT_EQ(policy.threads % 32, 0u);
        EXPECT_LE(policy.threads, 384u);  // 65536 registers, and a thread uses 168
        EXPECT_GE(policy.blocks, 1u);
        EXPECT_LE(policy.blocks, 132u);
        // Each lane has its own bank, unless two tables do not fit.
        EXPECT_EQ(policy.table_copies, capability < 80 && tables == 3 ? 16u : 32u);
        EXPECT_LE(gpu::policy_for(device, tables, true, tiles, gpu::turn_bytes).shared_bytes,
                  device.shared_bytes_per_block);
      }
    }
    EXPECT_EQ(gpu::policy_for(device, 0, false, 1000).shared_bytes, 0u);
  }
}

// The average load of a device's multiprocessors, relative to the busiest one, if all tiles take the same time.
double busy(const gpu::Launch& launch, std::uint32_t multiprocessors) {
  const std::uint32_t warps = launch.blocks * (launch.threads / 32);
  std::uint64_t most = 0;
  for (std::uint32_t block = 0; block < launch.blocks; ++block) {
    std::uint64_t tiles = 0;
    for (std::uint32_t warp = block; warp < warps; warp += launch.blocks) {
      tiles += launch.header.tiles / warps + (warp < launch.header.tiles % warps ? 1 : 0);
    }
    most = std::max(most, tiles);
  }
  return static_cast<double>(launch.header.tiles) / (static_cast<double>(most) * multiprocessors);
}

TEST(GpuPolicy, KeepsAllMultiprocessorsBusy) {
  for (const Shape& shape : {Shape{768, 3072}, Shape{1600, 1600}, Shape{(1 << 20) + 4}, Shape{1 << 28}}) {
    for (const DType dtype : {DType::float32, DType::bfloat16}) {
      const OneJob one({nullptr, HeNormal(1).params(shape, dtype, {})});
      EXPECT_GE(busy(one.launch, 132), 0.85) << to_string(shape);
    }
  }
}

// Tiles of cheaper elements have more elements.
TEST(GpuPolicy, TilesAreWeightedByWhatTheyCost) {
  const auto slots = [](const Initializer& init, DType dtype) {
    return OneJob({nullptr, init.params({1 << 20}, dtype, {})}).job().tile_slots;
  };
  EXPECT_GT(slots(Zeros(), DType::bfloat16), slots(Zeros(), DType::float32));
  EXPECT_GE(slots(Zeros(), DType::float32), slots(HeNormal(1), DType::float32));
  EXPECT_GT(slots(HeNormal(1), DType::float32), slots(HeNormal(1), DType::float64));
  EXPECT_GT(slots(HeNormal(1), DType::float32), slots(TruncatedNormal(0, 1, 1, 0, 5), DType::float32));
  EXPECT_GT(slots(TruncatedNormal(0, 1, 1, 0, 5), DType::float32),
            slots(TruncatedNormal(0, 1, 1, 1, 2), DType::float32));
  for (const gpu::Draw draw : {gpu::Draw::normal, gpu::Draw::unit, gpu::Draw::windowed_normal}) {
    EXPECT_LT(gpu::tile_slots(draw, 4, true, 1), gpu::tile_slots(draw, 4, true, 0));
    EXPECT_GE(gpu::tile_slots(draw, 4, true, FillJob::max_copies), 1u);
  }
}

TEST(GpuPlan, FiveHundredTensorsFitIntoTheParametersOfALaunch) {
  std::vector<FillJob> jobs;
  float memory[4];
  for (int n = 0; n < 500; ++n) {
    jobs.push_back(
        {memory, HeNormal(n).params({2, 2}, DType::float32, {.subsequence = static_cast<std::uint64_t>(n)})});
  }
  EXPECT_EQ(Launches(jobs).all.size(), 1u);
}

}  // namespace
}  // namespace fanin
