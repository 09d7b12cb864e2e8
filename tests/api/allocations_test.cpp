// SPDX-License-Identifier: Apache-2.0
// Heap allocations of fills of host memory, counted by a replacement of operator new, which can also fail.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <fanin/fanin.hpp>
#include <functional>
#include <new>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "fanin/fanin.h"
#include "support/test_support.h"

namespace {

std::atomic<std::size_t> allocations = 0;
std::atomic<std::size_t> failing = 0;  // the number of the allocation that fails, counted from 1; 0: none

}  // namespace

// Not inlined, so that the compiler does not remove pairs of new and delete.
[[gnu::noinline]] void* operator new(std::size_t bytes, std::align_val_t alignment) {
  if (++allocations == failing) throw std::bad_alloc();
  const auto a = static_cast<std::size_t>(alignment);
  if (void* memory = std::aligned_alloc(a, (bytes + a - 1) / a * a); memory != nullptr) return memory;
  throw std::bad_alloc();
}
[[gnu::noinline]] void* operator new(std::size_t bytes) {
  return operator new (bytes, std::align_val_t{alignof(std::max_align_t)});
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }

namespace {

template <class F>
std::size_t allocations_of(const F& f) {
  const std::size_t before = allocations;
  f();
  return allocations - before;
}

TEST(Allocations, AreCounted) {
  // Compilers may leave out the allocations of new-expressions and containers, but not a call of the function.
  EXPECT_GE(allocations_of([] { ::operator delete(::operator new(3)); }), 1u);
}

TEST(Allocations, AFillOnOneThreadMakesOneAtMost) {
  std::vector<float> memory(64 * 48);
  const fanin::View view = fanin::view(memory);
  const fanin::Shape shape{64, 48};
  const fanin::TensorOptions plain;
  fanin::TensorOptions named;
  named.name = "a.name.that.is.too.long.for.the.small.string.optimisation";
  fanin::TensorOptions block;
  block.block = {{3, 5}, {40, 30}};
  fanin::RunOptions one_thread;
  one_thread.threads = 1;
  fanin::FanAxes axes;
  axes.input = {0};
  axes.output = {1};
  const std::vector<fanin::Initializer> initializers{
      fanin::HeNormal(1),    fanin::HeUniform(1, axes),
      fanin::RandomNormal(), fanin::TruncatedNormal(0, 1, 1, 1, 2),
      fanin::Constant(2),    fanin::VarianceScaling(3, "fan_avg", "uniform", fanin::Seed::sequence(1)),
  };
  for (const fanin::Initializer& initializer : initializers) {
    SCOPED_TRACE(initializer.class_name());
    for (const fanin::TensorOptions* options : {&plain, &std::as_const(named), &std::as_const(block)}) {
      EXPECT_LE(allocations_of([&] { initializer.fill(view, shape, *options, one_thread); }), 1u);
    }
    const fanin::FillParams params = initializer.params(shape, fanin::DType::float32);
    EXPECT_LE(allocations_of([&] { fanin::fill(view, params, one_thread); }), 1u);
  }
}

// Calls f once for each allocation that it makes, which then fails. The result of f tells whether it met the failure.
// Ends when f makes no more allocations, and returns how many it makes.
template <class F>
std::size_t with_each_failure(const F& f) {
  for (std::size_t n = 1;; ++n) {
    allocations = 0;
    failing = n;
    f();
    const bool is_reached = allocations >= n;
    failing = 0;
    if (!is_reached) return n - 1;
    if (testing::Test::HasFailure()) return n;
  }
}

// Returns whether f() ran out of memory. Any other exception fails the test.
template <class F>
bool runs_out(const F& f) {
  try {
    f();
    return false;
  } catch (const std::bad_alloc&) {
    failing = 0;
    return true;
  }
}

// A fill that runs out of memory writes nothing; one that can do without the memory has the same bits.
TEST(OutOfMemory, AFillWritesNothing) {
  using fanin::test::Bytes;
  const fanin::Initializer initializers[] = {fanin::HeNormal(1),
                                             fanin::RandomUniform(0, 1, 1),
                                             fanin::TruncatedNormal(0, 1, 1, 1, 2),
                                             fanin::Constant(0.5),
                                             fanin::Identity(2),
                                             fanin::Formula("z * i[0] + shape[1]", {}, 1),
                                             fanin::Orthogonal(1, 1)};
  const fanin::Shape shape{40, 30};
  for (const fanin::Initializer& initializer : initializers) {
    SCOPED_TRACE(initializer.class_name());
    for (const fanin::DType dtype : {fanin::DType::float32, fanin::DType::bfloat16}) {
      const fanin::TensorOptions options =
          fanin::test::with_name("a name that is too long for a string without memory");
      const Bytes expected = fanin::test::filled(initializer, shape, dtype, options);
      const Bytes untouched(expected.size(), fanin::test::poison);
      Bytes memory = untouched;
      with_each_failure([&] {
        std::copy(untouched.begin(), untouched.end(), memory.begin());
        const bool failed = runs_out(
            [&] { initializer.fill(fanin::test::view_of(memory, dtype), shape, options, fanin::test::on_threads(1)); });
        EXPECT_TRUE(memory == (failed ? untouched : expected));
      });
    }
  }
}

TEST(OutOfMemory, AFillOnThreadsUsesFewer) {
  using fanin::test::Bytes;
  const fanin::HeNormal initializer(1);
  const fanin::Shape shape{1024, 1024};
  const Bytes expected = fanin::test::filled(initializer, shape);
  const Bytes untouched(expected.size(), fanin::test::poison);
  Bytes memory = untouched;
  const std::size_t made = with_each_failure([&] {
    std::copy(untouched.begin(), untouched.end(), memory.begin());
    const bool failed = runs_out([&] {
      initializer.fill(fanin::test::view_of(memory, fanin::DType::float32), shape, {}, fanin::test::on_threads(4));
    });
    EXPECT_TRUE(memory == (failed ? untouched : expected));
  });
  EXPECT_GE(made, 4u);  // the list of threads, and three threads
}

// Wherever the memory ends, an entry is in the plan or it is not, and can be added again.
TEST(OutOfMemory, APlanStaysAsItWas) {
  std::vector<float> a(600), b(600), b_expected(600);
  std::vector<std::uint16_t> c(600);
  const fanin::Shape shape{20, 30};
  const fanin::RandomNormal normal(0, 1, 3);
  normal.fill(fanin::view(b_expected), shape, fanin::test::with_name("b"));
  const std::uint64_t seed = 0;
  fanin::RunOptions with_device_seed;
  with_device_seed.device_seed = &seed;
  std::optional<fanin::Plan> plan;
  const fanin::TensorOptions named = fanin::test::with_name("b");
  const std::function<void()> steps[] = {[&] { plan.emplace(); },
                                         [&] { plan->add(fanin::Constant(2), fanin::view(a), shape); },
                                         [&] { plan->add(normal, fanin::view(b), shape, named); },
                                         [&] {
                                           plan->add_copy(1, {c.data(), fanin::DType::bfloat16, 1200, fanin::host});
                                         },
                                         [&] { plan->fill(); }};
  const std::size_t made = with_each_failure([&] {
    plan.reset();
    for (const auto& step : steps) {
      const std::size_t before = plan ? plan->size() : 0;
      if (!runs_out(step)) continue;
      EXPECT_EQ(plan ? plan->size() : 0, before);
      // A plan that still had a list for host memory, although it is empty, would refuse a seed in device memory.
      if (plan && before == 0) {
        EXPECT_NO_THROW(plan->fill(with_device_seed));
      }
      step();
    }
    EXPECT_EQ(plan->size(), 3u);
    EXPECT_EQ(a.back(), 2.0F);
    EXPECT_EQ(b, b_expected);
    EXPECT_EQ(c[7] >> 15, b[7] < 0 ? 1 : 0);
    std::fill(b.begin(), b.end(), 0.0F);
  });
  EXPECT_GE(made, 10u);
}

TEST(OutOfMemory, InitializersAreMadeOrNot) {
  with_each_failure([&] {
    runs_out([] {
      fanin::Formula formula("clamp(a * z, -2, sqrt(i[0] + 1)) ^ 3", {{"a", 2}}, 1);
      fanin::Initializer copy = formula;
      copy =
          fanin::VarianceScaling(2, "fan_out", "uniform", fanin::Seed::sequence(1, "the name of a generator of seeds"));
      const fanin::Tensor tensor = copy({3, 4, 5}, fanin::DType::float16);
      static_cast<void>(copy.describe({3, 4, 5}).derivation);
    });
  });
}

TEST(OutOfMemory, TheCInterfaceSaysSo) {
  float memory[12] = {};
  const int64_t shape[] = {3, 4};
  std::size_t failures = 0;
  with_each_failure([&] {
    fanin_initializer* initializer = nullptr;
    fanin_plan* plan = nullptr;
    fanin_fill_args args = FANIN_FILL_INIT;
    args.address = memory;
    args.capacity = sizeof memory;
    args.rank = 2;
    args.shape = shape;
    fanin_status status = fanin_make("glorot_uniform", 1, &initializer);
    if (status == FANIN_OK) status = fanin_fill(initializer, &args);
    if (status == FANIN_OK) status = fanin_plan_create(&plan);
    if (status == FANIN_OK) status = fanin_plan_add(plan, initializer, &args, nullptr);
    if (status == FANIN_OK) status = fanin_plan_fill(plan, nullptr);
    EXPECT_TRUE(status == FANIN_OK || status == FANIN_OUT_OF_MEMORY) << fanin_last_error();
    failures += status == FANIN_OUT_OF_MEMORY ? 1 : 0;
    fanin_plan_free(plan);
    fanin_free(initializer);
  });
  EXPECT_GE(failures, 5u);
}

}  // namespace
