// SPDX-License-Identifier: Apache-2.0
// Normal values in tiles (docs/VALUES.md, section 3; core/normal.h is the same, one element at a time). The first trial
// of all elements of a tile comes first. What it rejects is put into a list, redone in full vectors, and put over it;
// what that rejects again, too. All elements of a list have had the same number of trials.
#if defined(FANIN_SRC_CPU_SIMD_NORMAL_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef FANIN_SRC_CPU_SIMD_NORMAL_INL_H
#undef FANIN_SRC_CPU_SIMD_NORMAL_INL_H
#else
#define FANIN_SRC_CPU_SIMD_NORMAL_INL_H
#endif

#include <hwy/highway.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>

#include "core/normal.h"
#include "core/values.h"
#include "cpu/simd/arithmetic-inl.h"
#include "cpu/simd/philox-inl.h"
#include "cpu/simd/tables.h"
#include "cpu/simd/uniform-inl.h"
#include "cpu/simd/vectors-inl.h"

HWY_BEFORE_NAMESPACE();
namespace fanin::cpu::HWY_NAMESPACE {

// A rejected element: its place in the tile, and of its head word what matters further, the sign and the cell.
constexpr std::uint32_t key_of_head = 0x800000ffu;
HWY_INLINE VU32 key_of(VU32 head, VU32 place) { return hn::OrAnd(hn::ShiftLeft<8>(place), head, set32(key_of_head)); }
HWY_INLINE VU32 place_of(VU32 key) { return hn::ShiftRight<8>(hn::AndNot(set32(0x80000000u), key)); }

HWY_INLINE VU32 cell_of(VU32 head) { return hn::And(head, set32(0xffu)); }
HWY_INLINE Mask32 is_edge(VU32 head) {
  return hn::RebindMask(U32(), hn::Gt(hn::BitCast(I32(), cell_of(head)), hn::Set(I32(), core::rectangles - 1)));
}

template <class T>
HWY_INLINE auto look_up(const T* table, VU32 index) {
  return hn::GatherIndex(hn::ScalableTag<T>(), table, hn::BitCast(I32(), index));
}

// The window of accepted values, without the infinities that stand for edge cells.
struct FiniteWindow {
  float lower, upper;
  explicit FiniteWindow(core::Window w)
      : lower(std::max(w.lower, -std::numeric_limits<float>::max())),
        upper(std::min(w.upper, std::numeric_limits<float>::max())) {}
  HWY_INLINE Mask32 rejects(VF32 z) const {
    return hn::RebindMask(U32(), hn::Or(hn::Lt(z, set32(lower)), hn::Gt(z, set32(upper))));
  }
};

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
  const VU32 n = hn::Or(hn::ShiftLeft<1>(hn::ShiftRight<8>(word)), set32(1u));
  return hn::Mul(hn::ConvertTo(F32(), hn::BitCast(I32(), n)), set32(0x1p-25F));
}

HWY_INLINE VU32 box_of(VU32 word) {
  const VU32 box = look_up(vector_tables.first_box, hn::ShiftRight<32 - VectorTables::first_box_bits>(word));
  // Past the last threshold there is none to pass.
  const VU32 next = look_up(core::ziggurat.threshold, hn::Min(box, set32(core::boxes - 2)));
  const auto passed = hn::And(hn::Not(hn::Gt(next, word)), hn::Lt(box, set32(core::boxes - 1)));
  return hn::IfThenElse(passed, hn::Add(box, set32(1u)), box);
}

// core::edge_point: the points, and which of them are kept.
HWY_INLINE VF32 edge_point(VU32 key, VU32 y, VU32 z, VU32 w, Mask32& kept) {
  const VU32 box = box_of(y);
  const auto tail = hn::RebindMask(F32(), hn::Eq(box, set32(0u)));
  const VF32 ux = edge_fraction(z), uy = edge_fraction(w);
  const VF32 a = hn::Mul(neglog(ux), set32(core::ziggurat.inverse_x0));
  const VF32 height = fma(uy, look_up(core::ziggurat.dy, box), look_up(core::ziggurat.y_low, box));
  const VF32 inside = fma(ux, look_up(core::ziggurat.dx, box), look_up(core::ziggurat.x_low, box));
  const VF32 l = neglog(hn::IfThenElse(tail, uy, height));
  const VF32 left = hn::IfThenElse(tail, a, inside);
  kept = hn::RebindMask(U32(), hn::Lt(hn::Mul(left, left), hn::Add(l, l)));
  const VF32 x = hn::IfThenElse(tail, hn::Add(set32(core::ziggurat.x0), a), inside);
  return hn::BitCast(F32(), hn::OrAnd(hn::BitCast(U32(), x), key, set32(0x80000000u)));
}

// The points of the first trials of four vectors of elements, edge cells' infinite.
HWY_INLINE VF32 rectangle_point(VU32 head, VF32 x) { return hn::Mul(hn::ConvertTo(F32(), centred(head)), x); }
HWY_INLINE VF32 rectangle_point(VU32 head) { return rectangle_point(head, look_up(vector_tables.x, cell_of(head))); }

#if HWY_TARGET == HWY_AVX3_DL

// 64 elements at a time: a look-up of bytes in a table of 256 bytes is two permutations of two registers each, and
// x has four bytes. Gathering takes much longer, most of all where it is slowed down for safety (Downfall).
class PointsOfRectangles {
 public:
  HWY_INLINE PointsOfRectangles() {
    load(0, a0_, a1_, a2_, a3_);
    load(1, b0_, b1_, b2_, b3_);
    load(2, c0_, c1_, c2_, c3_);
    load(3, d0_, d1_, d2_, d3_);
  }
  HWY_INLINE void operator()(VU32 w0, VU32 w1, VU32 w2, VU32 w3, VF32& z0, VF32& z1, VF32& z2, VF32& z3) const {
    // The packing works within blocks of 128 bits, and so does the unpacking.
    const __m512i cells = _mm512_packus_epi16(_mm512_packus_epi32(cell_of(w0).raw, cell_of(w1).raw),
                                              _mm512_packus_epi32(cell_of(w2).raw, cell_of(w3).raw));
    const __mmask64 upper = _mm512_movepi8_mask(cells);
    const __m512i a = bytes(cells, upper, a0_, a1_, a2_, a3_), b = bytes(cells, upper, b0_, b1_, b2_, b3_);
    const __m512i c = bytes(cells, upper, c0_, c1_, c2_, c3_), d = bytes(cells, upper, d0_, d1_, d2_, d3_);
    const __m512i ab_low = _mm512_unpacklo_epi8(a, b), ab_high = _mm512_unpackhi_epi8(a, b);
    const __m512i cd_low = _mm512_unpacklo_epi8(c, d), cd_high = _mm512_unpackhi_epi8(c, d);
    z0 = rectangle_point(w0, floats(_mm512_unpacklo_epi16(ab_low, cd_low)));
    z1 = rectangle_point(w1, floats(_mm512_unpackhi_epi16(ab_low, cd_low)));
    z2 = rectangle_point(w2, floats(_mm512_unpacklo_epi16(ab_high, cd_high)));
    z3 = rectangle_point(w3, floats(_mm512_unpackhi_epi16(ab_high, cd_high)));
  }

 private:
  static HWY_INLINE void load(int byte, __m512i& q0, __m512i& q1, __m512i& q2, __m512i& q3) {
    const std::uint8_t* bytes = vector_tables.x_byte[byte];
    q0 = _mm512_loadu_si512(bytes);
    q1 = _mm512_loadu_si512(bytes + 64);
    q2 = _mm512_loadu_si512(bytes + 128);
    q3 = _mm512_loadu_si512(bytes + 192);
  }
  static HWY_INLINE __m512i bytes(__m512i cells, __mmask64 upper, __m512i q0, __m512i q1, __m512i q2, __m512i q3) {
    return _mm512_mask_blend_epi8(upper, _mm512_permutex2var_epi8(q0, cells, q1),
                                  _mm512_permutex2var_epi8(q2, cells, q3));
  }
  static HWY_INLINE VF32 floats(__m512i bits) { return VF32{_mm512_castsi512_ps(bits)}; }

  __m512i a0_, a1_, a2_, a3_, b0_, b1_, b2_, b3_, c0_, c1_, c2_, c3_, d0_, d1_, d2_, d3_;
};

#else

struct PointsOfRectangles {
  HWY_INLINE void operator()(VU32 w0, VU32 w1, VU32 w2, VU32 w3, VF32& z0, VF32& z1, VF32& z2, VF32& z3) const {
    z0 = rectangle_point(w0);
    z1 = rectangle_point(w1);
    z2 = rectangle_point(w2);
    z3 = rectangle_point(w3);
  }
};

#endif

// What is rejected in a tile of up to `tile` elements; the vectors that are stored at the end of a list may overlap
// what follows it.
template <std::size_t tile>
struct Rejected {
  std::uint32_t keys[2][tile + hn::MaxLanes(U32())];
};

// A list that grows by the elements of vectors that a mask selects.
class List {
 public:
  explicit HWY_INLINE List(std::uint32_t* at) : begin_(at), end_(at) {}
  HWY_INLINE void append(VU32 v, Mask32 mask) {
    hn::StoreU(hn::Compress(v, mask), U32(), end_);
    end_ += hn::CountTrue(U32(), mask);
  }
  std::size_t size() const { return static_cast<std::size_t>(end_ - begin_); }

 private:
  std::uint32_t* begin_;
  std::uint32_t* end_;
};

// Writes float32 values of a tile.
template <bool shifted>
struct FloatTile {
  using Real = float;
  core::Affine<float> map;
  float* out;

  HWY_INLINE VF32 value(VF32 z) const {
    if constexpr (shifted) return fma(z, set32(map.scale), set32(map.shift));
    return hn::Mul(z, set32(map.scale));
  }
  // First trials: rejected elements get values that do not matter.
  HWY_INLINE void first(VU32, VF32 z, std::size_t at) const { hn::StoreU(value(z), F32(), out + at); }

  // Accepted rectangles' points of trial `trial`, at their places; others get values that do not matter.
  HWY_INLINE void again(const core::Stream&, const RoundKeys&, std::uint64_t, VU32 places, VU32, VF32 z, Mask32,
                        std::uint32_t, std::size_t count) const {
    HWY_ALIGN std::uint32_t to[hn::MaxLanes(U32())];
    HWY_ALIGN float values[hn::MaxLanes(F32())];
    hn::Store(places, U32(), to);
    hn::Store(value(z), F32(), values);
    for (std::size_t i = 0; i < count; ++i) out[to[i]] = values[i];
  }
  void scalar(const core::Stream&, std::uint64_t, std::size_t place, const core::Accepted& draw) const {
    out[place] = map.shifted ? core::fma(draw.z, map.scale, map.shift) : core::mul(draw.z, map.scale);
  }
};

// Writes float64 values of a tile: more digits of the same draws.
template <bool shifted>
struct DoubleTile {
  using Real = double;
  core::Affine<double> map;
  double lower, upper;              // the window
  const std::uint32_t* refinement;  // words of the first trials
  double* out;

  HWY_INLINE VF64 value(VF64 z) const {
    z = clamp(F64(), z, set64(lower), set64(upper));
    if constexpr (shifted) return fma(z, set64(map.scale), set64(map.shift));
    return hn::Mul(z, set64(map.scale));
  }
  static HWY_INLINE VF64 rectangle(VF64 k, VF64 c, VF64 x) { return hn::Mul(refined(k, c, 0x1p22), x); }
  static HWY_INLINE VF64 x_of(hn::Vec<hn::Half<I32>> cell) {
    return hn::GatherIndex(F64(), vector_tables.x64, hn::PromoteTo(I64(), cell));
  }

  HWY_INLINE void first(VU32 head, VF32, std::size_t at) const {
    const VI32 k = centred(head), cell = hn::BitCast(I32(), cell_of(head));
    const VI32 c = centred_refinement(hn::LoadU(U32(), refinement + at));
    const hn::Half<I32> half;
    hn::StoreU(value(rectangle(lower_half(k), lower_half(c), x_of(hn::LowerHalf(half, cell)))), F64(), out + at);
    hn::StoreU(value(rectangle(upper_half(k), upper_half(c), x_of(hn::UpperHalf(half, cell)))), F64(),
               out + at + hn::Lanes(F64()));
  }

  // `edges` are accepted edge points z of trial `trial`, the others rectangles' points of the next trial with the
  // head words `heads`.
  HWY_INLINE void again(const core::Stream& stream, const RoundKeys& keys, std::uint64_t base, VU32 places, VU32 heads,
                        VF32 z, Mask32 edges, std::uint32_t trial, std::size_t count) const {
    VU32 word, y, unused_z, w;
    const std::uint32_t tag = (core::first_refinement_tag + trial) << 24;
    blocks_at(stream, keys, base, places, hn::IfThenElse(edges, set32(tag), set32(tag + (1u << 24))), word, y, unused_z,
              w);
    if (trial == 0) word = hn::IfThenElse(edges, look_up(refinement, places), word);
    const VI32 k = centred(heads), c = centred_refinement(word);
    const VI32 cell = hn::BitCast(I32(), cell_of(heads));
    const hn::Half<I32> half;
    HWY_ALIGN std::uint32_t to[hn::MaxLanes(U32())];
    HWY_ALIGN double values[2][hn::MaxLanes(U32())];  // rectangles', edges'
    HWY_ALIGN std::uint32_t is_edge_point[hn::MaxLanes(U32())];
    const std::size_t n = hn::Lanes(F64());
    hn::Store(places, U32(), to);
    hn::Store(hn::VecFromMask(U32(), edges), U32(), is_edge_point);
    hn::Store(value(rectangle(lower_half(k), lower_half(c), x_of(hn::LowerHalf(half, cell)))), F64(), values[0]);
    hn::Store(value(rectangle(upper_half(k), upper_half(c), x_of(hn::UpperHalf(half, cell)))), F64(), values[0] + n);
    hn::Store(value(edge(lower_half(z), lower_half(c))), F64(), values[1]);
    hn::Store(value(edge(upper_half(z), upper_half(c))), F64(), values[1] + n);
    for (std::size_t i = 0; i < count; ++i) out[to[i]] = values[is_edge_point[i] & 1u][i];
  }
  static HWY_INLINE VF64 edge(VF64 z, VF64 c) { return fma(z, hn::Mul(c, set64(0x1p-53)), z); }

  void scalar(const core::Stream& stream, std::uint64_t base, std::size_t place, const core::Accepted& draw) const {
    const std::uint32_t word = draw.trial == 0 ? refinement[place]
                               : draw.trial < core::trials
                                   ? core::retry_refinement<core::Philox>(stream, base + place, draw.trial)
                                   : 0;
    const double z = core::clamp(core::refine(draw, word, core::ziggurat), lower, upper);
    out[place] = map.shifted ? core::fma(z, map.scale, map.shift) : core::mul(z, map.scale);
  }
};

// The body of for_words.
template <class Tile>
struct FirstTrials {
  const Tile& tile;
  FiniteWindow window;
  PointsOfRectangles points;
  List rejected;

  HWY_INLINE void one(VU32 head, VF32 z, std::size_t at) {
    tile.first(head, z, at);
    const VU32 places = hn::Add(hn::Iota(U32(), 0), set32(static_cast<std::uint32_t>(at)));
    rejected.append(key_of(head, places), window.rejects(z));
  }
  HWY_INLINE void operator()(VU32 a, VU32 b, VU32 c, VU32 d, std::size_t at) {
    const std::size_t n = hn::Lanes(U32());
    VF32 za, zb, zc, zd;
    points(a, b, c, d, za, zb, zc, zd);
    one(a, za, at);
    one(b, zb, at + n);
    one(c, zc, at + 2 * n);
    one(d, zd, at + 3 * n);
  }
};

// One generation of rejected elements after another.
template <class Tile>
class Retries {
 public:
  HWY_INLINE Retries(const core::Stream& stream, core::Window window, std::uint64_t base, const Tile& tile)
      : stream_(stream), keys_(stream.seed), window_(window), finite_window_(window), base_(base), tile_(tile) {}

  // Redoes `count` elements, whose trial `trial` failed or awaits its edge point, in place of those that it lists
  // in `next`; returns how many those are.
  std::size_t generation(const std::uint32_t* list, std::size_t count, std::uint32_t trial, std::uint32_t* next) {
    List rejected(next);
    std::size_t edges = 0;
    const std::size_t n = hn::Lanes(U32());
    for (std::size_t i = 0; i < count; i += n) {
      const std::size_t m = std::min(n, count - i);
      const Mask32 valid = hn::FirstN(U32(), m);
      const VU32 key = load(valid, list + i);
      VU32 x, y, z, w;
      blocks_at(stream_, keys_, base_, place_of(key), set32((trial + 1) << 24), x, y, z, w);
      const Mask32 edge = hn::And(valid, is_edge(key));
      append(edges, edge, key, x, y, z, w);
      rectangles(key, x, hn::AndNot(edge, valid), trial, m, rejected);
      if (edges >= batch) edges = edge_points(edges, trial, rejected, false);
    }
    edge_points(edges, trial, rejected, true);
    return rejected.size();
  }

  // Does what is left, an element at a time.
  void rest(const std::uint32_t* list, std::size_t count, std::uint32_t trial) const {
    for (std::size_t i = 0; i < count; ++i) {
      const std::uint32_t place = (list[i] & ~key_of_head) >> 8;
      const bool edge = core::is_edge(list[i]);
      const std::uint32_t head = edge ? list[i] : core::retry<core::Philox>(stream_, base_ + place, trial + 1).x;
      tile_.scalar(stream_, base_, place,
                   core::first_accepted<core::Philox>(stream_, base_ + place, head, window_, core::ziggurat,
                                                      edge ? trial : trial + 1));
    }
  }

 private:
  static constexpr std::size_t batch = 4 * hn::MaxLanes(U32());

  // Elements past the end of a list are zeros: they may serve as an index.
  static HWY_INLINE VU32 load(Mask32 valid, const std::uint32_t* from) {
    return hn::IfThenElseZero(valid, hn::LoadU(U32(), from));
  }

  HWY_INLINE void append(std::size_t& edges, Mask32 mask, VU32 key, VU32 x, VU32 y, VU32 z, VU32 w) {
    hn::StoreU(hn::Compress(key, mask), U32(), edge_[0] + edges);
    hn::StoreU(hn::Compress(x, mask), U32(), edge_[1] + edges);
    hn::StoreU(hn::Compress(y, mask), U32(), edge_[2] + edges);
    hn::StoreU(hn::Compress(z, mask), U32(), edge_[3] + edges);
    hn::StoreU(hn::Compress(w, mask), U32(), edge_[4] + edges);
    edges += hn::CountTrue(U32(), mask);
  }

  HWY_INLINE void rectangles(VU32 key, VU32 head, Mask32 candidates, std::uint32_t trial, std::size_t m,
                             List& rejected) {
    const VU32 places = place_of(key);
    const VF32 z = rectangle_point(head);
    tile_.again(stream_, keys_, base_, places, head, z, hn::MaskFromVec(hn::Zero(U32())), trial, m);
    rejected.append(key_of(head, places), hn::And(candidates, finite_window_.rejects(z)));
  }

  // Does the listed edge points, all or all full vectors, and returns how many are left.
  std::size_t edge_points(std::size_t count, std::uint32_t trial, List& rejected, bool all) {
    const std::size_t n = hn::Lanes(U32());
    std::size_t i = 0;
    for (; all ? i < count : i + n <= count; i += n) {
      const std::size_t m = std::min(n, count - i);
      const Mask32 valid = hn::FirstN(U32(), m);
      const VU32 key = load(valid, edge_[0] + i), head = load(valid, edge_[1] + i);
      Mask32 kept;
      const VF32 point =
          edge_point(key, load(valid, edge_[2] + i), load(valid, edge_[3] + i), load(valid, edge_[4] + i), kept);
      const Mask32 accepted = hn::AndNot(finite_window_.rejects(point), kept);
      const VF32 next = rectangle_point(head);
      const VU32 places = place_of(key);
      tile_.again(stream_, keys_, base_, places, head, hn::IfThenElse(hn::RebindMask(F32(), accepted), point, next),
                  accepted, trial, m);
      const Mask32 failed = hn::AndNot(accepted, hn::And(valid, finite_window_.rejects(next)));
      rejected.append(key_of(head, places), failed);
    }
    if (i >= count) return 0;
    for (int j = 0; j < 5; ++j) hn::StoreU(hn::LoadU(U32(), edge_[j] + i), U32(), edge_[j]);
    return count - i;
  }

  core::Stream stream_;
  RoundKeys keys_;
  core::Window window_;
  FiniteWindow finite_window_;
  std::uint64_t base_;
  const Tile& tile_;
  std::uint32_t edge_[5][batch + 2 * hn::MaxLanes(U32())];  // key, x, y, z, w
};

// Elements quad * 4 ... quad * 4 + count - 1; `count` is a multiple of words_group() and at most `size`.
template <std::size_t size, class Tile>
void normal_tile(const core::Stream& stream, core::Window window, std::uint64_t quad, std::size_t count,
                 const Tile& tile) {
  Rejected<size> rejected;
  FirstTrials<Tile> first{tile, FiniteWindow(window), PointsOfRectangles(), List(rejected.keys[0])};
  for_words(stream, quad, 0, count, first);
  Retries<Tile> retries(stream, window, 4 * quad, tile);
  std::size_t left = first.rejected.size();
  std::uint32_t trial = 0;
  // A few elements, and many trials, are not worth vectors.
  for (; left > 2 && trial < 16; ++trial) {
    left = retries.generation(rejected.keys[trial % 2], left, trial, rejected.keys[(trial + 1) % 2]);
  }
  retries.rest(rejected.keys[trial % 2], left, trial);
}

}  // namespace fanin::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
