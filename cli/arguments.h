// SPDX-License-Identifier: Apache-2.0
// What several subcommands take, and its reading. All functions throw InvalidArgument.
#pragma once

#include <CLI/CLI.hpp>
#include <optional>
#include <string>
#include <vector>

#include "fanin/fanin.hpp"

namespace fanin::cli {

// --init, --config, --set and --seed.
struct InitializerArguments {
  std::optional<std::string> name;
  std::optional<std::string> config;
  std::vector<std::string> settings;
  std::optional<std::string> seed;

  void add_to(CLI::App& command);
  Initializer make() const;
};

// --shape, --dtype, --layout.
struct TensorArguments {
  std::string shape;
  std::string dtype = "float32";
  std::string layout = "hwio";

  void add_to(CLI::App& command);
};

// "2,3"; "scalar" is 0-dimensional. `option` is named in messages.
Shape parse_extents(const std::string& text, const std::string& option);

// An integer from 0 to 2^64 - 1.
std::uint64_t parse_unsigned(const std::string& text, const std::string& option);

// The whole text of a file.
std::string read_file(const std::string& path);

// JSON text, the path of a file with JSON text, or a bare name.
Initializer read_config_argument(const std::string& text);

}  // namespace fanin::cli
