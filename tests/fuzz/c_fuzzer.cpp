// SPDX-License-Identifier: Apache-2.0
// Sequences of calls of the C interface. Whatever the arguments are, a call that fails gives a status and a message,
// and writes nothing.
#include <fuzzer/FuzzedDataProvider.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <deque>
#include <string>
#include <vector>

#include "fanin/fanin.h"
#include "fuzz/fuzz.h"

using fanin::fuzz::require;

namespace {

constexpr std::size_t slots = 4;
constexpr std::size_t memory_bytes = 4096;

class Session {
 public:
  Session(const std::uint8_t* data, std::size_t size) : input_(data, size) {}
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  ~Session() {
    for (fanin_initializer* initializer : initializers_) fanin_free(initializer);
    for (fanin_plan* plan : plans_) fanin_plan_free(plan);
    fanin_model_free(model_);
  }

  void run() {
    for (int calls = 0; calls < 64 && input_.remaining_bytes() > 0; ++calls) call();
  }

 private:
  void call() {
    fanin_initializer*& initializer = any(initializers_);
    fanin_plan*& plan = any(plans_);
    switch (input_.ConsumeIntegralInRange(0, 19)) {
      case 0:
        return make(initializer, [&](auto** to) { return fanin_make(text(), seed(), to); });
      case 1:
        return make(initializer, [&](auto** to) { return fanin_make_normal(number(), number(), seed(), to); });
      case 2:
        return make(initializer, [&](auto** to) {
          return fanin_make_truncated_normal(number(), number(), number(), number(), seed(), to);
        });
      case 3:
        return make(initializer, [&](auto** to) { return fanin_make_uniform(number(), number(), seed(), to); });
      case 4:
        return make(initializer, [&](auto** to) { return fanin_make_constant(number(), to); });
      case 5:
        return make(initializer, [&](auto** to) { return fanin_make_identity(number(), to); });
      case 6:
        return make(initializer, [&](auto** to) { return fanin_make_orthogonal(number(), seed(), to); });
      case 7:
        return make(initializer,
                    [&](auto** to) { return fanin_make_variance_scaling(number(), text(), text(), seed(), to); });
      case 8: {
        const std::array names{text(), text()};
        const std::array values{number(), number()};
        const std::size_t count = input_.ConsumeIntegralInRange<std::size_t>(0, 2);
        return make(initializer, [&](auto** to) {
          return fanin_make_formula(text(), count, names.data(), values.data(), seed(), to);
        });
      }
      case 9:
        return make(initializer, [&](auto** to) { return fanin_deserialize(text(), to); });
      case 10: {
        std::array<char, 64> buffer{};
        std::size_t length = 0;
        const std::size_t capacity = input_.ConsumeIntegralInRange<std::size_t>(0, buffer.size());
        check(fanin_serialize(initializer, small(), buffer.data(), capacity, &length));
        std::uint64_t drawn = 0;
        check(fanin_seed(initializer, &drawn));
        return;
      }
      case 11: {
        fanin_description description = FANIN_DESCRIPTION_INIT;
        if (input_.ConsumeBool()) description.struct_size = input_.ConsumeIntegralInRange<std::size_t>(0, 1024);
        const std::vector<std::int64_t> shape = extents();
        check(fanin_describe(initializer, shape.size(), shape.data(), small(), &description));
        return;
      }
      case 12:
        return with_args([&](const fanin_fill_args& args) { return fanin_fill(initializer, &args); });
      case 13:
        return make(plan, [&](auto** to) { return fanin_plan_create(to); });
      case 14:
        return with_args(
            [&](const fanin_fill_args& args) { return fanin_plan_add(plan, initializer, &args, nullptr); });
      case 15:
        return with_args([&](const fanin_fill_args& args) {
          return fanin_plan_add_copy(plan, input_.ConsumeIntegralInRange<std::size_t>(0, 8), &args, nullptr);
        });
      case 16: {
        fanin_run_args run = FANIN_RUN_INIT;
        run.threads = small();
        run.cpu_target = small();
        if (input_.ConsumeBool()) run.struct_size = input_.ConsumeIntegralInRange<std::size_t>(0, 128);
        check(fanin_plan_fill(plan, input_.ConsumeBool() ? &run : nullptr));
        return;
      }
      case 17:
        if (input_.ConsumeBool()) {
          fanin_model_free(model_);
          const fanin_constant constant{text(), number()};
          check(
              fanin_model_parse(text(), seed(), &constant, input_.ConsumeIntegralInRange<std::size_t>(0, 1), &model_));
        } else {
          fanin_model_tensor tensor = FANIN_MODEL_TENSOR_INIT;
          check(fanin_model_describe(model_, input_.ConsumeIntegralInRange<std::size_t>(0, 4), &tensor));
        }
        return;
      case 18:
        return with_args([&](const fanin_fill_args& args) {
          return fanin_plan_add_tensor(plan, model_, input_.ConsumeIntegralInRange<std::size_t>(0, 4), &args);
        });
      default: {
        std::size_t number = 0;
        check(fanin_plan_launches(plan, small(), &number));
        check(fanin_plan_workspace_size(plan, small(), &number));
        check(fanin_plan_prepare(plan, small(), nullptr));
        check(fanin_preload(small()));
        return;
      }
    }
  }

  template <class T>
  T*& any(std::array<T*, slots>& all) {
    return all[input_.ConsumeIntegralInRange<std::size_t>(0, slots - 1)];
  }

  static void release(fanin_initializer* initializer) { fanin_free(initializer); }
  static void release(fanin_plan* plan) { fanin_plan_free(plan); }

  template <class T, class F>
  static void make(T*& slot, const F& f) {
    T* made = slot;
    const fanin_status status = f(&made);
    check(status);
    require((status == FANIN_OK) == (made != nullptr), "a function that fails sets the pointer to null");
    release(slot);
    slot = made;
  }

  static fanin_status check(fanin_status status) {
    require(status != FANIN_INTERNAL_ERROR, fanin_last_error());
    if (status != FANIN_OK) require(*fanin_last_error() != '\0', "a failure has a message");
    return status;
  }

  // Calls f with any arguments for a fill of the session's memory, which has a margin on both sides.
  template <class F>
  void with_args(const F& f) {
    fanin_fill_args args = FANIN_FILL_INIT;
    const std::vector<std::int64_t> shape = extents(), offset = extents(), extent = extents();
    const std::size_t begin = input_.ConsumeIntegralInRange<std::size_t>(0, memory_bytes);
    args.address = input_.ConsumeProbability<float>() < 0.05F ? nullptr : memory_.data() + margin + begin;
    args.capacity = input_.ConsumeIntegralInRange<std::size_t>(0, memory_bytes - begin);
    args.dtype = small();
    args.cuda_device = input_.ConsumeProbability<float>() < 0.1F ? small() : -1;
    args.rank = shape.size();
    args.shape = shape.data();
    if (input_.ConsumeBool() && std::min(offset.size(), extent.size()) >= shape.size()) {
      args.block_offset = offset.data();
      args.block_extent = extent.data();
    }
    const fanin_element_range range{input_.ConsumeIntegral<std::uint8_t>(), input_.ConsumeIntegral<std::uint8_t>()};
    if (input_.ConsumeProbability<float>() < 0.2F) args.elements = &range;
    args.name = input_.ConsumeBool() ? text() : nullptr;
    if (args.name == nullptr) args.subsequence = input_.ConsumeIntegral<std::uint64_t>();
    if (input_.ConsumeProbability<float>() < 0.1F) args.threads = small();
    args.layout = small();
    if (input_.ConsumeProbability<float>() < 0.1F) args.cpu_target = small();
    if (input_.ConsumeProbability<float>() < 0.2F) args.leading_dimension = input_.ConsumeIntegral<std::uint8_t>();
    if (input_.ConsumeProbability<float>() < 0.02F) args.leading_dimension <<= input_.ConsumeIntegralInRange(0, 63);
    if (input_.ConsumeProbability<float>() < 0.1F) {
      args.struct_size = input_.ConsumeIntegralInRange<std::size_t>(0, sizeof args + 8);
    }
    const auto before = memory_;
    if (check(f(args)) != FANIN_OK) require(memory_ == before, "a call that fails writes nothing");
    const auto is_margin = [](unsigned char byte) { return byte == 0xca; };
    require(std::all_of(memory_.begin(), memory_.begin() + margin, is_margin) &&
                std::all_of(memory_.end() - margin, memory_.end(), is_margin),
            "a call writes only to the memory that it was given");
  }

  const char* text() {
    texts_.push_back(input_.ConsumeRandomLengthString(256));
    if (fanin::fuzz::has_long_number(texts_.back(), 3)) texts_.back().clear();  // slow: see there
    return texts_.back().c_str();
  }
  std::uint64_t seed() { return input_.ConsumeIntegral<std::uint64_t>(); }
  std::int32_t small() { return input_.ConsumeIntegralInRange<std::int32_t>(-2, 9); }
  double number() {
    constexpr double usual[] = {0, 1, -1, 2, 0.5, -2};
    return input_.ConsumeBool() ? input_.PickValueInArray(usual) : input_.ConsumeFloatingPoint<double>();
  }
  std::vector<std::int64_t> extents() {
    std::vector<std::int64_t> all(input_.ConsumeIntegralInRange<std::size_t>(0, 4));
    for (std::int64_t& extent : all) extent = input_.ConsumeIntegralInRange<std::int64_t>(-1, 12);
    if (!all.empty() && input_.ConsumeProbability<float>() < 0.05F) all[0] = input_.ConsumeIntegral<std::int64_t>();
    return all;
  }

  static constexpr std::ptrdiff_t margin = 64;
  FuzzedDataProvider input_;
  std::array<fanin_initializer*, slots> initializers_{};
  std::array<fanin_plan*, slots> plans_{};
  fanin_model* model_ = nullptr;
  std::deque<std::string> texts_;  // which calls point into
  alignas(64) std::array<unsigned char, memory_bytes + 2 * margin> memory_ = [] {
    std::array<unsigned char, memory_bytes + 2 * margin> filled{};
    filled.fill(0xca);
    return filled;
  }();
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Session(data, size).run();
  return 0;
}
