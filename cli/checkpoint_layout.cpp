// SPDX-License-Identifier: Apache-2.0
#include "cli/checkpoint_layout.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <string_view>
#include <unordered_map>

#include "cli/table.h"
#include "fanin/error.h"
#include "fanin/safetensors.h"

namespace fanin::cli {

namespace {

std::uint64_t bytes_of(const ModelTensor& tensor) { return element_count(tensor.shape) * size_of(tensor.dtype); }

FileLayout file_of(const std::vector<const ModelTensor*>& tensors, std::vector<std::size_t> numbers) {
  std::stable_sort(numbers.begin(), numbers.end(), [&](std::size_t a, std::size_t b) {
    return size_of(tensors[a]->dtype) > size_of(tensors[b]->dtype);
  });
  FileLayout file;
  for (const std::size_t number : numbers) {
    file.begins.push_back(file.data_bytes);
    file.data_bytes += bytes_of(*tensors[number]);
  }
  file.tensors = std::move(numbers);
  return file;
}

// Calls stretch(number of the tensor, first element, elements, offset from `first`) for each tensor that has elements
// in `bytes` bytes from byte `first` after the header on.
template <class Stretch>
void for_tensors(const FileLayout& file, const std::vector<const ModelTensor*>& tensors, std::uint64_t first,
                 std::uint64_t bytes, const Stretch& stretch) {
  const auto after = std::upper_bound(file.begins.begin(), file.begins.end(), first);
  for (auto at = static_cast<std::size_t>(after - file.begins.begin()) - 1; at < file.tensors.size(); ++at) {
    const std::uint64_t begin = file.begins[at];
    if (begin >= first + bytes) break;
    const std::uint64_t end = at + 1 < file.begins.size() ? file.begins[at + 1] : file.data_bytes;
    const std::uint64_t from = std::max(begin, first);
    const std::uint64_t to = std::min(end, first + bytes);
    if (from >= to) continue;
    const std::uint64_t size = size_of(tensors[file.tensors[at]]->dtype);
    stretch(file.tensors[at], (from - begin) / size, (to - from) / size, from - first);
  }
}

// Calls stretch(part, elements) for the stretches of parts that follow each other in `count` elements from `first` on.
template <class Stretch>
void for_parts(const ModelTensor& tensor, std::uint64_t first, std::uint64_t count, const Stretch& stretch) {
  if (tensor.parts.size() == 1) return stretch(std::size_t{0}, count);
  const std::uint64_t inner = element_count(Shape(tensor.shape.begin() + tensor.axis + 1, tensor.shape.end()));
  std::vector<std::uint64_t> ends;  // of the parts in a row
  for (const ModelPart& part : tensor.parts) ends.push_back((ends.empty() ? 0 : ends.back()) + part.size * inner);
  while (count > 0) {
    const std::uint64_t column = first % ends.back();
    const auto end = std::upper_bound(ends.begin(), ends.end(), column);
    const std::uint64_t length = std::min(count, *end - column);
    stretch(static_cast<std::size_t>(end - ends.begin()), length);
    first += length;
    count -= length;
  }
}

}  // namespace

std::vector<FileLayout> layout_of(const std::vector<const ModelTensor*>& tensors,
                                  std::optional<std::uint64_t> shard_bytes, const Metadata& metadata) {
  std::vector<std::vector<std::size_t>> shards(1);
  std::uint64_t size = 0;  // of the last one
  std::uint64_t total = 0;
  for (std::size_t j = 0; j < tensors.size(); ++j) {
    const std::uint64_t bytes = bytes_of(*tensors[j]);
    if (bytes > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()) - total) {
      throw InvalidArgument("A model has at most 2^63 - 1 bytes. The tensors up to \"" + tensors[j]->name +
                            "\" have more");
    }
    total += bytes;
    if (shard_bytes && !shards.back().empty() && (size > *shard_bytes || bytes > *shard_bytes - size)) {
      shards.emplace_back();
      size = 0;
    }
    shards.back().push_back(j);
    size += bytes;
  }
  std::vector<FileLayout> files;
  for (std::vector<std::size_t>& numbers : shards) {
    FileLayout file = file_of(tensors, std::move(numbers));
    std::array<char, 48> part{};
    std::snprintf(part.data(), part.size(), "%05zu-of-%05zu", files.size() + 1, shards.size());
    if (shards.size() > 1) file.shard = part.data();
    file.name = shards.size() == 1 ? "model.safetensors" : "model-" + file.shard + ".safetensors";
    const std::string header = header_of(file, tensors, metadata);
    file.header_bytes = header.size();
    file.header_hash = hash_text(header);
    files.push_back(std::move(file));
  }
  return files;
}

std::string header_of(const FileLayout& file, const std::vector<const ModelTensor*>& tensors,
                      const Metadata& metadata) {
  std::vector<StoredTensor> stored;
  for (const std::size_t number : file.tensors) {
    stored.push_back({tensors[number]->name, tensors[number]->shape, tensors[number]->dtype});
  }
  Metadata about = metadata;
  if (!file.shard.empty()) about.emplace_back("fanin.shard", file.shard);
  return safetensors_header(stored, about);
}

std::set<std::string> loaded_files(const std::vector<const ModelTensor*>& tensors) {
  std::set<std::string> files;
  for (const ModelTensor* tensor : tensors) {
    for (const ModelPart& part : tensor->parts) {
      if (!part.initializer) files.insert(part.load_file);
    }
  }
  return files;
}

std::string index_text(const std::vector<const ModelTensor*>& tensors, const std::vector<FileLayout>& files) {
  std::uint64_t bytes = 0;
  std::uint64_t elements = 0;
  std::map<std::string, std::string> files_of;  // sorted, as Hugging Face's are
  for (const FileLayout& file : files) {
    bytes += file.data_bytes;
    for (const std::size_t number : file.tensors) {
      elements += element_count(tensors[number]->shape);
      files_of[tensors[number]->name] = file.name;
    }
  }
  const nlohmann::ordered_json index{{"metadata", {{"total_parameters", elements}, {"total_size", bytes}}},
                                     {"weight_map", files_of}};
  return index.dump(2) + "\n";
}

std::uint64_t parse_bytes(const std::string& text, const std::string& option) {
  static constexpr std::array<std::pair<std::string_view, std::uint64_t>, 9> units{{{"KB", 1000},
                                                                                    {"MB", 1000'000},
                                                                                    {"GB", 1000'000'000},
                                                                                    {"TB", 1000'000'000'000},
                                                                                    {"KiB", std::uint64_t{1} << 10},
                                                                                    {"MiB", std::uint64_t{1} << 20},
                                                                                    {"GiB", std::uint64_t{1} << 30},
                                                                                    {"TiB", std::uint64_t{1} << 40},
                                                                                    {"B", 1}}};
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const std::string_view unit(end, static_cast<std::size_t>(text.data() + text.size() - end));
  for (const auto& [name, factor] : units) {
    if (error != std::errc() || (unit != name && !(unit.empty() && factor == 1))) continue;
    if (number > 0 && number <= std::uint64_t{1} << 62 && factor <= (std::uint64_t{1} << 62) / number) {
      return number * factor;
    }
  }
  throw InvalidArgument(option + " takes a size from 1 byte to 2^62, such as 5GB (5 * 10^9 bytes), 500MB or 2GiB. " +
                        "Received: \"" + text + "\"");
}

std::uint64_t fill_bytes(const FileLayout& file, const std::vector<const ModelTensor*>& tensors, std::uint64_t first,
                         std::uint64_t bytes, std::byte* memory) {
  std::uint64_t elements = 0;
  for_tensors(file, tensors, first, bytes,
              [&](std::size_t number, std::uint64_t element, std::uint64_t count, std::uint64_t offset) {
                fanin::fill(*tensors[number], element, count, memory + offset, 1);
                elements += count;
              });
  return elements;
}

std::vector<PartFound> statistics_of(const FileLayout& file, const std::vector<const ModelTensor*>& tensors,
                                     std::uint64_t first, std::uint64_t bytes, const std::byte* memory) {
  std::vector<PartFound> found;
  for_tensors(file, tensors, first, bytes,
              [&](std::size_t number, std::uint64_t element, std::uint64_t count, std::uint64_t offset) {
                const ModelTensor& tensor = *tensors[number];
                const std::byte* next = memory + offset;
                std::unordered_map<std::size_t, std::size_t> places;  // of the tensor's parts in `found`
                for_parts(tensor, element, count, [&](std::size_t part, std::uint64_t length) {
                  const auto [place, is_new] = places.emplace(part, found.size());
                  if (is_new) found.push_back({number, part, {}});
                  found[place->second].found.add(next, length, tensor.dtype);
                  next += length * size_of(tensor.dtype);
                });
              });
  return found;
}

}  // namespace fanin::cli
