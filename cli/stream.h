// SPDX-License-Identifier: Apache-2.0
// Makes a stream of bytes in pieces on several threads, while the caller's thread takes them in order.
#pragma once

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <exception>
#include <memory>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

namespace fanin::cli {

// All pieces in memory together have at most about this many bytes.
inline constexpr std::uint64_t stream_memory = std::uint64_t{48} << 20;

// The bytes of a piece: enough that handing it over costs nothing, few enough for the processors' caches.
inline std::uint64_t piece_bytes_for(int threads) {
  constexpr std::uint64_t unit = std::uint64_t{64} << 10;
  const std::uint64_t share = stream_memory / (2 * static_cast<std::uint64_t>(threads) + 2);
  return std::clamp(share, unit, std::uint64_t{2} << 20) / unit * unit;
}

// Waits until a condition holds. std::condition_variable::wait is a function of GCC 12's library, which Linux systems
// with glibc 2.34 lack; wait_for is inline.
template <class Condition>
void wait_until_holds(std::condition_variable& changed, std::unique_lock<std::mutex>& lock, const Condition& holds) {
  while (!changed.wait_for(lock, std::chrono::hours(1), holds)) {
  }
}

// Calls make(first, bytes, memory), which returns a result, for consecutive pieces of the bytes [begin, end) on
// `threads` threads, and take(first, bytes, memory, result) for each piece in order on this thread. All pieces begin at
// multiples of `piece`. An exception of either ends the stream and is thrown.
template <class Result, class Make, class Take>
void stream(std::uint64_t begin, std::uint64_t end, std::uint64_t piece, int threads, const Make& make,
            const Take& take) {
  struct Slot {
    std::unique_ptr<std::byte[]> memory;
    Result result{};
    std::exception_ptr error;
    bool is_ready = false;
  };
  if (begin >= end) return;
  const std::uint64_t first_piece = begin / piece;
  const std::uint64_t last_piece = (end - 1) / piece + 1;
  const auto workers = static_cast<std::size_t>(
      std::min<std::uint64_t>(static_cast<std::uint64_t>(std::max(threads, 1)), last_piece - first_piece));
  std::vector<Slot> slots(static_cast<std::size_t>(std::min<std::uint64_t>(2 * workers + 2, last_piece - first_piece)));
  for (Slot& slot : slots) slot.memory.reset(new std::byte[std::min(piece, end - begin)]);

  std::mutex mutex;
  std::condition_variable has_room;
  std::condition_variable has_piece;
  std::uint64_t next = first_piece;   // to be made
  std::uint64_t taken = first_piece;  // all before it are
  bool is_stopped = false;

  const auto from_of = [&](std::uint64_t number) { return std::max(begin, number * piece); };
  const auto size_of_piece = [&](std::uint64_t number) {
    return static_cast<std::size_t>(std::min(end, (number + 1) * piece) - from_of(number));
  };
  const auto work = [&] {
    std::unique_lock<std::mutex> lock(mutex);
    for (;;) {
      wait_until_holds(has_room, lock, [&] { return is_stopped || next >= last_piece || next < taken + slots.size(); });
      if (is_stopped || next >= last_piece) return;
      const std::uint64_t number = next++;
      Slot& slot = slots[number % slots.size()];
      lock.unlock();
      try {
        slot.result = make(from_of(number), size_of_piece(number), slot.memory.get());
      } catch (...) {
        slot.error = std::current_exception();
      }
      lock.lock();
      slot.is_ready = true;
      has_piece.notify_one();
    }
  };

  std::vector<std::thread> running;
  struct Join {
    std::vector<std::thread>& running;
    std::mutex& mutex;
    std::condition_variable& has_room;
    bool& is_stopped;
    ~Join() {
      {
        const std::lock_guard<std::mutex> lock(mutex);
        is_stopped = true;
      }
      has_room.notify_all();
      for (std::thread& thread : running) thread.join();
    }
  } const join{running, mutex, has_room, is_stopped};
  try {
    while (running.size() < workers) running.emplace_back(work);
  } catch (const std::system_error&) {
    if (running.empty()) throw;  // otherwise those that the system allows do the work
  }

  for (std::uint64_t number = first_piece; number < last_piece; ++number) {
    Slot& slot = slots[number % slots.size()];
    {
      std::unique_lock<std::mutex> lock(mutex);
      wait_until_holds(has_piece, lock, [&] { return slot.is_ready; });
    }
    if (slot.error) std::rethrow_exception(slot.error);
    take(from_of(number), size_of_piece(number), slot.memory.get(), slot.result);
    {
      const std::lock_guard<std::mutex> lock(mutex);
      slot.is_ready = false;
      ++taken;
    }
    has_room.notify_one();
  }
}

}  // namespace fanin::cli
