// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cli/checkpoint_layout.h"
#include "cli/output_file.h"
#include "cli/parser.h"
#include "cli/partial_checkpoint.h"
#include "cli/progress.h"
#include "cli/statistics.h"
#include "fanin/model_spec.h"

namespace fanin::cli {

struct WriteOptions {
  std::string out;
  int threads = 0;                           // a maximum; 0 means available_threads()
  std::optional<std::uint64_t> shard_bytes;  // `out` is a directory of files of at most so many bytes of elements
  bool statistics = true;
  bool resume = false;  // goes on with the pieces of the same output, and keeps them when it fails
};

// --out, --shard-size, --no-stats, --resume.
struct WriteArguments {
  std::string out;
  std::optional<std::string> shard_size;
  bool no_stats = false;
  bool resume = false;

  void add_to(Command& command);
  WriteOptions options(int threads) const;
  WriteOptions options_without_out() const;  // for what only says what would be written
};

// What a write did. What it resumed is not among the elements, bytes and statistics.
struct Written {
  std::vector<std::vector<Statistics>> found;  // of each tensor's parts
  std::uint64_t elements = 0;
  std::uint64_t bytes = 0;    // of elements
  std::uint64_t resumed = 0;  // bytes of elements that were there
  std::size_t files = 1;
  int threads = 1;
  double seconds = 0;         // from the first byte to the last, on the disk
  double fill_seconds = 0;    // of fills alone, had nothing else run
  double memset_seconds = 0;  // a memset of as many bytes on as many threads; 0: not measured
};

// Prints where it went, how much of it was there before, and at which rate the rest was written.
void print_written(const Written& written, const std::string& out);

// Fills tensors and writes them as safetensors. Filling, statistics and writing overlap, in bounded memory.
class ModelWriter {
 public:
  // Checks what can be known before: the format's limits, locks, pieces and the room on the disk.
  ModelWriter(std::vector<const ModelTensor*> tensors, Metadata metadata, const WriteOptions& options);

  // Fills and writes all tensors, with a progress bar.
  Written write();

  // Puts what was written in its place.
  void commit();

 private:
  void write_file(std::size_t number, std::uint64_t kept, Written& written);
  std::uint64_t kept_bytes(std::size_t number) const;
  void take(const std::vector<PartFound>& found, Written& written) const;

  std::vector<const ModelTensor*> tensors_;
  Metadata metadata_;
  WriteOptions options_;
  int threads_;
  std::vector<FileLayout> files_;
  std::vector<std::uint64_t> kept_;           // bytes of each file that are there
  std::optional<OutputFile> stream_;          // standard output, a device or a pipe
  std::optional<PartialCheckpoint> partial_;  // anything else
  std::optional<Progress> progress_;
  std::uint64_t done_ = 0;  // bytes of elements, for the progress bar
};

}  // namespace fanin::cli
