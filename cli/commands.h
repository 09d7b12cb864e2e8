// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <CLI/CLI.hpp>

namespace fanin::cli {

// Each adds a subcommand; it runs when it is chosen, and throws for what goes wrong.
void add_fill_command(CLI::App& program);
void add_describe_command(CLI::App& program);
void add_config_command(CLI::App& program);
void add_model_command(CLI::App& program);

}  // namespace fanin::cli
