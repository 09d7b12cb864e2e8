// SPDX-License-Identifier: Apache-2.0
#include "cli/parser.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <set>
#include <utility>

#include "fanin/error.h"

namespace fanin::cli {

void Command::require(const std::string& name, std::string& value, const std::string& help) {
  app_->add_option(name, value, help)->required();
}

void Command::option(const std::string& name, std::string& value, const std::string& help) {
  app_->add_option(name, value, help)->capture_default_str();
}

void Command::option(const std::string& name, const std::function<void(const std::string&)>& read,
                     const std::string& type, const std::string& default_text, const std::string& help) {
  app_->add_option_function<std::string>(name, read, help)->type_name(type)->default_str(default_text);
}

void Command::option(const std::string& name, std::optional<std::string>& value, const std::string& help) {
  app_->add_option(name, value, help);
}

void Command::option(const std::string& name, std::vector<std::string>& values, const std::string& help) {
  app_->add_option(name, values, help)->take_all()->allow_extra_args(false);
}

void Command::flag(const std::string& name, bool& value, const std::string& help) { app_->add_flag(name, value, help); }

void Command::exclude(const std::string& a, const std::string& b) {
  app_->get_option(a)->excludes(app_->get_option(b));
}

void Command::run(Task task) {
  app_->callback([task = std::move(task), chosen = chosen_] { *chosen = task; });
}

Parser::Parser(const std::string& name, const std::string& description, const std::string& version)
    : app_(std::make_unique<CLI::App>(description, name)) {
  app_->set_version_flag("--version", version);
  app_->require_subcommand(1);
  app_->failure_message([name](const CLI::App*, const CLI::Error& error) {
    return name + ": " + error.what() + "\nRun with --help for more information.\n";
  });
}

Parser::~Parser() = default;

Command Parser::add_command(const std::string& name, const std::string& description) {
  return {*app_->add_subcommand(name, description), chosen_};
}

Task Parser::parse(int argc, const char* const* argv, int refused) {
  try {
    const std::string only = argc == 2 ? argv[1] : "";
    if (only == "help" || only == "version") {
      app_->parse({"--" + only});
    } else {
      check_names(argc, argv);
      app_->parse(argc, argv);
    }
  } catch (const CLI::RequiredError&) {
    for (const CLI::App* command : app_->get_subcommands()) {
      for (const CLI::Option* option : command->get_options()) {
        if (!option->get_required() || option->count() > 0) continue;
        const std::string name = app_->get_name() + " " + command->get_name();
        throw InvalidArgument(name + " needs " + option->get_name() + ": " + option->get_description() + ". " + name +
                              " --help lists its options");
      }
    }
    throw;
  } catch (const CLI::ParseError& error) {
    const int status = app_->exit(error) == 0 ? 0 : refused;
    return [status] { return status; };
  }
  return chosen_;
}

// The parser would first complain about what is missing, for example about --shape after the slip --shap.
void Parser::check_names(int argc, const char* const* argv) const {
  const std::string program = app_->get_name();
  const CLI::App& app = *app_;
  const auto commands = app.get_subcommands([](const CLI::App*) { return true; });
  std::string names;
  for (const CLI::App* command : commands) names += (names.empty() ? "" : ", ") + command->get_name();
  const std::string known = ". The commands are " + names + "; see " + program + " --help";
  if (argc < 2) throw InvalidArgument("A command is missing" + known);
  const std::string name = argv[1];
  if (!name.empty() && name[0] == '-') {
    if (app.get_option_no_throw(name) != nullptr) return;
    throw InvalidArgument(program + " has no option " + name + known);
  }
  const auto chosen = std::find_if(commands.begin(), commands.end(),
                                   [&](const CLI::App* command) { return command->get_name() == name; });
  if (chosen == commands.end()) throw InvalidArgument("There is no command \"" + name + "\"" + known);
  const std::string command = program + " " + name;
  std::string options;
  std::string positional;
  std::size_t positional_left = 0;
  for (const CLI::Option* option : (*chosen)->get_options()) {
    const bool has_place = option->get_positional();
    std::string& list = has_place ? positional : options;
    list += (list.empty() ? "" : ", ") + option->get_name();
    positional_left += has_place ? 1 : 0;
  }
  const std::string allowed = ". Its options are " + options + "; see " + command + " --help";
  std::set<const CLI::Option*> given;
  for (int j = 2; j < argc && std::string(argv[j]) != "--"; ++j) {
    const std::string argument = argv[j];
    if (argument.size() < 2 || argument[0] != '-') {
      if (positional_left > 0) {
        --positional_left;
        continue;
      }
      const std::string takes = positional.empty() ? " takes options only" : " takes " + positional + " and options";
      throw InvalidArgument(command + takes + ", not \"" + argument + "\"" + allowed);
    }
    const std::size_t equals = argument.find('=');
    const std::string key = argument.substr(0, equals);
    const CLI::Option* option = (*chosen)->get_option_no_throw(key);
    if (option == nullptr) {
      throw InvalidArgument(command + " has no option " + key + allowed);
    }
    if (option->get_items_expected_min() == 0) continue;  // a flag
    const bool may_repeat = option->get_multi_option_policy() == CLI::MultiOptionPolicy::TakeAll;
    if (!given.insert(option).second && !may_repeat) throw InvalidArgument(command + ": " + key + " is given twice");
    const bool is_next = equals == std::string::npos;
    const std::string value = !is_next ? argument.substr(equals + 1) : j + 1 < argc ? argv[j + 1] : "--";
    const bool is_option = is_next && value.substr(0, 2) == "--" &&
                           (value == "--" || (*chosen)->get_option_no_throw(value.substr(0, value.find('='))));
    if (is_option || (!is_next && value.empty())) {
      throw InvalidArgument(command + ": " + key + " needs a value: " + option->get_description());
    }
    if (is_next) ++j;
  }
}

}  // namespace fanin::cli
