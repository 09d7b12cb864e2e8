// SPDX-License-Identifier: Apache-2.0
// Normal values (docs/VALUES.md, section 3; core/normal.h is the same, one element at a time). The first trials of many
// elements come first. What they reject is put into a list, retried in full vectors, and put over the rest; what is
// rejected again goes back to the list.
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
#include <utility>

#include "core/normal.h"
#include "core/values.h"
#include "cpu/simd/arithmetic-inl.h"
#include "cpu/simd/philox-inl.h"
#include "cpu/simd/tables.h"
#include "cpu/simd/uniform-inl.h"
#include "cpu/simd/vectors-inl.h"

HWY_BEFORE_NAMESPACE();
namespace fanin::cpu::HWY_NAMESPACE {

// A rejected element: of its head word the sign (bit 31) and the cell (bits 0 to 7), and its number, that is, its place
// among the elements of a session (bits 8 to 23) and the trial that failed or awaits its edge point (bits 24 to 29).
constexpr std::uint32_t head_bits = 0x800000ffu;
constexpr std::uint32_t trial_bits = 0x3f000000u;
constexpr std::uint32_t one_trial = 0x01000000u;
constexpr std::uint64_t most_places = 1 << 16;

HWY_INLINE VU32 key_of(VU32 head, VU32 number) { return hn::OrAnd(number, head, set32(head_bits)); }
inline std::uint32_t place_of(std::uint32_t key) { return key >> 8 & 0xffffu; }
HWY_INLINE VU32 place_of(VU32 key) { return hn::And(hn::ShiftRight<8>(key), set32(0xffffu)); }
// The number for the next trial.
HWY_INLINE VU32 next_number(VU32 key) { return hn::Add(hn::And(key, set32(~head_bits)), set32(one_trial)); }

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
  HWY_INLINE Mask32 rejects_symmetrically(VF32 z) const {
    return hn::RebindMask(U32(), hn::Gt(hn::Abs(z), set32(upper)));
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

// core::edge_point: the points of `count` elements at most, and which of them are kept. The words that choose the boxes
// are in memory.
HWY_INLINE VF32 edge_point(VU32 key, const std::uint32_t* y, VU32 z, VU32 w, std::size_t count, Mask32& kept) {
  HWY_ALIGN VectorTables::Box boxes[hn::MaxLanes(U32())];
  for (std::size_t i = 0; i < std::min(count, hn::Lanes(U32())); ++i) {
    std::uint32_t box = vector_tables.first_box[y[i] >> (32 - VectorTables::first_box_bits)];
    box += y[i] > vector_tables.last_word[box] ? 1 : 0;
    boxes[i] = vector_tables.box[box];
  }
  VF32 x_low, dx, y_low, dy;
  hn::LoadInterleaved4(F32(), &boxes[0].x_low, x_low, dx, y_low, dy);
  const auto tail = hn::Lt(dx, hn::Zero(F32()));
  const VF32 ux = edge_fraction(z);
  const VF32 a = hn::Mul(neglog(ux), set32(core::normal_table.inverse_x0));
  const VF32 inside = fma(ux, dx, x_low);
  const VF32 l = neglog(fma(edge_fraction(w), dy, y_low));
  const VF32 left = hn::IfThenElse(tail, a, inside);
  kept = hn::RebindMask(U32(), hn::Lt(hn::Mul(left, left), hn::Add(l, l)));
  const VF32 x = hn::IfThenElse(tail, hn::Add(x_low, a), inside);
  return hn::BitCast(F32(), hn::OrAnd(hn::BitCast(U32(), x), key, set32(0x80000000u)));
}

// Rectangles' points; edge cells' are infinite.
HWY_INLINE VF32 rectangle_point(VU32 head, VF32 x) { return hn::Mul(hn::ConvertTo(F32(), centred(head)), x); }
HWY_INLINE VF32 rectangle_point(VU32 head) { return rectangle_point(head, look_up(vector_tables.x, cell_of(head))); }

#if HWY_TARGET == HWY_AVX3_DL

// The cells of four vectors of words, in the order of cell_order.
HWY_INLINE __m512i cells_of(VU32 w0, VU32 w1, VU32 w2, VU32 w3) {
  const __m512i order = _mm512_load_si512(vector_tables.cell_order);
  return _mm512_or_si512(_mm512_maskz_permutex2var_epi8(0x00ff00ff00ff00ffu, w0.raw, order, w1.raw),
                         _mm512_maskz_permutex2var_epi8(0xff00ff00ff00ff00u, w2.raw, order, w3.raw));
}

// The entries of a table of 256 bytes, whose quarters q0 to q3 are; `upper` are the cells from 128 on.
HWY_INLINE __m512i byte_of_table(__m512i cells, __mmask64 upper, __m512i q0, __m512i q1, __m512i q2, __m512i q3) {
  return _mm512_mask_blend_epi8(upper, _mm512_permutex2var_epi8(q0, cells, q1),
                                _mm512_permutex2var_epi8(q2, cells, q3));
}

// 64 elements at a time: a look-up of bytes in a table of 256 bytes is two permutations of two registers each, and
// x has four bytes. Gathering takes much longer, most of all where it is slowed down for safety (Downfall).
class PointsOfRectangles {
 public:
  HWY_INLINE PointsOfRectangles() {
    load(0, a0_, a1_, a2_, a3_);
    load(1, b0_, b1_, b2_, b3_);
    load(2, c0_, c1_, c2_, c3_);
    d_ = _mm512_load_si512(vector_tables.x_byte[3] + first_odd_top_byte);
    first_odd_ = _mm512_load_si512(vector_tables.first_odd);
  }
  HWY_INLINE void operator()(VU32 w0, VU32 w1, VU32 w2, VU32 w3, VF32& z0, VF32& z1, VF32& z2, VF32& z3) const {
    const __m512i cells = cells_of(w0, w1, w2, w3);
    const __mmask64 upper = _mm512_movepi8_mask(cells);
    const __m512i a = byte_of_table(cells, upper, a0_, a1_, a2_, a3_),
                  b = byte_of_table(cells, upper, b0_, b1_, b2_, b3_);
    const __m512i c = byte_of_table(cells, upper, c0_, c1_, c2_, c3_);
    // The highest byte differs in the last quarter of the cells alone.
    const __mmask64 odd = _mm512_cmpge_epu8_mask(cells, first_odd_);
    const __m512i d = _mm512_mask_permutexvar_epi8(_mm512_load_si512(vector_tables.x_byte[3]), odd, cells, d_);
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
    q0 = _mm512_load_si512(bytes);
    q1 = _mm512_load_si512(bytes + 64);
    q2 = _mm512_load_si512(bytes + 128);
    q3 = _mm512_load_si512(bytes + 192);
  }
  static HWY_INLINE VF32 floats(__m512i bits) { return VF32{_mm512_castsi512_ps(bits)}; }

  __m512i a0_, a1_, a2_, a3_, b0_, b1_, b2_, b3_, c0_, c1_, c2_, c3_, d_, first_odd_;
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

HWY_INLINE VF64 gathered_x64(hn::Vec<hn::Half<I32>> cell) {
  return hn::GatherIndex(F64(), vector_tables.x64, hn::PromoteTo(I64(), cell));
}

#if HWY_TARGET == HWY_AVX3_DL

// X of the rectangles of 64 elements in binary64, by bytes as above.
class RectanglesInBinary64 {
 public:
  HWY_INLINE void look_up(const std::uint32_t* words) {
    const __m512i cells = cells_of(hn::Load(U32(), words), hn::Load(U32(), words + 16), hn::Load(U32(), words + 32),
                                   hn::Load(U32(), words + 48));
    const __mmask64 upper = _mm512_movepi8_mask(cells);
    const __m512i a = byte(0, cells, upper), b = byte(1, cells, upper), c = byte(2, cells, upper),
                  d = byte(3, cells, upper), e = byte(4, cells, upper), f = byte(5, cells, upper),
                  g = byte(6, cells, upper), h = byte(7, cells, upper);
    half(_mm512_unpacklo_epi8(a, b), _mm512_unpacklo_epi8(c, d), _mm512_unpacklo_epi8(e, f), _mm512_unpacklo_epi8(g, h),
         x_);
    half(_mm512_unpackhi_epi8(a, b), _mm512_unpackhi_epi8(c, d), _mm512_unpackhi_epi8(e, f), _mm512_unpackhi_epi8(g, h),
         x_ + 32);
  }
  // Of the element at `at` of these 64, and those after it.
  HWY_INLINE VF64 x(std::size_t at, hn::Vec<hn::Half<I32>>) const { return hn::Load(F64(), x_ + at); }

 private:
  static HWY_INLINE __m512i byte(int i, __m512i cells, __mmask64 upper) {
    const std::uint8_t* table = vector_tables.x64_byte[i];
    return byte_of_table(cells, upper, _mm512_load_si512(table), _mm512_load_si512(table + 64),
                         _mm512_load_si512(table + 128), _mm512_load_si512(table + 192));
  }
  static HWY_INLINE void half(__m512i ab, __m512i cd, __m512i ef, __m512i gh, double* to) {
    vector(_mm512_unpacklo_epi16(ab, cd), _mm512_unpacklo_epi16(ef, gh), to);
    vector(_mm512_unpackhi_epi16(ab, cd), _mm512_unpackhi_epi16(ef, gh), to + 16);
  }
  static HWY_INLINE void vector(__m512i low, __m512i high, double* to) {
    const __m512i order = _mm512_load_si512(vector_tables.pair_order);
    const __m512i upper_order = _mm512_load_si512(vector_tables.upper_pair_order);
    _mm512_store_si512(to, _mm512_permutex2var_epi32(low, order, high));
    _mm512_store_si512(to + 8, _mm512_permutex2var_epi32(low, upper_order, high));
  }

  HWY_ALIGN double x_[64];
};

#else

struct RectanglesInBinary64 {
  HWY_INLINE void look_up(const std::uint32_t*) {}
  HWY_INLINE VF64 x(std::size_t, hn::Vec<hn::Half<I32>> cell) const { return gathered_x64(cell); }
};

#endif

// From standard normals to float32 values; DoubleValues has the same functions.
template <bool shifted>
struct FloatValues {
  using Real = float;
  static constexpr bool refined = false;
  core::Affine<float> map;

  explicit FloatValues(const core::Affine<float>& m) : map(m) {}

  HWY_INLINE VF32 value(VF32 z) const {
    if constexpr (shifted) return fma(z, set32(map.scale), set32(map.shift));
    return hn::Mul(z, set32(map.scale));
  }

  // The first trials of four vectors of elements: their words as for_words gives them, and their points. What is
  // rejected gets values that do not matter.
  template <class Output>
  HWY_INLINE void first(const std::uint32_t*, VF32 a, VF32 b, VF32 c, VF32 d, std::size_t at,
                        const Output& output) const {
    output(value(a), value(b), at);
    output(value(c), value(d), at + 2 * hn::Lanes(U32()));
  }

  // The values of retried elements, of which `edges` are edge points that are accepted, the others rectangles' points
  // of the next trial with the head words `heads`.
  HWY_INLINE void again(const core::Stream&, const RoundKeys&, std::uint64_t, VU32, VU32, VF32 z, Mask32,
                        float* values) const {
    hn::StoreU(value(z), F32(), values);
  }
  float scalar(const core::Stream&, std::uint64_t, const core::Accepted& draw) const {
    return core::unclamped_value(draw.z, map);
  }
};

// From accepted trials to float64 values: more digits of the same draws.
template <bool shifted>
struct DoubleValues {
  using Real = double;
  static constexpr bool refined = true;
  core::Affine<double> map;
  double lower, upper;  // the window
  RectanglesInBinary64 rectangles;

  DoubleValues(const core::Affine<double>& m, double lo, double hi) : map(m), lower(lo), upper(hi) {}

  HWY_INLINE VF64 value(VF64 z) const {
    z = clamp(z, set64(lower), set64(upper));
    if constexpr (shifted) return fma(z, set64(map.scale), set64(map.shift));
    return hn::Mul(z, set64(map.scale));
  }
  static HWY_INLINE VF64 edge(VF64 z, VF64 c) { return fma(z, hn::Mul(c, set64(0x1p-53)), z); }

  static HWY_INLINE VF64 select(hn::Vec<hn::Half<I32>> mask, VF64 yes, VF64 no) {
    return hn::IfThenElse(hn::MaskFromVec(hn::BitCast(F64(), hn::PromoteTo(I64(), mask))), yes, no);
  }

  HWY_INLINE void first(const std::uint32_t* words, VF32, VF32, VF32, VF32, std::size_t at, const Doubles& output) {
    const std::size_t n = hn::Lanes(U32());
    const hn::Half<I32> half;
    rectangles.look_up(words);
    for (std::size_t j = 0; j < 4; ++j) {
      const VU32 head = hn::Load(U32(), words + j * n);
      const VI32 cell = hn::BitCast(I32(), cell_of(head));
      VF64 a, b;
      centred64(head, hn::Load(U32(), words + (4 + j) * n), a, b);
      output(value(hn::Mul(a, rectangles.x(j * n, hn::LowerHalf(half, cell)))),
             value(hn::Mul(b, rectangles.x(j * n + n / 2, hn::UpperHalf(half, cell)))), at + j * n);
    }
  }

  HWY_INLINE void again(const core::Stream& stream, const RoundKeys& keys, std::uint64_t base, VU32 key, VU32 heads,
                        VF32 z, Mask32 edges, double* values) const {
    const VU32 trial = hn::And(key, set32(trial_bits));
    const VU32 tag = hn::Add(hn::IfThenElse(edges, trial, hn::Add(trial, set32(one_trial))),
                             set32(core::first_refinement_tag << 24));
    VU32 word, y, unused_z, w;
    blocks_at(stream, keys, base, place_of(key), tag, word, y, unused_z, w);
    const Mask32 first_edges = hn::And(edges, hn::Eq(trial, set32(0u)));
    if (!hn::AllFalse(U32(), first_edges)) {
      word = hn::IfThenElse(first_edges, first_refinement(stream, keys, base, place_of(key)), word);
    }
    const VI32 c = centred_refinement(word), cell = hn::BitCast(I32(), cell_of(heads));
    const hn::Half<I32> half;
    VF64 low, high;
    centred64(heads, word, low, high);
    low = hn::Mul(low, gathered_x64(hn::LowerHalf(half, cell)));
    high = hn::Mul(high, gathered_x64(hn::UpperHalf(half, cell)));
    const VI32 chosen = hn::BitCast(I32(), hn::VecFromMask(U32(), edges));
    hn::StoreU(value(select(hn::LowerHalf(half, chosen), edge(lower_half(z), lower_half(c)), low)), F64(), values);
    hn::StoreU(value(select(hn::UpperHalf(half, chosen), edge(upper_half(z), upper_half(c)), high)), F64(),
               values + hn::Lanes(F64()));
  }
  // Trial 0's: the word of the element among the four of its quad.
  static HWY_INLINE VU32 first_refinement(const core::Stream& stream, const RoundKeys& keys, std::uint64_t base,
                                          VU32 place) {
    VU32 x, y, z, w;
    blocks_at(stream, keys, base / 4, hn::ShiftRight<2>(place), set32(core::first_refinement_tag << 24), x, y, z, w);
    const Mask32 odd = hn::Ne(hn::And(place, set32(1u)), set32(0u));
    const Mask32 upper = hn::Ne(hn::And(place, set32(2u)), set32(0u));
    return hn::IfThenElse(upper, hn::IfThenElse(odd, w, z), hn::IfThenElse(odd, y, x));
  }

  double scalar(const core::Stream& stream, std::uint64_t index, const core::Accepted& draw) const {
    std::uint32_t word = 0;
    if (draw.trial == 0) {
      const core::Words words = core::head_refinements<core::Philox>(stream, index / 4);
      const std::uint32_t of_quad[4] = {words.x, words.y, words.z, words.w};
      word = of_quad[index % 4];
    } else if (draw.trial < core::trials) {
      word = core::retry_refinement<core::Philox>(stream, index, draw.trial);
    }
    return core::unclamped_value(core::clamp(core::refine(draw, word, core::normal_table), lower, upper), map);
  }
};

// The body of for_words that makes first trials. A symmetric window takes one comparison.
template <class Values, class Output, bool symmetric>
struct FirstTrials {
  static constexpr bool refined = Values::refined, in_order = Output::in_order, among_rounds = refined;
  Values& values;
  Output output;
  FiniteWindow window;
  PointsOfRectangles points;
  std::uint32_t* rejected;  // the end of the list

  HWY_INLINE void reject(VU32 head, VF32 z, VU32& number, std::size_t step) {
    const Mask32 rejects = symmetric ? window.rejects_symmetrically(z) : window.rejects(z);
    rejected += store_selected(key_of(head, number), rejects, rejected);
    number = hn::Add(number, set32(static_cast<std::uint32_t>(step << 8)));
  }
  HWY_INLINE void operator()(const std::uint32_t* words, std::size_t at, VU32& number) {
    const std::size_t n = hn::Lanes(U32());
    const VU32 a = hn::Load(U32(), words), b = hn::Load(U32(), words + n), c = hn::Load(U32(), words + 2 * n),
               d = hn::Load(U32(), words + 3 * n);
    VF32 za, zb, zc, zd;
    points(a, b, c, d, za, zb, zc, zd);
    const std::size_t step = in_order ? n : 2;  // from words x and y to words z and w
    reject(a, za, number, step);
    reject(b, zb, number, 2 * n - step);
    reject(c, zc, number, step);
    reject(d, zd, number, 2 * n - step);
    values.first(words, za, zb, zc, zd, at, output);
  }
};

// Functions that all formats share are not to be inlined: there are enough of them.
//
// Normal values of the elements 4 * quad + place, place < most_places, of one session after another.
template <class Values, std::size_t most_first>
class Normals {
 public:
  Values values;

  template <class... Arguments>
  Normals(const core::Stream& stream, core::Window window, const Arguments&... of_values)
      : values(of_values...), stream_(stream), keys_(stream.seed), window_(window), finite_window_(window) {}

  void begin(std::uint64_t quad) { quad_ = quad; }

  // First trials of the elements place ... place + count - 1; place is a multiple of 4, count of words_group() and at
  // most most_first. What is rejected and not in [from, to) is forgotten, the rest is listed.
  template <class Output>
  void first(std::uint64_t place, std::size_t count, std::uint64_t from, std::uint64_t to, Output output) {
    std::uint32_t* end = window_.lower == -window_.upper ? first_trials<true>(place, count, output)
                                                         : first_trials<false>(place, count, output);
    if (from > place || to < place + count) {
      end = std::remove_if(list_ + listed_, end,
                           [=](std::uint32_t key) { return place_of(key) < from || place_of(key) >= to; });
    }
    listed_ = static_cast<std::size_t>(end - list_);
  }

  // Retries a batch of what is listed, or, to the end, what is left of it. Returns how many elements those are: 0 if
  // there is no batch. Their keys and values are in keys() and retried(); values that are rejected again do not matter.
  std::size_t retry(bool to_the_end) {
    if (to_the_end && listed_ + edges_ <= few) return alone();
    if (edges_ > batch) return edge_points();
    if (listed_ >= (to_the_end ? 1 : batch)) return rectangles();
    if (edges_ >= (to_the_end ? 1 : batch)) return edge_points();
    return 0;
  }
  const std::uint32_t* keys() const { return key_; }
  typename Values::Real* retried() { return value_; }

 private:
  static constexpr std::size_t batch = 4 * hn::MaxLanes(U32());
  static constexpr std::size_t few = 3;                         // are done faster by themselves
  static constexpr std::uint32_t most_trials = 16 * one_trial;  // in vectors

  // Returns the end of the list.
  template <bool symmetric, class Output>
  HWY_NOINLINE std::uint32_t* first_trials(std::uint64_t place, std::size_t count, Output output) {
    FirstTrials<Values, Output, symmetric> trials{values, output, finite_window_, PointsOfRectangles(),
                                                  list_ + listed_};
    for_words(stream_, quad_ + place / 4, count, static_cast<std::uint32_t>(place), trials);
    return trials.rejected;
  }

  // Elements past the end of a list are zeros: they may serve as an index.
  static HWY_INLINE VU32 load(Mask32 valid, const std::uint32_t* from) {
    return hn::IfThenElseZero(valid, hn::LoadU(U32(), from));
  }

  // Takes up to a batch from the list, and puts elements that have failed very often to the end; returns how many there
  // are before these and in all.
  std::pair<std::size_t, std::size_t> take() {
    const std::size_t count = std::min(batch, listed_);
    listed_ -= count;
    std::copy_n(list_ + listed_, count, key_);
    std::uint32_t trials = 0;
    for (std::size_t i = 0; i < count; ++i) trials = std::max(trials, key_[i] & trial_bits);
    if (trials < most_trials) return {count, count};
    const auto* const often =
        std::partition(key_, key_ + count, [](std::uint32_t key) { return (key & trial_bits) < most_trials; });
    return {static_cast<std::size_t>(often - key_), count};
  }

  // One element, to its end.
  HWY_NOINLINE typename Values::Real scalar(std::uint32_t key) const {
    const std::uint64_t index = 4 * quad_ + place_of(key);
    const std::uint32_t trial = (key & trial_bits) / one_trial;
    const bool edge = core::is_edge(key);
    const std::uint32_t head = edge ? key : core::retry<core::Philox>(stream_, index, trial + 1).x;
    return values.scalar(
        stream_, index,
        core::first_accepted<core::Philox>(stream_, index, head, window_, core::normal_table, edge ? trial : trial + 1));
  }

  // All that is left.
  HWY_NOINLINE std::size_t alone() {
    const std::size_t count = listed_ + edges_;
    std::copy_n(edge_[0], edges_, std::copy_n(list_, listed_, key_));
    std::transform(key_, key_ + count, value_, [this](std::uint32_t key) { return scalar(key); });
    listed_ = edges_ = 0;
    return count;
  }

  // The next blocks of `count` taken elements, two vectors at a time to have four chains under way.
  void make_blocks(std::size_t count) {
    const std::size_t n = hn::Lanes(U32());
    for (std::size_t i = 0; i < count; i += 2 * n) {
      const VU32 a = load(hn::FirstN(U32(), count - i), key_ + i);
      const VU32 b = load(hn::FirstN(U32(), count - std::min(count, i + n)), key_ + i + n);
      const VU32 tags = set32(trial_bits);
      VU32 xa, ya, za, wa, xb, yb, zb, wb;
      blocks_at(stream_, keys_, 4 * quad_, place_of(a), hn::And(next_number(a), tags), xa, ya, za, wa);
      blocks_at(stream_, keys_, 4 * quad_, place_of(b), hn::And(next_number(b), tags), xb, yb, zb, wb);
      hn::Store(xa, U32(), block_[0] + i);
      hn::Store(ya, U32(), block_[1] + i);
      hn::Store(za, U32(), block_[2] + i);
      hn::Store(wa, U32(), block_[3] + i);
      hn::Store(xb, U32(), block_[0] + i + n);
      hn::Store(yb, U32(), block_[1] + i + n);
      hn::Store(zb, U32(), block_[2] + i + n);
      hn::Store(wb, U32(), block_[3] + i + n);
    }
    const std::size_t pairs = (count + 2 * n - 1) / (2 * n);
    if (pairs % 2 != 0) {  // points_ takes four vectors
      hn::Store(hn::Zero(U32()), U32(), block_[0] + pairs * 2 * n);
      hn::Store(hn::Zero(U32()), U32(), block_[0] + pairs * 2 * n + n);
    }
  }

  // The rectangles' points that the words make; four vectors of words can be read.
  void make_points(const std::uint32_t* words, std::size_t count) {
    const std::size_t n = hn::Lanes(U32());
    for (std::size_t i = 0; i < count; i += 4 * n) {
      VF32 a, b, c, d;
      points_(hn::LoadU(U32(), words + i), hn::LoadU(U32(), words + i + n), hn::LoadU(U32(), words + i + 2 * n),
              hn::LoadU(U32(), words + i + 3 * n), a, b, c, d);
      hn::Store(a, F32(), point_ + i);
      hn::Store(b, F32(), point_ + i + n);
      hn::Store(c, F32(), point_ + i + 2 * n);
      hn::Store(d, F32(), point_ + i + 3 * n);
    }
  }

  // A batch of listed elements, of which the next block's first word is the next trial; edge cells' are put aside with
  // all words.
  HWY_NOINLINE std::size_t rectangles() {
    const auto [count, all] = take();
    const std::size_t n = hn::Lanes(U32());
    make_blocks(count);
    make_points(block_[0], count);
    for (std::size_t i = 0; i < count; i += n) {
      const Mask32 valid = hn::FirstN(U32(), count - i);
      const VU32 key = load(valid, key_ + i), x = hn::Load(U32(), block_[0] + i);
      const Mask32 edge = hn::And(valid, is_edge(key));
      for (int j = 0; j < 4; ++j) store_selected(hn::Load(U32(), block_[j] + i), edge, edge_[j + 1] + edges_);
      edges_ += store_selected(key, edge, edge_[0] + edges_);
      const VF32 point = hn::Load(F32(), point_ + i);
      values.again(stream_, keys_, 4 * quad_, key, x, point, hn::MaskFromVec(hn::Zero(U32())), value_ + i);
      append(key_of(x, next_number(key)), hn::And(hn::AndNot(edge, valid), finite_window_.rejects(point)));
    }
    for (std::size_t i = count; i < all; ++i) value_[i] = scalar(key_[i]);
    return all;
  }

  // A batch of the elements that were put aside, or all if they are fewer. What is not accepted has its next trial,
  // too.
  HWY_NOINLINE std::size_t edge_points() {
    const std::size_t count = std::min(batch, edges_), n = hn::Lanes(U32());
    std::fill(edge_[1] + edges_, edge_[1] + std::max(edges_, (count + 4 * n - 1) / (4 * n) * 4 * n), 0u);
    make_points(edge_[1], count);
    for (std::size_t i = 0; i < count; i += n) {
      const Mask32 valid = hn::FirstN(U32(), count - i);
      const VU32 key = load(valid, edge_[0] + i), head = load(valid, edge_[1] + i);
      Mask32 kept;
      const VF32 point = edge_point(key, edge_[2] + i, hn::LoadU(U32(), edge_[3] + i), hn::LoadU(U32(), edge_[4] + i),
                                    count - i, kept);
      const Mask32 accepted = hn::AndNot(finite_window_.rejects(point), kept);
      const VF32 next = hn::Load(F32(), point_ + i);
      values.again(stream_, keys_, 4 * quad_, key, head, hn::IfThenElse(hn::RebindMask(F32(), accepted), point, next),
                   accepted, value_ + i);
      append(key_of(head, next_number(key)), hn::AndNot(accepted, hn::And(valid, finite_window_.rejects(next))));
    }
    std::copy_n(edge_[0], count, key_);
    edges_ -= count;
    for (auto& words : edge_) std::copy_n(words + count, edges_, words);
    return count;
  }

  HWY_INLINE void append(VU32 key, Mask32 mask) { listed_ += store_selected(key, mask, list_ + listed_); }

  core::Stream stream_;
  RoundKeys keys_;
  core::Window window_;
  FiniteWindow finite_window_;
  PointsOfRectangles points_;
  std::uint64_t quad_ = 0;
  std::size_t listed_ = 0;
  std::size_t edges_ = 0;
  // Of a batch: the keys, the blocks (words x, y, z, w), the points that their first words make, and the values.
  HWY_ALIGN std::uint32_t key_[batch];
  HWY_ALIGN std::uint32_t block_[4][batch];
  HWY_ALIGN float point_[batch];
  HWY_ALIGN typename Values::Real value_[batch];
  // Lists, to whose end whole vectors are stored. Of edges: the keys, and words x, y, z, w.
  std::uint32_t edge_[5][2 * batch + hn::MaxLanes(U32())];
  std::uint32_t list_[most_first + batch + hn::MaxLanes(U32())];
};

}  // namespace fanin::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
