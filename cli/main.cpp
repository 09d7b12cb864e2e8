// SPDX-License-Identifier: Apache-2.0
// The program fanin. It exits with 0 on success and with 2, after a message on standard error, on any failure;
// verify and diff exit with 1 if there are differences, doctor if something is wrong.
#include <unistd.h>

#include <cstdio>
#include <exception>
#include <iostream>
#include <new>

#include "cli/commands.h"
#include "cli/compare.h"
#include "cli/output_file.h"
#include "fanin/version.h"

namespace {

constexpr int failed = 2;

int run(int argc, char** argv) {
  fanin::cli::Parser program("fanin",
                             "fanin " FANIN_VERSION ": fills weight buffers; one seed gives one set of weights",
                             "fanin " FANIN_VERSION);
  fanin::cli::add_commands(program);
  const int status = program.parse(argc, argv, failed)();
  std::cout.flush();
  // A reader that has enough, such as `head`, is no failure: files are complete by now.
  if (!std::cout && !fanin::cli::is_reader_gone(STDOUT_FILENO)) {
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
