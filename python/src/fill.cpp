// SPDX-License-Identifier: Apache-2.0
#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "arguments.h"
#include "arrays.h"
#include "bindings.h"
#include "fanin/error.h"
#include "fanin/fill.h"
#include "fill.h"
#include "strided.h"

namespace fanin::python {

using namespace nanobind::literals;

namespace {

// output_scale= as a number, or as an array of one scale for each 32 or 16 elements of the last axis of what is
// written. Keeps the array.
class ScaleArgument {
 public:
  ScaleArgument(nb::handle object, const Shape& written) {
    if (object.is_none()) return;
    const bool is_scalar = nb::hasattr(object, "shape") && nb::len(nb::object(object.attr("shape"))) == 0;
    if (PyFloat_Check(object.ptr()) != 0 || PyLong_Check(object.ptr()) != 0 || is_scalar) {
      scale.number = nb::cast<double>(nb::float_(object));
      return;
    }
    if (nb::isinstance<nb::str>(object) || nb::isinstance<nb::bytes>(object)) refuse(object, "");
    array_ = source_of(object);
    const Shape& shape = array_->shape;
    for (const std::int64_t group : {32, 16}) {
      Shape wanted = written;
      if (!wanted.empty()) wanted.back() /= group;
      if (written.empty() || written.back() % group != 0 || shape != wanted) continue;
      if (!array_->device.is_host()) {
        throw InvalidArgument("The scales must be in host memory. Received: a " + type_name_of(object));
      }
      scale = {1, array_->address, array_->dtype, array_->count(), static_cast<std::uint32_t>(group)};
      return;
    }
    refuse(object, " of shape " + to_string(shape) + ", for values of shape " + to_string(written));
  }

  OutputScale scale;

 private:
  [[noreturn]] static void refuse(nb::handle object, const std::string& what) {
    throw InvalidArgument(
        "output_scale is a number, or an array of scales: one for each 32 elements (OCP MX) or 16 (NVFP4) of the last "
        "axis. Received: a " +
        type_name_of(object) + what);
  }

  std::optional<Array> array_;
};

Rounding rounding_from(nb::handle object) {
  if (nb::isinstance<nb::str>(object)) return parse_rounding(text_from(object));
  throw InvalidArgument("rounding is \"nearest\" or \"stochastic\". Received: rounding=" + shown(object));
}

nb::object fill_array(nb::object array, nb::handle init, nb::handle seed, nb::handle name, nb::handle subsequence,
                      nb::handle shape, nb::handle offset, nb::handle layout, nb::handle stream, int threads,
                      nb::handle device_seed, nb::handle output_scale, nb::handle rounding) {
  const InitializerArgument initializer(init, seed);
  const Array target = array_of(array, stream_from(stream));
  TensorOptions options = options_from(name, subsequence, layout, target.layout());
  const Shape whole = whole_shape(target, shape, offset, options);
  const ScaleArgument scale(output_scale, options.block.extent.empty() ? whole : target.shape);
  options.output_scale = scale.scale;
  options.rounding = rounding_from(rounding);
  if (target.whole && target.count() == 0) return array;  // this process holds nothing
  RunOptions run = interruptible(threads);
  run.stream = target.stream;
  run.device_seed = seed_address_of(device_seed);
  try {
    fill(target, *initializer, whole, options, run);
  } catch (const nb::python_error&) {  // a signal has ended it
    tell_of_change(target);
    throw;
  }
  tell_of_change(target);
  return array;
}

// The scales of OCP MX as a new array, one for each `group` elements of the last axis.
nb::object mx_scales(nb::handle values, nb::handle dtype, std::uint32_t group) {
  const Array from = source_of(values);
  if (from.dtype != DType::float32 || !from.device.is_host()) {
    throw InvalidArgument("mx_scales takes an array of float32 in host memory. Received: a " + type_name_of(values) +
                          " of " + std::string(name_of(from.dtype)) + " on " + to_string(from.device));
  }
  if (from.shape.empty() || group == 0 || from.shape.back() % group != 0) {
    throw InvalidArgument("The last axis must be a multiple of the group of a scale. Received: shape=" +
                          to_string(from.shape) + ", group=" + std::to_string(group));
  }
  Shape shape = from.shape;
  shape.back() /= group;
  nb::object scales = empty_numpy_array(shape, DType::float8_e8m0fnu);
  const Array to = array_of(scales, std::nullopt);
  fanin::mx_scales(static_cast<const float*>(from.address), from.count(), dtype_of(dtype),
                   static_cast<std::uint8_t*>(to.address), group);
  return scales;
}

// Small fills do not give up the GIL, which takes about as long as they do.
constexpr std::uint64_t small_count = 1024;

void fill_memory(std::uintptr_t address, std::size_t dtype, const nb::tuple& extents, const Initializer& initializer,
                 std::uintptr_t seed_address, nb::handle name, int threads) {
  const DType type = dtypes().at(dtype).dtype;
  Shape shape;
  for (const nb::handle extent : extents) shape.push_back(nb::cast<std::int64_t>(extent));
  const std::uint64_t count = element_count(shape);
  const View view{reinterpret_cast<void*>(address), type, count * size_of(type), host};
  FillParams params = initializer.params(shape, type, options_from(name, nb::none(), nb::none(), Layout::oihw));
  if (seed_address != 0) params.seed = *reinterpret_cast<const std::uint64_t*>(seed_address);
  if (count <= small_count) return fanin::fill(view, params, {nullptr, 1});
  const nb::gil_scoped_release release;
  fanin::fill(view, params, interruptible(threads));
}

}  // namespace

void handle_signals() {
  const nb::gil_scoped_acquire acquire;
  if (PyErr_CheckSignals() != 0) throw nb::python_error();
}

RunOptions interruptible(int threads) {
  RunOptions run;
  run.threads = threads;
  run.pause = handle_signals;
  return run;
}

Shape whole_shape(const Array& array, nb::handle shape, nb::handle offset, TensorOptions& options) {
  if (array.whole) {
    if (!shape.is_none() || !offset.is_none()) {
      throw InvalidArgument("A DTensor says itself which block of the tensor it holds. Give no shape= and no offset=");
    }
    if (array.offset) options.block = {*array.offset, array.shape};
    return *array.whole;
  }
  if (shape.is_none()) {
    if (!offset.is_none()) {
      throw InvalidArgument("offset= is the position of the array in a tensor: give the tensor's shape= too");
    }
    return array.shape;
  }
  Shape whole = extents_from(shape, "shape");
  if (!offset.is_none()) {
    options.block = {extents_from(offset, "offset"), array.shape};
  } else if (element_count(whole) != array.count()) {
    throw InvalidArgument(
        "The array must have as many elements as the tensor, or lie in it at an offset=. Received: an "
        "array of shape " +
        to_string(array.shape) + " for a tensor of shape=" + to_string(whole));
  }
  return whole;
}

void fill(const Array& array, const Initializer& initializer, const Shape& shape, const TensorOptions& options,
          const RunOptions& run) {
  if (array.is_dense()) {
    const nb::gil_scoped_release release;
    return initializer.fill(array.view(), shape, options, run);
  }
  const std::string received =
      "Received: shape=" + to_string(array.shape) + ", strides in bytes " + to_string(array.strides);
  if (!array.device.is_host()) {
    throw InvalidArgument("Arrays on a device must be dense and row-major. " + received +
                          ". Fill a dense one and copy it, or fill the array that the view is of");
  }
  // The library would refuse these too, but only after the fill has counted as a call of a sequence.
  if (run.threads < 0) throw InvalidArgument("threads=" + std::to_string(run.threads) + " must not be negative");
  if (run.device_seed != nullptr) throw InvalidArgument("A seed in device memory is for fills of device memory");
  if (array.is_packed) {
    throw InvalidArgument("Packed arrays must be dense and row-major. " + received);
  }
  check_no_overlap(array.shape, array.strides, array.item_size());
  const nb::gil_scoped_release release;
  fill_strided(array.address, array.shape, array.strides, initializer.params(shape, array.dtype, options),
               handle_signals);
}

nb::object draw(nb::handle init, nb::handle shape, nb::handle dtype, nb::handle seed, nb::handle name,
                nb::handle subsequence, nb::handle offset, nb::handle extent, nb::handle layout, int threads,
                nb::handle output_scale, nb::handle rounding) {
  const InitializerArgument initializer(init, seed);
  TensorOptions options = options_from(name, subsequence, layout, std::nullopt);
  const Shape whole = extents_from(shape, "shape");
  if (offset.is_none() != extent.is_none()) {
    throw InvalidArgument(
        "A part of a tensor has an offset and an extent (Keras: partition_offset and partition_shape): "
        "give both or neither");
  }
  if (!offset.is_none()) options.block = {extents_from(offset, "offset"), extents_from(extent, "extent")};
  const Shape written = offset.is_none() ? whole : options.block.extent;
  const ScaleArgument scale(output_scale, written);
  options.output_scale = scale.scale;
  options.rounding = rounding_from(rounding);
  const nb::object array = empty_numpy_array(written, dtype_of(dtype));
  fill(array_of(array, std::nullopt), *initializer, whole, options, interruptible(threads));
  return array;
}

void bind_fill(nb::module_& m) {
  m.def("fill", &fill_array, "array"_a, "init"_a, nb::kw_only(), "seed"_a = nb::none(), "name"_a = nb::none(),
        "subsequence"_a = nb::none(), "shape"_a = nb::none(), "offset"_a = nb::none(), "layout"_a = nb::none(),
        "stream"_a = nb::none(), "threads"_a = 0, "device_seed"_a = nb::none(), "output_scale"_a = nb::none(),
        "rounding"_a = "nearest",
        nb::sig("def fill(array: ArrayT, init: InitializerLike, *, seed: SeedLike = None, name: str | None = None, "
                "subsequence: int | None = None, shape: int | Sequence[int] | None = None, "
                "offset: int | Sequence[int] | None = None, layout: str | None = None, stream: object = None, "
                "threads: int = 0, device_seed: object = None, output_scale: object = None, "
                "rounding: str = 'nearest') -> ArrayT"),
        R"(Fills an array in place and returns it.

array is an array of NumPy, PyTorch, CuPy or another library with the buffer protocol, __cuda_array_interface__ or DLPack,
of float32, float64, float16, bfloat16, float8_e4m3fn, float8_e5m2, or another dtype of low precision: float8_e4m3fnuz,
float8_e5m2fnuz, float6_e2m3fn, float6_e3m2fn and float4_e2m1fn, with an element of 4 or 6 bits in a byte of its own, and
PyTorch's float4_e2m1fn_x2 with two elements in a byte. A host array may have any strides; if it is not dense, one thread
fills it. A device array must be dense and row-major. Of a DTensor of PyTorch this process's block is filled.

init is an Initializer, a name such as "he_normal" or "torch:kaiming_normal", or a configuration as a dictionary.

seed         replaces the initializer's seed: an integer in [0, 2**64) or a Seed. A name without a seed draws one that cannot
             be read. To get the values again, give a seed or make an initializer.
name         the tensor's name. Its hash is the subsequence, so that each parameter of a model has its own draws.
subsequence  the subsequence as an integer in [0, 2**64), instead of a name. The default is 0: two tensors that are filled
             with one seed and without a name get the same draws.
shape        the shape of the whole tensor, if the array is a block of it, or has another shape with as many elements.
offset       the index of the array's first element in the whole tensor, if the array is a block. The values are the slice
             of the whole tensor, and the scale follows from the whole tensor's fans.
layout       the order of the axes: "hwio" for (..., in, out), as Keras and JAX have it, or "oihw" for (out, in, ...), as
             PyTorch has it. The default is "oihw" for a tensor of PyTorch, else that of the framework whose name for the
             initializer was used ("torch:kaiming_normal": "oihw"), else "hwio".
stream       the CUDA stream for a device array: its address, or a stream object of PyTorch, CuPy or a library with
             __cuda_stream__. The default is the current stream of the array's library.
threads      the maximum number of threads for host memory. 0 means all CPUs that the process may use. It does not change
             the values.
device_seed  a seed in the memory of the array's device, which replaces the initializer's seed: its address, or a CUDA array
             of one uint64 or int64. The fill reads it when the stream reaches the fill, and it must exist until then.
output_scale what values are divided by before they are rounded to the dtype: a positive number, or an array of scales in
             host memory, one for each 32 elements (OCP MX) or 16 (NVFP4) of the array's last axis; see mx_scales.
rounding     "nearest" or, for random values and dtypes narrower than float32, "stochastic".

Host memory is filled when the call returns. Device memory is filled asynchronously on the stream. Releases the GIL. In the
main thread a signal whose handler raises, such as Ctrl-C, ends a fill of host memory: the first elements then have their new
values, the others their old ones. Of an object that gives its memory's address itself, shape, strides and device are checked,
but whether the memory is there is not.

Before anything is written, raises ValueError for values that are not allowed, TypeError for wrong types, and DeviceError for
a device that does not exist.)");
  m.def(
      "draw", &draw, "init"_a, "shape"_a, "dtype"_a = nb::none(), nb::kw_only(), "seed"_a = nb::none(),
      "name"_a = nb::none(), "subsequence"_a = nb::none(), "offset"_a = nb::none(), "extent"_a = nb::none(),
      "layout"_a = nb::none(), "threads"_a = 0, "output_scale"_a = nb::none(), "rounding"_a = "nearest",
      nb::sig(
          "def draw(init: InitializerLike, shape: int | Sequence[int], dtype: object = None, *, seed: SeedLike = None, "
          "name: str | None = None, subsequence: int | None = None, offset: int | Sequence[int] | None = None, "
          "extent: int | Sequence[int] | None = None, layout: str | None = None, threads: int = 0, "
          "output_scale: object = None, rounding: str = 'nearest') -> numpy.ndarray"),
      R"(Returns a new NumPy array: the tensor of this shape, or the block of it with the given offset and extent.

dtype is a name, or a dtype of NumPy, ml_dtypes, PyTorch, JAX or TensorFlow, or what NumPy takes for one, such as "f4" or
float; None is float32. All but float16, float32 and
float64 need the package ml_dtypes, whose arrays have each element of 4 or 6 bits in a byte of its own. The other arguments
are those of fill. Raises ValueError, TypeError, ImportError and MemoryError.)");
  m.def("mx_scales", &mx_scales, "values"_a, "dtype"_a, nb::kw_only(), "group"_a = 32,
        nb::sig("def mx_scales(values: object, dtype: object, *, group: int = 32) -> numpy.ndarray"),
        R"(Returns the scales of the OCP MX formats (version 1.0, section 6.3) for an array of float32 in host memory.

The result is an array of ml_dtypes.float8_e8m0fnu, one power of two for each `group` (32 or 16) values of the last axis:
floor(log2(largest magnitude)) - floor(log2(largest value of dtype)), where dtype is that of the elements, such as
"float4_e2m1fn". Raises ValueError for values that are not finite and for other shapes, TypeError and ImportError.)");
  m.def("_fill_memory", &fill_memory, "address"_a, "dtype"_a, "shape"_a, "init"_a, "seed_address"_a, "name"_a.none(),
        "threads"_a,
        "fill of a whole tensor of PyTorch's layout in dense host memory that the caller keeps, with few checks. dtype "
        "is\n"
        "its place in _dtypes; if seed_address is not 0, the seed is the 64 bits there. For fanin.torch.");
}

}  // namespace fanin::python
