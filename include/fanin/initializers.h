// SPDX-License-Identifier: Apache-2.0
// Keras's initializers, and some of other sources. Formulas, defaults and argument order of Keras's are those of
// keras/src/initializers/random_initializers.py and constant_initializers.py. `fan` is max(1, fan), fan_avg the mean of
// the two fans, and sigma the standard deviation.
//
// Constructors throw InvalidArgument for parameters that are wrong for every shape and dtype. The call throws for what
// depends on the shape or the dtype, such as a value that overflows. from_config reads the class's inner configuration
// in either form and throws InvalidArgument for malformed JSON and unknown keys.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "fanin/export.h"
#include "fanin/fans.h"
#include "fanin/initializer.h"
#include "fanin/seed.h"
#include "fanin/shape.h"

namespace fanin {

/// A distribution whose variance is scale / fan.
///
/// - "truncated_normal" (or "normal", Keras's older spelling): sigma = sqrt(scale / fan) / 0.87962566103423978,
///   truncated by rejection to [-2 sigma, 2 sigma]; the standard deviation after truncation is sqrt(scale / fan).
///   With bounds of one's own, sigma = sqrt(scale / fan), truncated to [lower * sigma, upper * sigma] as OLMo's and
///   PyTorch's initializations do it: truncation then makes the standard deviation smaller.
/// - "untruncated_normal": sigma = sqrt(scale / fan).
/// - "uniform": on [-limit, limit), limit = sqrt(3 * scale / fan).
class FANIN_API VarianceScaling : public Initializer {
 public:
  /// scale is positive and finite; mode is "fan_in", "fan_out" or "fan_avg"; distribution is not case-sensitive.
  /// Bounds are for truncated_normal alone: both or neither, lower < upper; either may be infinite.
  explicit VarianceScaling(double scale = 1.0, std::string_view mode = "fan_in",
                           std::string_view distribution = "truncated_normal", Seed seed = {}, FanAxes axes = {},
                           std::optional<double> lower = {}, std::optional<double> upper = {});
  static VarianceScaling from_config(std::string_view json);

  double scale() const;
  std::string_view mode() const;
  std::string_view distribution() const;
  const FanAxes& axes() const;
  std::optional<double> lower() const;  ///< in standard deviations; none: Keras's -2, with its correction
  std::optional<double> upper() const;

 protected:
  using Initializer::Initializer;
  explicit VarianceScaling(const Initializer& made) : Initializer(made) {}
};

/// Truncated normal, scale 2, fan_in. He et al., "Delving deep into rectifiers", 2015.
class FANIN_API HeNormal : public VarianceScaling {
 public:
  explicit HeNormal(Seed seed = {}, FanAxes axes = {});
  static HeNormal from_config(std::string_view json);

 private:
  explicit HeNormal(const Initializer& made) : VarianceScaling(made) {}
};

/// Uniform, scale 2, fan_in: on [-limit, limit), limit = sqrt(6 / fan_in).
class FANIN_API HeUniform : public VarianceScaling {
 public:
  explicit HeUniform(Seed seed = {}, FanAxes axes = {});
  static HeUniform from_config(std::string_view json);

 private:
  explicit HeUniform(const Initializer& made) : VarianceScaling(made) {}
};

/// Truncated normal, scale 1, fan_in. LeCun et al., "Efficient backprop", 1998; Klambauer et al., 2017.
class FANIN_API LecunNormal : public VarianceScaling {
 public:
  explicit LecunNormal(Seed seed = {}, FanAxes axes = {});
  static LecunNormal from_config(std::string_view json);

 private:
  explicit LecunNormal(const Initializer& made) : VarianceScaling(made) {}
};

/// Uniform, scale 1, fan_in: on [-limit, limit), limit = sqrt(3 / fan_in).
class FANIN_API LecunUniform : public VarianceScaling {
 public:
  explicit LecunUniform(Seed seed = {}, FanAxes axes = {});
  static LecunUniform from_config(std::string_view json);

 private:
  explicit LecunUniform(const Initializer& made) : VarianceScaling(made) {}
};

/// Truncated normal, scale 1, fan_avg. Glorot and Bengio, "Understanding the difficulty ...", 2010.
class FANIN_API GlorotNormal : public VarianceScaling {
 public:
  explicit GlorotNormal(Seed seed = {}, FanAxes axes = {});
  static GlorotNormal from_config(std::string_view json);

 private:
  explicit GlorotNormal(const Initializer& made) : VarianceScaling(made) {}
};

/// Uniform, scale 1, fan_avg: on [-limit, limit), limit = sqrt(6 / (fan_in + fan_out)).
class FANIN_API GlorotUniform : public VarianceScaling {
 public:
  explicit GlorotUniform(Seed seed = {}, FanAxes axes = {});
  static GlorotUniform from_config(std::string_view json);

 private:
  explicit GlorotUniform(const Initializer& made) : VarianceScaling(made) {}
};

/// A normal truncated by rejection to [mean + lower * stddev, mean + upper * stddev]; stddev is the standard deviation
/// before truncation. Keras always truncates at 2. Any other window with lower < upper is allowed, also a narrow,
/// one-sided (infinite bound) or distant one; the configuration has it under the keys "lower" and "upper" (null: no
/// bound), which Keras does not know.
class FANIN_API TruncatedNormal : public Initializer {
 public:
  explicit TruncatedNormal(double mean = 0.0, double stddev = 0.05, Seed seed = {}, double lower = -2.0,
                           double upper = 2.0);
  static TruncatedNormal from_config(std::string_view json);

 private:
  explicit TruncatedNormal(const Initializer& made) : Initializer(made) {}
};

/// A normal without truncation. The largest possible deviation is 8.41 standard deviations, because a tail point comes
/// from 24 bits.
class FANIN_API RandomNormal : public Initializer {
 public:
  explicit RandomNormal(double mean = 0.0, double stddev = 0.05, Seed seed = {});
  static RandomNormal from_config(std::string_view json);

 private:
  explicit RandomNormal(const Initializer& made) : Initializer(made) {}
};

/// Uniform on [minval, maxval); equal bounds give that constant. maxval never occurs, not even by rounding.
class FANIN_API RandomUniform : public Initializer {
 public:
  explicit RandomUniform(double minval = -0.05, double maxval = 0.05, Seed seed = {});
  static RandomUniform from_config(std::string_view json);

 private:
  explicit RandomUniform(const Initializer& made) : Initializer(made) {}
};

/// One value everywhere, or an array that broadcasts to the tensor's shape as in NumPy: its last axes have the tensor's
/// extents, or 1. The configuration keeps values that Keras accepts but a fill cannot write (infinities, NaN, objects);
/// the call throws InvalidArgument for them.
///
/// A number outside the dtype's range becomes the outermost finite one. An array's numbers are rounded once, and a fill
/// refuses those that are not finite in the dtype; otherwise it is filled as a Formula is, by the host.
class FANIN_API Constant : public Initializer {
 public:
  explicit Constant(double value = 0.0);
  /// The row-major values of an array of this shape, at least one, in at most 8 dimensions.
  Constant(Shape shape, std::vector<double> values);
  static Constant from_config(std::string_view json);

 private:
  explicit Constant(const Initializer& made) : Initializer(made) {}
};

class FANIN_API Zeros : public Initializer {
 public:
  Zeros();
  static Zeros from_config(std::string_view json);

 private:
  explicit Zeros(const Initializer& made) : Initializer(made) {}
};

class FANIN_API Ones : public Initializer {
 public:
  Ones();
  static Ones from_config(std::string_view json);

 private:
  explicit Ones(const Initializer& made) : Initializer(made) {}
};

/// `gain` where row and column are equal, else 0; only for matrices, square or not.
class FANIN_API Identity : public Initializer {
 public:
  explicit Identity(double gain = 1.0);
  static Identity from_config(std::string_view json);

 private:
  explicit Identity(const Initializer& made) : Initializer(made) {}
};

/// U(-1 / fan_in, 1 / fan_in), for the first layer of a network of sines. Sitzmann et al., "Implicit neural
/// representations with periodic activation functions", 2020, section 3.2; first_layer_sine_init of its code.
class FANIN_API SirenFirst : public Initializer {
 public:
  explicit SirenFirst(Seed seed = {});
  static SirenFirst from_config(std::string_view json);

 private:
  explicit SirenFirst(const Initializer& made) : Initializer(made) {}
};

/// Uniform on [-limit, limit), limit = sqrt(6 / fan_in) / w0, for the other layers of a network of sines with frequency
/// w0. Sitzmann et al., 2020, section 3.2; sine_init of its code.
class FANIN_API SirenHidden : public Initializer {
 public:
  explicit SirenHidden(double w0 = 30.0, Seed seed = {});
  static SirenHidden from_config(std::string_view json);

 private:
  explicit SirenHidden(const Initializer& made) : Initializer(made) {}
};

/// PyTorch's dirac_: 1 at the centre of the kernel from each channel to the same channel of its group, else 0; the
/// centre is floor(extent / 2). For kernels of convolutions in 1 to 3 dimensions, (..., in, out) in Layout::hwio,
/// (out, in, ...) in Layout::oihw; `groups` divides the channels out.
class FANIN_API Dirac : public Initializer {
 public:
  explicit Dirac(std::int64_t groups = 1);
  static Dirac from_config(std::string_view json);

 private:
  explicit Dirac(const Initializer& made) : Initializer(made) {}
};

/// Linear interpolation by a transposed convolution: 1 - |i - (extent - 1) / 2| / floor((extent + 1) / 2) along each
/// axis in space, from each channel to the same channel of its group, else 0. For kernels as PyTorch's transposed
/// convolutions have them, (in, out / groups, ...) in Layout::oihw, (..., out / groups, in) in Layout::hwio; `groups`
/// divides the channels in. Long, Shelhamer and Darrell, "Fully convolutional networks ...", 2015.
class FANIN_API Bilinear : public Initializer {
 public:
  explicit Bilinear(std::int64_t groups = 1);
  static Bilinear from_config(std::string_view json);

 private:
  explicit Bilinear(const Initializer& made) : Initializer(made) {}
};

/// The bias of a recurrent layer, whose last axis is `gates` parts of equal size one after the other: `value` in part
/// number `gate`, counted from 0, and 0 elsewhere. The defaults are those of an LSTM in Keras (unit_forget_bias) and in
/// PyTorch. Jozefowicz, Zaremba and Sutskever, "An empirical exploration of recurrent network architectures", 2015.
class FANIN_API ForgetGateBias : public Initializer {
 public:
  explicit ForgetGateBias(double value = 1.0, int gate = 1, int gates = 4);
  static ForgetGateBias from_config(std::string_view json);

 private:
  explicit ForgetGateBias(const Initializer& made) : Initializer(made) {}
};

/// PyTorch's sparse_: a matrix of normals with mean 0, in which ceil(sparsity * outputs) random weights of each input
/// are 0. The inputs are the rows in Layout::hwio and the columns in Layout::oihw. Section 7 of docs/VALUES.md says
/// which weights (`place`). Martens, "Deep learning via Hessian-free optimization", 2010.
class FANIN_API Sparse : public Initializer {
 public:
  /// 0 <= sparsity <= 1.
  explicit Sparse(double sparsity = 0.1, double stddev = 0.01, Seed seed = {});
  static Sparse from_config(std::string_view json);

 private:
  explicit Sparse(const Initializer& made) : Initializer(made) {}
};

/// Keras's kernel of a short-time Fourier transform, of the shape (frame_length, 1, fft_length / 2 + 1):
/// cos(2 pi t k / fft_length), or -sin(2 pi t k / fft_length), times window[t] / scale. `side` is "real" or "imag". The
/// scale is sqrt(sum(window^2)) for `scaling` "density", sum(|window|) for "spectrum", 1 for none. A periodic window is
/// that of frame_length + 1 points without the last.
///
/// It needs a build with MPFR, as Formula's functions do: without it a fill refuses it.
class FANIN_API STFT : public Initializer {
 public:
  /// Windows by name: those of scipy.signal.windows that need no parameters. "hann_periodic" and "hann_symmetric" are
  /// as in SciPy 1.16. Throws InvalidArgument for another name.
  explicit STFT(std::string_view side = "real", std::optional<std::string_view> window = "hann",
                std::optional<std::string_view> scaling = "density", bool periodic = false);
  /// The values of a window of frame_length points, finite and at least one; `periodic` stands only in the
  /// configuration.
  STFT(std::string_view side, std::vector<double> window, std::optional<std::string_view> scaling = "density",
       bool periodic = false);
  static STFT from_config(std::string_view json);

 private:
  explicit STFT(const Initializer& made) : Initializer(made) {}
};

/// A matrix with orthonormal columns, or rows if it has more columns than rows, times `gain`; uniformly distributed
/// (Haar). docs/VALUES.md, section 8, defines the bits: Householder reflections of normals, as Stewart, "The efficient
/// generation of random orthogonal matrices", 1980. Saxe et al., "Exact solutions ...", 2014, propose it for weights.
///
/// The tensor has two dimensions or more. Its matrix has the last extent as columns (Layout::hwio, as in Keras) or the
/// first extent as rows (Layout::oihw, as in PyTorch). 8- and 16-bit types have the float32 matrix, rounded; float64
/// has the same matrix to about 6 digits.
///
/// The host computes the whole matrix for every destination and every block. This takes about
/// 2 max(rows, cols) min(rows, cols)^2 operations and, while it lasts, memory for two more matrices in float32 (float64
/// for float64) and some MB for each thread. Fills of parts compute it once: the initializer and its copies keep it
/// until all its elements have been written, or parts of two other tensors are filled. A fill of device memory stages
/// and copies, waits for the stream, and cannot be captured. Plans take it for host memory only.
class FANIN_API Orthogonal : public Initializer {
 public:
  explicit Orthogonal(double gain = 1.0, Seed seed = {});
  static Orthogonal from_config(std::string_view json);

 private:
  explicit Orthogonal(const Initializer& made) : Initializer(made) {}
};

/// A value that is computed for each element from its coordinates: `Formula("log(i[1] + 1)")`. docs/VALUES.md, section
/// 7, defines the bits.
///
/// The expression has numbers, + - * / ^ (whole exponents), comparisons, if(condition, a, b), sqrt, floor, min, max,
/// clamp(x, low, high), pi, and
/// - i[0], i[1] ...: the element's coordinates in the whole tensor; shape[0], shape[1] ...: the tensor's extents; i[-1]
///   and shape[-1] are those of the last axis;
/// - `constants`, by their names;
/// - one draw: u, uniform in the open interval (0, 1), or z, standard normal; u[k] or z[k] is that of element k of the
///   same row, the last axis, which has at most 64 elements then;
/// - place[k]: where the element is in a random order of the elements that differ from it only on axis k, from 0 on;
/// - log, exp, sin, cos, pow, log1p, expm1 and softplus_inverse, correctly rounded. They need a build with MPFR:
/// without
///   it a fill, and only a fill, refuses them.
///
/// All dtypes get the same binary64 number, rounded once. A fill refuses values that are not finite in the dtype, and
/// the constructor a number that is not: "1 / 0". Where a fill does not see that all are finite, it evaluates each
/// twice.
///
/// The host evaluates it for every destination: a fill of device memory stages and copies, waits for the stream, and
/// cannot be captured. Plans take it for host memory only.
class FANIN_API Formula : public Initializer {
 public:
  using Constants = std::vector<std::pair<std::string, double>>;

  explicit Formula(std::string_view value = "0", Constants constants = {}, Seed seed = {});
  static Formula from_config(std::string_view json);

 private:
  explicit Formula(const Initializer& made) : Initializer(made) {}
};

// Keras's lower-case names are aliases: auto init = fanin::he_uniform(42);
using variance_scaling = VarianceScaling;
using he_normal = HeNormal;
using he_uniform = HeUniform;
using lecun_normal = LecunNormal;
using lecun_uniform = LecunUniform;
using glorot_normal = GlorotNormal;
using glorot_uniform = GlorotUniform;
using truncated_normal = TruncatedNormal;
using random_normal = RandomNormal;
using random_uniform = RandomUniform;
using constant = Constant;
using zeros = Zeros;
using ones = Ones;
using identity = Identity;
using orthogonal = Orthogonal;
using siren_first = SirenFirst;
using siren_hidden = SirenHidden;
using dirac = Dirac;
using bilinear = Bilinear;
using forget_gate_bias = ForgetGateBias;
using sparse = Sparse;
using stft = STFT;
using formula = Formula;

}  // namespace fanin
