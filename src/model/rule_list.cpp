// SPDX-License-Identifier: Apache-2.0
#include "model/rule_list.h"

#include <algorithm>
#include <string_view>

#include "fanin/error.h"

namespace fanin::detail {

namespace {

// The number of a capture's text, such as a layer's: digits without leading zeros.
std::optional<double> number_in(const std::string& text) {
  constexpr std::size_t most = 15;  // digits, which binary64 holds exactly
  if (text.empty() || text.size() > most || (text.size() > 1 && text[0] == '0')) return std::nullopt;
  double number = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return std::nullopt;
    number = 10 * number + (c - '0');
  }
  return number;
}

}  // namespace

void RuleChoice::set_captures(Scope& scope) const {
  const std::vector<std::string>& names = rule->pattern().captures();
  for (std::size_t j = 0; j < texts.size(); ++j) {
    const std::optional<double> value = number_in(texts[j]);
    scope.set(names[j], value ? Scope::Value(*value) : Scope::Value(texts[j]));
  }
}

RuleList::RuleList(const Place& place, const Scope& constants, std::uint64_t seed,
                   const std::optional<Classes>& classes)
    : classes_(classes) {
  place.check_list("a list of rules");
  for (std::size_t j = 0; j < place.json().size(); ++j) {
    rules_.push_back(
        place.at(j).with_errors([&] { return Rule::of_model(place.at(j), constants, seed, classes.has_value()); }));
    const NamePattern& pattern = rules_.back().pattern();
    const std::string_view begin = pattern.begin(), end = pattern.end();
    by_ends_[{begin.size(), end.size()}][std::string(begin).append(end)].push_back(j);
  }
  matched_.resize(rules_.size());
  chosen_.resize(rules_.size());
  taker_.resize(rules_.size());
  all_matched_from_ = rules_.size();
}

const std::vector<std::string>& RuleList::classes_of(const std::string& tensor) const {
  static const std::vector<std::string> none;
  if (!classes_) return none;
  const auto at = classes_->find(tensor);
  return at == classes_->end() ? none : at->second;
}

std::optional<RuleChoice> RuleList::match(std::size_t number, const std::string& part, const std::string& tensor,
                                          const Shape& shape, const Scope& scope) const {
  const Rule& rule = rules_[number];
  auto texts = rule.pattern().match(part);
  if (!texts && part != tensor) texts = rule.pattern().match(tensor);
  if (!texts) return std::nullopt;
  RuleChoice choice{&rule, number, std::move(*texts)};
  if (!rule.has_conditions()) return choice;
  Scope with_captures(&scope);
  choice.set_captures(with_captures);
  return rule.takes(shape, classes_of(tensor), with_captures) ? std::optional(std::move(choice)) : std::nullopt;
}

RuleChoice RuleList::choose(const std::string& part, const std::string& tensor, const Shape& shape,
                            const Scope& scope) {
  struct Numbers {
    std::vector<std::size_t>::const_iterator next, end;
  };
  std::vector<Numbers> lists;  // of the rules whose patterns begin and end as a name does
  const auto add_lists = [&](const std::string& name) {
    for (const auto& [sizes, by_ends] : by_ends_) {
      if (sizes.first + sizes.second > name.size()) continue;
      const auto at = by_ends.find(name.substr(0, sizes.first) + name.substr(name.size() - sizes.second));
      if (at != by_ends.end()) lists.push_back({at->second.begin(), at->second.end()});
    }
  };
  add_lists(part);
  if (part != tensor) add_lists(tensor);
  RuleChoice choice;
  for (;;) {
    std::size_t number = rules_.size();  // the next rule of the lists
    for (const Numbers& list : lists) {
      if (list.next != list.end) number = std::min(number, *list.next);
    }
    if (number == rules_.size()) return choice;
    for (Numbers& list : lists) {
      if (list.next != list.end && *list.next == number) ++list.next;
    }
    if (choice.rule != nullptr && (matched_[number] || all_matched_from_ <= number)) {
      if (all_matched_from_ <= number) return choice;
      continue;
    }
    std::optional<RuleChoice> matching;
    bool is_match = false;
    try {
      matching = match(number, part, tensor, shape, scope);
      is_match = matching.has_value();
    } catch (const InvalidArgument&) {
      if (choice.rule == nullptr) throw;
      // The tensor has its rule. Only the notes ask about later ones, whose conditions need not fit it. Such a rule is
      // not asked again, because an error searches the document for its place.
      is_match = true;
    }
    if (!is_match) continue;
    matched_[number] = true;
    while (all_matched_from_ > 0 && matched_[all_matched_from_ - 1]) --all_matched_from_;
    if (choice.rule == nullptr) {
      choice = std::move(*matching);
      chosen_[number] = true;
    } else {
      taker_[number] = choice.number;
    }
  }
}

std::vector<std::string> RuleList::notes() const {
  std::vector<std::string> notes;
  for (std::size_t j = 0; j < rules_.size(); ++j) {
    const std::string rule = "rules[" + std::to_string(j) + "] \"" + rules_[j].pattern().text() + "\"";
    if (!matched_[j]) {
      notes.push_back("no tensor matches " + rule);
    } else if (!chosen_[j]) {
      notes.push_back("no tensor takes " + rule + ": earlier rules match them all, such as rules[" +
                      std::to_string(taker_[j]) + "] \"" + rules_[taker_[j]].pattern().text() + "\"");
    }
  }
  return notes;
}

}  // namespace fanin::detail
