// SPDX-License-Identifier: Apache-2.0
// The measurements of bench/peers/run in C++: the two ceilings, fanin through its public interface,
// std::normal_distribution, and calls of MKL. rivals.py loads this library. A measurement returns the seconds of
// `repeats` runs, or a negative number; then peers_error() gives the reason.
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <exception>
#include <fanin/fanin.hpp>
#include <random>
#include <string>
#include <thread>
#include <vector>

#if defined(__SSE2__)
#include <immintrin.h>
#endif

namespace {

std::string error;

template <class Run>
double seconds_of(int repeats, Run run) {
  const auto start = std::chrono::steady_clock::now();
  for (int j = 0; j < repeats; ++j) {
    run();
    asm volatile("" ::: "memory");  // so that the compiler keeps runs whose memory nobody reads
  }
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// Calls part(address, bytes) for equal parts of the memory, each on its own thread, the first on the caller's. The
// memory begins at a page, and so does each part.
template <class Part>
void in_parts(std::byte* memory, std::size_t bytes, int threads, Part part) {
  const auto parts = static_cast<std::size_t>(threads);
  const std::size_t each = bytes / parts / 4096 * 4096;
  std::vector<std::thread> others;
  for (std::size_t j = 1; j < parts; ++j) {
    others.emplace_back(part, memory + j * each, j + 1 == parts ? bytes - j * each : each);
  }
  part(memory, parts == 1 ? bytes : each);
  for (std::thread& other : others) other.join();
}

// The ceilings write a nonzero number: some processors write zeros over zeros three times as fast, and weights are not
// zeros. peers_memset_zeros shows the difference.
constexpr int value_of_ceiling = 0x3c;

// Streaming stores, which bypass the caches, of this processor's full width. The memory is aligned to 64 bytes.
#if defined(__AVX512F__)
constexpr bool has_stream = true;
void stream(std::byte* memory, std::size_t bytes) {
  const __m512i value = _mm512_set1_epi8(value_of_ceiling);
  for (std::byte* const end = memory + bytes / 64 * 64; memory < end; memory += 64) {
    _mm512_stream_si512(reinterpret_cast<__m512i*>(memory), value);
  }
  _mm_sfence();
}
#elif defined(__AVX__)
constexpr bool has_stream = true;
void stream(std::byte* memory, std::size_t bytes) {
  const __m256i value = _mm256_set1_epi8(value_of_ceiling);
  for (std::byte* const end = memory + bytes / 32 * 32; memory < end; memory += 32) {
    _mm256_stream_si256(reinterpret_cast<__m256i*>(memory), value);
  }
  _mm_sfence();
}
#elif defined(__SSE2__)
constexpr bool has_stream = true;
void stream(std::byte* memory, std::size_t bytes) {
  const __m128i value = _mm_set1_epi8(value_of_ceiling);
  for (std::byte* const end = memory + bytes / 16 * 16; memory < end; memory += 16) {
    _mm_stream_si128(reinterpret_cast<__m128i*>(memory), value);
  }
  _mm_sfence();
}
#else
constexpr bool has_stream = false;
void stream(std::byte*, std::size_t) {}
#endif

}  // namespace

extern "C" {

const char* peers_error() { return error.c_str(); }

bool peers_has_stream() { return has_stream; }

double peers_memset(void* memory, std::size_t bytes, int threads, int repeats) {
  const auto part = [](std::byte* at, std::size_t count) { std::memset(at, value_of_ceiling, count); };
  return seconds_of(repeats, [&] { in_parts(static_cast<std::byte*>(memory), bytes, threads, part); });
}

double peers_memset_zeros(void* memory, std::size_t bytes, int threads, int repeats) {
  const auto part = [](std::byte* at, std::size_t count) { std::memset(at, 0, count); };
  return seconds_of(repeats, [&] { in_parts(static_cast<std::byte*>(memory), bytes, threads, part); });
}

double peers_stream(void* memory, std::size_t bytes, int threads, int repeats) {
  return seconds_of(repeats, [&] { in_parts(static_cast<std::byte*>(memory), bytes, threads, stream); });
}

double peers_std_normal(float* out, std::size_t count, int repeats) {
  std::mt19937 engine(1);
  std::normal_distribution<float> normal(0.0f, 0.05f);
  return seconds_of(repeats, [&] {
    for (std::size_t j = 0; j < count; ++j) out[j] = normal(engine);
  });
}

double peers_fanin(const char* initializer, const char* dtype, void* memory, std::size_t capacity, std::int64_t rows,
                   std::int64_t columns, int threads, int repeats) try {
  const fanin::Initializer init = fanin::make(initializer, 1);
  const fanin::View view{memory, fanin::parse_dtype(dtype), capacity, fanin::host};
  const fanin::Shape shape{rows, columns};
  fanin::RunOptions options;
  options.threads = threads;
  return seconds_of(repeats, [&] { init.fill(view, shape, {}, options); });
} catch (const std::exception& problem) {
  error = problem.what();
  return -1;
}

const char* peers_fanin_version() { return FANIN_VERSION; }

// `generate` has the type of vsRngUniform and vsRngGaussian.
double peers_mkl(int (*generate)(int, void*, int, float*, float, float), void* generator, int method, float* out,
                 int count, float a, float b, int repeats) {
  int status = 0;
  const double seconds = seconds_of(repeats, [&] { status |= generate(method, generator, count, out, a, b); });
  if (status == 0) return seconds;
  error = "MKL's status is " + std::to_string(status);
  return -1;
}

}  // extern "C"
