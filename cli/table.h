// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace fanin::cli {

// A table in text: the first `left` columns are left-aligned, the others right-aligned.
class Table {
 public:
  Table(std::vector<std::string> head, std::size_t left);
  void add(std::vector<std::string> row);
  std::string text() const;

 private:
  std::vector<std::vector<std::string>> rows_;
  std::size_t left_;
};

// Five significant digits.
std::string short_number(double v);

// The shortest decimal that reads back as v.
std::string exact_number(double v);

// The hash of a text (subsequence_of), in 16 hexadecimal digits.
std::string hash_text(std::string_view text);

}  // namespace fanin::cli
