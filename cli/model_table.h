// SPDX-License-Identifier: Apache-2.0
// What the program says about a model's tensors. Tensors that the captures of one entry made are folded into one row.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "cli/statistics.h"
#include "fanin/model_spec.h"

namespace fanin::cli {

// A tensor, how its parts are derived, and what was found in them.
struct ModelRow {
  const ModelTensor* tensor;
  std::vector<Description> parts;  // an empty one for a part that is loaded
  std::uint64_t count = 0;         // elements
  std::vector<Statistics> found;   // of each part; none: not filled

  bool is_random(std::size_t part) const;
  double wanted(std::size_t part) const;  // standard deviation
  // Whether each standard deviation found is the wanted one, within 6 standard errors for a normal: two of 10^9 right
  // parts fail.
  bool is_as_wanted() const;
};

// Rows of all tensors, those of wider dtypes first, so that each is aligned in a file.
std::vector<ModelRow> rows_of(const ModelSpec& spec);

// The table of what was filled.
std::string table_of(const ModelSpec& spec, const std::vector<ModelRow>& rows);

// How each tensor gets its values: which rule, with which numbers and fans, and why.
std::string explanation_of(const ModelSpec& spec, const std::vector<ModelRow>& rows);

// "{0…11}" for consecutive numbers, "{0,3…5}" for others, "7" for one.
std::string ranges(std::vector<std::int64_t> numbers);

}  // namespace fanin::cli
