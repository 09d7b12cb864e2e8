// SPDX-License-Identifier: Apache-2.0
// Compares tensors in files with other bytes, in pieces and on several threads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "fanin/safetensors.h"

namespace fanin::cli {

// Reads bytes of a file. All members may be called from many threads. Throws std::runtime_error with the path.
class InputFile {
 public:
  explicit InputFile(std::string path);
  ~InputFile();
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;

  void read(std::uint64_t offset, std::size_t bytes, void* memory) const;

 private:
  std::string path_;
  int descriptor_;
};

// The files of a checkpoint. Each is open only while it is read: there can be more than a process may have open.
class InputFiles {
 public:
  explicit InputFiles(const Checkpoint& checkpoint) : paths_(checkpoint.files) {}
  // Elements [first, first + count) of a tensor.
  void read(const SavedTensor& tensor, std::uint64_t first, std::uint64_t count, void* memory) const;

 private:
  std::vector<std::string> paths_;
};

// The bytes of an element; 1 for elements of less than a byte.
std::uint64_t element_bytes(const SavedTensor& tensor);

// The path that a command's argument means; "-" is the standard input, which must be a file.
std::string checkpoint_path(const std::string& argument);

// Reads the headers of the checkpoint there.
Checkpoint read_checkpoint_argument(const std::string& path);

// A tensor and what it is compared with: wanted(first, count, memory) writes elements, and may be called from many
// threads.
struct Comparison {
  const SavedTensor* tensor;
  std::function<void(std::uint64_t, std::uint64_t, void*)> wanted;
};

struct Difference {
  std::uint64_t count = 0;  // of elements whose bits differ
  std::uint64_t first = 0;  // index of the first one, in row-major order
  std::uint64_t found = 0;  // its bits
  std::uint64_t wanted = 0;
  bool is_constant = true;  // all elements that differ have the bits `found`
  double largest = 0;       // absolute difference, of dtypes that fanin knows
};

// One result for each comparison. Shows a progress bar.
std::vector<Difference> compare(const InputFiles& files, const std::vector<Comparison>& comparisons, int threads);

// "[3, 17]"
std::string coordinates(const Shape& shape, std::uint64_t index);

// An element as a number and in hexadecimal.
std::string element_text(const SavedTensor& tensor, std::uint64_t bits);

// A tensor's name, shape and dtype: "wte.weight [50257, 768] F32".
std::string title(const SavedTensor& tensor);

// Replaces control characters, so that a name cannot control the terminal.
std::string printable(std::string name);

}  // namespace fanin::cli
