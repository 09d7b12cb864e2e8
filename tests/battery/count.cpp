// SPDX-License-Identifier: Apache-2.0
// Draws tensors and counts their elements. tests/battery/battery.py, which runs this program, compares the counts with
// theory.
//
//   battery_count MODE KEY=VALUE...
//
//   cells      how many elements are in each cell of a grid; for a dtype of at most 16 bits, have each pattern of bits
//   tuples     how many tuples of d elements are in each combination of classes: the elements i, i + lag, ...,
//              i + (d - 1) lag of one tensor, or the elements i of d tensors that follow each other in a list
//   retried    pairs of classes of a rejected normal and the one that replaced it: of the elements that differ in two
//              tensors of one seed, which differ in their windows; then pairs of replacements that follow each other
//   values     the float32 elements themselves
//
// Keys: init (JSON of an initializer), dtype, rounding (nearest, stochastic), seed, draws, threads; scale and first
// (cell j of the grid is [first + j, first + j + 1) / scale), cells; lag, bits (of a class; a tuple has 12 bits in
// all); by (subsequence, seed, name) and list (comma-separated) of tensors; other (the second initializer of
// "retried"); fault (none, or one of those in fault.h).
// Standard input has the class of each cell, from the one below the grid to the one above it, a byte each.
// Counts are written to standard output as 64-bit integers of this machine's order, elements below the grid first and
// those above it last; after the cells' counts come those of their sixteenths, counted over all cells.
#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <fanin/fanin.hpp>
#include <functional>
#include <map>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "fault.h"

namespace {

using Counts = std::vector<std::uint64_t>;

constexpr unsigned tuple_bits = 12;
constexpr unsigned sixteenth_bits = 4;
constexpr std::size_t turn_size = 1 << 14;  // elements that a thread draws at a time; the cache has room for more

// ---------------------------------------------------------------- arguments

class Arguments {
 public:
  Arguments(int argc, char** argv) {
    for (int j = 2; j < argc; ++j) {
      const std::string argument = argv[j];
      const std::size_t equals = argument.find('=');
      if (equals == std::string::npos) throw std::invalid_argument("Not KEY=VALUE: " + argument);
      values_[argument.substr(0, equals)] = argument.substr(equals + 1);
    }
  }

  std::string text(const std::string& key, const std::string& otherwise = {}) const {
    const auto found = values_.find(key);
    return found == values_.end() ? otherwise : found->second;
  }
  std::int64_t number(const std::string& key, std::int64_t otherwise = 0) const {
    const auto found = values_.find(key);
    return found == values_.end() ? otherwise : std::stoll(found->second);
  }

 private:
  std::map<std::string, std::string> values_;
};

// A tensor to draw: the list's entry `entry` of the key `by`, or the only one.
struct Tensor {
  fanin::Initializer initializer;
  fanin::DType dtype;
  std::uint64_t seed;
  fanin::TensorOptions options;
  std::int64_t size;
  Fault fault;

  Tensor(const Arguments& arguments, const char* init_key, const std::string& entry = {})
      : initializer(fanin::deserialize(arguments.text(init_key))),
        dtype(fanin::parse_dtype(arguments.text("dtype", "float32"))),
        seed(static_cast<std::uint64_t>(arguments.number("seed", 1))),
        size(arguments.number("draws")),
        fault(fault_named(arguments.text("fault", "none"))) {
    const std::string by = arguments.text("by");
    if (by == "seed") seed = std::stoull(entry);
    if (by == "subsequence") options.subsequence = std::stoull(entry);
    if (by == "name") options.name = entry;
    if (arguments.text("rounding") == "stochastic") options.rounding = fanin::Rounding::stochastic;
    initializer = initializer.with_seed(seed);
  }

  fanin::FillParams params() const { return initializer.params({size}, dtype, options); }
};

void draw(void* to, const fanin::FillParams& all, std::uint64_t first, std::uint64_t count, Fault fault) {
  const fanin::FillParams part = fanin::part_of(all, first, count);
  fanin::View view{to, part.dtype, count * std::max<std::size_t>(1, fanin::facts_of(part.dtype).bits / 8)};
  view.unpacked = fanin::facts_of(part.dtype).is_packed();
  fanin::RunOptions run;
  run.threads = 1;
  fanin::fill(view, part, run);
  if (fault != Fault::none) make_wrong(static_cast<float*>(to), all, first, count, fault);
}

// ---------------------------------------------------------------- counting on threads

// Counters of one thread: 32-bit ones, which stay in the cache, are added to 64-bit ones before they can overflow.
class Tally {
 public:
  explicit Tally(std::size_t size) : recent_(size), total_(size) {}

  std::uint32_t* counters(std::uint64_t counted_next) {
    since_ += counted_next;
    if (since_ >= std::uint64_t{1} << 31) {
      add_recent();
      since_ = counted_next;
    }
    return recent_.data();
  }
  Counts total() {
    add_recent();
    return total_;
  }

 private:
  void add_recent() {
    for (std::size_t j = 0; j < recent_.size(); ++j) total_[j] += recent_[j];
    std::fill(recent_.begin(), recent_.end(), 0U);
  }

  std::vector<std::uint32_t> recent_;
  Counts total_;
  std::uint64_t since_ = 0;
};

// Calls count(tally, turn) for each turn on some thread and returns the sum of the tallies.
template <class Count>
Counts counted(std::size_t size, std::uint64_t turns, std::int64_t threads, const Count& count) {
  Counts sum(size);
  std::atomic<std::uint64_t> next{0};
  std::mutex lock;
  std::exception_ptr error;
  std::vector<std::thread> team;
  const auto work = [&] {
    try {
      Tally tally(size);
      for (std::uint64_t turn = next++; turn < turns; turn = next++) count(tally, turn);
      const Counts own = tally.total();
      const std::lock_guard<std::mutex> guard(lock);
      for (std::size_t j = 0; j < size; ++j) sum[j] += own[j];
    } catch (...) {
      const std::lock_guard<std::mutex> guard(lock);
      error = std::current_exception();
    }
  };
  for (std::int64_t j = 0; j < std::max<std::int64_t>(1, threads); ++j) team.emplace_back(work);
  for (std::thread& thread : team) thread.join();
  if (error) std::rethrow_exception(error);
  return sum;
}

// ---------------------------------------------------------------- cells and classes

struct Grid {
  double scale;
  std::int64_t first, cells;

  explicit Grid(const Arguments& arguments)
      : scale(static_cast<double>(arguments.number("scale", 1))),
        first(arguments.number("first")),
        cells(arguments.number("cells", 1)) {}

  // The sixteenth of a cell that holds x: 16 cell + sixteenth, counted from the cell below the grid. The product is
  // exact because the scale is a power of two, and the conversion, which truncates, sees no negative number. NaN counts
  // as below the grid.
  std::int32_t sixteenth_of(double x) const {
    const double at = x * scale - static_cast<double>(first - 1);
    const double inside = std::min(std::max(0.0, at), static_cast<double>(cells + 1));
    return static_cast<std::int32_t>(inside * (1 << sixteenth_bits));
  }
  std::size_t size() const { return static_cast<std::size_t>(cells) + 2; }
};

template <class T>
Counts count_cells(const Arguments& arguments, const Tensor& tensor) {
  const Grid grid(arguments);
  const fanin::FillParams params = tensor.params();
  const auto size = static_cast<std::uint64_t>(tensor.size);
  return counted(grid.size() + (1U << sixteenth_bits), (size + turn_size - 1) / turn_size,
                 arguments.number("threads", 1), [&](Tally& tally, std::uint64_t turn) {
                   thread_local std::vector<T> values(turn_size);
                   thread_local std::vector<std::int32_t> cells(turn_size);
                   const auto count =
                       static_cast<std::size_t>(std::min<std::uint64_t>(turn_size, size - turn * turn_size));
                   draw(values.data(), params, turn * turn_size, count, tensor.fault);
                   for (std::size_t j = 0; j < count; ++j) cells[j] = grid.sixteenth_of(static_cast<double>(values[j]));
                   std::uint32_t* of_cells = tally.counters(count);
                   std::uint32_t* of_sixteenths = of_cells + grid.size();
                   for (std::size_t j = 0; j < count; ++j) {
                     ++of_cells[cells[j] >> sixteenth_bits];
                     ++of_sixteenths[cells[j] & ((1 << sixteenth_bits) - 1)];
                   }
                 });
}

// Patterns of bits of a dtype that has at most 16.
template <class T>
Counts count_patterns(const Arguments& arguments, const Tensor& tensor) {
  const fanin::FillParams params = tensor.params();
  const auto size = static_cast<std::uint64_t>(tensor.size);
  return counted(std::size_t{1} << (8 * sizeof(T)), (size + turn_size - 1) / turn_size, arguments.number("threads", 1),
                 [&](Tally& tally, std::uint64_t turn) {
                   thread_local std::vector<T> values(turn_size);
                   const auto count =
                       static_cast<std::size_t>(std::min<std::uint64_t>(turn_size, size - turn * turn_size));
                   draw(values.data(), params, turn * turn_size, count, tensor.fault);
                   std::uint32_t* counters = tally.counters(count);
                   for (std::size_t j = 0; j < count; ++j) ++counters[values[j]];
                 });
}

// The classes of cells, from standard input, and of values.
class Classes {
 public:
  explicit Classes(const Grid& grid) : grid_(grid), of_cell_(grid.size()) {
    if (std::fread(of_cell_.data(), 1, of_cell_.size(), stdin) != of_cell_.size())
      throw std::runtime_error("Standard input ends before the classes of all cells");
  }
  std::uint8_t operator()(float value) const {
    return of_cell_[static_cast<std::size_t>(grid_.sixteenth_of(static_cast<double>(value)) >> sixteenth_bits)];
  }
  void of(const std::vector<float>& values, std::uint8_t* to) const {
    for (std::size_t j = 0; j < values.size(); ++j) to[j] = (*this)(values[j]);
  }

 private:
  Grid grid_;
  std::vector<std::uint8_t> of_cell_;
};

// Adds `count` tuples: member m of tuple t is classes[m * between_members + t * between_tuples].
void add_tuples(std::uint32_t* counters, const std::uint8_t* classes, std::size_t between_members,
                std::size_t between_tuples, std::size_t count, unsigned bits) {
  const unsigned members = tuple_bits / bits;
  for (std::size_t t = 0; t < count; ++t) {
    std::uint32_t tuple = 0;
    for (unsigned m = 0; m < members; ++m) tuple = tuple << bits | classes[m * between_members + t * between_tuples];
    ++counters[tuple];
  }
}

// Tuples within one tensor. Tuples share no element, so that their counts have a multinomial distribution.
Counts count_tuples_within(const Arguments& arguments, const Classes& classes) {
  const Tensor tensor(arguments, "init");
  const fanin::FillParams params = tensor.params();
  const auto bits = static_cast<unsigned>(arguments.number("bits"));
  const auto lag = static_cast<std::size_t>(std::max<std::int64_t>(1, arguments.number("lag")));
  const std::size_t span = lag * (tuple_bits / bits);  // elements that make `lag` tuples
  const std::size_t block = std::max<std::size_t>(1, turn_size / span) * span;
  const std::uint64_t turns = static_cast<std::uint64_t>(tensor.size) / block;
  return counted(std::size_t{1} << tuple_bits, turns, arguments.number("threads", 1),
                 [&](Tally& tally, std::uint64_t turn) {
                   thread_local std::vector<float> values(block);
                   thread_local std::vector<std::uint8_t> class_of(block);
                   draw(values.data(), params, turn * block, block, tensor.fault);
                   classes.of(values, class_of.data());
                   std::uint32_t* counters = tally.counters(block);
                   if (lag == 1) {
                     add_tuples(counters, class_of.data(), 1, span, block / span, bits);
                   } else {
                     for (std::size_t at = 0; at < block; at += span)
                       add_tuples(counters, &class_of[at], lag, 1, lag, bits);
                   }
                 });
}

std::vector<Tensor> tensors(const Arguments& arguments) {
  const std::string list = arguments.text("list");
  std::vector<Tensor> found;
  for (std::size_t at = 0; at <= list.size();) {
    const std::size_t comma = std::min(list.find(',', at), list.size());
    found.emplace_back(arguments, "init", list.substr(at, comma - at));
    at = comma + 1;
  }
  return found;
}

// Tuples across tensors, in turns of as many tensors as a tuple has members.
Counts count_tuples_across(const Arguments& arguments, const Classes& classes) {
  const std::vector<Tensor> all = tensors(arguments);
  const auto bits = static_cast<unsigned>(arguments.number("bits"));
  const std::size_t members = tuple_bits / bits;
  return counted(std::size_t{1} << tuple_bits, all.size() / members, arguments.number("threads", 1),
                 [&](Tally& tally, std::uint64_t turn) {
                   const auto size = static_cast<std::size_t>(all[0].size);
                   thread_local std::vector<float> values(size);
                   thread_local std::vector<std::uint8_t> class_of(size * members);
                   for (std::size_t m = 0; m < members; ++m) {
                     const Tensor& tensor = all[turn * members + m];
                     draw(values.data(), tensor.params(), 0, size, tensor.fault);
                     classes.of(values, &class_of[m * size]);
                   }
                   add_tuples(tally.counters(size), class_of.data(), size, 1, size, bits);
                 });
}

Counts count_retried(const Arguments& arguments) {
  const Tensor first(arguments, "init");
  const Tensor second(arguments, "other");
  const fanin::FillParams first_params = first.params();
  const fanin::FillParams second_params = second.params();
  const Grid grid(arguments);
  const Classes first_classes(grid);
  const Classes second_classes(grid);
  const std::size_t pairs = std::size_t{1} << tuple_bits;
  const std::uint64_t turns = static_cast<std::uint64_t>(first.size) / turn_size;
  return counted(2 * pairs, turns, arguments.number("threads", 1), [&](Tally& tally, std::uint64_t turn) {
    thread_local std::vector<float> rejected(turn_size);
    thread_local std::vector<float> replacing(turn_size);
    draw(rejected.data(), first_params, turn * turn_size, turn_size, first.fault);
    draw(replacing.data(), second_params, turn * turn_size, turn_size, second.fault);
    std::uint32_t* counters = tally.counters(turn_size);
    std::uint32_t before = 0;
    bool is_second = false;
    for (std::size_t j = 0; j < turn_size; ++j) {
      if (rejected[j] == replacing[j]) continue;
      const std::uint32_t now = second_classes(replacing[j]);
      ++counters[static_cast<std::uint32_t>(first_classes(rejected[j])) << (tuple_bits / 2) | now];
      if (is_second) ++counters[pairs + (before << (tuple_bits / 2) | now)];
      before = now;
      is_second = !is_second;
    }
  });
}

void write_values(const Arguments& arguments) {
  for (const Tensor& tensor : tensors(arguments)) {
    std::vector<float> values(static_cast<std::size_t>(tensor.size));
    draw(values.data(), tensor.params(), 0, values.size(), tensor.fault);
    if (std::fwrite(values.data(), sizeof(float), values.size(), stdout) != values.size())
      throw std::runtime_error("Standard output cannot be written");
  }
}

Counts count(const std::string& mode, const Arguments& arguments) {
  if (mode == "cells") {
    const Tensor tensor(arguments, "init");
    switch (fanin::facts_of(tensor.dtype).bits) {
      case 64:
        return count_cells<double>(arguments, tensor);
      case 32:
        return count_cells<float>(arguments, tensor);
      case 16:
        return count_patterns<std::uint16_t>(arguments, tensor);
      default:
        return count_patterns<std::uint8_t>(arguments, tensor);
    }
  }
  if (mode == "retried") return count_retried(arguments);
  if (mode != "tuples") throw std::invalid_argument("No such mode: " + mode);
  const std::int64_t bits = arguments.number("bits");
  if (bits < 1 || tuple_bits % bits != 0) throw std::invalid_argument("A class has 1, 2, 3, 4, 6 or 12 bits");
  const Classes classes{Grid(arguments)};
  return arguments.text("by").empty() ? count_tuples_within(arguments, classes)
                                      : count_tuples_across(arguments, classes);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const std::string mode = argc > 1 ? argv[1] : "";
    const Arguments arguments(argc, argv);
    if (mode == "values") {
      write_values(arguments);
      return 0;
    }
    const Counts counts = count(mode, arguments);
    if (std::fwrite(counts.data(), sizeof counts[0], counts.size(), stdout) != counts.size())
      throw std::runtime_error("Standard output cannot be written");
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "battery_count: %s\n", error.what());
    return 1;
  }
}
