// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <CLI/CLI.hpp>

namespace fanin::cli {

// Each function adds a subcommand, which runs when it is chosen and throws if it fails. CLI::RuntimeError carries
// an exit status that is no failure.
void add_fill_command(CLI::App& program);
void add_describe_command(CLI::App& program);
void add_config_command(CLI::App& program);
void add_model_command(CLI::App& program);
void add_verify_command(CLI::App& program);
void add_diff_command(CLI::App& program);
void add_spec_command(CLI::App& program);
void add_doctor_command(CLI::App& program);

}  // namespace fanin::cli
