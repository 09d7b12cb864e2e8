// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "fanin/shape.h"
#include "formulas/expression.h"
#include "model/place.h"
#include "model/rule.h"

namespace fanin::detail {

// The rule of a tensor or part.
struct RuleChoice {
  const Rule* rule = nullptr;      // null: none
  std::size_t number = 0;          // of the rule
  std::vector<std::string> texts;  // of its captures

  // Gives the scope the rule's captures. One whose text is no number, such as a layer's, can be used in names only.
  void set_captures(Scope& scope) const;
};

// The rules of a specification, in order.
class RuleList {
 public:
  // The names of the classes of the module that holds a tensor, by the tensor's name.
  using Classes = std::map<std::string, std::vector<std::string>>;

  // `classes` must outlive the list. Throws InvalidArgument.
  RuleList(const Place& place, const Scope& constants, std::uint64_t seed, const std::optional<Classes>& classes);

  std::size_t size() const { return rules_.size(); }
  const Rule& operator[](std::size_t number) const { return rules_[number]; }

  // The first rule that matches a part by its name, or else by its tensor's, and takes its shape and its module's
  // classes. Also notes which rules match anything.
  RuleChoice choose(const std::string& part, const std::string& tensor, const Shape& shape, const Scope& scope);

  // The rules that nothing has matched, and those that earlier rules have left nothing for.
  std::vector<std::string> notes() const;

 private:
  std::optional<RuleChoice> match(std::size_t number, const std::string& part, const std::string& tensor,
                                  const Shape& shape, const Scope& scope) const;
  const std::vector<std::string>& classes_of(const std::string& tensor) const;

  const std::optional<Classes>& classes_;
  std::vector<Rule> rules_;
  // The rules' numbers by what the names that they match begin and end with, and by the sizes of these texts.
  std::map<std::pair<std::size_t, std::size_t>, std::unordered_map<std::string, std::vector<std::size_t>>> by_ends_;
  std::vector<bool> matched_, chosen_;  // by any tensor
  std::vector<std::size_t> taker_;      // a rule that took a tensor that this one matches
  std::size_t all_matched_from_;        // all rules from this one on match a tensor
};

}  // namespace fanin::detail
