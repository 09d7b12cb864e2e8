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
  CLI::App program{"fanin", "fanin"};
  program.require_subcommand(1);
  fanin::cli::add_commands(program);
  for (CLI::App* command : program.get_subcommands([](CLI::App*) { return true; })) {
    if (command->get_name() != "describe" && command->get_name() != "config") command->callback({});
  }
  std::vector<const char*> argv{"fanin"};
  for (const std::string& argument : arguments) argv.push_back(argument.c_str());
  const int argc = static_cast<int>(argv.size());
  try {
    fanin::cli::check_names(program, argc, argv.data());
    program.parse(argc, argv.data());
  } catch (const CLI::ParseError& error) {
    fanin::fuzz::require(error.get_name() == "CallForHelp" || *error.what() != '\0', "a refusal has a message");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::cout.rdbuf(nullptr);
  std::cin.rdbuf(nullptr);
  const std::string text(fanin::fuzz::text_of(data, size));
  if (text.find('/') != std::string::npos || text.find('\0') != std::string::npos) return 0;  // opens no file
  std::vector<std::string> arguments;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) arguments.push_back(line);
  fanin::fuzz::is_accepted([&] { parse(arguments); });
  return 0;
}
