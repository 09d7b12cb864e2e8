// SPDX-License-Identifier: Apache-2.0
// The portable loop. It computes one element after the other, as the value contract states it.
#include <algorithm>
#include <cstring>
#include <type_traits>

#include "base/formats.h"
#include "cpu/run.h"
#include "fanin/core/counter.h"
#include "fanin/core/fractions.h"
#include "fanin/core/normal.h"
#include "fanin/core/rounding.h"
#include "fanin/core/values.h"
#include "params/affine.h"

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "fanin writes elements and files for little-endian processors only"
#endif

namespace fanin::cpu {

namespace {

using core::Philox;

// The first words of elements 4q ... 4q + 3, which share Philox blocks.
struct Quad {
  std::uint32_t head[4];
  std::uint32_t refinement[4];  // binary64 only
};

void store(std::uint32_t (&to)[4], const core::Words& words) {
  to[0] = words.x;
  to[1] = words.y;
  to[2] = words.z;
  to[3] = words.w;
}

// Returns the word that refines an accepted trial in binary64.
std::uint32_t refinement_of(const core::Generator& generator, const core::Accepted& draw, const Quad& quad,
                            std::uint64_t index, unsigned lane) {
  const bool again = draw.trial > 0 && draw.trial < core::trials;
  return again ? core::retry_refinement<Philox>(generator, index, draw.trial) : quad.refinement[lane];
}

struct CentredUniform {
  explicit CentredUniform(const FillParams&) {}
  float fraction(float, const Quad& quad, std::uint64_t, unsigned lane) const {
    return core::centred_fraction(quad.head[lane]);
  }
  double fraction(double, const Quad& quad, std::uint64_t, unsigned lane) const {
    return core::centred_fraction(quad.head[lane], quad.refinement[lane]);
  }
};

struct UnitUniform {
  explicit UnitUniform(const FillParams&) {}
  float fraction(float, const Quad& quad, std::uint64_t, unsigned lane) const {
    return core::unit_fraction(quad.head[lane]);
  }
  double fraction(double, const Quad& quad, std::uint64_t, unsigned lane) const {
    return core::unit_fraction(quad.head[lane], quad.refinement[lane]);
  }
};

// A normal in a window that has a table.
struct TableNormal {
  explicit TableNormal(const FillParams& params)
      : generator{params.seed, params.subsequence},
        window{static_cast<float>(params.lower), static_cast<float>(params.upper)},
        table(core::sampler_of(params.lower, params.upper) == core::Sampler::cut_at_2 ? core::cut_table
                                                                                      : core::normal_table),
        lower(params.lower),
        upper(params.upper) {}

  float fraction(float, const Quad& quad, std::uint64_t index, unsigned lane) const {
    return accepted(index, quad.head[lane]).z;
  }
  double fraction(double, const Quad& quad, std::uint64_t index, unsigned lane) const {
    const core::Accepted draw = accepted(index, quad.head[lane]);
    const std::uint32_t word = refinement_of(generator, draw, quad, index, lane);
    return core::clamp(core::refine(draw, word, table), lower, upper);
  }

  // Only the first trial of a rectangle, which is nearly always accepted, is inlined into the loop.
  core::Accepted accepted(std::uint64_t index, std::uint32_t head) const {
    if (!core::is_edge(head)) {
      const float z = core::rectangle_point(head, table);
      if (z >= window.lower && z <= window.upper) return {z, head, 0};
    }
    return all_trials(index, head);
  }
  [[gnu::noinline]] core::Accepted all_trials(std::uint64_t index, std::uint32_t head) const {
    return core::first_accepted<Philox>(generator, index, head, window, table);
  }

  core::Generator generator;
  core::Window window;
  const core::Ziggurat& table;
  double lower, upper;
};

// A normal in a narrow window.
struct NarrowNormal {
  explicit NarrowNormal(const FillParams& params)
      : generator{params.seed, params.subsequence},
        window(core::narrow_window(params.lower, params.upper)),
        lower(params.lower),
        upper(params.upper) {}

  float fraction(float, const Quad&, std::uint64_t index, unsigned) const {
    return core::first_accepted<Philox>(generator, index, window).z;
  }
  double fraction(double, const Quad& quad, std::uint64_t index, unsigned lane) const {
    const core::Accepted draw = core::first_accepted<Philox>(generator, index, window);
    const std::uint32_t word = refinement_of(generator, draw, quad, index, lane);
    return core::clamp(core::refine(draw, word, window), lower, upper);
  }

  core::Generator generator;
  core::NarrowWindow window;
  double lower, upper;
};

template <class Format, class Draw>
void run_random(const FillParams& params, typename Format::Storage* out, std::uint64_t index, std::uint64_t count) {
  using Real = typename Format::Compute;
  const auto map = detail::affine_of<Real>(params);
  const core::Generator generator{params.seed, params.subsequence};
  const Draw draw(params);
  while (count > 0) {
    Quad quad;
    store(quad.head, core::heads<Philox>(generator, index / 4));
    if constexpr (sizeof(Real) == 8) store(quad.refinement, core::head_refinements<Philox>(generator, index / 4));
    const auto first = static_cast<unsigned>(index % 4);
    const auto last = static_cast<unsigned>(std::min<std::uint64_t>(4, first + count));
    for (unsigned lane = first; lane < last; ++lane, ++index) {
      *out++ = Format::encode(core::value(draw.fraction(Real{}, quad, index, lane), map));
    }
    count -= last - first;
  }
}

template <class Storage>
void run_constant(const FillParams& params, Storage* out, std::uint64_t count) {
  Storage element;
  std::memcpy(&element, &params.pattern, sizeof element);
  if (params.pattern == 0) {
    std::memset(out, 0, count * sizeof element);
  } else {
    std::fill_n(out, count, element);
  }
}

// The diagonal of a matrix with `columns` columns has the indices row * (columns + 1), row < columns.
template <class Storage>
void run_identity(const FillParams& params, Storage* out, std::uint64_t index, std::uint64_t count) {
  Storage element;
  std::memcpy(&element, &params.pattern, sizeof element);
  std::fill_n(out, count, Storage{});
  const std::uint64_t step = params.columns + 1;
  for (std::uint64_t row = (index + step - 1) / step; row < params.columns && row * step < index + count; ++row) {
    out[row * step - index] = element;
  }
}

template <class Format>
void run(const FillParams& params, void* memory, std::uint64_t index, std::uint64_t count) {
  auto* out = static_cast<typename Format::Storage*>(memory);
  switch (params.kind) {
    case FillParams::Kind::constant:
      return run_constant(params, out, count);
    case FillParams::Kind::identity:
      return run_identity(params, out, index, count);
    case FillParams::Kind::uniform:
      return params.shifted ? run_random<Format, UnitUniform>(params, out, index, count)
                            : run_random<Format, CentredUniform>(params, out, index, count);
    case FillParams::Kind::normal:
      return core::is_narrow(core::sampler_of(params.lower, params.upper))
                 ? run_random<Format, NarrowNormal>(params, out, index, count)
                 : run_random<Format, TableNormal>(params, out, index, count);
    case FillParams::Kind::computed:    // cpu/computed.h
    case FillParams::Kind::orthogonal:  // cpu/orthogonal.h
      break;
  }
}

}  // namespace

void round_portable(const FillParams& params, const float* values, void* out, std::uint64_t count) noexcept {
  const auto low = static_cast<float>(params.min), high = static_cast<float>(params.max);
  detail::with_format(params.dtype, [&](auto format) {
    using Format = decltype(format);
    if constexpr (std::is_same_v<typename Format::Compute, float>) {
      auto* to = static_cast<typename Format::Storage*>(out);
      for (std::uint64_t i = 0; i < count; ++i) to[i] = Format::encode(core::clamp(values[i], low, high));
    }
  });
}

void run_portable(const FillParams& params, void* out, std::uint64_t index, std::uint64_t count) noexcept {
  detail::with_format(params.dtype, [&](auto format) { run<decltype(format)>(params, out, index, count); });
}

}  // namespace fanin::cpu
