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
HWY_INLINE VU32 key_of(VU32 head, VU32 place_times_256) { return hn::OrAnd(place_times_256, head, set32(key_of_head)); }
inline std::uint32_t place_of(std::uint32_t key) { return (key & ~key_of_head) >> 8; }
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

// core::edge_point: the points, and which of them are kept. The words that choose the boxes are in memory.
HWY_INLINE VF32 edge_point(VU32 key, const std::uint32_t* y, VU32 z, VU32 w, Mask32& kept) {
  HWY_ALIGN VectorTables::Box boxes[hn::MaxLanes(U32())];
  for (std::size_t i = 0; i < hn::Lanes(U32()); ++i) {
    std::uint32_t box = vector_tables.first_box[y[i] >> (32 - VectorTables::first_box_bits)];
    box += y[i] > vector_tables.last_word[box] ? 1 : 0;
    boxes[i] = vector_tables.box[box];
  }
  VF32 x_low, dx, y_low, dy;
  hn::LoadInterleaved4(F32(), &boxes[0].x_low, x_low, dx, y_low, dy);
  const auto tail = hn::Lt(dx, hn::Zero(F32()));
  const VF32 ux = edge_fraction(z);
  const VF32 a = hn::Mul(neglog(ux), set32(core::ziggurat.inverse_x0));
  const VF32 inside = fma(ux, dx, x_low);
  const VF32 l = neglog(fma(edge_fraction(w), dy, y_low));
  const VF32 left = hn::IfThenElse(tail, a, inside);
  kept = hn::RebindMask(U32(), hn::Lt(hn::Mul(left, left), hn::Add(l, l)));
  const VF32 x = hn::IfThenElse(tail, hn::Add(x_low, a), inside);
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
    d_ = _mm512_loadu_si512(vector_tables.x_byte[3] + first_odd_top_byte);
  }
  HWY_INLINE void operator()(VU32 w0, VU32 w1, VU32 w2, VU32 w3, VF32& z0, VF32& z1, VF32& z2, VF32& z3) const {
    const __m512i order = _mm512_load_si512(vector_tables.cell_order);
    const __m512i cells = _mm512_or_si512(_mm512_maskz_permutex2var_epi8(0x00ff00ff00ff00ffu, w0.raw, order, w1.raw),
                                          _mm512_maskz_permutex2var_epi8(0xff00ff00ff00ff00u, w2.raw, order, w3.raw));
    const __mmask64 upper = _mm512_movepi8_mask(cells);
    const __m512i a = bytes(cells, upper, a0_, a1_, a2_, a3_), b = bytes(cells, upper, b0_, b1_, b2_, b3_);
    const __m512i c = bytes(cells, upper, c0_, c1_, c2_, c3_);
    const __mmask64 odd = _mm512_cmpge_epu8_mask(cells, _mm512_set1_epi8(static_cast<char>(first_odd_top_byte)));
    const __m512i most = _mm512_set1_epi8(static_cast<char>(vector_tables.x_byte[3][0]));
    const __m512i d = _mm512_mask_permutexvar_epi8(most, odd, cells, d_);
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

  __m512i a0_, a1_, a2_, a3_, b0_, b1_, b2_, b3_, c0_, c1_, c2_, c3_, d_;
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

// Stores the elements that the mask selects, one after the other, and anything after them up to a vector's length;
// returns how many they are. Where there is no instruction for it, Highway 1.0.3 copies its table to the stack first.
HWY_INLINE std::size_t store_selected(VU32 v, Mask32 mask, std::uint32_t* to) {
#if HWY_HAVE_SCALABLE || HWY_TARGET <= HWY_AVX3
  hn::StoreU(hn::Compress(v, mask), U32(), to);
  return hn::CountTrue(U32(), mask);
#else
  std::uint8_t bits[8];
  hn::StoreMaskBits(U32(), mask, bits);
#if HWY_TARGET == HWY_AVX2
  const hn::Rebind<std::uint8_t, U32> bytes;
  const VU32 order = hn::PromoteTo(U32(), hn::Load(bytes, vector_tables.front8[bits[0]]));
  hn::StoreU(hn::TableLookupLanes(v, hn::IndicesFromVec(U32(), order)), U32(), to);
#else
  const hn::Repartition<std::uint8_t, U32> bytes;
  const auto order = hn::Load(bytes, vector_tables.front4[bits[0]]);
  hn::StoreU(hn::BitCast(U32(), hn::TableLookupBytes(hn::BitCast(bytes, v), order)), U32(), to);
#endif
  return static_cast<std::size_t>(__builtin_popcount(bits[0]));
#endif
}

// A list that grows by the elements of vectors that a mask selects.
class List {
 public:
  explicit HWY_INLINE List(std::uint32_t* at) : begin_(at), end_(at) {}
  HWY_INLINE void append(VU32 v, Mask32 mask) { end_ += store_selected(v, mask, end_); }
  std::size_t size() const { return static_cast<std::size_t>(end_ - begin_); }

 private:
  std::uint32_t* begin_;
  std::uint32_t* end_;
};

// Float32 values of a tile.
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

  // The values of retried elements, of which `edges` are accepted edge points z of trial `trial`, the others
  // rectangles' points of the next trial with the head words `heads`.
  HWY_INLINE void again(const core::Stream&, const RoundKeys&, std::uint64_t, VU32, VU32, VF32 z, Mask32, std::uint32_t,
                        float* values) const {
    hn::StoreU(value(z), F32(), values);
  }
  void scalar(const core::Stream&, std::uint64_t, std::size_t place, const core::Accepted& draw) const {
    out[place] = map.shifted ? core::fma(draw.z, map.scale, map.shift) : core::mul(draw.z, map.scale);
  }
};

// Float64 values of a tile: more digits of the same draws.
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

  HWY_INLINE void again(const core::Stream& stream, const RoundKeys& keys, std::uint64_t base, VU32 places, VU32 heads,
                        VF32 z, Mask32 edges, std::uint32_t trial, double* values) const {
    VU32 word, y, unused_z, w;
    const std::uint32_t tag = (core::first_refinement_tag + trial) << 24;
    blocks_at(stream, keys, base, places, hn::IfThenElse(edges, set32(tag), set32(tag + (1u << 24))), word, y, unused_z,
              w);
    if (trial == 0) word = hn::IfThenElse(edges, look_up(refinement, places), word);
    const VI32 k = centred(heads), c = centred_refinement(word);
    const VI32 cell = hn::BitCast(I32(), cell_of(heads));
    const hn::Half<I32> half;
    const VF64 low = rectangle(lower_half(k), lower_half(c), x_of(hn::LowerHalf(half, cell)));
    const VF64 high = rectangle(upper_half(k), upper_half(c), x_of(hn::UpperHalf(half, cell)));
    const VI32 chosen = hn::BitCast(I32(), hn::VecFromMask(U32(), edges));
    hn::StoreU(value(select(hn::LowerHalf(half, chosen), edge(lower_half(z), lower_half(c)), low)), F64(), values);
    hn::StoreU(value(select(hn::UpperHalf(half, chosen), edge(upper_half(z), upper_half(c)), high)), F64(),
               values + hn::Lanes(F64()));
  }
  static HWY_INLINE VF64 select(hn::Vec<hn::Half<I32>> mask, VF64 yes, VF64 no) {
    return hn::IfThenElse(hn::MaskFromVec(hn::BitCast(F64(), hn::PromoteTo(I64(), mask))), yes, no);
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
  Tile tile;
  FiniteWindow window;
  PointsOfRectangles points;
  List rejected;

  HWY_INLINE void one(VU32 head, VF32 z, std::size_t at, VU32 number) {
    tile.first(head, z, at);
    rejected.append(key_of(head, number), window.rejects(z));
  }
  HWY_INLINE void operator()(VU32 a, VU32 b, VU32 c, VU32 d, std::size_t at, VU32 number) {
    const std::size_t n = hn::Lanes(U32());
    const auto step = static_cast<std::uint32_t>(n << 8);
    VF32 za, zb, zc, zd;
    points(a, b, c, d, za, zb, zc, zd);
    one(a, za, at, number);
    one(b, zb, at + n, hn::Add(number, set32(step)));
    one(c, zc, at + 2 * n, hn::Add(number, set32(2 * step)));
    one(d, zd, at + 3 * n, hn::Add(number, set32(3 * step)));
  }
};

// One generation of rejected elements after another.
template <class Tile>
class Retries {
 public:
  HWY_INLINE Retries(const core::Stream& stream, core::Window window, std::uint64_t base, const Tile& tile)
      : stream_(stream), keys_(stream.seed), window_(window), finite_window_(window), base_(base), tile_(tile) {}

  // Redoes `count` elements, whose trial `trial` failed or awaits its edge point. Lists those that fail again in `next`
  // and returns how many they are.
  std::size_t generation(const std::uint32_t* list, std::size_t count, std::uint32_t trial, std::uint32_t* next) {
    List rejected(next);
    for (std::size_t i = 0; i < count; i += batch) {
      rectangles(list + i, std::min(batch, count - i), trial, rejected);
      if (edges_ > batch) edge_points(trial, rejected);
    }
    if (edges_ > 0) edge_points(trial, rejected);
    return rejected.size();
  }

  // Does what is left, an element at a time.
  void rest(const std::uint32_t* list, std::size_t count, std::uint32_t trial) const {
    for (std::size_t i = 0; i < count; ++i) {
      const std::uint32_t place = place_of(list[i]);
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

  // Puts the batch's values where they belong.
  void put_values(const std::uint32_t* keys, std::size_t count) const {
    for (std::size_t i = 0; i < count; ++i) tile_.out[place_of(keys[i])] = values_[i];
  }

  // The blocks of `count` listed elements with this tag, two vectors at a time to have four chains under way.
  void make_blocks(const std::uint32_t* list, std::size_t count, std::uint32_t tag) {
    const std::size_t n = hn::Lanes(U32());
    const VU32 tags = set32(tag << 24);
    for (std::size_t i = 0; i < count; i += 2 * n) {
      const VU32 a = place_of(load(hn::FirstN(U32(), count - i), list + i));
      const VU32 b = place_of(load(hn::FirstN(U32(), count - std::min(count, i + n)), list + i + n));
      VU32 xa, ya, za, wa, xb, yb, zb, wb;
      blocks_at(stream_, keys_, base_, a, tags, xa, ya, za, wa);
      blocks_at(stream_, keys_, base_, b, tags, xb, yb, zb, wb);
      hn::Store(xa, U32(), block_[0] + i);
      hn::Store(ya, U32(), block_[1] + i);
      hn::Store(za, U32(), block_[2] + i);
      hn::Store(wa, U32(), block_[3] + i);
      hn::Store(xb, U32(), block_[0] + i + n);
      hn::Store(yb, U32(), block_[1] + i + n);
      hn::Store(zb, U32(), block_[2] + i + n);
      hn::Store(wb, U32(), block_[3] + i + n);
    }
  }

  // Elements of which the next block's first word is the next trial; edge cells' are put aside with all words.
  void rectangles(const std::uint32_t* list, std::size_t count, std::uint32_t trial, List& rejected) {
    const std::size_t n = hn::Lanes(U32());
    make_blocks(list, count, trial + 1);
    for (std::size_t i = 0; i < count; i += 4 * n) {
      VF32 a, b, c, d;
      points_(hn::Load(U32(), block_[0] + i), hn::Load(U32(), block_[0] + i + n),
              hn::Load(U32(), block_[0] + i + 2 * n), hn::Load(U32(), block_[0] + i + 3 * n), a, b, c, d);
      hn::Store(a, F32(), point_ + i);
      hn::Store(b, F32(), point_ + i + n);
      hn::Store(c, F32(), point_ + i + 2 * n);
      hn::Store(d, F32(), point_ + i + 3 * n);
    }
    std::size_t edges = edges_;
    for (std::size_t i = 0; i < count; i += n) {
      const Mask32 valid = hn::FirstN(U32(), count - i);
      const VU32 key = load(valid, list + i), places = place_of(key), x = hn::Load(U32(), block_[0] + i);
      const Mask32 edge = hn::And(valid, is_edge(key));
      store_selected(key, edge, edge_[0] + edges);
      for (int j = 1; j < 4; ++j) store_selected(hn::Load(U32(), block_[j - 1] + i), edge, edge_[j] + edges);
      edges += store_selected(hn::Load(U32(), block_[3] + i), edge, edge_[4] + edges);
      const VF32 point = hn::Load(F32(), point_ + i);
      tile_.again(stream_, keys_, base_, places, x, point, hn::MaskFromVec(hn::Zero(U32())), trial, values_ + i);
      rejected.append(key_of(x, hn::ShiftLeft<8>(places)),
                      hn::And(hn::AndNot(edge, valid), finite_window_.rejects(point)));
    }
    edges_ = edges;
    put_values(list, count);
  }

  // The elements put aside, a batch of them or all if they are fewer. What is not accepted has had its next trial, too.
  void edge_points(std::uint32_t trial, List& rejected) {
    const std::size_t n = hn::Lanes(U32());
    const std::size_t count = std::min(batch, edges_);
    for (std::size_t i = 0; i < count; i += n) {
      const Mask32 valid = hn::FirstN(U32(), count - i);
      const VU32 key = load(valid, edge_[0] + i), head = hn::LoadU(U32(), edge_[1] + i), places = place_of(key);
      Mask32 kept;
      const VF32 point =
          edge_point(key, edge_[2] + i, hn::LoadU(U32(), edge_[3] + i), hn::LoadU(U32(), edge_[4] + i), kept);
      const Mask32 accepted = hn::AndNot(finite_window_.rejects(point), kept);
      const VF32 next = rectangle_point(head);
      tile_.again(stream_, keys_, base_, places, head, hn::IfThenElse(hn::RebindMask(F32(), accepted), point, next),
                  accepted, trial, values_ + i);
      rejected.append(key_of(head, hn::ShiftLeft<8>(places)),
                      hn::AndNot(accepted, hn::And(valid, finite_window_.rejects(next))));
    }
    put_values(edge_[0], count);
    edges_ -= count;
    for (auto& words : edge_) std::copy_n(words + count, edges_, words);
  }

  core::Stream stream_;
  RoundKeys keys_;
  core::Window window_;
  FiniteWindow finite_window_;
  std::uint64_t base_;
  const Tile& tile_;
  std::size_t edges_ = 0;
  PointsOfRectangles points_;
  // Of a batch: the blocks (words x, y, z, w) and the points that their first words make.
  HWY_ALIGN std::uint32_t block_[4][batch] = {};
  HWY_ALIGN float point_[batch];
  // Of edges: the keys, and words x, y, z, w.
  std::uint32_t edge_[5][2 * batch + hn::MaxLanes(U32())] = {};
  typename Tile::Real values_[batch];
};

// Elements quad * 4 ... quad * 4 + count - 1; `count` is a multiple of words_group() and at most `size`.
template <std::size_t size, class Tile>
void normal_tile(const core::Stream& stream, core::Window window, std::uint64_t quad, std::size_t count,
                 const Tile& tile) {
  // Those who fail: these and the next generation, in turn. A stored vector may reach past the end of a list.
  std::uint32_t rejected[2][size + hn::MaxLanes(U32())];
  FirstTrials<Tile> first{tile, FiniteWindow(window), PointsOfRectangles(), List(rejected[0])};
  for_words(stream, quad, 0, count, first);
  Retries<Tile> retries(stream, window, 4 * quad, tile);
  std::size_t left = first.rejected.size();
  std::uint32_t trial = 0;
  // A few elements, and many trials, are not worth vectors.
  for (; left > 2 && trial < 16; ++trial) {
    left = retries.generation(rejected[trial % 2], left, trial, rejected[(trial + 1) % 2]);
  }
  retries.rest(rejected[trial % 2], left, trial);
}

}  // namespace fanin::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
