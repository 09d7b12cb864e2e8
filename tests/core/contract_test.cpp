// SPDX-License-Identifier: Apache-2.0
// Checks the value contract against known answers: Random123's for Philox, the golden vectors for everything else.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <regex>
#include <string>
#include <utility>
#include <vector>

#include "config/json_text.h"
#include "fanin/core/edge_boxes.h"
#include "fanin/core/normal.h"
#include "fanin/core/rounding.h"
#include "fanin/fanin.hpp"
#include "params/index_map.h"
#include "params/make_params.h"
#include "support/npy_file.h"

namespace {

using fanin::Distribution;
using fanin::DType;
using fanin::detail::Json;
using fanin::test::read_npy;
using fanin::test::read_text;

const std::string golden = FANIN_TEST_DATA "/contract/golden/";

// Random123's kat_vectors, philox4x32 10: all zeros, all ones, digits of pi.
TEST(Philox, Random123KnownAnswers) {
  using fanin::core::Philox;
  struct Case {
    fanin::core::Words counter;
    fanin::core::Key key;
    fanin::core::Words answer;
  };
  const Case cases[] = {
      {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
      {{~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
      {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
       {0xa4093822, 0x299f31d0},
       {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
  };
  for (const Case& c : cases) {
    const auto words = Philox::block(c.counter, c.key);
    EXPECT_EQ(words.x, c.answer.x);
    EXPECT_EQ(words.y, c.answer.y);
    EXPECT_EQ(words.z, c.answer.z);
    EXPECT_EQ(words.w, c.answer.w);
  }
}

TEST(Names, SubsequenceIsFnv1a) {
  EXPECT_EQ(fanin::subsequence_of(""), 0xcbf29ce484222325u);
  EXPECT_EQ(fanin::subsequence_of("a"), 0xaf63dc4c8601ec8cu);
  const Json names = Json::parse(read_text(golden + "names.json"));
  ASSERT_GE(names.size(), 6u);
  for (const auto& item : names.items()) {
    EXPECT_EQ(std::to_string(fanin::subsequence_of(item.key())), item.value().get<std::string>()) << item.key();
  }
}

TEST(Fractions, EndsAndSymmetry) {
  using namespace fanin::core;
  EXPECT_EQ(centred(0x7fffff00u), (1 << 24) - 1);
  EXPECT_EQ(centred(0x80000000u), -(1 << 24) + 1);
  EXPECT_EQ(centred(0u), 1);
  EXPECT_EQ(centred(0xffffffffu), -1);
  EXPECT_EQ(centred_fraction(0x7fffff00u), 1 - 0x1p-24F);
  EXPECT_EQ(unit_fraction(0xffu), 0.0F);
  EXPECT_EQ(unit_fraction(0xffffffffu), 1 - 0x1p-24F);
  EXPECT_EQ(edge_fraction(0xffffffffu), 1.0F);
  EXPECT_EQ(edge_fraction(0u), 0x1p-25F);
  EXPECT_EQ(centred_fraction(0x7fffff00u, 0xffffffffu), 1 - 0x1p-53);
  EXPECT_EQ(centred_fraction(0x80000000u, 0u), -1 + 0x1p-53);
  EXPECT_EQ(unit_fraction(0xffffffffu, 0xffffffffu), 1 - 0x1p-53);
  EXPECT_EQ(unit_fraction(0xffu, 7u), 0.0);
}

TEST(NegLog, GoldenBits) {
  const auto table = read_npy(golden + "neglog.npy");
  const auto values = table.as<float>();
  const std::size_t n = values.size() / 2;
  ASSERT_GT(n, 4000u);
  for (std::size_t j = 0; j < n; ++j) {
    EXPECT_EQ(fanin::core::bits_of(fanin::core::neglog(values[j])), fanin::core::bits_of(values[n + j])) << values[j];
  }
}

// Checks the documented bound of 0.87 ulp and that neglog is monotone, for every 64th float of (0, 1].
TEST(NegLog, UlpBoundAndMonotone) {
  double worst = 0;
  float previous = std::numeric_limits<float>::infinity();
  for (std::uint32_t bits = 0x00800000u; bits <= 0x3f800000u; bits += 64) {
    const float u = fanin::core::float_of(bits);
    const float got = fanin::core::neglog(u);
    const double exact = -std::log(static_cast<double>(u));
    if (exact > 0) {
      const double ulp = std::ldexp(1.0, std::ilogb(exact) - 23);
      worst = std::max(worst, std::abs(static_cast<double>(got) - exact) / ulp);
    }
    ASSERT_LE(got, previous) << u;
    previous = got;
  }
  EXPECT_EQ(fanin::core::neglog(1.0F), 0.0F);
  EXPECT_LT(worst, 0.87);
  EXPECT_GT(worst, 0.5);  // so the measurement works
}

// The header's tables equal their source and the contract's, and the boxes that loops look up come from them.
class Tables : public testing::TestWithParam<std::pair<const char*, const fanin::core::Ziggurat*>> {};

TEST_P(Tables, HeaderAndSourceHoldTheContractsNumbers) {
  using namespace fanin::core;
  const auto& [name, table] = GetParam();
  ASSERT_EQ(read_text(FANIN_PROJECT "/src/core/ziggurat.json"), read_text(FANIN_TEST_DATA "/contract/ziggurat.json"));
  const Json source = Json::parse(read_text(FANIN_PROJECT "/src/core/ziggurat.json"))[name];
  const auto number = [&](const char* key, std::size_t j) {
    return std::strtod(source[key][j].get<std::string>().c_str(), nullptr);
  };
  ASSERT_EQ(source["x"].size(), rectangles);
  ASSERT_EQ(source["xlo"].size(), boxes);
  for (std::size_t j = 0; j < rectangles; ++j) {
    EXPECT_EQ(table->x_scaled[j], static_cast<float>(number("x", j)) * 0x1p-24F) << j;
    EXPECT_EQ(table->x_scaled64[j], number("x", j) * 0x1p-53) << j;
    EXPECT_EQ(table->threshold[j], source["threshold"][j].get<std::uint64_t>()) << j;
  }
  for (std::size_t j = 0; j < boxes; ++j) {
    EXPECT_EQ(table->x_low[j], static_cast<float>(number("xlo", j))) << j;
    EXPECT_EQ(table->dx[j], static_cast<float>(number("dx", j))) << j;
    EXPECT_EQ(table->y_low[j], static_cast<float>(number("ylo", j))) << j;
    EXPECT_EQ(table->dy[j], static_cast<float>(number("dy", j))) << j;
  }
  EXPECT_EQ(table->x0, static_cast<float>(number("x", 0)));
  EXPECT_EQ(table->inverse_x0, static_cast<float>(std::strtod(source["inv_x1"].get<std::string>().c_str(), nullptr)));
}

TEST_P(Tables, OneComparisonFindsABox) {
  using namespace fanin::core;
  const Ziggurat& table = *GetParam().second;
  const EdgeBoxes& edges = &table == &cut_table ? cut_edges : normal_edges;
  std::vector<std::uint32_t> words{0, 1, ~0u};
  for (const std::uint32_t threshold : table.threshold) {
    for (const int step : {-1, 0, 1}) words.push_back(threshold + static_cast<std::uint32_t>(step));
  }
  for (std::uint32_t i = 0; i < 1u << 16; ++i) words.push_back(i << 16 | (i * 40503u & 0xffffu));
  for (const std::uint32_t word : words) {
    const std::uint32_t box = EdgeBoxes::box_of(word, edges.first[EdgeBoxes::entry_of(word)]);
    ASSERT_EQ(box, box_of(word, table)) << word;
    if (box == 0) continue;
    EXPECT_EQ(edges.box[box].x_low, table.x_low[box]);
    EXPECT_EQ(edges.box[box].dx, table.dx[box]);
    EXPECT_EQ(edges.box[box].y_low, table.y_low[box]);
    EXPECT_EQ(edges.box[box].dy, table.dy[box]);
  }
}

TEST_P(Tables, ScriptedWords) {
  using namespace fanin::core;
  const auto& [name, table] = GetParam();
  const auto file = [&, table_name = std::string(name)](const std::string& what) {
    return read_npy(golden + what + "-" + table_name + ".npy");
  };
  const auto words = file("trial_words").as<std::uint32_t>();
  const auto z = file("trial_z").as<float>();
  const auto kept = file("trial_kept").as<unsigned char>();
  const std::size_t n = z.size();
  ASSERT_EQ(words.size(), 5 * n);
  std::size_t edges = 0;
  for (std::size_t j = 0; j < n; ++j) {
    const std::uint32_t head = words[j];
    const Words next{words[n + j], words[2 * n + j], words[3 * n + j], words[4 * n + j]};
    const Trial trial = is_edge(head) ? edge_point(head, next, *table) : Trial{rectangle_point(head, *table), true};
    EXPECT_EQ(bits_of(trial.z), bits_of(z[j])) << j;
    EXPECT_EQ(trial.kept, kept[j] != 0) << j;
    edges += is_edge(head) ? 1 : 0;
  }
  EXPECT_GT(edges, 2000u);
}

INSTANTIATE_TEST_SUITE_P(All, Tables,
                         testing::Values(std::pair{"normal", &fanin::core::normal_table},
                                         std::pair{"cut_at_2", &fanin::core::cut_table}),
                         [](const auto& table) { return std::string(table.param.first); });

// The boundaries between samplers are exact to the last bit.
TEST(Window, HasItsSampler) {
  using fanin::core::Sampler;
  using fanin::core::sampler_of;
  constexpr double infinity = std::numeric_limits<double>::infinity();
  const auto after = [](double x) { return std::nextafter(x, infinity); };
  const auto before = [](double x) { return std::nextafter(x, -infinity); };
  EXPECT_EQ(sampler_of(-2, 2), Sampler::cut_at_2);
  EXPECT_EQ(sampler_of(-2, after(2)), Sampler::normal);
  EXPECT_EQ(sampler_of(-infinity, infinity), Sampler::normal);
  EXPECT_EQ(sampler_of(0, infinity), Sampler::normal);
  EXPECT_EQ(sampler_of(-0.0, 2.5), Sampler::normal);
  EXPECT_EQ(sampler_of(0, before(2.5)), Sampler::box);
  EXPECT_EQ(sampler_of(-1.25, 1.25), Sampler::normal);
  EXPECT_EQ(sampler_of(-0.5, -0.0), Sampler::box);
  EXPECT_EQ(sampler_of(1, 2), Sampler::box);  // (2 - 1) (1 + 2) = 3
  EXPECT_EQ(sampler_of(1, after(2)), Sampler::tail);
  EXPECT_EQ(sampler_of(-2, -1), Sampler::box);
  EXPECT_EQ(sampler_of(-infinity, -1), Sampler::tail);
  EXPECT_EQ(sampler_of(1e30, infinity), Sampler::tail);
}

// A source of scripted words, which counts the blocks that are read.
struct Script {
  static inline std::vector<std::uint32_t> tags;
  static inline std::uint32_t word = 0;
  static fanin::core::Words block(fanin::core::Words counter, fanin::core::Key) {
    tags.push_back(counter.y >> 24);
    return {word, 0, 0, 0};
  }
};

TEST(Trial, ReadsARetryOnlyWhenItMust) {
  using namespace fanin::core;
  const Generator stream{1, 2};
  const Window window{-2.0F, 2.0F};
  Script::tags.clear();
  EXPECT_EQ(first_accepted<Script>(stream, 5, 0x00000100u | 251u, window, normal_table).trial, 0u);
  EXPECT_TRUE(Script::tags.empty());

  Script::word = 251;                        // a tiny value in the narrowest rectangle
  const std::uint32_t beyond = 0x7fffff00u;  // almost the end of the widest rectangle: 3.6
  const Accepted second = first_accepted<Script>(stream, 5, beyond, window, normal_table);
  EXPECT_EQ(second.trial, 1u);
  EXPECT_EQ(second.word, 251u);
  EXPECT_EQ(Script::tags, (std::vector<std::uint32_t>{1}));
}

TEST(Trial, EndsAfter63Failures) {
  using namespace fanin::core;
  Script::tags.clear();
  Script::word = 0x7fffff00u;  // every retry fails too
  const Accepted none = first_accepted<Script>({1, 2}, 5, Script::word, {-2.0F, 2.0F}, normal_table);
  EXPECT_EQ(none.trial, trials);
  EXPECT_EQ(bits_of(none.z), 0u);
  EXPECT_EQ(bits_of(static_cast<float>(refine(none, ~0u, normal_table))), 0u);
  EXPECT_EQ(Script::tags.back(), 63u);

  // If every trial of a narrow window fails, the value is the bound nearer to 0.
  Script::word = 0;
  Script::tags.clear();
  const NarrowWindow below = narrow_window(-6, -5.0000001);
  struct Never {  // u_x = u_y = 1: x is the far bound, and the point is above the curve
    static Words block(Words counter, Key) {
      Script::tags.push_back(counter.y >> 24);
      return {0, 0, ~0u, ~0u};
    }
  };
  const Accepted at_bound = first_accepted<Never>({1, 2}, 5, below);
  EXPECT_EQ(at_bound.trial, trials);
  EXPECT_EQ(at_bound.z, -5.0000001F);
  EXPECT_EQ(refine(at_bound, ~0u, below), -5.0000001);
  EXPECT_EQ(Script::tags.size(), 63u);
  EXPECT_EQ(Script::tags.front(), 1u);
  const Accepted at_zero = first_accepted<Never>({1, 2}, 5, narrow_window(-0.5, 0.5));
  EXPECT_EQ(at_zero.trial, trials);
  EXPECT_EQ(bits_of(at_zero.z), 0u);
}

// A window is closed: a point on its bound is accepted.
TEST(Trial, AWindowHasItsBounds) {
  using namespace fanin::core;
  constexpr float infinity = std::numeric_limits<float>::infinity();
  const Generator stream{1, 2};
  const std::uint32_t rectangle = 0x40000000u | 7u;
  const float z = rectangle_point(rectangle, normal_table);
  EXPECT_EQ(first_accepted<Script>(stream, 5, rectangle, {z, infinity}, normal_table).trial, 0u);
  EXPECT_EQ(first_accepted<Script>(stream, 5, rectangle, {-infinity, z}, normal_table).trial, 0u);

  struct Edge {  // the middle of a box, low enough to lie under the curve
    static Words block(Words, Key) { return {0, 0x80000000u, 0x80000000u, 0}; }
  };
  const std::uint32_t edge = 0x40000000u | 252u;
  const Trial point = edge_point(edge, Edge::block({}, {}), normal_table);
  ASSERT_TRUE(point.kept);
  EXPECT_EQ(first_accepted<Edge>(stream, 5, edge, {point.z, infinity}, normal_table).trial, 0u);
  EXPECT_EQ(first_accepted<Edge>(stream, 5, edge, {-infinity, point.z}, normal_table).trial, 0u);

  const NarrowWindow box = narrow_window(1, 1.5);
  for (const auto& [u_x, bound] : {std::pair{0u, 1.0F}, std::pair{~0u, 1.5F}}) {
    const Trial at_bound = narrow_point({0, 0, u_x, 0}, box);
    EXPECT_EQ(at_bound.z, bound);
    EXPECT_TRUE(at_bound.kept) << bound;
  }
}

template <class Format>
void check_narrow(int digits) {
  // Decoding and encoding keep every finite pattern, and values halfway between two round to the even one.
  for (std::uint32_t p = 0; p <= Format::largest; ++p) {
    const float v = Format::decode(p);
    ASSERT_EQ(std::uint32_t{Format::encode(v)}, p);
    ASSERT_EQ(std::uint32_t{Format::encode(-v)}, p | Format::sign);
    if (p == Format::largest) break;
    const float next = Format::decode(p + 1);
    ASSERT_LT(v, next);
    const double middle = (static_cast<double>(v) + next) / 2;
    const auto half = static_cast<float>(middle);
    if (static_cast<double>(half) != middle) continue;  // bfloat16's smallest steps
    ASSERT_EQ(std::uint32_t{Format::encode(half)}, p + (p & 1)) << p;
    ASSERT_EQ(std::uint32_t{Format::encode(std::nextafter(half, next))}, p + 1) << p;
    ASSERT_EQ(std::uint32_t{Format::encode(std::nextafter(half, v))}, p) << p;
  }
  EXPECT_EQ(Format::decode(1) * std::ldexp(1.0F, digits), Format::decode(1u << digits));
}

TEST(Rounding, NarrowFormatsExhaustively) {
  check_narrow<fanin::core::Float16>(10);
  check_narrow<fanin::core::BFloat16>(7);
  check_narrow<fanin::core::Float8E4M3FN>(3);
  check_narrow<fanin::core::Float8E5M2>(2);
  EXPECT_EQ(fanin::core::Float16::decode(fanin::core::Float16::largest), 65504.0F);
  EXPECT_EQ(fanin::core::Float8E4M3FN::decode(fanin::core::Float8E4M3FN::largest), 448.0F);
  EXPECT_EQ(fanin::core::Float8E5M2::decode(fanin::core::Float8E5M2::largest), 57344.0F);
}

double number_or(const Json& spec, const char* key, double otherwise) {
  if (!spec.contains(key) || spec[key].is_null()) return otherwise;
  return spec[key].is_string() ? std::numeric_limits<double>::quiet_NaN() : spec[key].get<double>();
}

Distribution distribution_of(const Json& spec) {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  Distribution d;
  const auto kind = spec["kind"].get<std::string>();
  if (kind == "uniform") {
    d.kind = Distribution::Kind::uniform;
    d.low = spec["low"];
    d.high = spec["high"];
  } else {
    d.kind = kind == "normal" ? Distribution::Kind::normal : Distribution::Kind::truncated_normal;
    d.mean = spec["mean"];
    d.stddev = spec["stddev"];
    d.lower = number_or(spec, "lower", -infinity);
    d.upper = number_or(spec, "upper", infinity);
  }
  return d;
}

fanin::FillParams params_of(const Json& spec) {
  const std::int64_t start = spec["start"];
  const std::int64_t count = spec["count"];
  const fanin::Shape shape{start + count};
  return fanin::detail::make_params(
      distribution_of(spec), shape, fanin::detail::make_index_map(shape, {{start}, {count}}),
      fanin::parse_dtype(spec["dtype"].get<std::string>()), spec["seed"], spec["subsequence"]);
}

// Checks every vector of the manifest, bit for bit, with every instruction set, on 1 and 3 threads, and every refusal.
TEST(Golden, EveryFillBitForBit) {
  // NumPy writes NaN, which is not JSON.
  const std::string text = std::regex_replace(read_text(golden + "manifest.json"), std::regex(": NaN"), ": \"NaN\"");
  const Json manifest = Json::parse(text);
  std::size_t fills = 0;
  std::size_t refusals = 0;
  for (const Json& entry : manifest) {
    const Json& spec = entry["spec"];
    if (entry.contains("refused")) {
      ++refusals;
      EXPECT_THROW(params_of(spec), fanin::InvalidArgument) << spec.dump();
      continue;
    }
    const auto expected = read_npy(golden + entry["file"].get<std::string>());
    const fanin::FillParams params = params_of(spec);
    for (const fanin::CpuTarget target : fanin::cpu_targets()) {
      const int threads = fills % 2 == 0 ? 1 : 3;
      std::vector<unsigned char> got(expected.bytes.size() + 8, 0xca);  // poisoned; the end must stay so
      fanin::fill({got.data(), params.dtype, expected.bytes.size()}, params, {nullptr, threads, target});
      EXPECT_EQ(std::memcmp(got.data(), expected.bytes.data(), expected.bytes.size()), 0)
          << entry["file"] << " " << name_of(target);
      EXPECT_TRUE(std::all_of(got.end() - 8, got.end(), [](unsigned char c) { return c == 0xca; }));
    }
    ++fills;
  }
  EXPECT_EQ(fills, 511u);
  EXPECT_EQ(refusals, 25u);
}

}  // namespace
