// SPDX-License-Identifier: Apache-2.0
#include "fanin/dtype.h"

#include <array>
#include <string>
#include <utility>
#include <vector>

#include "base/formats.h"
#include "base/text.h"
#include "fanin/error.h"

namespace fanin {

namespace {

constexpr std::array<DTypeFacts, 6> table{{
    {DType::float32, "float32", 4, 24, 0x1.fffffep+127, "F32", "<f4", 2},
    {DType::float64, "float64", 8, 53, 0x1.fffffffffffffp+1023, "F64", "<f8", 2},
    {DType::float16, "float16", 2, 11, 65504, "F16", "<f2", 2},
    {DType::bfloat16, "bfloat16", 2, 8, 0x1.fep+127, "BF16", "<u2", 4},
    {DType::float8_e4m3fn, "float8_e4m3fn", 1, 4, 448, "F8_E4M3", "|u1", 10},
    {DType::float8_e5m2, "float8_e5m2", 1, 3, 57344, "F8_E5M2", "|u1", 12},
}};

// Other projects' names, only for hints.
constexpr std::array<std::pair<std::string_view, std::string_view>, 8> other_names{{{"half", "float16"},
                                                                                    {"fp16", "float16"},
                                                                                    {"bf16", "bfloat16"},
                                                                                    {"float", "float32"},
                                                                                    {"fp32", "float32"},
                                                                                    {"double", "float64"},
                                                                                    {"fp64", "float64"},
                                                                                    {"fp8", "float8_e4m3fn"}}};

}  // namespace

const std::array<DTypeFacts, 6>& dtypes() { return table; }

const DTypeFacts& facts_of(DType dtype) {
  const auto index = static_cast<std::size_t>(dtype);  // a caller may have converted any number
  if (index >= table.size()) throw InvalidArgument("dtype number " + std::to_string(index) + " does not exist");
  return table[index];
}

DType parse_dtype(std::string_view name) {
  std::vector<std::string> names;
  for (const DTypeFacts& facts : table) {
    if (name == facts.name) return facts.dtype;
    names.emplace_back(facts.name);
  }
  std::string hint = detail::suggestion(name, names);
  for (const auto& [theirs, ours] : other_names) {
    if (name == theirs) hint = " Did you mean \"" + std::string(ours) + "\"?";
  }
  throw InvalidArgument("Expected a floating point dtype: " + detail::list_of(names) + ". Received: \"" +
                        std::string(name) + "\"." + hint);
}

void to_binary64(double* values, const void* elements, DType dtype, std::size_t count) {
  detail::with_format(dtype, [&](auto format) {
    using Format = decltype(format);
    const auto* element = static_cast<const typename Format::Storage*>(elements);
    for (std::size_t j = 0; j < count; ++j) values[j] = static_cast<double>(Format::decode(element[j]));
  });
}

}  // namespace fanin
