// SPDX-License-Identifier: Apache-2.0
#include <nanobind/nanobind.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>

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

nb::object fill_clamped(nb::object array, nb::handle init, const std::optional<Limits>& limits, nb::handle seed,
                        nb::handle name, nb::handle subsequence, nb::handle shape, nb::handle offset, nb::handle layout,
                        nb::handle stream, int threads, nb::handle device_seed) {
  const InitializerArgument initializer(init, seed);
  const Array target = array_of(array, stream_from(stream));
  TensorOptions options = options_from(name, subsequence, layout, target.layout());
  const Shape whole = whole_shape(target, shape, offset, options);
  if (target.whole && target.count() == 0) return array;  // this process holds nothing
  const RunOptions run{target.stream, threads, CpuTarget::automatic, seed_address_of(device_seed)};
  fill(target, *initializer, whole, options, run, limits);
  tell_of_change(target);
  return array;
}

nb::object fill_array(nb::object array, nb::handle init, nb::handle seed, nb::handle name, nb::handle subsequence,
                      nb::handle shape, nb::handle offset, nb::handle layout, nb::handle stream, int threads,
                      nb::handle device_seed) {
  return fill_clamped(std::move(array), init, {}, seed, name, subsequence, shape, offset, layout, stream, threads,
                      device_seed);
}

FillParams params_of(const Initializer& initializer, const Shape& shape, DType dtype, const TensorOptions& options,
                     const std::optional<Limits>& limits);

// Small fills do not give up the GIL, which takes about as long as they do.
constexpr std::uint64_t small_count = 1024;

void fill_memory(std::uintptr_t address, std::size_t dtype, const nb::tuple& extents, const Initializer& initializer,
                 const std::optional<Limits>& limits, std::uintptr_t seed_address, nb::handle name, int threads) {
  const DType type = dtypes().at(dtype).dtype;
  Shape shape;
  for (const nb::handle extent : extents) shape.push_back(nb::cast<std::int64_t>(extent));
  const std::uint64_t count = element_count(shape);
  const View view{reinterpret_cast<void*>(address), type, count * size_of(type), host};
  const RunOptions run{nullptr, count > small_count ? threads : 1, CpuTarget::automatic, nullptr};
  FillParams params =
      params_of(initializer, shape, type, options_from(name, nb::none(), nb::none(), Layout::oihw), limits);
  if (seed_address != 0) params.seed = *reinterpret_cast<const std::uint64_t*>(seed_address);
  std::optional<nb::gil_scoped_release> release;
  if (count > small_count) release.emplace();
  fanin::fill(view, params, run);
}

FillParams params_of(const Initializer& initializer, const Shape& shape, DType dtype, const TensorOptions& options,
                     const std::optional<Limits>& limits) {
  if (!limits) return initializer.params(shape, dtype, options);
  // The parameters of all dtypes differ in the limits only. The compute type has numbers in every window.
  FillParams params = initializer.params(shape, dtype == DType::float64 ? dtype : DType::float32, options);
  if (params.kind != FillParams::Kind::normal || !(limits->first <= limits->second)) {
    throw InvalidArgument("limits= are those of a truncated normal, (least, most)");
  }
  params.dtype = dtype;
  params.min = limits->first == 0 ? -0.0 : limits->first;
  params.max = limits->second == 0 ? 0.0 : limits->second;
  params.clamped = true;
  return params;
}

}  // namespace

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
  Shape whole = shape_from(shape, "shape");
  if (!offset.is_none()) {
    options.block = {shape_from(offset, "offset"), array.shape};
  } else if (element_count(whole) != array.count()) {
    throw InvalidArgument(
        "The array must have as many elements as the tensor, or lie in it at an offset=. Received: an "
        "array of shape " +
        to_string(array.shape) + " for a tensor of shape=" + to_string(whole));
  }
  return whole;
}

void fill(const Array& array, const Initializer& initializer, const Shape& shape, const TensorOptions& options,
          const RunOptions& run, const std::optional<Limits>& limits) {
  if (array.is_dense()) {
    const nb::gil_scoped_release release;
    if (limits) {
      fanin::fill(array.view(), params_of(initializer, shape, array.dtype, options, limits), run);
    } else {
      initializer.fill(array.view(), shape, options, run);
    }
    return;
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
  check_no_overlap(array.shape, array.strides, size_of(array.dtype));
  const nb::gil_scoped_release release;
  fill_strided(array.address, array.shape, array.strides, params_of(initializer, shape, array.dtype, options, limits));
}

nb::object draw(nb::handle init, nb::handle shape, nb::handle dtype, nb::handle seed, nb::handle name,
                nb::handle subsequence, nb::handle offset, nb::handle extent, nb::handle layout, int threads) {
  const InitializerArgument initializer(init, seed);
  TensorOptions options = options_from(name, subsequence, layout, Layout::hwio);
  const Shape whole = shape_from(shape, "shape");
  if (offset.is_none() != extent.is_none()) {
    throw InvalidArgument(
        "A part of a tensor has an offset and an extent (Keras: partition_offset and partition_shape): "
        "give both or neither");
  }
  if (!offset.is_none()) options.block = {shape_from(offset, "offset"), shape_from(extent, "extent")};
  const nb::object array = empty_numpy_array(offset.is_none() ? whole : options.block.extent, dtype_of(dtype));
  fill(array_of(array, std::nullopt), *initializer, whole, options, {nullptr, threads});
  return array;
}

void bind_fill(nb::module_& m) {
  m.def("fill", &fill_array, "array"_a, "init"_a, nb::kw_only(), "seed"_a = nb::none(), "name"_a = nb::none(),
        "subsequence"_a = nb::none(), "shape"_a = nb::none(), "offset"_a = nb::none(), "layout"_a = nb::none(),
        "stream"_a = nb::none(), "threads"_a = 0, "device_seed"_a = nb::none(),
        nb::sig("def fill(array: ArrayT, init: InitializerLike, *, seed: SeedLike = None, name: str | None = None, "
                "subsequence: int | None = None, shape: Sequence[int] | None = None, "
                "offset: Sequence[int] | None = None, layout: str | None = None, stream: object = None, "
                "threads: int = 0, "
                "device_seed: object = None) -> ArrayT"),
        R"(Fills an array in place and returns it.

array is an array of NumPy, PyTorch, CuPy or another library with the buffer protocol, __cuda_array_interface__ or DLPack,
of float32, float64, float16, bfloat16, float8_e4m3fn or float8_e5m2. A host array may have any strides; if it is not dense,
one thread fills it. A device array must be dense and row-major. Of a DTensor of PyTorch this process's block is filled.

init is an Initializer, a name such as "he_normal", or a configuration of Keras's as a dictionary.

seed         replaces the initializer's seed: an integer in [0, 2**64) or a Seed. A name without a seed draws one that cannot
             be read. To get the values again, give a seed or make an initializer.
name         the tensor's name. Its hash is the subsequence, so that each parameter of a model has its own draws.
subsequence  the subsequence as an integer in [0, 2**64), instead of a name. The default is 0: two tensors that are filled
             with one seed and without a name get the same draws.
shape        the shape of the whole tensor, if the array is a block of it, or has another shape with as many elements.
offset       the index of the array's first element in the whole tensor, if the array is a block. The values are the slice
             of the whole tensor, and the scale follows from the whole tensor's fans.
layout       the order of the axes: "hwio" for (..., in, out), as Keras and JAX have it, or "oihw" for (out, in, ...), as
             PyTorch has it. The default is "oihw" for a tensor of PyTorch and "hwio" for other arrays.
stream       the CUDA stream for a device array: its address, or a stream object of PyTorch, CuPy or a library with
             __cuda_stream__. The default is the current stream of the array's library.
threads      the maximum number of threads for host memory. 0 means all CPUs that the process may use. It does not change
             the values.
device_seed  a seed in the memory of the array's device, which replaces the initializer's seed: its address, or a CUDA array
             of one uint64 or int64. The fill reads it when the stream reaches the fill, and it must exist until then.

Host memory is filled when the call returns. Device memory is filled asynchronously on the stream. Releases the GIL. Before
anything is written, raises ValueError for values that are not allowed, TypeError for wrong types, and DeviceError for a
device that does not exist.)");
  m.def("draw", &draw, "init"_a, "shape"_a, "dtype"_a = nb::none(), nb::kw_only(), "seed"_a = nb::none(),
        "name"_a = nb::none(), "subsequence"_a = nb::none(), "offset"_a = nb::none(), "extent"_a = nb::none(),
        "layout"_a = "hwio", "threads"_a = 0,
        nb::sig("def draw(init: InitializerLike, shape: Sequence[int], dtype: object = None, *, seed: SeedLike = None, "
                "name: str | None = None, subsequence: int | None = None, offset: Sequence[int] | None = None, "
                "extent: Sequence[int] | None = None, layout: str = 'hwio', threads: int = 0) -> numpy.ndarray"),
        R"(Returns a new NumPy array: the tensor of this shape, or the block of it with the given offset and extent.

dtype is a name, or a dtype of NumPy, ml_dtypes, PyTorch, JAX or TensorFlow; None is float32. bfloat16, float8_e4m3fn and
float8_e5m2 need the package ml_dtypes. The other arguments are those of fill. Raises ValueError, TypeError, ImportError and
MemoryError.)");
  m.def("_fill_memory", &fill_memory, "address"_a, "dtype"_a, "shape"_a, "init"_a, "limits"_a.none(), "seed_address"_a,
        "name"_a.none(), "threads"_a,
        "fill of a whole tensor of PyTorch's layout in dense host memory that the caller keeps, with few checks. dtype "
        "is\n"
        "its place in _dtypes; if seed_address is not 0, the seed is the 64 bits there; limits are those of\n"
        "_fill_clamped. For fanin.torch.");
  m.def(
      "_fill_clamped", &fill_clamped, "array"_a, "init"_a, "limits"_a.none(), nb::kw_only(), "seed"_a = nb::none(),
      "name"_a = nb::none(), "subsequence"_a = nb::none(), "shape"_a = nb::none(), "offset"_a = nb::none(),
      "layout"_a = nb::none(), "stream"_a = nb::none(), "threads"_a = 0, "device_seed"_a = nb::none(),
      "fill, except that the values of a truncated normal are clamped to limits, (least, most), numbers of the dtype,\n"
      "instead of the ends of its window. For fanin.torch.");
}

}  // namespace fanin::python
