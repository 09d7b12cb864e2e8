// SPDX-License-Identifier: Apache-2.0
// Reads the headers of safetensors files.
#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <limits>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "base/text.h"
#include "config/json_text.h"
#include "fanin/error.h"
#include "fanin/safetensors.h"

namespace fanin {

namespace {

namespace fs = std::filesystem;
using detail::Json;

// The format's dtypes and their bits: safetensors 0.8, enum Dtype.
constexpr std::array<std::pair<std::string_view, unsigned>, 22> format_dtypes{
    {{"BOOL", 8},    {"F4", 4},      {"F6_E2M3", 6},     {"F6_E3M2", 6},    {"U8", 8},   {"I8", 8},
     {"F8_E5M2", 8}, {"F8_E4M3", 8}, {"F8_E8M0", 8},     {"I16", 16},       {"U16", 16}, {"F16", 16},
     {"BF16", 16},   {"I32", 32},    {"U32", 32},        {"F32", 32},       {"C64", 64}, {"F64", 64},
     {"I64", 64},    {"U64", 64},    {"F8_E4M3FNUZ", 8}, {"F8_E5M2FNUZ", 8}}};

[[noreturn]] void refuse(const std::string& path, const std::string& reason) {
  throw InvalidArgument("\"" + path + "\" is not a right safetensors file: " + reason);
}

[[noreturn]] void cannot_read(const std::string& path, int error) {
  throw InvalidArgument("Cannot read \"" + path + "\": " + std::strerror(error));
}

// The offsets of a tensor's elements count from the end of the header.
struct Range {
  std::uint64_t begin, end;
};

// Receives the events of the header's JSON, so that a header of 100 MB needs no tree of values.
class HeaderReader : public nlohmann::json_sax<Json> {
 public:
  explicit HeaderReader(const std::string& path) : path_(path) {}

  std::vector<SavedTensor> tensors;
  std::vector<Range> ranges;  // of each tensor
  std::vector<std::pair<std::string, std::string>> metadata;

  bool null() override { unexpected("null"); }
  bool boolean(bool /*value*/) override { unexpected("a Boolean"); }
  bool number_integer(number_integer_t /*value*/) override { unexpected("a negative number"); }
  bool number_float(number_float_t /*value*/, const string_t& text) override { unexpected(text); }
  bool binary(binary_t& /*value*/) override { unexpected("binary data"); }

  bool number_unsigned(number_unsigned_t value) override {
    if (place_ == Place::shape) {
      if (value > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) unexpected("a huge extent");
      tensors.back().shape.push_back(static_cast<std::int64_t>(value));
    } else if (place_ == Place::offsets && count_ < 2) {
      (count_++ == 0 ? ranges.back().begin : ranges.back().end) = value;
    } else {
      unexpected("a number");
    }
    return true;
  }

  bool string(string_t& value) override {
    if (place_ == Place::metadata) {
      metadata.emplace_back(key_, value);
    } else if (place_ == Place::tensor && key_ == "dtype") {
      tensors.back().dtype_name = value;
    } else {
      unexpected("a string");
    }
    return true;
  }

  bool start_object(std::size_t /*size*/) override {
    if (place_ == Place::outside) {
      place_ = Place::header;
    } else if (place_ == Place::header && key_ == "__metadata__") {
      place_ = Place::metadata;
      keys_.clear();
    } else if (place_ == Place::header) {
      place_ = Place::tensor;
      keys_.clear();
      tensors.emplace_back();
      tensors.back().name = key_;
      ranges.push_back({0, 0});
    } else {
      unexpected("an object");
    }
    return true;
  }

  bool key(string_t& value) override {
    const bool is_new = place_ == Place::header ? names_.insert(value).second : keys_.insert(value).second;
    if (!is_new) refuse(path_, where() + "the key \"" + value + "\" occurs twice");
    if (place_ == Place::tensor && value != "dtype" && value != "shape" && value != "data_offsets") {
      refuse(path_, where() + "unknown key \"" + value + "\"");
    }
    key_ = value;
    return true;
  }

  bool end_object() override {
    if (place_ == Place::metadata) keys_ = std::unordered_set<std::string>();  // clear() would keep its many buckets
    if (place_ == Place::tensor && keys_.size() < 3) {
      refuse(path_, where() + "it needs \"dtype\", \"shape\" and \"data_offsets\"");
    }
    place_ = place_ == Place::header ? Place::outside : Place::header;
    return true;
  }

  bool start_array(std::size_t /*size*/) override {
    if (place_ != Place::tensor || key_ == "dtype") unexpected("a list");
    place_ = key_ == "shape" ? Place::shape : Place::offsets;
    count_ = 0;
    return true;
  }

  bool end_array() override {
    if (place_ == Place::offsets && count_ != 2) refuse(path_, where() + "\"data_offsets\" needs two numbers");
    place_ = Place::tensor;
    return true;
  }

  bool parse_error(std::size_t position, const std::string& /*token*/, const Json::exception& /*error*/) override {
    refuse(path_, "its header is malformed JSON at byte " + std::to_string(position + 7));
  }

 private:
  enum class Place : std::uint8_t { outside, header, metadata, tensor, shape, offsets };

  std::string where() const {
    if (place_ == Place::metadata) return "\"__metadata__\": ";
    return place_ < Place::tensor ? "" : "tensor \"" + tensors.back().name + "\": ";
  }

  [[noreturn]] void unexpected(const std::string& what) const {
    refuse(path_, where() + what + " where the format has none" + (key_.empty() ? "" : ", after \"" + key_ + "\""));
  }

  std::string path_;
  Place place_ = Place::outside;
  std::string key_;
  unsigned count_ = 0;                     // of numbers in a list
  std::unordered_set<std::string> names_;  // keys of the header
  std::unordered_set<std::string> keys_;   // of the object inside it
};

// The bytes of a tensor's elements.
std::uint64_t bytes_of(const SavedTensor& tensor, const std::string& path) {
  const std::string where = "tensor \"" + tensor.name + "\": ";
  const auto* found = std::find_if(format_dtypes.begin(), format_dtypes.end(),
                                   [&](const auto& dtype) { return dtype.first == tensor.dtype_name; });
  if (found == format_dtypes.end()) {
    std::vector<std::string> names;
    names.reserve(format_dtypes.size());
    for (const auto& dtype : format_dtypes) names.emplace_back(dtype.first);
    refuse(path, where + "the dtype \"" + tensor.dtype_name + "\" is none of the format's: " + detail::list_of(names));
  }
  if (tensor.shape.size() > max_stored_rank) {
    refuse(path, where + std::to_string(tensor.shape.size()) + " dimensions; at most " +
                     std::to_string(max_stored_rank) + " can be loaded");
  }
  std::uint64_t bits = found->second;
  const bool empty = std::find(tensor.shape.begin(), tensor.shape.end(), 0) != tensor.shape.end();
  for (const std::int64_t extent : tensor.shape) {
    if (empty) return 0;
    if (bits > std::numeric_limits<std::uint64_t>::max() / static_cast<std::uint64_t>(extent)) {
      refuse(path, where + "the shape " + to_string(tensor.shape) + " has more bits than 64 bits can count");
    }
    bits *= static_cast<std::uint64_t>(extent);
  }
  if (bits % 8 != 0) refuse(path, where + "its elements are not a whole number of bytes");
  return bits / 8;
}

// Specifications have no packed elements.
std::optional<DType> dtype_of(const std::string& name) {
  for (const DTypeFacts& facts : dtypes()) {
    if (facts.is_packed()) continue;
    if (facts.safetensors == name) return facts.dtype;
  }
  return {};
}

// Appends a file and its tensors.
void add_file(Checkpoint& checkpoint, const std::string& path) {
  std::error_code error;
  if (fs::is_directory(path, error)) cannot_read(path, EISDIR);
  if (fs::exists(path, error) && !fs::is_regular_file(path, error)) {
    throw InvalidArgument("Cannot read \"" + path +
                          "\": it is no file, but a pipe or a device. A checkpoint is read at " +
                          "any of its places; write what comes from there to a file first");
  }
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  if (!file) cannot_read(path, errno == 0 ? EIO : errno);
  const std::uint64_t file_size = fs::file_size(path, error);
  if (error) cannot_read(path, error.value());
  std::array<unsigned char, 8> prefix{};
  if (file_size < 8 || !file.read(reinterpret_cast<char*>(prefix.data()), 8)) {
    refuse(path, "it has " + std::to_string(file_size) + " bytes; the format begins with 8 bytes of length");
  }
  std::uint64_t length = 0;
  for (std::size_t j = 8; j-- > 0;) length = length << 8 | prefix[j];
  if (length > max_safetensors_header) {
    refuse(path, "its first 8 bytes give a header of " + std::to_string(length) + " bytes; at most " +
                     std::to_string(max_safetensors_header) + " are allowed");
  }
  if (length > file_size - 8) {
    refuse(path, "its header has " + std::to_string(length) + " bytes, but only " + std::to_string(file_size - 8) +
                     " follow its length");
  }
  std::string text(length, '\0');
  if (!file.read(text.data(), static_cast<std::streamsize>(length))) cannot_read(path, EIO);
  if (text.empty() || text[0] != '{') refuse(path, "its header does not begin with {");
  // The parser takes a NUL byte for the end of the text.
  if (text.find('\0') != std::string::npos) refuse(path, "its header has a NUL byte");

  HeaderReader reader(path);
  try {
    Json::sax_parse(text, &reader);
  } catch (const Json::exception&) {
    refuse(path, "its header is malformed JSON");
  }
  std::vector<std::size_t> order(reader.tensors.size());
  for (std::size_t j = 0; j < order.size(); ++j) order[j] = j;
  const auto& ranges = reader.ranges;
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return ranges[a].begin != ranges[b].begin ? ranges[a].begin < ranges[b].begin : ranges[a].end < ranges[b].end;
  });
  std::uint64_t end = 0;
  for (const std::size_t j : order) {
    SavedTensor& tensor = reader.tensors[j];
    const auto [from, to] = ranges[j];
    const std::string where = "tensor \"" + tensor.name + "\": ";
    tensor.bytes = bytes_of(tensor, path);
    tensor.dtype = dtype_of(tensor.dtype_name);
    const std::string offsets = "[" + std::to_string(from) + ", " + std::to_string(to) + "]";
    if (from > to || to - from != tensor.bytes) {
      refuse(path, where + "its offsets " + offsets + " do not fit the " + std::to_string(tensor.bytes) +
                       " bytes of its shape " + to_string(tensor.shape) + " and dtype " + tensor.dtype_name);
    }
    if (to > file_size - 8 - length) {
      refuse(path, where + "its offsets " + offsets + " end outside the file, which has " +
                       std::to_string(file_size - 8 - length) + " bytes of elements");
    }
    if (from != end) {
      refuse(path, where + "its offsets " + offsets + " " + (from < end ? "overlap" : "leave a gap after") +
                       " the tensor before it, which ends at " + std::to_string(end));
    }
    end = to;
    tensor.offset = 8 + length + from;
    tensor.file = checkpoint.files.size();
    checkpoint.tensors.push_back(std::move(tensor));
  }
  if (end != file_size - 8 - length) {
    refuse(path, "its tensors end at byte " + std::to_string(end) + " of " + std::to_string(file_size - 8 - length) +
                     " bytes of elements");
  }
  if (checkpoint.files.empty()) checkpoint.metadata = std::move(reader.metadata);
  checkpoint.files.push_back(path);
}

void check_names(const Checkpoint& checkpoint) {
  std::unordered_map<std::string_view, std::size_t> files;
  for (const SavedTensor& tensor : checkpoint.tensors) {
    const auto [other, is_new] = files.insert({tensor.name, tensor.file});
    if (is_new) continue;
    throw InvalidArgument("The tensor \"" + tensor.name + "\" is in two files: \"" + checkpoint.files[other->second] +
                          "\" and \"" + checkpoint.files[tensor.file] + "\"");
  }
}

Checkpoint read_indexed(const std::string& path) {
  const auto refuse_index = [&](const std::string& reason) {
    throw InvalidArgument("\"" + path + "\" is not a right index of safetensors files: " + reason);
  };
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  if (!file) cannot_read(path, errno == 0 ? EIO : errno);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  Json json;
  try {
    json = detail::parse_json(text);
  } catch (const InvalidArgument& error) {
    refuse_index(error.what());
  }
  if (!json.is_object() || !json.contains("weight_map") || !json["weight_map"].is_object()) {
    refuse_index("it needs \"weight_map\", an object of file names by tensor");
  }
  if (json["weight_map"].empty()) refuse_index("its \"weight_map\" names no tensor");
  std::map<std::string, std::size_t> numbers;  // of the files, in the order of their names
  std::unordered_map<std::string, std::string> wanted;
  for (const auto& item : json["weight_map"].items()) {
    if (!item.value().is_string()) refuse_index("\"weight_map\": \"" + item.key() + "\" needs a file's name");
    const auto name = item.value().get<std::string>();
    // A file elsewhere is no part of this checkpoint.
    if (name.empty() || name == ".." || name.find('/') != std::string::npos || name.find('\0') != std::string::npos) {
      refuse_index("\"weight_map\": \"" + item.key() + "\" needs the name of a file beside the index. Received: \"" +
                   name + "\"");
    }
    numbers.insert({name, 0});
    wanted.insert({item.key(), name});
  }
  Checkpoint checkpoint;
  const fs::path folder = fs::path(path).parent_path();
  for (auto& [name, number] : numbers) {
    number = checkpoint.files.size();
    add_file(checkpoint, (folder / name).string());
  }
  check_names(checkpoint);
  for (const SavedTensor& tensor : checkpoint.tensors) {
    const auto found = wanted.find(tensor.name);
    if (found == wanted.end()) {
      refuse_index("it does not name the tensor \"" + tensor.name + "\" of \"" + checkpoint.files[tensor.file] + "\"");
    }
    if (numbers[found->second] != tensor.file) {
      refuse_index("the tensor \"" + tensor.name + "\" is in \"" + checkpoint.files[tensor.file] + "\", not in \"" +
                   found->second + "\"");
    }
    wanted.erase(found);
  }
  if (!wanted.empty()) {
    refuse_index("\"" + wanted.begin()->second + "\" has no tensor \"" + wanted.begin()->first + "\"");
  }
  return checkpoint;
}

bool ends_with(const std::string& text, std::string_view end) {
  return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

constexpr std::string_view file_ending = ".safetensors";
constexpr std::string_view index_ending = ".safetensors.index.json";

Checkpoint read_directory(const std::string& path) {
  std::vector<std::string> files;
  std::vector<std::string> indices;
  std::error_code error;
  for (fs::directory_iterator entry(path, error), end; !error && entry != end; entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    if (ends_with(name, index_ending)) indices.push_back(entry->path().string());
    if (ends_with(name, file_ending)) files.push_back(entry->path().string());
  }
  if (error) cannot_read(path, error.value());
  if (indices.size() == 1) return read_indexed(indices[0]);
  if (indices.size() > 1) {
    std::sort(indices.begin(), indices.end());
    throw InvalidArgument("The directory \"" + path + "\" has several indices; name one, for example \"" + indices[0] +
                          "\"");
  }
  if (files.empty()) throw InvalidArgument("The directory \"" + path + "\" has no safetensors file");
  std::sort(files.begin(), files.end());
  Checkpoint checkpoint;
  for (const std::string& file : files) add_file(checkpoint, file);
  check_names(checkpoint);
  return checkpoint;
}

}  // namespace

Checkpoint read_checkpoint(const std::string& path) {
  std::error_code ignored;
  if (fs::is_directory(path, ignored)) return read_directory(path);
  if (ends_with(path, ".json")) return read_indexed(path);
  Checkpoint checkpoint;
  add_file(checkpoint, path);
  return checkpoint;
}

}  // namespace fanin
