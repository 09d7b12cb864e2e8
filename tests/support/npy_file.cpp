// SPDX-License-Identifier: Apache-2.0
#include "support/npy_file.h"

#include <fstream>
#include <iterator>
#include <sstream>
#include <stdexcept>

namespace fanin::test {

std::string read_text(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error("cannot read " + path);
  return {std::istreambuf_iterator<char>(file), {}};
}

namespace {

std::string between(const std::string& text, const std::string& before, const std::string& after) {
  const std::size_t begin = text.find(before);
  if (begin == std::string::npos) throw std::runtime_error("no " + before + " in " + text);
  return text.substr(begin + before.size(), text.find(after, begin + before.size()) - begin - before.size());
}

}  // namespace

NpyFile read_npy(const std::string& path) {
  const std::string all = read_text(path);
  if (all.size() < 10 || all.compare(0, 6, "\x93NUMPY") != 0) throw std::runtime_error("no NumPy file: " + path);
  const std::size_t length = static_cast<unsigned char>(all[8]) + 256u * static_cast<unsigned char>(all[9]);
  const std::string header = all.substr(10, length);
  NpyFile npy;
  npy.descr = between(header, "'descr': '", "'");
  std::istringstream extents(between(header, "'shape': (", ")"));
  for (std::string extent; std::getline(extents, extent, ',');) {
    if (extent.find_first_of("0123456789") != std::string::npos) npy.shape.push_back(std::stoll(extent));
  }
  npy.bytes.assign(all.begin() + 10 + static_cast<std::ptrdiff_t>(length), all.end());
  return npy;
}

}  // namespace fanin::test
