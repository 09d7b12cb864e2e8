// SPDX-License-Identifier: Apache-2.0
#include "cli/compare.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <utility>

#include "cli/output_file.h"
#include "cli/progress.h"
#include "cli/stream.h"
#include "cli/table.h"
#include "fanin/cpu.h"

namespace fanin::cli {

namespace {

struct Found {
  std::size_t number;
  Difference difference;
};

double value_of(DType dtype, std::uint64_t bits) {
  double value = 0;
  to_binary64(&value, &bits, dtype, 1);
  return value;
}

// NaN if one of them is, unlike std::max.
double larger(double a, double b) { return std::isnan(a) || a > b ? a : b; }

// Compares elements, the first of which has the index `first`.
Difference difference_of(const SavedTensor& tensor, std::uint64_t first, std::uint64_t count, const std::byte* found,
                         const std::byte* wanted) {
  Difference result;
  const std::uint64_t size = element_bytes(tensor);
  for (std::uint64_t j = 0; j < count; ++j) {
    if (std::memcmp(found + j * size, wanted + j * size, size) == 0) continue;
    std::uint64_t a = 0;
    std::uint64_t b = 0;
    std::memcpy(&a, found + j * size, size);  // little-endian, as the file
    std::memcpy(&b, wanted + j * size, size);
    if (result.count++ == 0) {
      result.first = first + j;
      result.found = a;
      result.wanted = b;
    }
    result.is_constant = result.is_constant && a == result.found;
    if (!tensor.dtype) continue;
    result.largest = larger(result.largest, std::abs(value_of(*tensor.dtype, a) - value_of(*tensor.dtype, b)));
  }
  return result;
}

void add(Difference& whole, const Difference& part) {
  if (whole.count == 0) {
    whole = part;
    return;
  }
  whole.count += part.count;
  whole.is_constant = whole.is_constant && part.is_constant && part.found == whole.found;
  whole.largest = larger(whole.largest, part.largest);
}

}  // namespace

InputFile::InputFile(std::string path)
    : path_(std::move(path)), descriptor_(open(path_.c_str(), O_RDONLY | O_CLOEXEC)) {
  if (descriptor_ < 0) fail_with("read", path_);
}

InputFile::~InputFile() { close(descriptor_); }

void InputFile::read(std::uint64_t offset, std::size_t bytes, void* memory) const {
  if (read_at(descriptor_, memory, bytes, offset) == bytes) return;
  if (errno != 0) fail_with("read", path_);
  throw std::runtime_error("Cannot read \"" + path_ + "\": it became shorter meanwhile");
}

void InputFiles::read(const SavedTensor& tensor, std::uint64_t first, std::uint64_t count, void* memory) const {
  const std::uint64_t size = element_bytes(tensor);
  InputFile(paths_[tensor.file]).read(tensor.offset + first * size, count * size, memory);
}

std::string checkpoint_path(const std::string& argument) { return argument == "-" ? "/dev/stdin" : argument; }

Checkpoint read_checkpoint_argument(const std::string& path) { return read_checkpoint(checkpoint_path(path)); }

std::uint64_t element_bytes(const SavedTensor& tensor) {
  std::uint64_t elements = 1;
  for (const std::int64_t extent : tensor.shape) elements *= static_cast<std::uint64_t>(extent);
  return elements == 0 ? 1 : std::max<std::uint64_t>(1, tensor.bytes / elements);
}

std::vector<Difference> compare(const InputFiles& files, const std::vector<Comparison>& comparisons, int threads) {
  // All tensors as one stream, in which each begins at a multiple of 8, so that no piece cuts an element.
  std::vector<std::uint64_t> begins;
  std::uint64_t end = 0;
  for (const Comparison& comparison : comparisons) {
    begins.push_back(end);
    end += (comparison.tensor->bytes + 7) / 8 * 8;
  }
  std::vector<Difference> differences(comparisons.size());
  const auto make = [&](std::uint64_t first, std::size_t bytes, std::byte* memory) {
    std::vector<Found> found;
    const std::unique_ptr<std::byte[]> other(new std::byte[bytes]);
    const auto after = std::upper_bound(begins.begin(), begins.end(), first);
    for (auto j = static_cast<std::size_t>(after - begins.begin()) - 1; j < begins.size(); ++j) {
      if (begins[j] >= first + bytes) break;
      const SavedTensor& tensor = *comparisons[j].tensor;
      const std::uint64_t from = std::max(begins[j], first);
      const std::uint64_t to = std::min(begins[j] + tensor.bytes, first + bytes);
      if (from >= to) continue;
      const std::uint64_t size = element_bytes(tensor);
      const std::uint64_t element = (from - begins[j]) / size;
      const std::uint64_t count = (to - from) / size;
      files.read(tensor, element, count, memory + (from - first));
      comparisons[j].wanted(element, count, other.get() + (from - first));
      if (std::memcmp(memory + (from - first), other.get() + (from - first), to - from) == 0) continue;
      found.push_back(
          {j, difference_of(tensor, element, count, memory + (from - first), other.get() + (from - first))});
    }
    return found;
  };
  const int workers = threads > 0 ? threads : available_threads();
  Progress progress(end, "compared");
  stream<std::vector<Found>>(
      0, end, piece_bytes_for(workers), workers, make,
      [&](std::uint64_t first, std::size_t bytes, const std::byte* /*memory*/, const std::vector<Found>& found) {
        for (const Found& part : found) add(differences[part.number], part.difference);
        progress.update(first + bytes);
      });
  return differences;
}

std::string coordinates(const Shape& shape, std::uint64_t index) {
  Shape place = shape;
  for (std::size_t j = shape.size(); j-- > 0;) {
    const auto extent = static_cast<std::uint64_t>(shape[j]);
    place[j] = static_cast<std::int64_t>(index % extent);
    index /= extent;
  }
  return to_string(place);
}

std::string element_text(const SavedTensor& tensor, std::uint64_t bits) {
  std::array<char, 24> hexadecimal{};
  std::snprintf(hexadecimal.data(), hexadecimal.size(), "0x%0*llx", static_cast<int>(2 * element_bytes(tensor)),
                static_cast<unsigned long long>(bits));
  if (!tensor.dtype) return hexadecimal.data();
  return exact_number(value_of(*tensor.dtype, bits)) + " (" + hexadecimal.data() + ")";
}

std::string title(const SavedTensor& tensor) {
  return printable(tensor.name) + " " + to_string(tensor.shape) + " " + tensor.dtype_name;
}

std::string printable(std::string name) {
  for (std::size_t j = 0; j < name.size(); ++j) {
    const auto c = static_cast<unsigned char>(name[j]);
    const auto next = static_cast<unsigned char>(j + 1 < name.size() ? name[j + 1] : '\0');
    if (c < 0x20 || c == 0x7f) name[j] = '?';
    if (c == 0xc2 && next >= 0x80 && next < 0xa0) name.replace(j, 2, "?");  // U+0080 to U+009F in UTF-8
  }
  return name;
}

}  // namespace fanin::cli
