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

// Adds them all.
void add_commands(CLI::App& program);

// Throws InvalidArgument for a command or an option that does not exist. The parser would first complain about what is
// missing, for example about --shape after the slip --shap.
void check_names(const CLI::App& program, int argc, const char* const* argv);

}  // namespace fanin::cli
