// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "fanin/distribution.h"
#include "fanin/dtype.h"
#include "fanin/export.h"
#include "fanin/fans.h"
#include "fanin/fill_params.h"
#include "fanin/options.h"
#include "fanin/seed.h"
#include "fanin/shape.h"
#include "fanin/tensor.h"
#include "fanin/view.h"

namespace fanin {

/// The two dialects of Keras's configuration. Readers accept both; the form selects which one is written.
enum class ConfigForm : std::uint8_t { keras3, tf2 };

/// How an initializer derives the values of a tensor.
struct Description {
  std::string initializer;  ///< class name
  Shape shape;              ///< of the whole tensor
  Fans fans;
  Distribution distribution;
  Seed::Kind seed_kind;
  std::uint64_t seed;
  std::uint64_t size;      ///< elements of the whole tensor
  std::string derivation;  ///< the formula with its numbers, e.g. "stddev = sqrt(2 / fan_in) / 0.8796... = ..."
  Layout layout;           ///< of the fans
};

namespace detail {
class Scheme;
struct Access;
}  // namespace detail

/// Base of all initializers: a value that decides what a tensor of any shape is filled with. Copies are cheap. A
/// derived class adds constructors but no data, so an Initializer holds any of them. All members except assignment may
/// be called from many threads at once. A copy of an initializer with a sequence seed continues from the original's
/// call number.
///
/// In a choice between two classes, convert both: `random ? Initializer(normal) : Initializer(zeros)`.
class FANIN_API Initializer {
 public:
  Initializer(const Initializer& other);
  Initializer& operator=(const Initializer& other);
  ~Initializer();

  /// Returns a new, filled tensor: on the current CUDA device if there is one, else on the host. With options.block it
  /// has the block's shape. Throws as fill does, and std::bad_alloc.
  Tensor operator()(const Shape& shape, DType dtype = DType::float32, const TensorOptions& options = {},
                    const RunOptions& run = {}) const;

  /// Fills the caller's memory with the tensor of this shape, or with its block, dense and row-major. Host memory is
  /// filled when the call returns; device memory is filled asynchronously on run.stream. The bits depend only on the
  /// seed, the subsequence, the shape, the distribution and the dtype. Throws InvalidArgument for anything that is not
  /// allowed and DeviceError for a missing device, before a byte is written.
  void fill(const View& view, const Shape& shape, const TensorOptions& options = {}, const RunOptions& run = {}) const;

  /// Fans, distribution and derivation for this shape. Without a layout it is that of the initializer's convention
  /// (fanin/config.h), else hwio. Does not count as a call of a sequence. Throws InvalidArgument.
  Description describe(const Shape& shape, std::optional<Layout> layout = {}) const;
  /// The same with options.layout and options.fans; other options do not matter.
  Description describe(const Shape& shape, const TensorOptions& options) const;

  /// Prepares a fill that fanin/fill.h writes, whole or in parts. Counts as a call of a sequence. Throws
  /// InvalidArgument.
  FillParams params(const Shape& shape, DType dtype, const TensorOptions& options = {}) const;

  /// The class name, for example "HeNormal".
  std::string_view class_name() const;

  /// The seed's kind and value. A drawn value can be read here and passed to another initializer.
  const Seed& seed() const { return seed_; }

  /// The number of the next call of a sequence, counted from 0; 0 for other seeds.
  std::uint64_t calls() const { return calls_.load(std::memory_order_relaxed); }

  /// The same initializer with another seed; a sequence starts at its first call. Without randomness an initializer
  /// ignores the seed.
  Initializer with_seed(Seed seed) const;

  /// The inner configuration as JSON text, with Keras's keys. A drawn seed is written as null, as in Keras. Throws
  /// InvalidArgument if the form cannot express the configuration (TF 2 has no fan axes).
  std::string get_config(ConfigForm form = ConfigForm::keras3) const;

 protected:
  Initializer(std::shared_ptr<const detail::Scheme> scheme, Seed seed);
  const detail::Scheme& scheme() const { return *scheme_; }

 private:
  friend struct detail::Access;

  std::shared_ptr<const detail::Scheme> scheme_;  // immutable, shared by copies
  Seed seed_;
  mutable std::atomic<std::uint64_t> calls_;  // of a sequence
};

}  // namespace fanin
