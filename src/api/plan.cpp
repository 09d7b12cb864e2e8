// SPDX-License-Identifier: Apache-2.0
#include "fanin/plan.h"

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "api/access.h"
#include "api/destination.h"
#include "base/fp_environment.h"
#include "cpu/fill.h"
#include "cuda/backend.h"
#include "fanin/error.h"
#include "params/fill_job.h"
#include "params/index_map.h"
#include "params/make_params.h"

namespace fanin {

using detail::Access;

namespace {

// What an entry draws, whatever its destination; copies share it.
struct Draws {
  Distribution distribution;
  Shape shape;  // of the whole tensor
  Block block;
  std::size_t original;  // the entry that `add` made, also for a copy
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

// Whether two parts of tensors share an index. The answer is exact for tensors of one shape; otherwise it compares the
// ranges from the first index to the last.
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
    std::size_t job;  // index among that device's jobs
  };
  struct Region {
    std::uintptr_t end;
    std::size_t entry;
  };
  using Key = std::pair<std::uint64_t, std::uint64_t>;  // seed, subsequence

  // A device's encoded jobs, made on demand and discarded when an entry is added.
  struct Encoded {
    std::shared_ptr<const gpu::Launches> in_parameters, in_memory, uploaded;
  };
  mutable std::mutex encoding;
  mutable std::map<int, Encoded> encoded;  // by device
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

  // A device seed replaces one seed: entries with different seeds would get the same draws.
  void check_device_seed() const {
    if (jobs.size() > 1) {
      throw InvalidArgument("A seed in device memory is for plans of one device. Received: entries in " +
                            std::to_string(jobs.size()) + " devices, the host included");
    }
    if (by_key.empty()) return;
    const std::uint64_t first = by_key.begin()->first.first;
    const std::uint64_t last = by_key.rbegin()->first.first;
    if (first == last) return;
    throw InvalidArgument("A seed in device memory replaces one seed. Received: entries with seeds " +
                          std::to_string(first) + " and " + std::to_string(last));
  }

  std::shared_ptr<const gpu::Launches> launches_for(int device) const {
    const std::lock_guard lock(encoding);
    Encoded& on_device = encoded[device];
    if (on_device.uploaded) return on_device.uploaded;
    if (!on_device.in_parameters) on_device.in_parameters = encode(device, gpu::JobsIn::parameters);
    return on_device.in_parameters;
  }

  // The launches to upload, or null if an upload would save none.
  std::shared_ptr<const gpu::Launches> upload_for(int device) const {
    if (jobs.count(device) == 0) return nullptr;
    const std::lock_guard lock(encoding);
    Encoded& on_device = encoded[device];
    if (!on_device.in_parameters) on_device.in_parameters = encode(device, gpu::JobsIn::parameters);
    if (gpu::count(*on_device.in_parameters) <= 1) return nullptr;
    if (!on_device.in_memory) on_device.in_memory = encode(device, gpu::JobsIn::memory);
    return gpu::count(*on_device.in_memory) < gpu::count(*on_device.in_parameters) ? on_device.in_memory : nullptr;
  }

  std::shared_ptr<const gpu::Launches> encode(int device, gpu::JobsIn where) const {
    const std::vector<FillJob>& device_jobs = jobs.at(device);
    return gpu::encode(device_jobs.data(), device_jobs.size(), device, where);
  }

  // stream_of(device) returns the device's stream, or throws InvalidArgument.
  template <class StreamOf>
  void fill(const StreamOf& stream_of, const RunOptions& options) const {
    RunOptions run = options;
    for (const auto& [device, device_jobs] : jobs) run = detail::checked(run, Device{device});
    if (run.device_seed != nullptr) check_device_seed();
    for (const auto& [device, device_jobs] : jobs) {  // all refusals come before the first launch
      if (Device{device}.is_host()) continue;
      stream_of(device);
      launches_for(device);
    }
    for (const auto& [device, device_jobs] : jobs) {
      if (Device{device}.is_host()) {
        cpu::fill(device_jobs.data(), device_jobs.size(), run.threads, run.cpu_target);
      } else {
        gpu::fill(*launches_for(device), gpu::CurrentDevice(device), stream_of(device), run.device_seed);
      }
    }
  }

  // The devices that have entries: "cuda:0 and cuda:1".
  std::string devices() const {
    std::string text;
    for (auto at = jobs.rbegin(); at != jobs.rend(); ++at) {  // ascending, because the map is descending
      const Device device{at->first};
      if (device.is_host()) continue;
      if (!text.empty()) text += " and ";
      text += to_string(device);
    }
    return text;
  }

  // Throws InvalidArgument if the entry shares draws or memory with another one.
  void check(const FillJob& job, const Draws& draws, Device device) const {
    if (job.params.is_random()) check_draws(job, draws);
    if (end_of(job) > first_of(job)) check_memory(first_of(job), end_of(job), device.cuda_device);
  }

  // The job that the new one can follow as a copy, in one pass: the last of its original and the copies on the same
  // device, or none. A pass computes in binary32 and has at most max_copies; other copies draw their values again.
  std::size_t copy_predecessor(const Draws& draws, Device device, const FillJob& job) const {
    const auto in_binary32 = [](const FillJob& one) {
      return one.params.is_random() && one.params.dtype != DType::float64;
    };
    if (draws.original >= entries.size() || entries[draws.original].device != device.cuda_device) return FillJob::none;
    const std::vector<FillJob>& device_jobs = jobs.at(device.cuda_device);
    std::size_t last = entries[draws.original].job;
    if (device.is_host() || !in_binary32(job) || !in_binary32(device_jobs[last])) return FillJob::none;
    std::size_t copies = 0;
    while (device_jobs[last].next_copy != FillJob::none) {
      last = device_jobs[last].next_copy;
      ++copies;
    }
    return copies < FillJob::max_copies ? last : FillJob::none;
  }

  // Everything that can fail comes first, so that a failure leaves the plan unchanged.
  std::size_t add(const FillJob& job, Draws draws, Device device) {
    const std::size_t entry = entries.size();
    std::vector<FillJob>& device_jobs = jobs[device.cuda_device];
    std::vector<std::size_t>* same_key =
        job.params.is_random() ? &by_key[{job.params.seed, job.params.subsequence}] : nullptr;
    make_room(entries);
    make_room(device_jobs);
    if (same_key != nullptr) make_room(*same_key);
    if (end_of(job) > first_of(job)) memory[device.cuda_device].insert({first_of(job), {end_of(job), entry}});

    if (same_key != nullptr) same_key->push_back(entry);
    encoded.clear();
    device_jobs.push_back(job);
    if (const std::size_t before = copy_predecessor(draws, device, job); before != FillJob::none) {
      device_jobs[before].next_copy = device_jobs.size() - 1;
      device_jobs.back().is_copy = true;
    }
    entries.push_back({std::move(draws), device.cuda_device, device_jobs.size() - 1});
    return entry;
  }
};

Plan::Plan() : state_(std::make_unique<State>()) {}
Plan::Plan(Plan&&) noexcept = default;
Plan& Plan::operator=(Plan&&) noexcept = default;
Plan::~Plan() = default;

std::size_t Plan::size() const { return state_->entries.size(); }

std::size_t Plan::add(const Initializer& initializer, const View& view, const Shape& shape,
                      const TensorOptions& options) {
  const detail::Destination destination(view.device);
  const Access::Prepared prepared = Access::prepare(initializer, shape, view.dtype, options);
  FillJob job{destination.address_of(view, prepared.params.index.count), prepared.params};
  const Draws draws{prepared.distribution, shape, options.block, size()};
  std::uint64_t call = 0;
  do {  // again if another thread took the call's number
    call = initializer.calls();
    job.params.subsequence = prepared.params.subsequence + call;
    state_->check(job, draws, view.device);
  } while (!Access::claim(initializer, call));
  return state_->add(job, draws, view.device);
}

std::size_t Plan::add_copy(std::size_t entry, const View& view) {
  if (entry >= size()) {
    throw InvalidArgument("There is no " + label(entry) + " to copy: the plan has " + std::to_string(size()));
  }
  Draws draws = state_->entries[entry].draws;
  const detail::Destination destination(view.device);
  const FillParams& original = state_->job_of(entry).params;
  void* const address = destination.address_of(view, original.index.count);
  const FillJob job{address, detail::in_default_fp_environment([&] {
                      return detail::make_params(draws.distribution, draws.shape, original.index, view.dtype,
                                                 original.seed, original.subsequence);
                    })};
  state_->check(job, draws, view.device);
  return state_->add(job, std::move(draws), view.device);
}

void Plan::fill(const RunOptions& options) const {
  // The handles of default streams, null, cudaStreamLegacy (1) and cudaStreamPerThread (2), are valid on every device.
  const bool belongs_to_one_device = reinterpret_cast<std::uintptr_t>(options.stream) > 2;
  const auto device_count = state_->jobs.size() - state_->jobs.count(host.cuda_device);
  if (belongs_to_one_device && device_count > 1) {
    throw InvalidArgument("The plan has entries on " + state_->devices() +
                          ", and a stream belongs to one device. Received: one stream. Give a stream for each device, "
                          "as in fill({{0, a}, {1, b}}), or none");
  }
  state_->fill([&](int) { return options.stream; }, options);
}

void Plan::fill(const std::vector<DeviceStream>& streams, const RunOptions& options) const {
  if (options.stream != nullptr) {
    throw InvalidArgument("A plan takes a stream for each device, or one stream in the options. Received: both");
  }
  const auto stream_of = [&](int device) {
    const auto is_for_device = [&](const DeviceStream& one) { return one.device == device; };
    const auto n = std::count_if(streams.begin(), streams.end(), is_for_device);
    if (n != 1) {
      throw InvalidArgument("A plan with entries on " + state_->devices() +
                            " needs one stream for each device. Received: " + std::to_string(n) + " for " +
                            to_string(cuda(device)));
    }
    return std::find_if(streams.begin(), streams.end(), is_for_device)->stream;
  };
  state_->fill(stream_of, options);
}

std::size_t Plan::workspace_size(int device) const {
  const gpu::CurrentDevice current(device);
  const auto launches = state_->upload_for(device);
  return launches ? gpu::upload_bytes(*launches) : 0;
}

void Plan::upload(const View& workspace, CudaStream stream) {
  if (workspace.device.is_host()) {
    throw InvalidArgument("A plan is uploaded to device memory. Received: memory on the host");
  }
  const int device = workspace.device.cuda_device;
  const gpu::CurrentDevice current(device);
  const auto launches = state_->upload_for(device);
  if (!launches) return;
  const std::size_t needed = gpu::upload_bytes(*launches);
  if (workspace.capacity < needed) {
    throw InvalidArgument("The workspace is too small: the plan needs " + std::to_string(needed) +
                          " bytes. Received: capacity=" + std::to_string(workspace.capacity));
  }
  if (workspace.address == nullptr || reinterpret_cast<std::uintptr_t>(workspace.address) % 16 != 0) {
    throw InvalidArgument("The workspace must be aligned to 16 bytes");
  }
  void* const address = gpu::device_address(workspace.address, current);
  State::Encoded& encoded = state_->encoded[device];
  encoded.uploaded = gpu::upload(launches, address, current, stream);
  encoded.in_memory = nullptr;
}

}  // namespace fanin
