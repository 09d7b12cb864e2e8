// SPDX-License-Identifier: Apache-2.0
// Heap allocations of fills of host memory on one thread, counted by a replacement of operator new.
#include <gtest/gtest.h>

#include <cstdlib>
#include <fanin/fanin.hpp>
#include <new>
#include <vector>

namespace {

std::size_t allocations = 0;  // this program has one thread

}  // namespace

// Not inlined, so that the compiler does not remove pairs of new and delete.
[[gnu::noinline]] void* operator new(std::size_t bytes) {
  ++allocations;
  if (void* memory = std::malloc(bytes); memory != nullptr) return memory;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

namespace {

template <class F>
std::size_t allocations_of(const F& f) {
  const std::size_t before = allocations;
  f();
  return allocations - before;
}

TEST(Allocations, AreCounted) {
  EXPECT_GE(allocations_of([] { const std::vector<int> three(3); }), 1u);
}

TEST(Allocations, AFillOnOneThreadMakesOneAtMost) {
  std::vector<float> memory(64 * 48);
  const fanin::View view = fanin::view(memory);
  const fanin::Shape shape{64, 48};
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
    for (const fanin::TensorOptions& options : {fanin::TensorOptions(), named, block}) {
      EXPECT_LE(allocations_of([&] { initializer.fill(view, shape, options, one_thread); }), 1u);
    }
    const fanin::FillParams params = initializer.params(shape, fanin::DType::float32);
    EXPECT_LE(allocations_of([&] { fanin::fill(view, params, one_thread); }), 1u);
  }
}

}  // namespace
