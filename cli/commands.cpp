// SPDX-License-Identifier: Apache-2.0
#include "cli/commands.h"

namespace fanin::cli {

void add_commands(Parser& program) {
  add_fill_command(program);
  add_describe_command(program);
  add_config_command(program);
  add_model_command(program);
  add_verify_command(program);
  add_diff_command(program);
  add_spec_command(program);
  add_doctor_command(program);
}

}  // namespace fanin::cli
