// SPDX-License-Identifier: Apache-2.0
#include "fanin/dtype.h"

#include <array>
#include <string>
#include <utility>
#include <vector>

#include "base/text.h"
#include "fanin/error.h"

namespace fanin {

namespace {

struct Row {
  std::string_view name;
  std::size_t size;
};

constexpr std::array<Row, 6> table{
    {{"float32", 4}, {"float64", 8}, {"float16", 2}, {"bfloat16", 2}, {"float8_e4m3fn", 1}, {"float8_e5m2", 1}}};

// What others call them; for hints alone.
constexpr std::array<std::pair<std::string_view, std::string_view>, 8> other_names{{{"half", "float16"},
                                                                                    {"fp16", "float16"},
                                                                                    {"bf16", "bfloat16"},
                                                                                    {"float", "float32"},
                                                                                    {"fp32", "float32"},
                                                                                    {"double", "float64"},
                                                                                    {"fp64", "float64"},
                                                                                    {"fp8", "float8_e4m3fn"}}};

// An enumerator that came as a number (through the C interface, say) may be none of ours.
const Row& row_of(DType dtype) {
  const auto index = static_cast<std::size_t>(dtype);
  if (index >= table.size()) throw InvalidArgument("dtype number " + std::to_string(index) + " does not exist");
  return table[index];
}

}  // namespace

std::size_t size_of(DType dtype) { return row_of(dtype).size; }

std::string_view name_of(DType dtype) { return row_of(dtype).name; }

DType parse_dtype(std::string_view name) {
  std::vector<std::string> names;
  for (std::size_t j = 0; j < table.size(); ++j) {
    if (name == table[j].name) return static_cast<DType>(j);
    names.emplace_back(table[j].name);
  }
  std::string hint = detail::suggestion(name, names);
  for (const auto& [theirs, ours] : other_names) {
    if (name == theirs) hint = " Did you mean \"" + std::string(ours) + "\"?";
  }
  throw InvalidArgument("Expected a floating point dtype: " + detail::list_of(names) + ". Received: \"" +
                        std::string(name) + "\"." + hint);
}

}  // namespace fanin
