// SPDX-License-Identifier: Apache-2.0
#include <iostream>
#include <memory>
#include <string>

#include "cli/arguments.h"
#include "cli/commands.h"

namespace fanin::cli {

void add_config_command(Parser& program) {
  struct Arguments {
    std::string json;
    std::string form = "keras3";
  };
  Command command = program.add_command(
      "config", "Reads an initializer's configuration in any of Keras's forms and writes it in one");
  auto arguments = std::make_shared<Arguments>();
  command.require("json", arguments->json, "Keras's JSON, a file with it, or a name");
  command.option("--form", arguments->form, "keras3 or tf2");
  command.run([arguments] {
    if (arguments->form != "keras3" && arguments->form != "tf2") {
      throw InvalidArgument("--form takes keras3 or tf2. Received: " + arguments->form);
    }
    const ConfigForm form = arguments->form == "tf2" ? ConfigForm::tf2 : ConfigForm::keras3;
    std::cout << serialize(read_config_argument(arguments->json), form) << '\n';
    return 0;
  });
}

}  // namespace fanin::cli
