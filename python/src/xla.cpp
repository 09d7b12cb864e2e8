// SPDX-License-Identifier: Apache-2.0
// The custom call of fanin.jax: XLA passes the memory of the result and the description of its values.
#include <nanobind/nanobind.h>
#ifdef __linux__
#include <sys/mman.h>
#endif

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <exception>
#include <new>
#include <string>
#include <string_view>

#include "arguments.h"
#include "arrays.h"
#include "bindings.h"
#include "element_types.h"
#include "fanin/cuda_devices.h"
#include "fanin/device_blocks.h"
#include "fanin/error.h"
#include "fanin/initializers.h"
#include "strided.h"
#include "xla_ffi.h"

namespace fanin::python {

namespace {

// Refuses calls that fanin.jax would not make.
[[noreturn]] void fail(const std::string& what) { throw InvalidArgument("The call is not one of fanin.jax: " + what); }

// The value of an attribute, which must be of the given type.
template <class Value>
const Value& attribute_of(const xla::CallFrame& call, std::string_view name, xla::AttributeType type,
                          const char* what) {
  for (std::int64_t i = 0; i < call.attributes.size; ++i) {
    const xla::Text& its = *call.attributes.names[i];
    if (std::string_view(its.data, its.size) != name) continue;
    if (call.attributes.types[i] != type) fail(std::string(name) + " is no " + what);
    return *static_cast<const Value*>(call.attributes.values[i]);
  }
  fail("it has no attribute " + std::string(name));
}

double number_of(const xla::CallFrame& call, std::string_view name) {
  const auto& scalar = attribute_of<xla::Scalar>(call, name, xla::AttributeType::scalar, "float64");
  if (scalar.dtype != xla::DataType::f64) fail(std::string(name) + " is no float64");
  double number;
  std::memcpy(&number, scalar.value, sizeof(number));
  return number;
}

std::string_view text_of(const xla::CallFrame& call, std::string_view name) {
  const auto& text = attribute_of<xla::Text>(call, name, xla::AttributeType::string, "string");
  return {text.data, text.size};
}

Shape shape_of(const xla::CallFrame& call, std::string_view name) {
  const auto& array = attribute_of<xla::Array>(call, name, xla::AttributeType::array, "array of int64");
  if (array.dtype != xla::DataType::s64) fail(std::string(name) + " is no array of int64");
  const auto* extents = static_cast<const std::int64_t*>(array.data);
  Shape shape(extents, extents + array.size);
  for (const std::int64_t extent : shape) {
    if (extent < 0) fail(std::string(name) + " has a negative extent");
  }
  return shape;
}

DType dtype_of(xla::DataType type) {
  const auto dtype = dtype_of_xla(type);
  if (!dtype) fail("its result has the data type " + std::to_string(static_cast<int>(type)));
  return *dtype;
}

const xla::Buffer& operand_of(const xla::CallFrame& call, int which, std::int64_t rank, xla::DataType type,
                              std::int64_t last) {
  const xla::Buffer& buffer = *call.operands.buffers[which];
  if (buffer.rank != rank) fail("an operand has " + std::to_string(buffer.rank) + " dimensions");
  if (buffer.dtype != type || buffer.dims[rank - 1] != last) fail("an operand has other elements");
  return buffer;
}

Initializer initializer_of(const xla::CallFrame& call) {
  const std::string_view distribution = text_of(call, "distribution");
  if (distribution == "uniform") return RandomUniform(number_of(call, "minval"), number_of(call, "maxval"), 0);
  if (distribution == "normal") return RandomNormal(number_of(call, "mean"), number_of(call, "stddev"), 0);
  if (distribution == "truncated_normal") {
    return TruncatedNormal(number_of(call, "mean"), number_of(call, "stddev"), 0, number_of(call, "lower"),
                           number_of(call, "upper"));
  }
  if (distribution == "orthogonal") return Orthogonal(number_of(call, "gain"), 0);
  constexpr std::string_view formula = "formula: ";  // of complex numbers
  if (distribution.substr(0, formula.size()) == formula) {
    return Formula(distribution.substr(formula.size()), {{"scale", number_of(call, "scale")}}, 0);
  }
  fail("distribution is \"" + std::string(distribution) + "\"");
}

// Asks Linux for large pages: XLA's new memory has no pages yet, and 512 times fewer large ones must be allocated and
// cleared.
void ask_for_large_pages([[maybe_unused]] void* address, [[maybe_unused]] std::size_t bytes) {
#ifdef __linux__
  constexpr std::size_t page = 4096;
  if (bytes < std::size_t{4} << 20) return;
  const std::size_t before = (page - reinterpret_cast<std::uintptr_t>(address) % page) % page;
  madvise(static_cast<unsigned char*>(address) + before, (bytes - before) / page * page, MADV_HUGEPAGE);
#endif
}

// The first operand, uint32[..., 4], holds the seed and the subsequence of each tensor, low words first. The attributes
// shape and parts are the shape of a tensor and the number of parts of each of its dimensions. The second operand,
// int32[rank], is the number of the part in each dimension. The result is that block of every tensor, with zeros where
// it reaches beyond the tensor.
struct Call {
  Initializer initializer;
  Shape shape;
  Shape parts;
  Shape extent;  // of a block
  std::size_t tensors;
  DType dtype;
  const xla::Buffer& seeds;
  const xla::Buffer& number;
  void* result;

  std::size_t count() const { return element_count(extent); }
  std::size_t bytes() const { return tensors * count() * size_of(dtype); }
};

Call call_of(const xla::CallFrame& frame) {
  if (frame.operands.size != 2 || frame.results.size != 1) fail("it has other operands or results");
  const Shape shape = shape_of(frame, "shape");
  const auto rank = static_cast<std::int64_t>(shape.size());
  const xla::Buffer& result = *frame.results.buffers[0];
  const std::int64_t batch_rank = result.rank - rank;
  if (batch_rank < 0) fail("its result has fewer dimensions than a tensor");
  const Shape parts = shape_of(frame, "parts");
  const Shape extent(result.dims + batch_rank, result.dims + result.rank);
  if (parts.size() != shape.size()) fail("its parts are not those of a tensor");
  for (std::size_t axis = 0; axis < shape.size(); ++axis) {
    if (parts[axis] < 1 || extent[axis] != shape[axis] / parts[axis] + (shape[axis] % parts[axis] != 0 ? 1 : 0)) {
      fail("its result is not a part of a tensor");
    }
  }
  const xla::Buffer& seeds = operand_of(frame, 0, batch_rank + 1, xla::DataType::u32, 4);
  const xla::Buffer& number = operand_of(frame, 1, 1, xla::DataType::s32, rank);
  std::size_t tensors = 1;
  for (std::int64_t axis = 0; axis < batch_rank; ++axis) {
    if (seeds.dims[axis] != result.dims[axis]) fail("there is not one seed for each tensor");
    tensors *= static_cast<std::size_t>(result.dims[axis]);
  }
  return {initializer_of(frame), shape, parts, extent, tensors, dtype_of(result.dtype), seeds, number, result.data};
}

// The part of the block that lies in the tensor. The last blocks of a dimension of uneven parts reach beyond it.
Block part_within(const Call& call, const std::int32_t* number) {
  Block part;
  for (std::size_t axis = 0; axis < call.shape.size(); ++axis) {
    const std::int64_t whole = call.shape[axis];
    const std::int64_t extent = call.extent[axis];
    if (number[axis] < 0) fail("a block's number is negative");
    const bool within = extent > 0 && number[axis] <= whole / extent;
    part.offset.push_back(within ? number[axis] * extent : whole);
    part.extent.push_back(std::min(whole - part.offset[axis], extent));
  }
  return part;
}

xla::Error* fill_on_host(const xla::CallFrame& frame) {
  const Call call = call_of(frame);
  ask_for_large_pages(call.result, call.bytes());
  TensorOptions options;
  options.block = part_within(call, static_cast<const std::int32_t*>(call.number.data));
  const bool whole = options.block.extent == call.extent;
  if (!whole) std::memset(call.result, 0, call.bytes());
  if (element_count(options.block.extent) == 0) return nullptr;
  const std::size_t bytes = call.count() * size_of(call.dtype);
  const auto* words = static_cast<const std::uint32_t*>(call.seeds.data);
  auto* address = static_cast<unsigned char*>(call.result);
  for (std::size_t i = 0; i < call.tensors; ++i, words += 4, address += bytes) {
    const Initializer seeded = call.initializer.with_seed(words[0] | std::uint64_t{words[1]} << 32);
    options.subsequence = words[2] | std::uint64_t{words[3]} << 32;
    if (whole) {
      seeded.fill({address, call.dtype, bytes, host}, call.shape, options);
    } else {
      fill_strided(address, options.block.extent, dense_strides(call.extent, size_of(call.dtype)),
                   seeded.params(call.shape, call.dtype, options));
    }
  }
  return nullptr;
}

xla::Error* fill_on_device(const xla::CallFrame& frame) {
  const Call call = call_of(frame);
  if (call.bytes() == 0) return nullptr;  // its address belongs to no device
  xla::StreamGetArguments asked{sizeof(xla::StreamGetArguments), nullptr, frame.context, nullptr};
  if (xla::Error* error = frame.api->get_stream(&asked)) return error;
  const Device device = device_of(call.result);
  if (device.is_host()) {
    const Availability there = available();
    if (there.cuda_devices == 0) throw DeviceError("Cannot fill an array on a CUDA device: " + there.reason);
    fail("its result is not in a device's memory");
  }
  const DeviceBlocks blocks{call.shape, call.parts, call.tensors, static_cast<const std::uint32_t*>(call.seeds.data),
                            static_cast<const std::int32_t*>(call.number.data)};
  fill({call.result, call.dtype, call.bytes(), device}, call.initializer.params(call.shape, call.dtype), blocks,
       static_cast<CudaStream>(asked.stream));
  return nullptr;
}

xla::Error* error_of(const xla::Api& api, int code, const char* message) {
  xla::ErrorCreateArguments arguments{sizeof(xla::ErrorCreateArguments), nullptr, message, code};
  return api.create_error(&arguments);
}

xla::Error* handle(xla::CallFrame* call, xla::Error* (*fill)(const xla::CallFrame&)) {
  for (xla::Extension* extension = call->extensions; extension != nullptr; extension = extension->next) {
    if (extension->type == xla::ExtensionType::metadata) {
      xla::Metadata& metadata = *reinterpret_cast<xla::MetadataExtension*>(extension)->metadata;
      metadata.version.major = xla::major_version;
      metadata.version.minor = xla::minor_version;
      metadata.traits = 0;
      return nullptr;
    }
  }
  try {
    return call->stage == xla::Stage::execute ? fill(*call) : nullptr;
  } catch (const InvalidArgument& error) {
    return error_of(*call->api, xla::error_invalid_argument, error.what());
  } catch (const DeviceError& error) {
    return error_of(*call->api, xla::error_failed_precondition, error.what());
  } catch (const std::bad_alloc&) {
    return error_of(*call->api, xla::error_resource_exhausted, "There is not enough memory");
  } catch (const std::exception& error) {
    return error_of(*call->api, xla::error_internal, error.what());
  }
}

extern "C" xla::Error* fanin_xla_fill_cpu(xla::CallFrame* call) { return handle(call, fill_on_host); }
extern "C" xla::Error* fanin_xla_fill_cuda(xla::CallFrame* call) { return handle(call, fill_on_device); }

}  // namespace

void bind_xla(nb::module_& m) {
  m.def(
      "_xla_fill_cpu", [] { return nb::capsule(reinterpret_cast<void*>(&fanin_xla_fill_cpu)); },
      "The handler of the custom call of fanin.jax, for host memory.");
  m.def(
      "_xla_fill_cuda", [] { return nb::capsule(reinterpret_cast<void*>(&fanin_xla_fill_cuda)); },
      "The handler of the custom call of fanin.jax, for the memory of a CUDA device.");
}

}  // namespace fanin::python
