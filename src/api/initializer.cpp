// SPDX-License-Identifier: Apache-2.0
#include "fanin/initializer.h"

#include <utility>

#include "api/backends.h"
#include "base/fp_environment.h"
#include "config/config.h"
#include "fanin/error.h"
#include "formulas/rule.h"
#include "params/params.h"

namespace fanin {

using detail::Access;

namespace {

void check_options(const detail::Rule& rule, const FillOptions& options) {
  if (options.name && options.subsequence) {
    throw InvalidArgument("Give a tensor a name or a subsequence, not both. Received: name=\"" + *options.name +
                          "\", subsequence=" + std::to_string(*options.subsequence));
  }
  if (!detail::is_whole(options.block) && !rule.allows_blocks()) {
    throw InvalidArgument(std::string(rule.class_name()) + " initializer doesn't support partition-related arguments.");
  }
}

detail::RunOptions run_options(const FillOptions& options) {
  return {options.stream, options.threads, options.cpu_target, options.device_seed};
}

Distribution distribution_for(const detail::Rule& rule, const Shape& shape, Layout layout) {
  element_count(shape);  // refuses impossible shapes before fans do
  return rule.distribution(shape, compute_fans(shape, layout, rule.axes()));
}

}  // namespace

namespace detail {

FillParams Access::prepared(const Initializer& initializer, const Shape& shape, DType dtype,
                            const FillOptions& options) {
  return in_default_fp_environment([&] {
    check_options(*initializer.rule_, options);
    const Distribution distribution = distribution_for(*initializer.rule_, shape, options.layout);
    const std::uint64_t base = options.name ? subsequence_of(*options.name) : options.subsequence.value_or(0);
    return make_params(distribution, shape, dtype, initializer.seed_.value(), base, options.block);
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

Initializer::Initializer(std::shared_ptr<const detail::Rule> rule, Seed seed)
    : rule_(std::move(rule)), seed_(std::move(seed)), calls_(seed_.first_call()) {}

Initializer::Initializer(const Initializer& other) : rule_(other.rule_), seed_(other.seed_), calls_(other.calls()) {}

Initializer& Initializer::operator=(const Initializer& other) {
  if (this == &other) return *this;
  Seed seed = other.seed_;  // first, because it may throw
  rule_ = other.rule_;
  seed_ = std::move(seed);
  calls_.store(other.calls(), std::memory_order_relaxed);
  return *this;
}

Initializer::~Initializer() = default;

std::string_view Initializer::class_name() const { return rule_->class_name(); }

FillParams Initializer::params(const Shape& shape, DType dtype, const FillOptions& options) const {
  FillParams params = Access::prepared(*this, shape, dtype, options);
  params.subsequence += Access::next_call(*this);  // last, so that a refused call is not counted
  return params;
}

void Initializer::fill(const View& view, const Shape& shape, const FillOptions& options) const {
  detail::check_run(run_options(options), view.place);
  const detail::Destination there(view.place);
  void* const address = there.address_of(view, element_count(detail::written_shape(shape, options.block)));
  there.fill({address, params(shape, view.dtype, options)}, run_options(options));
}

Tensor Initializer::operator()(const Shape& shape, DType dtype, const FillOptions& options) const {
  const detail::Destination there(gpu::current_place());
  detail::check_run(run_options(options), there.place());
  FillParams params = Access::prepared(*this, shape, dtype, options);
  Tensor tensor(detail::written_shape(shape, options.block), dtype, there.place());
  params.subsequence += Access::next_call(*this);
  there.fill({tensor.data(), params}, run_options(options));
  return tensor;
}

Description Initializer::describe(const Shape& shape, Layout layout) const {
  return detail::in_default_fp_environment([&] {
    const Distribution distribution = distribution_for(*rule_, shape, layout);
    const Fans fans = compute_fans(shape, layout, rule_->axes());
    return Description{std::string(class_name()),     shape, fans, distribution, seed_.kind(), seed_.value(),
                       rule_->derivation(shape, fans)};
  });
}

std::string Initializer::get_config(ConfigForm form) const { return detail::dump_json(detail::config_of(*this, form)); }

}  // namespace fanin
