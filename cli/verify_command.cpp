// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <functional>
#include <iostream>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <sstream>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "cli/arguments.h"
#include "cli/checkpoint_layout.h"
#include "cli/commands.h"
#include "cli/compare.h"
#include "cli/model_metadata.h"
#include "cli/output_file.h"
#include "cli/table.h"

namespace fanin::cli {

namespace {

struct Arguments {
  std::string path;
  std::optional<std::string> spec;
  std::optional<std::string> seed;
  std::optional<std::string> seeds;
  int threads = 0;
};

constexpr int is_different = 1;
constexpr int cannot_tell = 2;

// Stretches of a tensor that tell its values from others.
constexpr std::uint64_t sample_elements = 1024;
constexpr std::uint64_t sample_stretches = 4;

using Bytes = std::vector<std::byte>;

std::vector<ElementRange> sample_of(std::uint64_t elements) {
  std::vector<ElementRange> ranges;
  const std::uint64_t count = std::min(sample_elements, elements);
  for (std::uint64_t j = 0; j < sample_stretches; ++j) {
    ranges.push_back({(elements - count) / (sample_stretches - 1) * j, count});
  }
  return ranges;
}

std::vector<double> values_of(const Bytes& bytes, DType dtype) {
  std::vector<double> values(bytes.size() / size_of(dtype));
  to_binary64(values.data(), bytes.data(), dtype, values.size());
  return values;
}

// Whether the element is a value of `dtype` that is nearest to `exact`. Midpoints are exact in binary64, but for
// neighbours in binary64 itself.
bool is_rounded(const std::byte* element, DType dtype, double exact) {
  std::uint64_t bits = 0;
  std::memcpy(&bits, element, size_of(dtype));
  const auto value = [&](std::uint64_t changed) {
    double v = 0;
    to_binary64(&v, &changed, dtype, 1);
    return v;
  };
  const double v = value(bits);
  if (v == exact) return true;
  if (dtype == DType::float64 || !std::isfinite(v)) return false;
  const double up = value(bits + 1);  // away from zero
  const double down = v == 0 ? v : value(bits - 1);
  return std::abs(exact - v) * 2 <= std::max(std::abs(up - v), std::abs(v - down));
}

// The specification with any seed.
class Specs {
 public:
  Specs(std::string text, ModelSpecOptions options) : text_(std::move(text)), options_(std::move(options)) {}

  const ModelSpec& with_seed(std::uint64_t seed) {
    const auto found = specs_.find(seed);
    if (found != specs_.end()) return found->second;
    return specs_.emplace(seed, parse_model_spec(text_, seed, options_)).first->second;
  }

 private:
  std::string text_;
  ModelSpecOptions options_;
  std::map<std::uint64_t, ModelSpec> specs_;
};

// A tensor of the file that is not what the specification says, and what is known about it.
class Diagnosis {
 public:
  Diagnosis(const InputFiles& files, const SavedTensor& saved, const ModelTensor& wanted)
      : files_(files), saved_(saved), wanted_(wanted), elements_(element_count(wanted.shape)) {
    for (const ElementRange& range : sample_of(elements_)) {
      sample_.emplace_back(range, Bytes(range.count * size_of(*saved.dtype)));
      files.read(saved, range.first, range.count, sample_.back().second.data());
    }
  }

  // Whether the sample has exactly the values of a tensor of the same dtype and size.
  bool is(const ModelTensor& tensor) const {
    return std::all_of(sample_.begin(), sample_.end(), [&](const auto& stretch) {
      const auto& [range, found] = stretch;
      Bytes values(found.size());
      fanin::fill(tensor, range.first, range.count, values.data());
      return values == found;
    });
  }

  const Bytes& first_values() const { return sample_[0].second; }

  // The dtype whose values these are, up to rounding to the dtype of the file.
  std::optional<DType> other_dtype() const {
    std::vector<DType> candidates{wanted_.dtype, *saved_.dtype};
    for (const DTypeFacts& facts : dtypes()) {
      if (!facts.is_packed() && facts.dtype != DType::float8_e8m0fnu) candidates.push_back(facts.dtype);
    }
    for (const DType dtype : candidates) {
      if (dtype == wanted_.dtype && dtype == *saved_.dtype) continue;
      ModelTensor other = wanted_;
      other.dtype = dtype;
      try {
        if (has_values_of(other)) return dtype;
      } catch (const InvalidArgument&) {  // this dtype cannot have them
      }
    }
    return {};
  }

  // "along axis 0, in 4 shards whose order is 2, 3, 0, 1", or "".
  std::string permutation() const {
    for (std::size_t axis = 0; axis < wanted_.shape.size(); ++axis) {
      const auto extent = static_cast<std::uint64_t>(wanted_.shape[axis]);
      for (std::uint64_t shards = 2; shards <= std::min<std::uint64_t>(extent, most_shards); ++shards) {
        if (extent % shards != 0) continue;
        const std::vector<std::uint64_t> order = order_of(axis, shards);
        if (order.empty()) continue;
        std::string text;
        for (const std::uint64_t shard : order) text += (text.empty() ? "" : ", ") + std::to_string(shard);
        return "along axis " + std::to_string(axis) + ", in " + std::to_string(shards) + " shards whose order is " +
               text;
      }
    }
    return "";
  }

 private:
  static constexpr std::uint64_t most_shards = 64;

  bool has_values_of(const ModelTensor& other) const {
    return std::all_of(sample_.begin(), sample_.end(), [&](const auto& stretch) {
      const auto& [range, found] = stretch;
      Bytes elements(range.count * size_of(other.dtype));
      fanin::fill(other, range.first, range.count, elements.data());
      const std::vector<double> exact = values_of(elements, other.dtype);
      for (std::size_t j = 0; j < exact.size(); ++j) {
        if (!is_rounded(found.data() + j * size_of(*saved_.dtype), *saved_.dtype, exact[j])) return false;
      }
      return true;
    });
  }

  // For each shard of the file the number of the shard of the specification that it is; empty if it is none, or if each
  // is in its place.
  std::vector<std::uint64_t> order_of(std::size_t axis, std::uint64_t shards) const {
    const std::uint64_t row =
        element_count(Shape(wanted_.shape.begin() + static_cast<std::ptrdiff_t>(axis), wanted_.shape.end()));
    const std::uint64_t width = row / shards;  // of a shard in a row
    const std::uint64_t last_row = (elements_ / row - 1) * row;
    const std::uint64_t count = std::min<std::uint64_t>(width, 64);
    if (count < 4) return {};  // too few to tell shards apart
    const std::uint64_t size = size_of(*saved_.dtype);
    // The first elements of a shard in the first row and the last ones in the last row.
    const auto probe = [&](std::uint64_t shard, const auto& read) {
      Bytes bytes(2 * count * size);
      read(shard * width, bytes.data());
      read(last_row + (shard + 1) * width - count, bytes.data() + count * size);
      return bytes;
    };
    std::map<Bytes, std::uint64_t> known;
    for (std::uint64_t shard = 0; shard < shards; ++shard) {
      known[probe(shard, [&](std::uint64_t first, std::byte* to) { fanin::fill(wanted_, first, count, to); })] = shard;
    }
    std::vector<std::uint64_t> order;
    bool is_moved = false;
    for (std::uint64_t shard = 0; shard < shards; ++shard) {
      const auto found =
          known.find(probe(shard, [&](std::uint64_t first, std::byte* to) { files_.read(saved_, first, count, to); }));
      if (found == known.end()) return {};
      is_moved = is_moved || found->second != shard;
      order.push_back(found->second);
    }
    return is_moved ? order : std::vector<std::uint64_t>{};
  }

  const InputFiles& files_;
  const SavedTensor& saved_;
  const ModelTensor& wanted_;
  std::uint64_t elements_;
  std::vector<std::pair<ElementRange, Bytes>> sample_;
};

std::vector<std::uint64_t> seeds_of(const Arguments& arguments) {
  std::vector<std::uint64_t> seeds;
  if (!arguments.seeds) return seeds;
  std::istringstream parts(*arguments.seeds + ",");
  for (std::string part; std::getline(parts, part, ',');) seeds.push_back(parse_unsigned(part, "--seeds"));
  return seeds;
}

// A tensor of the specification and its place in the files.
struct Pair {
  const SavedTensor* saved;
  const ModelTensor* wanted;
};

class Verification {
 public:
  explicit Verification(const Arguments& arguments)
      : arguments_(arguments),
        checkpoint_(read_checkpoint_argument(arguments.path)),
        files_(checkpoint_),
        seeds_(seeds_of(arguments)) {
    const StoredSpec stored = stored_spec(checkpoint_);
    is_shard_ = stored.shard && checkpoint_.files == std::vector<std::string>{checkpoint_path(arguments.path)};
    if (arguments.spec) {
      const std::string spec = read_file(*arguments.spec);
      ModelSpecOptions options;
      if (hash_text(spec) == stored.spec_hash) options = stored.options;  // its constants and dtype
      options.source = *arguments.spec;
      options.folder = std::filesystem::path(*arguments.spec).parent_path().string();
      specs_.emplace(spec, options);
    } else if (stored.spec) {
      specs_.emplace(*stored.spec, stored.options);
    } else {
      throw InvalidArgument("\"" + checkpoint_.files[0] + "\" does not say how it was filled; give --spec and --seed");
    }
    for (const SavedTensor& tensor : checkpoint_.tensors) saved_[tensor.name] = &tensor;
    if (arguments.seed) {
      seed_ = parse_unsigned(*arguments.seed, "--seed");
    } else if (stored.seed && (!arguments.spec || seeds_.empty())) {
      seed_ = *stored.seed;
    } else if (!seeds_.empty()) {
      seed_ = likeliest_seed();
    } else {
      throw InvalidArgument("The file does not say with which seed it was filled; give --seed or --seeds");
    }
  }

  int run() {
    const ModelSpec& spec = specs_->with_seed(seed_);
    check_loads(spec);
    const std::vector<Pair> pairs = pairs_of(spec);
    std::vector<Comparison> comparisons;
    std::vector<Pair> compared;
    std::size_t different = missing_;
    for (const Pair& pair : pairs) {
      const ModelTensor& wanted = *pair.wanted;
      if (pair.saved->shape == wanted.shape && pair.saved->dtype == wanted.dtype) {
        comparisons.push_back({pair.saved, [&wanted](std::uint64_t first, std::uint64_t count, void* memory) {
                                 fanin::fill(wanted, first, count, memory, 1);
                               }});
        compared.push_back(pair);
        continue;
      }
      ++different;
      std::cout << title(*pair.saved) << ": the specification says " << to_string(wanted.shape) << ' '
                << facts_of(wanted.dtype).safetensors << '\n';
      if (pair.saved->shape == wanted.shape && pair.saved->dtype) explain(pair, nullptr);
    }
    const std::vector<Difference> differences = compare(files_, comparisons, arguments_.threads);
    std::uint64_t elements = 0;
    for (std::size_t j = 0; j < compared.size(); ++j) {
      const SavedTensor& saved = *compared[j].saved;
      const Difference& difference = differences[j];
      elements += element_count(saved.shape);
      if (difference.count == 0) continue;
      ++different;
      std::cout << title(saved) << ": " << difference.count << " of " << element_count(saved.shape)
                << (difference.count == 1 ? " elements differs" : " elements differ") << "; at "
                << coordinates(saved.shape, difference.first) << " the file has "
                << element_text(saved, difference.found) << " and seed " << seed_ << " gives "
                << element_text(saved, difference.wanted) << '\n';
      explain(compared[j], &difference);
    }
    if (different > 0) {
      std::cout << arguments_.path << ": " << different << " of " << pairs.size() + missing_
                << " tensors are not those of seed " << seed_ << '\n';
      return is_different;
    }
    if (extra_ > 0) {
      std::cout << arguments_.path << ": " << compared.size() << " tensors are those of seed " << seed_
                << "; nothing can be told of " << extra_ << " that the specification does not have\n";
      return cannot_tell;
    }
    if (pairs.empty() && is_shard_) {
      std::cout << arguments_.path << ": it has no tensors, so nothing can be told\n";
      return cannot_tell;
    }
    std::cout << arguments_.path << ": " << compared.size() << " tensors, " << elements
              << " elements: all are those of seed " << seed_ << '\n';
    return 0;
  }

 private:
  // Values that are loaded from what is verified would be compared with themselves.
  void check_loads(const ModelSpec& spec) const {
    std::vector<const ModelTensor*> tensors;
    for (const ModelTensor& tensor : spec.tensors) tensors.push_back(&tensor);
    std::set<std::string> verified;
    for (const std::string& file : checkpoint_.files) verified.insert(resolved(file));
    for (const std::string& file : loaded_files(tensors)) {
      if (verified.count(resolved(file)) == 0) continue;
      throw InvalidArgument("The specification loads values from \"" + printable(file) +
                            "\", which is what is verified. " +
                            (arguments_.spec ? "Verify it from another place"
                                             : "Give --spec, with the specification beside the file that it loads"));
    }
  }

  // The tensors of the specification that the files have; says which are missing and which the specification lacks.
  std::vector<Pair> pairs_of(const ModelSpec& spec) {
    std::vector<Pair> pairs;
    std::unordered_map<std::string, bool> known;
    for (const ModelTensor& tensor : spec.tensors) {
      bool is_there = false;
      const auto look_up = [&](const std::string& name) {
        known[name] = true;
        const auto found = saved_.find(name);
        if (found == saved_.end()) return;
        pairs.push_back({found->second, &tensor});
        is_there = true;
      };
      look_up(tensor.name);
      for (const std::string& tie : tensor.ties) look_up(tie);
      if (is_there || is_shard_) continue;
      ++missing_;
      std::cout << printable(tensor.name) << ' ' << to_string(tensor.shape) << ' ' << facts_of(tensor.dtype).safetensors
                << ": missing\n";
    }
    for (const SavedTensor& tensor : checkpoint_.tensors) {
      if (known.count(tensor.name) > 0) continue;
      ++extra_;
      std::cout << title(tensor) << ": not in the specification\n";
    }
    return pairs;
  }

  // Prints what the values of a tensor are instead.
  void explain(const Pair& pair, const Difference* difference) {
    const ModelTensor& wanted = *pair.wanted;
    const std::uint64_t elements = element_count(wanted.shape);
    constexpr std::uint64_t least = 8;  // fewer are equal by chance
    if (difference != nullptr && difference->is_constant && difference->count >= least) {
      std::cout << "  each of these " << difference->count << " elements is "
                << element_text(*pair.saved, difference->found)
                << (difference->found == 0 ? ": memory that was never filled?" : "") << '\n';
      return;
    }
    if (elements < least) return;
    const Diagnosis diagnosis(files_, *pair.saved, wanted);
    if (difference != nullptr && diagnosis.is(wanted)) return;  // most of it is right
    if (difference != nullptr) {
      for (const std::uint64_t seed : seeds_) {
        if (seed == seed_) continue;
        const ModelSpec& spec = specs_->with_seed(seed);
        const auto& first = specs_->with_seed(seed_).tensors;
        if (!diagnosis.is(spec.tensors[static_cast<std::size_t>(&wanted - first.data())])) continue;
        std::cout << "  a sample has the values of seed " << seed << '\n';
        return;
      }
    }
    if (const auto dtype = diagnosis.other_dtype()) {
      std::cout << "  a sample has the values of " << name_of(*dtype) << " with this seed, converted\n";
      return;
    }
    if (difference == nullptr) return;
    if (const std::string order = diagnosis.permutation(); !order.empty()) {
      std::cout << "  the tensor is permuted " << order << '\n';
      return;
    }
    if (by_values_.empty()) {
      for (const ModelTensor& tensor : specs_->with_seed(seed_).tensors) {
        const bool is_drawn = std::all_of(tensor.parts.begin(), tensor.parts.end(),
                                          [](const ModelPart& part) { return part.initializer.has_value(); });
        if (!is_drawn) continue;  // what is loaded is no draw of another tensor
        Bytes values(std::min(sample_elements, element_count(tensor.shape)) * size_of(tensor.dtype));
        fanin::fill(tensor, 0, values.size() / size_of(tensor.dtype), values.data());
        by_values_.emplace(values_key(tensor, values), &tensor);
      }
    }
    const auto other = by_values_.find(values_key(wanted, diagnosis.first_values()));
    if (other == by_values_.end() || !diagnosis.is(*other->second)) return;
    std::cout << "  a sample has the values of the tensor " << printable(other->second->name) << '\n';
  }

  // The same for tensors of one shape, one dtype and equal first values.
  static std::uint64_t values_key(const ModelTensor& tensor, const Bytes& first) {
    return subsequence_of(to_string(tensor.shape) + std::string(name_of(tensor.dtype)) +
                          std::string(reinterpret_cast<const char*>(first.data()), first.size()));
  }

  // The one of --seeds whose values most tensors have.
  std::uint64_t likeliest_seed() {
    std::pair<std::size_t, std::uint64_t> best{0, seeds_[0]};
    for (const std::uint64_t seed : seeds_) {
      std::size_t equal = 0;
      for (const ModelTensor& tensor : specs_->with_seed(seed).tensors) {
        const auto found = saved_.find(tensor.name);
        if (found == saved_.end() || found->second->shape != tensor.shape || found->second->dtype != tensor.dtype)
          continue;
        if (element_count(tensor.shape) > 0 && Diagnosis(files_, *found->second, tensor).is(tensor)) ++equal;
      }
      if (equal > best.first) best = {equal, seed};
    }
    return best.second;
  }

  const Arguments& arguments_;
  Checkpoint checkpoint_;
  InputFiles files_;
  std::vector<std::uint64_t> seeds_;
  std::optional<Specs> specs_;
  std::unordered_map<std::string, const SavedTensor*> saved_;
  std::uint64_t seed_ = 0;
  bool is_shard_ = false;                                            // one file of several, which has not all tensors
  std::unordered_map<std::uint64_t, const ModelTensor*> by_values_;  // the specification's tensors, when asked for
  std::size_t missing_ = 0;
  std::size_t extra_ = 0;
};

}  // namespace

void add_verify_command(Parser& program) {
  Command command = program.add_command("verify",
                                        "Recomputes a checkpoint from its specification and seed and compares; exit "
                                        "status 0: equal, 1: different, 2: cannot tell");
  auto arguments = std::make_shared<Arguments>();
  command.require("path", arguments->path,
                  "FILE.safetensors, an index, a directory, or - for a file on standard input");
  command.option("--spec", arguments->spec, "The specification; without it the one in the file");
  command.option("--seed", arguments->seed, "The seed; without it the one in the file");
  command.option(
      "--seeds", arguments->seeds,
      "Seeds that tensors may have been filled with, e.g. 1,2,3; the likeliest is verified if there is no other seed");
  add_threads_option(command, arguments->threads);
  command.run([arguments] { return Verification(*arguments).run(); });
}

}  // namespace fanin::cli
