// SPDX-License-Identifier: Apache-2.0
// Tests the threads of host fills: the split of the work, the first touch of each page, the number of threads, and
// situations that break thread pools: fork, exit, a user's own threads, small stacks, no threads left.
#include <dlfcn.h>
#include <gtest/gtest.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <climits>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "cpu/fill.h"
#include "cpu/shares.h"
#include "fanin/fanin.hpp"
#include "support/test_support.h"

#if defined(__SANITIZE_ADDRESS__)
#define FANIN_ASAN 1
#elif defined(__SANITIZE_THREAD__)
#define FANIN_TSAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define FANIN_ASAN 1
#elif __has_feature(thread_sanitizer)
#define FANIN_TSAN 1
#endif
#endif

namespace {

// ---------------------------------------------------------------- threads that are started

using Create = int (*)(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*);

// The definition below takes precedence over the system's (or a sanitizer's).
const auto next_create = reinterpret_cast<Create>(dlsym(RTLD_NEXT, "pthread_create"));

std::atomic<int> started{0};              // threads so far
std::atomic<int> left{INT_MAX};           // threads until pthread_create fails as without resources
std::atomic<std::size_t> stack_bytes{0};  // for threads that request no size; 0: the system's default

}  // namespace

extern "C" int pthread_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*function)(void*),
                              void* argument) noexcept {
  if (left.fetch_sub(1) <= 0) return EAGAIN;
  ++started;
  if (attributes != nullptr || stack_bytes == 0) return next_create(thread, attributes, function, argument);
  pthread_attr_t small;
  pthread_attr_init(&small);
  pthread_attr_setstacksize(&small, stack_bytes);
  const int result = next_create(thread, &small, function, argument);
  pthread_attr_destroy(&small);
  return result;
}

namespace {

using fanin::DType;
using fanin::FillJob;
using fanin::Initializer;
using fanin::Plan;
using fanin::RunOptions;
using fanin::Shape;
using fanin::cpu::least_work_per_thread;
using fanin::test::all_dtypes;
using fanin::test::Bytes;
using fanin::test::Choices;
using fanin::test::filled;
using fanin::test::on_threads;
using fanin::test::poison;
using fanin::test::view_of;

// The number of threads that f() starts, without the caller's.
template <class F>
int started_by(const F& f) {
  const int before = started;
  f();
  return started - before;
}

// A shape of float32 normals that are worth `shares` threads.
Shape normals_for(std::uint64_t shares) {
  const std::uint64_t work = fanin::cpu::work_of(fanin::HeNormal(1).params({1}, DType::float32));
  return {static_cast<std::int64_t>((shares * least_work_per_thread + work - 1) / work)};
}

// The number of CPUs that the calling thread may run on.
int allowed_cpus() {
  cpu_set_t set;
  return sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
}

// Fills memory that is large enough for several threads, and compares it. This must work in every situation.
class Sample {
 public:
  Sample() : expected_(filled(he_, shape_, DType::float32, {}, on_threads(1))), got_(expected_.size()) {}

  bool right(int threads) {
    std::memset(got_.data(), poison, got_.size());
    he_.fill(view_of(got_, DType::float32), shape_, {}, on_threads(threads));
    return std::memcmp(got_.data(), expected_.data(), got_.size()) == 0;
  }

 private:
  const fanin::HeNormal he_{42};
  const Shape shape_ = normals_for(4);
  const Bytes expected_;
  Bytes got_;
};

// ---------------------------------------------------------------- the split

FillJob job_of(const Initializer& initializer, DType dtype, std::int64_t count) {
  return {nullptr, initializer.params({count}, dtype)};
}

std::uint64_t work_of(const std::vector<FillJob>& jobs) { return fanin::cpu::work_of(jobs.data(), jobs.size()); }

// Expects that every element is in one share, shares are in the order of memory, and each share's work is even up to a
// few elements.
void expect_even_split(const std::vector<FillJob>& jobs, std::uint64_t shares) {
  const std::uint64_t total = work_of(jobs);
  const std::uint64_t even = total / shares;
  std::size_t job = 0;  // where the next part must begin
  std::uint64_t element = 0;
  const auto skip_finished = [&] {
    for (; job < jobs.size() && element == jobs[job].params.index.count; ++job) element = 0;
  };
  for (std::uint64_t share = 0; share < shares; ++share) {
    std::uint64_t work = 0;
    fanin::cpu::for_parts(jobs.data(), fanin::cpu::share_begin(share, shares, total),
                          fanin::cpu::share_begin(share + 1, shares, total),
                          [&](const FillJob& part_of, std::uint64_t first, std::uint64_t count) {
                            skip_finished();
                            ASSERT_EQ(&part_of - jobs.data(), job);
                            ASSERT_EQ(first, element);
                            element += count;
                            ASSERT_LE(element, part_of.params.index.count);
                            work += count * fanin::cpu::work_of(part_of.params);
                          });
    // Both ends are rounded to whole groups of elements, and the last share gets the remainder.
    const std::uint64_t slack = fanin::cpu::share_granularity * 2 * fanin::cpu::narrow_work * 2 + shares;
    ASSERT_LE(work > even ? work - even : even - work, slack) << "share " << share << " of " << shares;
  }
  skip_finished();
  EXPECT_EQ(job, jobs.size()) << "elements that are in no share";
}

TEST(Shares, OfOneHugeTensorAndManyTiny) {
  std::vector<FillJob> jobs;
  for (int j = 0; j < 3000; ++j) jobs.push_back(job_of(fanin::HeNormal(1), DType::float32, j % 70));
  jobs.push_back(job_of(fanin::HeNormal(1), DType::float32, 1 << 28));
  jobs.push_back(job_of(fanin::TruncatedNormal(0, 1, 1, 1, 2), DType::float64, 1 << 22));  // elements that cost more
  for (int j = 0; j < 3000; ++j) jobs.push_back(job_of(fanin::Zeros(), DType::float32, j % 70));
  for (std::uint64_t shares = 1; shares <= 17; ++shares) expect_even_split(jobs, shares);
}

TEST(Shares, OfConstantsBesideNormals) {
  const std::vector<FillJob> jobs{
      job_of(fanin::Zeros(), DType::float32, 1 << 24), job_of(fanin::HeNormal(1), DType::float32, 1 << 22),
      job_of(fanin::Ones(), DType::float8_e4m3fn, 12345679), job_of(fanin::HeUniform(1), DType::bfloat16, 7654321),
      job_of(fanin::RandomNormal(0, 1, 1), DType::float64, 1 << 20)};
  for (const std::uint64_t shares : {1u, 2u, 3u, 4u, 7u, 64u, 255u}) expect_even_split(jobs, shares);
}

TEST(Shares, OfAnyPlan) {
  Choices choices(1);
  for (int plan = 0; plan < 200; ++plan) {
    std::vector<FillJob> jobs;
    for (std::uint64_t j = 1 + choices.below(12); j > 0; --j) {
      const DType dtype = all_dtypes[choices.below(all_dtypes.size())];
      const auto count = static_cast<std::int64_t>(choices.below(std::uint64_t{1} << choices.below(26)));
      const Initializer kinds[] = {fanin::HeNormal(1), fanin::HeUniform(1), fanin::Ones()};
      jobs.push_back(job_of(kinds[choices.below(3)], dtype, count));
    }
    expect_even_split(jobs, 1 + choices.below(9));
  }
}

// ---------------------------------------------------------------- first touch

// Fresh memory whose pages each fault once; the handler notes the thread that touched the page. Only one may exist at a
// time.
class FreshPages {
 public:
  explicit FreshPages(std::size_t bytes) : touched_by_((bytes + page() - 1) / page()) {
    void* memory =
        mmap(nullptr, touched_by_.size() * page(), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) std::abort();
    memory_ = static_cast<unsigned char*>(memory);
    current = this;
    struct sigaction action = {};
    action.sa_sigaction = [](int, siginfo_t* info, void*) { current->touched(info->si_addr); };
    action.sa_flags = SA_SIGINFO;
    sigaction(SIGSEGV, &action, &before_);
  }
  ~FreshPages() {
    sigaction(SIGSEGV, &before_, nullptr);
    current = nullptr;
    munmap(memory_, touched_by_.size() * page());
  }
  FreshPages(const FreshPages&) = delete;
  FreshPages& operator=(const FreshPages&) = delete;

  static std::size_t page() {
    static const auto bytes = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
    return bytes;
  }

  unsigned char* data() const { return memory_; }

  // The first byte of each stretch of pages that one thread touched first.
  std::vector<std::size_t> stretches() const {
    std::vector<std::size_t> begins;
    pthread_t last{};
    for (std::size_t j = 0; j < touched_by_.size(); ++j) {
      if (j == 0 || !pthread_equal(touched_by_[j], last)) begins.push_back(j * page());
      last = touched_by_[j];
    }
    return begins;
  }

 private:
  static inline FreshPages* current = nullptr;

  // Runs in a signal handler of the thread that touched the page.
  void touched(const void* address) {
    const auto at = reinterpret_cast<std::uintptr_t>(address) - reinterpret_cast<std::uintptr_t>(memory_);
    if (at / page() >= touched_by_.size()) _exit(139);  // a real crash
    pthread_t nobody{};
    // Two threads may touch the page where their shares meet.
    touched_by_[at / page()].compare_exchange_strong(nobody, pthread_self());
    mprotect(memory_ + at / page() * page(), page(), PROT_READ | PROT_WRITE);
  }

  unsigned char* memory_ = nullptr;
  std::vector<std::atomic<pthread_t>> touched_by_;
  struct sigaction before_ = {};
};

// Expects that each thread touches one stretch, and that the stretches meet where the work is split evenly.
void expect_stretches(const FreshPages& memory, const std::vector<std::size_t>& begins) {
  const std::vector<std::size_t> got = memory.stretches();
  ASSERT_EQ(got.size(), begins.size());
  for (std::size_t j = 0; j < got.size(); ++j) {
    EXPECT_LE(got[j] > begins[j] ? got[j] - begins[j] : begins[j] - got[j], FreshPages::page()) << "stretch " << j;
  }
}

TEST(FirstTouch, OfATensorIsByTheThreadThatFillsThePage) {
  const Shape shape = normals_for(6);
  const auto count = static_cast<std::size_t>(shape[0]);
  const Bytes expected = filled(fanin::HeNormal(1), shape, DType::float32, {}, on_threads(1));
  for (const int threads : {1, 2, 3}) {
    const FreshPages memory(count * 4);
    fanin::HeNormal(1).fill({memory.data(), DType::float32, count * 4, fanin::host}, shape, {}, on_threads(threads));
    std::vector<std::size_t> begins;
    for (int j = 0; j < threads; ++j)
      begins.push_back(count * 4 * static_cast<std::size_t>(j) / static_cast<std::size_t>(threads));
    expect_stretches(memory, begins);
    EXPECT_EQ(std::memcmp(memory.data(), expected.data(), expected.size()), 0);
  }
}

TEST(FirstTouch, OfAPlanIsByTheThreadThatFillsThePage) {
  struct Entry {
    Initializer initializer;
    DType dtype;
    std::int64_t count;
  };
  const std::int64_t unit = normals_for(1)[0];
  std::vector<Entry> entries{{fanin::Ones(), DType::float32, unit * 4}, {fanin::HeNormal(1), DType::float32, unit * 4}};
  for (int j = 0; j < 500; ++j) entries.push_back({fanin::HeUniform(1), DType::bfloat16, 64 + j % 9});
  entries.push_back({fanin::HeUniform(1), DType::bfloat16, unit * 2});
  entries.push_back({fanin::HeNormal(1), DType::float64, unit});
  entries.push_back({fanin::Ones(), DType::float64, unit});  // not zeros: QEMU loses the faults of a memset of zeros

  // The tensors lie one after another, each at a multiple of its element's size.
  std::vector<FillJob> jobs;
  std::vector<std::size_t> places;
  std::size_t bytes = 0;
  for (const Entry& entry : entries) {
    const std::size_t size = size_of(entry.dtype);
    bytes = (bytes + size - 1) / size * size;
    places.push_back(bytes);
    jobs.push_back(job_of(entry.initializer, entry.dtype, entry.count));
    bytes += static_cast<std::size_t>(entry.count) * size;
  }
  for (const std::uint64_t threads : {2u, 3u, 5u}) {
    const FreshPages memory(bytes);
    Plan plan;
    for (std::size_t j = 0; j < entries.size(); ++j) {
      const std::size_t size = static_cast<std::size_t>(entries[j].count) * size_of(entries[j].dtype);
      plan.add(entries[j].initializer, {memory.data() + places[j], entries[j].dtype, size, fanin::host},
               {entries[j].count}, std::to_string(j));
    }
    plan.fill({nullptr, static_cast<int>(threads)});
    std::vector<std::size_t> begins;
    std::uint64_t before = 0;
    for (std::size_t j = 0; j < jobs.size(); ++j) {
      const std::uint64_t each = fanin::cpu::work_of(jobs[j].params);
      const std::uint64_t work = jobs[j].params.index.count * each;
      while (begins.size() < threads && work_of(jobs) * begins.size() / threads < before + work) {
        const std::uint64_t at = work_of(jobs) * begins.size() / threads;
        begins.push_back(places[j] + (at - before) / each * size_of(entries[j].dtype));
      }
      before += work;
    }
    expect_stretches(memory, begins);
  }
}

// ---------------------------------------------------------------- the limit

TEST(Limit, OneThreadIsTheCallers) {
  Bytes memory(static_cast<std::size_t>(normals_for(8)[0]) * 4);
  const fanin::HeNormal he(1);
  EXPECT_EQ(started_by([&] { he.fill(view_of(memory, DType::float32), normals_for(8), {}, on_threads(1)); }), 0);
  Plan plan;
  plan.add(he, view_of(memory, DType::float32), normals_for(8));
  EXPECT_EQ(started_by([&] { plan.fill({nullptr, 1}); }), 0);
}

TEST(Limit, SmallFillsAreTheCallers) {
  Bytes memory(1 << 16);
  for (const int threads : {0, 2, 64}) {
    for (const DType dtype : all_dtypes) {
      const Shape shape{static_cast<std::int64_t>(memory.size() / size_of(dtype) / 2)};
      for (const Initializer& initializer :
           {Initializer(fanin::HeNormal(1)), Initializer(fanin::HeUniform(1)), Initializer(fanin::Zeros())}) {
        EXPECT_EQ(started_by([&] { initializer.fill(view_of(memory, dtype), shape, {}, on_threads(threads)); }), 0);
      }
    }
  }
}

TEST(Limit, AtMostAsManyAsAskedFor) {
  Bytes memory(static_cast<std::size_t>(normals_for(8)[0]) * 4);
  const fanin::HeNormal he(1);
  Plan plan;
  plan.add(he, view_of(memory, DType::float32), normals_for(8));
  for (const int threads : {2, 3, 8}) {
    EXPECT_EQ(started_by([&] { he.fill(view_of(memory, DType::float32), normals_for(8), {}, on_threads(threads)); }),
              threads - 1);
    EXPECT_EQ(started_by([&] { plan.fill({nullptr, threads}); }), threads - 1);
  }
  // And no more than pay.
  EXPECT_EQ(started_by([&] { plan.fill({nullptr, 1000}); }), 7);
}

TEST(Limit, WithoutOneAsManyAsTheProcessMayRunOn) {
  constexpr int shares = 40;
  Bytes memory(static_cast<std::size_t>(normals_for(shares)[0]) * 4);
  Plan plan;
  plan.add(fanin::HeNormal(1), view_of(memory, DType::float32), normals_for(shares));
  EXPECT_EQ(fanin::available_threads(), allowed_cpus());
  EXPECT_EQ(started_by([&] { plan.fill(); }), std::min(allowed_cpus(), shares) - 1);
  if (allowed_cpus() == 1) std::puts("One CPU is available: that more are used is not checked");
  // A thread that may run on only one CPU starts none.
  std::thread([&] {
    cpu_set_t set;
    ASSERT_EQ(sched_getaffinity(0, sizeof set, &set), 0);
    int first = 0;
    while (!CPU_ISSET(first, &set)) ++first;
    CPU_ZERO(&set);
    CPU_SET(first, &set);
    ASSERT_EQ(sched_setaffinity(0, sizeof set, &set), 0);
    EXPECT_EQ(started_by([&] { plan.fill(); }), 0);
  }).join();
}

TEST(Limit, NoThreadsLeft) {
  Sample sample;
  for (const int more : {2, 1, 0}) {
    left = more;
    const int before = started;
    const bool right = sample.right(4);
    left = INT_MAX;
    EXPECT_TRUE(right) << more << " more threads to be had";
    EXPECT_EQ(started - before, more);
  }
}

// ---------------------------------------------------------------- a user's own threads

// What a pause sees and does: RunOptions has a function without state.
struct Paused {
  std::thread::id thread;
  int calls = 0;
  int throws_at = 0;  // the number of the call that throws; 0: none
};
Paused paused;

void pause() {
  EXPECT_EQ(std::this_thread::get_id(), paused.thread);
  if (++paused.calls == paused.throws_at) throw std::runtime_error("a pause");
}

RunOptions with_pauses(int threads, int throws_at) {
  paused = {std::this_thread::get_id(), 0, throws_at};
  RunOptions run;
  run.threads = threads;
  run.pause = pause;
  return run;
}

TEST(Pauses, ChangeNoBit) {
  const Initializer init = fanin::HeNormal(1);
  const Shape shape{(3 << 24) + 5};
  for (const int threads : {1, 2}) {
    const Bytes found = filled(init, shape, DType::bfloat16, {}, with_pauses(threads, 0));
    EXPECT_EQ(paused.calls, threads == 1 ? 3 : 1);  // 2^24 normals of a thread are a slice
    EXPECT_EQ(found, filled(init, shape, DType::bfloat16));
  }
  filled(init, {1 << 20}, DType::float32, {}, with_pauses(1, 0));
  EXPECT_EQ(paused.calls, 0);
  filled(fanin::Formula("place[0]", {}, 1), {1 << 18}, DType::float32, {}, with_pauses(1, 0));
  EXPECT_EQ(paused.calls, 9);
}

TEST(Pauses, EndAFillByThrowing) {
  const Shape shape{4 << 24};
  Bytes bytes(static_cast<std::size_t>(shape[0]), poison);
  const Initializer init = fanin::RandomUniform(1, 2, 1);
  EXPECT_THROW(init.fill(view_of(bytes, DType::float8_e5m2), shape, {}, with_pauses(1, 1)), std::runtime_error);
  const auto written = bytes.begin() + (2 << 24);
  EXPECT_EQ(std::count(bytes.begin(), written, poison), 0);
  EXPECT_EQ(std::count(written, bytes.end(), poison), 2 << 24);

  // A plan goes on from its first entry when it is filled again.
  Plan plan;
  Bytes first(1 << 24), second(4 << 24);
  plan.add(init, view_of(first, DType::float8_e5m2), {1 << 24}, fanin::test::with_name("a"));
  plan.add(init, view_of(second, DType::float8_e5m2), {4 << 24}, fanin::test::with_name("b"));
  EXPECT_THROW(plan.fill(with_pauses(1, 2)), std::runtime_error);
  EXPECT_EQ(second.back(), 0);
  plan.fill(with_pauses(1, 0));
  EXPECT_EQ(paused.calls, 2);
  EXPECT_EQ(second, filled(init, {4 << 24}, DType::float8_e5m2, fanin::test::with_name("b")));

  Bytes matrix(4 * 1500 * 1500);
  EXPECT_THROW(fanin::Orthogonal(1.0, 1).fill(view_of(matrix, DType::float32), {1500, 1500}, {}, with_pauses(2, 1)),
               std::runtime_error);
  EXPECT_EQ(matrix, Bytes(matrix.size()));
}

TEST(UsersThreads, FillAllAtOnce) {
  std::vector<Sample> samples(8);
  std::vector<std::thread> threads;
  std::atomic<std::size_t> ready{0};
  for (std::size_t j = 0; j < samples.size(); ++j) {
    threads.emplace_back([&, j] {
      for (++ready; ready < samples.size();) std::this_thread::yield();
      for (int round = 0; round < 5; ++round) EXPECT_TRUE(samples[j].right((static_cast<int>(j) + round) % 5));
    });
  }
  for (std::thread& thread : threads) thread.join();
}

// One plan may be filled from several threads into the same memory, one after the other.
TEST(UsersThreads, FillOnePlanInTurn) {
  const Shape shape = normals_for(4);
  const Bytes expected = filled(fanin::HeNormal(1), shape);
  Bytes memory(expected.size());
  Plan plan;
  plan.add(fanin::HeNormal(1), view_of(memory, DType::float32), shape);
  for (int round = 0; round < 4; ++round) {
    std::fill(memory.begin(), memory.end(), poison);
    std::thread([&] { plan.fill({nullptr, round}); }).join();
    EXPECT_TRUE(memory == expected) << round;
  }
}

// musl's default stack size, which some users also set. The fill's own threads get no more.
TEST(UsersThreads, HaveSmallStacks) {
#if defined(FANIN_ASAN)
  constexpr std::size_t stack = 512 << 10;  // instrumented frames are larger
#else
  constexpr std::size_t stack = 128 << 10;
#endif
  const Initializer initializers[] = {
      fanin::HeNormal(1),  fanin::RandomNormal(0.5, 2, 1), fanin::TruncatedNormal(0, 1, 1, 0, 9),
      fanin::HeUniform(1), fanin::RandomUniform(0, 1, 1),  fanin::Constant(0.75),
      fanin::Identity()};
  const Shape shape{normals_for(2)[0] / 128 + 1, 256};  // enough uniforms for two threads, too
  for (const Initializer& initializer : initializers) {
    for (const DType dtype : all_dtypes) {
      const Bytes expected = filled(initializer, shape, dtype);
      for (const fanin::CpuTarget target : fanin::cpu_targets()) {
        Bytes got(expected.size(), poison);
        RunOptions options = on_threads(2);
        options.cpu_target = target;
        stack_bytes = stack;
        std::thread([&] { initializer.fill(view_of(got, dtype), shape, {}, options); }).join();
        stack_bytes = 0;
        EXPECT_TRUE(got == expected) << initializer.class_name() << " " << name_of(dtype) << " " << name_of(target);
      }
    }
  }
}

// ---------------------------------------------------------------- fork and exit

constexpr auto deadline = std::chrono::seconds(120);

// The exit status of a child process that runs f(): f() exits, or its result is the status. Negative if a signal ended
// the child or it hung.
template <class F>
int status_of_child(const F& f) {
  std::fflush(nullptr);
  const pid_t child = fork();
  if (child == 0) {
    try {
      _exit(f());
    } catch (...) {
      _exit(99);
    }
  }
  if (child < 0) return -1000;
  const auto end = std::chrono::steady_clock::now() + deadline;
  int status = 0;
  while (waitpid(child, &status, WNOHANG) != child) {
    if (std::chrono::steady_clock::now() > end) {
      kill(child, SIGKILL);
      waitpid(child, &status, 0);
      ADD_FAILURE() << "the child hung";
      return -1001;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

TEST(Fork, AfterFillsOnThreads) {
  Sample sample;
  ASSERT_TRUE(sample.right(0));
  ASSERT_TRUE(sample.right(4));
  for (const int threads : {0, 1, 2, 4}) {
    EXPECT_EQ(status_of_child([&] { return sample.right(threads) ? 0 : 1; }), 0) << threads;
  }
  // Grandchildren, as a data loader's workers start them.
  EXPECT_EQ(status_of_child([&] {
              if (!sample.right(2)) return 1;
              return status_of_child([&] { return sample.right(2) ? 0 : 2; });
            }),
            0);
  EXPECT_TRUE(sample.right(2));
}

// QEMU's user mode shows the emulated program in /proc/self, but itself in /proc/thread-self.
bool emulated() {
  const auto target = [](const char* link) {
    char path[PATH_MAX] = {};
    return readlink(link, path, sizeof path - 1) > 0 ? std::string(path) : std::string();
  };
  const std::string shown = target("/proc/self/exe");
  const std::string real = target("/proc/thread-self/exe");
  return !shown.empty() && !real.empty() && shown != real;
}

TEST(Fork, WhileOtherThreadsFill) {
#if defined(FANIN_TSAN)
  GTEST_SKIP() << "the thread sanitizer cannot start threads in a child of a process with several";
#elif defined(FANIN_ASAN)
  GTEST_SKIP() << "the address sanitizer's allocator may be locked in a child of a process with several threads";
#endif
  if (emulated()) GTEST_SKIP() << "the emulator itself hangs in a child of a process with several threads";
  std::vector<Sample> samples(3);
  std::atomic<bool> done{false};
  std::atomic<int> fills{0};
  std::vector<std::thread> others;
  for (std::size_t j = 1; j < samples.size(); ++j) {
    others.emplace_back([&, j] {
      while (!done) {
        EXPECT_TRUE(samples[j].right(3));
        ++fills;
      }
    });
  }
  std::thread([&] {
    for (int round = 0; round < 20 && !testing::Test::HasFailure(); ++round) {
      for (const int before = fills; fills == before;) std::this_thread::yield();
      EXPECT_EQ(status_of_child([&] { return samples[0].right(round % 4) ? 0 : 1; }), 0) << round;
    }
  }).join();
  done = true;
  for (std::thread& other : others) other.join();
}

// The fill that a child makes while it exits, and the number of fills that were right.
Sample* exit_sample = nullptr;
int exit_fills = 0;

// Constructed before all other static objects of the program and the library, and destroyed after them.
struct DestroyedLast {
  ~DestroyedLast() {
    if (exit_sample == nullptr) return;
    _exit(exit_fills == 1 && exit_sample->right(3) ? 0 : 1);
  }
};
__attribute__((init_priority(101))) const DestroyedLast destroyed_last;

TEST(Exit, FillsInAHandlerAndInADestructor) {
  Sample sample;
  EXPECT_EQ(status_of_child([&]() -> int {
              exit_sample = &sample;
              std::atexit([] { exit_fills += exit_sample->right(3) ? 1 : 100; });
              std::exit(2);
            }),
            0);
}

TEST(Exit, WhileAThreadFills) {
#if defined(FANIN_TSAN)
  GTEST_SKIP() << "the thread sanitizer reports threads that are not joined at exit";
#endif
  Sample sample;
  for (int round = 0; round < 5; ++round) {
    EXPECT_EQ(status_of_child([&]() -> int {
                std::atomic<int> fills{0};
                std::thread([&] {
                  for (;; ++fills) {
                    if (!sample.right(3)) _exit(1);
                  }
                }).detach();
                while (fills == 0) std::this_thread::yield();
                std::exit(0);
              }),
              0);
  }
}

}  // namespace
