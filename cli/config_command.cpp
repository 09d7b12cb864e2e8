// SPDX-License-Identifier: Apache-2.0
#include <iostream>
#include <memory>
#include <string>

#include "cli/arguments.h"
#include "cli/commands.h"

namespace fanin::cli {

void add_config_command(CLI::App& program) {
  struct Arguments {
    std::string json;
    std::string form = "keras3";
  };
  auto* command = program.add_subcommand(
      "config", "Reads an initializer's configuration in any of Keras's forms and writes it in one");
  auto arguments = std::make_shared<Arguments>();
  command->add_option("json", arguments->json, "Keras's JSON, a file with it, or a name")->required();
  command->add_option("--form", arguments->form, "keras3 or tf2")->capture_default_str();
  command->callback([arguments] {
    if (arguments->form != "keras3" && arguments->form != "tf2") {
      throw InvalidArgument("--form takes keras3 or tf2. Received: " + arguments->form);
    }
    const ConfigForm form = arguments->form == "tf2" ? ConfigForm::tf2 : ConfigForm::keras3;
    std::cout << serialize(read_config_argument(arguments->json), form) << '\n';
  });
}

}  // namespace fanin::cli
