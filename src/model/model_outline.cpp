// SPDX-License-Identifier: Apache-2.0
// A specification of given tensors, folded into captures.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <unordered_set>
#include <utility>
#include <vector>

#include "config/json_text.h"
#include "fanin/error.h"
#include "fanin/model_outline.h"
#include "model/name_pattern.h"
#include "model/rule.h"

namespace fanin {

namespace {

using detail::dump_json;
using detail::Json;

// Numbers [first, last).
struct Span {
  std::uint64_t first;
  std::uint64_t last;
  bool operator<(const Span& other) const { return std::pair(first, last) < std::pair(other.first, other.last); }
  bool operator==(const Span& other) const { return first == other.first && last == other.last; }
};

// Tensors that differ only in the numbers of their names: words between dots, and for each word that is a number the
// numbers that it takes.
struct Folded {
  std::vector<std::string> words;  // "" in place of a number
  std::vector<Span> numbers;
  Shape shape;
  std::string dtype;
  std::size_t place;  // of the first one in the list
};

// A number as it is written in a name: digits without leading zeros.
std::optional<std::uint64_t> number_of(const std::string& word) {
  if (word.empty() || word.size() > 9 || word.find_first_not_of("0123456789") != std::string::npos) return {};
  if (word.size() > 1 && word[0] == '0') return {};
  return std::stoull(word);
}

Folded unfolded(const StoredTensor& tensor, std::size_t place) {
  Folded folded{{}, {}, tensor.shape, std::string(name_of(tensor.dtype)), place};
  for (std::size_t begin = 0; begin <= tensor.name.size();) {
    const std::size_t end = std::min(tensor.name.find('.', begin), tensor.name.size());
    std::string word = tensor.name.substr(begin, end - begin);
    if (const auto number = number_of(word)) {
      folded.numbers.push_back({*number, *number + 1});
      word.clear();
    } else if (word.empty()) {
      word = ".";  // two dots: no number
    }
    folded.words.push_back(word);
    begin = end + 1;
  }
  return folded;
}

// Joins tensors whose names differ only in the number `which`, if these follow each other.
std::vector<Folded> joined(std::vector<Folded> tensors, std::size_t which) {
  const auto key = [which](const Folded& f) {
    std::vector<Span> others = f.numbers;
    if (which < others.size()) others[which] = {0, 0};
    return std::tuple(f.words, others, std::vector<std::int64_t>(f.shape), f.dtype);
  };
  std::map<decltype(key(tensors[0])), std::vector<Folded>> groups;
  std::vector<Folded> result;
  for (Folded& tensor : tensors) {
    if (which < tensor.numbers.size()) {
      groups[key(tensor)].push_back(std::move(tensor));
    } else {
      result.push_back(std::move(tensor));
    }
  }
  for (auto& [unused, group] : groups) {
    std::sort(group.begin(), group.end(),
              [which](const Folded& a, const Folded& b) { return a.numbers[which] < b.numbers[which]; });
    for (Folded& tensor : group) {
      const bool follows = &tensor != group.data() && result.back().numbers[which].last == tensor.numbers[which].first;
      if (follows) {
        result.back().numbers[which].last = tensor.numbers[which].last;
        result.back().place = std::min(result.back().place, tensor.place);
      } else {
        result.push_back(std::move(tensor));
      }
    }
  }
  return result;
}

// "layers" becomes "layer". Names that are taken get endings, at least `endings` of them.
std::string capture_name(const std::string& word, const std::set<std::string>& used, std::size_t endings) {
  std::string name = word;
  if (name.size() > 2 && name.back() == 's' && name[name.size() - 2] != 's') name.pop_back();
  if (name == "h") name = "layer";
  const bool is_name =
      !name.empty() &&
      name.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_") == std::string::npos;
  if (!is_name) name = "n";
  for (;; ++endings) {
    std::string result = endings == 0 ? name : name + "_" + std::string(endings, 'n');
    if (used.count(result) == 0 && !detail::is_variable_of_formulas(result)) return result;
  }
}

Json tensor_json(const Folded& folded, const std::string& dtype, std::size_t endings, std::string& name) {
  Json repeat = Json::object();
  std::set<std::string> used;
  std::size_t which = 0;
  name.clear();
  for (std::size_t j = 0; j < folded.words.size(); ++j) {
    std::string word = folded.words[j];
    if (word == ".") word.clear();
    if (folded.words[j].empty()) {
      const Span span = folded.numbers[which++];
      if (span.last - span.first > 1) {
        const std::string capture = capture_name(j > 0 ? folded.words[j - 1] : "", used, endings);
        used.insert(capture);
        repeat[capture] = span.first == 0 ? Json(span.last) : Json{span.first, span.last};
        word = "{" + capture + "}";
      } else {
        word = std::to_string(span.first);
      }
    }
    name += (j > 0 ? "." : "") + word;
  }
  if (repeat.empty() && folded.dtype == dtype) return folded.shape;
  Json tensor{{"shape", folded.shape}};
  if (folded.dtype != dtype) tensor["dtype"] = folded.dtype;
  if (!repeat.empty()) tensor["repeat"] = repeat;
  return tensor;
}

// Throws InvalidArgument for a name that a specification would read as a pattern, or cannot have.
void check_name(const std::string& name) {
  if (name.find('\x7f') != std::string::npos) {
    throw InvalidArgument("A specification cannot have a tensor with the name " + dump_json(name) +
                          ", because it has the control character U+007F");
  }
  const detail::NamePattern pattern(name, detail::NamePattern::Globs::none);
  if (pattern.captures().empty()) return;
  throw InvalidArgument("A specification cannot have a tensor with the name " + dump_json(name) + ", because {" +
                        pattern.captures()[0] + "} is a capture there");
}

// A pattern for all tensors whose names end alike: "*.attn.c_attn.weight".
std::string pattern_of(const Folded& folded) {
  std::size_t begin = folded.words.size();
  while (begin > 0 && !folded.words[begin - 1].empty() && folded.words[begin - 1] != ".") --begin;
  std::string pattern = begin > 0 ? "*" : "";
  for (std::size_t j = begin; j < folded.words.size(); ++j) pattern += (pattern.empty() ? "" : ".") + folded.words[j];
  return pattern;
}

// The dtype that most tensors have.
std::string commonest_dtype(const std::vector<Folded>& tensors, const std::vector<StoredTensor>& stored) {
  if (tensors.empty()) return "float32";
  std::map<DType, std::uint64_t> counts;
  for (const StoredTensor& tensor : stored) ++counts[tensor.dtype];
  const auto most =
      std::max_element(counts.begin(), counts.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
  return std::string(name_of(most->first));
}

}  // namespace

std::string outline_of(const std::vector<StoredTensor>& stored, const std::vector<Tie>& ties, std::string_view name,
                       std::string_view source) {
  std::vector<Folded> tensors;
  std::size_t most_numbers = 0;
  for (const StoredTensor& tensor : stored) {
    element_count(tensor.shape);  // throws if fanin fills no such tensor
    check_name(tensor.name);
    tensors.push_back(unfolded(tensor, tensors.size()));
    most_numbers = std::max(most_numbers, tensors.back().numbers.size());
  }
  for (std::size_t which = most_numbers; which-- > 0;) tensors = joined(std::move(tensors), which);
  std::sort(tensors.begin(), tensors.end(), [](const Folded& a, const Folded& b) { return a.place < b.place; });

  const std::string dtype = commonest_dtype(tensors, stored);
  std::vector<std::string> patterns;
  std::unordered_set<std::string> known_patterns;
  std::unordered_set<std::string> keys;
  std::string items;
  const auto add = [&items](const std::string& item) { items += (items.empty() ? "\n    " : ",\n    ") + item; };
  for (const Folded& tensor : tensors) {
    std::string key;
    Json json = tensor_json(tensor, dtype, 0, key);
    // Layers 0 to 3 can have another shape than layers 4 to 7: the same name, with another capture.
    for (std::size_t endings = 1; !keys.insert(key).second && json.contains("repeat"); ++endings) {
      json = tensor_json(tensor, dtype, endings, key);
    }
    add(dump_json(key) + ": " + dump_json(json));
    std::string pattern = pattern_of(tensor);
    if (known_patterns.insert(pattern).second) patterns.push_back(std::move(pattern));
  }
  for (const Tie& tie : ties) add(dump_json(tie.name) + ": " + dump_json({{"tie", tie.to}}));
  std::string text = "{\n  \"name\": " + dump_json(name) + ",\n  \"source\": " + dump_json(source) +
                     ",\n  \"dtype\": \"" + dtype + "\",\n  \"layout\": \"OI\",\n  \"tensors\": {" + items +
                     "\n  },\n  \"rules\": [";
  items.clear();
  // A more special pattern comes first, because the first rule that matches counts.
  std::stable_sort(patterns.begin(), patterns.end(),
                   [](const std::string& a, const std::string& b) { return a.size() > b.size(); });
  for (const std::string& pattern : patterns) {
    add(R"({"match": )" + dump_json(pattern) + R"(, "initializer": "FILL IN"})");
  }
  return text + items + "\n  ]\n}\n";
}

}  // namespace fanin
