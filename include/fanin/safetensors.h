// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "fanin/dtype.h"
#include "fanin/export.h"
#include "fanin/shape.h"

namespace fanin {

struct StoredTensor {
  std::string name;
  Shape shape;
  DType dtype;
};

/// The maximum number of dimensions of a stored tensor: NumPy cannot load more.
inline constexpr std::size_t max_stored_rank = 64;

/// The maximum number of bytes of the JSON text in a header, which is the format's own.
inline constexpr std::uint64_t max_safetensors_header = 100'000'000;

/// The header of a safetensors file: eight bytes of length, then JSON, padded to a multiple of 8 bytes. The elements
/// follow it in the given order, little-endian and without gaps. List wider dtypes first, so that each tensor is
/// aligned. Throws InvalidArgument for an invalid shape or dtype, for a name that occurs twice or is "__metadata__",
/// and for what no reader takes: a header or a rank over the maximum, or more than 2^63 - 1 bytes of elements.
FANIN_API std::string safetensors_header(const std::vector<StoredTensor>& tensors,
                                         const std::vector<std::pair<std::string, std::string>>& metadata);

/// A tensor in a safetensors file.
struct SavedTensor {
  std::string name;
  Shape shape;
  std::string dtype_name;      ///< as in the file, for example "BF16"
  std::optional<DType> dtype;  ///< none: not a dtype of weights, or packed
  std::size_t file = 0;        ///< which of Checkpoint::files
  std::uint64_t offset = 0;    ///< of its first byte in the file
  std::uint64_t bytes = 0;
};

/// What safetensors files hold, without the elements.
struct Checkpoint {
  std::vector<std::string> files;                             ///< paths
  std::vector<SavedTensor> tensors;                           ///< file by file, in the order of their elements
  std::vector<std::pair<std::string, std::string>> metadata;  ///< of the first file
};

/// Reads the headers of a safetensors file, of the files that an index ("*.safetensors.index.json") names, or of a
/// directory: by its index, or else all its safetensors files. Throws InvalidArgument, which names the file, for one
/// that cannot be read or breaks the format: a header over the maximum or not of the right form, a name that occurs
/// twice, a dtype that does not exist, a size that does not fit the shape, elements with gaps, overlapping or outside
/// the file, or an index that does not fit the files.
FANIN_API Checkpoint read_checkpoint(const std::string& path);

}  // namespace fanin
