// SPDX-License-Identifier: Apache-2.0
#include "fanin/safetensors.h"

#include <cstdint>
#include <unordered_set>

#include "config/json_text.h"
#include "fanin/error.h"

namespace fanin {

std::string safetensors_header(const std::vector<StoredTensor>& tensors,
                               const std::vector<std::pair<std::string, std::string>>& metadata) {
  detail::Json about = detail::Json::object();
  for (const auto& [key, value] : metadata) about[key] = value;
  // Concatenates text: in an ordered object, a look-up of a key takes time linear in the number of keys.
  std::string text = "{\"__metadata__\":" + detail::dump_json(about);
  std::uint64_t offset = 0;
  std::unordered_set<std::string> names{"__metadata__"};  // the format's own
  for (const StoredTensor& tensor : tensors) {
    if (!names.insert(tensor.name).second) {
      throw InvalidArgument("A safetensors file needs distinct names, none of them \"__metadata__\". Received: \"" +
                            tensor.name + "\"");
    }
    const std::uint64_t end = offset + element_count(tensor.shape) * size_of(tensor.dtype);
    const detail::Json entry{
        {"dtype", facts_of(tensor.dtype).safetensors}, {"shape", tensor.shape}, {"data_offsets", {offset, end}}};
    text += "," + detail::dump_json(tensor.name) + ":" + detail::dump_json(entry);
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
