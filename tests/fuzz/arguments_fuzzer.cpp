// SPDX-License-Identifier: Apache-2.0
// A command line, an argument on each line. Commands are parsed; `describe` and `config`, which write nothing but their
// report, also run.
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

#include "cli/commands.h"
#include "fuzz/fuzz.h"

namespace {

void parse(const std::vector<std::string>& arguments) {
  fanin::cli::Parser program("fanin", "fanin", "fanin");
  fanin::cli::add_commands(program);
  std::vector<const char*> argv{"fanin"};
  for (const std::string& argument : arguments) argv.push_back(argument.c_str());
  constexpr int refused = 2;
  const fanin::cli::Task task = program.parse(static_cast<int>(argv.size()), argv.data(), refused);
  const bool is_report = argv.size() > 1 && (arguments[0] == "describe" || arguments[0] == "config");
  if (is_report) task();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::cout.rdbuf(nullptr);
  std::cerr.rdbuf(nullptr);
  std::cin.rdbuf(nullptr);
  const std::string text(fanin::fuzz::text_of(data, size));
  if (text.find('/') != std::string::npos || text.find('\0') != std::string::npos) return 0;  // opens no file
  std::vector<std::string> arguments;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) arguments.push_back(line);
  fanin::fuzz::is_accepted([&] { parse(arguments); });
  return 0;
}
