// SPDX-License-Identifier: Apache-2.0
// What several classes of schemes are made of.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/text.h"
#include "fanin/error.h"
#include "formulas/scheme.h"
#include "formulas/schemes.h"

namespace fanin::detail {

// Standard deviation of a standard normal truncated to [-2, 2] (scipy.stats.truncnorm.std(-2, 2)), with Keras's digits.
inline constexpr double stddev_cut_at_2 = 0.87962566103423978;

inline double number_in(const Parameters& parameters, std::size_t j) { return std::get<double>(parameters[j].value); }
inline std::string_view text_in(const Parameters& parameters, std::size_t j) {
  return std::get<std::string_view>(parameters[j].value);
}

inline SchemePointer scheme(const SchemeClass& its_class, Parameters parameters) {
  return std::make_shared<Scheme>(its_class, std::move(parameters));
}

inline void check_finite(Parameters& parameters) {
  for (const Parameter& parameter : parameters) {
    const auto* number = std::get_if<double>(&parameter.value);
    if (number == nullptr || std::isfinite(*number) || parameter.name == "lower" || parameter.name == "upper") continue;
    std::string message = "Argument `";
    message += parameter.name;
    message += "` must be finite. Received: ";
    message += parameter.name;
    throw InvalidArgument(message + "=" + to_text(*number));
  }
}

inline Distribution constant_of(double value) {
  Distribution d;
  d.value = value;
  return d;
}

inline std::string constant_derivation(const Parameters&, const Fans&, const Distribution&) {
  return "every element is the same";
}

inline Distribution uniform_of(double low, double high) {
  Distribution d;
  d.kind = Distribution::Kind::uniform;
  d.low = low;
  d.high = high;
  return d;
}

inline Distribution normal_of(double mean, double stddev) {
  Distribution d;
  d.kind = Distribution::Kind::normal;
  d.mean = mean;
  d.stddev = stddev;
  return d;
}

inline Distribution truncated_normal_of(double mean, double stddev, double lower, double upper) {
  Distribution d = normal_of(mean, stddev);
  d.kind = Distribution::Kind::truncated_normal;
  d.lower = lower;
  d.upper = upper;
  return d;
}

inline std::string parameters_derivation(const Parameters& parameters, const Fans&, const Distribution&) {
  const auto text = [](const Parameter& parameter) {
    return std::string(parameter.name) + " = " + to_text(std::get<double>(parameter.value));
  };
  return text(parameters[0]) + ", " + text(parameters[1]);
}

inline Distribution identity_of(double gain, const Shape& shape) {
  if (shape.size() != 2) {
    throw InvalidArgument("Identity matrix initializer can only be used for 2D matrices. Received: shape=" +
                          to_string(shape) + " of rank " + std::to_string(shape.size()) + ".");
  }
  Distribution d = constant_of(gain);
  d.kind = Distribution::Kind::identity;
  d.rows = static_cast<std::uint64_t>(shape[0]);
  d.columns = static_cast<std::uint64_t>(shape[1]);
  return d;
}

// The first parameter is the gain.
inline Distribution orthogonal_distribution(const Parameters& parameters, const Shape& shape, Layout layout,
                                            const Fans&) {
  if (shape.size() < 2) {
    throw InvalidArgument("The tensor to initialize must be at least two-dimensional. Received: shape=" +
                          to_string(shape) + " of rank " + std::to_string(shape.size()) + ".");
  }
  Distribution d;
  d.kind = Distribution::Kind::orthogonal;
  d.value = number_in(parameters, 0);
  const std::uint64_t size = element_count(shape);
  const auto extent = static_cast<std::uint64_t>(layout == Layout::hwio ? shape.back() : shape.front());
  if (size == 0) return d;
  (layout == Layout::hwio ? d.columns : d.rows) = extent;
  (layout == Layout::hwio ? d.rows : d.columns) = size / extent;
  return d;
}

inline std::string orthogonal_derivation(const Parameters& parameters, const Fans&, const Distribution& d) {
  return "an orthogonal matrix of " + std::to_string(d.rows) + " x " + std::to_string(d.columns) +
         ", uniform (Haar), " + "times gain = " + to_text(number_in(parameters, 0)) + ": " +
         (d.rows < d.columns ? "its rows" : "its columns") + " are orthonormal";
}

// The class of Orthogonal under this name, for kernels of this layout.
constexpr SchemeClass orthogonal_class(std::string_view name, Layout layout) {
  return {name, true, check_finite, orthogonal_distribution, orthogonal_derivation, true, true, layout};
}

// The values of an expression. Throws InvalidArgument for a shape that it does not fit.
inline Distribution computed_of(std::shared_ptr<const ComputedValue> value, const Shape& shape) {
  value->check(shape);
  Distribution d;
  d.kind = Distribution::Kind::computed;
  d.uses_draw = value->is_random();
  d.computed = std::move(value);
  return d;
}

inline std::string formula_derivation(const Parameters&, const Fans&, const Distribution& d) {
  std::string text = "value = " + d.computed->expression().text();
  const auto& constants = d.computed->constants();
  for (std::size_t k = 0; k < constants.size(); ++k) {
    text += (k == 0 ? ", where " : ", ") + constants[k].first + " = " + to_text(constants[k].second);
  }
  return text;
}

// An array, broadcast.
inline std::shared_ptr<const ComputedValue> array_value(Table array) {
  std::string name = array.name;
  return std::make_shared<const ComputedValue>(name, ComputedValue::Constants{}, std::move(array));
}

// The literal that equals `text`, which was received in this spelling.
inline std::string_view literal_of(std::string_view text, std::string_view received, const char* argument,
                                   std::initializer_list<std::string_view> literals) {
  const auto* const literal = std::find(literals.begin(), literals.end(), text);
  if (literal != literals.end()) return *literal;
  const std::vector<std::string> names(literals.begin(), literals.end());
  throw InvalidArgument("Invalid `" + std::string(argument) + "` argument: " + std::string(received) +
                        ". Please use one of " + list_of(names) + "." + suggestion(received, names));
}

}  // namespace fanin::detail
