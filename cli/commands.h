// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/parser.h"

namespace fanin::cli {

// Each function adds a subcommand.
void add_fill_command(Parser& program);
void add_describe_command(Parser& program);
void add_config_command(Parser& program);
void add_model_command(Parser& program);
void add_verify_command(Parser& program);
void add_diff_command(Parser& program);
void add_spec_command(Parser& program);
void add_doctor_command(Parser& program);

// Adds them all.
void add_commands(Parser& program);

}  // namespace fanin::cli
