// SPDX-License-Identifier: Apache-2.0
// The loops of every instruction set: this file is compiled once for each, from the same text.
#define HWY_IS_DEBUG_BUILD 0  // assertions of Highway would need its library
// SSSE3 lacks too much, and what SVE2 adds is little here.
#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_SVE2 | HWY_SVE2_128 | HWY_SVE_256)
#define HWY_DISABLE_PCLMUL_AES
#define HWY_WANT_AVX3_DL
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cpu/simd/run.cpp"
#include <hwy/foreach_target.h>
//
#include <hwy/cache_control.h>
#include <hwy/highway.h>

// Highway's baseline where the compiler may use nothing better: too little for these loops, and there is run_portable.
#if HWY_TARGET != HWY_SCALAR && HWY_TARGET != HWY_EMU128

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "core/rounding.h"
#include "core/values.h"
#include "cpu/clamping.h"
#include "cpu/run.h"
#include "cpu/simd/arithmetic-inl.h"
#include "cpu/simd/convert-inl.h"
#include "cpu/simd/normal-inl.h"
#include "cpu/simd/philox-inl.h"
#include "cpu/simd/uniform-inl.h"

HWY_BEFORE_NAMESPACE();
namespace fanin::cpu::HWY_NAMESPACE {

// Elements that are made at a time, in the first-level cache. All temporaries together stay below 64 KiB.
template <class Real>
constexpr std::size_t tile_size = 16384 / sizeof(Real);

// The most elements of one turn of for_words.
constexpr std::size_t max_group = 8 * hn::MaxLanes(U32());

// From this size on a run is written past the cache where no value is written twice: it would not stay there anyway.
constexpr std::uint64_t stream_bytes = std::uint64_t{8} << 20;

template <bool shifted>
struct FloatUniform {
  static constexpr bool streams = true;
  core::Stream stream;
  core::Affine<float> map;

  void operator()(std::uint64_t quad, std::size_t count, float* out) const {
    uniform_floats<shifted, false>(stream, map, quad, count, out);
  }
  void past_cache(std::uint64_t quad, std::size_t count, float* out) const {
    uniform_floats<shifted, true>(stream, map, quad, count, out);
  }
};

template <bool shifted>
struct DoubleUniform {
  static constexpr bool streams = false;
  core::Stream stream;
  core::Affine<double> map;

  void operator()(std::uint64_t quad, std::size_t count, double* out) const {
    HWY_ALIGN std::uint32_t refinement[tile_size<double>];
    uniform_doubles<shifted>(stream, map, quad, count, refinement, out);
  }
};

template <bool shifted>
struct FloatNormal {
  static constexpr bool streams = false;
  core::Stream stream;
  core::Affine<float> map;
  core::Window window;

  void operator()(std::uint64_t quad, std::size_t count, float* out) const {
    normal_tile<tile_size<float>>(stream, window, quad, count, FloatTile<shifted>{map, out});
  }
};

template <bool shifted>
struct DoubleNormal {
  static constexpr bool streams = false;
  core::Stream stream;
  core::Affine<double> map;
  core::Window window;
  double lower, upper;

  void operator()(std::uint64_t quad, std::size_t count, double* out) const {
    HWY_ALIGN std::uint32_t refinement[tile_size<double>];
    StoreWords store{refinement};
    for_words(stream, quad, core::first_refinement_tag, count, store);
    normal_tile<tile_size<double>>(stream, window, quad, count,
                                   DoubleTile<shifted>{map, lower, upper, refinement, out});
  }
};

// How many elements are left before the low word of the quad's number overflows.
inline std::uint64_t before_overflow(std::uint64_t index) {
  return ((std::uint64_t{1} << 32) - (index / 4 & 0xffffffffu)) * 4 - index % 4;
}

// Output in the compute type: written in place, apart from what does not fill a group.
template <class Real, class Kernel>
void run_in_place(const Kernel& kernel, bool clamped, Real* out, std::uint64_t index, std::uint64_t count) {
  const std::size_t group = words_group();
  HWY_ALIGN Real few[max_group];
  const Real lo = kernel.map.min, hi = kernel.map.max;
  const auto part = [&](std::uint64_t wanted) HWY_ATTR {
    const std::size_t skip = index % 4;
    const auto n =
        static_cast<std::size_t>(std::min({wanted, count, before_overflow(index), std::uint64_t{group - skip}}));
    kernel(index / 4, group, few);
    if (clamped) clamp_tile(few, group, lo, hi);
    std::memcpy(out, few + skip, n * sizeof(Real));
    out += n;
    index += n;
    count -= n;
  };

  // Whole groups begin at a whole block of words and, where there is such an element, on an aligned address.
  constexpr std::uintptr_t alignment = std::max<std::size_t>(16, HWY_MAX_BYTES > 64 ? 64 : HWY_MAX_BYTES);
  std::uint64_t lead = (4 - index % 4) % 4;
  for (std::uint64_t i = lead; i < alignment / sizeof(Real); i += 4) {
    if (reinterpret_cast<std::uintptr_t>(out + i) % alignment == 0) {
      lead = i;
      break;
    }
  }
  if (count < lead + group) lead = count;  // nothing to align
  while (lead > 0) {
    const std::uint64_t before = count;
    part(lead);
    lead -= before - count;
  }

  bool streamed = false;
  while (count >= group) {
    const auto n = static_cast<std::size_t>(std::min<std::uint64_t>({count, before_overflow(index), tile_size<Real>}) /
                                            group * group);
    if (n == 0) {
      part(group);
      continue;
    }
    if constexpr (Kernel::streams) {
      if (!clamped && count * sizeof(Real) >= stream_bytes && reinterpret_cast<std::uintptr_t>(out) % alignment == 0) {
        streamed = true;
      }
      if (streamed && reinterpret_cast<std::uintptr_t>(out) % alignment == 0) {
        kernel.past_cache(index / 4, n, out);
      } else {
        kernel(index / 4, n, out);
      }
    } else {
      kernel(index / 4, n, out);
    }
    if (clamped) clamp_tile(out, n, lo, hi);
    out += n;
    index += n;
    count -= n;
  }
  if (streamed) hwy::FlushStream();
  while (count > 0) part(group);
}

// Output in a narrow format: rounded from a tile.
template <class Format, class Kernel>
void run_narrow(const Kernel& kernel, bool clamped, typename Format::Storage* out, std::uint64_t index,
                std::uint64_t count) {
  constexpr std::size_t size = tile_size<float>;
  HWY_ALIGN float tile[size + hn::MaxLanes(F32())];
  const std::size_t group = words_group();
  while (count > 0) {
    const std::size_t skip = index % 4;
    const auto n = static_cast<std::size_t>(std::min<std::uint64_t>({count, before_overflow(index), size - skip}));
    kernel(index / 4, (skip + n + group - 1) / group * group, tile);
    if (clamped) clamp_tile(tile, skip + n, kernel.map.min, kernel.map.max);
    narrow<Format>(tile + skip, n, out);
    out += n;
    index += n;
    count -= n;
  }
}

template <class Format, class Kernel>
void run_with(const Kernel& kernel, typename Format::Compute least, typename Format::Compute most,
              typename Format::Storage* out, std::uint64_t index, std::uint64_t count) {
  // Values grow with what they are made of. If neither end is clamped, none is.
  const bool clamped = clamping_matters<Format>(least, kernel.map) || clamping_matters<Format>(most, kernel.map);
  if constexpr (std::is_same_v<typename Format::Storage, typename Format::Compute>) {
    run_in_place(kernel, clamped, out, index, count);
  } else {
    run_narrow<Format>(kernel, clamped, out, index, count);
  }
}

template <class Format, bool shifted>
void run_random(const FillParams& params, typename Format::Storage* out, std::uint64_t index, std::uint64_t count) {
  using Real = typename Format::Compute;
  constexpr bool is_double = sizeof(Real) == 8;
  const core::Stream stream{params.seed, params.subsequence};
  const core::Affine<Real> map{static_cast<Real>(params.scale), static_cast<Real>(params.shift),
                               static_cast<Real>(params.min), static_cast<Real>(params.max), shifted};
  if (params.kind == FillParams::Kind::uniform) {
    const Real most = is_double ? Real(1 - 0x1p-53) : Real(1 - 0x1p-24);
    const Real least = shifted ? Real(0) : -most;
    using Kernel = std::conditional_t<is_double, DoubleUniform<shifted>, FloatUniform<shifted>>;
    run_with<Format>(Kernel{stream, map}, least, most, out, index, count);
  } else {
    const core::Window window{static_cast<float>(params.lower), static_cast<float>(params.upper)};
    // No point lies farther out than the tail reaches: X[0] + 25 ln 2 / X[0] < 9.
    const Real least = std::max(Real(-9), static_cast<Real>(params.lower));
    const Real most = std::min(Real(9), static_cast<Real>(params.upper));
    if constexpr (is_double) {
      run_with<Format>(DoubleNormal<shifted>{stream, map, window, params.lower, params.upper}, least, most, out, index,
                       count);
    } else {
      run_with<Format>(FloatNormal<shifted>{stream, map, window}, least, most, out, index, count);
    }
  }
}

template <class Format>
void run_as(const FillParams& params, void* out, std::uint64_t index, std::uint64_t count) {
  auto* to = static_cast<typename Format::Storage*>(out);
  params.shifted ? run_random<Format, true>(params, to, index, count)
                 : run_random<Format, false>(params, to, index, count);
}

#if HWY_TARGET == HWY_AVX3_DL
constexpr CpuTarget this_target = CpuTarget::avx512_vbmi;
#elif HWY_TARGET == HWY_AVX3
constexpr CpuTarget this_target = CpuTarget::avx512;
#elif HWY_TARGET == HWY_AVX2
constexpr CpuTarget this_target = CpuTarget::avx2;
#elif HWY_TARGET == HWY_SSE4
constexpr CpuTarget this_target = CpuTarget::sse4;
#elif HWY_TARGET == HWY_NEON
constexpr CpuTarget this_target = CpuTarget::neon;
#elif HWY_TARGET == HWY_SVE
constexpr CpuTarget this_target = CpuTarget::sve;
#else
#error "A target without a name"
#endif

// Uniform floats are one product with scale * 2^-31 (or 2^-24). That has the bits of the contract's two products if the
// first is exact, as it is for every scale that is not close to the smallest numbers.
bool scales_exactly(const FillParams& params) {
  if (params.kind != FillParams::Kind::uniform || params.dtype == DType::float64) return true;
  const auto scale = static_cast<float>(params.scale);
  return scale * 0x1p-31F * 0x1p31F == scale;
}

CpuTarget run(const FillParams& params, void* out, std::uint64_t index, std::uint64_t count) noexcept {
  if (!scales_exactly(params)) return run_portable(params, out, index, count);
  switch (params.dtype) {
    case DType::float32:
      run_as<core::Float32>(params, out, index, count);
      break;
    case DType::float64:
      run_as<core::Float64>(params, out, index, count);
      break;
    case DType::float16:
      run_as<core::Float16>(params, out, index, count);
      break;
    case DType::bfloat16:
      run_as<core::BFloat16>(params, out, index, count);
      break;
    case DType::float8_e4m3fn:
      run_as<core::Float8E4M3FN>(params, out, index, count);
      break;
    case DType::float8_e5m2:
      run_as<core::Float8E5M2>(params, out, index, count);
      break;
  }
  return this_target;
}

}  // namespace fanin::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // vectors

#if HWY_ONCE
namespace fanin::cpu {

Run vector_run(CpuTarget target) noexcept {
  switch (target) {
#if HWY_TARGETS & HWY_AVX3_DL
    case CpuTarget::avx512_vbmi:
      return N_AVX3_DL::run;
#endif
#if HWY_TARGETS & HWY_AVX3
    case CpuTarget::avx512:
      return N_AVX3::run;
#endif
#if HWY_TARGETS & HWY_AVX2
    case CpuTarget::avx2:
      return N_AVX2::run;
#endif
#if HWY_TARGETS & HWY_SSE4
    case CpuTarget::sse4:
      return N_SSE4::run;
#endif
#if HWY_TARGETS & HWY_NEON
    case CpuTarget::neon:
      return N_NEON::run;
#endif
#if HWY_TARGETS & HWY_SVE
    case CpuTarget::sve:
      return N_SVE::run;
#endif
    default:
      return nullptr;
  }
}

}  // namespace fanin::cpu
#endif  // HWY_ONCE
