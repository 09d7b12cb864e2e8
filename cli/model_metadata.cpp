// SPDX-License-Identifier: Apache-2.0
#include "cli/model_metadata.h"

#include <filesystem>
#include <nlohmann/json.hpp>

#include "cli/arguments.h"
#include "cli/table.h"

namespace fanin::cli {

namespace {

constexpr const char* spec_key = "fanin.spec";
constexpr const char* hash_key = "fanin.spec_hash";
constexpr const char* constants_key = "fanin.constants";

}  // namespace

Metadata model_metadata(const std::string& spec, std::uint64_t seed, const ModelSpecOptions& options) {
  Metadata metadata{{"format", "pt"},
                    {"fanin.version", FANIN_VERSION},
                    {"fanin.contract", std::to_string(FANIN_CONTRACT_VERSION)},
                    {"fanin.seed", std::to_string(seed)},
                    {hash_key, hash_text(spec)}};
  if (!options.constants.empty()) {
    nlohmann::ordered_json constants = nlohmann::ordered_json::object();
    for (const auto& [name, value] : options.constants) constants[name] = value;
    metadata.emplace_back(constants_key, constants.dump());
  }
  if (options.dtype) metadata.emplace_back("fanin.dtype", name_of(*options.dtype));
  if (spec.size() <= most_spec_bytes) metadata.emplace_back(spec_key, spec);
  return metadata;
}

StoredSpec stored_spec(const Checkpoint& checkpoint) {
  StoredSpec stored;
  const std::string file = checkpoint.files.empty() ? "" : checkpoint.files[0];
  stored.options.source = "the specification in " + file;
  stored.options.folder = std::filesystem::path(file).parent_path().string();
  for (const auto& [key, value] : checkpoint.metadata) {
    if (key == spec_key) stored.spec = value;
    if (key == hash_key) stored.spec_hash = value;
    if (key == "fanin.seed") stored.seed = parse_unsigned(value, "fanin.seed in the metadata");
    if (key == "fanin.dtype") stored.options.dtype = parse_dtype(value);
    if (key == "fanin.shard") stored.shard = value;
    if (key == "fanin.contract" && value != std::to_string(FANIN_CONTRACT_VERSION)) {
      throw InvalidArgument("The file has the values of contract version " + value +
                            "; this program computes version " + std::to_string(FANIN_CONTRACT_VERSION));
    }
    if (key != constants_key) continue;
    const auto constants = nlohmann::ordered_json::parse(value, nullptr, false);
    if (!constants.is_object()) throw InvalidArgument("fanin.constants in the metadata is damaged: " + value);
    for (const auto& item : constants.items()) {
      if (!item.value().is_number()) throw InvalidArgument("fanin.constants in the metadata is damaged: " + value);
      stored.options.constants.emplace_back(item.key(), item.value().get<double>());
    }
  }
  return stored;
}

}  // namespace fanin::cli
