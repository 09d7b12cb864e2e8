// SPDX-License-Identifier: Apache-2.0
// The program fanin. It exits with 0 on success and with 2, after a message on standard error, on any failure;
// verify and diff exit with 1 if there are differences, doctor if something is wrong.
#include <algorithm>
#include <cstdio>
#include <exception>
#include <iostream>
#include <new>
#include <string>

#include "cli/commands.h"
#include "cli/compare.h"
#include "cli/output_file.h"
#include "fanin/error.h"
#include "fanin/version.h"

namespace {

constexpr int failed = 2;

// Throws InvalidArgument for a command or an option that does not exist. The parser would first complain about what is
// missing, for example about --shape after the slip --shap.
void check_names(const CLI::App& program, int argc, char** argv) {
  const auto commands = program.get_subcommands([](const CLI::App*) { return true; });
  std::string names;
  for (const CLI::App* command : commands) names += (names.empty() ? "" : ", ") + command->get_name();
  if (argc < 2) throw fanin::InvalidArgument("A command is missing. The commands are " + names + "; see fanin --help");
  const std::string name = argv[1];
  if (name.empty() || name[0] == '-') return;
  const auto chosen = std::find_if(commands.begin(), commands.end(),
                                   [&](const CLI::App* command) { return command->get_name() == name; });
  if (chosen == commands.end()) {
    throw fanin::InvalidArgument("There is no command \"" + name + "\". The commands are " + names +
                                 "; see fanin --help");
  }
  for (int j = 2; j < argc && std::string(argv[j]) != "--"; ++j) {
    const std::string argument = argv[j];
    if (argument.size() < 3 || argument.compare(0, 2, "--") != 0) continue;
    const std::size_t equals = argument.find('=');
    const CLI::Option* option = (*chosen)->get_option_no_throw(argument.substr(0, equals));
    if (option == nullptr) {
      throw fanin::InvalidArgument("fanin " + name + " has no option " + argument.substr(0, equals) + "; fanin " +
                                   name + " --help lists its options");
    }
    if (equals == std::string::npos && option->get_items_expected_min() > 0) ++j;  // its value
  }
}

int run(int argc, char** argv) {
  CLI::App program{"fanin " FANIN_VERSION ": fills weight buffers; one seed gives one set of weights", "fanin"};
  program.set_version_flag("--version", "fanin " FANIN_VERSION);
  program.require_subcommand(1);
  fanin::cli::add_fill_command(program);
  fanin::cli::add_describe_command(program);
  fanin::cli::add_config_command(program);
  fanin::cli::add_model_command(program);
  fanin::cli::add_verify_command(program);
  fanin::cli::add_diff_command(program);
  fanin::cli::add_spec_command(program);
  fanin::cli::add_doctor_command(program);
  program.failure_message([](const CLI::App*, const CLI::Error& error) {
    return "fanin: " + std::string(error.what()) + "\nRun with --help for more information.\n";
  });
  int status = 0;
  try {
    const std::string only = argc == 2 ? argv[1] : "";
    if (only == "help" || only == "version") {
      program.parse({"--" + only});
    } else {
      check_names(program, argc, argv);
      program.parse(argc, argv);
    }
  } catch (const CLI::RuntimeError& error) {
    status = error.get_exit_code();
  } catch (const CLI::ParseError& error) {
    return program.exit(error) == 0 ? 0 : failed;
  }
  std::cout.flush();
  // A reader that has enough, such as `head`, is no failure: files are complete by now.
  if (!std::cout && !fanin::cli::is_reader_gone()) {
    std::fputs("fanin: cannot write to standard output\n", stderr);
    return failed;
  }
  return status;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    fanin::cli::prepare_process();
    return run(argc, argv);
  } catch (const std::bad_alloc&) {
    std::fputs("fanin: not enough memory\n", stderr);
  } catch (const std::exception& error) {
    // Names from files of others may have control characters, which would drive the terminal.
    std::fprintf(stderr, "fanin: %s\n", fanin::cli::printable(error.what()).c_str());
  }
  return failed;
}
