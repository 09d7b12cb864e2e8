// SPDX-License-Identifier: Apache-2.0
#include "cli/file_formats.h"

#include "config/json_text.h"
#include "fanin/error.h"

namespace fanin::tool {

namespace {

std::string npy_descr(DType dtype) {
  switch (dtype) {
    case DType::float64:
      return "<f8";
    case DType::float32:
      return "<f4";
    case DType::float16:
      return "<f2";
    case DType::bfloat16:
      return "<u2";
    case DType::float8_e4m3fn:
    case DType::float8_e5m2:
      break;
  }
  return "|u1";
}

std::string safetensors_dtype(DType dtype) {
  switch (dtype) {
    case DType::float64:
      return "F64";
    case DType::float32:
      return "F32";
    case DType::float16:
      return "F16";
    case DType::bfloat16:
      return "BF16";
    case DType::float8_e4m3fn:
      return "F8_E4M3";
    case DType::float8_e5m2:
      break;
  }
  return "F8_E5M2";
}

void append_little_endian(std::string& to, std::uint64_t value, int bytes) {
  for (int j = 0; j < bytes; ++j) to += static_cast<char>(value >> (8 * j) & 0xff);
}

}  // namespace

std::string npy_header(const Shape& shape, DType dtype) {
  std::string text = "{'descr': '" + npy_descr(dtype) + "', 'fortran_order': False, 'shape': (";
  for (std::size_t j = 0; j < shape.size(); ++j) text += (j > 0 ? ", " : "") + std::to_string(shape[j]);
  text += shape.size() == 1 ? ",), }" : "), }";
  const std::size_t before = 10;  // magic, version, length
  text.append(63 - (before + text.size()) % 64, ' ');
  text += '\n';
  if (text.size() > 0xffff)
    throw InvalidArgument("A .npy file of this version cannot hold a shape of so many dimensions");
  std::string header("\x93NUMPY\x01\x00", 8);
  append_little_endian(header, text.size(), 2);
  return header + text;
}

std::string safetensors_header(const std::vector<StoredTensor>& tensors,
                               const std::vector<std::pair<std::string, std::string>>& metadata) {
  detail::Json about = detail::Json::object();
  for (const auto& [key, value] : metadata) about[key] = value;
  // Put together as text: looking up a key in an ordered object takes as long as it has keys.
  std::string text = "{\"__metadata__\":" + about.dump();
  std::uint64_t offset = 0;
  for (const StoredTensor& tensor : tensors) {
    const std::uint64_t end = offset + element_count(tensor.shape) * size_of(tensor.dtype);
    const detail::Json entry{
        {"dtype", safetensors_dtype(tensor.dtype)}, {"shape", tensor.shape}, {"data_offsets", {offset, end}}};
    text += "," + detail::Json(tensor.name).dump() + ":" + entry.dump();
    offset = end;
  }
  text += '}';
  text.append((8 - text.size() % 8) % 8, ' ');
  std::string header;
  append_little_endian(header, text.size(), 8);
  return header + text;
}

}  // namespace fanin::tool
