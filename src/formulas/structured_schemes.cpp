// SPDX-License-Identifier: Apache-2.0
#include "formulas/structured_schemes.h"

#include <cmath>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/text.h"
#include "fanin/error.h"
#include "formulas/scheme_parts.h"
#include "formulas/stft_window.h"

namespace fanin::detail {

namespace {

bool is_whole(double number, double least) {
  constexpr double most = 9007199254740992;  // 2^53
  return number >= least && number <= most && number == std::floor(number);
}

Distribution computed_of(const std::string& text, ComputedValue::Constants constants, const Shape& shape) {
  return computed_of(std::make_shared<const ComputedValue>(text, std::move(constants)), shape);
}

// Which axes of a kernel are what.
struct KernelAxes {
  std::size_t out, in, first_spatial, last_spatial;
};

std::string subscript(std::size_t axis) { return "[" + std::to_string(axis) + "]"; }

// Throws for what is no kernel of a convolution in 1 to 3 dimensions with so many groups.
KernelAxes kernel_axes(std::string_view name, double groups, const Shape& shape, Layout layout) {
  const std::size_t rank = shape.size();
  if (rank < 3 || rank > 5) {
    throw InvalidArgument(
        std::string(name) +
        " fills kernels of convolutions, of 3, 4 or 5 dimensions. Received: shape=" + to_string(shape));
  }
  const KernelAxes axes =
      layout == Layout::oihw ? KernelAxes{0, 1, 2, rank} : KernelAxes{rank - 1, rank - 2, 0, rank - 2};
  if (std::fmod(static_cast<double>(shape[axes.out]), groups) != 0) {
    throw InvalidArgument("The groups of " + std::string(name) + " must divide the extent of axis " +
                          std::to_string(axes.out) + ". Received: groups=" + to_text(groups) +
                          ", shape=" + to_string(shape));
  }
  return axes;
}

// 1 where `within`, a channel of its own group, has the number of the channel `of_all`, counted in its group.
std::string same_channel(std::size_t of_all, std::size_t within) {
  const std::string all = "i" + subscript(of_all);
  return "(i" + subscript(within) + " == " + all + " - channels * floor(" + all + " / channels))";
}

// ---------------------------------------------------------------- Dirac

constexpr SchemeClass dirac_class{"Dirac", false, check_groups, dirac_distribution, formula_derivation, false, true};

// ---------------------------------------------------------------- Bilinear

// The kernel of a transposed convolution, whose grouped axis is that of its inputs: (in, out / groups, ...) in OIHW. A
// tent of the width of the kernel along each axis in space: Long, Shelhamer and Darrell, "Fully convolutional networks
// for semantic segmentation", 2015.
Distribution bilinear_distribution(const Parameters& parameters, const Shape& shape, Layout layout, const Fans&) {
  const double groups = number_in(parameters, 0);
  const KernelAxes axes = kernel_axes("Bilinear", groups, shape, layout);
  std::string text = same_channel(axes.out, axes.in);
  for (std::size_t axis = axes.first_spatial; axis < axes.last_spatial; ++axis) {
    const std::string from_centre = "i" + subscript(axis) + " - (shape" + subscript(axis) + " - 1) / 2";
    text += " * (1 - max(" + from_centre + ", -(" + from_centre + ")) / floor((shape" + subscript(axis) + " + 1) / 2))";
  }
  return computed_of(text, {{"channels", static_cast<double>(shape[axes.out]) / groups}}, shape);
}

constexpr SchemeClass bilinear_class{"Bilinear",         false, check_groups, bilinear_distribution,
                                     formula_derivation, false, true};

// ---------------------------------------------------------------- ForgetGateBias

void check_forget_gate_bias(Parameters& parameters) {
  check_finite(parameters);
  const double gate = number_in(parameters, 1);
  const double gates = number_in(parameters, 2);
  if (is_whole(gates, 1) && is_whole(gate, 0) && gate < gates) return;
  throw InvalidArgument("Arguments `gate` and `gates` must be whole numbers, 0 <= gate < gates. Received: gate=" +
                        to_text(gate) + ", gates=" + to_text(gates));
}

Distribution forget_gate_bias_distribution(const Parameters& parameters, const Shape& shape, Layout, const Fans&) {
  const double gates = number_in(parameters, 2);
  if (shape.empty() || std::fmod(static_cast<double>(shape.back()), gates) != 0) {
    throw InvalidArgument("The last axis of a ForgetGateBias is its " + to_text(gates) +
                          " gates one after the other. Received: shape=" + to_string(shape));
  }
  return computed_of("if((i[-1] >= gate * units) * (i[-1] < (gate + 1) * units), value, 0)",
                     {{"value", number_in(parameters, 0)},
                      {"gate", number_in(parameters, 1)},
                      {"units", static_cast<double>(shape.back()) / gates}},
                     shape);
}

constexpr SchemeClass forget_gate_bias_class{"ForgetGateBias", false, check_forget_gate_bias,
                                             forget_gate_bias_distribution, formula_derivation};

// ---------------------------------------------------------------- Sparse

constexpr SchemeClass sparse_class{"Sparse", true, check_sparse, sparse_distribution, formula_derivation, false, true};

// ---------------------------------------------------------------- STFT

void check_stft(Parameters& parameters) {
  const std::string_view side = text_in(parameters, 0);
  parameters[0].value = literal_of(side, side, "side", {"real", "imag"});
  const auto& window = std::get<WindowValue>(parameters[1].value);
  if (window.name) check_window(*window.name);
  for (const double value : window.values) {
    if (std::isfinite(value)) continue;
    throw InvalidArgument("The values of the `window` of an STFT must be finite. Received: " + to_text(value));
  }
  auto& scaling = std::get<std::optional<std::string_view>>(parameters[3].value);
  if (scaling) scaling = literal_of(*scaling, *scaling, "scaling", {"density", "spectrum"});
}

// Keras's formula, keras/src/initializers/constant_initializers.py. The phase is reduced to one turn before it is
// rounded.
Distribution stft_distribution(const Parameters& parameters, const Shape& shape, Layout, const Fans&) {
  if (shape.size() != 3 || shape[1] != 1) {
    throw InvalidArgument("STFT fills kernels of the shape (frame_length, 1, fft_length / 2 + 1). Received: shape=" +
                          to_string(shape));
  }
  if (shape[2] == 1 && shape[0] > 0) {
    throw InvalidArgument("The fft_length of an STFT must be at least 2. Received: 0, in shape=" + to_string(shape));
  }
  const bool is_real = text_in(parameters, 0) == "real";
  const std::string wave =
      std::string(is_real ? "cos" : "sin") + "(-2 * pi * (i[0] * i[2] - turn * floor(i[0] * i[2] / turn)) / turn)";
  ComputedValue::Constants constants{{"turn", 2 * (static_cast<double>(shape[2]) - 1)}};
  const auto& window = std::get<WindowValue>(parameters[1].value);
  if ((!window.name && window.values.empty()) || shape[0] == 0) return computed_of(wave, std::move(constants), shape);

  std::vector<double> values =
      window.name ? window_values(*window.name, shape[0], std::get<bool>(parameters[2].value)) : window.values;
  if (static_cast<std::int64_t>(values.size()) != shape[0]) {
    throw InvalidArgument("The `window` of an STFT must have frame_length values. Received: " +
                          std::to_string(values.size()) + " values, shape=" + to_string(shape));
  }
  const auto& scaling = std::get<std::optional<std::string_view>>(parameters[3].value);
  double sum = 0;
  for (const double value : values) sum += scaling == "density" ? value * value : std::abs(value);
  if (scaling && !(sum > 0 && std::isfinite(sum))) {
    throw InvalidArgument("The `window` of an STFT with scaling=\"" + std::string(*scaling) +
                          "\" must have a finite sum of " + (*scaling == "density" ? "squares" : "magnitudes") +
                          " above 0. Received: " + to_text(sum) + ", shape=" + to_string(shape));
  }
  constants.emplace_back("scaling", !scaling ? 1 : *scaling == "density" ? std::sqrt(sum) : sum);
  return computed_of(std::make_shared<const ComputedValue>(wave + " * window / scaling", std::move(constants),
                                                           Table{"window", {shape[0], 1, 1}, std::move(values)}),
                     shape);
}

constexpr SchemeClass stft_class{"STFT", false, check_stft, stft_distribution, formula_derivation};

}  // namespace

void check_groups(Parameters& parameters) {
  const double groups = number_in(parameters, 0);
  if (is_whole(groups, 1)) return;
  throw InvalidArgument("Argument `groups` must be a whole number of at least 1. Received: groups=" + to_text(groups));
}

Distribution dirac_distribution(const Parameters& parameters, const Shape& shape, Layout layout, const Fans&) {
  const double groups = number_in(parameters, 0);
  const KernelAxes axes = kernel_axes("Dirac", groups, shape, layout);
  std::string text = same_channel(axes.out, axes.in);
  for (std::size_t axis = axes.first_spatial; axis < axes.last_spatial; ++axis) {
    text += " * (i" + subscript(axis) + " == floor(shape" + subscript(axis) + " / 2))";
  }
  return computed_of(text, {{"channels", static_cast<double>(shape[axes.out]) / groups}}, shape);
}

void check_sparse(Parameters& parameters) {
  if (const double sparsity = number_in(parameters, 0); !(sparsity >= 0 && sparsity <= 1)) {
    throw InvalidArgument("Argument `sparsity` must be from 0 to 1. Received: sparsity=" + to_text(sparsity));
  }
  const double stddev = number_in(parameters, 1);
  if (stddev >= 0 && std::isfinite(stddev)) return;
  const std::string name(parameters[1].name);
  throw InvalidArgument("Argument `" + name + "` must be finite and not negative. Received: " + name + "=" +
                        to_text(stddev));
}

Distribution sparse_distribution(const Parameters& parameters, const Shape& shape, Layout layout, const Fans&) {
  if (shape.size() != 2) {
    throw InvalidArgument("Sparse fills matrices. Received: shape=" + to_string(shape));
  }
  const std::size_t axis = layout == Layout::oihw ? 0 : 1;  // of the outputs
  const double zeros = std::ceil(number_in(parameters, 0) * static_cast<double>(shape[axis]));
  return computed_of("if(place" + subscript(axis) + " < zeros, 0, stddev * z)",
                     {{"zeros", zeros}, {"stddev", number_in(parameters, 1)}}, shape);
}

SchemePointer dirac(double groups) { return scheme(dirac_class, {{"groups", groups}}); }
SchemePointer bilinear(double groups) { return scheme(bilinear_class, {{"groups", groups}}); }
SchemePointer forget_gate_bias(double value, double gate, double gates) {
  return scheme(forget_gate_bias_class, {{"value", value}, {"gate", gate}, {"gates", gates}});
}
SchemePointer sparse(double sparsity, double stddev) {
  return scheme(sparse_class, {{"sparsity", sparsity}, {"stddev", stddev}});
}
SchemePointer stft(std::string_view side, WindowValue window, std::optional<std::string_view> scaling, bool periodic) {
  return scheme(stft_class,
                {{"side", side}, {"window", std::move(window)}, {"periodic", periodic}, {"scaling", scaling}});
}

}  // namespace fanin::detail
