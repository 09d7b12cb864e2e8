// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "fanin/dtype.h"
#include "fanin/fans.h"
#include "fanin/initializer.h"
#include "fanin/low_precision.h"
#include "model/axis_order.h"
#include "model/name_pattern.h"
#include "model/number.h"
#include "model/place.h"

namespace fanin::detail {

// An initializer whose parameters may be formulas.
class InitializerTemplate {
 public:
  // `constants` are the numbers that every formula can use.
  InitializerTemplate(const Place& place, const Scope& constants, std::uint64_t seed);

  // Whether it is the same for all tensors and has no formulas.
  bool is_fixed() const { return fixed_.has_value(); }

  // Of the framework whose name for the initializer was used.
  Layout layout() const { return layout_; }

  // With the formulas' values, and with the model's seed unless it has one. Throws InvalidArgument.
  Initializer make(const Scope& scope) const;

  // "stddev = 0.02 / sqrt(2 * (layer + 1)) = 0.01", or "" without formulas.
  std::string explanation(const Scope& scope) const;

 private:
  Initializer read(const Json& json) const;

  Place place_;
  std::uint64_t seed_;
  std::vector<std::pair<std::string, Number>> formulas_;  // by parameter
  std::vector<std::string> words_;                        // in the expression of a Formula, which gets their values
  bool needs_seed_ = false;                               // it is random and has no seed of its own
  std::optional<Initializer> fixed_;                      // if it has neither
  Layout layout_ = Layout::hwio;
  // By its formulas' values as JSON: reading a configuration takes longer than all the rest. One thread reads a
  // specification.
  mutable std::map<std::string, Initializer> made_;
};

// What a rule or a part says about fans.
class FanRule {
 public:
  static std::vector<std::string> keys();
  explicit FanRule(const Place& place);

  const std::optional<AxisOrder>& layout() const { return layout_; }
  // The name of the tensor whose fans count, with captures.
  const std::optional<NamePattern>& fan_of() const { return fan_of_; }

  // Whether the fans are those of the layout alone.
  bool is_plain() const { return explanation_.empty(); }
  // The options that are not plain: "groups 32, transposed", or "".
  const std::string& explanation() const { return explanation_; }

  // The fans of a tensor, but for fan_of. Throws InvalidArgument.
  Fans fans(const Shape& shape, const AxisOrder& order, const Scope& scope) const;

 private:
  Place place_;
  std::optional<AxisOrder> layout_;
  std::optional<NamePattern> fan_of_;
  std::optional<Number> groups_, fan_in_, fan_out_;
  FanAxes axes_;
  KernelOptions kernel_;
  std::string explanation_;
};

// One of the specification's rules, or what a part says of itself.
class Rule {
 public:
  // A rule: it has "match", or "class" if the classes of modules are known, and "initializer" or "load".
  static Rule of_model(const Place& place, const Scope& constants, std::uint64_t seed, bool classes_are_known);

  const Place& place() const { return place_; }
  const NamePattern& pattern() const { return pattern_; }
  const FanRule& fans() const { return fans_; }
  const std::optional<DType>& dtype() const { return dtype_; }
  const std::optional<Number>& output_scale() const { return output_scale_; }
  Rounding rounding() const { return rounding_; }
  const std::optional<InitializerTemplate>& initializer() const { return initializer_; }
  const std::optional<Place>& load() const { return load_; }

  bool has_conditions() const { return rank_ || shape_ || class_; }
  // Whether the shape, and the names of the classes of the tensor's module, are as the rule wants them.
  bool takes(const Shape& shape, const std::vector<std::string>& classes, const Scope& scope) const;

 private:
  Rule(const Place& place, const std::string& match);

  Place place_;
  NamePattern pattern_;
  FanRule fans_;
  std::optional<DType> dtype_;
  std::optional<Number> output_scale_;
  Rounding rounding_ = Rounding::nearest;
  std::optional<InitializerTemplate> initializer_;
  std::optional<Place> load_;
  std::optional<std::vector<std::optional<Number>>> shape_;
  std::optional<Number> rank_;
  std::optional<NamePattern> class_;
};

}  // namespace fanin::detail
