// SPDX-License-Identifier: Apache-2.0
// The rules behind the Keras family. Constructors check what does not depend on a shape or dtype; they throw
// InvalidArgument.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "formulas/rule.h"

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

class ScalingRule : public Rule {
 public:
  // axes_stated: the configuration that was read had the keys of Keras 3.15, so that they are written even if null.
  ScalingRule(const ScaledClass& kind, FanAxes axes, bool axes_stated);

  std::string_view class_name() const override { return kind_.name; }
  FanAxes axes() const override { return axes_; }
  Distribution distribution(const Shape& shape, const Fans& fans) const override;
  std::string derivation(const Shape& shape, const Fans& fans) const override;
  void write_config(Json& config, ConfigForm form) const override;

  const ScaledClass& kind() const { return kind_; }
  const FanAxes& axes_reference() const { return axes_; }

 private:
  double fan(const Fans& fans) const;

  ScaledClass kind_;
  FanAxes axes_;
  bool axes_stated_;
};

class TruncatedNormalRule : public Rule {
 public:
  TruncatedNormalRule(double mean, double stddev, double lower, double upper);
  std::string_view class_name() const override { return "TruncatedNormal"; }
  Distribution distribution(const Shape& shape, const Fans& fans) const override;
  std::string derivation(const Shape& shape, const Fans& fans) const override;
  void write_config(Json& config, ConfigForm form) const override;

 private:
  double mean_, stddev_, lower_, upper_;
};

class NormalRule : public Rule {
 public:
  NormalRule(double mean, double stddev);
  std::string_view class_name() const override { return "RandomNormal"; }
  Distribution distribution(const Shape& shape, const Fans& fans) const override;
  std::string derivation(const Shape& shape, const Fans& fans) const override;
  void write_config(Json& config, ConfigForm form) const override;

 private:
  double mean_, stddev_;
};

class UniformRule : public Rule {
 public:
  UniformRule(double minval, double maxval);
  std::string_view class_name() const override { return "RandomUniform"; }
  Distribution distribution(const Shape& shape, const Fans& fans) const override;
  std::string derivation(const Shape& shape, const Fans& fans) const override;
  void write_config(Json& config, ConfigForm form) const override;

 private:
  double minval_, maxval_;
};

// Constant, Zeros and Ones.
class ConstantRule : public Rule {
 public:
  // `value` as the configuration has it: a number, or what Keras broadcasts and fanin does not fill.
  ConstantRule(std::string_view class_name, Json value);
  std::string_view class_name() const override { return class_name_; }
  bool is_random() const override { return false; }
  Distribution distribution(const Shape& shape, const Fans& fans) const override;
  std::string derivation(const Shape& shape, const Fans& fans) const override;
  void write_config(Json& config, ConfigForm form) const override;

 private:
  std::string_view class_name_;
  Json value_;
};

class IdentityRule : public Rule {
 public:
  explicit IdentityRule(double gain);
  std::string_view class_name() const override { return "Identity"; }
  bool is_random() const override { return false; }
  bool allows_blocks() const override { return false; }
  Distribution distribution(const Shape& shape, const Fans& fans) const override;
  std::string derivation(const Shape& shape, const Fans& fans) const override;
  void write_config(Json& config, ConfigForm form) const override;

 private:
  double gain_;
};

}  // namespace fanin::detail
