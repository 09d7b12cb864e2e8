// SPDX-License-Identifier: Apache-2.0
#include "fanin/safetensors.h"

#include <cstdint>

#include "config/json_text.h"

namespace fanin {

std::string safetensors_header(const std::vector<StoredTensor>& tensors,
                               const std::vector<std::pair<std::string, std::string>>& metadata) {
  detail::Json about = detail::Json::object();
  for (const auto& [key, value] : metadata) about[key] = value;
  // Concatenates text: in an ordered object, a look-up of a key takes time linear in the number of keys.
  std::string text = "{\"__metadata__\":" + about.dump();
  std::uint64_t offset = 0;
  for (const StoredTensor& tensor : tensors) {
    const std::uint64_t end = offset + element_count(tensor.shape) * size_of(tensor.dtype);
    const detail::Json entry{
        {"dtype", facts_of(tensor.dtype).safetensors}, {"shape", tensor.shape}, {"data_offsets", {offset, end}}};
    text += "," + detail::Json(tensor.name).dump() + ":" + entry.dump();
    offset = end;
  }
  text += '}';
  text.append((8 - text.size() % 8) % 8, ' ');
  std::string header;
  for (int j = 0; j < 8; ++j)
    header += static_cast<char>(std::uint64_t{text.size()} >> (8 * j) & 0xff);  // little-endian
  return header + text;
}

}  // namespace fanin
