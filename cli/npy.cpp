// SPDX-License-Identifier: Apache-2.0
#include "cli/npy.h"

#include "fanin/error.h"

namespace fanin::cli {

std::string npy_header(const Shape& shape, DType dtype) {
  constexpr std::size_t most = 64;
  if (shape.size() > most) {
    throw InvalidArgument("NumPy loads at most 64 dimensions. Received: " + std::to_string(shape.size()));
  }
  if (facts_of(dtype).is_packed()) {
    throw InvalidArgument("NumPy has no packed elements, as those of " + std::string(name_of(dtype)) +
                          " are. Write the elements alone: --format bin");
  }
  std::string text = "{'descr': '" + std::string(facts_of(dtype).numpy) + "', 'fortran_order': False, 'shape': (";
  for (std::size_t j = 0; j < shape.size(); ++j) text += (j > 0 ? ", " : "") + std::to_string(shape[j]);
  text += shape.size() == 1 ? ",), }" : "), }";
  const std::size_t before = 10;  // magic, version, length
  text.append(63 - (before + text.size()) % 64, ' ');
  text += '\n';
  std::string header("\x93NUMPY\x01\x00", 8);
  header += static_cast<char>(text.size() & 0xff);  // little-endian
  header += static_cast<char>(text.size() >> 8);
  return header + text;
}

}  // namespace fanin::cli
