// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "config/json_text.h"
#include "fanin/distribution.h"
#include "fanin/fans.h"
#include "fanin/initializer.h"
#include "fanin/shape.h"

namespace fanin::detail {

// What an initializer is, apart from its seed. Immutable.
class Rule {
 public:
  virtual ~Rule() = default;

  virtual std::string_view class_name() const = 0;

  // Whether the configuration has a seed.
  virtual bool is_random() const { return true; }

  virtual FanAxes axes() const { return {}; }

  // What to draw for a tensor of this shape and these fans. Throws InvalidArgument for a shape that is not allowed.
  virtual Distribution distribution(const Shape& shape, const Fans& fans) const = 0;

  // How the distribution follows from the fans, for a reader.
  virtual std::string derivation(const Shape& shape, const Fans& fans) const = 0;

  // Whether a block of the tensor may be asked for.
  virtual bool allows_blocks() const { return true; }

  // Adds all keys but the seed's. Throws InvalidArgument if the form cannot say it.
  virtual void write_config(Json& config, ConfigForm form) const = 0;
};

// For the library's own sources: makes and looks into initializers.
struct Access {
  static Initializer make(std::shared_ptr<const Rule> rule, Seed seed) { return {std::move(rule), std::move(seed)}; }
  static const Rule& rule(const Initializer& initializer) { return *initializer.rule_; }

  // What a fill would be given, for call number 0 if the seed is a sequence. Counts nothing.
  static FillParams prepared(const Initializer& initializer, const Shape& shape, DType dtype,
                             const FillOptions& options);

  // claim() counts a call of a sequence if it is still the next (Initializer::calls); next_call() counts whichever is,
  // and returns its number, 0 for other seeds.
  static bool claim(const Initializer& initializer, std::uint64_t call);
  static std::uint64_t next_call(const Initializer& initializer);
};

}  // namespace fanin::detail
