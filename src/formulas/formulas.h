// SPDX-License-Identifier: Apache-2.0
// The formulas of the Keras family. Constructors check what does not depend on a shape or a dtype; they throw
// InvalidArgument.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "formulas/formula.h"

namespace fanin::detail {

enum class FanMode : std::uint8_t { fan_in, fan_out, fan_avg };
enum class ScaledDistribution : std::uint8_t { truncated_normal, untruncated_normal, uniform };

std::string_view name_of(FanMode mode);
std::string_view name_of(ScaledDistribution distribution);
FanMode parse_mode(std::string_view name);
ScaledDistribution parse_distribution(std::string_view name);

// A class of the family with its own scale, mode and distribution. VarianceScaling's are its parameters.
struct ScaledClass {
  std::string_view name;
  double scale;
  FanMode mode;
  ScaledDistribution distribution;
};
inline constexpr ScaledClass he_normal_class{"HeNormal", 2, FanMode::fan_in, ScaledDistribution::truncated_normal};
inline constexpr ScaledClass he_uniform_class{"HeUniform", 2, FanMode::fan_in, ScaledDistribution::uniform};
inline constexpr ScaledClass lecun_normal_class{"LecunNormal", 1, FanMode::fan_in,
                                                ScaledDistribution::truncated_normal};
inline constexpr ScaledClass lecun_uniform_class{"LecunUniform", 1, FanMode::fan_in, ScaledDistribution::uniform};
inline constexpr ScaledClass glorot_normal_class{"GlorotNormal", 1, FanMode::fan_avg,
                                                 ScaledDistribution::truncated_normal};
inline constexpr ScaledClass glorot_uniform_class{"GlorotUniform", 1, FanMode::fan_avg, ScaledDistribution::uniform};
inline constexpr std::string_view variance_scaling_name = "VarianceScaling";

class ScalingFormula : public Formula {
 public:
  // axes_stated: a configuration had the keys of Keras 3.15, so that they are written even if they are null.
  explicit ScalingFormula(const ScaledClass& kind, FanAxes axes = {}, bool axes_stated = false);

  std::string_view class_name() const override { return kind_.name; }
  const FanAxes& axes() const override { return axes_; }
  Distribution distribution(const Shape& shape, const Fans& fans) const override;
  std::string derivation(const Fans& fans, const Distribution& distribution) const override;
  Parameters parameters() const override;
  std::shared_ptr<const Formula> with(const Parameters& parameters) const override;

  const ScaledClass& kind() const { return kind_; }

 private:
  bool is_named() const { return kind_.name != variance_scaling_name; }
  double fan(const Fans& fans) const;

  ScaledClass kind_;
  FanAxes axes_;
  bool axes_stated_;
};

class TruncatedNormalFormula : public Formula {
 public:
  TruncatedNormalFormula(double mean, double stddev, double lower, double upper);
  std::string_view class_name() const override { return "TruncatedNormal"; }
  Distribution distribution(const Shape& shape, const Fans& fans) const override;
  std::string derivation(const Fans& fans, const Distribution& distribution) const override;
  Parameters parameters() const override;
  std::shared_ptr<const Formula> with(const Parameters& parameters) const override;

 private:
  double mean_, stddev_, lower_, upper_;
};

class NormalFormula : public Formula {
 public:
  NormalFormula(double mean, double stddev);
  std::string_view class_name() const override { return "RandomNormal"; }
  Distribution distribution(const Shape& shape, const Fans& fans) const override;
  std::string derivation(const Fans& fans, const Distribution& distribution) const override;
  Parameters parameters() const override;
  std::shared_ptr<const Formula> with(const Parameters& parameters) const override;

 private:
  double mean_, stddev_;
};

class UniformFormula : public Formula {
 public:
  UniformFormula(double minval, double maxval);
  std::string_view class_name() const override { return "RandomUniform"; }
  Distribution distribution(const Shape& shape, const Fans& fans) const override;
  std::string derivation(const Fans& fans, const Distribution& distribution) const override;
  Parameters parameters() const override;
  std::shared_ptr<const Formula> with(const Parameters& parameters) const override;

 private:
  double minval_, maxval_;
};

class ConstantFormula : public Formula {
 public:
  explicit ConstantFormula(ConstantValue value) : value_(std::move(value)) {}
  std::string_view class_name() const override { return "Constant"; }
  bool is_random() const override { return false; }
  Distribution distribution(const Shape& shape, const Fans& fans) const override;
  std::string derivation(const Fans& fans, const Distribution& distribution) const override;
  Parameters parameters() const override { return {{"value", value_}}; }
  std::shared_ptr<const Formula> with(const Parameters& parameters) const override;

 private:
  ConstantValue value_;
};

// Zeros and Ones.
class FixedConstantFormula : public Formula {
 public:
  FixedConstantFormula(std::string_view class_name, double value) : class_name_(class_name), value_(value) {}
  std::string_view class_name() const override { return class_name_; }
  bool is_random() const override { return false; }
  Distribution distribution(const Shape& shape, const Fans& fans) const override;
  std::string derivation(const Fans& fans, const Distribution& distribution) const override;
  std::shared_ptr<const Formula> with(const Parameters&) const override;

 private:
  std::string_view class_name_;
  double value_;
};

class IdentityFormula : public Formula {
 public:
  explicit IdentityFormula(double gain);
  std::string_view class_name() const override { return "Identity"; }
  bool is_random() const override { return false; }
  bool allows_blocks() const override { return false; }
  Distribution distribution(const Shape& shape, const Fans& fans) const override;
  std::string derivation(const Fans& fans, const Distribution& distribution) const override;
  Parameters parameters() const override { return {{"gain", gain_}}; }
  std::shared_ptr<const Formula> with(const Parameters& parameters) const override;

 private:
  double gain_;
};

}  // namespace fanin::detail
