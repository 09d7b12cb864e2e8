// SPDX-License-Identifier: Apache-2.0
#include <iostream>
#include <memory>
#include <string>
#include <unordered_map>

#include "cli/arguments.h"
#include "cli/commands.h"
#include "cli/compare.h"
#include "cli/table.h"

namespace fanin::cli {

namespace {

struct Arguments {
  std::string a;
  std::string b;
  int threads = 0;
};

// Returns the exit status.
int run(const Arguments& arguments) {
  const Checkpoint a = read_checkpoint_argument(arguments.a);
  const Checkpoint b = read_checkpoint_argument(arguments.b);
  const InputFiles files_a(a);
  const InputFiles files_b(b);
  std::unordered_map<std::string, const SavedTensor*> others;
  for (const SavedTensor& tensor : b.tensors) others[tensor.name] = &tensor;
  std::size_t different = 0;
  std::vector<Comparison> comparisons;
  std::vector<const SavedTensor*> partners;
  for (const SavedTensor& tensor : a.tensors) {
    const auto found = others.find(tensor.name);
    if (found == others.end()) {
      std::cout << title(tensor) << ": only in " << arguments.a << '\n';
      ++different;
      continue;
    }
    const SavedTensor* other = found->second;
    others.erase(found);
    if (tensor.shape != other->shape || tensor.dtype_name != other->dtype_name) {
      std::cout << title(tensor) << ": in " << arguments.b << " it is " << to_string(other->shape) << ' '
                << other->dtype_name << '\n';
      ++different;
      continue;
    }
    comparisons.push_back({&tensor, [&files_b, other](std::uint64_t first, std::uint64_t count, void* memory) {
                             files_b.read(*other, first, count, memory);
                           }});
  }
  for (const SavedTensor& tensor : b.tensors) {
    if (others.count(tensor.name) == 0) continue;
    std::cout << title(tensor) << ": only in " << arguments.b << '\n';
    ++different;
  }
  const std::vector<Difference> differences = compare(files_a, comparisons, arguments.threads);
  std::uint64_t bytes = 0;
  for (std::size_t j = 0; j < comparisons.size(); ++j) {
    const SavedTensor& tensor = *comparisons[j].tensor;
    const Difference& difference = differences[j];
    bytes += tensor.bytes;
    if (difference.count == 0) continue;
    ++different;
    const std::uint64_t elements = tensor.bytes / element_bytes(tensor);
    const bool in_bytes = elements != element_count(tensor.shape);  // they have less than a byte
    std::cout << title(tensor) << ": " << difference.count << " of " << elements
              << (in_bytes ? " bytes differ; at byte " : " elements differ; at ")
              << (in_bytes ? std::to_string(difference.first) : coordinates(tensor.shape, difference.first))
              << " they are " << element_text(tensor, difference.found) << " and "
              << element_text(tensor, difference.wanted);
    if (tensor.dtype) std::cout << "; the largest difference is " << short_number(difference.largest);
    std::cout << '\n';
  }
  if (different > 0) {
    std::cout << different << " tensors differ, of " << a.tensors.size() << " in " << arguments.a << " and "
              << b.tensors.size() << " in " << arguments.b << '\n';
    return 1;
  }
  std::cout << a.tensors.size() << " tensors, " << bytes << " bytes: equal\n";
  return 0;
}

}  // namespace

void add_diff_command(Parser& program) {
  Command command =
      program.add_command("diff", "Compares the tensors of two checkpoints; exit status 0: equal, 1: not");
  auto arguments = std::make_shared<Arguments>();
  command.require("a", arguments->a, "FILE.safetensors, an index, a directory, or - for a file on standard input");
  command.require("b", arguments->b, "The other one");
  add_threads_option(command, arguments->threads);
  command.run([arguments] { return run(*arguments); });
}

}  // namespace fanin::cli
