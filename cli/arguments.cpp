// SPDX-License-Identifier: Apache-2.0
#include "cli/arguments.h"

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <set>
#include <sstream>
#include <utility>

namespace fanin::cli {

namespace {

bool is_name(const std::string& text) {
  const auto is_part = [](unsigned char c) { return std::isalnum(c) != 0 || c == '_' || c == '.' || c == ':'; };
  return !text.empty() && std::isalpha(static_cast<unsigned char>(text[0])) != 0 &&
         std::all_of(text.begin(), text.end(), is_part) && text != "null" && text != "true" && text != "false";
}

}  // namespace

void check_once(const std::string& option, const std::vector<std::string>& settings) {
  std::set<std::string> keys;
  for (const std::string& setting : settings) {
    const std::string key = setting.substr(0, setting.find('='));
    if (!keys.insert(key).second) throw InvalidArgument(option + " " + key + "=... is given twice");
  }
}

void InitializerArguments::add_to(Command& command, const std::string& without_seed) {
  command.option("--init", name,
                 "An initializer's name, e.g. he_normal, or what a framework calls it, e.g. torch:kaiming_normal");
  command.option("--config", config, "An initializer in Keras's JSON: the text, or a file with it");
  command.exclude("--config", "--init");
  command.option(
      "--set", settings,
      "A parameter as key=value, e.g. --set scale=0.5 or --set 'gain=calculate_gain(tanh)'; may be repeated");
  command.option("--seed", seed, "0 to 2^64 - 1; " + without_seed);
}

Initializer InitializerArguments::make() const {
  if (name.has_value() == config.has_value()) {
    throw InvalidArgument("Name an initializer with --init, e.g. --init he_normal, or give --config");
  }
  const Initializer chosen = name ? fanin::make(*name) : read_config_argument(*config);
  check_once("--set", settings);
  std::vector<std::pair<std::string, std::string>> parameters;
  for (const std::string& setting : settings) {
    const std::size_t equals = setting.find('=');
    if (equals == std::string::npos || equals == 0) {
      throw InvalidArgument("--set takes key=value. Received: " + setting);
    }
    parameters.emplace_back(setting.substr(0, equals), setting.substr(equals + 1));
    if (seed && parameters.back().first == "seed") {
      throw InvalidArgument("--seed and --set seed=... both give the seed. Received: " + *seed + " and " +
                            parameters.back().second);
    }
  }
  const Initializer changed = parameters.empty() ? chosen : with_parameters(chosen, parameters);
  return seed ? changed.with_seed(parse_unsigned(*seed, "--seed")) : changed;
}

void TensorArguments::add_to(Command& command) {
  command.require("--shape", shape, "Extents of the whole tensor, e.g. 512,2048; scalar: no dimensions");
  command.option("--dtype", dtype,
                 "float32, float64, float16, bfloat16, float8_e4m3fn, float8_e5m2, float8_e4m3fnuz, float8_e5m2fnuz, "
                 "float6_e2m3fn, float6_e3m2fn or float4_e2m1fn");
  command.option("--layout", layout,
                 "hwio: Keras's and JAX's channels last; oihw: PyTorch's; auto: that of the "
                 "initializer's convention (torch:kaiming_normal: oihw), else hwio");
}

std::optional<Layout> TensorArguments::parsed_layout() const {
  if (layout == "auto") return std::nullopt;
  return parse_layout(layout);
}

Shape parse_extents(const std::string& text, const std::string& option) {
  const auto refuse = [&] {
    throw InvalidArgument(option + " takes integers below 2^63 with commas between them, e.g. " + option +
                          " 2,3 (0-dimensional: scalar). Received: \"" + text + "\"");
  };
  Shape shape;
  if (text == "scalar") return shape;
  std::istringstream parts(text + ",");
  for (std::string part; std::getline(parts, part, ',');) {
    const std::size_t begin = part.find_first_not_of(' ');
    const std::size_t end = part.find_last_not_of(' ');
    if (begin == std::string::npos) refuse();
    std::int64_t extent = 0;
    const char* last = part.data() + end + 1;
    const auto result = std::from_chars(part.data() + begin, last, extent);
    if (result.ec != std::errc() || result.ptr != last) refuse();
    shape.push_back(extent);
  }
  return shape;
}

void add_threads_option(Command& command, int& threads) {
  const auto read = [&threads](const std::string& text) {
    int number = -1;
    const auto result = std::from_chars(text.data(), text.data() + text.size(), number);
    if (result.ec != std::errc() || result.ptr != text.data() + text.size() || number < 0) {
      throw InvalidArgument("--threads takes a number of threads, or 0 for all. Received: " + text);
    }
    threads = number;
  };
  command.option("--threads", read, "INT", std::to_string(threads), "Most threads to use; 0: all");
}

std::uint64_t parse_unsigned(const std::string& text, const std::string& option) {
  std::uint64_t value = 0;
  const auto result = std::from_chars(text.data(), text.data() + text.size(), value);
  if (result.ec == std::errc() && result.ptr == text.data() + text.size()) return value;
  std::int64_t negative = 0;
  const auto signed_result = std::from_chars(text.data(), text.data() + text.size(), negative);
  std::string hint;
  if (signed_result.ec == std::errc() && signed_result.ptr == text.data() + text.size()) {
    hint = ". The same bits as an unsigned number are " + std::to_string(static_cast<std::uint64_t>(negative)) +
           ", which is allowed";
  }
  throw InvalidArgument(option + " takes an integer from 0 to 2^64 - 1. Received: " + text + hint);
}

std::string read_file(const std::string& path) {
  if (path == "-") {
    std::string text{std::istreambuf_iterator<char>(std::cin), {}};
    if (std::cin.bad()) throw InvalidArgument("Cannot read the standard input");
    return text;
  }
  const auto fail = [&](int error) { throw InvalidArgument("Cannot read \"" + path + "\": " + std::strerror(error)); };
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) fail(EISDIR);
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  if (!file) fail(errno == 0 ? EIO : errno);
  std::string text{std::istreambuf_iterator<char>(file), {}};
  if (file.bad()) fail(EIO);
  return text;
}

// A plain name is an initializer's, even if there is a file of that name.
Initializer read_config_argument(const std::string& text) {
  const bool is_json = text.find_first_of("{}[]\"") != std::string::npos;
  if (is_json) return deserialize(text);
  const bool is_path = text == "-" || text.find('/') != std::string::npos || text.find(".json") != std::string::npos;
  if (is_path) {
    const std::string json = read_file(text);
    try {
      return deserialize(json);
    } catch (const InvalidArgument& error) {
      throw InvalidArgument((text == "-" ? "standard input" : text) + ": " + error.what());
    }
  }
  return is_name(text) ? make(text) : deserialize(text);
}

}  // namespace fanin::cli
