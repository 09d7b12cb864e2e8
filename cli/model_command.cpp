// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cli/arguments.h"
#include "cli/commands.h"
#include "cli/distribution_json.h"
#include "cli/model_metadata.h"
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
  std::optional<std::string> report;
  int threads = 0;
};

// A tensor and what the table and the report say about it.
struct Entry {
  const ModelTensor* tensor;
  FillParams params;
  Description description;
  Moments wanted;
  Statistics found;

  bool is_random() const { return description.distribution.is_random() && wanted.stddev > 0; }
};

// A file with two purposes would lose one of its contents.
void check_different(const std::string& a, const std::string& b) {
  if (a == "-" || kind_of_output(b) != OutputKind::place) return;
  std::error_code ignored;
  if (std::filesystem::weakly_canonical(a, ignored) != std::filesystem::weakly_canonical(b, ignored)) return;
  throw InvalidArgument("The specification, --out and --report must be different files. Received: " + a + " and " + b);
}

std::vector<Entry> entries_of(const ModelSpec& spec) {
  std::vector<Entry> entries;
  std::map<std::pair<std::uint64_t, std::uint64_t>, std::string> draws;  // names with the same hash would share draws
  for (const ModelTensor& tensor : spec.tensors) {
    try {
      const ModelPart& part = tensor.parts[0];
      Entry entry{&tensor, part.initializer->params(part.shape, tensor.dtype, part.options()), describe(part), {}, {}};
      entry.wanted = moments_of(entry.description.distribution);
      const auto [other, added] = draws.insert({{entry.params.seed, entry.params.subsequence}, tensor.name});
      if (!added) throw InvalidArgument("its name has the same hash as \"" + other->second + "\"; rename one");
      entries.push_back(std::move(entry));
    } catch (const InvalidArgument& error) {
      throw InvalidArgument("tensor \"" + tensor.name + "\": " + error.what());
    }
  }
  // Wider elements first, so that each tensor is aligned in the file.
  std::stable_sort(entries.begin(), entries.end(),
                   [](const Entry& a, const Entry& b) { return size_of(a.params.dtype) > size_of(b.params.dtype); });
  return entries;
}

// Whether the standard deviation found is the wanted one, within 6 standard errors for a normal: two of 10^9 right
// tensors fail.
bool as_wanted(const Entry& entry) {
  if (!entry.is_random() || entry.found.count() < 2) return true;
  const double error = entry.wanted.stddev / std::sqrt(2.0 * static_cast<double>(entry.found.count()));
  // Rounding to the dtype changes a standard deviation by at most half a unit in the last place.
  const double allowed =
      6 * error + entry.wanted.stddev * std::ldexp(1.0, -facts_of(entry.params.dtype).significant_bits);
  // The statistics estimate the mean, although it is known.
  return std::abs(entry.found.stddev() - entry.wanted.stddev) <=
         allowed + entry.wanted.stddev / static_cast<double>(entry.found.count());
}

// Replaces control characters, so that a name cannot control the terminal.
std::string printable(std::string name) {
  std::replace_if(
      name.begin(), name.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; }, '?');
  return name;
}

void print_table(const std::vector<Entry>& entries) {
  Table table({"tensor", "shape", "dtype", "initializer", "fan in/out", "stddev wanted", "found", "min", "max"}, 4);
  for (const Entry& entry : entries) {
    const bool random = entry.is_random();
    table.add({printable(entry.tensor->name), to_string(entry.tensor->shape), std::string(name_of(entry.params.dtype)),
               entry.description.initializer,
               std::to_string(entry.description.fans.fan_in) + "/" + std::to_string(entry.description.fans.fan_out),
               random ? short_number(entry.wanted.stddev) : "-",
               random ? short_number(entry.found.stddev()) + (as_wanted(entry) ? "" : " !") : "-",
               entry.found.count() > 0 ? short_number(entry.found.min()) : "-",
               entry.found.count() > 0 ? short_number(entry.found.max()) : "-"});
  }
  std::cout << table.text();
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

void write_report(OutputFile& file, const ModelSpec& spec, std::uint64_t seed, const std::vector<Entry>& entries,
                  const Written& written) {
  Json tensors = Json::array();
  for (const Entry& entry : entries) {
    Json row{{"name", entry.tensor->name},
             {"shape", entry.tensor->shape},
             {"dtype", name_of(entry.params.dtype)},
             {"initializer", entry.description.initializer},
             {"fan_in", entry.description.fans.fan_in},
             {"fan_out", entry.description.fans.fan_out}};
    row.update(distribution_json(entry.description.distribution));
    row["wanted_stddev"] = entry.wanted.stddev;
    row["count"] = entry.found.count();
    row["found_mean"] = entry.found.mean();
    row["found_stddev"] = entry.found.stddev();
    row["min"] = entry.found.count() > 0 ? Json(entry.found.min()) : Json();
    row["max"] = entry.found.count() > 0 ? Json(entry.found.max()) : Json();
    tensors.push_back(std::move(row));
  }
  const Json report{{"model", spec.name},
                    {"seed", seed},
                    {"elements", written.elements},
                    {"bytes", written.bytes},
                    {"threads", written.threads},
                    {"cpu_target", name_of(cpu_target())},
                    {"fill_seconds", written.fill_seconds},
                    {"memset_seconds", written.memset_seconds},
                    {"tensors", tensors}};
  const std::string text = report.dump(1) + "\n";
  file.write(text.data(), text.size());
}

void run(const Arguments& arguments) {
  if (arguments.threads < 0) {
    throw InvalidArgument("--threads takes a number of threads, or 0 for all. Received: " +
                          std::to_string(arguments.threads));
  }
  const Seed seed = arguments.seed ? Seed(parse_unsigned(*arguments.seed, "--seed")) : Seed();
  const std::string text = read_file(arguments.spec);
  const ModelSpec spec = parse_model_spec(text, seed.value());
  std::vector<Entry> entries = entries_of(spec);
  for (const std::string& note : spec.notes) std::fprintf(stderr, "fanin: note: %s\n", note.c_str());

  std::vector<const ModelTensor*> tensors;
  for (const Entry& entry : entries) tensors.push_back(entry.tensor);
  check_different(arguments.spec, arguments.write.out);
  if (arguments.report) {
    check_different(arguments.spec, *arguments.report);
    check_different(arguments.write.out, *arguments.report);
  }
  ModelWriter writer(tensors, model_metadata(text, seed.value(), {}), arguments.write.options(arguments.threads));
  std::optional<OutputFile> report;  // opened now, so that it fails before anything is replaced
  if (arguments.report) report.emplace(*arguments.report);
  const Written written = writer.write();
  for (std::size_t j = 0; j < entries.size(); ++j) entries[j].found = written.found[j][0];
  if (report) write_report(*report, spec, seed.value(), entries, written);
  writer.commit();
  if (report) report->commit();

  print_table(entries);
  const auto off = std::count_if(entries.begin(), entries.end(), [](const Entry& entry) { return !as_wanted(entry); });
  std::cout << spec.name << ": " << entries.size() << " tensors, " << written.elements << " elements, seed "
            << seed.value() << (seed.kind() == Seed::Kind::none ? " (drawn)" : "") << "; "
            << (off == 0
                    ? "every standard deviation is as wanted, within 6 standard errors"
                    : std::to_string(off) + " tensors marked ! are not as wanted: their dtype is too coarse for it")
            << '\n'
            << std::flush;
  print_rate(written);
  std::fflush(stdout);
  print_written(written, arguments.write.out);
}

}  // namespace

void add_model_command(CLI::App& program) {
  auto* command = program.add_subcommand("model", "Fills a whole model and writes it as safetensors");
  auto arguments = std::make_shared<Arguments>();
  command->add_option("spec", arguments->spec, "The model's specification, e.g. examples/models/gpt2.json")->required();
  command->add_option("--seed", arguments->seed, "0 to 2^64 - 1; without it one is drawn and printed");
  arguments->write.add_to(*command);
  command->add_option("--report", arguments->report, "Writes the table as JSON, too");
  command->add_option("--threads", arguments->threads, "Most threads to use; 0: all")->capture_default_str();
  command->callback([arguments] { run(*arguments); });
}

}  // namespace fanin::cli
