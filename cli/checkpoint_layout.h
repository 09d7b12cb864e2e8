// SPDX-License-Identifier: Apache-2.0
// Which tensors go to which file of a checkpoint, and what the bytes of a file are.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "cli/statistics.h"
#include "fanin/model_spec.h"

namespace fanin::cli {

using Metadata = std::vector<std::pair<std::string, std::string>>;

// One safetensors file: its header, and the tensors whose elements follow it. The header is made when it is needed, by
// header_of, because each file's repeats a specification that may be long.
struct FileLayout {
  std::string name;   // in the checkpoint's directory
  std::string shard;  // for example "00001-of-00004"; empty: the only file
  std::uint64_t header_bytes = 0;
  std::string header_hash;            // hash_text() of it
  std::vector<std::size_t> tensors;   // numbers, in the order of their elements
  std::vector<std::uint64_t> begins;  // of each tensor, in bytes after the header
  std::uint64_t data_bytes = 0;

  std::uint64_t bytes() const { return header_bytes + data_bytes; }
};

// Splits tensors into files of at most `shard_bytes` of elements, in their order, as Hugging Face does: a larger tensor
// has a file of its own. Without `shard_bytes` there is one file. In each file wider dtypes come first, so that each
// tensor is aligned. Throws InvalidArgument for what safetensors cannot hold.
std::vector<FileLayout> layout_of(const std::vector<const ModelTensor*>& tensors,
                                  std::optional<std::uint64_t> shard_bytes, const Metadata& metadata);

// The header of a file of that layout.
std::string header_of(const FileLayout& file, const std::vector<const ModelTensor*>& tensors, const Metadata& metadata);

// The files whose values the tensors take.
std::set<std::string> loaded_files(const std::vector<const ModelTensor*>& tensors);

// The text of model.safetensors.index.json, as Hugging Face writes it.
std::string index_text(const std::vector<const ModelTensor*>& tensors, const std::vector<FileLayout>& files);

inline constexpr const char* index_name = "model.safetensors.index.json";

// A number of bytes such as 5GB, 500MB or 1GiB: decimal but for KiB, MiB, GiB and TiB.
std::uint64_t parse_bytes(const std::string& text, const std::string& option);

// The statistics of a part of a tensor.
struct PartFound {
  std::size_t tensor;
  std::size_t part;
  Statistics found;
};

// Fills `bytes` bytes of a file, from byte `first` after its header on, on this thread. Returns the
// number of elements.
std::uint64_t fill_bytes(const FileLayout& file, const std::vector<const ModelTensor*>& tensors, std::uint64_t first,
                         std::uint64_t bytes, std::byte* memory);

// The statistics of those bytes, by part.
std::vector<PartFound> statistics_of(const FileLayout& file, const std::vector<const ModelTensor*>& tensors,
                                     std::uint64_t first, std::uint64_t bytes, const std::byte* memory);

}  // namespace fanin::cli
