// SPDX-License-Identifier: Apache-2.0
// Arguments that several subcommands share. All functions throw InvalidArgument.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cli/parser.h"
#include "fanin/fanin.hpp"

namespace fanin::cli {

// --init, --config, --set and --seed.
struct InitializerArguments {
  std::optional<std::string> name;
  std::optional<std::string> config;
  std::vector<std::string> settings;
  std::optional<std::string> seed;

  void add_to(Command& command, const std::string& without_seed = "without it one is drawn and printed");
  Initializer make() const;
};

// --shape, --dtype, --layout.
struct TensorArguments {
  std::string shape;
  std::string dtype = "float32";
  std::string layout = "auto";

  void add_to(Command& command);
  std::optional<Layout> parsed_layout() const;
};

// Reads extents such as "2,3"; "scalar" is 0-dimensional. Messages name `option`.
Shape parse_extents(const std::string& text, const std::string& option);

// --threads: sets `threads`, which must live as long as the command.
void add_threads_option(Command& command, int& threads);

// Throws InvalidArgument if two of an option's values, which are KEY=VALUE, have one key.
void check_once(const std::string& option, const std::vector<std::string>& settings);

// Reads an integer from 0 to 2^64 - 1.
std::uint64_t parse_unsigned(const std::string& text, const std::string& option);

// Reads a whole file.
std::string read_file(const std::string& path);

// Reads an initializer from JSON text or a file with JSON text, or by its name.
Initializer read_config_argument(const std::string& text);

}  // namespace fanin::cli
