// SPDX-License-Identifier: Apache-2.0
#include "cli/progress.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <string>

namespace fanin::cli {

Progress::Progress(std::uint64_t total_bytes, const char* done)
    : total_(std::max<std::uint64_t>(total_bytes, 1)), done_(done), terminal_(isatty(STDERR_FILENO) != 0) {
  update(0);
}

Progress::~Progress() {
  if (terminal_) std::fputs("\r\033[K", stderr);
}

void Progress::update(std::uint64_t bytes) {
  const int step = terminal_ ? 1 : 25;
  const int percent = static_cast<int>(static_cast<double>(bytes) / static_cast<double>(total_) * 100) / step * step;
  if (percent == shown_) return;
  shown_ = percent;
  const double mebi = 1024.0 * 1024.0;
  const double done = static_cast<double>(bytes) / mebi;
  const double all = static_cast<double>(total_) / mebi;
  if (!terminal_) {
    if (percent > 0) std::fprintf(stderr, "%s %3d %%, %.1f of %.1f MiB\n", done_, percent, done, all);
    return;
  }
  const auto width = static_cast<std::size_t>(40);
  std::string bar(static_cast<std::size_t>(percent) * width / 100, '#');
  bar.resize(width, '.');
  std::fprintf(stderr, "\r[%s] %3d %%  %.1f of %.1f MiB", bar.c_str(), percent, done, all);
  std::fflush(stderr);
}

}  // namespace fanin::cli
