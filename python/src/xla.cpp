// SPDX-License-Identifier: Apache-2.0
// The custom call behind fanin.jax: XLA hands over a result's memory, and what belongs there.
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
#include "fanin/error.h"
#include "fanin/initializers.h"
#include "strided.h"
#include "xla_ffi.h"

namespace fanin::python {

namespace {

// A call that fanin.jax does not make.
[[noreturn]] void fail(const std::string& what) { throw InvalidArgument("The call is not one of fanin.jax: " + what); }

struct Attribute {
  xla::AttributeType type;
  const void* value;
};

Attribute attribute_of(const xla::CallFrame& call, std::string_view name) {
  for (std::int64_t i = 0; i < call.attributes.size; ++i) {
    const xla::Text& its = *call.attributes.names[i];
    if (std::string_view(its.data, its.size) == name) return {call.attributes.types[i], call.attributes.values[i]};
  }
  fail("it has no attribute " + std::string(name));
}

double number_of(const xla::CallFrame& call, std::string_view name) {
  const Attribute attribute = attribute_of(call, name);
  const auto* scalar = static_cast<const xla::Scalar*>(attribute.value);
  if (attribute.type != xla::AttributeType::scalar || scalar->dtype != xla::DataType::f64) {
    fail(std::string(name) + " is no float64");
  }
  double number;
  std::memcpy(&number, scalar->value, sizeof(number));
  return number;
}

std::string_view text_of(const xla::CallFrame& call, std::string_view name) {
  const Attribute attribute = attribute_of(call, name);
  if (attribute.type != xla::AttributeType::string) fail(std::string(name) + " is no string");
  const auto* text = static_cast<const xla::Text*>(attribute.value);
  return {text->data, text->size};
}

Shape shape_of(const xla::CallFrame& call, std::string_view name) {
  const Attribute attribute = attribute_of(call, name);
  const auto* array = static_cast<const xla::Array*>(attribute.value);
  if (attribute.type != xla::AttributeType::array || array->dtype != xla::DataType::s64) {
    fail(std::string(name) + " is no array of int64");
  }
  const auto* extents = static_cast<const std::int64_t*>(array->data);
  return Shape(extents, extents + array->size);
}

DType dtype_of(xla::DataType type) {
  switch (type) {
    case xla::DataType::f32:
      return DType::float32;
    case xla::DataType::f64:
      return DType::float64;
    case xla::DataType::f16:
      return DType::float16;
    case xla::DataType::bf16:
      return DType::bfloat16;
    case xla::DataType::f8e4m3fn:
      return DType::float8_e4m3fn;
    case xla::DataType::f8e5m2:
      return DType::float8_e5m2;
    default:
      fail("its result has the data type " + std::to_string(static_cast<int>(type)));
  }
}

const xla::Buffer& buffer_of(const xla::Buffers& buffers, std::int64_t number, std::int64_t rank) {
  const xla::Buffer& buffer = *buffers.buffers[number];
  if (buffer.rank != rank) fail("a buffer has " + std::to_string(buffer.rank) + " dimensions");
  return buffer;
}

const std::uint32_t* words_of(const xla::Buffer& buffer, xla::DataType type, std::int64_t last) {
  if (buffer.dtype != type || buffer.dims[buffer.rank - 1] != last) fail("an operand has other elements");
  return static_cast<const std::uint32_t*>(buffer.data);
}

Initializer initializer_of(const xla::CallFrame& call) {
  const std::string_view distribution = text_of(call, "distribution");
  if (distribution == "uniform") return RandomUniform(number_of(call, "minval"), number_of(call, "maxval"), 0);
  if (distribution == "normal") return RandomNormal(number_of(call, "mean"), number_of(call, "stddev"), 0);
  if (distribution == "truncated_normal") {
    return TruncatedNormal(number_of(call, "mean"), number_of(call, "stddev"), 0, number_of(call, "lower"),
                           number_of(call, "upper"));
  }
  fail("its distribution is \"" + std::string(distribution) + "\"");
}

// XLA's new memory has no pages yet, and Linux gives large ones, of which there are 512 times fewer to be made and
// cleared, to who asks for them.
void ask_for_large_pages([[maybe_unused]] void* address, [[maybe_unused]] std::size_t bytes) {
#ifdef __linux__
  constexpr std::size_t page = 4096;
  if (bytes < std::size_t{4} << 20) return;
  const std::size_t before = (page - reinterpret_cast<std::uintptr_t>(address) % page) % page;
  madvise(static_cast<unsigned char*>(address) + before, (bytes - before) / page * page, MADV_HUGEPAGE);
#endif
}

// What of a block lies in the tensor. The last blocks of a dimension that is not cut evenly reach beyond it.
Shape part_within(const Shape& shape, const Block& block) {
  Shape part;
  for (std::size_t axis = 0; axis < shape.size(); ++axis) {
    part.push_back(std::clamp<std::int64_t>(shape[axis] - block.offset[axis], 0, block.extent[axis]));
  }
  return part;
}

// Operands: uint32[..., 4], the seed and the subsequence of each tensor, low words first; and int32[rank], which of the
// blocks that the tensors are cut into is wanted. The result is that block of every tensor, zeros being where it
// reaches beyond the tensor. Attribute shape is a whole tensor's.
void fill_on_host(const xla::CallFrame& call) {
  if (call.operands.size != 2 || call.results.size != 1) fail("it has other operands or results");
  const Shape shape = shape_of(call, "shape");
  const auto rank = static_cast<std::int64_t>(shape.size());
  const xla::Buffer& result = *call.results.buffers[0];
  const std::int64_t batch_rank = result.rank - rank;
  if (batch_rank < 0) fail("its result has fewer dimensions than a tensor");
  const xla::Buffer& streams = buffer_of(call.operands, 0, batch_rank + 1);
  const std::uint32_t* words = words_of(streams, xla::DataType::u32, 4);
  const std::uint32_t* place = words_of(buffer_of(call.operands, 1, 1), xla::DataType::s32, rank);
  std::int64_t tensors = 1;
  for (std::int64_t axis = 0; axis < batch_rank; ++axis) {
    if (streams.dims[axis] != result.dims[axis]) fail("there is not one stream for each tensor");
    tensors *= result.dims[axis];
  }

  FillOptions options;
  const Shape extent(result.dims + batch_rank, result.dims + result.rank);
  options.block.extent = extent;
  for (std::int64_t axis = 0; axis < rank; ++axis) {
    options.block.offset.push_back(std::min(place[axis] * extent[axis], shape[axis]));
  }
  options.block.extent = part_within(shape, options.block);
  const bool whole = options.block.extent == extent;
  const DType dtype = dtype_of(result.dtype);
  const std::size_t bytes = element_count(extent) * size_of(dtype);
  ask_for_large_pages(result.data, static_cast<std::size_t>(tensors) * bytes);
  if (!whole) std::memset(result.data, 0, static_cast<std::size_t>(tensors) * bytes);
  if (element_count(options.block.extent) == 0) return;
  const Initializer initializer = initializer_of(call);
  auto* address = static_cast<unsigned char*>(result.data);
  for (std::int64_t i = 0; i < tensors; ++i, words += 4, address += bytes) {
    const Initializer seeded = initializer.with_seed(words[0] | std::uint64_t{words[1]} << 32);
    options.subsequence = words[2] | std::uint64_t{words[3]} << 32;
    if (whole) {
      seeded.fill({address, dtype, bytes, host}, shape, options);
    } else {
      fill_strided(address, options.block.extent, dense_strides(extent, dtype), seeded.params(shape, dtype, options));
    }
  }
}

xla::Error* error_of(const xla::Api& api, int code, const char* message) {
  xla::ErrorCreateArguments arguments{sizeof(xla::ErrorCreateArguments), nullptr, message, code};
  return api.create_error(&arguments);
}

extern "C" xla::Error* fanin_xla_fill_cpu(xla::CallFrame* call) {
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
    if (call->stage == xla::Stage::execute) fill_on_host(*call);
    return nullptr;
  } catch (const InvalidArgument& error) {
    return error_of(*call->api, xla::error_invalid_argument, error.what());
  } catch (const std::bad_alloc&) {
    return error_of(*call->api, xla::error_resource_exhausted, "There is not enough memory");
  } catch (const std::exception& error) {
    return error_of(*call->api, xla::error_internal, error.what());
  }
}

}  // namespace

void bind_xla(nb::module_& m) {
  m.def(
      "xla_fill_cpu", [] { return nb::capsule(reinterpret_cast<void*>(&fanin_xla_fill_cpu)); },
      "The handler of XLA's custom call, for fanin.jax.");
}

}  // namespace fanin::python
