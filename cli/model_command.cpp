// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <charconv>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <iterator>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "cli/arguments.h"
#include "cli/commands.h"
#include "cli/compare.h"
#include "cli/distribution_json.h"
#include "cli/misfit.h"
#include "cli/model_metadata.h"
#include "cli/model_table.h"
#include "cli/model_writer.h"
#include "cli/output_file.h"
#include "cli/table.h"
#include "fanin/fanin.hpp"

namespace fanin::cli {

namespace {

struct Arguments {
  std::string spec;
  std::optional<std::string> seed;
  WriteArguments write;
  bool check = false;
  bool dry_run = false;
  std::vector<std::string> constants;
  std::optional<std::string> dtype;
  std::optional<std::string> report;
  int threads = 0;
};

bool is_same_place(const std::string& a, const std::string& b) {
  std::error_code ignored;
  return std::filesystem::weakly_canonical(a, ignored) == std::filesystem::weakly_canonical(b, ignored);
}

// A file with two purposes would lose one of its contents.
void check_different(const std::string& a, const std::string& b) {
  if (a == "-" || kind_of_output(b) != OutputKind::place || !is_same_place(a, b)) return;
  throw InvalidArgument("The specification, --out and --report must be different files. Received: " + a + " and " + b);
}

// The files that the specification loads values from stay. A directory is replaced with all that it holds.
void check_not_loaded(const std::set<std::string>& loaded, const std::string& written, const char* option) {
  if (kind_of_output(written) != OutputKind::place) return;
  for (const std::string& file : loaded) {
    if (!is_same_place(file, written) && !is_same_place(folder_of(file), written)) continue;
    throw InvalidArgument("The specification loads values from \"" + printable(file) + "\", which " + option +
                          " would replace. Received: " + option + "=" + written);
  }
}

// Likewise a stream, and the directory of the shards, which holds nothing else.
void check_report(const std::string& report, const std::string& out) {
  namespace fs = std::filesystem;
  std::error_code ignored;
  const OutputKind kind = kind_of_output(out);
  if (kind == OutputKind::place) {
    check_different(out, report);
    const fs::path folder = fs::weakly_canonical(report, ignored).parent_path();
    if (kind_of_output(report) != OutputKind::place || folder != fs::weakly_canonical(out, ignored)) return;
    throw InvalidArgument(
        "--report cannot be in the directory of --out, which holds shards and their index only. "
        "Received: " +
        out + " and " + report);
  }
  if (kind != kind_of_output(report)) return;
  if (kind == OutputKind::stream && (fs::is_character_file(out, ignored) || !fs::equivalent(out, report, ignored))) {
    return;
  }
  throw InvalidArgument("--out and --report cannot go to one stream. Received: " + out + " and " + report);
}

std::uint64_t elements_of(const std::vector<ModelRow>& rows) {
  std::uint64_t sum = 0;
  for (const ModelRow& row : rows) sum += row.count;
  return sum;
}

std::uint64_t bytes_of(const std::vector<ModelRow>& rows) {
  std::uint64_t sum = 0;
  for (const ModelRow& row : rows) sum += row.count * size_of(row.tensor->dtype);
  return sum;
}

void print_rate(const Written& written) {
  constexpr double giga = 1e9;
  if (written.fill_seconds <= 0 || written.memset_seconds <= 0) return;
  const auto bytes = static_cast<double>(written.bytes);
  const double rate = bytes / written.fill_seconds;
  const double ceiling = bytes / written.memset_seconds;
  std::printf(
      "filled %.1f MiB in %.3f s: %.3f * 10^9 elements/s, %.2f GB/s; memset to zero of the same memory: %.2f GB/s "
      "(fanin: %.2f of it); both on %d thread%s, instructions: %s\n",
      bytes / (1024.0 * 1024.0), written.fill_seconds,
      static_cast<double>(written.elements) / written.fill_seconds / giga, rate / giga, ceiling / giga, rate / ceiling,
      written.threads, written.threads == 1 ? "" : "s", std::string(name_of(cpu_target())).c_str());
}

// A tensor's row in the report; of a tensor with parts, these have rows of their own in it.
Json json_of(const ModelSpec& spec, const ModelRow& row) {
  const ModelTensor& tensor = *row.tensor;
  Json json{{"name", tensor.name}, {"shape", tensor.shape}, {"dtype", name_of(tensor.dtype)}};
  const auto add_part = [&](Json& to, std::size_t j) {
    const ModelPart& part = tensor.parts[j];
    if (part.rule) to["rule"] = spec.rules[*part.rule];
    if (!part.initializer) {
      to["load"] = part.load_file;
    } else {
      const Description& description = row.parts[j];
      to["initializer"] = description.initializer;
      to["fan_in"] = description.fans.fan_in;
      to["fan_out"] = description.fans.fan_out;
      to.update(distribution_json(description.distribution));
      if (!part.reason.empty()) to["reason"] = part.reason;
      to["derivation"] = description.derivation;
      if (part.output_scale != 1) to["output_scale"] = part.output_scale;
      to["wanted_stddev"] = row.wanted(j);
    }
    if (j >= row.found.size()) return;
    const Statistics& found = row.found[j];
    to["count"] = found.count();
    to["found_mean"] = found.mean();
    to["found_stddev"] = found.stddev();
    to["min"] = found.count() > 0 ? Json(found.min()) : Json();
    to["max"] = found.count() > 0 ? Json(found.max()) : Json();
  };
  const bool has_parts = tensor.parts.size() > 1 || tensor.parts[0].name != tensor.name;
  if (!has_parts) {
    add_part(json, 0);
  } else {
    json["axis"] = tensor.axis;
    json["parts"] = Json::array();
    for (std::size_t j = 0; j < tensor.parts.size(); ++j) {
      Json part{{"name", tensor.parts[j].name}, {"shape", tensor.parts[j].shape}};
      add_part(part, j);
      json["parts"].push_back(std::move(part));
    }
  }
  if (!tensor.ties.empty()) json["ties"] = tensor.ties;
  return json;
}

void write_report(OutputFile& file, const ModelSpec& spec, std::uint64_t seed, const std::vector<ModelRow>& rows,
                  const Written* written) {
  Json report{{"model", spec.name}, {"seed", seed}, {"elements", elements_of(rows)}, {"bytes", bytes_of(rows)}};
  if (written != nullptr) {
    report["threads"] = written->threads;
    report["cpu_target"] = name_of(cpu_target());
    report["fill_seconds"] = written->fill_seconds;
    report["memset_seconds"] = written->memset_seconds;
  }
  report["notes"] = spec.notes;
  report["tensors"] = Json::array();
  for (const ModelRow& row : rows) report["tensors"].push_back(json_of(spec, row));
  // Names of files need not be UTF-8.
  const std::string text = report.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
  file.write_text(text);
}

std::string counted(std::uint64_t count, const char* noun) {
  return std::to_string(count) + " " + noun + (count == 1 ? "" : "s");
}

// Seconds to fill the model, from a sample of each kind of tensor; writing takes its own time.
double fill_seconds(const std::vector<ModelRow>& rows, int threads) {
  constexpr std::uint64_t sample_bytes = std::uint64_t{16} << 20;
  struct Kind {
    const ModelTensor* largest = nullptr;
    double elements = 0;
  };
  std::map<std::pair<std::string, DType>, Kind> kinds;
  for (const ModelRow& row : rows) {
    std::string name;  // of a tensor with parts, the first one counts
    if (row.tensor->parts[0].initializer) name = row.parts[0].initializer;
    Kind& kind = kinds[{name, row.tensor->dtype}];
    kind.elements += static_cast<double>(row.count);
    if (kind.largest == nullptr || row.count > element_count(kind.largest->shape)) kind.largest = row.tensor;
  }
  double seconds = 0;
  std::vector<unsigned char> memory(sample_bytes + 8);
  for (const auto& [key, kind] : kinds) {
    const std::uint64_t count = std::min(element_count(kind.largest->shape), sample_bytes / size_of(key.second));
    if (count == 0) continue;
    fanin::fill(*kind.largest, 0, count, memory.data(), threads);  // so that the time includes no page faults
    const auto start = std::chrono::steady_clock::now();
    fanin::fill(*kind.largest, 0, count, memory.data(), threads);
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
    seconds += taken.count() * kind.elements / static_cast<double>(count);
  }
  return seconds;
}

// Prints a note for each rule, or part without one, whose values its tensors' dtype cannot hold.
void print_misfits(const ModelSpec& spec, const std::vector<ModelRow>& rows) {
  std::set<std::pair<std::size_t, std::string>> noted;
  for (const ModelRow& row : rows) {
    for (std::size_t j = 0; j < row.parts.size(); ++j) {
      const ModelPart& part = row.tensor->parts[j];
      const std::string misfit =
          part.initializer ? misfit_of(row.parts[j].distribution, row.tensor->dtype, part.output_scale, part.rounding)
                           : "";
      if (misfit.empty() || !noted.emplace(part.rule.value_or(spec.rules.size()), misfit).second) continue;
      std::fprintf(stderr, "fanin: note: %s: %s\n", printable(part.name).c_str(), misfit.c_str());
    }
  }
}

// What --check prints.
void print_check(const ModelSpec& spec, const std::vector<ModelRow>& rows) {
  std::cout << explanation_of(spec, rows);
  std::size_t names = rows.size();
  for (const ModelRow& row : rows) names += row.tensor->ties.size();
  std::cout << printable(spec.name) << ": " << counted(rows.size(), "tensor")
            << (names > rows.size() ? " with " + counted(names, "name") : "") << ", "
            << counted(elements_of(rows), "parameter") << '\n';
}

// What --dry-run adds.
void print_plan(const std::vector<ModelRow>& rows, const std::vector<FileLayout>& files, int threads) {
  std::map<std::string, std::uint64_t> by_dtype;
  for (const ModelRow& row : rows) by_dtype[std::string(name_of(row.tensor->dtype))] += row.count;
  for (const auto& [dtype, count] : by_dtype) {
    std::cout << "    " << counted(count, "element") << " of " << dtype << '\n';
  }
  std::uint64_t bytes = 0;
  for (const FileLayout& file : files) bytes += file.bytes();
  std::cout << counted(bytes, "byte") << " in " << counted(files.size(), "file") << ", of which " << bytes_of(rows)
            << " are elements; filling them takes about " << short_number(fill_seconds(rows, threads))
            << " s here, writing not included\n";
}

std::pair<std::string, double> constant_of(const std::string& text) {
  const std::size_t equals = text.find('=');
  double value = 0;
  const char* const end = text.data() + text.size();
  const auto result = equals == std::string::npos ? std::from_chars_result{nullptr, std::errc::invalid_argument}
                                                  : std::from_chars(text.data() + equals + 1, end, value);
  if (result.ec != std::errc() || result.ptr != end || equals == 0 || !std::isfinite(value)) {
    throw InvalidArgument("--constant takes NAME=NUMBER, e.g. --constant layers=2. Received: " + text);
  }
  return {text.substr(0, equals), value};
}

ModelSpecOptions options_of(const Arguments& arguments) {
  ModelSpecOptions options;
  options.source = arguments.spec == "-" ? "the standard input" : arguments.spec;
  options.folder = std::filesystem::path(arguments.spec).parent_path().string();
  check_once("--constant", arguments.constants);
  for (const std::string& constant : arguments.constants) options.constants.push_back(constant_of(constant));
  if (arguments.dtype) options.dtype = parse_dtype(*arguments.dtype);
  options.explain = arguments.check || arguments.dry_run || arguments.report;
  return options;
}

void run(const Arguments& arguments) {
  const bool is_check = arguments.check || arguments.dry_run;
  const std::string& out = arguments.write.out;
  const WriteOptions write =
      is_check && out.empty() ? arguments.write.options_without_out() : arguments.write.options(arguments.threads);
  if (write.resume && !arguments.seed) {
    throw InvalidArgument(
        "--resume goes on with the values of a seed, so it needs --seed, which is drawn anew without it");
  }
  const Seed seed = arguments.seed ? Seed(parse_unsigned(*arguments.seed, "--seed")) : Seed();
  const ModelSpecOptions options = options_of(arguments);
  const std::string text = read_file(arguments.spec);
  const ModelSpec spec = parse_model_spec(text, seed.value(), options);
  std::vector<ModelRow> rows = rows_of(spec);
  for (const std::string& note : spec.notes) std::fprintf(stderr, "fanin: note: %s\n", printable(note).c_str());
  print_misfits(spec, rows);
  if (!out.empty()) check_different(arguments.spec, out);
  if (arguments.report) {
    check_different(arguments.spec, *arguments.report);
    if (!out.empty()) check_report(*arguments.report, out);
  }
  std::vector<const ModelTensor*> tensors;
  tensors.reserve(rows.size());
  for (const ModelRow& row : rows) tensors.push_back(row.tensor);
  const std::set<std::string> loaded = loaded_files(tensors);
  if (!out.empty()) check_not_loaded(loaded, out, "--out");
  if (arguments.report) check_not_loaded(loaded, *arguments.report, "--report");
  const Metadata metadata = model_metadata(text, seed.value(), options);
  std::optional<OutputFile> report;
  if (is_check) {
    const std::vector<FileLayout> files = layout_of(tensors, write.shard_bytes, metadata);  // throws as writing does
    if (arguments.report) {
      report.emplace(*arguments.report);
      write_report(*report, spec, seed.value(), rows, nullptr);
      report->commit();
    }
    print_check(spec, rows);
    if (arguments.dry_run) print_plan(rows, files, arguments.threads);
    return;
  }

  ModelWriter writer(std::move(tensors), metadata, write);
  if (arguments.report) report.emplace(*arguments.report);  // now, so that it fails before anything is replaced
  const Written written = writer.write();
  for (std::size_t j = 0; j < rows.size(); ++j) rows[j].found = written.found[j];
  if (report) write_report(*report, spec, seed.value(), rows, &written);
  writer.commit();
  if (report) report->commit();

  std::cout << table_of(spec, rows);
  const auto off = std::count_if(rows.begin(), rows.end(), [](const ModelRow& row) { return !row.is_as_wanted(); });
  std::cout << printable(spec.name) << ": " << rows.size() << " tensors, " << written.elements << " elements, seed "
            << seed.value() << (seed.kind() == Seed::Kind::none ? " (drawn)" : "") << "; "
            << (!write.statistics ? "no statistics were measured"
                : off == 0
                    ? "every standard deviation is as wanted, within 6 standard errors"
                    : std::to_string(off) + " tensors marked ! are not as wanted: their dtype is too coarse for it")
            << '\n'
            << std::flush;
  print_rate(written);
  std::fflush(stdout);
  print_written(written, out);
}

}  // namespace

void add_model_command(Parser& program) {
  Command command = program.add_command("model", "Fills a whole model and writes it as safetensors");
  auto arguments = std::make_shared<Arguments>();
  command.require("spec", arguments->spec,
                  "The model's specification, e.g. examples/models/gpt2.json; -: standard input");
  command.option("--seed", arguments->seed, "0 to 2^64 - 1; without it one is drawn and printed");
  arguments->write.add_to(command);
  command.flag("--check", arguments->check, "Explains how each tensor gets its values, and fills nothing");
  command.flag("--dry-run", arguments->dry_run, "Like --check, and says how many bytes and how much time it takes");
  command.option("--constant", arguments->constants, "NAME=VALUE replaces a constant; may be repeated");
  command.option("--dtype", arguments->dtype, "Replaces the specification's dtype; rules' and tensors' own stay");
  command.option("--report", arguments->report, "Writes the table as JSON, too");
  add_threads_option(command, arguments->threads);
  command.run([arguments] {
    run(*arguments);
    return 0;
  });
}

}  // namespace fanin::cli
