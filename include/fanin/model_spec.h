// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "fanin/dtype.h"
#include "fanin/export.h"
#include "fanin/fans.h"
#include "fanin/initializer.h"
#include "fanin/options.h"
#include "fanin/shape.h"

namespace fanin {

/// A stretch of a tensor along one axis that is filled as a tensor of its own: its values are exactly those of a tensor
/// with its name and shape. A tensor without "parts" has one, with the tensor's name and shape.
struct ModelPart {
  std::string name;                        ///< its hash is the subsequence of the draws
  Shape shape;                             ///< has as many elements as the stretch
  std::uint64_t size = 1;                  ///< extent of the stretch along the tensor's axis
  Layout layout = Layout::hwio;            ///< of its fans
  std::optional<Fans> fans;                ///< instead of those of the shape and the layout
  std::optional<Initializer> initializer;  ///< none: the values are loaded
  double output_scale = 1;                 ///< what values are divided by before they are rounded
  Rounding rounding = Rounding::nearest;   ///< of the values to the tensor's dtype
  std::string load_file;                   ///< the safetensors file that the values are loaded from
  std::string load_name;                   ///< the tensor's name there
  std::uint64_t load_offset = 0;           ///< of its first byte in the file
  std::optional<std::size_t> rule;         ///< which of ModelSpec::rules chose it; none: the part says it itself
  std::string reason;                      ///< with ModelSpecOptions::explain: formulas and fans as they were computed

  /// The options that decide its values.
  FANIN_API TensorOptions options() const;
};

/// One tensor of a model, ready to be filled.
struct ModelTensor {
  std::string name;
  Shape shape;
  DType dtype = DType::float32;
  int axis = 0;                        ///< the parts follow each other along it
  std::vector<ModelPart> parts;        ///< at least one
  std::vector<std::string> ties;       ///< other names of the same memory
  std::size_t entry = 0;               ///< which of ModelSpec::entries it comes from
  std::vector<std::int64_t> captures;  ///< the numbers in place of that entry's captures, in the order of "repeat"
};

/// A tensor of the specification, which can stand for many of the model.
struct ModelEntry {
  std::string name;                   ///< for example "h.{layer}.weight"
  std::vector<std::string> captures;  ///< names, in the order of "repeat"
};

struct ModelSpec {
  std::string name;
  std::vector<ModelTensor> tensors;  ///< in the order of the specification
  std::vector<ModelEntry> entries;   ///< in the order of the specification
  std::vector<std::string> rules;    ///< their patterns, in the order of the specification
  std::vector<std::string> notes;    ///< what is allowed but probably not meant, such as a rule that no tensor takes
};

/// What a reader of a specification may add to it.
struct ModelSpecOptions {
  std::string source = "the specification";                 ///< the file's name, for messages
  std::string folder;                                       ///< where relative names of loaded files begin
  std::vector<std::pair<std::string, double>> constants{};  ///< replace the specification's
  std::optional<DType> dtype{};                             ///< replaces the specification's "dtype"
  bool explain = false;                                     ///< fill in ModelPart::reason
  /// The names of the classes of the module that holds a tensor, by the tensor's name, for rules with "class". Without
  /// it such rules are refused.
  std::optional<std::map<std::string, std::vector<std::string>>> classes{};
};

/// Reads a model's specification, JSON text in the format of docs/model-spec.md. Each tensor gets the initializer of
/// the first rule that matches it, with `seed` unless the rule has one. Checks all that a fill checks. Throws
/// InvalidArgument, which names the source and the line and column, or the place such as
/// rules[3].initializer.config.stddev.
FANIN_API ModelSpec parse_model_spec(std::string_view json, std::uint64_t seed, const ModelSpecOptions& options = {});

/// How a part's values are derived. Throws InvalidArgument if they are loaded.
FANIN_API Description describe(const ModelPart& part);

/// Writes elements [first, first + count) of a tensor, counted in row-major order of the whole, to host memory, on at
/// most `threads` threads (0: all). Throws InvalidArgument for a range outside the tensor, and if a file that values
/// are loaded from cannot be read any more.
FANIN_API void fill(const ModelTensor& tensor, std::uint64_t first, std::uint64_t count, void* out, int threads = 0);

}  // namespace fanin
