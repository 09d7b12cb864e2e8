// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace fanin::test {

// A NumPy file: its element type ("<f4"), its shape and its raw bytes.
struct NpyFile {
  std::string descr;
  std::vector<std::int64_t> shape;
  std::vector<unsigned char> bytes;

  template <class T>
  std::vector<T> as() const {
    const T* first = reinterpret_cast<const T*>(bytes.data());
    return {first, first + bytes.size() / sizeof(T)};
  }
};

// Throws std::runtime_error if the file is not a NumPy file.
NpyFile read_npy(const std::string& path);

std::string read_text(const std::string& path);

}  // namespace fanin::test
