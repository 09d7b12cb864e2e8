// SPDX-License-Identifier: Apache-2.0
// The program's command line. parser.cpp alone includes CLI11, whose header takes ten seconds to compile.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace fanin::cli {

// What a command does. It returns the exit status, and throws if it fails.
using Task = std::function<int()>;

// A subcommand. Option names are like "--seed", those of positional arguments like "path". Values must live as long as
// the parser.
class Command {
 public:
  // An argument that must be given.
  void require(const std::string& name, std::string& value, const std::string& help);

  // An option. The help shows the default of a plain string.
  void option(const std::string& name, std::string& value, const std::string& help);
  void option(const std::string& name, std::optional<std::string>& value, const std::string& help);

  // An option whose text `read` reads, or throws. The help shows the type and the default.
  void option(const std::string& name, const std::function<void(const std::string&)>& read, const std::string& type,
              const std::string& default_text, const std::string& help);

  // An option that may be repeated, with one value each time.
  void option(const std::string& name, std::vector<std::string>& values, const std::string& help);

  void flag(const std::string& name, bool& value, const std::string& help);

  // Refuses a command line with both options.
  void exclude(const std::string& a, const std::string& b);

  // Sets what the command does when it is chosen.
  void run(Task task);

 private:
  friend class Parser;
  Command(CLI::App& app, Task& chosen) : app_(&app), chosen_(&chosen) {}

  CLI::App* app_;
  Task* chosen_;
};

class Parser {
 public:
  Parser(const std::string& name, const std::string& description, const std::string& version);
  ~Parser();
  Parser(const Parser&) = delete;
  Parser& operator=(const Parser&) = delete;

  Command add_command(const std::string& name, const std::string& description);

  // Returns what the command line asks for. Prints help, the version, or why a command line is refused; the task then
  // only returns the status, 0 or `refused`. Throws InvalidArgument for a command or an option that does not exist.
  Task parse(int argc, const char* const* argv, int refused);

 private:
  void check_names(int argc, const char* const* argv) const;

  std::unique_ptr<CLI::App> app_;
  Task chosen_;
};

}  // namespace fanin::cli
