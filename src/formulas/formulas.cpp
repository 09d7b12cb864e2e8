// SPDX-License-Identifier: Apache-2.0
#include "formulas/formulas.h"

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

double number_in(const Parameters& parameters, std::size_t j) { return std::get<double>(parameters[j].value); }

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

constexpr const char* constant_derivation = "every element is the same";

}  // namespace

const FanAxes& Formula::axes() const {
  static const FanAxes none;
  return none;
}

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

ScalingFormula::ScalingFormula(const ScaledClass& kind, FanAxes axes, bool axes_stated)
    : kind_(kind), axes_(std::move(axes)), axes_stated_(axes_stated || axes_.input || axes_.output) {
  check_finite("scale", kind_.scale);
  if (kind_.scale <= 0) {
    throw InvalidArgument("Argument `scale` must be positive float. Received: scale=" + to_text(kind_.scale));
  }
}

double ScalingFormula::fan(const Fans& fans) const {
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

Distribution ScalingFormula::distribution(const Shape&, const Fans& fans) const {
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

std::string ScalingFormula::derivation(const Fans& fans, const Distribution& d) const {
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

Parameters ScalingFormula::parameters() const {
  return {{"scale", kind_.scale, is_named()},
          {"mode", std::string(name_of(kind_.mode)), is_named()},
          {"distribution", std::string(name_of(kind_.distribution)), is_named()},
          {"input_axes", axes_.input, false, axes_stated_},
          {"output_axes", axes_.output, false, axes_stated_}};
}

std::shared_ptr<const Formula> ScalingFormula::with(const Parameters& parameters) const {
  const ScaledClass given{kind_.name, number_in(parameters, 0), parse_mode(std::get<std::string>(parameters[1].value)),
                          parse_distribution(std::get<std::string>(parameters[2].value))};
  const bool is_same =
      given.scale == kind_.scale && given.mode == kind_.mode && given.distribution == kind_.distribution;
  if (is_named() && !is_same) {
    throw InvalidArgument(std::string(kind_.name) + " has scale=" + to_text(kind_.scale) + ", mode=\"" +
                          std::string(name_of(kind_.mode)) + "\", distribution=\"" +
                          std::string(name_of(kind_.distribution)) +
                          "\", and the config says otherwise; use VarianceScaling for other parameters");
  }
  FanAxes axes{std::get<AxisList>(parameters[3].value), std::get<AxisList>(parameters[4].value)};
  return std::make_shared<ScalingFormula>(given, std::move(axes), parameters[3].is_stated || parameters[4].is_stated);
}

// ---------------------------------------------------------------- TruncatedNormal, RandomNormal, RandomUniform

TruncatedNormalFormula::TruncatedNormalFormula(double mean, double stddev, double lower, double upper)
    : mean_(mean), stddev_(stddev), lower_(lower), upper_(upper) {
  check_finite("mean", mean);
  check_stddev(stddev);
  if (!(lower < upper)) {
    throw InvalidArgument("Argument `lower` must be less than `upper`. Received: lower=" + to_text(lower) +
                          ", upper=" + to_text(upper));
  }
}

Distribution TruncatedNormalFormula::distribution(const Shape&, const Fans&) const {
  return truncated_normal_of(mean_, stddev_, lower_, upper_);
}

std::string TruncatedNormalFormula::derivation(const Fans&, const Distribution&) const {
  return "mean and stddev are parameters, cut at " + to_text(lower_) + " and " + to_text(upper_) + " stddev";
}

Parameters TruncatedNormalFormula::parameters() const {
  const bool is_kerass = lower_ == -2 && upper_ == 2;
  return {
      {"mean", mean_}, {"stddev", stddev_}, {"lower", lower_, false, !is_kerass}, {"upper", upper_, false, !is_kerass}};
}

std::shared_ptr<const Formula> TruncatedNormalFormula::with(const Parameters& p) const {
  return std::make_shared<TruncatedNormalFormula>(number_in(p, 0), number_in(p, 1), number_in(p, 2), number_in(p, 3));
}

NormalFormula::NormalFormula(double mean, double stddev) : mean_(mean), stddev_(stddev) {
  check_finite("mean", mean);
  check_stddev(stddev);
}

Distribution NormalFormula::distribution(const Shape&, const Fans&) const { return normal_of(mean_, stddev_); }

std::string NormalFormula::derivation(const Fans&, const Distribution&) const {
  return "mean and stddev are parameters";
}

Parameters NormalFormula::parameters() const { return {{"mean", mean_}, {"stddev", stddev_}}; }

std::shared_ptr<const Formula> NormalFormula::with(const Parameters& p) const {
  return std::make_shared<NormalFormula>(number_in(p, 0), number_in(p, 1));
}

UniformFormula::UniformFormula(double minval, double maxval) : minval_(minval), maxval_(maxval) {
  check_finite("minval", minval);
  check_finite("maxval", maxval);
  if (minval > maxval) {
    throw InvalidArgument("Argument `minval` must not be greater than `maxval`. Received: minval=" + to_text(minval) +
                          ", maxval=" + to_text(maxval));
  }
}

Distribution UniformFormula::distribution(const Shape&, const Fans&) const { return uniform_of(minval_, maxval_); }

std::string UniformFormula::derivation(const Fans&, const Distribution&) const {
  return "minval and maxval are parameters";
}

Parameters UniformFormula::parameters() const { return {{"minval", minval_}, {"maxval", maxval_}}; }

std::shared_ptr<const Formula> UniformFormula::with(const Parameters& p) const {
  return std::make_shared<UniformFormula>(number_in(p, 0), number_in(p, 1));
}

// ---------------------------------------------------------------- Constant, Zeros, Ones, Identity

Distribution ConstantFormula::distribution(const Shape&, const Fans&) const {
  if (!value_.number) {
    throw InvalidArgument("Constant can be filled with a single number only. Received: value=" + value_.json);
  }
  return constant_of(*value_.number);
}

std::string ConstantFormula::derivation(const Fans&, const Distribution&) const { return constant_derivation; }

std::shared_ptr<const Formula> ConstantFormula::with(const Parameters& parameters) const {
  return std::make_shared<ConstantFormula>(std::get<ConstantValue>(parameters[0].value));
}

Distribution FixedConstantFormula::distribution(const Shape&, const Fans&) const { return constant_of(value_); }

std::string FixedConstantFormula::derivation(const Fans&, const Distribution&) const { return constant_derivation; }

std::shared_ptr<const Formula> FixedConstantFormula::with(const Parameters&) const {
  return std::make_shared<FixedConstantFormula>(class_name_, value_);
}

IdentityFormula::IdentityFormula(double gain) : gain_(gain) { check_finite("gain", gain); }

Distribution IdentityFormula::distribution(const Shape& shape, const Fans&) const {
  if (shape.size() != 2) {
    throw InvalidArgument("Identity matrix initializer can only be used for 2D matrices. Received: shape=" +
                          to_string(shape) + " of rank " + std::to_string(shape.size()) + ".");
  }
  Distribution d = constant_of(gain_);
  d.kind = Distribution::Kind::identity;
  return d;
}

std::string IdentityFormula::derivation(const Fans&, const Distribution&) const {
  return "gain on the diagonal, 0 elsewhere";
}

std::shared_ptr<const Formula> IdentityFormula::with(const Parameters& parameters) const {
  return std::make_shared<IdentityFormula>(number_in(parameters, 0));
}

}  // namespace fanin::detail
