// SPDX-License-Identifier: Apache-2.0
// Tests plans: the same bits as separate fills, and refusals that leave a plan unchanged.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <limits>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "fanin/fanin.hpp"
#include "support/test_support.h"

namespace {

using fanin::DType;
using fanin::Initializer;
using fanin::InvalidArgument;
using fanin::Plan;
using fanin::Seed;
using fanin::Shape;
using fanin::size_of;
using fanin::TensorOptions;
using fanin::View;
using fanin::test::all_dtypes;
using fanin::test::Bytes;
using fanin::test::Choices;
using fanin::test::expect_refused;
using fanin::test::filled;
using fanin::test::poison;
using fanin::test::with_block;
using fanin::test::with_name;
using fanin::test::with_subsequence;

// Poisoned memory that is handed out in pieces, with a gap after each. The remaining poison shows what was not written.
class Arena {
 public:
  explicit Arena(std::size_t bytes) : memory_(bytes / sizeof(double)) { clear(); }

  void clear() { std::memset(memory_.data(), poison, memory_.size() * sizeof(double)); }

  // `misalign` elements past a multiple of 8 bytes.
  View take(DType dtype, std::uint64_t count, std::size_t misalign = 0) {
    const std::size_t bytes = count * size_of(dtype);
    const std::size_t first = (end_ + 7) / 8 * 8 + misalign * size_of(dtype);
    EXPECT_LE(first + bytes + gap, memory_.size() * sizeof(double)) << "the arena is too small";
    end_ = first + bytes + gap;
    taken_.emplace_back(first, bytes);
    return {base() + first, dtype, bytes, fanin::host};
  }

  // Memory that was not handed out is unchanged.
  testing::AssertionResult gaps_untouched() const {
    std::size_t at = 0;
    for (const auto& [first, bytes] : taken_) {
      if (!fanin::test::all_poison(base() + at, base() + first))
        return testing::AssertionFailure() << "before " << first;
      at = first + bytes;
    }
    if (!fanin::test::all_poison(base() + at, base() + memory_.size() * sizeof(double)))
      return testing::AssertionFailure() << "at the end";
    return testing::AssertionSuccess();
  }

 private:
  static constexpr std::size_t gap = 3;

  unsigned char* base() { return reinterpret_cast<unsigned char*>(memory_.data()); }
  const unsigned char* base() const { return reinterpret_cast<const unsigned char*>(memory_.data()); }

  std::vector<double> memory_;  // aligned for every dtype
  std::size_t end_ = 0;
  std::vector<std::pair<std::size_t, std::size_t>> taken_;
};

bool holds(const View& view, const Bytes& expected) {
  const auto* first = static_cast<const unsigned char*>(view.address);
  return std::equal(first, first + view.capacity, expected.begin(), expected.end());
}

bool untouched(const View& view) {
  const auto* first = static_cast<const unsigned char*>(view.address);
  return fanin::test::all_poison(first, first + view.capacity);
}

// The arguments of a plan's entry, and the bytes that a separate fill gives.
struct Entry {
  Initializer initializer;
  Shape shape;
  TensorOptions options;
  View view;
  Bytes expected;
};

Initializer initializer_number(std::uint64_t number, std::uint64_t seed) {
  switch (number % 11) {
    case 0:
      return fanin::HeNormal(seed);
    case 1:
      return fanin::GlorotUniform(seed);
    case 2:
      return fanin::RandomNormal(0.25, 0.5, seed);
    case 3:
      return fanin::RandomUniform(0, 1, seed);
    case 4:
      return fanin::TruncatedNormal(0, 0.02, seed);
    case 5:
      return fanin::LecunUniform(seed);
    case 6:
      return fanin::VarianceScaling(0.5, "fan_out", "untruncated_normal", seed);
    case 7:
      return fanin::Constant(0.75);
    case 8:
      return fanin::Zeros();
    case 9:
      return fanin::Identity(2);
    default:
      return fanin::Ones();
  }
}

// 300 tensors of mixed kinds, dtypes, sizes and blocks. Each has a name, and therefore its own draws.
std::vector<Entry> mixed_entries(Arena& arena) {
  std::vector<Entry> entries;
  Choices choices(1);
  for (std::uint64_t j = 0; j < 300; ++j) {
    const DType dtype = all_dtypes[choices.below(all_dtypes.size())];
    const Initializer initializer = initializer_number(j, choices.below(3));
    const bool matrix = initializer.class_name() == "Identity";
    Shape shape;
    for (std::uint64_t rank = matrix ? 2 : choices.below(4); rank > 0; --rank) {
      shape.push_back(static_cast<std::int64_t>(choices.below(j % 50 == 1 ? 60 : 13)));
    }
    if (j % 60 == 20 || j % 60 == 30) shape = {1021, 761};  // some that are shared among threads
    TensorOptions options = with_name("tensor/" + std::to_string(j));
    if (!matrix && j % 3 == 0) {
      for (const std::int64_t extent : shape) {
        const auto bound = static_cast<std::uint64_t>(extent) + 1;
        options.block.offset.push_back(static_cast<std::int64_t>(choices.below(bound)));
        options.block.extent.push_back(
            static_cast<std::int64_t>(choices.below(bound - static_cast<std::uint64_t>(options.block.offset.back()))));
      }
    }
    if (j % 7 == 0) options.layout = fanin::Layout::oihw;
    Bytes expected = filled(initializer, shape, dtype, options);
    const View view = arena.take(dtype, expected.size() / size_of(dtype), choices.below(8 / size_of(dtype)));
    entries.push_back({initializer, shape, options, view, std::move(expected)});
  }
  return entries;
}

TEST(Plan, EqualsSeparateFills) {
  Arena arena(96 << 20);
  const std::vector<Entry> entries = mixed_entries(arena);
  Plan plan;
  std::size_t elements = 0;
  for (std::size_t j = 0; j < entries.size(); ++j) {
    const Entry& entry = entries[j];
    ASSERT_EQ(plan.add(entry.initializer, entry.view, entry.shape, entry.options), j);
    elements += entry.expected.size() / size_of(entry.view.dtype);
  }
  ASSERT_EQ(plan.size(), 300u);
  ASSERT_GT(elements, 3000000u);  // so that five threads have work
  const auto check = [&](const std::string& how) {
    for (std::size_t j = 0; j < entries.size(); ++j) {
      ASSERT_TRUE(holds(entries[j].view, entries[j].expected))
          << how << ", entry " << j << ", " << entries[j].initializer.class_name();
    }
    ASSERT_TRUE(arena.gaps_untouched()) << how;
  };
  for (int threads = 0; threads <= 5; ++threads) {
    arena.clear();
    plan.fill({nullptr, threads});
    check(std::to_string(threads) + " threads");
    plan.fill({nullptr, threads});
    check(std::to_string(threads) + " threads again");
  }
  arena.clear();
  Plan moved = std::move(plan);
  moved.fill();
  check("moved");
  arena.clear();
  std::thread elsewhere([&moved] { moved.fill({nullptr, 2}); });
  elsewhere.join();
  check("from another thread");
}

TEST(Plan, ManyTinyTensors) {
  constexpr std::size_t count = 10000;
  Arena arena(1 << 20);
  const fanin::HeNormal he(42);
  Plan plan;
  std::vector<View> views;
  for (std::size_t j = 0; j < count; ++j) {
    views.push_back(arena.take(DType::float32, 2 * (1 + j % 4)));
    plan.add(he, views.back(), {2, 1 + static_cast<std::int64_t>(j % 4)}, "layer/" + std::to_string(j));
  }
  plan.fill({nullptr, 2});
  for (std::size_t j = 0; j < count; ++j) {
    const Shape shape{2, 1 + static_cast<std::int64_t>(j % 4)};
    ASSERT_TRUE(holds(views[j], filled(he, shape, DType::float32, with_name("layer/" + std::to_string(j))))) << j;
  }
  EXPECT_TRUE(arena.gaps_untouched());
}

TEST(Plan, Empty) {
  Plan plan;
  EXPECT_EQ(plan.size(), 0u);
  EXPECT_NO_THROW(plan.fill());
  EXPECT_EQ(plan.add(fanin::HeNormal(1), {nullptr, DType::float32, 0, fanin::host}, {0, 3}), 0u);
  EXPECT_NO_THROW(plan.fill());
}

TEST(Plan, AddWithANameAlone) {
  Arena arena(4096);
  const View view = arena.take(DType::float32, 12);
  Plan plan;
  plan.add(fanin::HeNormal(1), view, {3, 4}, "kernel");
  plan.fill();
  EXPECT_TRUE(holds(view, filled(fanin::HeNormal(1), {3, 4}, DType::float32, with_name("kernel"))));
}

TEST(Plan, TheInitializerNeedNotLive) {
  Arena arena(4096);
  const View view = arena.take(DType::float32, 12);
  Plan plan;
  {
    const fanin::HeNormal he(1);
    plan.add(he, view, {3, 4});
  }
  plan.fill();
  EXPECT_TRUE(holds(view, filled(fanin::HeNormal(1), {3, 4})));
}

// ---------------------------------------------------------------- copies

TEST(PlanCopies, AreTheSameDrawsInTheirDType) {
  Arena arena(1 << 16);
  const fanin::RandomNormal normal(0.5, 2, 7);
  const Shape shape{9, 11};
  const TensorOptions options = with_name("master");
  Plan plan;
  std::vector<View> views{arena.take(DType::float32, 99)};
  ASSERT_EQ(plan.add(normal, views[0], shape, options), 0u);
  for (const DType dtype : all_dtypes) {
    views.push_back(arena.take(dtype, 99));
    ASSERT_EQ(plan.add_copy(views.size() % 2 == 0 ? 0 : views.size() - 2, views.back()),
              views.size() - 1);  // of a copy too
  }
  plan.fill();
  for (const View& view : views) {
    EXPECT_TRUE(holds(view, filled(normal, shape, view.dtype, options))) << name_of(view.dtype);
  }
  // A copy is rounded, not drawn again: float16 and bfloat16 are within half a unit of the float32 values.
  const auto* master = static_cast<const float*>(views[0].address);
  const auto* rounded = static_cast<const std::uint16_t*>(views[4].address);
  ASSERT_EQ(views[4].dtype, DType::bfloat16);
  for (std::size_t j = 0; j < 99; ++j) {
    const std::uint32_t bits = std::uint32_t{rounded[j]} << 16;
    float value = 0;
    std::memcpy(&value, &bits, 4);
    EXPECT_LE(std::abs(value - master[j]), std::abs(master[j]) * 0x1p-8F) << j;
  }
}

TEST(PlanCopies, OfABlockAndOfAConstant) {
  Arena arena(1 << 16);
  const fanin::HeNormal he(7);
  const TensorOptions options = with_block({1, 2}, {3, 4});
  Plan plan;
  const View block = arena.take(DType::float32, 12);
  const View narrow = arena.take(DType::float16, 12);
  const View ones = arena.take(DType::float32, 5);
  const View doubles = arena.take(DType::float64, 5);
  plan.add_copy(plan.add(he, block, {6, 7}, options), narrow);
  plan.add_copy(plan.add(fanin::Ones(), ones, {5}), doubles);
  plan.fill();
  EXPECT_TRUE(holds(block, filled(he, {6, 7}, DType::float32, options)));
  EXPECT_TRUE(holds(narrow, filled(he, {6, 7}, DType::float16, options)));
  EXPECT_TRUE(holds(ones, filled(fanin::Ones(), {5})));
  EXPECT_TRUE(holds(doubles, filled(fanin::Ones(), {5}, DType::float64)));
}

TEST(PlanCopies, Refusals) {
  Arena arena(1 << 16);
  // A float32 value lies between the bounds, a float8 value does not.
  const fanin::RandomUniform uniform(1.01, 1.02, 7);
  const View view = arena.take(DType::float32, 12);
  Plan plan;
  ASSERT_EQ(plan.add(uniform, view, {3, 4}), 0u);
  const View spare = arena.take(DType::float32, 12);
  const auto refused = [&](const char* what, std::size_t entry, const View& to) {
    EXPECT_THROW(plan.add_copy(entry, to), InvalidArgument) << what;
    EXPECT_EQ(plan.size(), 1u) << what;
  };
  refused("no such entry", 1, spare);
  refused("no entry of that number", std::numeric_limits<std::size_t>::max(), spare);
  refused("onto itself", 0, view);
  refused("too small", 0, {spare.address, DType::float32, 47, fanin::host});
  refused("null", 0, {nullptr, DType::float32, 48, fanin::host});
  refused("misaligned", 0, {static_cast<unsigned char*>(spare.address) + 1, DType::float32, 48, fanin::host});
  refused("no value in its dtype", 0, {spare.address, DType::float8_e5m2, 48, fanin::host});
  refused("dtype", 0, {spare.address, static_cast<DType>(99), 48, fanin::host});
  EXPECT_NO_THROW(plan.add_copy(0, spare));
}

// ---------------------------------------------------------------- conflicts of draws

// The draws of an entry that conflicts, or not, with {HeNormal, seed 1, subsequence 0, shape {8, 6}, whole}.
struct Meeting {
  const char* name;
  Initializer initializer;
  Shape shape;
  TensorOptions options;
  bool allowed;
};

TEST(PlanConflicts, OfEqualSeedAndSubsequence) {
  const Shape shape{8, 6};
  const Meeting meetings[] = {
      {"the same again", fanin::HeNormal(1), shape, {}, false},
      {"another distribution", fanin::RandomUniform(0, 1, 1), shape, {}, false},
      {"another shape of as many elements", fanin::HeNormal(1), {6, 8}, {}, false},
      {"one element", fanin::HeNormal(1), {1}, {}, false},
      {"a scalar", fanin::HeNormal(1), {}, {}, false},
      {"the same subsequence in words", fanin::HeNormal(1), shape, with_subsequence(0), false},
      {"a block of it", fanin::HeNormal(1), shape, with_block({2, 2}, {1, 1}), false},
      {"the first call of a sequence", fanin::HeNormal(Seed::sequence(1)), shape, {}, false},
      {"another subsequence", fanin::HeNormal(1), shape, with_subsequence(1), true},
      {"a name", fanin::HeNormal(1), shape, with_name("a"), true},
      {"another seed", fanin::HeNormal(2), shape, {}, true},
      {"the seed as the subsequence", fanin::HeNormal(0), shape, with_subsequence(1), true},
      {"a constant", fanin::Constant(1), shape, {}, true},
      {"an identity", fanin::Identity(), shape, {}, true},
      {"a uniform of one value", fanin::RandomUniform(2, 2, 1), shape, {}, true},
      {"a normal without deviation", fanin::RandomNormal(2, 0, 1), shape, {}, true},
      {"no elements", fanin::HeNormal(1), {0, 6}, {}, true},
      {"no elements of it", fanin::HeNormal(1), shape, with_block({2, 2}, {0, 3}), true},
      {"later elements", fanin::RandomNormal(0, 1, 1), {100}, with_block({48}, {52}), true},
      {"the last element and later ones", fanin::RandomNormal(0, 1, 1), {100}, with_block({47}, {2}), false},
  };
  for (const Meeting& meeting : meetings) {
    SCOPED_TRACE(meeting.name);
    Arena arena(4096);
    const View first = arena.take(DType::float32, 48);
    const View second = arena.take(DType::float32, 100);
    Plan plan;
    plan.add(fanin::HeNormal(1), first, shape);
    const auto add = [&] { plan.add(meeting.initializer, second, meeting.shape, meeting.options); };
    if (meeting.allowed) {
      EXPECT_NO_THROW(add());
      EXPECT_EQ(plan.size(), 2u);
    } else {
      expect_refused(add, {"same draws as entry 0", "seed 1", "subsequence 0"});
      EXPECT_EQ(plan.size(), 1u);
    }
  }
}

// For blocks of one tensor, conflicts are found exactly in every dimension.
TEST(PlanConflicts, OfBlocksOfOneTensor) {
  const fanin::HeNormal he(1);
  const Shape shape{8, 6};
  Arena arena(1 << 16);
  Plan plan;
  const auto add = [&](Shape offset, Shape extent) {
    const std::uint64_t count = fanin::element_count(extent);
    plan.add(he, arena.take(DType::float32, count), shape, with_block(std::move(offset), std::move(extent)));
  };
  add({0, 0}, {4, 3});
  add({0, 3}, {4, 3});  // beside it: their ranges of indices interleave
  add({4, 0}, {4, 6});
  EXPECT_EQ(plan.size(), 3u);
  EXPECT_THROW(add({3, 2}, {1, 1}), InvalidArgument);
  EXPECT_THROW(add({3, 2}, {2, 2}), InvalidArgument);
  EXPECT_THROW(add({7, 5}, {1, 1}), InvalidArgument);
  EXPECT_NO_THROW(add({8, 0}, {0, 6}));
  EXPECT_THROW(plan.add(he, arena.take(DType::float32, 48), shape), InvalidArgument);  // the whole tensor
  EXPECT_EQ(plan.size(), 4u);
}

TEST(PlanConflicts, WithACopyAreThoseOfItsOriginal) {
  Arena arena(1 << 16);
  Plan plan;
  const fanin::HeNormal he(1);
  plan.add(he, arena.take(DType::float32, 12), {3, 4}, "a");
  plan.add_copy(0, arena.take(DType::float16, 12));
  EXPECT_THROW(plan.add(he, arena.take(DType::bfloat16, 12), {3, 4}, "a"), InvalidArgument);
  EXPECT_NO_THROW(plan.add_copy(1, arena.take(DType::bfloat16, 12)));
}

// ---------------------------------------------------------------- conflicts of memory

TEST(PlanConflicts, OfMemory) {
  Arena arena(4096);
  const View view = arena.take(DType::float32, 64);
  auto* const bytes = static_cast<unsigned char*>(view.address);
  Plan plan;
  plan.add(fanin::HeNormal(1), {bytes + 64, DType::float32, 64, fanin::host}, {16}, "a");  // bytes 64 to 127
  plan.add(fanin::HeNormal(1), {bytes + 160, DType::float32, 32, fanin::host}, {8}, "b");  // bytes 160 to 191
  const auto add = [&](std::size_t first, DType dtype, std::int64_t count) {
    const std::size_t capacity = 256 - first;  // only the elements' bytes count
    plan.add(fanin::Zeros(), {bytes + first, dtype, capacity, fanin::host}, {count});
  };
  expect_refused([&] { add(64, DType::float32, 16); }, {"memory overlaps", "entry 0"});
  expect_refused([&] { add(127, DType::float8_e5m2, 1); }, {"memory overlaps", "entry 0"});
  expect_refused([&] { add(60, DType::float32, 2); }, {"memory overlaps", "entry 0"});
  expect_refused([&] { add(80, DType::float32, 1); }, {"memory overlaps", "entry 0"});
  expect_refused([&] { add(128, DType::float64, 5); }, {"memory overlaps", "entry 1"});
  expect_refused([&] { add(191, DType::float8_e5m2, 1); }, {"memory overlaps", "entry 1"});
  expect_refused([&] { add(0, DType::float64, 32); }, {"memory overlaps"});  // over all of them
  EXPECT_EQ(plan.size(), 2u);
  EXPECT_NO_THROW(add(80, DType::float32, 0));  // nothing is written
  EXPECT_NO_THROW(add(0, DType::float32, 16));
  EXPECT_NO_THROW(add(128, DType::float64, 4));
  EXPECT_NO_THROW(add(192, DType::float8_e5m2, 64));
  EXPECT_EQ(plan.size(), 6u);
}

// ---------------------------------------------------------------- refused entries

TEST(PlanRefusals, LeaveThePlanAsItWas) {
  Arena arena(1 << 16);
  const fanin::HeNormal he(1);
  const Shape shape{3, 4};
  const View kept = arena.take(DType::float32, 12);
  const View spare = arena.take(DType::float32, 12);
  Plan plan;
  plan.add(he, kept, shape);
  const TensorOptions b = with_name("b");  // draws that nobody has
  TensorOptions both = b;
  both.subsequence = 1;
  TensorOptions outside = b;
  outside.block = {{0, 1}, {3, 4}};
  TensorOptions inside = b;
  inside.block = {{0, 0}, {1, 1}};
  const fanin::RandomNormal tiny(0, 1e-50, 1);
  View null = spare;
  null.address = nullptr;
  View no_dtype = spare;
  no_dtype.dtype = static_cast<DType>(12);
  struct Attempt {
    const char* name;
    const char* part;  // of the message
    std::function<void()> add;
  };
  const std::vector<Attempt> attempts{
      {"name and subsequence", "not both", [&] { plan.add(he, spare, shape, both); }},
      {"negative extent", "[-3, 4]",
       [&] {
         plan.add(he, spare, Shape{-3, 4}, b);
       }},
      {"too large", "2^56",
       [&] {
         plan.add(he, spare, Shape{1 << 28, 1 << 29}, b);
       }},
      {"capacity", "capacity=48",
       [&] {
         plan.add(he, spare, Shape{3, 5}, b);
       }},
      {"block outside", "outside the tensor", [&] { plan.add(he, spare, shape, outside); }},
      {"value past binary32", "finite in float32", [&] { plan.add(fanin::Constant(1e39), spare, shape); }},
      {"stddev zero in binary32", "zero in float32", [&] { plan.add(tiny, spare, shape, b); }},
      {"draws", "same draws", [&] { plan.add(he, spare, shape); }},
      {"null", "null", [&] { plan.add(he, null, shape, b); }},
      {"memory", "memory overlaps", [&] { plan.add(he, kept, shape, b); }},
      {"dtype", "dtype number 12", [&] { plan.add(he, no_dtype, shape, b); }},
      {"copy", "memory overlaps", [&] { plan.add_copy(0, kept); }},
  };
  for (const Attempt& attempt : attempts) {
    SCOPED_TRACE(attempt.name);
    expect_refused(attempt.add, {attempt.part});
    EXPECT_EQ(plan.size(), 1u);
  }
  plan.fill();
  EXPECT_TRUE(holds(kept, filled(he, {3, 4})));
  EXPECT_TRUE(untouched(spare));
  // A refused entry takes neither memory nor draws.
  EXPECT_EQ(plan.add(he, spare, {3, 4}, "b"), 1u);
  plan.fill();
  EXPECT_TRUE(holds(spare, filled(he, {3, 4}, DType::float32, with_name("b"))));
  EXPECT_TRUE(arena.gaps_untouched());
}

TEST(PlanRefusals, OfAFill) {
  Arena arena(4096);
  const View view = arena.take(DType::float32, 12);
  Plan plan;
  plan.add(fanin::HeNormal(1), view, {3, 4});
  EXPECT_THROW(plan.fill({nullptr, -1}), InvalidArgument);
  const auto stream = reinterpret_cast<fanin::CudaStream>(&arena);  // never used: any pointer will do
  EXPECT_THROW(plan.fill(std::vector<Plan::DeviceStream>{}, {stream}), InvalidArgument);
  EXPECT_TRUE(untouched(view));
}

// ---------------------------------------------------------------- sequences

TEST(PlanSequences, AreCountedWhenAnEntryIsAdded) {
  Arena arena(1 << 16);
  const fanin::HeNormal sequence(Seed::sequence(7));
  const fanin::HeNormal fixed(7);
  const auto expected = [&](std::uint64_t call) {
    return filled(fixed, {3, 4}, DType::float32, with_subsequence(call));
  };
  EXPECT_EQ(filled(sequence, {3, 4}), expected(0));
  Plan plan;
  std::vector<View> views;
  for (int j = 0; j < 3; ++j) {
    views.push_back(arena.take(DType::float32, 12));
    plan.add(sequence, views.back(), {3, 4});
  }
  views.push_back(arena.take(DType::float32, 12));
  plan.add_copy(2, views.back());                    // not a call
  EXPECT_EQ(filled(sequence, {3, 4}), expected(4));  // fills and entries share the count
  for (int time = 0; time < 2; ++time) {             // filling the plan is not a call
    plan.fill();
    for (std::size_t j = 0; j < 3; ++j) EXPECT_TRUE(holds(views[j], expected(1 + j))) << j;
    EXPECT_TRUE(holds(views[3], expected(3)));
  }
  EXPECT_EQ(filled(sequence, {3, 4}), expected(5));
}

// A refused entry is not a call, as for a fill: the next entry has the draws that it would have had.
TEST(PlanSequences, RefusedEntriesAreNotCounted) {
  Arena arena(1 << 16);
  const Shape shape{3, 4};
  const View taken = arena.take(DType::float32, 12);
  const View spare = arena.take(DType::float32, 12);
  const fanin::HeNormal sequence(Seed::sequence(7));
  const TensorOptions block = with_block({3, 4}, {1, 1});
  Plan plan;
  plan.add(fanin::HeNormal(7), taken, shape, with_subsequence(100));
  expect_refused([&] { plan.add(sequence, spare, Shape{3, 5}); }, {"capacity"});
  expect_refused([&] { plan.add(sequence, spare, shape, block); }, {"outside"});
  expect_refused([&] { plan.add(sequence, taken, shape); }, {"memory overlaps"});
  expect_refused([&] { plan.add(sequence, spare, shape, with_subsequence(100)); }, {"same draws"});
  EXPECT_EQ(sequence.params(shape, DType::float32).subsequence, 0u);
}

// Threads that add to separate plans share one count, so each entry has its own draws.
TEST(PlanSequences, ThreadsShareOneCount) {
  constexpr std::size_t adders = 4;
  constexpr std::size_t calls = 5000;
  const fanin::RandomUniform sequence(0, 1, Seed::sequence(7));
  std::vector<double> values(adders * calls);
  std::atomic<std::size_t> ready{0};
  std::atomic<std::size_t> refused{0};
  std::vector<std::thread> threads;
  for (std::size_t adder = 0; adder < adders; ++adder) {
    threads.emplace_back([&, first = values.data() + adder * calls] {
      Plan plan;
      for (++ready; ready < adders;) std::this_thread::yield();  // all threads start at once
      for (std::size_t j = 0; j < calls; ++j) {
        try {
          plan.add(sequence, fanin::view(first + j, 1), {1});
        } catch (const InvalidArgument&) {
          ++refused;
        }
      }
      plan.fill({nullptr, 1});
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(refused, 0u);
  std::vector<double> expected(values.size());
  for (std::size_t j = 0; j < expected.size(); ++j) {
    fanin::RandomUniform(0, 1, 7).fill(fanin::view(&expected[j], 1), {1}, with_subsequence(j));
  }
  std::sort(values.begin(), values.end());
  std::sort(expected.begin(), expected.end());
  EXPECT_EQ(values, expected);
}

}  // namespace
