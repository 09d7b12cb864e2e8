// SPDX-License-Identifier: Apache-2.0
#include "cli/model_table.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "cli/compare.h"
#include "cli/table.h"

namespace fanin::cli {

namespace {

// Rows that print as one.
struct Group {
  std::vector<const ModelRow*> rows;
  std::string name;
};

std::string fans_text(const Fans& fans) { return std::to_string(fans.fan_in) + "/" + std::to_string(fans.fan_out); }

// "a", or "a…b" if the last one differs.
std::string span(const std::string& first, const std::string& last) {
  return first == last ? first : first + "…" + last;
}

// The values of the parts in all rows that have one, as a span; "-" without any.
template <class Value>
std::string span_of(const Group& group, const Value& value) {
  std::optional<std::pair<double, double>> span_of_values;
  for (const ModelRow* row : group.rows) {
    for (std::size_t j = 0; j < row->tensor->parts.size(); ++j) {
      const std::optional<double> v = value(*row, j);
      if (!v) continue;
      if (!span_of_values) span_of_values.emplace(*v, *v);
      span_of_values->first = std::min(span_of_values->first, *v);
      span_of_values->second = std::max(span_of_values->second, *v);
    }
  }
  return span_of_values ? span(short_number(span_of_values->first), short_number(span_of_values->second)) : "-";
}

std::string initializer_of(const ModelRow& row) {
  std::vector<std::string_view> names;
  for (const ModelPart& part : row.tensor->parts) {
    const std::string_view name = part.initializer ? part.initializer->class_name() : "load";
    if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
  }
  std::string text;
  for (const std::string_view name : names) {
    if (!text.empty()) text += ", ";
    text += name;
  }
  return text;
}

std::string fans_of(const ModelRow& row) {
  std::optional<std::string> text;
  for (std::size_t j = 0; j < row.parts.size(); ++j) {
    if (!row.tensor->parts[j].initializer) return "-";
    const std::string fans = fans_text(row.parts[j].fans);
    if (text && *text != fans) return "by part";
    text = fans;
  }
  return text.value_or("-");
}

// The rules and the parts' sizes: rows that differ in them are explained apart.
std::string plan_of(const ModelRow& row) {
  std::string text;
  for (const ModelPart& part : row.tensor->parts) {
    text += (part.rule ? std::to_string(*part.rule) : "-") + ":" + std::to_string(part.size) + " ";
  }
  return text;
}

std::vector<Group> groups_of(const ModelSpec& spec, const std::vector<ModelRow>& rows) {
  std::vector<Group> groups;
  std::unordered_map<std::string, std::size_t> numbers;  // by what the rows of a group have in common
  std::string key;
  for (const ModelRow& row : rows) {
    key = std::to_string(row.tensor->entry);
    for (const std::string& text : {to_string(row.tensor->shape), std::string(name_of(row.tensor->dtype)),
                                    initializer_of(row), fans_of(row), plan_of(row)}) {
      key += '\n';
      key += text;
    }
    const auto [at, is_new] = numbers.emplace(key, groups.size());
    if (is_new) groups.emplace_back();
    groups[at->second].rows.push_back(&row);
  }
  for (Group& group : groups) {
    const ModelTensor& first = *group.rows[0]->tensor;
    const ModelEntry& entry = spec.entries[first.entry];
    if (group.rows.size() == 1) {
      group.name = printable(first.name);
      continue;
    }
    std::string name = entry.name;
    for (std::size_t j = 0; j < entry.captures.size(); ++j) {
      std::vector<std::int64_t> values;
      for (const ModelRow* row : group.rows) values.push_back(row->tensor->captures[j]);
      const std::string in_place = ranges(std::move(values));
      for (const char* end : {"}", "*}"}) {
        const std::string capture = "{" + entry.captures[j] + end;
        for (std::size_t at = name.find(capture); at != std::string::npos;
             at = name.find(capture, at + in_place.size())) {
          name.replace(at, capture.size(), in_place);
        }
      }
    }
    group.name = printable(name) + " ×" + std::to_string(group.rows.size());
  }
  return groups;
}

// Two texts as one: "stddev = 0.5", "stddev = 0.25" -> "stddev = 0.5 … 0.25".
std::string merged(const std::string& first, const std::string& last) {
  if (first == last) return first;
  const auto differ = std::mismatch(first.begin(), first.end(), last.begin(), last.end());
  const std::size_t equal = first.rfind("= ", static_cast<std::size_t>(differ.first - first.begin()));
  return first + " … " + (equal == std::string::npos ? last : last.substr(equal + 2));
}

std::string explanation_of(const ModelRow& row, std::size_t part) {
  const ModelPart& p = row.tensor->parts[part];
  if (!p.initializer) return "from " + p.load_file + (p.load_name == p.name ? "" : ", \"" + p.load_name + "\"");
  const Description& d = row.parts[part];
  const bool is_constant = d.distribution.kind == Distribution::Kind::constant;
  return (p.reason.empty() ? "" : p.reason + "; ") +
         (is_constant ? "every element is " + exact_number(d.distribution.value) : d.derivation);
}

// The explanation of one part in all rows of a group, each statement as a span from the first to the last.
std::string reason_of(const Group& group, std::size_t part) {
  std::string first = explanation_of(*group.rows.front(), part);
  if (group.rows.size() == 1) return first;
  const std::string last = explanation_of(*group.rows.back(), part);
  std::string text;
  for (std::size_t at = 0, at_last = 0;;) {
    const std::size_t end = first.find("; ", at);
    const std::size_t end_last = last.find("; ", at_last);
    if (end == std::string::npos || end_last == std::string::npos) {
      return text + merged(first.substr(at), last.substr(at_last));
    }
    text += merged(first.substr(at, end - at), last.substr(at_last, end_last - at_last)) + "; ";
    at = end + 2;
    at_last = end_last + 2;
  }
}

}  // namespace

bool ModelRow::is_random(std::size_t part) const { return wanted(part) > 0; }

double ModelRow::wanted(std::size_t part) const {
  if (!tensor->parts[part].initializer || !parts[part].distribution.is_random()) return 0;
  return moments_of(parts[part].distribution).stddev / tensor->parts[part].output_scale;
}

bool ModelRow::is_as_wanted() const {
  for (std::size_t j = 0; j < found.size(); ++j) {
    if (!is_random(j) || found[j].count() < 2) continue;
    const double stddev = wanted(j);
    const double error = stddev / std::sqrt(2.0 * static_cast<double>(found[j].count()));
    // Rounding to the dtype changes a standard deviation by at most half a unit in the last place. The statistics
    // estimate the mean, although it is known.
    const double allowed = 6 * error + stddev * std::ldexp(1.0, -facts_of(tensor->dtype).significant_bits) +
                           stddev / static_cast<double>(found[j].count());
    if (!(std::abs(found[j].stddev() - stddev) <= allowed)) return false;
  }
  return true;
}

std::vector<ModelRow> rows_of(const ModelSpec& spec) {
  std::vector<ModelRow> rows;
  rows.reserve(spec.tensors.size());
  for (const ModelTensor& tensor : spec.tensors) {
    ModelRow row;
    row.tensor = &tensor;
    row.count = element_count(tensor.shape);
    row.parts.reserve(tensor.parts.size());
    for (const ModelPart& part : tensor.parts) row.parts.push_back(part.initializer ? describe(part) : Description{});
    rows.push_back(std::move(row));
  }
  std::stable_sort(rows.begin(), rows.end(), [](const ModelRow& a, const ModelRow& b) {
    return size_of(a.tensor->dtype) > size_of(b.tensor->dtype);
  });
  return rows;
}

std::string table_of(const ModelSpec& spec, const std::vector<ModelRow>& rows) {
  Table table({"tensor", "shape", "dtype", "initializer", "fan in/out", "stddev wanted", "found", "min", "max"}, 4);
  for (const Group& group : groups_of(spec, rows)) {
    const ModelRow& first = *group.rows[0];
    const auto of_random = [](const ModelRow& row, std::size_t j, double v) {
      return row.is_random(j) ? std::optional(v) : std::nullopt;
    };
    const auto found = [&](const auto& value) {
      return [&value](const ModelRow& row, std::size_t j) {
        return j < row.found.size() && row.found[j].count() > 0 ? value(row, j) : std::nullopt;
      };
    };
    const auto stddev = [&](const ModelRow& row, std::size_t j) { return of_random(row, j, row.found[j].stddev()); };
    const auto least = [](const ModelRow& row, std::size_t j) { return std::optional(row.found[j].min()); };
    const auto most = [](const ModelRow& row, std::size_t j) { return std::optional(row.found[j].max()); };
    const bool is_right =
        std::all_of(group.rows.begin(), group.rows.end(), [](const ModelRow* row) { return row->is_as_wanted(); });
    table.add({group.name, to_string(first.tensor->shape), std::string(name_of(first.tensor->dtype)),
               initializer_of(first), fans_of(first),
               span_of(group, [&](const ModelRow& row, std::size_t j) { return of_random(row, j, row.wanted(j)); }),
               span_of(group, found(stddev)) + (is_right ? "" : " !"), span_of(group, found(least)),
               span_of(group, found(most))});
  }
  return table.text();
}

std::string explanation_of(const ModelSpec& spec, const std::vector<ModelRow>& rows) {
  std::string text;
  for (const Group& group : groups_of(spec, rows)) {
    const ModelTensor& tensor = *group.rows[0]->tensor;
    text += group.name + "  " + to_string(tensor.shape) + "  " + std::string(name_of(tensor.dtype)) + "\n";
    for (const std::string& tie : tensor.ties) {
      text += "    tied: " + printable(tie) + (group.rows.size() > 1 ? ", and so on" : "") + "\n";
    }
    const bool has_parts = tensor.parts.size() > 1 || tensor.parts[0].name != tensor.name;
    for (std::size_t j = 0; j < tensor.parts.size(); ++j) {
      const ModelPart& part = tensor.parts[j];
      const std::string reason = reason_of(group, j);
      // Parts of one kind follow each other.
      std::size_t end = j + 1;
      while (end < tensor.parts.size() && tensor.parts[end].rule == part.rule &&
             tensor.parts[end].shape == part.shape && reason_of(group, end) == reason) {
        ++end;
      }
      if (has_parts) {
        text += "    part " + printable(part.name);
        if (end > j + 1) text += " to " + printable(tensor.parts[end - 1].name) + " ×" + std::to_string(end - j);
        text += "  " + to_string(part.shape) + "\n    ";
      }
      text += "    ";
      text += part.rule ? "rules[" + std::to_string(*part.rule) + "] \"" + printable(spec.rules[*part.rule]) + "\": "
                        : "its own: ";
      text += part.initializer ? std::string(part.initializer->class_name()) + ", fans " +
                                     fans_text(group.rows[0]->parts[j].fans) + "; "
                               : "load ";
      text += printable(reason) + "\n";
      j = end - 1;
    }
  }
  return text;
}

std::string ranges(std::vector<std::int64_t> numbers) {
  std::sort(numbers.begin(), numbers.end());
  numbers.erase(std::unique(numbers.begin(), numbers.end()), numbers.end());
  if (numbers.size() == 1) return std::to_string(numbers[0]);
  std::string text;
  for (std::size_t j = 0; j < numbers.size();) {
    std::size_t end = j + 1;
    while (end < numbers.size() && numbers[end] == numbers[end - 1] + 1) ++end;
    text += (text.empty() ? "" : ",") + std::to_string(numbers[j]);
    if (end - j > 1) text += (end - j > 2 ? "…" : ",") + std::to_string(numbers[end - 1]);
    j = end;
  }
  return "{" + text + "}";
}

}  // namespace fanin::cli
