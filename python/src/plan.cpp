// SPDX-License-Identifier: Apache-2.0
#include "fanin/plan.h"

#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>

#include <algorithm>
#include <cstdint>
#include <limits>
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
#include "fanin/model_plan.h"
#include "fill.h"

namespace fanin::python {

using namespace nanobind::literals;

namespace {

// A plan that keeps the memory of its arrays, and that several threads may change and fill at once. A thread releases
// the GIL before it waits for the lock, because the thread that holds the lock may need the GIL.
class OwningPlan {
 public:
  std::size_t add(Array array, const Initializer& initializer, const Shape& shape, const TensorOptions& options) {
    return keep(std::move(array), [&](const View& view) { return plan_.add(initializer, view, shape, options); });
  }

  std::size_t add_copy(std::size_t entry, Array array) {
    const std::uint64_t count = array.count();
    return keep(std::move(array), [&](const View& view) {
      if (entry < plan_.size() && plan_.elements(entry) != count) {
        throw InvalidArgument("A copy must have as many elements as the entry, which has " +
                              std::to_string(plan_.elements(entry)) + ". Received: an array of " +
                              std::to_string(count));
      }
      return plan_.add_copy(entry, view);
    });
  }

  // A fused tensor becomes several entries of one array.
  void add_tensor(Array array, const ModelTensor& tensor, const Block& block) {
    keep(std::move(array), [&](const View& view) {
      fanin::add(plan_, tensor, view, block);
      return plan_.size();
    });
  }

  std::size_t size() const {
    const nb::gil_scoped_release release;
    const std::shared_lock lock(mutex_);
    return plan_.size();
  }

  // On the given stream, or on the current stream of each device.
  void fill(std::optional<CudaStream> stream, RunOptions run) {
    check_addresses();
    if (!stream) return fill(current_streams(), run);
    run.stream = *stream;
    release_and_fill([&] { plan_.fill(run); });
  }

  void fill(const std::vector<Plan::DeviceStream>& streams, const RunOptions& run) {
    check_addresses();
    release_and_fill([&] { plan_.fill(streams, run); });
  }

  std::size_t workspace_size(int device) const {
    const nb::gil_scoped_release release;
    const std::shared_lock lock(mutex_);
    return plan_.workspace_size(device);
  }

  // For Python's garbage collector, which calls these while a thread holds the GIL. Only such threads change the
  // arrays.
  int traverse(visitproc visit, void* arg) const {
    for (const std::vector<Array>* arrays : {&arrays_, &workspaces_}) {
      for (const Array& array : *arrays) {
        if (const int result = array.traverse(visit, arg); result != 0) return result;
      }
    }
    return 0;
  }

  void clear() {
    plan_ = Plan();                                                // its entries point to the arrays
    const std::vector<Array> arrays = std::exchange(arrays_, {});  // their end may run Python code
    const std::vector<Array> workspaces = std::exchange(workspaces_, {});
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

  // Room for one more array, so that adding it cannot fail.
  static void make_room(std::vector<Array>& arrays) {
    if (arrays.size() == arrays.capacity()) arrays.reserve(2 * arrays.size() + 1);
  }

  template <class Add>
  std::size_t keep(Array array, Add add) {
    if (!array.is_dense()) {
      throw InvalidArgument("A plan's arrays must be dense and row-major. Received: shape=" + to_string(array.shape) +
                            ", strides in bytes " + to_string(array.strides) + ". Fill this one with fanin.fill");
    }
    // Keep the storage: a tensor may get another one.
    if (array.library == Library::torch) array.owner = array.owner.attr("detach")();
    const std::unique_lock lock = locked();
    make_room(arrays_);
    const std::size_t entry = add(array.view());
    arrays_.push_back(std::move(array));
    return entry;
  }

  template <class Fill>
  void release_and_fill(const Fill& fill) {
    try {
      const nb::gil_scoped_release release;
      const std::shared_lock lock(mutex_);
      fill();
    } catch (const nb::python_error&) {  // a signal has ended it
      tell_of_changes();
      throw;
    }
    tell_of_changes();
  }

  // PyTorch gives a tensor's storage other memory when it is resized, also to nothing, as FSDP does.
  void check_addresses() const {
    nb::object address_of;
    for (std::size_t j = 0; j < arrays_.size(); ++j) {
      if (arrays_[j].library != Library::torch || arrays_[j].count() == 0) continue;
      if (!address_of.is_valid()) address_of = nb::module_::import_("torch").attr("Tensor").attr("data_ptr");
      const nb::object owner = arrays_[j].owner;  // another thread may add an array
      const auto added = reinterpret_cast<std::uintptr_t>(arrays_[j].address);
      if (nb::cast<std::uintptr_t>(address_of(owner)) == added) continue;
      throw InvalidArgument("The tensor of shape " + to_string(arrays_[j].shape) +
                            " in the plan has other memory than when it was added, or none, because its storage was "
                            "resized. Make a new plan");
    }
  }

  void tell_of_changes() const {
    for (std::size_t j = 0; j < arrays_.size(); ++j) {
      const Array array = arrays_[j];  // a copy: another thread may add an array
      tell_of_change(array);
    }
  }

  // The current stream of each device.
  std::vector<Plan::DeviceStream> current_streams() const {
    std::vector<Plan::DeviceStream> streams;
    for (std::size_t j = 0; j < arrays_.size(); ++j) {  // another thread may add arrays while Python runs
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
                              " are of libraries with different current streams. Give stream=, or make a plan for "
                              "each library");
      }
    }
    return streams;
  }

  Plan plan_;
  std::vector<Array> arrays_;
  std::vector<Array> workspaces_;
  mutable std::shared_mutex mutex_;
};

int traverse(PyObject* self, visitproc visit, void* arg) {
  Py_VISIT(Py_TYPE(self));
  return nb::inst_ready(self) ? nb::inst_ptr<OwningPlan>(self)->traverse(visit, arg) : 0;
}

int clear(PyObject* self) {
  if (nb::inst_ready(self)) nb::inst_ptr<OwningPlan>(self)->clear();
  return 0;
}

// An array may hold its plan.
const PyType_Slot collector_slots[] = {
    {Py_tp_traverse, reinterpret_cast<void*>(&traverse)}, {Py_tp_clear, reinterpret_cast<void*>(&clear)}, {0, nullptr}};

}  // namespace

void bind_plan(nb::module_& m) {
  nb::class_<OwningPlan>(
      m, "Plan", nb::is_weak_referenceable(), nb::type_slots(collector_slots),
      R"(Fills many tensors together, for example a whole model. Each entry gets the bits that fill would give it.

All checks happen when an entry is added; an entry that is refused does not change the plan. Entries that share memory are
refused. So are two random entries that would get the same draws, because they have equal seeds and subsequences and common
indices: give them names, or add one as a copy of the other. The plan keeps the memory of its arrays. If a PyTorch parameter
gets new memory later (module.to, .data =), make a new plan.)")
      .def(nb::init<>())
      .def(
          "add",
          [](OwningPlan& self, nb::handle array, nb::handle init, nb::handle seed, nb::handle name,
             nb::handle subsequence, nb::handle shape, nb::handle offset, nb::handle layout) {
            const InitializerArgument initializer(init, seed);
            Array target = array_of(array, CudaStream{nullptr});
            TensorOptions options = options_from(name, subsequence, layout, target.layout());
            const Shape whole = whole_shape(target, shape, offset, options);
            return self.add(std::move(target), *initializer, whole, options);
          },
          "array"_a, "init"_a, nb::kw_only(), "seed"_a = nb::none(), "name"_a = nb::none(),
          "subsequence"_a = nb::none(), "shape"_a = nb::none(), "offset"_a = nb::none(), "layout"_a = nb::none(),
          nb::sig(
              "def add(self, array: object, init: InitializerLike, *, seed: SeedLike = None, name: str | None = None, "
              "subsequence: int | None = None, shape: int | Sequence[int] | None = None, "
              "offset: int | Sequence[int] | None = None, layout: str | None = None) -> int"),
          "Adds an array, which must be dense and row-major, and returns the number of its entry, counted from 0. The\n"
          "arguments are those of fill. Counts as a call of a sequence. Raises as fill does.")
      .def(
          "add_copy",
          [](OwningPlan& self, std::size_t entry, nb::handle array) {
            return self.add_copy(entry, array_of(array, CudaStream{nullptr}));
          },
          "entry"_a, "array"_a, nb::sig("def add_copy(self, entry: int, array: object) -> int"),
          "Adds an array that gets the values of another entry: tied weights, or a copy in another dtype. Raises as "
          "add\n"
          "does, and ValueError if there is no such entry.")
      .def(
          "add_tensor",
          [](OwningPlan& self, nb::handle array, const ModelTensor& tensor, nb::handle offset) {
            Array target = array_of(array, CudaStream{nullptr});
            Block block;
            if (target.whole && !offset.is_none()) {
              throw InvalidArgument("A DTensor says itself which block of the tensor it holds. Give no offset=");
            }
            if (target.whole && *target.whole != tensor.shape) {
              throw InvalidArgument("The DTensor of tensor \"" + tensor.name + "\" must have its shape " +
                                    to_string(tensor.shape) + ". Received: " + to_string(*target.whole));
            }
            if (!offset.is_none()) {
              block.offset = extents_from(offset, "offset");
              block.extent = target.shape;
            } else if (target.offset) {
              block = {*target.offset, target.shape};
            } else if (target.shape != tensor.shape) {
              throw InvalidArgument("The array of tensor \"" + tensor.name + "\" must have its shape " +
                                    to_string(tensor.shape) +
                                    ", or give the block's offset. Received: " + to_string(target.shape));
            }
            self.add_tensor(std::move(target), tensor, block);
          },
          "array"_a, "tensor"_a, nb::kw_only(), "offset"_a = nb::none(),
          nb::sig("def add_tensor(self, array: object, tensor: ModelTensor, *, offset: int | Sequence[int] | None = "
                  "None) -> "
                  "None"),
          "Adds a tensor of a model's specification, or with offset the block of it that the array holds, in any\n"
          "dtype. Raises as add does; a fused tensor becomes an entry for each part.")
      .def(
          "fill",
          [](OwningPlan& self, nb::handle stream, int threads, nb::handle device_seed) {
            RunOptions run = interruptible(threads);
            run.device_seed = seed_address_of(device_seed);
            if (!nb::isinstance<nb::dict>(stream)) return self.fill(stream_from(stream), run);
            std::vector<Plan::DeviceStream> streams;
            for (const auto& [device, one] : nb::cast<nb::dict>(stream)) {
              const std::uint64_t number = unsigned_from(device, "A device's number");
              if (number > std::numeric_limits<int>::max()) {
                throw InvalidArgument("stream has a device that no machine has. Received: stream=" + shown(stream));
              }
              streams.push_back({static_cast<int>(number), stream_from(one).value_or(nullptr)});
            }
            self.fill(streams, run);
          },
          nb::kw_only(), "stream"_a = nb::none(), "threads"_a = 0, "device_seed"_a = nb::none(),
          nb::sig("def fill(self, *, stream: object = None, threads: int = 0, device_seed: object = None) -> None"),
          R"(Fills all entries: host memory before the call returns, device memory asynchronously on the stream.

The default stream of each device is the current one of the arrays' library. For several devices, stream is a dict from
device numbers to streams, {0: a, 1: b}; one stream for several devices is refused. The entries on a device are one launch
if they fit into the parameters of a kernel, which holds 450 to 500 entries, or were uploaded. Another call gives the same
bits. device_seed is as for fanin.fill; it needs that all random entries have one seed and are on one device. Releases the
GIL.)")
      .def("workspace_size", &OwningPlan::workspace_size, "device"_a = 0,
           "The bytes of device memory that upload needs; 0 if a fill is one launch without it. Raises DeviceError.")
      .def(
          "upload",
          [](OwningPlan& self, nb::handle workspace, nb::handle stream) {
            self.upload(bytes_of(workspace, stream_from(stream)));
          },
          "workspace"_a, nb::kw_only(), "stream"_a = nb::none(),
          nb::sig("def upload(self, workspace: object, *, stream: object = None) -> None"),
          R"(Copies the description of the entries to device memory, so that a fill is one launch for any number of entries.

workspace is a CUDA array of uint8, aligned to 16 bytes, with at least workspace_size(device) elements. The plan keeps it, and
it must not change as long as the plan is filled. A stream that is being captured is refused. After another entry is added,
upload again.)")
      .def("__len__", &OwningPlan::size)
      .def("__repr__", [](const OwningPlan& self) {
        return "<Plan of " + std::to_string(self.size()) + (self.size() == 1 ? " entry>" : " entries>");
      });
}

}  // namespace fanin::python
