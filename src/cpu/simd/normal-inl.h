// SPDX-License-Identifier: Apache-2.0
// Normal values from a table (docs/VALUES.md, section 3; core/normal.h does the same one element at a time).
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

#include "cpu/simd/arithmetic-inl.h"
#include "cpu/simd/philox-inl.h"
#include "cpu/simd/rejected-inl.h"
#include "cpu/simd/tables.h"
#include "cpu/simd/uniform-inl.h"
#include "cpu/simd/vectors-inl.h"
#include "fanin/core/normal.h"
#include "fanin/core/values.h"

HWY_BEFORE_NAMESPACE();
namespace fanin::cpu::HWY_NAMESPACE {

HWY_INLINE VU32 cell_of(VU32 head) { return hn::And(head, set32(0xffu)); }
HWY_INLINE Mask32 is_edge(VU32 head) {
  return hn::RebindMask(U32(), hn::Gt(hn::BitCast(I32(), cell_of(head)), hn::Set(I32(), core::rectangles - 1)));
}

template <class T>
HWY_INLINE auto look_up(const T* table, VU32 index) {
  return hn::GatherIndex(hn::ScalableTag<T>(), table, hn::BitCast(I32(), index));
}

// The window of accepted values. Its bounds are finite, so that it rejects the infinities that mark edge cells.
struct FiniteWindow {
  float lower, upper;
  explicit FiniteWindow(core::Window w)
      : lower(std::max(w.lower, -std::numeric_limits<float>::max())),
        upper(std::min(w.upper, std::numeric_limits<float>::max())) {}
  HWY_INLINE Mask32 rejects(VF32 z) const {
    return hn::RebindMask(U32(), hn::Or(hn::Lt(z, set32(lower)), hn::Gt(z, set32(upper))));
  }
};

// Returns which elements are negative. No element is -0.
HWY_INLINE Mask32 is_negative(VF32 v) {
#if HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX3
  return Mask32{_mm512_movepi32_mask(hn::BitCast(U32(), v).raw)};
#else
  return hn::RebindMask(U32(), hn::Lt(v, hn::Zero(F32())));
#endif
}

// core::edge_point for a vector. `kept` receives which points are kept.
HWY_INLINE VF32 edge_point(VU32 key, VU32 y, VU32 z, VU32 w, const VectorTable& table, Mask32& kept) {
  const std::size_t n = hn::Lanes(U32());
  HWY_ALIGN std::uint32_t words[hn::MaxLanes(U32())];
  HWY_ALIGN core::EdgeBoxes::Box boxes[hn::MaxLanes(U32())];
  hn::Store(y, U32(), words);
  for (std::size_t i = 0; i < n; ++i) {
    const std::uint32_t entry = table.edges.first[core::EdgeBoxes::entry_of(words[i])];
    boxes[i] = table.edges.box[core::EdgeBoxes::box_of(words[i], entry)];
  }
  VF32 x_low, dx, y_low, dy;
  hn::LoadInterleaved4(F32(), &boxes[0].x_low, x_low, dx, y_low, dy);
  const VF32 ux = edge_fraction(z);
  const VF32 l = neglog(fma(edge_fraction(w), dy, y_low));
  VF32 x = fma(ux, dx, x_low), left = x;
  const auto tail = hn::Eq(dx, set32(1.0F));
  if (!hn::AllFalse(F32(), tail)) {  // rare
    const VF32 a = hn::Mul(neglog(ux), set32(table.core.inverse_x0));
    left = hn::IfThenElse(tail, a, x);
    x = hn::IfThenElse(tail, hn::Add(x_low, a), x);
  }
  kept = hn::RebindMask(U32(), hn::Lt(hn::Mul(left, left), hn::Add(l, l)));
  return hn::BitCast(F32(), hn::OrAnd(hn::BitCast(U32(), x), key, set32(0x80000000u)));
}

// Both functions return the points of rectangles. The points of edge cells are infinite.
HWY_INLINE VF32 rectangle_point(VU32 head, VF32 x) { return hn::Mul(hn::ConvertTo(F32(), centred(head)), x); }
HWY_INLINE VF32 rectangle_point(VU32 head, const VectorTable& table) {
  return rectangle_point(head, look_up(table.x, cell_of(head)));
}

#if HWY_TARGET == HWY_AVX3_DL

// Returns the cells of four vectors of words, in the order of vector_orders.cells.
HWY_INLINE __m512i cells_of(const std::uint32_t* words) {
  const __m512i order = _mm512_load_si512(vector_orders.cells);
  const __m512i w0 = _mm512_load_si512(words), w1 = _mm512_load_si512(words + 16), w2 = _mm512_load_si512(words + 32),
                w3 = _mm512_load_si512(words + 48);
  return _mm512_or_si512(_mm512_maskz_permutex2var_epi8(0x00ff00ff00ff00ffu, w0, order, w1),
                         _mm512_maskz_permutex2var_epi8(0xff00ff00ff00ff00u, w2, order, w3));
}

// Returns the entries of a table of 256 bytes with the quarters q0 to q3. `upper` marks the cells from 128 on.
HWY_INLINE __m512i byte_of_table(__m512i cells, __mmask64 upper, __m512i q0, __m512i q1, __m512i q2, __m512i q3) {
  return _mm512_mask_blend_epi8(upper, _mm512_permutex2var_epi8(q0, cells, q1),
                                _mm512_permutex2var_epi8(q2, cells, q3));
}

// Looks up x for 64 elements, byte by byte. A look-up in a table of 256 bytes takes two permutations of two registers
// each. A gather takes much longer, most of all on processors whose mitigation of Downfall slows it down.
class Widths {
 public:
  explicit HWY_INLINE Widths(const VectorTable& table) {
    load(table.x_byte[0], a0_, a1_, a2_, a3_);
    load(table.x_byte[1], b0_, b1_, b2_, b3_);
    load(table.x_byte[2], c0_, c1_, c2_, c3_);
    most_d_ = _mm512_load_si512(table.x_byte[3]);
    d_ = _mm512_load_si512(table.x_byte[3] + first_odd_top_byte);
    first_odd_ = _mm512_load_si512(vector_orders.first_odd);
  }
  HWY_INLINE void operator()(const std::uint32_t* words, VF32& x0, VF32& x1, VF32& x2, VF32& x3) const {
    const __m512i cells = cells_of(words);
    const __mmask64 upper = _mm512_movepi8_mask(cells);
    const __m512i a = byte_of_table(cells, upper, a0_, a1_, a2_, a3_),
                  b = byte_of_table(cells, upper, b0_, b1_, b2_, b3_);
    const __m512i c = byte_of_table(cells, upper, c0_, c1_, c2_, c3_);
    // The highest byte differs only in the last quarter of the cells.
    const __mmask64 odd = _mm512_cmpge_epu8_mask(cells, first_odd_);
    const __m512i d = _mm512_mask_permutexvar_epi8(most_d_, odd, cells, d_);
    const __m512i ab_low = _mm512_unpacklo_epi8(a, b), ab_high = _mm512_unpackhi_epi8(a, b);
    const __m512i cd_low = _mm512_unpacklo_epi8(c, d), cd_high = _mm512_unpackhi_epi8(c, d);
    x0 = floats(_mm512_unpacklo_epi16(ab_low, cd_low));
    x1 = floats(_mm512_unpackhi_epi16(ab_low, cd_low));
    x2 = floats(_mm512_unpacklo_epi16(ab_high, cd_high));
    x3 = floats(_mm512_unpackhi_epi16(ab_high, cd_high));
  }

 private:
  static HWY_INLINE void load(const std::uint8_t* bytes, __m512i& q0, __m512i& q1, __m512i& q2, __m512i& q3) {
    q0 = _mm512_load_si512(bytes);
    q1 = _mm512_load_si512(bytes + 64);
    q2 = _mm512_load_si512(bytes + 128);
    q3 = _mm512_load_si512(bytes + 192);
  }
  static HWY_INLINE VF32 floats(__m512i bits) { return VF32{_mm512_castsi512_ps(bits)}; }

  __m512i a0_, a1_, a2_, a3_, b0_, b1_, b2_, b3_, c0_, c1_, c2_, c3_, most_d_, d_, first_odd_;
};

#else

class Widths {
 public:
  explicit HWY_INLINE Widths(const VectorTable& table) : table_(table.x) {}
  HWY_INLINE void operator()(const std::uint32_t* words, VF32& x0, VF32& x1, VF32& x2, VF32& x3) const {
    const std::size_t n = hn::Lanes(U32());
    x0 = x(words);
    x1 = x(words + n);
    x2 = x(words + 2 * n);
    x3 = x(words + 3 * n);
  }

 private:
  HWY_INLINE VF32 x(const std::uint32_t* words) const {
#if HWY_TARGET == HWY_AVX2
    // This is faster than the gather instruction on Zen 3, and no mitigation of Downfall slows it down.
    const auto at = [&](int i) HWY_ATTR { return table_ + (words[i] & 0xffu); };
    const auto four = [&](int i) HWY_ATTR {
      const __m128 low = _mm_unpacklo_ps(_mm_load_ss(at(i)), _mm_load_ss(at(i + 1)));
      const __m128 high = _mm_unpacklo_ps(_mm_load_ss(at(i + 2)), _mm_load_ss(at(i + 3)));
      return _mm_movelh_ps(low, high);
    };
    return VF32{_mm256_set_m128(four(4), four(0))};
#else
    return look_up(table_, cell_of(hn::Load(U32(), words)));
#endif
  }

  const float* table_;
};

#endif

HWY_INLINE VF64 gathered_x64(const VectorTable& table, hn::Vec<hn::Half<I32>> cell) {
  return hn::GatherIndex(F64(), table.x64, hn::PromoteTo(I64(), cell));
}

#if HWY_TARGET == HWY_AVX3_DL

// Looks up X for 64 elements in binary64, byte by byte like Widths.
class RectanglesInBinary64 {
 public:
  HWY_INLINE void look_up(const VectorTable& table, const std::uint32_t* words) {
    const __m512i cells = cells_of(words);
    const __mmask64 upper = _mm512_movepi8_mask(cells);
    const auto byte = [&](int i) HWY_ATTR {
      const std::uint8_t* bytes = table.x64_byte[i];
      return byte_of_table(cells, upper, _mm512_load_si512(bytes), _mm512_load_si512(bytes + 64),
                           _mm512_load_si512(bytes + 128), _mm512_load_si512(bytes + 192));
    };
    const __m512i a = byte(0), b = byte(1), c = byte(2), d = byte(3), e = byte(4), f = byte(5), g = byte(6),
                  h = byte(7);
    half(_mm512_unpacklo_epi8(a, b), _mm512_unpacklo_epi8(c, d), _mm512_unpacklo_epi8(e, f), _mm512_unpacklo_epi8(g, h),
         x_);
    half(_mm512_unpackhi_epi8(a, b), _mm512_unpackhi_epi8(c, d), _mm512_unpackhi_epi8(e, f), _mm512_unpackhi_epi8(g, h),
         x_ + 32);
  }
  // Returns X of the element at `at` of these 64 and of the elements after it.
  HWY_INLINE VF64 x(const VectorTable&, std::size_t at, hn::Vec<hn::Half<I32>>) const {
    return hn::Load(F64(), x_ + at);
  }

 private:
  static HWY_INLINE void half(__m512i ab, __m512i cd, __m512i ef, __m512i gh, double* to) {
    vector(_mm512_unpacklo_epi16(ab, cd), _mm512_unpacklo_epi16(ef, gh), to);
    vector(_mm512_unpackhi_epi16(ab, cd), _mm512_unpackhi_epi16(ef, gh), to + 16);
  }
  static HWY_INLINE void vector(__m512i low, __m512i high, double* to) {
    const __m512i order = _mm512_load_si512(vector_orders.pairs);
    const __m512i upper_order = _mm512_load_si512(vector_orders.upper_pairs);
    _mm512_store_si512(to, _mm512_permutex2var_epi32(low, order, high));
    _mm512_store_si512(to + 8, _mm512_permutex2var_epi32(low, upper_order, high));
  }

  HWY_ALIGN double x_[64];
};

#else

struct RectanglesInBinary64 {
  HWY_INLINE void look_up(const VectorTable&, const std::uint32_t*) {}
  HWY_INLINE VF64 x(const VectorTable& table, std::size_t, hn::Vec<hn::Half<I32>> cell) const {
    return gathered_x64(table, cell);
  }
};

#endif

// Turns standard normals into float32 values. DoubleValues has the same functions.
template <bool shifted>
struct FloatValues {
  using Real = float;
  static constexpr bool refined = false;
  core::Affine<float> map;
  float shift;  // -0 if there is none, because adding -0 changes nothing

  FloatValues(const VectorTable&, const core::Affine<float>& m) : map(m), shift(m.shifted ? m.shift : -0.0F) {}

  HWY_INLINE VF32 value(VF32 z) const {
    if constexpr (shifted) return fma(z, set32(map.scale), set32(shift));
    return hn::Mul(z, set32(map.scale));
  }

  // Writes the first trials of four vectors of elements, given their words as for_words makes them and their points.
  // The values of rejected elements do not matter.
  template <class Output>
  HWY_INLINE void first(const std::uint32_t*, VF32 a, VF32 b, VF32 c, VF32 d, std::size_t at,
                        const Output& output) const {
    output(value(a), value(b), at);
    output(value(c), value(d), at + 2 * hn::Lanes(U32()));
  }

  // Computes the values of retried elements. `edges` marks accepted edge points. The others are points of rectangles of
  // the next trial, with the head words `heads`.
  HWY_INLINE void again(const core::Generator&, const RoundKeys&, std::uint64_t, VU32, VU32, VF32 z, Mask32,
                        float* values) const {
    hn::StoreU(value(z), F32(), values);
  }
  float scalar(const core::Generator&, std::uint64_t, const core::Accepted& draw) const {
    return core::unclamped_value(draw.z, map);
  }
};

// Turns accepted trials into float64 values, which have more digits of the same draws.
template <bool shifted>
struct DoubleValues {
  using Real = double;
  static constexpr bool refined = true;
  const VectorTable& table;
  core::Affine<double> map;
  double shift;
  double lower, upper;  // the window
  RectanglesInBinary64 rectangles;

  DoubleValues(const VectorTable& t, const core::Affine<double>& m, double lo, double hi)
      : table(t), map(m), shift(m.shifted ? m.shift : -0.0), lower(lo), upper(hi) {}

  HWY_INLINE VF64 value(VF64 z) const {
    z = clamp(z, set64(lower), set64(upper));
    if constexpr (shifted) return fma(z, set64(map.scale), set64(shift));
    return hn::Mul(z, set64(map.scale));
  }

  static HWY_INLINE VF64 select(hn::Vec<hn::Half<I32>> mask, VF64 yes, VF64 no) {
    return hn::IfThenElse(hn::MaskFromVec(hn::BitCast(F64(), hn::PromoteTo(I64(), mask))), yes, no);
  }

  HWY_INLINE void first(const std::uint32_t* words, VF32, VF32, VF32, VF32, std::size_t at, const Doubles& output) {
    const std::size_t n = hn::Lanes(U32());
    const hn::Half<I32> half;
    rectangles.look_up(table, words);
    for (std::size_t j = 0; j < 4; ++j) {
      const VU32 head = hn::Load(U32(), words + j * n);
      const VI32 cell = hn::BitCast(I32(), cell_of(head));
      VF64 a, b;
      centred64(head, hn::Load(U32(), words + (4 + j) * n), a, b);
      output(value(hn::Mul(a, rectangles.x(table, j * n, hn::LowerHalf(half, cell)))),
             value(hn::Mul(b, rectangles.x(table, j * n + n / 2, hn::UpperHalf(half, cell)))), at + j * n);
    }
  }

  HWY_INLINE void again(const core::Generator& generator, const RoundKeys& keys, std::uint64_t base, VU32 key,
                        VU32 heads, VF32 z, Mask32 edges, double* values) const {
    const VU32 trial = hn::And(key, set32(trial_bits));
    const VU32 word = refinement_of(generator, keys, base, place_of(key),
                                    hn::IfThenElse(edges, trial, hn::Add(trial, set32(one_trial))));
    const VI32 c = centred_refinement(word), cell = hn::BitCast(I32(), cell_of(heads));
    const hn::Half<I32> half;
    VF64 low, high;
    centred64(heads, word, low, high);
    low = hn::Mul(low, gathered_x64(table, hn::LowerHalf(half, cell)));
    high = hn::Mul(high, gathered_x64(table, hn::UpperHalf(half, cell)));
    const VI32 chosen = hn::BitCast(I32(), hn::VecFromMask(U32(), edges));
    hn::StoreU(value(select(hn::LowerHalf(half, chosen), with_more_digits(lower_half(z), lower_half(c)), low)), F64(),
               values);
    hn::StoreU(value(select(hn::UpperHalf(half, chosen), with_more_digits(upper_half(z), upper_half(c)), high)), F64(),
               values + hn::Lanes(F64()));
  }

  double scalar(const core::Generator& generator, std::uint64_t index, const core::Accepted& draw) const {
    const std::uint32_t word = refinement_of(generator, index, draw);
    return core::unclamped_value(core::clamp(core::refine(draw, word, table.core), lower, upper), map);
  }
};

// The elements of an iteration of for_words that are not listed yet, and the place where the iteration begins.
struct Rest {
  std::uint64_t mask;
  std::size_t at;
};

// The body of for_words for first trials. If only points of edge cells lie outside the window (edges_alone), the sign
// of the looked-up x tells which elements are rejected.
template <class Values, class Output, bool edges_alone>
struct FirstTrials {
  static constexpr bool refined = Values::refined, in_order = Output::in_order;
  static constexpr bool among_rounds = refined || HWY_TARGET == HWY_AVX2;
  Values& values;
  Output output;
  FiniteWindow window;
  Widths widths;
  std::uint32_t place;
  std::uint32_t* rejected;  // the end of the list
  Rest* rest;               // the end of the elements that first_trials lists, on AVX2

#if HWY_TARGET == HWY_AVX2
  std::uint32_t first_mask = 0;
  // One element in 64 has an edge cell. A mispredicted branch would discard the rounds in flight, so this code has no
  // branch. It lists up to `most` elements, and first_trials lists the few others.
  template <int most>
  HWY_INLINE void reject_edges(const std::uint32_t* words, std::size_t at, std::uint64_t mask) {
    for (int i = 0; i < most; ++i) {
      const std::uint32_t element = vector_orders.packed[_tzcnt_u64(mask)];
      *rejected = (words[element] & head_bits) | (place + static_cast<std::uint32_t>(at) + element) << 8;
      rejected += mask != 0 ? 1 : 0;
      mask &= mask - 1;
    }
    *rest = {mask, at};
    rest += mask != 0 ? 1 : 0;
  }
#endif
  HWY_INLINE void reject(VU32 head, VF32 x, VF32 z, VU32& number, std::size_t step) {
    const Mask32 rejects = edges_alone ? is_negative(x) : window.rejects(z);
    rejected += store_selected(key_of(head, number), rejects, rejected);
    number = hn::Add(number, set32(static_cast<std::uint32_t>(step << 8)));
  }
  HWY_INLINE void operator()(const std::uint32_t* words, [[maybe_unused]] int half, std::size_t at, VU32& number) {
    const std::size_t n = hn::Lanes(U32());
    const VU32 a = hn::Load(U32(), words), b = hn::Load(U32(), words + n), c = hn::Load(U32(), words + 2 * n),
               d = hn::Load(U32(), words + 3 * n);
    VF32 xa, xb, xc, xd;
    widths(words, xa, xb, xc, xd);
    const VF32 za = rectangle_point(a, xa), zb = rectangle_point(b, xb), zc = rectangle_point(c, xc),
               zd = rectangle_point(d, xd);
#if HWY_TARGET == HWY_AVX2
    if constexpr (edges_alone) {
      const __m256i ab = _mm256_packs_epi32(_mm256_castps_si256(xa.raw), _mm256_castps_si256(xb.raw));
      const __m256i cd = _mm256_packs_epi32(_mm256_castps_si256(xc.raw), _mm256_castps_si256(xd.raw));
      const auto mask = static_cast<std::uint32_t>(_mm256_movemask_epi8(_mm256_packs_epi16(ab, cd)));
      if (refined) {
        reject_edges<2>(words, at, mask);
      } else if (half == 0) {
        first_mask = mask;
      } else {
        reject_edges<2>(words - 32, at - 32, std::uint64_t{mask} << 32 | first_mask);
      }
      values.first(words, za, zb, zc, zd, at, output);
      return;
    }
#endif
    const std::size_t step = in_order ? n : 2;  // from words x and y to words z and w
    reject(a, xa, za, number, step);
    reject(b, xb, zb, number, 2 * n - step);
    reject(c, xc, zc, number, step);
    reject(d, xd, zd, number, 2 * n - step);
    values.first(words, za, zb, zc, zd, at, output);
  }
};

// Draws normal values of the elements 4 * quad + place with place < most_places, one session after another.
template <class Values>
class Normals : public Rejected<typename Values::Real> {
 public:
  static constexpr bool in_quads = true;

  template <class... Arguments>
  Normals(const core::Generator& generator, const VectorTable& table, core::Window window,
          const Arguments&... of_values)
      : Base(generator), values_(table, of_values...), table_(table), window_(window), finite_window_(window) {}

  // Draws the first trials of the elements [place, place + count). `place` is a multiple of 4, and `count` is a
  // multiple of words_group() and at most piece_size. It lists the rejected elements in [from, to).
  template <class Output>
  void first(std::uint64_t place, std::size_t count, std::uint64_t from, std::uint64_t to, Output output) {
    const bool edges_alone = window_.lower <= -table_.core.x0 && window_.upper >= table_.core.x0;
    std::uint32_t* end =
        edges_alone ? first_trials<true>(place, count, output) : first_trials<false>(place, count, output);
    this->listed_up_to(end, place, count, from, to);
  }

  // Retries a full batch of listed elements or, if to_the_end, the elements that are left. Returns their number, or 0
  // if there is no batch. keys() and retried() then hold their keys and values. The values of elements that are
  // rejected again do not matter.
  std::size_t retry(bool to_the_end) {
    const std::size_t listed = this->listed_;
    return listed >= (to_the_end ? 1 : Base::batch) ? again() : 0;
  }

 private:
  using Base = Rejected<typename Values::Real>;

  // Returns the end of the list.
  template <bool edges_alone, class Output>
  HWY_NOINLINE std::uint32_t* first_trials(std::uint64_t place, std::size_t count, Output output) {
    FirstTrials<Values, Output, edges_alone> trials{
        values_, output, finite_window_, Widths(table_), static_cast<std::uint32_t>(place), this->list_end(), rests_};
    for_words(this->generator_, this->quad_ + place / 4, count, static_cast<std::uint32_t>(place), trials);
#if HWY_TARGET == HWY_AVX2
    for (const Rest* rest = rests_; rest < trials.rest; ++rest) {
      for (std::uint64_t mask = rest->mask; mask != 0; mask &= mask - 1) {
        *trials.rejected++ = first_key(place + rest->at + vector_orders.packed[_tzcnt_u64(mask)]);
      }
    }
#endif
    return trials.rejected;
  }

  // Returns the key of an element whose first trial is rejected.
  HWY_NOINLINE std::uint32_t first_key(std::uint64_t place) const {
    const core::Words words = core::heads<core::Philox>(this->generator_, this->quad_ + place / 4);
    const std::uint32_t of_quad[4] = {words.x, words.y, words.z, words.w};
    return (of_quad[place % 4] & head_bits) | static_cast<std::uint32_t>(place << 8);
  }

  // Finishes one element with scalar code.
  HWY_NOINLINE typename Values::Real scalar(std::uint32_t key) const {
    const std::uint64_t index = this->index_of(key);
    const std::uint32_t trial = trial_of(key);
    const bool edge = core::is_edge(key);
    const std::uint32_t head = edge ? key : core::retry<core::Philox>(this->generator_, index, trial + 1).x;
    return values_.scalar(this->generator_, index,
                          core::first_accepted<core::Philox>(this->generator_, index, head, window_, table_.core,
                                                             edge ? trial : trial + 1));
  }

  HWY_NOINLINE std::size_t again() {
    const std::size_t n = hn::Lanes(U32());
    return this->batch_again(
        [&](std::size_t i, VU32 a, VU32 b, Mask32 valid_a, Mask32 valid_b) HWY_ATTR {
          const VU32 tags = set32(trial_bits);
          VU32 xa, ya, za, wa, xb, yb, zb, wb;
          blocks_at(this->generator_, this->keys_, this->base(), place_of(a), hn::And(next_number(a), tags), xa, ya, za,
                    wa);
          blocks_at(this->generator_, this->keys_, this->base(), place_of(b), hn::And(next_number(b), tags), xb, yb, zb,
                    wb);
          again(i, a, valid_a, xa, ya, za, wa);
          again(i + n, b, valid_b, xb, yb, zb, wb);
        },
        [&](std::uint32_t key) { return scalar(key); });
  }

  // Computes the points of edge cells and, for other elements, the next trial, whose head is word x of the block.
  HWY_INLINE void again(std::size_t i, VU32 key, Mask32 valid, VU32 x, VU32 y, VU32 z, VU32 w) {
    const Mask32 edge = hn::And(valid, is_edge(key));
    VF32 point = rectangle_point(x, table_);
    Mask32 done = hn::AndNot(finite_window_.rejects(point), valid);
    Mask32 accepted = hn::MaskFromVec(hn::Zero(U32()));
    if (!hn::AllFalse(U32(), edge)) {
      Mask32 kept;
      const VF32 of_edge = edge_point(key, y, z, w, table_, kept);
      accepted = hn::AndNot(finite_window_.rejects(of_edge), hn::And(kept, edge));
      point = hn::IfThenElse(hn::RebindMask(F32(), accepted), of_edge, point);
      done = hn::Or(done, accepted);
    }
    values_.again(this->generator_, this->keys_, this->base(), key, x, point, accepted, this->value_ + i);
    this->append(key_of(x, next_number(key)), hn::AndNot(done, valid));
  }

  Values values_;
  const VectorTable& table_;
  core::Window window_;
  FiniteWindow finite_window_;
  Rest rests_[piece_size / 32 + 1];
};

}  // namespace fanin::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
