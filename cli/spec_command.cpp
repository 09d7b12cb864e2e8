// SPDX-License-Identifier: Apache-2.0
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "cli/commands.h"
#include "cli/compare.h"
#include "fanin/fanin.hpp"

namespace fanin::cli {

namespace {

void run(const std::string& path) {
  std::vector<StoredTensor> tensors;
  const auto leave_out = [](const SavedTensor& saved, const std::string& why) {
    std::cerr << "fanin: note: " << printable(saved.name) << " is left out: " << why << '\n';
  };
  for (const SavedTensor& saved : read_checkpoint_argument(path).tensors) {
    if (!saved.dtype) {
      leave_out(saved, "its dtype is " + saved.dtype_name);
      continue;
    }
    const StoredTensor tensor{saved.name, saved.shape, *saved.dtype};
    try {
      outline_of({tensor}, {}, "", "");
      tensors.push_back(tensor);
    } catch (const InvalidArgument& error) {
      leave_out(saved, error.what());
    }
  }
  std::cout << outline_of(tensors, {}, "model", "fanin spec " + path);
}

}  // namespace

void add_spec_command(Parser& program) {
  Command command = program.add_command("spec", "Prints a specification of a checkpoint's names, shapes and dtypes");
  auto path = std::make_shared<std::string>();
  command.require("path", *path, "FILE.safetensors, an index, a directory, or - for a file on standard input");
  command.run([path] {
    run(*path);
    return 0;
  });
}

}  // namespace fanin::cli
