// SPDX-License-Identifier: Apache-2.0
#include "formulas/rules.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "base/text.h"
#include "fanin/error.h"

namespace fanin::detail {

namespace {

// Standard deviation of a standard normal that is cut at +-2 (scipy.stats.truncnorm.std(-2, 2)), with Keras's digits.
constexpr double stddev_cut_at_2 = 0.87962566103423978;

void check_finite(std::string_view name, double v) {
  if (std::isfinite(v)) return;
  throw InvalidArgument("Argument `" + std::string(name) + "` must be finite. Received: " + std::string(name) + "=" +
                        to_text(v));
}

void check_stddev(double stddev) {
  check_finite("stddev", stddev);
  if (stddev < 0) throw InvalidArgument("Argument `stddev` must not be negative. Received: stddev=" + to_text(stddev));
}

Json axes_json(const std::optional<std::vector<std::int64_t>>& axes) {
  if (!axes) return nullptr;
  return *axes;
}

Distribution constant_of(double value) {
  Distribution d;
  d.kind = Distribution::Kind::constant;
  d.value = value;
  return d;
}

Distribution uniform_of(double low, double high) {
  Distribution d;
  d.kind = Distribution::Kind::uniform;
  d.low = low;
  d.high = high;
  return d;
}

Distribution normal_of(double mean, double stddev) {
  Distribution d;
  d.kind = Distribution::Kind::normal;
  d.mean = mean;
  d.stddev = stddev;
  return d;
}

Distribution truncated_normal_of(double mean, double stddev, double lower, double upper) {
  Distribution d = normal_of(mean, stddev);
  d.kind = Distribution::Kind::truncated_normal;
  d.lower = lower;
  d.upper = upper;
  return d;
}

}  // namespace

std::string_view name_of(FanMode mode) {
  switch (mode) {
    case FanMode::fan_in:
      return "fan_in";
    case FanMode::fan_out:
      return "fan_out";
    case FanMode::fan_avg:
      return "fan_avg";
  }
  return "";
}

std::string_view name_of(ScaledDistribution distribution) {
  switch (distribution) {
    case ScaledDistribution::truncated_normal:
      return "truncated_normal";
    case ScaledDistribution::untruncated_normal:
      return "untruncated_normal";
    case ScaledDistribution::uniform:
      return "uniform";
  }
  return "";
}

FanMode parse_mode(std::string_view name) {
  for (const FanMode mode : {FanMode::fan_in, FanMode::fan_out, FanMode::fan_avg}) {
    if (name == name_of(mode)) return mode;
  }
  const std::vector<std::string> names{"fan_in", "fan_out", "fan_avg"};
  throw InvalidArgument("Invalid `mode` argument: " + std::string(name) + ". Please use one of " + list_of(names) +
                        "." + suggestion(name, names));
}

ScaledDistribution parse_distribution(std::string_view name) {
  std::string lower(name);
  for (char& c : lower) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  if (lower == "normal") return ScaledDistribution::truncated_normal;  // Keras's older spelling
  for (const ScaledDistribution d :
       {ScaledDistribution::truncated_normal, ScaledDistribution::untruncated_normal, ScaledDistribution::uniform}) {
    if (lower == name_of(d)) return d;
  }
  const std::vector<std::string> names{"truncated_normal", "untruncated_normal", "uniform", "normal"};
  throw InvalidArgument("Invalid `distribution` argument: " + std::string(name) + ". Please use one of " +
                        list_of(names) + "." + suggestion(name, names));
}

// ---------------------------------------------------------------- VarianceScaling and its named cases

ScalingRule::ScalingRule(const ScaledClass& kind, FanAxes axes, bool axes_stated)
    : kind_(kind), axes_(std::move(axes)), axes_stated_(axes_stated || axes_.input || axes_.output) {
  check_finite("scale", kind_.scale);
  if (kind_.scale <= 0) {
    throw InvalidArgument("Argument `scale` must be positive float. Received: scale=" + to_text(kind_.scale));
  }
}

double ScalingRule::fan(const Fans& fans) const {
  switch (kind_.mode) {
    case FanMode::fan_in:
      return static_cast<double>(fans.fan_in);
    case FanMode::fan_out:
      return static_cast<double>(fans.fan_out);
    case FanMode::fan_avg:
      break;
  }
  return static_cast<double>(fans.fan_in + fans.fan_out) / 2.0;
}

Distribution ScalingRule::distribution(const Shape&, const Fans& fans) const {
  const double variance = kind_.scale / std::max(1.0, fan(fans));
  switch (kind_.distribution) {
    case ScaledDistribution::truncated_normal:
      return truncated_normal_of(0, std::sqrt(variance) / stddev_cut_at_2, -2, 2);
    case ScaledDistribution::untruncated_normal:
      return normal_of(0, std::sqrt(variance));
    case ScaledDistribution::uniform:
      break;
  }
  const double limit = std::sqrt(3.0 * variance);
  return uniform_of(-limit, limit);
}

std::string ScalingRule::derivation(const Shape& shape, const Fans& fans) const {
  const Distribution d = distribution(shape, fans);
  const std::string mode(name_of(kind_.mode));
  const std::string fan_text = to_text(std::max(1.0, fan(fans)));
  const std::string scale = to_text(kind_.scale);
  switch (kind_.distribution) {
    case ScaledDistribution::truncated_normal:
      return "stddev = sqrt(scale / " + mode + ") / 0.87962566103423978 = sqrt(" + scale + " / " + fan_text +
             ") / 0.87962566103423978 = " + to_text(d.stddev) + ", cut at 2 stddev";
    case ScaledDistribution::untruncated_normal:
      return "stddev = sqrt(scale / " + mode + ") = sqrt(" + scale + " / " + fan_text + ") = " + to_text(d.stddev);
    case ScaledDistribution::uniform:
      break;
  }
  return "limit = sqrt(3 * scale / " + mode + ") = sqrt(3 * " + scale + " / " + fan_text + ") = " + to_text(d.high);
}

void ScalingRule::write_config(Json& config, ConfigForm form) const {
  if (kind_.name == variance_scaling_name) {
    config["scale"] = kind_.scale;
    config["mode"] = name_of(kind_.mode);
    config["distribution"] = name_of(kind_.distribution);
  }
  if (form == ConfigForm::tf2) {
    if (axes_.input || axes_.output) {
      throw InvalidArgument("TF 2's form has no input_axes and output_axes: " + std::string(kind_.name) +
                            " with axes can only be written in Keras 3's form");
    }
  } else if (axes_stated_) {
    config["input_axes"] = axes_json(axes_.input);
    config["output_axes"] = axes_json(axes_.output);
  }
}

// ---------------------------------------------------------------- TruncatedNormal, RandomNormal, RandomUniform

TruncatedNormalRule::TruncatedNormalRule(double mean, double stddev, double lower, double upper)
    : mean_(mean), stddev_(stddev), lower_(lower), upper_(upper) {
  check_finite("mean", mean);
  check_stddev(stddev);
  if (!(lower < upper)) {
    throw InvalidArgument("Argument `lower` must be less than `upper`. Received: lower=" + to_text(lower) +
                          ", upper=" + to_text(upper));
  }
}

Distribution TruncatedNormalRule::distribution(const Shape&, const Fans&) const {
  return truncated_normal_of(mean_, stddev_, lower_, upper_);
}

std::string TruncatedNormalRule::derivation(const Shape&, const Fans&) const {
  return "mean and stddev are parameters, cut at " + to_text(lower_) + " and " + to_text(upper_) + " stddev";
}

void TruncatedNormalRule::write_config(Json& config, ConfigForm) const {
  config["mean"] = mean_;
  config["stddev"] = stddev_;
  if (lower_ == -2 && upper_ == 2) return;
  config["lower"] = std::isinf(lower_) ? Json(nullptr) : Json(lower_);
  config["upper"] = std::isinf(upper_) ? Json(nullptr) : Json(upper_);
}

NormalRule::NormalRule(double mean, double stddev) : mean_(mean), stddev_(stddev) {
  check_finite("mean", mean);
  check_stddev(stddev);
}

Distribution NormalRule::distribution(const Shape&, const Fans&) const { return normal_of(mean_, stddev_); }

std::string NormalRule::derivation(const Shape&, const Fans&) const { return "mean and stddev are parameters"; }

void NormalRule::write_config(Json& config, ConfigForm) const {
  config["mean"] = mean_;
  config["stddev"] = stddev_;
}

UniformRule::UniformRule(double minval, double maxval) : minval_(minval), maxval_(maxval) {
  check_finite("minval", minval);
  check_finite("maxval", maxval);
  if (minval > maxval) {
    throw InvalidArgument("Argument `minval` must not be greater than `maxval`. Received: minval=" + to_text(minval) +
                          ", maxval=" + to_text(maxval));
  }
}

Distribution UniformRule::distribution(const Shape&, const Fans&) const { return uniform_of(minval_, maxval_); }

std::string UniformRule::derivation(const Shape&, const Fans&) const { return "minval and maxval are parameters"; }

void UniformRule::write_config(Json& config, ConfigForm) const {
  config["minval"] = minval_;
  config["maxval"] = maxval_;
}

// ---------------------------------------------------------------- Constant, Zeros, Ones, Identity

ConstantRule::ConstantRule(std::string_view class_name, Json value)
    : class_name_(class_name), value_(std::move(value)) {
  double number = 0;
  if (!number_of(value_, number, true) && !value_.is_array() && !value_.is_object()) {
    throw InvalidArgument("Argument `value` must be a number. Received: value=" + dump_json(value_));
  }
}

Distribution ConstantRule::distribution(const Shape&, const Fans&) const {
  double number = 0;
  if (!number_of(value_, number, true)) {
    throw InvalidArgument("Constant can be filled with a single number only. Received: value=" + dump_json(value_));
  }
  return constant_of(number);
}

std::string ConstantRule::derivation(const Shape&, const Fans&) const { return "every element is the same"; }

void ConstantRule::write_config(Json& config, ConfigForm) const {
  if (class_name_ == "Constant") config["value"] = value_;
}

IdentityRule::IdentityRule(double gain) : gain_(gain) { check_finite("gain", gain); }

Distribution IdentityRule::distribution(const Shape& shape, const Fans&) const {
  if (shape.size() != 2) {
    throw InvalidArgument("Identity matrix initializer can only be used for 2D matrices. Received: shape=" +
                          to_string(shape) + " of rank " + std::to_string(shape.size()) + ".");
  }
  Distribution d = constant_of(gain_);
  d.kind = Distribution::Kind::identity;
  return d;
}

std::string IdentityRule::derivation(const Shape&, const Fans&) const { return "gain on the diagonal, 0 elsewhere"; }

// Keras 3 forgets the gain when it writes, but reads it: it is written unless it is the default.
void IdentityRule::write_config(Json& config, ConfigForm form) const {
  if (form == ConfigForm::tf2 || gain_ != 1) config["gain"] = gain_;
}

}  // namespace fanin::detail
