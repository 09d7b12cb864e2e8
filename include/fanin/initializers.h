// SPDX-License-Identifier: Apache-2.0
// The Keras family. Formulas, defaults and argument order are Keras's (keras/src/initializers/random_initializers.py,
// constant_initializers.py); `fan` is max(1, fan), fan_avg the mean of the two, and sigma the standard deviation.
//
// Constructors throw InvalidArgument for parameters that no shape or dtype can make legal; what depends on the shape
// or the dtype (a value that overflows it, say) is refused by the call. from_config reads the class's inner
// configuration, in either form, and throws InvalidArgument for malformed JSON and unknown keys.
#pragma once

#include <string_view>

#include "fanin/export.h"
#include "fanin/fans.h"
#include "fanin/initializer.h"
#include "fanin/seed.h"

namespace fanin {

/// A distribution whose variance is scale / fan.
///
/// - "truncated_normal" (or "normal", Keras's older spelling): sigma = sqrt(scale / fan) / 0.87962566103423978, cut at
///   2 sigma by rejection, both ends included, so that sqrt(scale / fan) is what remains after the cut.
/// - "untruncated_normal": sigma = sqrt(scale / fan).
/// - "uniform": on [-limit, limit), limit = sqrt(3 * scale / fan).
class FANIN_API VarianceScaling : public Initializer {
 public:
  /// scale > 0 and finite; mode "fan_in", "fan_out" or "fan_avg"; the distribution in any case of letters.
  explicit VarianceScaling(double scale = 1.0, std::string_view mode = "fan_in",
                           std::string_view distribution = "truncated_normal", Seed seed = {}, FanAxes axes = {});
  static VarianceScaling from_config(std::string_view json);

  double scale() const;
  std::string_view mode() const;
  std::string_view distribution() const;
  const FanAxes& axes() const;

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

/// A normal that is cut by rejection at mean + lower * stddev and mean + upper * stddev, both included; stddev is that
/// before the cut. Keras's cut is always at 2. Any other window with lower < upper is allowed, also one that is narrow,
/// one-sided (infinite bounds) or far out; it is written to the configuration under the keys "lower" and "upper" (null:
/// no bound), which Keras does not know.
class FANIN_API TruncatedNormal : public Initializer {
 public:
  explicit TruncatedNormal(double mean = 0.0, double stddev = 0.05, Seed seed = {}, double lower = -2.0,
                           double upper = 2.0);
  static TruncatedNormal from_config(std::string_view json);

 private:
  explicit TruncatedNormal(const Initializer& made) : Initializer(made) {}
};

/// A normal, not cut. The largest value that can occur is 8.41 standard deviations: a tail point comes from 24 bits.
class FANIN_API RandomNormal : public Initializer {
 public:
  explicit RandomNormal(double mean = 0.0, double stddev = 0.05, Seed seed = {});
  static RandomNormal from_config(std::string_view json);

 private:
  explicit RandomNormal(const Initializer& made) : Initializer(made) {}
};

/// Uniform on [minval, maxval); equal bounds give the constant. maxval itself never occurs, after rounding either.
class FANIN_API RandomUniform : public Initializer {
 public:
  explicit RandomUniform(double minval = -0.05, double maxval = 0.05, Seed seed = {});
  static RandomUniform from_config(std::string_view json);

 private:
  explicit RandomUniform(const Initializer& made) : Initializer(made) {}
};

/// One value everywhere. Values that Keras accepts but a fill cannot write (infinities, NaN, arrays) are kept in the
/// configuration and refused by the call.
class FANIN_API Constant : public Initializer {
 public:
  explicit Constant(double value = 0.0);
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

/// `gain` where row and column are equal, else 0; matrices only, not necessarily square.
class FANIN_API Identity : public Initializer {
 public:
  explicit Identity(double gain = 1.0);
  static Identity from_config(std::string_view json);

 private:
  explicit Identity(const Initializer& made) : Initializer(made) {}
};

// Keras's lower-case names are names of the same classes: auto init = fanin::he_uniform(42);
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

}  // namespace fanin
