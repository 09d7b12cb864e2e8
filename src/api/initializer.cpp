// SPDX-License-Identifier: Apache-2.0
#include "fanin/initializer.h"

#include <utility>

#include "api/access.h"
#include "api/destination.h"
#include "base/fp_environment.h"
#include "fanin/error.h"
#include "params/index_map.h"
#include "params/make_params.h"

namespace fanin {

using detail::Access;

namespace {

std::uint64_t subsequence_in(const TensorOptions& options) {
  if (!options.name) return options.subsequence.value_or(0);
  if (!options.subsequence) return subsequence_of(*options.name);
  throw InvalidArgument("Give a tensor a name or a subsequence, not both. Received: name=\"" + *options.name +
                        "\", subsequence=" + std::to_string(*options.subsequence));
}

Layout layout_in(const TensorOptions& options, const detail::Scheme& scheme) {
  return options.layout.value_or(scheme.layout());
}

Fans fans_in(const Shape& shape, const TensorOptions& options, const detail::Scheme& scheme) {
  if (!options.fans) {
    if (scheme.needs_two_axes() && shape.size() < 2) {
      throw InvalidArgument(
          std::string(scheme.class_name()) +
          " needs two dimensions for its fans, or the fans as numbers. Received: shape=" + to_string(shape));
    }
    return compute_fans(shape, layout_in(options, scheme), scheme.axes());
  }
  if (const Fans fans = *options.fans; (fans.fan_in | fans.fan_out) >> 63 != 0) {
    throw InvalidArgument("Fans must be less than 2^63. Received: fan_in=" + std::to_string(fans.fan_in) +
                          ", fan_out=" + std::to_string(fans.fan_out));
  }
  return *options.fans;
}

}  // namespace

namespace detail {

Access::Prepared Access::prepare(const Initializer& initializer, const Shape& shape, DType dtype,
                                 const TensorOptions& options) {
  const Scheme& scheme = *initializer.scheme_;
  const std::uint64_t subsequence = subsequence_in(options);
  return in_default_fp_environment([&] {
    const IndexMap index = make_index_map(shape, options.block);
    const Fans fans = fans_in(shape, options, scheme);
    const Distribution distribution = scheme.distribution(shape, layout_in(options, scheme), fans);
    return Prepared{distribution, make_params(distribution, shape, index, dtype, initializer.seed_.value(), subsequence,
                                              options.output_scale, options.rounding)};
  });
}

bool Access::claim(const Initializer& initializer, std::uint64_t call) {
  if (initializer.seed_.kind() != Seed::Kind::sequence) return true;
  return initializer.calls_.compare_exchange_strong(call, call + 1, std::memory_order_relaxed);
}

std::uint64_t Access::next_call(const Initializer& initializer) {
  if (initializer.seed_.kind() != Seed::Kind::sequence) return 0;
  return initializer.calls_.fetch_add(1, std::memory_order_relaxed);
}

}  // namespace detail

Initializer::Initializer(std::shared_ptr<const detail::Scheme> scheme, Seed seed)
    : scheme_(std::move(scheme)), seed_(std::move(seed)), calls_(seed_.first_call()) {}

Initializer::Initializer(const Initializer& other)
    : scheme_(other.scheme_), seed_(other.seed_), calls_(other.calls()) {}

Initializer& Initializer::operator=(const Initializer& other) {
  if (this == &other) return *this;
  Seed seed = other.seed_;  // first, because it may throw
  scheme_ = other.scheme_;
  seed_ = std::move(seed);
  calls_.store(other.calls(), std::memory_order_relaxed);
  return *this;
}

Initializer::~Initializer() = default;

std::string_view Initializer::class_name() const { return scheme_->class_name(); }

Initializer Initializer::with_seed(Seed seed) const {
  return scheme_->is_random() ? Initializer(scheme_, std::move(seed)) : *this;
}

FillParams Initializer::params(const Shape& shape, DType dtype, const TensorOptions& options) const {
  FillParams params = Access::prepare(*this, shape, dtype, options).params;
  params.subsequence += Access::next_call(*this);  // last, so that a refused call is not counted
  return params;
}

void Initializer::fill(const View& view, const Shape& shape, const TensorOptions& options,
                       const RunOptions& run) const {
  const detail::Destination destination(view.device, run);
  const FillParams params = Access::prepare(*this, shape, view.dtype, options).params;
  FillJob job = destination.job_for(view, params, detail::row_length(shape, options.block));
  job.params.subsequence += Access::next_call(*this);
  destination.fill(job);
}

Tensor Initializer::operator()(const Shape& shape, DType dtype, const TensorOptions& options,
                               const RunOptions& run) const {
  const detail::Destination destination(gpu::current_device(), run);
  FillJob job{nullptr, Access::prepare(*this, shape, dtype, options).params};
  Tensor tensor(detail::written_shape(shape, options.block), dtype, destination.device());
  job = destination.job_for(tensor.view(), job.params);
  job.params.subsequence += Access::next_call(*this);
  destination.fill(job);
  return tensor;
}

Description Initializer::describe(const Shape& shape, std::optional<Layout> layout) const {
  TensorOptions options;
  options.layout = layout;
  return describe(shape, options);
}

Description Initializer::describe(const Shape& shape, const TensorOptions& options) const {
  return detail::in_default_fp_environment([&] {
    const std::uint64_t size = element_count(shape);
    const Fans fans = fans_in(shape, options, *scheme_);
    const Layout layout = layout_in(options, *scheme_);
    const Distribution distribution = scheme_->distribution(shape, layout, fans);
    return Description{std::string(class_name()),
                       shape,
                       fans,
                       distribution,
                       seed_.kind(),
                       seed_.value(),
                       size,
                       scheme_->derivation(fans, distribution),
                       layout};
  });
}

}  // namespace fanin
