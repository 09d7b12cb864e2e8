// SPDX-License-Identifier: Apache-2.0
// The program fanin. It exits with 0 on success and with 2, after a message on standard error, on any failure;
// verify and diff exit with 1 if there are differences, doctor if something is wrong.
#include <cstdio>
#include <exception>
#include <iostream>
#include <new>

#include "cli/commands.h"
#include "cli/output_file.h"
#include "fanin/version.h"

namespace {

constexpr int failed = 2;

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
  int status = 0;
  try {
    program.parse(argc, argv);
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
    std::fprintf(stderr, "fanin: %s\n", error.what());
  }
  return failed;
}
