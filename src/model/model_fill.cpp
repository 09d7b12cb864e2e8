// SPDX-License-Identifier: Apache-2.0
// Fills model tensors, part by part.
#include <algorithm>
#include <cstddef>
#include <fstream>
#include <string>
#include <vector>

#include "api/access.h"
#include "api/destination.h"
#include "cpu/fill.h"
#include "fanin/error.h"
#include "fanin/model_spec.h"
#include "params/fill_job.h"

namespace fanin {

namespace {

// A tensor in memory: `rows` rows of `row` elements, of which each part has `inner` times its size, side by side.
struct Rows {
  std::uint64_t row = 1;
  std::uint64_t inner = 1;
};

Rows rows_of(const ModelTensor& tensor) {
  Rows rows;
  if (tensor.shape.empty()) return rows;
  const auto axis = tensor.shape.begin() + tensor.axis;
  rows.inner = element_count(Shape(axis + 1, tensor.shape.end()));
  rows.row = rows.inner * static_cast<std::uint64_t>(*axis);
  return rows;
}

// Collects what is to be filled and hands it to the back end in batches, so that threads share the work of small parts.
class Jobs {
 public:
  Jobs(DType dtype, int threads) : destination_(host, run_options(threads)), dtype_(dtype), threads_(threads) {}

  // Elements [first, first + count) of a part whose rows of `width` elements are `pitch` elements apart; the first one
  // goes to `address`.
  void add(const FillParams& params, std::uint64_t first, std::uint64_t count, std::uint64_t width, std::uint64_t pitch,
           std::byte* address) {
    FillParams stretch = params;  // of a whole tensor: one loop from 0 on
    stretch.index.start = first;
    stretch.index.count = stretch.index.extent[0] = count;
    View view{address, dtype_, ~std::size_t{0}, host};
    if (count > width) view.leading_dimension = pitch;
    jobs_.push_back(destination_.job_for(view, stretch, width));
    if (jobs_.size() == most) flush();
  }

  void flush() {
    if (!jobs_.empty()) cpu::fill(jobs_.data(), jobs_.size(), {threads_, cpu_target()});
    jobs_.clear();
  }

 private:
  static constexpr std::size_t most = 1024;

  static RunOptions run_options(int threads) {
    RunOptions options;
    options.threads = threads;
    return options;
  }

  detail::Destination destination_;
  DType dtype_;
  int threads_;
  std::vector<FillJob> jobs_;
};

// Copies bytes of a file to memory.
class File {
 public:
  explicit File(const std::string& path) : path_(path), file_(path, std::ios::binary) {}

  void read(std::uint64_t offset, std::uint64_t bytes, std::byte* to) {
    file_.seekg(static_cast<std::streamoff>(offset));
    file_.read(reinterpret_cast<char*>(to), static_cast<std::streamsize>(bytes));
    if (file_) return;
    throw InvalidArgument("Cannot read " + std::to_string(bytes) + " bytes at " + std::to_string(offset) + " of \"" +
                          path_ + "\", which the specification loads");
  }

 private:
  std::string path_;
  std::ifstream file_;
};

void fill_range(const ModelTensor& tensor, std::uint64_t first, std::uint64_t count, void* out, int threads) {
  const std::uint64_t size = element_count(tensor.shape);
  if (first > size || count > size - first) {
    throw InvalidArgument("A tensor of " + std::to_string(size) + " elements has no range of " + std::to_string(count) +
                          " elements from number " + std::to_string(first) + " on");
  }
  if (count == 0) return;
  const std::uint64_t last = first + count;
  const Rows rows = rows_of(tensor);
  Jobs jobs(tensor.dtype, threads);
  auto* const bytes = static_cast<std::byte*>(out);
  std::uint64_t begin = 0;  // of the part in a row
  for (const ModelPart& part : tensor.parts) {
    const std::uint64_t width = part.size * rows.inner;
    const std::uint64_t part_begin = begin;
    begin += width;
    if (width == 0) continue;
    // The part's elements [low, high) in the range.
    const auto elements_before = [&](std::uint64_t end) {
      const std::uint64_t row = end / rows.row;
      const std::uint64_t column = end % rows.row;
      return row * width + std::clamp(column, part_begin, part_begin + width) - part_begin;
    };
    const std::uint64_t low = elements_before(first);
    const std::uint64_t high = elements_before(last);
    if (low == high) continue;
    if (!part.initializer) {
      const std::uint64_t bytes_each = size_of(tensor.dtype);
      File file(part.load_file);
      for (std::uint64_t from = low; from < high;) {  // row by row
        const std::uint64_t n = std::min(high - from, width - from % width);
        const std::uint64_t place = from / width * rows.row + part_begin + from % width;
        file.read(part.load_offset + from * bytes_each, n * bytes_each, bytes + (place - first) * bytes_each);
        from += n;
      }
      continue;
    }
    const FillParams params = part.initializer->params(part.shape, tensor.dtype, part.options());
    const auto add = [&](std::uint64_t from, std::uint64_t to) {
      if (from == to) return;
      const std::uint64_t place = from / width * rows.row + part_begin + from % width;
      jobs.add(params, from, to - from, width, rows.row, bytes + bytes_of(tensor.dtype, place - first));
    };
    // A row that the range cuts at its beginning, whole rows, and a row that it cuts at its end.
    const std::uint64_t whole_from = std::min(high, (low + width - 1) / width * width);
    const std::uint64_t whole_to = std::max(whole_from, high / width * width);
    add(low, whole_from);
    add(whole_from, whole_to);
    add(whole_to, high);
  }
  jobs.flush();
}

}  // namespace

void fill(const ModelTensor& tensor, std::uint64_t first, std::uint64_t count, void* out, int threads) {
  try {
    fill_range(tensor, first, count, out, threads);
  } catch (const InvalidArgument& error) {
    throw InvalidArgument(std::string(error.what()) + " (for the tensor \"" + tensor.name + "\")");
  }
}

}  // namespace fanin
