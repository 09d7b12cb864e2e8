// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>
#include <exception>
#include <iterator>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/text.h"
#include "fanin/fanin.h"
#include "fanin/fanin.hpp"

struct fanin_initializer {
  fanin::Initializer value;
};

struct fanin_plan {
  fanin::Plan value;
};

struct fanin_model {
  fanin::ModelSpec spec;
  std::vector<std::vector<const char*>> ties;  // of each tensor
};

namespace {

static_assert(static_cast<int>(fanin::DType::float4_e2m1fn) == FANIN_FLOAT4_E2M1FN);
static_assert(static_cast<int>(fanin::Rounding::stochastic) == FANIN_STOCHASTIC);
static_assert(static_cast<int>(fanin::Layout::oihw) == FANIN_OIHW);
static_assert(static_cast<int>(fanin::ConfigForm::tf2) == FANIN_TF2);
static_assert(static_cast<int>(fanin::CpuTarget::sve) == FANIN_CPU_SVE);
static_assert(static_cast<int>(fanin::Distribution::Kind::orthogonal) == FANIN_ORTHOGONAL);
static_assert(static_cast<int>(fanin::Seed::Kind::sequence) == FANIN_SEED_SEQUENCE);

// A fixed array, so that storing a message cannot fail.
thread_local std::array<char, 1024> last_error{};

// Copies the text with a final zero byte. What does not fit is cut between two characters of UTF-8.
void copy_text(char* to, size_t size, std::string_view text) {
  size_t length = std::min(text.size(), size - 1);
  while (length > 0 && length < text.size() && fanin::detail::is_continuation(text[length])) --length;
  to[text.copy(to, length)] = '\0';
}

fanin_status fail(fanin_status status, const char* what) {
  copy_text(last_error.data(), last_error.size(), what);
  return status;
}

constexpr size_t most_dimensions = 255;

// Runs f and returns a status for its exceptions.
template <class F>
fanin_status guarded(const F& f) noexcept {
  try {
    f();
    return FANIN_OK;
  } catch (const fanin::InvalidArgument& error) {
    return fail(FANIN_INVALID_ARGUMENT, error.what());
  } catch (const fanin::DeviceError& error) {
    return fail(FANIN_DEVICE_ERROR, error.what());
  } catch (const std::bad_alloc&) {
    return fail(FANIN_OUT_OF_MEMORY, "out of memory");
  } catch (const std::exception& error) {
    return fail(FANIN_INTERNAL_ERROR, error.what());
  } catch (...) {
    return fail(FANIN_INTERNAL_ERROR, "unknown exception");
  }
}

template <class T>
T& given(T* pointer, const char* name) {
  if (pointer == nullptr) throw fanin::InvalidArgument(std::string("The argument `") + name + "` must not be null");
  return *pointer;
}

fanin::Shape shape_of(const int64_t* extents, size_t rank, const char* name) {
  if (rank == 0) return {};
  if (rank > most_dimensions) {
    throw fanin::InvalidArgument("A tensor can have at most 255 dimensions here. Received: rank=" +
                                 std::to_string(rank));
  }
  return {&given(extents, name), extents + rank};
}

// The caller's struct, with defaults for the members that the header of an older version did not have. `sizes` are the
// sizes that the struct has had.
template <class Struct, size_t n>
Struct complete(const Struct& given, const Struct& defaults, const std::array<size_t, n>& sizes, const char* name,
                const char* init) {
  if (std::find(sizes.begin(), sizes.end(), given.struct_size) == sizes.end()) {
    throw fanin::InvalidArgument(std::string(name) + " of this library has " + std::to_string(sizeof(Struct)) +
                                 " bytes, or fewer if its last members are left out; begin with " + init +
                                 ". Received: struct_size=" + std::to_string(given.struct_size));
  }
  Struct all = defaults;
  std::memcpy(&all, &given, given.struct_size);
  return all;
}

fanin_fill_args complete(const fanin_fill_args& args) {
  constexpr std::array sizes{offsetof(fanin_fill_args, block_offset),
                             offsetof(fanin_fill_args, block_extent),
                             offsetof(fanin_fill_args, name),
                             offsetof(fanin_fill_args, subsequence),
                             offsetof(fanin_fill_args, stream),
                             offsetof(fanin_fill_args, threads),
                             offsetof(fanin_fill_args, layout),
                             offsetof(fanin_fill_args, device_seed),
                             offsetof(fanin_fill_args, device_call),
                             offsetof(fanin_fill_args, output_scale),
                             sizeof(fanin_fill_args)};
  return complete<fanin_fill_args>(args, FANIN_FILL_INIT, sizes, "fanin_fill_args", "FANIN_FILL_INIT");
}

fanin_model_tensor complete(const fanin_model_tensor& tensor) {
  return complete<fanin_model_tensor>(tensor, FANIN_MODEL_TENSOR_INIT, std::array{sizeof(fanin_model_tensor)},
                                      "fanin_model_tensor", "FANIN_MODEL_TENSOR_INIT");
}

const fanin::ModelTensor& tensor_in(const fanin_model& model, size_t number) {
  if (number < model.spec.tensors.size()) return model.spec.tensors[number];
  throw fanin::InvalidArgument("There is no tensor " + std::to_string(number) + ": the model has " +
                               std::to_string(model.spec.tensors.size()));
}

fanin_run_args complete(const fanin_run_args& args) {
  return complete<fanin_run_args>(args, FANIN_RUN_INIT, std::array{sizeof(fanin_run_args)}, "fanin_run_args",
                                  "FANIN_RUN_INIT");
}

fanin_description complete(const fanin_description& description) {
  return complete<fanin_description>(description, FANIN_DESCRIPTION_INIT, std::array{sizeof(fanin_description)},
                                     "fanin_description", "FANIN_DESCRIPTION_INIT");
}

std::optional<fanin::Layout> layout_of(int32_t layout) {
  if (layout == FANIN_LAYOUT_OF_INITIALIZER) return std::nullopt;
  if (layout != FANIN_HWIO && layout != FANIN_OIHW) {
    throw fanin::InvalidArgument("The layout must be FANIN_HWIO, FANIN_OIHW or FANIN_LAYOUT_OF_INITIALIZER");
  }
  return static_cast<fanin::Layout>(layout);
}

// Refuses numbers that do not fit into the enumeration's type; the library refuses other wrong ones.
template <class Enumeration>
Enumeration number_as(int32_t number, const char* what) {
  if (number >= 0 && number <= 255) return static_cast<Enumeration>(number);
  throw fanin::InvalidArgument(std::string(what) + " number " + std::to_string(number) + " does not exist");
}

fanin::View view_of(const fanin_fill_args& args) {
  fanin::View view;
  view.address = args.address;
  view.dtype = number_as<fanin::DType>(args.dtype, "dtype");
  view.capacity = args.capacity;
  view.device = fanin::Device{args.cuda_device};
  view.leading_dimension = args.leading_dimension;
  view.unpacked = args.unpacked != 0;
  return view;
}

fanin::Block block_of(const fanin_fill_args& args) {
  fanin::Block block;
  if (args.rank == 0 && (args.block_offset != nullptr || args.block_extent != nullptr)) {
    throw fanin::InvalidArgument("A block has an offset and an extent for each dimension. Received: rank=0");
  }
  if (args.block_offset != nullptr || args.block_extent != nullptr) {
    block.offset = shape_of(args.block_offset, args.rank, "block_offset");
    block.extent = shape_of(args.block_extent, args.rank, "block_extent");
  }
  if (args.elements != nullptr) block.elements = fanin::ElementRange{args.elements->first, args.elements->count};
  return block;
}

fanin::TensorOptions tensor_options_of(const fanin_fill_args& args) {
  fanin::TensorOptions options;
  if (args.name != nullptr) options.name = args.name;
  if (args.name == nullptr || args.subsequence != 0) options.subsequence = args.subsequence;
  options.block = block_of(args);
  options.layout = layout_of(args.layout);
  options.output_scale = {args.output_scale, args.output_scales,
                          number_as<fanin::DType>(args.output_scale_dtype, "dtype"), args.output_scale_count,
                          args.output_scale_group};
  options.rounding = number_as<fanin::Rounding>(args.rounding, "rounding");
  return options;
}

// Args is fanin_fill_args or fanin_run_args.
template <class Args>
fanin::RunOptions run_options_of(const Args& args) {
  if (args.cpu_target < FANIN_CPU_AUTOMATIC || args.cpu_target > FANIN_CPU_SVE) {
    throw fanin::InvalidArgument("CPU target number " + std::to_string(args.cpu_target) + " does not exist");
  }
  fanin::RunOptions options;
  options.stream = static_cast<fanin::CudaStream>(args.stream);
  options.threads = args.threads;
  options.cpu_target = static_cast<fanin::CpuTarget>(args.cpu_target);
  options.device_seed = args.device_seed;
  options.device_call = args.device_call;
  return options;
}

// An entry of a plan has no options of its own for how it runs.
fanin_fill_args complete_for_plan(const fanin_fill_args& args) {
  const fanin_fill_args a = complete(args);
  if (a.stream != nullptr || a.threads != 0 || a.device_seed != nullptr || a.device_call != nullptr ||
      a.cpu_target != FANIN_CPU_AUTOMATIC) {
    throw fanin::InvalidArgument(
        "`stream`, `threads`, `device_seed`, `device_call` and `cpu_target` are not for one entry of a plan; give them "
        "to fanin_plan_fill, in fanin_run_args");
  }
  return a;
}

// For memory whose values another entry, or a model, decides.
fanin_fill_args complete_for_given_values(const fanin_fill_args& args) {
  const fanin_fill_args a = complete_for_plan(args);
  const fanin_fill_args plain = FANIN_FILL_INIT;
  if (a.output_scale != plain.output_scale || a.output_scales != nullptr || a.rounding != plain.rounding) {
    throw fanin::InvalidArgument(
        "`output_scale`, `output_scales` and `rounding` must have their defaults here: a copy is not scaled and "
        "rounded "
        "to nearest, and a model's rules decide for its tensors");
  }
  return a;
}

template <class F>
fanin_status make_with(fanin_initializer** initializer, const F& make) {
  return guarded([&] {
    given(initializer, "initializer") = nullptr;
    *initializer = new fanin_initializer{make()};
  });
}

}  // namespace

fanin_status fanin_make(const char* name, uint64_t seed, fanin_initializer** initializer) {
  return make_with(initializer, [&] { return fanin::make(&given(name, "name"), seed); });
}

fanin_status fanin_make_by_convention(const char* convention, const char* name, uint64_t seed,
                                      fanin_initializer** initializer) {
  return make_with(initializer,
                   [&] { return fanin::make(&given(name, "name"), seed, &given(convention, "convention")); });
}

fanin_status fanin_make_normal(double mean, double stddev, uint64_t seed, fanin_initializer** initializer) {
  return make_with(initializer, [&] { return fanin::RandomNormal(mean, stddev, seed); });
}

fanin_status fanin_make_truncated_normal(double mean, double stddev, double lower, double upper, uint64_t seed,
                                         fanin_initializer** initializer) {
  return make_with(initializer, [&] { return fanin::TruncatedNormal(mean, stddev, seed, lower, upper); });
}

fanin_status fanin_make_uniform(double low, double high, uint64_t seed, fanin_initializer** initializer) {
  return make_with(initializer, [&] { return fanin::RandomUniform(low, high, seed); });
}

fanin_status fanin_make_constant(double value, fanin_initializer** initializer) {
  return make_with(initializer, [&] { return fanin::Constant(value); });
}

fanin_status fanin_make_constant_array(size_t rank, const int64_t* shape, const double* values,
                                       fanin_initializer** initializer) {
  return make_with(initializer, [&] {
    fanin::Shape extents = shape_of(shape, rank, "shape");
    const double* const first = &given(values, "values");
    return fanin::Constant(extents, std::vector<double>(first, first + fanin::element_count(extents)));
  });
}

fanin_status fanin_make_identity(double gain, fanin_initializer** initializer) {
  return make_with(initializer, [&] { return fanin::Identity(gain); });
}

fanin_status fanin_make_orthogonal(double gain, uint64_t seed, fanin_initializer** initializer) {
  return make_with(initializer, [&] { return fanin::Orthogonal(gain, seed); });
}

fanin_status fanin_make_variance_scaling(double scale, const char* mode, const char* distribution, uint64_t seed,
                                         fanin_initializer** initializer) {
  return make_with(initializer, [&] {
    return fanin::VarianceScaling(scale, &given(mode, "mode"), &given(distribution, "distribution"), seed);
  });
}

fanin_status fanin_make_formula(const char* value, size_t constants, const char* const* names, const double* values,
                                uint64_t seed, fanin_initializer** initializer) {
  return make_with(initializer, [&] {
    fanin::Formula::Constants all;
    if (constants > 0) {
      given(names, "names");
      given(values, "values");
    }
    for (size_t k = 0; k < constants; ++k) all.emplace_back(&given(names[k], "a name"), values[k]);
    return fanin::Formula(&given(value, "value"), std::move(all), seed);
  });
}

fanin_status fanin_make_dirac(int64_t groups, fanin_initializer** initializer) {
  return make_with(initializer, [&] { return fanin::Dirac(groups); });
}

fanin_status fanin_make_bilinear(int64_t groups, fanin_initializer** initializer) {
  return make_with(initializer, [&] { return fanin::Bilinear(groups); });
}

fanin_status fanin_make_forget_gate_bias(double value, int32_t gate, int32_t gates, fanin_initializer** initializer) {
  return make_with(initializer, [&] { return fanin::ForgetGateBias(value, gate, gates); });
}

fanin_status fanin_make_sparse(double sparsity, double stddev, uint64_t seed, fanin_initializer** initializer) {
  return make_with(initializer, [&] { return fanin::Sparse(sparsity, stddev, seed); });
}

fanin_status fanin_make_stft(const char* side, const char* window, const char* scaling, int32_t periodic,
                             fanin_initializer** initializer) {
  const auto optional = [](const char* text) {
    return text != nullptr ? std::optional<std::string_view>(text) : std::nullopt;
  };
  return make_with(initializer, [&] {
    return fanin::STFT(&given(side, "side"), optional(window), optional(scaling), periodic != 0);
  });
}

fanin_status fanin_make_siren_first(uint64_t seed, fanin_initializer** initializer) {
  return make_with(initializer, [&] { return fanin::SirenFirst(seed); });
}

fanin_status fanin_make_siren_hidden(double w0, uint64_t seed, fanin_initializer** initializer) {
  return make_with(initializer, [&] { return fanin::SirenHidden(w0, seed); });
}

fanin_status fanin_calculate_gain(const char* nonlinearity, const double* parameter, double* gain) {
  return guarded([&] {
    given(gain, "gain") = fanin::calculate_gain(
        &given(nonlinearity, "nonlinearity"), parameter != nullptr ? std::optional<double>(*parameter) : std::nullopt);
  });
}

fanin_status fanin_deserialize(const char* json, fanin_initializer** initializer) {
  return make_with(initializer, [&] { return fanin::deserialize(&given(json, "json")); });
}

fanin_status fanin_serialize(const fanin_initializer* initializer, int32_t form, char* buffer, size_t capacity,
                             size_t* length) {
  return guarded([&] {
    if (form != FANIN_KERAS3 && form != FANIN_TF2) {
      throw fanin::InvalidArgument("The form must be FANIN_KERAS3 or FANIN_TF2");
    }
    const std::string json =
        fanin::serialize(given(initializer, "initializer").value, static_cast<fanin::ConfigForm>(form));
    given(length, "length") = json.size() + 1;
    if (capacity == 0) return;
    if (capacity < json.size() + 1) {
      throw fanin::InvalidArgument("The buffer needs " + std::to_string(json.size() + 1) +
                                   " bytes. Received: capacity=" + std::to_string(capacity));
    }
    std::memcpy(&given(buffer, "buffer"), json.c_str(), json.size() + 1);
  });
}

fanin_status fanin_seed(const fanin_initializer* initializer, uint64_t* seed) {
  return guarded([&] { given(seed, "seed") = given(initializer, "initializer").value.seed().value(); });
}

void fanin_free(fanin_initializer* initializer) { delete initializer; }

fanin_status fanin_describe(const fanin_initializer* initializer, size_t rank, const int64_t* shape, int32_t layout,
                            fanin_description* description) {
  return guarded([&] {
    fanin_description all = complete(given(description, "description"));
    const fanin::Description described =
        given(initializer, "initializer").value.describe(shape_of(shape, rank, "shape"), layout_of(layout));
    const fanin::Distribution& distribution = described.distribution;
    all.size = described.size;
    all.fan_in = described.fans.fan_in;
    all.fan_out = described.fans.fan_out;
    all.seed = described.seed;
    all.seed_kind = static_cast<int32_t>(described.seed_kind);
    all.distribution = static_cast<int32_t>(distribution.kind);
    all.value = distribution.value;
    all.low = distribution.low;
    all.high = distribution.high;
    all.mean = distribution.mean;
    all.stddev = distribution.stddev;
    all.lower = distribution.lower;
    all.upper = distribution.upper;
    copy_text(all.initializer, sizeof all.initializer, described.initializer);
    copy_text(all.derivation, sizeof all.derivation, described.derivation);
    std::memcpy(description, &all, all.struct_size);
  });
}

fanin_status fanin_fill(const fanin_initializer* initializer, const fanin_fill_args* args) {
  return guarded([&] {
    const fanin_fill_args a = complete(given(args, "args"));
    given(initializer, "initializer")
        .value.fill(view_of(a), shape_of(a.shape, a.rank, "shape"), tensor_options_of(a), run_options_of(a));
  });
}

fanin_status fanin_mx_scales(const float* values, size_t count, int32_t dtype, uint8_t* scales, uint32_t group) {
  return guarded([&] { fanin::mx_scales(values, count, number_as<fanin::DType>(dtype, "dtype"), scales, group); });
}

fanin_status fanin_plan_create(fanin_plan** plan) {
  return guarded([&] {
    given(plan, "plan") = nullptr;
    *plan = new fanin_plan;
  });
}

void fanin_plan_free(fanin_plan* plan) { delete plan; }

fanin_status fanin_plan_add(fanin_plan* plan, const fanin_initializer* initializer, const fanin_fill_args* args,
                            size_t* entry) {
  return guarded([&] {
    const fanin_fill_args a = complete_for_plan(given(args, "args"));
    const size_t added = given(plan, "plan")
                             .value.add(given(initializer, "initializer").value, view_of(a),
                                        shape_of(a.shape, a.rank, "shape"), tensor_options_of(a));
    if (entry != nullptr) *entry = added;
  });
}

fanin_status fanin_plan_add_copy(fanin_plan* plan, size_t entry, const fanin_fill_args* args, size_t* copy) {
  return guarded([&] {
    const fanin_fill_args a = complete_for_given_values(given(args, "args"));
    const bool has_part = a.block_offset != nullptr || a.block_extent != nullptr || a.elements != nullptr;
    fanin::Plan& changed = given(plan, "plan").value;
    const size_t added =
        has_part ? changed.add_copy(entry, view_of(a), block_of(a)) : changed.add_copy(entry, view_of(a));
    if (copy != nullptr) *copy = added;
  });
}

size_t fanin_plan_size(const fanin_plan* plan) { return plan == nullptr ? 0 : plan->value.size(); }

fanin_status fanin_plan_fill(const fanin_plan* plan, const fanin_run_args* args) {
  return guarded([&] {
    const fanin_run_args a = args == nullptr ? fanin_run_args FANIN_RUN_INIT : complete(*args);
    const fanin::RunOptions options = run_options_of(a);
    const fanin::Plan& filled = given(plan, "plan").value;
    if (a.streams == nullptr && a.stream_count == 0) {
      filled.fill(options);
      return;
    }
    given(a.streams, "streams");
    std::vector<fanin::Plan::DeviceStream> streams;
    std::transform(a.streams, a.streams + a.stream_count, std::back_inserter(streams), [](const auto& one) {
      return fanin::Plan::DeviceStream{one.cuda_device, static_cast<fanin::CudaStream>(one.stream)};
    });
    filled.fill(streams, options);
  });
}

fanin_status fanin_plan_launches(const fanin_plan* plan, int32_t cuda_device, size_t* launches) {
  return guarded([&] {
    size_t& count = given(launches, "launches");
    count = given(plan, "plan").value.launches(cuda_device);
  });
}

fanin_status fanin_plan_workspace_size(const fanin_plan* plan, int32_t cuda_device, size_t* bytes) {
  return guarded([&] {
    size_t& needed = given(bytes, "bytes");
    needed = given(plan, "plan").value.workspace_size(cuda_device);
  });
}

fanin_status fanin_plan_upload(fanin_plan* plan, int32_t cuda_device, void* workspace, size_t capacity, void* stream) {
  return guarded([&] {
    fanin::View view;
    view.address = workspace;
    view.capacity = capacity;
    view.device = fanin::Device{cuda_device};
    given(plan, "plan").value.upload(view, static_cast<fanin::CudaStream>(stream));
  });
}

fanin_status fanin_plan_prepare(fanin_plan* plan, int32_t cuda_device, void* stream) {
  return guarded([&] { given(plan, "plan").value.prepare(cuda_device, static_cast<fanin::CudaStream>(stream)); });
}

uint64_t fanin_subsequence(const char* name) { return fanin::subsequence_of(name == nullptr ? "" : name); }

fanin_status fanin_model_parse(const char* json, uint64_t seed, const fanin_constant* constants, size_t constant_count,
                               fanin_model** model) {
  return guarded([&] {
    given(model, "model") = nullptr;
    fanin::ModelSpecOptions options;
    for (size_t j = 0; j < constant_count; ++j) {
      const fanin_constant& constant = (&given(constants, "constants"))[j];
      options.constants.emplace_back(&given(constant.name, "constants"), constant.value);
    }
    auto made = std::make_unique<fanin_model>();
    made->spec = fanin::parse_model_spec(&given(json, "json"), seed, options);
    for (const fanin::ModelTensor& tensor : made->spec.tensors) {
      std::vector<const char*>& names = made->ties.emplace_back();
      for (const std::string& name : tensor.ties) names.push_back(name.c_str());
    }
    *model = made.release();
  });
}

void fanin_model_free(fanin_model* model) { delete model; }

size_t fanin_model_size(const fanin_model* model) { return model == nullptr ? 0 : model->spec.tensors.size(); }

fanin_status fanin_model_describe(const fanin_model* model, size_t number, fanin_model_tensor* tensor) {
  return guarded([&] {
    const size_t struct_size = complete(given(tensor, "tensor")).struct_size;
    const fanin_model& from = given(model, "model");
    const fanin::ModelTensor& found = tensor_in(from, number);
    const std::vector<const char*>& ties = from.ties[number];
    *tensor = {struct_size,        found.name.c_str(), static_cast<int32_t>(found.dtype),
               found.shape.size(), found.shape.data(), ties.data(),
               ties.size()};
  });
}

fanin_status fanin_plan_add_tensor(fanin_plan* plan, const fanin_model* model, size_t number,
                                   const fanin_fill_args* args) {
  return guarded([&] {
    const fanin_fill_args a = complete_for_given_values(given(args, "args"));
    add(given(plan, "plan").value, tensor_in(given(model, "model"), number), view_of(a), block_of(a));
  });
}

int32_t fanin_cuda_devices(void) {
  try {
    return fanin::available().cuda_devices;
  } catch (...) {
    return 0;
  }
}

fanin_status fanin_preload(int32_t device) {
  return guarded([&] { fanin::preload(device); });
}

fanin_status fanin_read(void* to, const void* from, size_t bytes, int32_t cuda_device, void* stream) {
  return guarded([&] {
    fanin::View view;
    view.address = const_cast<void*>(from);  // a View has no const address; read does not write
    view.capacity = bytes;
    view.device = fanin::Device{cuda_device};
    fanin::read(to, view, static_cast<fanin::CudaStream>(stream));
  });
}

const char* fanin_last_error(void) { return last_error.data(); }

const char* fanin_version(void) { return FANIN_VERSION; }

int32_t fanin_contract_version(void) { return FANIN_CONTRACT_VERSION; }
