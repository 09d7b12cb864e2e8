// SPDX-License-Identifier: Apache-2.0
#include "fanin/dtype.h"

#include <array>
#include <string>
#include <utility>
#include <vector>

#include "base/formats.h"
#include "base/number_format.h"
#include "base/text.h"
#include "fanin/error.h"

namespace fanin {

namespace {

constexpr std::array<DTypeFacts, 12> table{{
    {DType::float32, "float32", 32, 24, 127, 0x1.fffffep+127, "F32", "<f4", 2},
    {DType::float64, "float64", 64, 53, 1023, 0x1.fffffffffffffp+1023, "F64", "<f8", 2},
    {DType::float16, "float16", 16, 11, 15, 65504, "F16", "<f2", 2},
    {DType::bfloat16, "bfloat16", 16, 8, 127, 0x1.fep+127, "BF16", "<u2", 4},
    {DType::float8_e4m3fn, "float8_e4m3fn", 8, 4, 7, 448, "F8_E4M3", "|u1", 10},
    {DType::float8_e5m2, "float8_e5m2", 8, 3, 15, 57344, "F8_E5M2", "|u1", 12},
    {DType::float8_e4m3fnuz, "float8_e4m3fnuz", 8, 4, 8, 240, "F8_E4M3FNUZ", "|u1", 11},
    {DType::float8_e5m2fnuz, "float8_e5m2fnuz", 8, 3, 16, 57344, "F8_E5M2FNUZ", "|u1", 13},
    {DType::float8_e8m0fnu, "float8_e8m0fnu", 8, 1, 127, 0x1p+127, "F8_E8M0", "|u1", 14},
    {DType::float6_e2m3fn, "float6_e2m3fn", 6, 4, 1, 7.5, "F6_E2M3", "|u1", 15},
    {DType::float6_e3m2fn, "float6_e3m2fn", 6, 3, 3, 28, "F6_E3M2", "|u1", 16},
    {DType::float4_e2m1fn, "float4_e2m1fn", 4, 2, 1, 6, "F4", "|u1", 17},
}};

// Other projects' names, only for hints.
constexpr std::array<std::pair<std::string_view, std::string_view>, 11> other_names{
    {{"half", "float16"},
     {"fp16", "float16"},
     {"bf16", "bfloat16"},
     {"float", "float32"},
     {"fp32", "float32"},
     {"double", "float64"},
     {"fp64", "float64"},
     {"fp8", "float8_e4m3fn"},
     {"fp6", "float6_e2m3fn"},
     {"fp4", "float4_e2m1fn"},
     {"float4_e2m1fn_x2", "float4_e2m1fn"}}};

}  // namespace

const std::array<DTypeFacts, 12>& dtypes() { return table; }

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

std::size_t size_of(DType dtype) {
  const DTypeFacts& facts = facts_of(dtype);
  if (!facts.is_packed()) return facts.bits / 8;
  throw InvalidArgument("Elements of " + std::string(facts.name) + " are packed, " +
                        std::to_string(facts.elements_together()) + " into " +
                        std::to_string(facts.elements_together() * facts.bits / 8) +
                        (facts.bits == 4 ? " byte" : " bytes") + ", which this use does not support");
}

std::uint64_t bytes_of(DType dtype, std::uint64_t count) {
  const DTypeFacts& facts = facts_of(dtype);
  const std::uint64_t together = facts.elements_together();
  if (count % together != 0) {
    throw InvalidArgument("Elements of " + std::string(facts.name) +
                          " are packed, so their number must be a multiple of " + std::to_string(together) +
                          ". Received: " + std::to_string(count) + " elements");
  }
  return count / together * (facts.bits * together / 8);
}

void to_binary64(double* values, const void* elements, DType dtype, std::size_t count) {
  if (is_low_precision(dtype)) {
    const detail::NumberFormat format(dtype);
    const auto* bytes = static_cast<const unsigned char*>(elements);
    for (std::size_t j = 0; j < count; ++j) values[j] = format.decode(format.element(bytes, j));
    return;
  }
  detail::with_format(dtype, [&](auto format) {
    using Format = decltype(format);
    const auto* element = static_cast<const typename Format::Storage*>(elements);
    for (std::size_t j = 0; j < count; ++j) values[j] = static_cast<double>(Format::decode(element[j]));
  });
}

}  // namespace fanin
