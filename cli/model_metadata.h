// SPDX-License-Identifier: Apache-2.0
// What a file that `fanin model` writes says about itself, so that `fanin verify FILE` alone can recompute it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "cli/checkpoint_layout.h"
#include "fanin/model_spec.h"
#include "fanin/safetensors.h"

namespace fanin::cli {

// The specification's text is stored if it has at most so many bytes.
inline constexpr std::size_t most_spec_bytes = 1000'000;

Metadata model_metadata(const std::string& spec, std::uint64_t seed, const ModelSpecOptions& options);

// The reverse.
struct StoredSpec {
  std::optional<std::string> spec;  // none: it was too long, or the file is not fanin's
  std::string spec_hash;
  std::optional<std::uint64_t> seed;
  ModelSpecOptions options;
  std::optional<std::string> shard;  // for example 00002-of-00005
};

// Throws InvalidArgument if another version of the value contract wrote the file, or the metadata is damaged.
StoredSpec stored_spec(const Checkpoint& checkpoint);

}  // namespace fanin::cli
