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
  for (const SavedTensor& saved : read_checkpoint_argument(path).tensors) {
    if (saved.dtype) {
      tensors.push_back({saved.name, saved.shape, *saved.dtype});
    } else {
      std::cerr << "fanin: note: " << printable(saved.name) << " is left out: its dtype is " << saved.dtype_name
                << '\n';
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
