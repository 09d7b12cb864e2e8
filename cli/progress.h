// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace fanin::cli {

// A progress bar on standard error, redrawn in place on a terminal; elsewhere four lines.
class Progress {
 public:
  explicit Progress(std::uint64_t total_bytes, const char* done = "filled");
  ~Progress();  // clears the bar
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void update(std::uint64_t bytes);

 private:
  std::uint64_t total_;
  const char* done_;
  int shown_ = -1;  // percent
  bool terminal_;
};

}  // namespace fanin::cli
