// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <memory>
#include <string_view>
#include <type_traits>
#include <vector>

#include "fanin/export.h"
#include "fanin/initializer.h"
#include "fanin/options.h"
#include "fanin/shape.h"
#include "fanin/view.h"

namespace fanin {

/// Many tensors, filled together: a whole model. Every entry gets the bits that a fill of its own would give it. A plan
/// that was moved from can only be destroyed or assigned to.
///
/// All checks are made when an entry is added; a refused entry leaves the plan as it was. Two random entries with equal
/// seed and subsequence are refused if they share indices (the same draws twice are hardly ever meant; give names),
/// unless one is added as a copy of the other. So are entries that share memory.
class FANIN_API Plan {
 public:
  Plan();
  Plan(Plan&&) noexcept;
  Plan& operator=(Plan&&) noexcept;
  ~Plan();

  /// Adds a tensor, or the part of it that options.block names; returns the entry's number, counted from 0. Counts as a
  /// call of a sequence. The initializer need not outlive the call, the memory must outlive fill. Throws as
  /// Initializer::fill does.
  std::size_t add(const Initializer& initializer, const View& view, const Shape& shape,
                  const TensorOptions& options = {});
  /// The same with options.name = name. A template, so that braces always mean options.
  template <class Name, std::enable_if_t<std::is_convertible_v<const Name&, std::string_view>, int> = 0>
  std::size_t add(const Initializer& initializer, const View& view, const Shape& shape, const Name& name) {
    TensorOptions options;
    options.name.emplace(std::string_view(name));
    return add(initializer, view, shape, options);
  }

  /// Adds another place for the values of an entry: tied weights, or a copy in another dtype of a master. The same
  /// tensor or block, with the same draws. Throws as add does, and InvalidArgument if there is no such entry.
  std::size_t add_copy(std::size_t entry, const View& view);

  std::size_t size() const;  ///< entries

  /// A CUDA stream of a device.
  struct DeviceStream {
    int device;
    CudaStream stream;
  };

  /// Fills all entries: those in host memory on up to `threads` threads (0: as many as the process may run on) before
  /// it returns, those of each CUDA device asynchronously on `stream`, in one launch, and one more for random entries
  /// of float64, with windows other than [-2, 2], with copies or in memory not aligned to 16 bytes, if they fit into a
  /// kernel's parameters or have been uploaded. Copies are made in the pass that makes their original. May be called
  /// again and gives the same bits. A plan that is not being changed may be filled from many threads, into the same
  /// memory only one after the other. `device_seed` as in FillOptions; all entries must be in memory of one device, and
  /// all that are random must have been added with the same seed. The plan need not outlive what it has put on a
  /// stream; memory that it was uploaded to must. A stream belongs to one device: the default streams, null among them,
  /// are the only ones that entries on several devices can share. Throws, before anything is written, InvalidArgument
  /// and DeviceError.
  void fill(const RunOptions& options = {}) const;
  /// The same for entries on several devices, with a stream of each: `plan.fill({{0, a}, {1, b}})`. Streams of other
  /// devices are ignored. Throws InvalidArgument also for a device that has entries and not exactly one stream.
  void fill(const std::vector<DeviceStream>& streams, const RunOptions& options = {}) const;

  /// Bytes of device memory that upload needs; 0 if the entries on that device fit into a kernel's parameters, as some
  /// 500 do, 290 of float64 and fewer blocks, and need no upload. Throws DeviceError.
  std::size_t workspace_size(int device) const;

  /// Copies what a launch has to know about the entries on a device to memory there, in the order of the stream, so
  /// that a fill is one launch for some 100,000 of them; without it there are as many launches as parameters take. The
  /// memory must be aligned to 16 bytes, belongs to the caller, and must stay as it is while the plan is filled. What
  /// is copied is kept until it has been. Adding an entry makes the upload void. Throws InvalidArgument, also for a
  /// stream that is being captured, and DeviceError.
  void upload(const View& workspace, CudaStream stream = nullptr);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace fanin
