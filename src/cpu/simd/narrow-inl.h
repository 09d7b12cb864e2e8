// SPDX-License-Identifier: Apache-2.0
// Normal values in narrow windows, from the samplers `box` and `tail` (docs/VALUES.md, section 3; core/normal.h does
// the same one element at a time). Each trial takes its own block of words.
#if defined(FANIN_SRC_CPU_SIMD_NARROW_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef FANIN_SRC_CPU_SIMD_NARROW_INL_H
#undef FANIN_SRC_CPU_SIMD_NARROW_INL_H
#else
#define FANIN_SRC_CPU_SIMD_NARROW_INL_H
#endif

#include <hwy/highway.h>

#include <cstddef>
#include <cstdint>

#include "cpu/simd/arithmetic-inl.h"
#include "cpu/simd/philox-inl.h"
#include "cpu/simd/rejected-inl.h"
#include "cpu/simd/uniform-inl.h"
#include "cpu/simd/vectors-inl.h"
#include "fanin/core/normal.h"
#include "fanin/core/values.h"

HWY_BEFORE_NAMESPACE();
namespace fanin::cpu::HWY_NAMESPACE {

// Draws normal values in a narrow window. It has the same functions as Normals.
template <class T>
class NarrowNormals : public Rejected<T> {
 public:
  using Real = T;
  static constexpr bool in_quads = false;

  NarrowNormals(const core::Generator& generator, const core::Affine<Real>& map, double lower, double upper)
      : Base(generator),
        map_(map),
        // Adding -0 changes nothing, so one function serves all cases.
        shift_(map.shifted ? map.shift : Real(-0.0)),
        lower_(lower),
        upper_(upper),
        window_(core::narrow_window(lower, upper)),
        sign_(window_.negative ? 0x80000000u : 0u) {}

  template <class Output>
  void first(std::uint64_t place, std::size_t count, std::uint64_t from, std::uint64_t to, Output output) {
    std::uint32_t* end =
        window_.tail ? first_trials<true>(place, count, output) : first_trials<false>(place, count, output);
    this->listed_up_to(end, place, count, from, to);
  }
  std::size_t retry(bool to_the_end) {
    const std::size_t listed = this->listed_;
    if (listed < (to_the_end ? 1 : Base::batch)) return 0;
    return window_.tail ? again<true>() : again<false>();
  }

 private:
  using Base = Rejected<Real>;

  // core::narrow_point: computes a trial from words z and w of its block.
  template <bool tail>
  HWY_INLINE VF32 point(VU32 z, VU32 w, Mask32& rejects) const {
    const VF32 ux = edge_fraction(z), l = neglog(edge_fraction(w));
    VF32 x, square;
    if constexpr (tail) {
      const VF32 s = hn::Mul(neglog(ux), set32(window_.inverse_rate));
      x = hn::Add(set32(window_.nearest), s);
      const VF32 q = hn::Sub(s, set32(window_.delta));
      square = hn::Mul(q, q);
    } else {
      x = fma(ux, set32(window_.width), set32(window_.low));
      square = hn::Mul(hn::Sub(x, set32(window_.nearest)), hn::Add(x, set32(window_.nearest)));
    }
    const auto above = hn::Ge(square, hn::Add(l, l));
    const auto outside = hn::Or(hn::Lt(x, set32(window_.low)), hn::Gt(x, set32(window_.high)));
    rejects = hn::RebindMask(U32(), hn::Or(above, outside));
    return hn::BitCast(F32(), hn::Xor(hn::BitCast(U32(), x), set32(sign_)));
  }

  HWY_INLINE VF32 value(VF32 z) const { return fma(z, set32(map_.scale), set32(shift_)); }
  HWY_INLINE VF64 value(VF64 z) const {
    return fma(clamp(z, set64(lower_), set64(upper_)), set64(map_.scale), set64(shift_));
  }
  // core::refine for the sampler `box`. The fraction is rounded once, because its two halves are exact.
  HWY_INLINE VF64 box64(VF64 high, VF64 low) const {
    const VF64 u = hn::Mul(hn::Add(hn::Mul(high, set64(0x1p30)), low), set64(0x1p-54));
    const VF64 x = fma(u, set64(window_.width64), set64(window_.low64));
    return window_.negative ? hn::Neg(x) : x;
  }

  // Computes words z and w of the trials' blocks. `key` holds an element's place and the trial.
  HWY_INLINE void words(VU32 key, VU32& z, VU32& w) const {
    VU32 x, y;
    const VU32 tag = hn::Add(hn::And(key, set32(trial_bits)), set32(one_trial));
    blocks_at(this->generator_, this->keys_, this->base(), place_of(key), tag, x, y, z, w);
  }

  // Computes one vector's trials in binary32, and which of them are rejected.
  template <bool tail>
  HWY_INLINE VF32 trials(VU32 z, VU32 w, Mask32& rejects) const {
    return value(point<tail>(z, w, rejects));
  }
  // Computes one vector's trials in binary64.
  template <bool tail>
  HWY_INLINE void trials(VU32 key, VU32 z, VU32 w, VF64& low, VF64& high, Mask32& rejects) const {
    const VF32 p = point<tail>(z, w, rejects);
    const VU32 word =
        refinement_of(this->generator_, this->keys_, this->base(), place_of(key), hn::And(key, set32(trial_bits)));
    if constexpr (tail) {
      const VI32 c = centred_refinement(word);
      low = value(with_more_digits(lower_half(p), lower_half(c)));
      high = value(with_more_digits(upper_half(p), upper_half(c)));
    } else {
      const VI32 head = hn::BitCast(I32(), hn::ShiftRight<8>(z));
      const VI32 rest = hn::BitCast(I32(), hn::Or(hn::ShiftRight<2>(word), set32(1u)));
      low = value(box64(lower_half(head), lower_half(rest)));
      high = value(box64(upper_half(head), upper_half(rest)));
    }
  }

  // Returns the end of the list.
  template <bool tail, class Output>
  HWY_NOINLINE std::uint32_t* first_trials(std::uint64_t place, std::size_t count, Output output) {
    const std::size_t n = hn::Lanes(U32());
    std::uint32_t* rejected = this->list_end();
    VU32 a = hn::ShiftLeft<8>(hn::Iota(U32(), static_cast<std::uint32_t>(place)));
    const VU32 step = set32(static_cast<std::uint32_t>(n << 8));
    // As in for_words, the counter's low word does not overflow within a session.
    const std::uint64_t index = this->base() + place;
    const UniformRounds uniform(this->keys_, static_cast<std::uint32_t>(index >> 32) | 1u << 24,
                                this->generator_.subsequence);
    const VU64 twice = hn::ShiftLeft<1>(hn::Iota(U64(), 0));
    VU64 even = times(hn::Add(twice, set64(index & 0xffffffffu)), philox_m0);
    const VU64 next = set64(std::uint64_t{philox_m0}), vector = set64(std::uint64_t{n} * philox_m0);
    for (std::size_t i = 0; i < count; i += 2 * n) {
      const VU32 b = hn::Add(a, step);
      VU32 za, wa, zb, wb;
      zw_of_blocks(uniform, this->keys_, even, hn::Add(even, next), za, wa);
      even = hn::Add(even, vector);
      zw_of_blocks(uniform, this->keys_, even, hn::Add(even, next), zb, wb);
      even = hn::Add(even, vector);
      Mask32 rejects_a, rejects_b;
      if constexpr (sizeof(Real) == 8) {
        VF64 low, high;
        trials<tail>(a, za, wa, low, high, rejects_a);
        output(low, high, i);
        trials<tail>(b, zb, wb, low, high, rejects_b);
        output(low, high, i + n);
      } else {
        const VF32 va = trials<tail>(za, wa, rejects_a), vb = trials<tail>(zb, wb, rejects_b);
        output(va, vb, i);
      }
      rejected += store_selected(a, rejects_a, rejected);
      rejected += store_selected(b, rejects_b, rejected);
      a = hn::Add(b, step);
    }
    return rejected;
  }

  template <bool tail>
  HWY_NOINLINE std::size_t again() {
    const std::size_t n = hn::Lanes(U32());
    return this->batch_again(
        [&](std::size_t i, VU32 a, VU32 b, Mask32 valid_a, Mask32 valid_b) HWY_ATTR {
          a = hn::Add(a, set32(one_trial));
          b = hn::Add(b, set32(one_trial));
          VU32 za, wa, zb, wb;
          words(a, za, wa);
          words(b, zb, wb);
          Mask32 rejects_a, rejects_b;
          if constexpr (sizeof(Real) == 8) {
            VF64 low, high;
            trials<tail>(a, za, wa, low, high, rejects_a);
            hn::Store(low, F64(), this->value_ + i);
            hn::Store(high, F64(), this->value_ + i + n / 2);
            trials<tail>(b, zb, wb, low, high, rejects_b);
            hn::Store(low, F64(), this->value_ + i + n);
            hn::Store(high, F64(), this->value_ + i + n / 2 * 3);
          } else {
            const VF32 va = trials<tail>(za, wa, rejects_a), vb = trials<tail>(zb, wb, rejects_b);
            hn::Store(va, F32(), this->value_ + i);
            hn::Store(vb, F32(), this->value_ + i + n);
          }
          this->append(a, hn::And(rejects_a, valid_a));
          this->append(b, hn::And(rejects_b, valid_b));
        },
        [&](std::uint32_t key) { return scalar(key); });
  }

  // Finishes one element with scalar code.
  HWY_NOINLINE Real scalar(std::uint32_t key) const {
    const std::uint64_t index = this->index_of(key);
    const core::Accepted draw = core::first_accepted<core::Philox>(this->generator_, index, window_, trial_of(key) + 1);
    if constexpr (sizeof(Real) == 8) {
      const double z = core::refine(draw, refinement_of(this->generator_, index, draw), window_);
      return core::unclamped_value(core::clamp(z, lower_, upper_), map_);
    } else {
      return core::unclamped_value(draw.z, map_);
    }
  }

  core::Affine<Real> map_;
  Real shift_;
  double lower_, upper_;
  core::NarrowWindow window_;
  std::uint32_t sign_;
};

}  // namespace fanin::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
