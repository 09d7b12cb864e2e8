// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <thread>
#include <vector>

namespace fanin::cpu {

// Calls f(0) on the caller's thread, and f(1) to f(count - 1) each on a thread of its own. f must not throw.
template <class F>
void on_threads(std::size_t count, const F& f) {
  std::vector<std::thread> workers;
  if (count > 1) workers.reserve(count - 1);
  std::size_t started = 1;
  try {
    for (; started < count; ++started) workers.emplace_back(f, started);
  } catch (...) {
    // The system starts no more threads, so the caller's does the rest.
  }
  f(0);
  for (; started < count; ++started) f(started);
  for (std::thread& worker : workers) worker.join();
}

}  // namespace fanin::cpu
