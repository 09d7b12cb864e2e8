// SPDX-License-Identifier: Apache-2.0
// Philox4x32-10 in vectors. A 64-bit lane holds a word of one block in its low half. A round then consists of two
// widening multiplications, two moves of a product's high half down, and two three-way xors. The high halves do not
// matter until the end.
#if defined(FANIN_SRC_CPU_SIMD_PHILOX_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef FANIN_SRC_CPU_SIMD_PHILOX_INL_H
#undef FANIN_SRC_CPU_SIMD_PHILOX_INL_H
#else
#define FANIN_SRC_CPU_SIMD_PHILOX_INL_H
#endif

#include <hwy/highway.h>

#include <cstddef>
#include <cstdint>

#include "cpu/simd/vectors-inl.h"
#include "fanin/core/counter.h"

HWY_BEFORE_NAMESPACE();
namespace fanin::cpu::HWY_NAMESPACE {

using core::philox_m0;
using core::philox_m1;
using core::philox_w0;
using core::philox_w1;

HWY_INLINE VU64 times(VU64 v, std::uint32_t factor) {
  return hn::MulEven(hn::BitCast(U32(), v), hn::BitCast(U32(), set64(std::uint64_t{factor})));
}

// Both functions move the high half of each lane down. They run on different execution ports.
HWY_INLINE VU64 high_by_shift(VU64 v) { return hn::ShiftRight<32>(v); }
HWY_INLINE VU64 swap_halves(VU64 v) { return hn::BitCast(U64(), hn::Shuffle2301(hn::BitCast(U32(), v))); }

// Returns v ^ a ^ b in the low halves of lanes and v in the high halves.
HWY_INLINE VU64 mix_low_halves(VU64 v, VU64 a, VU64 b) {
#if HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX3
  return VU64{_mm512_mask_ternarylogic_epi32(v.raw, 0x5555, a.raw, b.raw, 0x96)};
#else
  return hn::Xor(v, hn::And(hn::Xor(a, b), set64(std::uint64_t{0xffffffffu})));
#endif
}

HWY_INLINE void philox_round(VU64& x, VU64& y, VU64& z, VU64& w, VU64 k0, VU64 k1) {
  const VU64 p0 = times(x, philox_m0);
  const VU64 p1 = times(z, philox_m1);
  x = hn::Xor3(high_by_shift(p1), y, k0);
  z = hn::Xor3(swap_halves(p0), w, k1);
  y = p1;
  w = p0;
}

// Joins the low halves of lanes of even and of odd elements.
HWY_INLINE VU32 joined(VU64 even, VU64 odd) {
  return hn::OddEven(hn::BitCast(U32(), hn::ShiftLeft<32>(odd)), hn::BitCast(U32(), even));
}

struct RoundKeys {
  std::uint64_t k0[10], k1[10];  // 32 bits each, as wide as a lane
  explicit RoundKeys(std::uint64_t seed) {
    for (std::uint32_t r = 0; r < 10; ++r) {
      k0[r] = static_cast<std::uint32_t>(seed) + r * philox_w0;
      k1[r] = static_cast<std::uint32_t>(seed >> 32) + r * philox_w1;
    }
  }
};

// Constants of blocks whose counters differ only in the low word. Few words vary in the first two rounds; the others
// are computed once.
struct UniformRounds {
  std::uint64_t z1_key, x2_key, z2_key, z3_key;

  UniformRounds(const RoundKeys& keys, std::uint32_t y, std::uint64_t subsequence) {
    const std::uint64_t p1 = std::uint64_t{philox_m1} * static_cast<std::uint32_t>(subsequence);
    const auto x1 = static_cast<std::uint32_t>((p1 >> 32) ^ y ^ keys.k0[0]);
    const auto y1 = static_cast<std::uint32_t>(p1);
    const std::uint64_t p0 = std::uint64_t{philox_m0} * x1;  // of round 2
    z1_key = (subsequence >> 32) ^ keys.k1[0];
    x2_key = y1 ^ keys.k0[1];
    z2_key = (p0 >> 32) ^ keys.k1[1];
    z3_key = static_cast<std::uint32_t>(p0) ^ keys.k1[2];
  }
};

// Computes rounds 1 to 3 of such blocks. `w1` holds round 1's product of the low counter word.
HWY_INLINE void first_rounds(const UniformRounds& uniform, const RoundKeys& keys, VU64 w1, VU64& x, VU64& y, VU64& z,
                             VU64& w) {
  const VU64 z1 = hn::Xor(high_by_shift(w1), set64(uniform.z1_key));
  const VU64 y2 = times(z1, philox_m1);
  const VU64 x2 = hn::Xor(swap_halves(y2), set64(uniform.x2_key));
  const VU64 z2 = hn::Xor(w1, set64(uniform.z2_key));
  w = times(x2, philox_m0);
  y = times(z2, philox_m1);
  x = hn::Xor3(high_by_shift(y), y2, set64(keys.k0[2]));
  z = hn::Xor(swap_halves(w), set64(uniform.z3_key));
}

// Computes rounds [first, last), counted from 0, of four chains.
template <int first, int last>
HWY_INLINE void four_rounds(const RoundKeys& keys, VU64& xa, VU64& ya, VU64& za, VU64& wa, VU64& xb, VU64& yb, VU64& zb,
                            VU64& wb, VU64& xc, VU64& yc, VU64& zc, VU64& wc, VU64& xd, VU64& yd, VU64& zd, VU64& wd) {
  HWY_UNROLL(3)
  for (int r = first; r < last; ++r) {
    const VU64 k0 = set64(keys.k0[r]), k1 = set64(keys.k1[r]);
    philox_round(xa, ya, za, wa, k0, k1);
    philox_round(xb, yb, zb, wb, k0, k1);
    philox_round(xc, yc, zc, wc, k0, k1);
    philox_round(xd, yd, zd, wd, k0, k1);
  }
}

// Computes round 10. If in_order, the first vector gets the block of the first of every two lanes, and the second
// vector gets the block of the second lane. Otherwise the first vector gets words x and y of each lane, and the second
// vector gets words z and w.
template <bool in_order>
HWY_INLINE void last_round(const RoundKeys& keys, VU64 x, VU64 y, VU64 z, VU64 w, std::uint32_t* words) {
  const VU64 p0 = times(x, philox_m0);
  const VU64 p1 = times(z, philox_m1);
  const VU64 xy = mix_low_halves(swap_halves(p1), y, set64(keys.k0[9]));
  const VU64 zw = mix_low_halves(swap_halves(p0), w, set64(keys.k1[9]));
  hn::Store(hn::BitCast(U32(), in_order ? hn::InterleaveLower(U64(), xy, zw) : xy), U32(), words);
  hn::Store(hn::BitCast(U32(), in_order ? hn::InterleaveUpper(U64(), xy, zw) : zw), U32(), words + hn::Lanes(U32()));
}

// The number of elements that for_words makes is a multiple of this.
HWY_INLINE std::size_t words_group() { return 8 * hn::Lanes(U32()); }

// Makes the head words of elements [4 * quad, 4 * quad + count). body(words, half, at, number) gets 4 vectors with the
// words of consecutive elements in memory, and, if Body::refined, 4 more vectors with their refinement words. The first
// element has number `at`. `half` is the half of an iteration. `number` is a vector that starts as 256 * place, 256 *
// (place + 1) and so on; the body advances it. `count` is a positive multiple of words_group(). Words of quads past the
// next multiple of 2^32 are undefined.
//
// If Body::in_order is false, the first of every two vectors holds words x and y of two vectors' blocks, and the second
// holds words z and w.
//
// Four chains of rounds run at a time, to keep the multipliers busy. The body for the words of the previous iteration
// runs among them, because the processor looks ahead a few hundred instructions, which is less than one iteration. A
// body that needs most registers sets Body::among_rounds to false and runs before the rounds.
template <class Body>
HWY_INLINE void for_words(const core::Generator& generator, std::uint64_t quad, std::size_t count, std::uint32_t place,
                          Body& body) {
  constexpr bool refined = Body::refined;
  const RoundKeys keys(generator.seed);
  const auto high = static_cast<std::uint32_t>(quad >> 32);
  const UniformRounds heads(keys, high, generator.subsequence);
  // Chains c and d make the refinement words of the elements of a and b, or the head words of the elements after them.
  const UniformRounds others(keys, refined ? high | core::first_refinement_tag << 24 : high, generator.subsequence);
  const std::size_t n = hn::Lanes(U32());
  const std::size_t made = refined ? 4 * n : 8 * n;  // elements per iteration
  HWY_ALIGN std::uint32_t words[8 * hn::MaxLanes(U32())];
  // Lane 2j counts j and lane 2j + 1 counts n / 4 + j, as the order of last_round needs it.
  const VU64 i = hn::Iota(U64(), 0);
  const VU64 lane = hn::OddEven(hn::Add(hn::ShiftRight<1>(i), set64(std::uint64_t{n / 4})), hn::ShiftRight<1>(i));
  const VU64 x = hn::ShiftLeft<2>(lane), y = hn::Add(x, set64(std::uint64_t{1}));
  const VU32 first = Body::in_order ? hn::Iota(U32(), 0) : joined(x, y);
  VU32 number = hn::ShiftLeft<8>(hn::Add(first, set32(place)));
  const VU64 counter = hn::Add(lane, set64(quad & 0xffffffffu));
  // Counters grow by a constant, and so do their products.
  VU64 pa = times(counter, philox_m0), pb = times(hn::Add(counter, set64(std::uint64_t{n / 2})), philox_m0),
       pc = times(hn::Add(counter, set64(std::uint64_t{n})), philox_m0),
       pd = times(hn::Add(counter, set64(std::uint64_t{n / 2 * 3})), philox_m0);
  const VU64 step = set64(std::uint64_t{made / 4} * philox_m0);
  std::size_t at = 0;
  do {
    if (!Body::among_rounds && at > 0) {
      body(words, 0, at - made, number);
      if constexpr (!refined) body(words + 4 * n, 1, at - 4 * n, number);
    }
    VU64 xa, xb, xc, xd, ya, yb, yc, yd, za, zb, zc, zd, wa, wb, wc, wd;
    first_rounds(heads, keys, pa, xa, ya, za, wa);
    first_rounds(heads, keys, pb, xb, yb, zb, wb);
    first_rounds(others, keys, refined ? pa : pc, xc, yc, zc, wc);
    first_rounds(others, keys, refined ? pb : pd, xd, yd, zd, wd);
    pa = hn::Add(pa, step);
    pb = hn::Add(pb, step);
    pc = hn::Add(pc, step);
    pd = hn::Add(pd, step);
    four_rounds<3, 4>(keys, xa, ya, za, wa, xb, yb, zb, wb, xc, yc, zc, wc, xd, yd, zd, wd);
    if (Body::among_rounds && at > 0) body(words, 0, at - made, number);
    four_rounds<4, 7>(keys, xa, ya, za, wa, xb, yb, zb, wb, xc, yc, zc, wc, xd, yd, zd, wd);
    if constexpr (!refined) {
      if (Body::among_rounds && at > 0) body(words + 4 * n, 1, at - 4 * n, number);
    }
    four_rounds<7, 9>(keys, xa, ya, za, wa, xb, yb, zb, wb, xc, yc, zc, wc, xd, yd, zd, wd);
    last_round<Body::in_order>(keys, xa, ya, za, wa, words);
    last_round<Body::in_order>(keys, xb, yb, zb, wb, words + 2 * n);
    last_round<Body::in_order>(keys, xc, yc, zc, wc, words + 4 * n);
    last_round<Body::in_order>(keys, xd, yd, zd, wd, words + 6 * n);
    at += made;
  } while (at < count);
  body(words, 0, count - made, number);
  if constexpr (!refined) body(words + 4 * n, 1, count - 4 * n, number);
}

// Computes the blocks of elements base + at. `tags` has a tag for each element in the top byte. x, y, z and w receive
// one word of each block.
HWY_INLINE void blocks_at(const core::Generator& generator, const RoundKeys& keys, std::uint64_t base, VU32 at,
                          VU32 tags, VU32& x, VU32& y, VU32& z, VU32& w) {
  const VU64 low_half = set64(std::uint64_t{0xffffffffu});
  const VU64 at_even = hn::And(hn::BitCast(U64(), at), low_half);
  const VU64 at_odd = hn::ShiftRight<32>(hn::BitCast(U64(), at));
  VU64 xa = hn::Add(at_even, set64(base)), xb = hn::Add(at_odd, set64(base));
  VU64 ya = hn::Or(hn::ShiftRight<32>(xa), hn::BitCast(U64(), tags));
  VU64 yb = hn::Or(hn::ShiftRight<32>(xb), hn::ShiftRight<32>(hn::BitCast(U64(), tags)));
  // Round 1's second product is the same for all.
  const std::uint64_t p1 = std::uint64_t{philox_m1} * static_cast<std::uint32_t>(generator.subsequence);
  const VU64 x_key = set64((p1 >> 32) ^ keys.k0[0]), z_key = set64((generator.subsequence >> 32) ^ keys.k1[0]);
  VU64 wa = times(xa, philox_m0), wb = times(xb, philox_m0);
  VU64 za = hn::Xor(high_by_shift(wa), z_key), zb = hn::Xor(high_by_shift(wb), z_key);
  xa = hn::Xor(ya, x_key);
  xb = hn::Xor(yb, x_key);
  ya = yb = set64(p1 & 0xffffffffu);
  HWY_UNROLL(9)
  for (int r = 1; r < 10; ++r) {
    const VU64 k0 = set64(keys.k0[r]), k1 = set64(keys.k1[r]);
    philox_round(xa, ya, za, wa, k0, k1);
    philox_round(xb, yb, zb, wb, k0, k1);
  }
  x = joined(xa, xb);
  y = joined(ya, yb);
  z = joined(za, zb);
  w = joined(wa, wb);
}

// Computes words z and w of blocks whose counters differ only in the low word. `even` and `odd` are round 1's products
// of the low words of even and of odd elements.
HWY_INLINE void zw_of_blocks(const UniformRounds& uniform, const RoundKeys& keys, VU64 even, VU64 odd, VU32& z,
                             VU32& w) {
  VU64 xa, ya, za, wa, xb, yb, zb, wb;
  first_rounds(uniform, keys, even, xa, ya, za, wa);
  first_rounds(uniform, keys, odd, xb, yb, zb, wb);
  HWY_UNROLL(7)
  for (int r = 3; r < 10; ++r) {
    const VU64 k0 = set64(keys.k0[r]), k1 = set64(keys.k1[r]);
    philox_round(xa, ya, za, wa, k0, k1);
    philox_round(xb, yb, zb, wb, k0, k1);
  }
  z = joined(za, zb);
  w = joined(wa, wb);
}

}  // namespace fanin::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
