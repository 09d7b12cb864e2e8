// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
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

/// The two dialects of Keras's configuration. Both are read everywhere; this chooses what is written.
enum class ConfigForm : std::uint8_t { keras3, tf2 };

/// How a tensor comes to its values.
struct Description {
  std::string initializer;  ///< class name
  Shape shape;              ///< of the whole tensor
  Fans fans;
  Distribution distribution;
  Seed::Kind seed_kind;
  std::uint64_t seed;
  std::uint64_t size;      ///< elements of the whole tensor
  std::string derivation;  ///< the formula with its numbers, e.g. "stddev = sqrt(2 / fan_in) / 0.8796... = ..."
};

namespace detail {
class Formula;
struct Access;
}  // namespace detail

/// Base of all initializers: a value that says what a tensor of any shape is filled with. Copies are cheap, and a
/// derived class adds constructors, not data, so an Initializer holds any of them. All members but assignment may be
/// called from many threads at once. A copy of an initializer with a sequence seed goes on counting from where the
/// original was.
class FANIN_API Initializer {
 public:
  Initializer(const Initializer& other);
  Initializer& operator=(const Initializer& other);
  ~Initializer();

  /// A new tensor, filled: on the current CUDA device if there is one, else on the host. With a block it has the
  /// block's shape. Throws as fill does, and std::bad_alloc.
  Tensor operator()(const Shape& shape, DType dtype = DType::float32, const TensorOptions& options = {},
                    const RunOptions& run = {}) const;

  /// Fills the caller's memory with the tensor of this shape (or its block), dense and row-major. Host memory is filled
  /// when the call returns; device memory is filled asynchronously on run.stream. The bits depend on the seed, the
  /// subsequence, the shape, the distribution and the dtype alone. Throws, before a byte is written, InvalidArgument
  /// for anything that is not allowed and DeviceError for a device that is not there.
  void fill(const View& view, const Shape& shape, const TensorOptions& options = {}, const RunOptions& run = {}) const;

  /// Fans, distribution and derivation for this shape. Counts as no call of a sequence. Throws InvalidArgument.
  Description describe(const Shape& shape, Layout layout = Layout::hwio) const;

  /// What a back end is given; fanin/fill.h does it, whole or in parts. Counts as a call of a sequence. Throws
  /// InvalidArgument.
  FillParams params(const Shape& shape, DType dtype, const TensorOptions& options = {}) const;

  /// "HeNormal" and so on.
  std::string_view class_name() const;

  /// Kind and value; a drawn seed can be read here and given again.
  const Seed& seed() const { return seed_; }

  /// The number of the next call of a sequence; 0 for other seeds.
  std::uint64_t calls() const { return calls_.load(std::memory_order_relaxed); }

  /// The same initializer with another seed; a sequence begins at its first call. An initializer without randomness
  /// has none and stays as it is.
  Initializer with_seed(Seed seed) const;

  /// The inner configuration as JSON text, with Keras's keys. A drawn seed is written as null, as Keras does.
  /// Throws InvalidArgument if the form cannot say it (TF 2 has no fan axes).
  std::string get_config(ConfigForm form = ConfigForm::keras3) const;

 protected:
  Initializer(std::shared_ptr<const detail::Formula> formula, Seed seed);
  const detail::Formula& formula() const { return *formula_; }

 private:
  friend struct detail::Access;

  std::shared_ptr<const detail::Formula> formula_;  // immutable, shared by copies
  Seed seed_;
  mutable std::atomic<std::uint64_t> calls_;  // of a sequence
};

}  // namespace fanin
