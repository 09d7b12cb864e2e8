// SPDX-License-Identifier: Apache-2.0
#include "cli/commands.h"

#include <algorithm>
#include <string>

#include "fanin/error.h"

namespace fanin::cli {

void add_commands(CLI::App& program) {
  add_fill_command(program);
  add_describe_command(program);
  add_config_command(program);
  add_model_command(program);
  add_verify_command(program);
  add_diff_command(program);
  add_spec_command(program);
  add_doctor_command(program);
}

void check_names(const CLI::App& program, int argc, const char* const* argv) {
  const auto commands = program.get_subcommands([](const CLI::App*) { return true; });
  std::string names;
  for (const CLI::App* command : commands) names += (names.empty() ? "" : ", ") + command->get_name();
  if (argc < 2) throw InvalidArgument("A command is missing. The commands are " + names + "; see fanin --help");
  const std::string name = argv[1];
  if (name.empty() || name[0] == '-') return;
  const auto chosen = std::find_if(commands.begin(), commands.end(),
                                   [&](const CLI::App* command) { return command->get_name() == name; });
  if (chosen == commands.end()) {
    throw InvalidArgument("There is no command \"" + name + "\". The commands are " + names + "; see fanin --help");
  }
  for (int j = 2; j < argc && std::string(argv[j]) != "--"; ++j) {
    const std::string argument = argv[j];
    if (argument.size() < 3 || argument.compare(0, 2, "--") != 0) continue;
    const std::size_t equals = argument.find('=');
    const CLI::Option* option = (*chosen)->get_option_no_throw(argument.substr(0, equals));
    if (option == nullptr) {
      throw InvalidArgument("fanin " + name + " has no option " + argument.substr(0, equals) + "; fanin " + name +
                            " --help lists its options");
    }
    if (equals == std::string::npos && option->get_items_expected_min() > 0) ++j;  // its value
  }
}

}  // namespace fanin::cli
