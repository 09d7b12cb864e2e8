// SPDX-License-Identifier: Apache-2.0
#include "fanin/plan.h"

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "api/access.h"
#include "api/box_index.h"
#include "api/destination.h"
#include "api/memory_regions.h"
#include "base/fp_environment.h"
#include "cpu/fill.h"
#include "cuda/backend.h"
#include "fanin/error.h"
#include "params/fill_job.h"
#include "params/index_map.h"
#include "params/make_params.h"
#include "params/output_scale.h"

namespace fanin {

using detail::Access;

namespace {

// What an entry draws, whatever its destination. Copies share all but the block.
struct Draws {
  Distribution distribution;
  Shape shape;  // of the whole tensor
  Block block;
  std::size_t original;  // the entry that `add` made, also for a copy
};

std::string label(std::size_t entry) { return "entry " + std::to_string(entry); }

// The memory of a job that is not empty.
detail::Region region_of(const FillJob& job) {
  const IndexMap& map = job.params.index;
  const auto bytes = [&](std::uint64_t elements) { return detail::bytes_in_memory(job.params, elements); };
  const auto first = reinterpret_cast<std::uintptr_t>(job.address);
  if (job.pitch == 0) return {first, 1, bytes(map.count), 0};
  const std::uint64_t row = map.extent[map.rank - 1];
  return {first, map.count / row, bytes(row), bytes(job.pitch)};
}

template <class T>
void make_room(std::vector<T>& v) {
  if (v.size() == v.capacity()) v.reserve(2 * v.size() + 1);
}

// Whether two parts of tensors share an index. The answer is exact for tensors of one shape.
bool share_indices(const Draws& a, const IndexMap& map_a, const Draws& b, const IndexMap& map_b) {
  if (!detail::share_index(map_a, map_b)) return false;
  if (a.shape != b.shape || a.block.offset.empty() || b.block.offset.empty()) return true;
  for (std::size_t j = 0; j < a.shape.size(); ++j) {
    if (a.block.offset[j] >= b.block.offset[j] + b.block.extent[j]) return false;
    if (b.block.offset[j] >= a.block.offset[j] + a.block.extent[j]) return false;
  }
  return true;
}

// The indices of a block that is not empty: from the first one to the last, and along each axis of a shape.
detail::Box box_of(const Draws& draws, const IndexMap& map, const Shape& shape) {
  constexpr detail::Interval all{0, ~std::uint64_t{0}};
  detail::Box box(1 + shape.size(), all);
  box[0] = {map.start, detail::last_index(map)};
  if (draws.shape != shape || draws.block.offset.empty()) return box;
  for (std::size_t j = 0; j < shape.size(); ++j) {
    const auto offset = static_cast<std::uint64_t>(draws.block.offset[j]);
    box[1 + j] = {offset, offset + static_cast<std::uint64_t>(draws.block.extent[j]) - 1};
  }
  return box;
}

}  // namespace

struct Plan::State {
  struct Entry {
    Draws draws;
    int device;       // -1: the host
    std::size_t job;  // index among that device's jobs
  };
  using Key = std::pair<std::uint64_t, std::uint64_t>;  // seed, subsequence

  // The entries of a key, by the indices that they draw: from the first one to the last, and along each axis of a
  // shape.
  struct Drawn {
    Shape shape;  // of the first entry
    detail::BoxIndex boxes;
  };

  // Device memory that the plan owns.
  using Workspace = std::unique_ptr<void, std::function<void(void*)>>;

  // A device's encoded jobs, made on demand and discarded when an entry is added.
  struct Encoded {
    std::shared_ptr<const gpu::Launches> in_parameters, in_memory, uploaded;
  };
  mutable std::mutex encoding;
  mutable std::map<int, Encoded> encoded;  // by device
  std::vector<Entry> entries;
  std::map<int, std::vector<FillJob>, std::greater<>> jobs;  // by device, as the back ends take them; the host last
  std::map<Key, Drawn> by_key;                               // random entries
  std::map<std::size_t, std::size_t> leaders;                // of originals with copies: the job that leads their pass
  std::map<int, detail::MemoryRegions> memory;               // by device
  std::vector<Workspace> workspaces;                         // of prepare; launches may still read older ones

  const Entry& entry(std::size_t number) const {
    if (number < entries.size()) return entries[number];
    throw InvalidArgument("There is no " + label(number) + " to copy: the plan has " + std::to_string(entries.size()));
  }
  const FillJob& job_of(std::size_t entry) const { return jobs.at(entries[entry].device)[entries[entry].job]; }

  void check_draws(const FillJob& job, const Draws& added) const {
    const auto at = by_key.find({job.params.seed, job.params.subsequence});
    if (at == by_key.end() || job.params.index.count == 0) return;
    const detail::Box box = box_of(added, job.params.index, at->second.shape);
    for (const std::size_t other : at->second.boxes.candidates(box)) {
      const Draws& draws = entries[other].draws;
      if (draws.original == added.original) continue;
      if (!share_indices(added, job.params.index, draws, job_of(other).params.index)) continue;
      throw InvalidArgument("The tensor would get the same draws as " + label(other) + " of the plan: both have seed " +
                            std::to_string(job.params.seed) + " and subsequence " +
                            std::to_string(job.params.subsequence) +
                            ". Give each tensor a name or a subsequence of its own, or add it as a copy of that entry");
    }
  }

  void check_memory(const FillJob& job, int device) const {
    const auto regions = memory.find(device);
    if (regions == memory.end()) return;
    if (const auto owner = regions->second.owner_in(region_of(job))) {
      throw InvalidArgument("The memory overlaps that of " + label(*owner) + " of the plan");
    }
  }

  // A device seed replaces one seed: entries with different seeds would get the same draws.
  void check_device_options(const RunOptions& run) const {
    if (run.device_seed == nullptr && run.device_call == nullptr) return;
    if (jobs.size() > 1) {
      throw InvalidArgument(std::string("A ") + (run.device_seed != nullptr ? "seed" : "call number") +
                            " in device memory is for plans of one device. Received: entries in " +
                            std::to_string(jobs.size()) + " devices, the host included");
    }
    if (run.device_seed == nullptr || by_key.empty()) return;
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

  bool is_uploaded(int device) const {
    const std::lock_guard lock(encoding);
    return encoded[device].uploaded != nullptr;
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

  void upload(const std::shared_ptr<const gpu::Launches>& launches, void* workspace, const gpu::CurrentDevice& current,
              CudaStream stream) {
    Encoded& on_device = encoded[current.ordinal()];
    on_device.uploaded = gpu::upload(launches, workspace, current, stream);
    on_device.in_memory = nullptr;
  }

  std::shared_ptr<const gpu::Launches> encode(int device, gpu::JobsIn where) const {
    const std::vector<FillJob>& device_jobs = jobs.at(device);
    return gpu::encode(device_jobs.data(), device_jobs.size(), device, where);
  }

  // stream_of(device) returns the device's stream, or throws InvalidArgument.
  template <class StreamOf>
  void fill(const StreamOf& stream_of, const RunOptions& options) const {
    RunOptions run = detail::checked(options, cuda(0));  // what is wrong for every device, also of an empty plan
    for (const auto& [device, device_jobs] : jobs) run = detail::checked(run, Device{device});
    check_device_options(run);
    for (const auto& [device, device_jobs] : jobs) {  // all refusals come before the first launch
      if (Device{device}.is_host()) continue;
      stream_of(device);
      launches_for(device);
    }
    for (const auto& [device, device_jobs] : jobs) {
      if (Device{device}.is_host()) {
        cpu::fill(device_jobs.data(), device_jobs.size(), detail::host_run(run));
      } else {
        gpu::fill(*launches_for(device), gpu::CurrentDevice(device),
                  {stream_of(device), run.device_seed, run.device_call});
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
    if (job.params.index.count != 0) check_memory(job, device.cuda_device);
    if (!job.params.is_from_host()) return;
    if (!device.is_host()) {
      throw InvalidArgument(
          "A plan fills device memory with kernels, but the host computes the values of a Formula or an Orthogonal, "
          "those of low precision, and parts of an Identity's rows. Fill this tensor with Initializer::fill, which "
          "copies them. Received: memory on " +
          to_string(device));
    }
    cpu::check(&job, 1, {0, cpu_target(CpuTarget::automatic)});
  }

  // The leader's element with which the copy begins; negative if the copy begins before the leader. Nothing if neither
  // is a part of the other that one pass can write.
  static std::optional<std::int64_t> copy_begin(const FillJob& leader, const FillJob& copy) {
    const IndexMap& a = leader.params.index;
    const IndexMap& b = copy.params.index;
    const bool alike = a.start == b.start && a.rank == b.rank && std::equal(a.extent, a.extent + a.rank, b.extent) &&
                       std::equal(a.stride, a.stride + a.rank, b.stride);
    if (alike) return 0;
    if (a.rank != 1 || b.rank != 1) return std::nullopt;
    const bool inside = a.start <= b.start && b.start + b.count <= a.start + a.count;
    const bool around = b.start <= a.start && a.start + a.count <= b.start + b.count;
    if (!inside && !around) return std::nullopt;
    return static_cast<std::int64_t>(b.start - a.start);
  }

  // Links the last job to its original and the copies on the same device, so that one pass writes them all, if it can
  // (see FillJob). Other copies draw their values again. The largest of them leads, because the others are its parts.
  void join_pass(std::vector<FillJob>& device_jobs, std::size_t original, Device device) {
    const auto can_join = [&](const FillJob& one) {
      const bool in_binary32 =
          one.params.is_random() && !one.params.is_from_host() && one.params.dtype != DType::float64;
      return in_binary32 && one.pitch == 0 && one.params.index.count != 0;
    };
    const std::size_t added = device_jobs.size() - 1;
    FillJob& job = device_jobs[added];
    if (original >= entries.size() || entries[original].device != device.cuda_device || !can_join(job)) return;
    std::size_t& leader = leaders.at(original);
    FillJob& first = device_jobs[leader];
    if (!can_join(first)) return;
    std::size_t last = leader;
    std::size_t copies = 1;
    for (; device_jobs[last].next_copy != FillJob::none; last = device_jobs[last].next_copy) ++copies;
    const auto begin = copy_begin(first, job);
    if (copies > FillJob::max_copies || !begin) return;
    if (job.params.index.count <= first.params.index.count) {
      job.copy_begin = static_cast<std::uint64_t>(*begin);
      job.is_copy = true;
      device_jobs[last].next_copy = added;
      return;
    }
    for (std::size_t at = leader; at != FillJob::none; at = device_jobs[at].next_copy) {
      device_jobs[at].copy_begin += static_cast<std::uint64_t>(-*begin);
    }
    first.is_copy = true;
    job.next_copy = std::exchange(leader, added);
  }

  // Everything that can fail comes first, so that a failure leaves the plan unchanged.
  std::size_t add(const FillJob& job, Draws draws, Device device) {
    const std::size_t entry = entries.size();
    const std::size_t original = draws.original;
    const Key key{job.params.seed, job.params.subsequence};
    const bool is_empty = job.params.index.count == 0;
    auto drawn = by_key.end();
    bool is_new_key = false;
    detail::Box box;
    std::vector<FillJob>& device_jobs = jobs[device.cuda_device];
    try {
      make_room(entries);
      make_room(device_jobs);
      if (original != entry) leaders.try_emplace(original, entries[original].job);
      if (job.params.is_random()) {
        std::tie(drawn, is_new_key) = by_key.try_emplace(key, Drawn{draws.shape, {}});
        if (!is_empty) {
          box = box_of(draws, job.params.index, drawn->second.shape);
          drawn->second.boxes.add(box, entry);
        }
      }
      if (!is_empty) memory[device.cuda_device].add(region_of(job), entry);
    } catch (...) {
      // An empty list would count as entries on a device, or with a seed.
      if (device_jobs.empty()) jobs.erase(device.cuda_device);
      if (drawn != by_key.end()) drawn->second.boxes.remove(box, entry);
      if (is_new_key) by_key.erase(drawn);
      throw;
    }

    encoded.clear();
    device_jobs.push_back(job);
    device_jobs.back().params.finite = true;  // check has seen to it
    join_pass(device_jobs, original, device);
    entries.push_back({std::move(draws), device.cuda_device, device_jobs.size() - 1});
    return entry;
  }
};

Plan::Plan() : state_(std::make_unique<State>()) {}
Plan::Plan(Plan&&) noexcept = default;
Plan& Plan::operator=(Plan&&) noexcept = default;
Plan::~Plan() = default;

std::size_t Plan::size() const { return state_->entries.size(); }

std::uint64_t Plan::elements(std::size_t entry) const {
  state_->entry(entry);
  return state_->job_of(entry).params.index.count;
}

std::size_t Plan::add(const Initializer& initializer, const View& view, const Shape& shape,
                      const TensorOptions& options) {
  const detail::Destination destination(view.device);
  const Access::Prepared prepared = Access::prepare(initializer, shape, view.dtype, options);
  FillJob job = destination.job_for(view, prepared.params, detail::row_length(shape, options.block));
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
  return add_copy(entry, view, state_->entry(entry).draws.block);
}

std::size_t Plan::add_copy(std::size_t entry, const View& view, const Block& block) {
  Draws draws = state_->entry(entry).draws;
  draws.block = block;
  const detail::Destination destination(view.device);
  const FillParams& original = state_->job_of(entry).params;
  const FillParams params = detail::in_default_fp_environment([&] {
    return detail::make_params(draws.distribution, draws.shape, detail::make_index_map(draws.shape, block), view.dtype,
                               original.seed, original.subsequence);
  });
  const FillJob job = destination.job_for(view, params, detail::row_length(draws.shape, block));
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
  detail::check_cuda(device);
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
  state_->upload(launches, gpu::device_address(workspace.address, current), current, stream);
}

void Plan::prepare(int device, CudaStream stream) {
  detail::check_cuda(device);
  gpu::preload(device);
  const gpu::CurrentDevice current(device);
  if (state_->is_uploaded(device)) return;
  gpu::check_not_captured(current, stream);
  const auto launches = state_->upload_for(device);
  if (!launches) return;
  State::Workspace workspace(gpu::allocate(gpu::upload_bytes(*launches), device),
                             [device](void* memory) { gpu::release(memory, device); });
  state_->workspaces.push_back(std::move(workspace));
  state_->upload(launches, state_->workspaces.back().get(), current, stream);
  gpu::wait(current, stream);  // so that a fill on any stream finds it
}

std::size_t Plan::launches(int device) const {
  detail::check_cuda(device);
  if (state_->jobs.count(device) == 0) return 0;
  const gpu::CurrentDevice current(device);
  return gpu::count(*state_->launches_for(device));
}

}  // namespace fanin
