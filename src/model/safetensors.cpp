// SPDX-License-Identifier: Apache-2.0
#include "fanin/safetensors.h"

#include <limits>
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
    if (tensor.shape.size() > max_stored_rank) {
      throw InvalidArgument("The tensor \"" + tensor.name + "\" has " + std::to_string(tensor.shape.size()) +
                            " dimensions; NumPy loads at most " + std::to_string(max_stored_rank));
    }
    const std::uint64_t bytes = bytes_of(tensor.dtype, element_count(tensor.shape));  // at most 2^59
    if (bytes > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()) - offset) {
      throw InvalidArgument("A file has at most 2^63 - 1 bytes. The tensors up to \"" + tensor.name + "\" have more");
    }
    const std::uint64_t end = offset + bytes;
    const detail::Json entry{
        {"dtype", facts_of(tensor.dtype).safetensors}, {"shape", tensor.shape}, {"data_offsets", {offset, end}}};
    text += "," + detail::dump_json(tensor.name) + ":" + detail::dump_json(entry);
    offset = end;
  }
  text += '}';
  text.append((8 - text.size() % 8) % 8, ' ');
  if (text.size() > max_safetensors_header) {
    throw InvalidArgument("The header of a safetensors file has at most " + std::to_string(max_safetensors_header) +
                          " bytes. The names and shapes of " + std::to_string(tensors.size()) + " tensors take " +
                          std::to_string(text.size()) + "; write several files (fanin model --shard-size)");
  }
  std::string header;
  for (int j = 0; j < 8; ++j)
    header += static_cast<char>(std::uint64_t{text.size()} >> (8 * j) & 0xff);  // little-endian
  return header + text;
}

}  // namespace fanin
