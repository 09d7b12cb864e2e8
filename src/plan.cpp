// SPDX-License-Identifier: Apache-2.0
#include "fanin/plan.h"

#include <cstdint>
#include <functional>
#include <map>
#include <utility>
#include <vector>

#include "backends.h"
#include "cuda/backend.h"
#include "fanin/error.h"
#include "fill_job.h"
#include "fp_environment.h"
#include "params.h"
#include "rule.h"

namespace fanin {

using detail::Access;

namespace {

// What an entry draws, apart from where it is written: copies share it.
struct Draws {
  Distribution distribution;
  Shape shape;  // of the whole tensor
  Block block;
  std::size_t original;  // the entry that was added, not copied
};

std::string label(std::size_t entry) { return "entry " + std::to_string(entry); }

// The last index of a map that is not empty.
std::uint64_t last_index(const IndexMap& map) {
  std::uint64_t last = map.start;
  for (std::uint32_t j = 0; j < map.rank; ++j) last += (map.extent[j] - 1) * map.stride[j];
  return last;
}

std::uintptr_t first_of(const FillJob& job) { return reinterpret_cast<std::uintptr_t>(job.address); }

std::uintptr_t end_of(const FillJob& job) { return first_of(job) + job.params.index.count * size_of(job.params.dtype); }

template <class T>
void make_room(std::vector<T>& v) {
  if (v.size() == v.capacity()) v.reserve(2 * v.size() + 1);
}

// Whether two parts of tensors share an index. Exact for parts of one tensor; for tensors of different shapes it
// compares the ranges from the first index to the last.
bool share_indices(const Draws& a, const IndexMap& map_a, const Draws& b, const IndexMap& map_b) {
  if (map_a.count == 0 || map_b.count == 0) return false;
  if (a.shape != b.shape || detail::is_whole(a.block) || detail::is_whole(b.block)) {
    return map_a.start <= last_index(map_b) && map_b.start <= last_index(map_a);
  }
  for (std::size_t j = 0; j < a.shape.size(); ++j) {
    if (a.block.offset[j] >= b.block.offset[j] + b.block.extent[j]) return false;
    if (b.block.offset[j] >= a.block.offset[j] + a.block.extent[j]) return false;
  }
  return true;
}

}  // namespace

struct Plan::State {
  struct Entry {
    Draws draws;
    int device;       // -1: the host
    std::size_t job;  // its number among that place's jobs
  };
  struct Region {
    std::uintptr_t end;
    std::size_t entry;
  };
  using Key = std::pair<std::uint64_t, std::uint64_t>;  // seed, subsequence

  std::map<int, std::shared_ptr<const gpu::Uploaded>> uploaded;  // by device
  std::vector<Entry> entries;
  std::map<int, std::vector<FillJob>, std::greater<>> jobs;  // by device, as the back ends take them; the host last
  std::map<Key, std::vector<std::size_t>> by_key;            // random entries
  std::map<int, std::map<std::uintptr_t, Region>> memory;    // by device, then by first byte

  const FillJob& job_of(std::size_t entry) const { return jobs.at(entries[entry].device)[entries[entry].job]; }

  void check_draws(const FillJob& job, const Draws& added) const {
    const auto at = by_key.find({job.params.seed, job.params.subsequence});
    if (at == by_key.end()) return;
    for (const std::size_t other : at->second) {
      const Draws& draws = entries[other].draws;
      if (draws.original == added.original) continue;
      if (!share_indices(added, job.params.index, draws, job_of(other).params.index)) continue;
      throw InvalidArgument("The tensor would get the same draws as " + label(other) + " of the plan: both have seed " +
                            std::to_string(job.params.seed) + " and subsequence " +
                            std::to_string(job.params.subsequence) +
                            ". Give each tensor a name or a subsequence of its own, or add it as a copy of that entry");
    }
  }

  void check_memory(std::uintptr_t first, std::uintptr_t end, int device) const {
    const auto regions = memory.find(device);
    if (regions == memory.end()) return;
    auto next = regions->second.lower_bound(first);
    const bool meets_next = next != regions->second.end() && next->first < end;
    if (!meets_next && (next == regions->second.begin() || (--next)->second.end <= first)) return;
    throw InvalidArgument("The memory overlaps that of " + label(next->second.entry) + " of the plan");
  }

  // One seed for all: entries that had different ones would get the same draws.
  void check_device_seed() const {
    if (jobs.size() > 1) {
      throw InvalidArgument("A seed in device memory is for plans of one device. Received: entries in " +
                            std::to_string(jobs.size()) + " places");
    }
    if (by_key.empty()) return;
    const std::uint64_t first = by_key.begin()->first.first;
    const std::uint64_t last = by_key.rbegin()->first.first;
    if (first == last) return;
    throw InvalidArgument("A seed in device memory takes the place of one seed. Received: entries with seeds " +
                          std::to_string(first) + " and " + std::to_string(last));
  }

  // Throws if the entry must be refused.
  void check(const FillJob& job, const Draws& draws, Place place) const {
    if (is_random(job.params)) check_draws(job, draws);
    if (end_of(job) > first_of(job)) check_memory(first_of(job), end_of(job), place.cuda_device);
  }

  // All that can fail comes first, so that a failure leaves the plan as it was.
  std::size_t add(const FillJob& job, Draws draws, Place place) {
    const std::size_t entry = entries.size();
    std::vector<FillJob>& there = jobs[place.cuda_device];
    std::vector<std::size_t>* same_key =
        is_random(job.params) ? &by_key[{job.params.seed, job.params.subsequence}] : nullptr;
    make_room(entries);
    make_room(there);
    if (same_key != nullptr) make_room(*same_key);
    if (end_of(job) > first_of(job)) memory[place.cuda_device].insert({first_of(job), {end_of(job), entry}});

    if (same_key != nullptr) same_key->push_back(entry);
    uploaded.clear();
    there.push_back(job);
    entries.push_back({std::move(draws), place.cuda_device, there.size() - 1});
    return entry;
  }
};

Plan::Plan() : state_(std::make_unique<State>()) {}
Plan::Plan(Plan&&) noexcept = default;
Plan& Plan::operator=(Plan&&) noexcept = default;
Plan::~Plan() = default;

std::size_t Plan::size() const { return state_->entries.size(); }

std::size_t Plan::add(const Initializer& initializer, const View& view, const Shape& shape,
                      const FillOptions& options) {
  if (options.stream != nullptr || options.threads != 0 || options.cpu_target != CpuTarget::automatic ||
      options.device_seed != nullptr) {
    throw InvalidArgument(
        "An entry of a plan has no stream, threads, CPU target or seed in device memory of its own: give them to "
        "Plan::fill");
  }
  detail::check_view(view, detail::written_shape(shape, options.block));
  const Draws draws{initializer.describe(shape, options.layout).distribution, shape, options.block, size()};
  FillJob job{view.address, Access::prepared(initializer, shape, view.dtype, options)};
  const std::uint64_t base = job.params.subsequence;
  std::uint64_t call = 0;
  do {  // again if another thread has taken the call's number in between
    call = initializer.calls();
    job.params.subsequence = base + call;
    state_->check(job, draws, view.place);
  } while (!Access::claim(initializer, call));
  return state_->add(job, draws, view.place);
}

std::size_t Plan::add_copy(std::size_t entry, const View& view) {
  if (entry >= size()) {
    throw InvalidArgument("There is no " + label(entry) + " to copy: the plan has " + std::to_string(size()));
  }
  Draws draws = state_->entries[entry].draws;
  detail::check_view(view, detail::written_shape(draws.shape, draws.block));
  const FillParams& original = state_->job_of(entry).params;
  const FillJob job{view.address, detail::in_default_fp_environment([&] {
                      return detail::make_params(draws.distribution, draws.shape, view.dtype, original.seed,
                                                 original.subsequence, draws.block);
                    })};
  state_->check(job, draws, view.place);
  return state_->add(job, std::move(draws), view.place);
}

void Plan::fill(CudaStream stream, int threads, CpuTarget target, const std::uint64_t* device_seed) const {
  const detail::RunOptions options{stream, threads, target, device_seed};
  for (const auto& [device, jobs] : state_->jobs) detail::check_run(options, Place{device});
  if (device_seed != nullptr) state_->check_device_seed();
  for (const auto& [device, jobs] : state_->jobs) {
    const auto uploaded = state_->uploaded.find(device);
    if (uploaded != state_->uploaded.end()) {
      gpu::fill(*uploaded->second, device, stream, device_seed);
    } else {
      detail::run(jobs.data(), jobs.size(), Place{device}, options);
    }
  }
}

std::size_t Plan::workspace_size(int device) const {
  gpu::check_device(device);
  const auto jobs = state_->jobs.find(device);
  return jobs == state_->jobs.end() ? 0 : gpu::upload_bytes(jobs->second.data(), jobs->second.size(), device);
}

void Plan::upload(const View& workspace, CudaStream stream) {
  if (workspace.place.is_host()) {
    throw InvalidArgument("A plan is uploaded to device memory. Received: memory on the host");
  }
  const int device = workspace.place.cuda_device;
  const std::size_t needed = workspace_size(device);
  if (needed == 0) return;
  if (workspace.capacity < needed) {
    throw InvalidArgument("The workspace is too small: the plan needs " + std::to_string(needed) +
                          " bytes. Received: capacity=" + std::to_string(workspace.capacity));
  }
  if (workspace.address == nullptr || reinterpret_cast<std::uintptr_t>(workspace.address) % 16 != 0) {
    throw InvalidArgument("The workspace must be aligned to 16 bytes");
  }
  gpu::check_address(workspace.address, device);
  const std::vector<FillJob>& jobs = state_->jobs.at(device);
  state_->uploaded[device] = gpu::upload(jobs.data(), jobs.size(), workspace.address, device, stream);
}

}  // namespace fanin
