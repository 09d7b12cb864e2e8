// SPDX-License-Identifier: Apache-2.0
// The loops of all instruction sets: Highway compiles this file once for each.
#define HWY_IS_DEBUG_BUILD 0  // Highway's assertions would need its library
// SSSE3 lacks too many instructions, and SVE2 adds little here.
#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_SVE2 | HWY_SVE2_128 | HWY_SVE_256)
#define HWY_DISABLE_PCLMUL_AES
#define HWY_WANT_AVX3_DL
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cpu/simd/run.cpp"
#include <hwy/foreach_target.h>
//
#include <hwy/cache_control.h>
#include <hwy/highway.h>

// This excludes Highway's baseline without vector instructions, because run_portable does its work.
#if HWY_TARGET != HWY_SCALAR && HWY_TARGET != HWY_EMU128

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "base/formats.h"
#include "cpu/run.h"
#include "cpu/simd/arithmetic-inl.h"
#include "cpu/simd/convert-inl.h"
#include "cpu/simd/narrow-inl.h"
#include "cpu/simd/normal-inl.h"
#include "cpu/simd/philox-inl.h"
#include "cpu/simd/uniform-inl.h"
#include "fanin/core/rounding.h"
#include "fanin/core/values.h"
#include "params/affine.h"

HWY_BEFORE_NAMESPACE();
namespace fanin::cpu::HWY_NAMESPACE {

// A run of this size or more does not stay in the cache, so it bypasses the cache if it writes no value twice.
constexpr std::uint64_t bypass_bytes = std::uint64_t{8} << 20;

// Returns the number of elements before the low word of a block's number overflows. A block's number is the quad's or
// the element's.
inline std::uint64_t before_overflow(std::uint64_t index, bool in_quads) {
  if (!in_quads) return (std::uint64_t{1} << 32) - (index & 0xffffffffu);
  return ((std::uint64_t{1} << 32) - (index / 4 & 0xffffffffu)) * 4 - index % 4;
}

// Kernels that can bypass the cache.
template <class Kernel>
struct bypasses_cache : std::false_type {};
template <bool shifted>
struct bypasses_cache<FloatUniforms<shifted>> : std::true_type {};

// Writes consecutive elements in sessions of at most most_places elements, which are counted from a whole block of
// words. Whole groups go directly to the output, and parts of groups go through a buffer.
template <class Format, class Kernel>
class Writer {
 public:
  using Real = typename Format::Compute;
  using Storage = typename Format::Storage;

  Writer(Kernel& kernel, Real lo, Real hi, bool clamped) : kernel_(kernel), lo_(lo), hi_(hi), clamped_(clamped) {}

  void write(Storage* out, std::uint64_t index, std::uint64_t count) {
    const bool bypassing =
        is_float && bypasses_cache<Kernel>::value && !clamped_ && count * sizeof(Storage) >= bypass_bytes;
    while (count > 0) {
      const std::uint64_t n = std::min({count, before_overflow(index, Kernel::in_quads), most_places - 4});
      session(out, index, n, bypassing);
      out += n;
      index += n;
      count -= n;
    }
    if (bypassing) hwy::FlushStream();
  }

 private:
  static constexpr bool is_float = std::is_same_v<Storage, float>;
  static constexpr bool is_bfloat16 = std::is_same_v<Format, core::BFloat16>;
  static constexpr std::uintptr_t alignment = HWY_MAX_BYTES > 64 ? 64 : HWY_MAX_BYTES;

  void session(Storage* out, std::uint64_t index, std::uint64_t count, bool bypassing) {
    const std::uint64_t skip = index % 4, end = skip + count, group = words_group();
    kernel_.begin(index / 4);
    first_ = out;
    skip_ = skip;

    std::uint64_t place = 0;
    const std::uint64_t lead = aligned_place();
    if (lead > 0 || end < group) {
      place = std::min(end, lead > 0 && lead + group <= end ? lead : group);
      by_buffer(0, group, skip, place);
    }
    while (end - place >= group) {
      const std::uint64_t n = std::min<std::uint64_t>(end - place, piece_size) / group * group;
      straight(place, n, bypassing);
      place += n;
      retry(false);
    }
    if (place < end) by_buffer(place, group, place, end);
    retry(true);
  }

  // Returns the first place that begins a block of words, is not before `skip_` and has an aligned address. If none has
  // one, it returns the first such place with any address.
  std::uint64_t aligned_place() const {
    const std::uint64_t begin = skip_ == 0 ? 0 : 4;
    for (std::uint64_t place = begin; place < begin + alignment / sizeof(Storage); place += 4) {
      if (reinterpret_cast<std::uintptr_t>(at(place)) % alignment == 0) return place;
    }
    return begin;
  }

  Storage* at(std::uint64_t place) const { return first_ + (place - skip_); }

  void straight(std::uint64_t place, std::size_t count, bool bypassing) {
    Storage* to = at(place);
    if constexpr (is_float && bypasses_cache<Kernel>::value) {
      if (bypassing && reinterpret_cast<std::uintptr_t>(to) % alignment == 0) {
        kernel_.first(place, count, place, place + count, Floats<true>{to});
        return;
      }
    }
    make(place, count, place, place + count, to);
  }

  void make(std::uint64_t place, std::size_t count, std::uint64_t from, std::uint64_t to, Storage* out) {
    if constexpr (is_bfloat16) {
      const BFloat16Bounds bounds(lo_, hi_);
      if (clamped_) {
        kernel_.first(place, count, from, to, BFloat16s<true>{out, bounds});
        if (bounds.nearest != 0) clamp_values<Storage>(out, count, bounds.nearest, 0xffff);
      } else {
        kernel_.first(place, count, from, to, BFloat16s<false>{out, bounds});
      }
    } else {
      kernel_.first(place, count, from, to, std::conditional_t<sizeof(Real) == 8, Doubles, Floats<false>>{out});
      if (clamped_) clamp_values(out, count, lo_, hi_);
    }
  }

  void by_buffer(std::uint64_t place, std::size_t count, std::uint64_t from, std::uint64_t to) {
    make(place, count, from, to, buffer_);
    std::memcpy(at(from), buffer_ + (from - place), (to - from) * sizeof(Storage));
  }

  void retry(bool to_the_end) {
    while (const std::size_t count = kernel_.retry(to_the_end)) {
      const std::uint32_t* keys = kernel_.keys();
      Real* values = kernel_.retried();
      if constexpr (std::is_same_v<Storage, Real>) {
        if (clamped_) clamp_values(values, count, lo_, hi_);
        for (std::size_t i = 0; i < count; ++i) *at(place_of(keys[i])) = values[i];
      } else {
        Storage rounded[most_retried];
        narrow<Format>(values, count, clamped_, lo_, hi_, rounded);
        for (std::size_t i = 0; i < count; ++i) *at(place_of(keys[i])) = rounded[i];
      }
    }
  }

  Kernel& kernel_;
  Storage* first_ = nullptr;  // the session's first element, at place `skip_`
  std::uint64_t skip_ = 0;
  Real lo_, hi_;
  bool clamped_;
  HWY_ALIGN Storage buffer_[8 * hn::MaxLanes(U32())];
};

template <class Format, class Kernel>
void run_with(Kernel& kernel, const FillParams& params, typename Format::Storage* out, std::uint64_t index,
              std::uint64_t count) {
  using Real = typename Format::Compute;
  Writer<Format, Kernel>(kernel, static_cast<Real>(params.min), static_cast<Real>(params.max), params.clamped)
      .write(out, index, count);
}

template <class Format, bool shifted>
void run_uniform(const FillParams& params, typename Format::Storage* out, std::uint64_t index, std::uint64_t count) {
  using Real = typename Format::Compute;
  using Kernel = std::conditional_t<sizeof(Real) == 8, DoubleUniforms<shifted>, FloatUniforms<shifted>>;
  const auto map = detail::affine_of<Real>(params);
  Kernel kernel({params.seed, params.subsequence}, map);
  run_with<Format>(kernel, params, out, index, count);
}

template <class Format, bool shifted>
void run_normal(const FillParams& params, typename Format::Storage* out, std::uint64_t index, std::uint64_t count) {
  using Real = typename Format::Compute;
  const core::Generator generator{params.seed, params.subsequence};
  const auto map = detail::affine_of<Real>(params);
  const VectorTable& table =
      core::sampler_of(params.lower, params.upper) == core::Sampler::cut_at_2 ? cut_vectors : normal_vectors;
  const core::Window window{static_cast<float>(params.lower), static_cast<float>(params.upper)};
  if constexpr (sizeof(Real) == 8) {
    Normals<DoubleValues<shifted>> kernel(generator, table, window, map, params.lower, params.upper);
    run_with<Format>(kernel, params, out, index, count);
  } else {
    Normals<FloatValues<shifted>> kernel(generator, table, window, map);
    run_with<Format>(kernel, params, out, index, count);
  }
}

template <class Format>
void run_narrow(const FillParams& params, typename Format::Storage* out, std::uint64_t index, std::uint64_t count) {
  using Real = typename Format::Compute;
  const auto map = detail::affine_of<Real>(params);
  NarrowNormals<Real> kernel({params.seed, params.subsequence}, map, params.lower, params.upper);
  run_with<Format>(kernel, params, out, index, count);
}

template <class Format>
void run_as(const FillParams& params, void* out, std::uint64_t index, std::uint64_t count) {
  auto* to = static_cast<typename Format::Storage*>(out);
  if (params.kind == FillParams::Kind::uniform) {
    params.shifted ? run_uniform<Format, true>(params, to, index, count)
                   : run_uniform<Format, false>(params, to, index, count);
  } else if (core::is_narrow(core::sampler_of(params.lower, params.upper))) {
    if constexpr (detail::is_compute_type<Format>) run_narrow<Format>(params, to, index, count);
  } else if (HWY_NATIVE_FMA || params.shifted) {  // one function for both, where that costs nothing
    run_normal<Format, true>(params, to, index, count);
  } else {
    run_normal<Format, HWY_NATIVE_FMA != 0>(params, to, index, count);
  }
}

void run(const FillParams& params, void* out, std::uint64_t index, std::uint64_t count) noexcept {
  switch (params.dtype) {
    case DType::float64:
      return run_as<core::Float64>(params, out, index, count);
    case DType::bfloat16:
      return run_as<core::BFloat16>(params, out, index, count);
    default:
      return run_as<core::Float32>(params, out, index, count);
  }
}

// Rounds the values of a copy: whole vectors, then the rest one by one. If `bypassing`, it first writes single values
// until the address of a vector is aligned, and the vectors then bypass the cache. The caller flushes.
template <bool clamped>
void round_as(core::Float32, const float* values, std::uint64_t count, float lo, float hi, bool bypassing, float* out) {
  const F32 d;
  const std::size_t n = hn::Lanes(d);
  const auto whole = [&](std::uint64_t i) HWY_ATTR {
    const VF32 v = hn::LoadU(d, values + i);
    return clamped ? clamp(v, set32(lo), set32(hi)) : v;
  };
  const auto one = [&](std::uint64_t i) { out[i] = clamped ? core::clamp(values[i], lo, hi) : values[i]; };
  std::uint64_t i = 0;
  if (bypassing) {
    while (i < count && reinterpret_cast<std::uintptr_t>(out + i) % (n * sizeof(float)) != 0) one(i++);
    for (; i + n <= count; i += n) hn::Stream(whole(i), d, out + i);
  }
  for (; i + n <= count; i += n) hn::StoreU(whole(i), d, out + i);
  while (i < count) one(i++);
}

template <bool clamped>
void round_as(core::BFloat16, const float* values, std::uint64_t count, float lo, float hi, bool bypassing,
              std::uint16_t* out) {
  const BFloat16Bounds bounds(lo, hi);
  std::uint64_t i = 0;
  const F32 d;
  const std::size_t n = hn::Lanes(d);
  const auto pairs = [&](auto put) HWY_ATTR {
    for (; i + 2 * n <= count; i += 2 * n) put(hn::LoadU(d, values + i), hn::LoadU(d, values + i + n), i);
  };
  if (BFloat16s<clamped>::in_order && (!clamped || bounds.nearest == 0)) {
    if (bypassing) {
      const std::uint64_t lead = (0 - reinterpret_cast<std::uintptr_t>(out)) % (n * sizeof(float)) / sizeof *out;
      narrow<core::BFloat16, clamped>(values, i = std::min(count, lead), lo, hi, out);
      pairs(BFloat16s<clamped, true>{out, bounds});
    } else {
      pairs(BFloat16s<clamped>{out, bounds});
    }
  }
  narrow<core::BFloat16, clamped>(values + i, count - i, lo, hi, out + i);
}

template <bool clamped, class Format>
void round_as(Format, const float* values, std::uint64_t count, float lo, float hi, bool,
              typename Format::Storage* out) {
  narrow<Format, clamped>(values, count, lo, hi, out);
}

void round(const FillParams& params, const float* values, void* out, std::uint64_t count) noexcept {
  const auto lo = static_cast<float>(params.min), hi = static_cast<float>(params.max);
  detail::with_format(params.dtype, [&](auto format) HWY_ATTR {
    using Format = decltype(format);
    auto* const to = static_cast<typename Format::Storage*>(out);
    const bool bypassing = params.index.count * sizeof *to >= bypass_bytes;
    if constexpr (std::is_same_v<typename Format::Compute, float>) {
      params.clamped ? round_as<true>(format, values, count, lo, hi, bypassing, to)
                     : round_as<false>(format, values, count, lo, hi, bypassing, to);
    }
  });
}

}  // namespace fanin::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // vectors

#if HWY_ONCE
namespace fanin::cpu {

namespace {

struct Loops {
  Run run = nullptr;
  Round round = nullptr;
};

Loops loops_of(CpuTarget target) {
  switch (target) {
#if HWY_TARGETS & HWY_AVX3_DL
    case CpuTarget::avx512_vbmi:
      return {N_AVX3_DL::run, N_AVX3_DL::round};
#endif
#if HWY_TARGETS & HWY_AVX3
    case CpuTarget::avx512:
      return {N_AVX3::run, N_AVX3::round};
#endif
#if HWY_TARGETS & HWY_AVX2
    case CpuTarget::avx2:
      return {N_AVX2::run, N_AVX2::round};
#endif
#if HWY_TARGETS & HWY_SSE4
    case CpuTarget::sse4:
      return {N_SSE4::run, N_SSE4::round};
#endif
#if HWY_TARGETS & HWY_NEON
    case CpuTarget::neon:
      return {N_NEON::run, N_NEON::round};
#endif
#if HWY_TARGETS & HWY_SVE
    case CpuTarget::sve:
      return {N_SVE::run, N_SVE::round};
#endif
    default:
      return {};
  }
}

}  // namespace

Run vector_run(CpuTarget target) noexcept { return loops_of(target).run; }
Round vector_round(CpuTarget target) noexcept { return loops_of(target).round; }

}  // namespace fanin::cpu
#endif  // HWY_ONCE
