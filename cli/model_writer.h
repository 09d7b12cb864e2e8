// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "cli/filler.h"
#include "cli/output_file.h"
#include "cli/statistics.h"
#include "fanin/model_spec.h"

namespace fanin::cli {

struct WriteOptions {
  std::string out;
  int threads = 0;  // a maximum; 0 means available_threads()
};

// What a write did.
struct Written {
  std::vector<Statistics> found;  // of each tensor
  std::uint64_t elements = 0;
  std::uint64_t bytes = 0;
  double fill_seconds = 0;
  double memset_seconds = 0;  // of the same memory; 0: not measured
  int threads = 1;
};

// Fills tensors and writes them as safetensors.
class ModelWriter {
 public:
  // Opens the file. The tensors are stored in this order; wider dtypes must come first.
  ModelWriter(std::vector<const ModelTensor*> tensors, const std::vector<std::pair<std::string, std::string>>& metadata,
              const WriteOptions& options);

  // Fills and writes all tensors, with a progress bar.
  Written write();

  // Puts what was written in its place.
  void commit();

 private:
  std::vector<const ModelTensor*> tensors_;
  std::vector<FillParams> params_;
  WriteOptions options_;
  std::string header_;
  OutputFile out_;
};

}  // namespace fanin::cli
