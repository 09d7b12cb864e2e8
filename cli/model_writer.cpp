// SPDX-License-Identifier: Apache-2.0
#include "cli/model_writer.h"

#include "cli/progress.h"
#include "fanin/safetensors.h"

namespace fanin::cli {

ModelWriter::ModelWriter(std::vector<const ModelTensor*> tensors,
                         const std::vector<std::pair<std::string, std::string>>& metadata, const WriteOptions& options)
    : tensors_(std::move(tensors)), options_(options), out_(options.out) {
  std::vector<StoredTensor> stored;
  for (const ModelTensor* tensor : tensors_) {
    const ModelPart& part = tensor->parts[0];
    params_.push_back(part.initializer->params(part.shape, tensor->dtype, part.options()));
    stored.push_back({tensor->name, tensor->shape, tensor->dtype});
  }
  header_ = safetensors_header(stored, metadata);
}

Written ModelWriter::write() {
  std::uint64_t total = 0;
  for (const FillParams& params : params_) total += params.index.count * size_of(params.dtype);
  out_.write(header_.data(), header_.size());
  Filler filler(options_.threads);
  filler.compare_with_memset();
  Written written;
  Progress progress(total);
  for (const FillParams& params : params_) {
    written.found.push_back(filler.fill(params, &out_, [&](std::uint64_t bytes) { progress.update(bytes); }));
  }
  written.elements = filler.elements();
  written.bytes = filler.bytes();
  written.fill_seconds = filler.fill_seconds();
  written.memset_seconds = filler.memset_seconds();
  written.threads = filler.threads();
  return written;
}

void ModelWriter::commit() { out_.commit(); }

}  // namespace fanin::cli
