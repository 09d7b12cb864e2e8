// SPDX-License-Identifier: Apache-2.0
// Products of matrices with the sums of docs/VALUES.md, section 8. This file is included inside a namespace, once for
// each instruction set, and has neither includes nor an include guard.
//
// The matrices are row-major. A sliver is a matrix of Ops::width columns, which are independent of each other and lie
// in the lanes of Ops::vectors vectors. Ops also has the type Vector, and load, store, all, zero, negative, add and
// fma.

// One column, in a number.
template <class Element>
struct Scalar {
  using Real = Element;
  using Vector = Element;
  static constexpr std::size_t lanes = 1, vectors = 1, width = 1;

  static Vector load(const Real* from) { return *from; }
  static void store(Vector v, Real* to) { *to = v; }
  static Vector all(Real v) { return v; }
  static Vector zero() { return 0; }
  static Vector negative(Vector v) { return -v; }
  static Vector add(Vector a, Vector b) { return a + b; }
  static Vector fma(Vector a, Vector b, Vector c) { return core::fma(a, b, c); }
};

// Rows of a tile. With two vectors in each, its sums fit into 16 registers.
inline constexpr std::size_t tile = 6;

// sums[a] += (left's column a) * right, for a chunk of rows and R columns.
template <class Ops, std::size_t R, class Real>
inline void dots_tile(const Real* left, std::size_t left_pitch, const Real* right, std::size_t right_pitch,
                      std::size_t rows, Real* sums, std::size_t sums_pitch) {
  typename Ops::Vector s[R][Ops::vectors];
  for (std::size_t a = 0; a < R; ++a) {
    for (std::size_t v = 0; v < Ops::vectors; ++v) s[a][v] = Ops::zero();
  }
  for (std::size_t i = 0; i < rows; ++i, left += left_pitch, right += right_pitch) {
    typename Ops::Vector x[Ops::vectors];
    for (std::size_t v = 0; v < Ops::vectors; ++v) x[v] = Ops::load(right + v * Ops::lanes);
    for (std::size_t a = 0; a < R; ++a) {
      const auto factor = Ops::all(left[a]);
      for (std::size_t v = 0; v < Ops::vectors; ++v) s[a][v] = Ops::fma(factor, x[v], s[a][v]);
    }
  }
  for (std::size_t a = 0; a < R; ++a, sums += sums_pitch) {
    for (std::size_t v = 0; v < Ops::vectors; ++v) {
      Ops::store(Ops::add(Ops::load(sums + v * Ops::lanes), s[a][v]), sums + v * Ops::lanes);
    }
  }
}

// to[r] = fma(factors[r][b], from[b], to[r]) for b = count - 1 ... 0, for R rows.
template <class Ops, std::size_t R, class Real>
inline void update_tile(const Real* factors, std::size_t factors_pitch, std::size_t count, const Real* from,
                        std::size_t from_pitch, Real* to, std::size_t to_pitch) {
  typename Ops::Vector s[R][Ops::vectors];
  for (std::size_t r = 0; r < R; ++r) {
    for (std::size_t v = 0; v < Ops::vectors; ++v) s[r][v] = Ops::load(to + r * to_pitch + v * Ops::lanes);
  }
  for (std::size_t b = count; b-- > 0;) {
    typename Ops::Vector x[Ops::vectors];
    for (std::size_t v = 0; v < Ops::vectors; ++v) x[v] = Ops::load(from + b * from_pitch + v * Ops::lanes);
    for (std::size_t r = 0; r < R; ++r) {
      const auto factor = Ops::all(factors[r * factors_pitch + b]);
      for (std::size_t v = 0; v < Ops::vectors; ++v) s[r][v] = Ops::fma(factor, x[v], s[r][v]);
    }
  }
  for (std::size_t r = 0; r < R; ++r) {
    for (std::size_t v = 0; v < Ops::vectors; ++v) Ops::store(s[r][v], to + r * to_pitch + v * Ops::lanes);
  }
}

template <class Ops, class Real>
void dots(const Real* left, std::size_t left_pitch, std::size_t count, const Real* right, std::size_t right_pitch,
          std::size_t rows, Real* sums, std::size_t sums_pitch) {
  std::size_t a = 0;
  for (; a + tile <= count; a += tile) {
    dots_tile<Ops, tile>(left + a, left_pitch, right, right_pitch, rows, sums + a * sums_pitch, sums_pitch);
  }
  for (; a + 2 <= count; a += 2) {
    dots_tile<Ops, 2>(left + a, left_pitch, right, right_pitch, rows, sums + a * sums_pitch, sums_pitch);
  }
  if (a < count) dots_tile<Ops, 1>(left + a, left_pitch, right, right_pitch, rows, sums + a * sums_pitch, sums_pitch);
}

template <class Ops, class Real>
void update(const Real* factors, std::size_t factors_pitch, std::size_t rows, std::size_t count, const Real* from,
            Real* to) {
  constexpr std::size_t pitch = Ops::width;
  std::size_t r = 0;
  for (; r + tile <= rows; r += tile) {
    update_tile<Ops, tile>(factors + r * factors_pitch, factors_pitch, count, from, pitch, to + r * pitch, pitch);
  }
  for (; r + 2 <= rows; r += 2) {
    update_tile<Ops, 2>(factors + r * factors_pitch, factors_pitch, count, from, pitch, to + r * pitch, pitch);
  }
  if (r < rows) {
    update_tile<Ops, 1>(factors + r * factors_pitch, factors_pitch, count, from, pitch, to + r * pitch, pitch);
  }
}

// Solves the system of the panel's triangle from its last row to its first and leaves -w. A negative factor has the
// bits that the contract's negative coefficient has.
template <class Ops, class Real>
void solve(const Real* triangle, std::size_t triangle_pitch, std::size_t count, Real* w) {
  constexpr std::size_t pitch = Ops::width;
  for (std::size_t end = count; end > 0;) {
    const std::size_t begin = end >= tile ? end - tile : 0;
    const Real* rows = triangle + begin * triangle_pitch;
    // Rows begin ... end - 1, first the rows that are solved, then each other.
    update<Ops>(rows + end, triangle_pitch, end - begin, count - end, w + end * pitch, w + begin * pitch);
    for (std::size_t a = end; a-- > begin;) {
      const Real* row = triangle + a * triangle_pitch;
      update_tile<Ops, 1>(row + a + 1, triangle_pitch, end - a - 1, w + (a + 1) * pitch, pitch, w + a * pitch, pitch);
      for (std::size_t v = 0; v < Ops::vectors; ++v) {
        Real* to = w + a * pitch + v * Ops::lanes;
        Ops::store(Ops::negative(Ops::load(to)), to);
      }
    }
    end = begin;
  }
}

template <class Ops>
constexpr OrthogonalKernels<typename Ops::Real> kernels_of() {
  using Real = typename Ops::Real;
  return {Ops::width, dots<Ops, Real>, solve<Ops, Real>, update<Ops, Real>};
}
