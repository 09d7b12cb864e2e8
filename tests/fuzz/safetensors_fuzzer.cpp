// SPDX-License-Identifier: Apache-2.0
// Files of the safetensors format. The last byte of the input chooses: 0 is a file as it stands, 1 is the JSON text of
// a header, which gets its length and as many bytes of elements as the byte before says, and 2 is an index of two
// files.
#include <fuzzer/FuzzedDataProvider.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "fanin/fanin.hpp"
#include "fuzz/fuzz.h"

namespace fs = std::filesystem;
using fanin::fuzz::is_accepted;
using fanin::fuzz::require;

namespace {

// A folder of this process, removed at its end.
struct Folder {
  fs::path path = fs::temp_directory_path() / ("fanin-fuzz-" + std::to_string(getpid()));
  Folder() { fs::create_directory(path); }
  ~Folder() { fs::remove_all(path); }
};

void write(const fs::path& path, const std::string& bytes) { std::ofstream(path, std::ios::binary) << bytes; }

std::string file_with(const std::string& header, std::size_t bytes) {
  std::string file;
  for (int j = 0; j < 8; ++j) file += static_cast<char>(std::uint64_t{header.size()} >> (8 * j) & 0xff);
  return file + header + std::string(bytes, '\x55');
}

void use(const fs::path& path) {
  const fanin::Checkpoint checkpoint = fanin::read_checkpoint(path.string());
  for (const fanin::SavedTensor& tensor : checkpoint.tensors) {
    require(tensor.file < checkpoint.files.size(), "a tensor is in one of the files");
    const std::uint64_t size = fs::file_size(checkpoint.files[tensor.file]);
    require(tensor.bytes <= size && tensor.offset <= size - tensor.bytes, "a tensor lies inside its file");
    if (tensor.dtype)
      require(tensor.bytes == element_count(tensor.shape) * size_of(*tensor.dtype), "a tensor has its size");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const Folder folder;
  FuzzedDataProvider input(data, size);
  const fs::path file = folder.path / "a.safetensors";
  switch (input.ConsumeIntegralInRange(0, 2)) {
    case 0:
      write(file, input.ConsumeRemainingBytesAsString());
      is_accepted([&] { use(file); });
      break;
    case 1: {
      const auto bytes = input.ConsumeIntegralInRange<std::size_t>(0, 255);
      write(file, file_with(input.ConsumeRemainingBytesAsString(), bytes));
      is_accepted([&] { use(file); });
      break;
    }
    default: {
      const fs::path index = folder.path / "model.safetensors.index.json";
      write(file, file_with(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", 8));
      write(folder.path / "b.safetensors", file_with(R"({"b":{"dtype":"BF16","shape":[],"data_offsets":[0,2]}})", 2));
      write(index, input.ConsumeRemainingBytesAsString());
      is_accepted([&] { use(index); });
      is_accepted([&] { use(folder.path); });
      fs::remove(index);
      break;
    }
  }
  return 0;
}
