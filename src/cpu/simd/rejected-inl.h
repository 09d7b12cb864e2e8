// SPDX-License-Identifier: Apache-2.0
// The list of rejected elements. First trials of many elements put the elements that they reject into the list. Full
// vectors of listed elements are retried, and their values overwrite the first values. Elements that are rejected again
// return to the list.
#if defined(FANIN_SRC_CPU_SIMD_REJECTED_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef FANIN_SRC_CPU_SIMD_REJECTED_INL_H
#undef FANIN_SRC_CPU_SIMD_REJECTED_INL_H
#else
#define FANIN_SRC_CPU_SIMD_REJECTED_INL_H
#endif

#include <hwy/highway.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "cpu/simd/arithmetic-inl.h"
#include "cpu/simd/philox-inl.h"
#include "cpu/simd/tables.h"
#include "cpu/simd/uniform-inl.h"
#include "cpu/simd/vectors-inl.h"
#include "fanin/core/normal.h"

HWY_BEFORE_NAMESPACE();
namespace fanin::cpu::HWY_NAMESPACE {

// The key of a rejected element holds the sign (bit 31) and the cell (bits 0 to 7) of its head word, and its number:
// its place among the elements of a session (bits 8 to 23) and the trial that failed or needs an edge point (bits 24 to
// 29).
constexpr std::uint32_t head_bits = 0x800000ffu;
constexpr std::uint32_t trial_bits = 0x3f000000u;
constexpr std::uint32_t one_trial = 0x01000000u;
constexpr std::uint64_t most_places = 1 << 16;

HWY_INLINE VU32 key_of(VU32 head, VU32 number) { return hn::OrAnd(number, head, set32(head_bits)); }
inline std::uint32_t place_of(std::uint32_t key) { return key >> 8 & 0xffffu; }
HWY_INLINE VU32 place_of(VU32 key) { return hn::And(hn::ShiftRight<8>(key), set32(0xffffu)); }
inline std::uint32_t trial_of(std::uint32_t key) { return (key & trial_bits) / one_trial; }
// Returns the number for the next trial.
HWY_INLINE VU32 next_number(VU32 key) { return hn::Add(hn::And(key, set32(~head_bits)), set32(one_trial)); }

HWY_INLINE VF32 neglog(VF32 u) {
  const VU32 sqrt_half = set32(0x3f3504f3u);
  const VU32 ix = hn::Sub(hn::BitCast(U32(), u), sqrt_half);
  const VF32 e = hn::ConvertTo(F32(), hn::ShiftRight<23>(hn::BitCast(I32(), ix)));
  const VF32 f = hn::Sub(hn::BitCast(F32(), hn::Add(hn::And(ix, set32(0x7fffffu)), sqrt_half)), set32(1.0F));
  VF32 p = set32(core::neglog_c8);
  p = fma(p, f, set32(core::neglog_c7));
  p = fma(p, f, set32(core::neglog_c6));
  p = fma(p, f, set32(core::neglog_c5));
  p = fma(p, f, set32(core::neglog_c4));
  p = fma(p, f, set32(core::neglog_c3));
  p = fma(p, f, set32(core::neglog_c2));
  p = fma(p, f, set32(core::neglog_c1));
  p = fma(p, f, set32(core::neglog_c0));
  return hn::Neg(fma(e, set32(core::neglog_ln2), fma(hn::Mul(f, f), p, f)));
}

// core::edge_fraction.
HWY_INLINE VF32 edge_fraction(VU32 word) {
  const VU32 n = hn::Or(hn::ShiftRight<7>(word), set32(1u));
  return hn::Mul(hn::ConvertTo(F32(), hn::BitCast(I32(), n)), set32(0x1p-25F));
}

// Returns the words that refine trials of the elements base + place in binary64. `trial` has the trials in the bits of
// a key.
HWY_INLINE VU32 refinement_of(const core::Generator& generator, const RoundKeys& keys, std::uint64_t base, VU32 place,
                              VU32 trial) {
  const VU32 first_tag = set32(core::first_refinement_tag << 24);
  const Mask32 first = hn::Eq(trial, set32(0u));
  VU32 x, y, z, w;
  blocks_at(generator, keys, base, place, hn::Add(trial, first_tag), x, y, z, w);
  if (hn::AllFalse(U32(), first)) return x;
  // Trial 0 uses the element's word among the four of its quad.
  VU32 qx, qy, qz, qw;
  blocks_at(generator, keys, base / 4, hn::ShiftRight<2>(place), first_tag, qx, qy, qz, qw);
  const Mask32 odd = hn::Ne(hn::And(place, set32(1u)), set32(0u));
  const Mask32 upper = hn::Ne(hn::And(place, set32(2u)), set32(0u));
  const VU32 of_quad = hn::IfThenElse(upper, hn::IfThenElse(odd, qw, qz), hn::IfThenElse(odd, qy, qx));
  return hn::IfThenElse(first, of_quad, x);
}

// Does the same for one element.
inline std::uint32_t refinement_of(const core::Generator& generator, std::uint64_t index, const core::Accepted& draw) {
  if (draw.trial == core::trials) return 0;
  if (draw.trial > 0) return core::retry_refinement<core::Philox>(generator, index, draw.trial);
  const core::Words words = core::head_refinements<core::Philox>(generator, index / 4);
  const std::uint32_t of_quad[4] = {words.x, words.y, words.z, words.w};
  return of_quad[index % 4];
}

// core::with_more_digits; c is a centred refinement.
HWY_INLINE VF64 with_more_digits(VF64 z, VF64 c) { return fma(z, hn::Mul(c, set64(0x1p-53)), z); }

// Stores the elements that the mask selects, one after the other. It also overwrites the memory after them, up to a
// vector's length. Returns the number of selected elements. If the target has no instruction for this, Highway 1.0.3
// would first copy its table to the stack, so this code has a table of its own.
HWY_INLINE std::size_t store_selected(VU32 v, Mask32 mask, std::uint32_t* to) {
#if HWY_HAVE_SCALABLE || HWY_TARGET <= HWY_AVX3
  hn::StoreU(hn::Compress(v, mask), U32(), to);
  return hn::CountTrue(U32(), mask);
#else
  std::uint8_t bits[8];
  hn::StoreMaskBits(U32(), mask, bits);
#if HWY_TARGET == HWY_AVX2
  const hn::Rebind<std::uint8_t, U32> bytes;
  const VU32 order = hn::PromoteTo(U32(), hn::Load(bytes, vector_orders.front8[bits[0]]));
  hn::StoreU(hn::TableLookupLanes(v, hn::IndicesFromVec(U32(), order)), U32(), to);
#else
  const hn::Repartition<std::uint8_t, U32> bytes;
  const auto order = hn::Load(bytes, vector_orders.front4[bits[0]]);
  hn::StoreU(hn::BitCast(U32(), hn::TableLookupBytes(hn::BitCast(bytes, v), order)), U32(), to);
#endif
  return static_cast<std::size_t>(__builtin_popcount(bits[0]));
#endif
}

// The number of elements of one run of first trials. They stay in the first-level cache until they are retried, clamped
// and rounded. All temporaries together take about 25 KiB.
constexpr std::size_t piece_size = 2048;
static_assert(piece_size % (8 * hn::MaxLanes(U32())) == 0);

// The maximum number of elements that are retried at a time.
constexpr std::size_t most_retried = 8 * hn::MaxLanes(U32());

// The list of a sampler's rejected elements. Functions that all formats share are not inlined, to keep the code small.
template <class Real>
class Rejected {
 public:
  void begin(std::uint64_t quad) { quad_ = quad; }
  const std::uint32_t* keys() const { return key_; }
  Real* retried() { return value_; }

 protected:
  static constexpr std::size_t batch = most_retried;

  explicit Rejected(const core::Generator& generator) : generator_(generator), keys_(generator.seed) {}

  std::uint64_t base() const { return 4 * quad_; }
  std::uint64_t index_of(std::uint32_t key) const { return base() + place_of(key); }
  std::uint32_t* list_end() { return list_ + listed_; }

  // Sets the list's end after first trials of [place, place + count); drops keys outside of [from, to).
  void listed_up_to(std::uint32_t* end, std::uint64_t place, std::size_t count, std::uint64_t from, std::uint64_t to) {
    if (from > place || to < place + count) {
      end = std::remove_if(list_end(), end,
                           [=](std::uint32_t key) { return place_of(key) < from || place_of(key) >= to; });
    }
    listed_ = static_cast<std::size_t>(end - list_);
  }
  HWY_INLINE void append(VU32 key, Mask32 mask) { listed_ += store_selected(key, mask, list_end()); }

  // Takes a batch from the list, or the keys that are left, and calls pair(i, a, b, valid_a, valid_b) for every two
  // vectors of keys. scalar(key) computes elements that failed very often, one by one. Returns the number of all
  // elements.
  template <class Pair, class Scalar>
  HWY_INLINE std::size_t batch_again(const Pair& pair, const Scalar& scalar) {
    const std::size_t n = hn::Lanes(U32()), all = std::min(batch, listed_);
    listed_ -= all;
    std::copy_n(list_end(), all, key_);
    std::uint32_t trials = 0;
    for (std::size_t i = 0; i < all; ++i) trials = std::max(trials, key_[i] & trial_bits);
    std::size_t count = all <= few ? 0 : all;
    if (trials >= most_trials) {
      const auto* const often =
          std::partition(key_, key_ + count, [](std::uint32_t key) { return (key & trial_bits) < most_trials; });
      count = static_cast<std::size_t>(often - key_);
    }
    for (std::size_t i = 0; i < count; i += 2 * n) {
      const Mask32 valid_a = hn::FirstN(U32(), count - i);
      const Mask32 valid_b = hn::FirstN(U32(), count - std::min(count, i + n));
      // Elements past the end are zero, because they may serve as an index.
      pair(i, hn::IfThenElseZero(valid_a, hn::Load(U32(), key_ + i)),
           hn::IfThenElseZero(valid_b, hn::Load(U32(), key_ + i + n)), valid_a, valid_b);
    }
    for (std::size_t i = count; i < all; ++i) value_[i] = scalar(key_[i]);
    return all;
  }

  core::Generator generator_;
  RoundKeys keys_;
  std::uint64_t quad_ = 0;
  std::size_t listed_ = 0;
  // The keys and values of a batch.
  HWY_ALIGN std::uint32_t key_[batch];
  HWY_ALIGN Real value_[batch];

 private:
  static constexpr std::size_t few = 3;                         // up to this many are faster one by one
  static constexpr std::uint32_t most_trials = 16 * one_trial;  // in vectors

  // The list has room for a whole vector behind its end, because store_selected() stores whole vectors.
  std::uint32_t list_[piece_size + batch + hn::MaxLanes(U32())];
};

}  // namespace fanin::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
