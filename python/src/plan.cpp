// SPDX-License-Identifier: Apache-2.0
#include "fanin/plan.h"

#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>

#include <algorithm>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <string>
#include <utility>
#include <vector>

#include "arguments.h"
#include "arrays.h"
#include "bindings.h"
#include "fanin/error.h"
#include "fill.h"

namespace fanin::python {

using namespace nanobind::literals;

namespace {

// A plan that keeps its arrays' memory, and that threads may change and fill at once. Nobody waits for its lock with
// the GIL: it is released first, and whoever holds the lock may then take it.
class OwningPlan {
 public:
  std::size_t add(Array array, const Initializer& initializer, const Shape& shape, const TensorOptions& options) {
    return keep(std::move(array), [&](const View& view) { return plan_.add(initializer, view, shape, options); });
  }

  std::size_t add_copy(std::size_t entry, Array array) {
    return keep(std::move(array), [&](const View& view) { return plan_.add_copy(entry, view); });
  }

  std::size_t size() const { return arrays_.size(); }

  // With a stream, or with each device's current one.
  void fill(std::optional<CudaStream> stream, RunOptions run) {
    if (!stream) return fill(current_streams(), run);
    run.stream = *stream;
    release_and_fill([&] { plan_.fill(run); });
  }

  void fill(const std::vector<Plan::DeviceStream>& streams, const RunOptions& run) {
    release_and_fill([&] { plan_.fill(streams, run); });
  }

  std::size_t workspace_size(int device) const {
    const nb::gil_scoped_release release;
    const std::shared_lock lock(mutex_);
    return plan_.workspace_size(device);
  }

  void upload(Array workspace) {
    const std::unique_lock lock = locked();
    make_room(workspaces_);
    plan_.upload({workspace.address, workspace.dtype, workspace.count(), workspace.device}, workspace.stream);
    workspaces_.push_back(std::move(workspace));
  }

 private:
  std::unique_lock<std::shared_mutex> locked() const {
    const nb::gil_scoped_release release;
    return std::unique_lock(mutex_);
  }

  // For one more, so that adding it cannot fail.
  static void make_room(std::vector<Array>& arrays) {
    if (arrays.size() == arrays.capacity()) arrays.reserve(2 * arrays.size() + 1);
  }

  template <class Add>
  std::size_t keep(Array array, Add add) {
    if (!array.is_dense()) {
      throw InvalidArgument("A plan's arrays must be dense and row-major. Received: shape=" + to_string(array.shape) +
                            ", strides in bytes " + to_string(array.strides) + ". Fill this one with fanin.fill");
    }
    // Its storage: a tensor may be given another one.
    if (array.library == Library::torch) array.owner = array.owner.attr("detach")();
    const std::unique_lock lock = locked();
    make_room(arrays_);
    const std::size_t entry = add(array.view());
    arrays_.push_back(std::move(array));
    return entry;
  }

  template <class Fill>
  void release_and_fill(const Fill& fill) {
    {
      const nb::gil_scoped_release release;
      const std::shared_lock lock(mutex_);
      fill();
    }
    for (std::size_t j = 0; j < arrays_.size(); ++j) {
      const Array array = arrays_[j];  // another thread may add one
      tell_of_change(array);
    }
  }

  // Of each device.
  std::vector<Plan::DeviceStream> current_streams() const {
    std::vector<Plan::DeviceStream> streams;
    for (std::size_t j = 0; j < arrays_.size(); ++j) {  // which another thread may add to while Python is asked
      const Library library = arrays_[j].library;
      const Device device = arrays_[j].device;
      if (device.is_host()) continue;
      const CudaStream current = current_stream(library, device);
      const auto same = std::find_if(streams.begin(), streams.end(),
                                     [&](const auto& one) { return one.device == device.cuda_device; });
      if (same == streams.end()) {
        streams.push_back({device.cuda_device, current});
      } else if (same->stream != current) {
        throw InvalidArgument("The plan's arrays on " + to_string(device) +
                              " have different current streams, being of several libraries. Give stream=, or make a "
                              "plan for each");
      }
    }
    return streams;
  }

  Plan plan_;
  std::vector<Array> arrays_;
  std::vector<Array> workspaces_;
  mutable std::shared_mutex mutex_;
};

}  // namespace

void bind_plan(nb::module_& m) {
  nb::class_<OwningPlan>(
      m, "Plan", R"(Many tensors, filled together: a whole model. Every entry gets the bits that fill would give it.

All checks are made when an entry is added; a refused entry leaves the plan as it was. Two random entries with equal seed
and subsequence are refused if they share indices (the same draws twice are hardly ever meant; give names), unless one is
added as a copy of the other. So are entries that share memory. The plan keeps the arrays' memory: a PyTorch parameter
that is given other memory later (module.to, .data =) must be added again, to a new plan.)")
      .def(nb::init<>())
      .def(
          "add",
          [](OwningPlan& self, nb::handle array, nb::handle init, nb::handle seed, nb::handle name,
             nb::handle subsequence, nb::handle shape, nb::handle offset, nb::handle layout) {
            const InitializerArgument initializer(init, seed);
            Array target = array_of(array, CudaStream{nullptr});
            TensorOptions options = options_from(name, subsequence, layout);
            const Shape whole = whole_shape(target, shape, offset, options);
            return self.add(std::move(target), *initializer, whole, options);
          },
          "array"_a, "init"_a, nb::kw_only(), "seed"_a = nb::none(), "name"_a = nb::none(),
          "subsequence"_a = nb::none(), "shape"_a = nb::none(), "offset"_a = nb::none(), "layout"_a = "hwio",
          nb::sig(
              "def add(self, array: object, init: InitializerLike, *, seed: SeedLike = None, name: str | None = None, "
              "subsequence: int | None = None, shape: Sequence[int] | None = None, "
              "offset: Sequence[int] | None = None, layout: str = 'hwio') -> int"),
          "Adds an array and returns its entry's number, counted from 0. It must be dense and row-major; the "
          "arguments\n"
          "are those of fill. Counts as a call of a sequence. Raises as fill does.")
      .def(
          "add_copy",
          [](OwningPlan& self, std::size_t entry, nb::handle array) {
            return self.add_copy(entry, array_of(array, CudaStream{nullptr}));
          },
          "entry"_a, "array"_a, nb::sig("def add_copy(self, entry: int, array: object) -> int"),
          "Adds another place for the values of an entry: tied weights, or a copy in another dtype of a master. "
          "Raises\n"
          "as add does, and ValueError if there is no such entry.")
      .def(
          "fill",
          [](OwningPlan& self, nb::handle stream, int threads, nb::handle device_seed) {
            const RunOptions run{nullptr, threads, CpuTarget::automatic, seed_address_of(device_seed)};
            if (!nb::isinstance<nb::dict>(stream)) return self.fill(stream_from(stream), run);
            std::vector<Plan::DeviceStream> streams;
            for (const auto& [device, one] : nb::cast<nb::dict>(stream)) {
              streams.push_back(
                  {static_cast<int>(unsigned_from(device, "A device's number")), stream_from(one).value_or(nullptr)});
            }
            self.fill(streams, run);
          },
          nb::kw_only(), "stream"_a = nb::none(), "threads"_a = 0, "device_seed"_a = nb::none(),
          nb::sig("def fill(self, *, stream: object = None, threads: int = 0, device_seed: object = None) -> None"),
          R"(Fills all entries: host memory before it returns, device memory asynchronously on the stream.

Without a stream it is the arrays' library's current one on each device. A plan of several devices takes a dict of streams
by device, {0: a, 1: b}; one stream for all is refused. What is on a device is one launch if it fits into a kernel's
parameters, as some 450 to 500 entries do, or was uploaded. May be called again and gives the same bits. device_seed as
for fanin.fill; all random entries must have been added with one seed, in memory of one device. The GIL is released.)")
      .def("workspace_size", &OwningPlan::workspace_size, "device"_a = 0,
           "Bytes of device memory that upload needs; 0 if it is not needed. Raises DeviceError.")
      .def(
          "upload",
          [](OwningPlan& self, nb::handle workspace, nb::handle stream) {
            self.upload(bytes_of(workspace, stream_from(stream)));
          },
          "workspace"_a, nb::kw_only(), "stream"_a = nb::none(),
          nb::sig("def upload(self, workspace: object, *, stream: object = None) -> None"),
          R"(Copies what a launch has to know about the entries into device memory, so that a fill is one launch for any number.

workspace is a CUDA array of uint8, aligned to 16 bytes, at least workspace_size(device) long, which must stay as it is
while the plan is filled; the plan keeps it. A stream that is being captured is refused. Adding an entry makes the upload void.)")
      .def("__len__", &OwningPlan::size)
      .def("__repr__", [](const OwningPlan& self) {
        return "<Plan of " + std::to_string(self.size()) + (self.size() == 1 ? " array>" : " arrays>");
      });
}

}  // namespace fanin::python
