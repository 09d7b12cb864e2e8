// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <utility>

namespace fanin::detail {

// Keeps matrices of which only a part has been filled, so that the next part need not compute one again. It lets go of
// a matrix when the parts filled have as many elements as the matrix, or when it needs the room: it keeps two, because
// threads that fill one tensor after the other work on two at a time. All members may be called from many threads.
class MatrixStore {
 public:
  // What decides a matrix's elements.
  struct Key {
    std::uint64_t rows, columns, seed, subsequence;
    bool is_binary64;

    friend bool operator==(const Key& a, const Key& b) {
      return a.rows == b.rows && a.columns == b.columns && a.seed == b.seed && a.subsequence == b.subsequence &&
             a.is_binary64 == b.is_binary64;
    }
    std::uint64_t size() const { return rows * columns; }
  };
  using Matrix = std::shared_ptr<const void>;

  // Returns the matrix for a fill of `count` of its elements: a kept one, or make(). Of several threads that need the
  // same matrix in parts, one computes it and the others wait.
  template <class Make>
  Matrix get(const Key& key, std::uint64_t count, const Make& make) {
    std::unique_lock lock(mutex_);
    Kept* kept = nullptr;
    for (Kept& one : kept_) {
      if (one.matrix && one.key == key) kept = &one;
    }
    if (kept == nullptr) {
      if (count == key.size()) {  // nobody else needs it
        lock.unlock();
        return make();
      }
      kept = &kept_[kept_[0].last_use > kept_[1].last_use ? 1 : 0];
      kept->matrix = nullptr;  // before memory for the next one is allocated
      kept->matrix = make();
      kept->key = key;
      kept->missing = key.size();
    }
    kept->last_use = ++uses_;
    kept->missing -= count < kept->missing ? count : kept->missing;
    if (kept->missing != 0) return kept->matrix;
    kept->last_use = 0;
    return std::exchange(kept->matrix, nullptr);
  }

 private:
  struct Kept {
    Key key;
    Matrix matrix;
    std::uint64_t missing;  // elements not filled yet
    std::uint64_t last_use;
  };

  std::mutex mutex_;
  Kept kept_[2] = {};
  std::uint64_t uses_ = 0;
};

}  // namespace fanin::detail
