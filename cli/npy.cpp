// SPDX-License-Identifier: Apache-2.0
#include "cli/npy.h"

#include "fanin/error.h"

namespace fanin::cli {

std::string npy_header(const Shape& shape, DType dtype) {
  std::string text = "{'descr': '" + std::string(facts_of(dtype).numpy) + "', 'fortran_order': False, 'shape': (";
  for (std::size_t j = 0; j < shape.size(); ++j) text += (j > 0 ? ", " : "") + std::to_string(shape[j]);
  text += shape.size() == 1 ? ",), }" : "), }";
  const std::size_t before = 10;  // magic, version, length
  text.append(63 - (before + text.size()) % 64, ' ');
  text += '\n';
  if (text.size() > 0xffff)
    throw InvalidArgument("A .npy file of this version cannot hold a shape of so many dimensions");
  std::string header("\x93NUMPY\x01\x00", 8);
  header += static_cast<char>(text.size() & 0xff);  // little-endian
  header += static_cast<char>(text.size() >> 8);
  return header + text;
}

}  // namespace fanin::cli
