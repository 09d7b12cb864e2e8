// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <type_traits>
#include <vector>

#include "fanin/cuda_devices.h"
#include "fanin/dtype.h"
#include "fanin/export.h"
#include "fanin/initializer.h"
#include "fanin/options.h"
#include "fanin/shape.h"
#include "fanin/view.h"

namespace fanin {

/// Fills many tensors together, such as a whole model. Every entry gets the same bits as in a fill of its own. A
/// moved-from plan can only be destroyed or assigned to.
///
/// add and add_copy make all checks; a refused entry leaves the plan as it was. Entries must not share memory. Random
/// entries with equal seed and subsequence must not share indices, because the same draws twice are rarely intended:
/// give the tensors names, or add one as a copy of the other.
class FANIN_API Plan {
 public:
  Plan();
  Plan(Plan&&) noexcept;
  Plan& operator=(Plan&&) noexcept;
  ~Plan();

  /// Adds a tensor, or its part options.block, and returns the entry's number, counted from 0. Counts as a call of a
  /// sequence. The memory must outlive every fill; the initializer need not outlive the call. Throws as
  /// Initializer::fill does.
  std::size_t add(const Initializer& initializer, const View& view, const Shape& shape,
                  const TensorOptions& options = {});
  /// The same with options.name = name; a template, so that an argument in braces is always TensorOptions.
  template <
      class Name,
      std::enable_if_t<std::is_convertible_v<const Name&, std::string_view> && !std::is_null_pointer_v<Name>, int> = 0>
  std::size_t add(const Initializer& initializer, const View& view, const Shape& shape, const Name& name) {
    TensorOptions options;
    options.name.emplace(std::string_view(name));
    return add(initializer, view, shape, options);
  }

  /// The same for a tensor or block at an address in host or device memory: add(init, pointer, shape, "name"). The
  /// memory must hold what is written. float and double are elements; include fanin/cuda_types.h for CUDA's.
  template <class T, DType = ElementType<T>::dtype>
  std::size_t add(const Initializer& initializer, T* address, const Shape& shape, const TensorOptions& options = {}) {
    return add(initializer, view_at(address), shape, options);
  }
  template <
      class T, class Name, DType = ElementType<T>::dtype,
      std::enable_if_t<std::is_convertible_v<const Name&, std::string_view> && !std::is_null_pointer_v<Name>, int> = 0>
  std::size_t add(const Initializer& initializer, T* address, const Shape& shape, const Name& name) {
    return add(initializer, view_at(address), shape, name);
  }

  /// The number of elements that an entry writes. Throws InvalidArgument if there is no such entry.
  std::uint64_t elements(std::size_t entry) const;

  /// Adds another destination for the values of an entry: tied weights, or a copy in another dtype. It has the same
  /// draws, and the same block of the tensor or one of its own: a rank can hold a whole tensor in bfloat16 and its
  /// shard of the float32 master. It is not scaled, and rounded to nearest, whatever the entry is. Returns and throws
  /// as add does; also throws InvalidArgument if there is no such entry.
  ///
  /// One pass draws once and writes an entry and up to 7 copies on its device, if all are dense, none is float64, and
  /// they are blocks alike, or ranges of which one holds the others; of several ranges, add the largest first. Other
  /// copies draw the values again, each by itself.
  std::size_t add_copy(std::size_t entry, const View& view);
  /// block {} is the whole tensor, whatever the entry's block is.
  std::size_t add_copy(std::size_t entry, const View& view, const Block& block);
  /// The same for an address in host or device memory, which must hold what is written.
  template <class T, DType = ElementType<T>::dtype>
  std::size_t add_copy(std::size_t entry, T* address) {
    return add_copy(entry, view_at(address));
  }
  template <class T, DType = ElementType<T>::dtype>
  std::size_t add_copy(std::size_t entry, T* address, const Block& block) {
    return add_copy(entry, view_at(address), block);
  }

  std::size_t size() const;  ///< entries

  /// A CUDA stream of a device.
  struct DeviceStream {
    int device;
    CudaStream stream;
  };

  /// Fills all entries. Host memory is filled when the call returns, on at most options.threads threads. Device memory
  /// is filled asynchronously on options.stream: for each device one launch, and one more for random entries of
  /// float64, truncated to windows other than [-2, 2], of short rows, or in memory that is not aligned to four elements
  /// or 16 bytes. There are more launches if the entries do not fit into a kernel's parameters and have not been
  /// uploaded (prepare, launches).
  ///
  /// Repeated calls write the same bits. Several threads may call it while the plan is not changed, on one stream. The
  /// plan need not outlive the work that it has put on a stream, graphs included, unless it was prepared; the workspace
  /// of an upload must.
  ///
  /// options.device_seed and device_call require all entries on one device, and device_seed one seed for all random
  /// entries. A stream belongs to one device: entries on several devices can share only a default stream, such as null.
  /// Throws InvalidArgument and DeviceError before anything is written, except for a launch that CUDA refuses, for
  /// example on another device's stream: then other devices may have been filled. ({} alone is ambiguous: write
  /// fill().)
  void fill(const RunOptions& options = {}) const;
  /// The same for entries on several devices, with one stream for each: `plan.fill({{0, a}, {1, b}})`. Streams of
  /// devices without entries are ignored. Throws InvalidArgument also if a device with entries does not have exactly
  /// one stream, or if options.stream is set.
  void fill(const std::vector<DeviceStream>& streams, const RunOptions& options = {}) const;

  /// Makes a device ready, in one call: loads the kernels and, if that saves launches, uploads as upload does and waits
  /// for it, to memory that the plan allocates and frees when it is destroyed. Until then the work of its fills must be
  /// done, replays of graphs included; freeing waits for the device, and breaks a capture. After prepare, the first
  /// fill neither waits nor allocates, and can be captured. A call without new entries does nothing. Throws as upload
  /// does, and std::bad_alloc.
  void prepare(int device, CudaStream stream = nullptr);

  /// The launches of a fill of the device's entries as they stand; 0 without entries there. Throws DeviceError, and
  /// InvalidArgument for a negative number.
  std::size_t launches(int device) const;

  /// The bytes of device memory that upload needs; 0 if an upload would save no launch. A kernel's parameters hold some
  /// 500 entries, or 290 of float64, and fewer blocks: 370 with a copy each, 150 with a copy of a range in the middle,
  /// which cuts an entry into three. Throws InvalidArgument for a negative number, and DeviceError.
  std::size_t workspace_size(int device) const;

  /// Copies the launch data of a device's entries to memory there, in the order of the stream, so that one launch fills
  /// some 100,000 entries. The caller owns the workspace; it must be aligned to 16 bytes and stay unchanged while the
  /// plan is filled. The plan keeps the source of the copy until the copy is done. Adding an entry invalidates the
  /// upload. Throws InvalidArgument, also for a stream that is being captured, and DeviceError.
  void upload(const View& workspace, CudaStream stream = nullptr);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace fanin
