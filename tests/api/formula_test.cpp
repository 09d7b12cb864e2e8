// SPDX-License-Identifier: Apache-2.0
// Computed values: docs/VALUES.md, section 7. computed.json holds the answers of an independent oracle.
#include <gtest/gtest.h>

#include <cfenv>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "config/json_text.h"
#include "fanin/fanin.hpp"
#include "formulas/exact_functions.h"
#include "support/npy_file.h"
#include "support/test_support.h"

#if FANIN_MPFR
#include <mpfr.h>
#endif

namespace {

using fanin::DType;
using fanin::FillParams;
using fanin::Formula;
using fanin::InvalidArgument;
using fanin::Plan;
using fanin::Shape;
using fanin::TensorOptions;
using fanin::detail::Json;
using fanin::test::all_dtypes;
using fanin::test::Bytes;
using fanin::test::expect_refused;
using fanin::test::filled;
using fanin::test::on_threads;
using fanin::test::refusal;
using fanin::test::slice;
using fanin::test::values_of;
using fanin::test::view_of;
using fanin::test::with_block;
using fanin::test::with_subsequence;

bool has_functions() { return fanin::detail::exact::is_available(); }

#define NEEDS_FUNCTIONS() \
  if (!has_functions()) GTEST_SKIP() << "this build has no MPFR"

template <class T = double>
std::vector<T> values(const Formula& formula, const Shape& shape, const TensorOptions& options = {}) {
  return values_of<T>(filled(formula, shape, fanin::ElementType<T>::dtype, options));
}

bool has_exact_function(const std::string& value) {
  for (const char* name : {"log", "exp", "sin(", "cos(", "pow(", "softplus"}) {
    if (value.find(name) != std::string::npos) return true;
  }
  return false;
}

TEST(Formula, HasTheOraclesBits) {
  int compared = 0;
  const Json cases = fanin::detail::parse_json(fanin::test::read_text(FANIN_TEST_DATA "/contract/computed.json"));
  for (const Json& one : cases) {
    const auto value = one["value"].get<std::string>();
    if (!has_functions() && has_exact_function(value)) continue;
    Formula::Constants constants;
    for (const auto& item : one["constants"].items()) constants.emplace_back(item.key(), item.value().get<double>());
    const Formula formula(value, constants, one["seed"].get<std::uint64_t>());
    const auto shape = one["shape"].get<Shape>();
    for (const auto& [dtype_name, patterns] : one["patterns"].items()) {
      const DType dtype = fanin::parse_dtype(dtype_name);
      const Bytes got = filled(formula, shape, dtype, with_subsequence(one["subsequence"].get<std::uint64_t>()));
      std::istringstream wanted(patterns.get<std::string>());
      for (std::size_t at = 0; at < got.size(); at += size_of(dtype)) {
        std::uint64_t pattern = 0, expected = 0;
        std::memcpy(&pattern, &got[at], size_of(dtype));
        ASSERT_TRUE(wanted >> std::hex >> expected);
        EXPECT_EQ(pattern, expected) << one["name"] << ", " << dtype_name << ", element " << at / size_of(dtype);
        ++compared;
      }
    }
  }
  EXPECT_GT(compared, has_functions() ? 5000 : 1500);
}

TEST(Formula, HasKnownValues) {
  EXPECT_EQ(values(Formula("i[0]"), {4}), (std::vector<double>{0, 1, 2, 3}));
  EXPECT_EQ(values(Formula("10 * i[0] + i[1] + shape[1]"), {2, 3}), (std::vector<double>{3, 4, 5, 13, 14, 15}));
  EXPECT_EQ(values(Formula("i[-1] + shape[-2]"), {2, 3}), (std::vector<double>{2, 3, 4, 2, 3, 4}));
  EXPECT_EQ(values(Formula("a - b", {{"a", 5}, {"b", 2}}), {}), std::vector<double>{3});
  EXPECT_EQ(values(Formula("if(i[0] == i[1], 1, 0)"), {2, 2}), (std::vector<double>{1, 0, 0, 1}));
  EXPECT_EQ(values(Formula("i[0]"), {0}), std::vector<double>{});
  EXPECT_EQ(values(Formula("if(i[0] == 0, 7, 1 / i[0])"), {3}), (std::vector<double>{7, 1, 0.5}));
  for (const double u : values(Formula("u", {}, 1), {5000})) {
    EXPECT_GT(u, 0);
    EXPECT_LT(u, 1);
    EXPECT_EQ(std::fmod(u * 0x1p25, 2), 1) << u;
  }
  EXPECT_EQ(values<float>(Formula("z", {}, 5), {1000}),
            values_of<float>(filled(fanin::RandomNormal(0, 1, 5), {1000}, DType::float32)));
  const auto same_in_double = values(Formula("z", {}, 5), {1000});
  const auto in_float = values<float>(Formula("z", {}, 5), {1000});
  for (std::size_t k = 0; k < in_float.size(); ++k) EXPECT_EQ(same_in_double[k], static_cast<double>(in_float[k]));
}

TEST(Formula, FunctionsAreCorrectlyRoundedAndKeepMpfrsSettings) {
  NEEDS_FUNCTIONS();
  EXPECT_EQ(values(Formula("log(i[0] + 1)"), {3})[2], 0x1.193ea7aad030bp+0);
  EXPECT_EQ(values(Formula("exp(-745.1)"), {})[0], 0x1p-1074);
  EXPECT_EQ(values(Formula("exp(1)"), {})[0], 0x1.5bf0a8b145769p+1);
  EXPECT_EQ(values(Formula("sin(1e22)"), {})[0], -0x1.b453ab76bf397p-1);
  EXPECT_EQ(values(Formula("softplus_inverse(1000)"), {})[0], 1000);
#if FANIN_MPFR
  const auto least = mpfr_get_emin();
  const auto most = mpfr_get_emax();
  filled(Formula("exp(i[0])"), {80});
  EXPECT_EQ(mpfr_get_emin(), least);
  EXPECT_EQ(mpfr_get_emax(), most);
#endif
}

const std::vector<std::pair<const char*, Formula>>& kinds() {
  static const std::vector<std::pair<const char*, Formula>> all{
      {"coordinates", Formula("i[0] * 3 - i[1] / 2 + i[2]")},
      {"uniform", Formula("(u - 0.5) * (i[1] + 1)", {}, 3)},
      {"normal", Formula("z + i[2] / shape[0]", {}, 3)},
  };
  return all;
}

TEST(Formula, BlocksAndRangesAreSlicesOfTheWhole) {
  const Shape shape{7, 5, 33};
  fanin::test::Choices choices(1);
  for (const auto& [name, formula] : kinds()) {
    for (const DType dtype : all_dtypes) {
      SCOPED_TRACE(std::string(name) + " " + std::string(name_of(dtype)));
      const Bytes whole = filled(formula, shape, dtype);
      for (int k = 0; k < 12; ++k) {
        const TensorOptions block = fanin::test::random_box(choices, shape);
        EXPECT_EQ(filled(formula, shape, dtype, block), slice(whole, shape, block.block, size_of(dtype)));
        TensorOptions range;
        range.block.elements = {choices.below(1000), choices.below(155)};
        const auto first = whole.begin() + static_cast<std::ptrdiff_t>(range.block.elements->first * size_of(dtype));
        EXPECT_EQ(filled(formula, shape, dtype, range),
                  Bytes(first, first + static_cast<std::ptrdiff_t>(range.block.elements->count * size_of(dtype))));
      }
    }
  }
}

TEST(Formula, ThreadsRoundingAndPartsDoNotMatter) {
  const Shape shape{1 << 8, 1 << 12};  // enough for several threads
  const Formula formula("z * (i[1] + 1) - i[0]", {}, 9);
  const Bytes whole = filled(formula, shape, DType::float32, {}, on_threads(1));
  EXPECT_EQ(filled(formula, shape, DType::float32, {}, on_threads(7)), whole);
  {
    const fanin::test::RoundingMode upward(FE_UPWARD);
    EXPECT_EQ(filled(formula, shape), whole);
  }
  const FillParams params = formula.params(shape, DType::float32);
  Bytes parts(whole.size());
  const std::uint64_t cut = 100'001;
  fanin::fill({parts.data(), DType::float32, cut * 4, fanin::host}, part_of(params, 0, cut));
  fanin::fill({parts.data() + cut * 4, DType::float32, parts.size() - cut * 4, fanin::host},
              part_of(params, cut, params.index.count - cut));
  EXPECT_EQ(parts, whole);

  Bytes apart(3 * 8 * 4, fanin::test::poison);  // rows of 5 elements, 8 apart
  fanin::View view = view_of(apart, DType::float32);
  view.leading_dimension = 8;
  Formula("i[0] * 5 + i[1]").fill(view, {3, 5});
  for (std::size_t k = 0; k < 15; ++k) {
    EXPECT_EQ(values_of<float>(apart)[k / 5 * 8 + k % 5], static_cast<float>(k));
  }
  EXPECT_TRUE(fanin::test::all_poison(&apart[5 * 4], &apart[8 * 4]));
}

TEST(Formula, RefusesValuesThatAreNotFiniteBeforeItWrites) {
  const auto refused = [](const Formula& formula, const Shape& shape, DType dtype) {
    Bytes bytes(element_count(shape) * size_of(dtype), fanin::test::poison);
    const std::string text = refusal([&] { formula.fill(view_of(bytes, dtype), shape, {}, on_threads(3)); });
    EXPECT_TRUE(fanin::test::all_poison(bytes.data(), bytes.data() + bytes.size()));
    return text;
  };
  EXPECT_EQ(refused(Formula("1 / (i[0] - n)", {{"n", 5}}), {9}, DType::float32),
            "The value of \"1 / (i[0] - n)\" is not finite in float32: inf, with i[0]=5, n=5");
  EXPECT_EQ(refused(Formula("sqrt(i[1] - 1)"), {2, 2}, DType::float64),
            "The value of \"sqrt(i[1] - 1)\" is not finite in float64: NaN, with i[1]=0");
  EXPECT_EQ(refused(Formula("i[0] * 1e38 * 1e1"), {5}, DType::float32),
            "The value of \"i[0] * 1e38 * 1e1\" is not finite in float32: 1e+39, with i[0]=1");
  EXPECT_NE(refused(Formula("65519 + i[0]"), {2}, DType::float16).find("65520, with i[0]=1"), std::string::npos);
  EXPECT_NE(refused(Formula("464 + i[0]"), {2}, DType::float8_e4m3fn).find("465, with"), std::string::npos);
  EXPECT_NE(refused(Formula("-61439 - i[0]"), {2}, DType::float8_e5m2).find("-61440, with"), std::string::npos);
  EXPECT_NE(refused(Formula("3.3962e38 * (1 + i[0])"), {1}, DType::bfloat16).find("in bfloat16"), std::string::npos);
  // The first of several threads' finds is the one that is named.
  EXPECT_NE(refused(Formula("1 / max(0, 1000003 - i[0])"), {3'000'000}, DType::float32).find("i[0]=1000003"),
            std::string::npos);
  const std::string drawn = refused(Formula("1 / floor(u * 100)", {}, 4), {5000}, DType::float32);
  EXPECT_NE(drawn.find("inf, with u=0.00"), std::string::npos) << drawn;
}

TEST(Formula, NumbersThatAreNotFiniteAreRefusedAtOnce) {
  expect_refused([] { Formula("1 / 0"); }, {"\"1 / 0\" is not finite: inf"});
  expect_refused([] { Formula("sqrt(a)", {{"a", -1.0}}); }, {"not finite: NaN, with a=-1"});
  EXPECT_EQ(filled(Formula("a / 4", {{"a", 1.0}}), {1}), filled(fanin::Constant(0.25), {1}));
  EXPECT_NO_THROW(Formula("if(i[0] < 3, 1 / 0, 2)"));  // some shapes have elements that are finite
  if (has_functions()) expect_refused([] { Formula("log(1 - 1)"); }, {"not finite: -inf"});
}

TEST(Formula, ExplainsWhatIsWrong) {
  const auto wrong = [](const char* value, Formula::Constants constants = {}) {
    return refusal([&] { Formula(value, std::move(constants)); });
  };
  EXPECT_EQ(wrong("log(i[0]"), "In \"log(i[0]\", column 9: Expected \",\" or \")\". Received: the end");
  EXPECT_EQ(wrong("width + bas", {{"width", 1}, {"base", 2}}),
            "In \"width + bas\", column 9: bas is not known here. Known: i[k], shape[k], place[k], u, u[k], z, z[k], "
            "pi, width, base. Did you mean "
            "\"base\"?");
  EXPECT_EQ(wrong("u * z"), "In \"u * z\", column 5: An element has one draw: u or z, not both");
  EXPECT_EQ(wrong("i + 1"), "In \"i + 1\", column 1: Write i[0] for the first axis");
  EXPECT_EQ(wrong("pi2[0]"), "In \"pi2[0]\", column 1: Only i, shape, place, u and z have a subscript");
  EXPECT_NE(wrong("u", {{"u", 1}}).find("must not be named"), std::string::npos);
  EXPECT_NE(wrong("a", {{"a", std::numeric_limits<double>::infinity()}}).find("must be finite"), std::string::npos);
  EXPECT_NE(wrong("a", {{"a", 1}, {"a", 2}}).find("occurs twice"), std::string::npos);
  EXPECT_NE(wrong("a", {{"2a", 1}}).find("does not begin with a digit"), std::string::npos);
  EXPECT_NE(wrong("i[0]+i[1]+i[2]+i[3]+i[4]+i[5]+i[6]+i[7]+shape[8]").find("more than 8"), std::string::npos);
  EXPECT_EQ(refusal([] {
              filled(Formula("i[2]"), {3, 4});
            }),
            "The value \"i[2]\" needs an axis [2], but the tensor has 2 axes");
  EXPECT_THROW(Formula("i[-2]").describe({3}), InvalidArgument);
}

TEST(Formula, WithoutMpfrRefusesItsFunctionsWhenFilling) {
  if (has_functions()) GTEST_SKIP() << "this build has MPFR";
  const Formula formula("log(i[0] + 1)");
  EXPECT_EQ(formula.describe({3}).derivation, "value = log(i[0] + 1)");
  EXPECT_NO_THROW(formula.params({3}, DType::float32));
  expect_refused([&] { filled(formula, {3}); }, {"log(i[0] + 1)", "no MPFR", "FANIN_MPFR=ON"});
}

TEST(Formula, PlansTakeItForHostMemory) {
  const Shape shape{40, 30};
  Bytes a(1200 * 4), b(1200 * 2), c(1200 * 4), d(600 * 4);
  Plan plan;
  {
    const Formula gone("z + i[1]", {}, 8);  // need not outlive the call
    const std::size_t first = plan.add(gone, view_of(a, DType::float32), shape, "a");
    plan.add_copy(first, view_of(b, DType::bfloat16));
    plan.add_copy(first, view_of(d, DType::float32), with_block({20, 0}, {20, 30}).block);
    EXPECT_THROW(plan.add(gone, view_of(c, DType::float32), shape, "a"), InvalidArgument) << "the same draws";
    plan.add(Formula("i[0]"), view_of(c, DType::float32), shape, "a");  // draws nothing
  }
  plan.fill();
  const Formula formula("z + i[1]", {}, 8);
  const Bytes whole = filled(formula, shape, DType::float32, fanin::test::with_name("a"));
  EXPECT_EQ(a, whole);
  EXPECT_EQ(b, filled(formula, shape, DType::bfloat16, fanin::test::with_name("a")));
  EXPECT_EQ(d, Bytes(whole.begin() + 600 * 4, whole.end()));
  EXPECT_EQ(c, filled(Formula("i[0]"), shape));
  Bytes e(8 * 4);
  EXPECT_THROW(plan.add(Formula("1 / i[0]"), view_of(e, DType::float32), {8}, "e"), InvalidArgument);
  EXPECT_EQ(plan.size(), 4u);
}

TEST(Formula, SequencesAndCopiesContinue) {
  const Formula formula("u", {}, fanin::Seed::sequence(6));
  const Bytes first = filled(formula, {50});
  const Bytes second = filled(formula, {50});
  EXPECT_NE(first, second);
  EXPECT_EQ(second, filled(Formula("u", {}, 6), {50}, DType::float32, with_subsequence(1)));
  fanin::Initializer copy = Formula("i[0] * 2");
  EXPECT_EQ(filled(copy, {3}), filled(Formula("i[0] * 2"), {3}));
}

TEST(Formula, HasAConfiguration) {
  const Formula formula("log(i[1] + base)", {{"base", 2}, {"a", 0.5}}, 7);
  EXPECT_EQ(formula.get_config(), R"-({"seed":7,"value":"log(i[1] + base)","constants":{"base":2.0,"a":0.5}})-");
  EXPECT_EQ(formula.get_config(fanin::ConfigForm::tf2),
            R"-({"value":"log(i[1] + base)","constants":{"base":2.0,"a":0.5},"seed":7})-");
  for (const auto form : {fanin::ConfigForm::keras3, fanin::ConfigForm::tf2}) {
    const fanin::Initializer read = fanin::deserialize(serialize(formula, form));
    EXPECT_EQ(read.class_name(), "Formula");
    EXPECT_EQ(read.get_config(), formula.get_config());
  }
  const auto read = [](const char* json) { return Formula::from_config(json); };
  EXPECT_EQ(read(R"({"value": 3})").get_config(), R"({"seed":null,"value":"3","constants":{}})");
  EXPECT_EQ(values(read(R"({"value": "n * i[0]", "constants": {"n": 2}})"), {3}), (std::vector<double>{0, 2, 4}));
  expect_refused([&] { read("{}"); }, {"Formula needs a \"value\""});
  expect_refused([&] { read(R"({"value": true})"); }, {"`value` of Formula must be an expression"});
  expect_refused([&] { read(R"({"value": "1", "constants": [1]})"); }, {"`constants` of Formula must be an object"});
  expect_refused([&] { read(R"({"value": "1", "constants": {"a": "b"}})"); }, {"must be an object of numbers"});
  expect_refused([&] { read(R"({"value": "1", "constant": {}})"); }, {"no parameter \"constant\"", "\"constants\""});
  const fanin::Description description = formula.describe({2, 3});
  EXPECT_EQ(description.derivation, "value = log(i[1] + base), where base = 2, a = 0.5");
  EXPECT_EQ(name_of(description.distribution.kind), "computed");
  EXPECT_FALSE(description.distribution.is_random());
  EXPECT_TRUE(std::isnan(moments_of(description.distribution).mean));
  EXPECT_TRUE(Formula("z").describe({2}).distribution.is_random());
}

}  // namespace
