# SPDX-License-Identifier: Apache-2.0
"""The random initializers of jax.nn.initializers with fanin's values.

    kernel_init = fanin.jax.he_normal()
    w = kernel_init(jax.random.key(42), (512, 2048))  # the bits of fanin.draw("he_normal", (512, 2048), seed=42)

The functions have the names, arguments and defaults of jax.nn.initializers. A fill is a custom call of XLA's: jax.jit compiles
it, jax.vmap batches it over keys, and of a sharded array each device fills its own part in place. docs/jax.md has examples.
"""
from __future__ import annotations

import functools
import math
import operator
import typing
from collections.abc import Callable, Sequence
from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental.custom_partitioning import custom_partitioning
from jax.nn.initializers import Initializer, constant, ones, zeros
from jax.nn.initializers import normal as _normal_of_jax
from jax.nn.initializers import variance_scaling as _variance_scaling_of_jax
from jax.sharding import NamedSharding, PartitionSpec

from . import _core

_TARGET = "fanin_fill"
_DTYPES = ("float32", "float64", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2")
_CLASSES = {"uniform": _core.RandomUniform, "normal": _core.RandomNormal, "truncated_normal": _core.TruncatedNormal}

jax.ffi.register_ffi_target(_TARGET, _core.xla_fill_cpu(), platform="cpu")
jax.ffi.register_ffi_target(_TARGET, _core.xla_fill_cuda(), platform="CUDA")


class Tensor(typing.NamedTuple):
    """All that a fill follows from but the seed and the subsequence."""

    shape: tuple[int, ...]
    dtype: str
    distribution: str  # one of _CLASSES
    numbers: tuple[tuple[str, float], ...]  # the class's arguments, by their names


def _call(tensor: Tensor, parts: tuple[int, ...], streams: jax.Array, place: jax.Array) -> jax.Array:
    """The custom call: of each stream's tensor, cut into so many parts along each dimension, the block number `place`."""
    extent = tuple(-(-n // k) for n, k in zip(tensor.shape, parts))  # as XLA has it: the last parts are padded to it
    result = jax.ShapeDtypeStruct((*streams.shape[:-1], *extent), tensor.dtype)
    numbers = {name: np.float64(value) for name, value in tensor.numbers}
    return jax.ffi.ffi_call(_TARGET, result)(streams, place, shape=np.array(tensor.shape, np.int64),
                                             parts=np.array(parts, np.int64), distribution=tensor.distribution, **numbers)


def _whole(tensor: Tensor, streams: jax.Array) -> jax.Array:
    rank = len(tensor.shape)
    return _call(tensor, (1,) * rank, streams, jnp.zeros(rank, jnp.int32))


# Until it is partitioned, a program shows of this nothing but its operands' and result's types. So that JAX's compilation cache
# tells programs apart that differ in the tensor's other fields, those are an operand, which nobody reads.
@functools.partial(custom_partitioning, static_argnums=(0,))
def _partitioned(tensor: Tensor, streams: jax.Array, text: jax.Array) -> jax.Array:
    return _whole(tensor, streams)


def _blocks(sharding: jax.sharding.Sharding, rank: int) -> tuple[list[jax.Device], tuple[int, ...], np.ndarray]:
    """The devices of the partitions, into how many parts each dimension is cut, and the numbers of every partition's part."""
    count = len(sharding.device_set)  # is divided by every number of parts
    indices = sharding.devices_indices_map((count,) * rank)
    begin, end = (np.array([[part.indices(count)[k] for part in index] for index in indices.values()], np.int32)
                  .reshape(count, rank) for k in (0, 1))
    return list(indices), tuple((count // (end - begin)[0]).tolist()), begin // (end - begin)


def _partition(tensor: Tensor, mesh, operands, result):
    """What each device does, for the sharding that the partitioner wants of the result."""
    batch = len(result.shape) - len(tensor.shape)
    streams, _ = operands
    devices, parts, numbers = _blocks(result.sharding, len(result.shape))
    tensors = tuple(-(-n // k) for n, k in zip(result.shape[:batch], parts))  # that each device has parts of
    streams_sharding = streams.sharding
    # Whether each device has the streams of the tensors that it has parts of.
    together = np.array_equal(_blocks(streams_sharding, batch + 1)[2], np.pad(numbers[:, :batch], ((0, 0), (0, 1))))
    # A mesh of one axis has a name for what XLA calls the partition.
    partitions = jax.sharding.Mesh(np.array(devices), "partition")
    everywhere = NamedSharding(partitions, PartitionSpec())
    if not together:
        streams_sharding = everywhere

    def fill(streams, text):
        place = jnp.array(numbers)[jax.lax.axis_index("partition")]
        if not together:
            padding = [(0, n * k - m) for n, k, m in zip(tensors, parts, streams.shape)]
            first = place[:batch] * np.array(tensors, np.int32)
            streams = jax.lax.dynamic_slice(jnp.pad(streams, [*padding, (0, 0)]), [*first, 0], (*tensors, 4))
        return _call(tensor, parts[batch:], streams, place[batch:])

    return partitions, fill, result.sharding, (streams_sharding, everywhere)


def _infer_sharding(tensor: Tensor, mesh, operands, result):
    return NamedSharding(mesh, PartitionSpec(*operands[0].sharding.spec[:len(result.shape) - len(tensor.shape)]))


def _sharding_rule(tensor: Tensor, mesh, operands, results):
    dimensions = [f"d{i}" for i in range(results[0].rank)]
    batch = dimensions[:len(dimensions) - len(tensor.shape)]
    return f"{' '.join(batch)} words, text -> {' '.join(dimensions)}", {"need_replication_factors": ("words", "text")}


_partitioned.def_partition(_partition, infer_sharding_from_operands=_infer_sharding, sharding_rule=_sharding_rule)


def _batch(tensor: Tensor, streams: jax.Array) -> jax.Array:
    """Of shape streams.shape[:-1] + tensor.shape."""
    function = functools.partial(_partitioned, tensor, text=np.frombuffer(repr(tensor).encode(), np.uint8))
    if jax.sharding.get_abstract_mesh().manual_axes:
        # Within jax.shard_map it is the local array that is filled, and the partitioner has no say.
        function = functools.partial(_whole, tensor)
    batch = jax.typeof(streams).sharding.spec[:-1]
    if any(batch):  # along a mesh's axes of type Explicit, which the result has too
        function = jax.sharding.auto_axes(function, out_sharding=PartitionSpec(*batch, *[None] * len(tensor.shape)))
    fill = jax.custom_batching.custom_vmap(lambda streams: function(streams))
    fill.def_vmap(lambda size, batched, streams: (_batch(tensor, streams), True))
    return fill(streams)


@functools.partial(jax.jit, static_argnums=0)
def fill(tensor: Tensor, stream: jax.Array) -> jax.Array:
    """The tensor. Its stream is the seed and the subsequence, four words of 32 bits, low ones first."""
    return _batch(tensor, stream)


def stream_of(seed: int | jax.Array, subsequence: int | jax.Array) -> jax.Array | np.ndarray:
    """The words of the two numbers: integers up to 2**64 - 1, or scalar arrays of uint32."""
    if isinstance(seed, int) and isinstance(subsequence, int):
        return np.array([number >> shift & 0xFFFFFFFF for number in (seed, subsequence) for shift in (0, 32)], np.uint32)
    return jnp.stack([seed, jnp.zeros_like(seed), subsequence, jnp.zeros_like(seed)])


def _stream_of_key(key: jax.Array) -> jax.Array:
    """Raises TypeError and ValueError for what is no key."""
    words = jax.random.key_data(key)
    if words.ndim != 1:
        raise ValueError(f"An initializer takes one key: use jax.vmap for more. Received: keys of shape {jnp.shape(key)}")
    if words.size not in (2, 4) or words.dtype != jnp.uint32:
        raise ValueError(f"A key must have two or four words of 32 bits. Received: {words.size} of {words.dtype}")
    seed = words[:2]
    subsequence = words[2:] ^ seed if words.size == 4 else jnp.zeros(2, jnp.uint32)
    return jnp.concatenate([seed[::-1], subsequence[::-1]])


@functools.partial(jax.jit, static_argnums=0)
def _fill_by_key(tensor: Tensor, key: jax.Array) -> jax.Array:
    if jax.config.jax_debug_key_reuse:
        jax.random.bits(key, ())  # for the checker, which does not know that a fill uses the key up
    return fill(tensor, _stream_of_key(key))


@functools.lru_cache(maxsize=1024)  # what is compiled belongs to the function
def _sharded_fill(tensor: Tensor, sharding: NamedSharding | PartitionSpec, explicit: bool) -> Callable[[jax.Array], jax.Array]:
    unsharded = functools.partial(_fill_by_key, tensor)
    if explicit:
        return jax.jit(jax.sharding.auto_axes(unsharded, out_sharding=sharding))
    return jax.jit(unsharded, out_shardings=sharding)


def tensor_of(initializer: _core.Initializer, shape: tuple[int, ...], dtype: str) -> Tensor:
    """What a random initializer of the core draws, cut at two standard deviations if at all. Raises ValueError."""
    tensor = Tensor(shape, dtype, *_distribution_of(_core.describe(initializer, shape)))
    _check(tensor)
    return tensor


def _distribution_of(drawn: _core.Description) -> tuple[str, tuple[tuple[str, float], ...]]:
    """The last two fields of a Tensor."""
    if drawn.distribution == "uniform":
        return "uniform", tuple(zip(("minval", "maxval"), drawn.bounds))
    cut = (("lower", -2.0), ("upper", 2.0)) if drawn.distribution == "truncated_normal" else ()
    return drawn.distribution, (("mean", drawn.mean), ("stddev", drawn.untruncated_stddev), *cut)


@functools.lru_cache(maxsize=1024)
def _check(tensor: Tensor) -> None:
    """Raises ValueError for what the call would refuse when the program runs."""
    initializer = _CLASSES[tensor.distribution](seed=0, **dict(tensor.numbers))
    nothing = (0,) * len(tensor.shape)
    _core.draw(initializer, tensor.shape, tensor.dtype, offset=nothing, extent=nothing)


def is_supported() -> bool:
    """Whether the custom call works on JAX's default back end."""
    backend = jax.default_backend()
    return backend == "cpu" or backend == "gpu" and _core.available().cuda_devices > 0


def _dtype_of(dtype: typing.Any) -> str:
    """What JAX makes of it, None being its default. Raises TypeError, and ValueError if it is none that fanin has."""
    asked = np.dtype(float if dtype is None else dtype)
    name = jax.dtypes.canonicalize_dtype(asked).name
    if name != asked.name and dtype is not None:
        name = jnp.zeros((), dtype).dtype.name  # without 64 bits float64 is float32, with JAX's warning
    if name not in _DTYPES:
        raise ValueError(f"dtype must be one of {', '.join(_DTYPES)}. Received: dtype={name}")
    return name


def _initializer(distribution_of: Callable[[tuple[int, ...]], tuple], default: typing.Any,
                 of_jax: Initializer | None = None) -> Initializer:
    """The initializer whose tensor of a shape has, as its last two fields, what the function gives for it.

    Complex tensors, which fanin does not have, are those of JAX's initializer, if it has them.
    """

    def init(key: jax.Array, shape: Sequence[int], dtype: typing.Any = default,
             out_sharding: NamedSharding | PartitionSpec | None = None) -> jax.Array:
        """A new array of this shape.

        key            a key of JAX, typed or raw. Its first two words are the seed; of keys with four, the last two are the
                       subsequence, after an exclusive or with the first two. See fanin.jax.key.
        dtype          a floating-point dtype; None is JAX's default. Each holds the same draws, rounded once. A complex tensor
                       is drawn by JAX's initializer of that name, if it has any: its values are not fanin's.
        out_sharding   how the array is sharded: each device fills its own part, and none holds more.

        Raises ValueError for what is not allowed, TypeError, and IndexError for axes outside the shape.
        """
        if of_jax is not None and jnp.issubdtype(dtype, jnp.complexfloating):
            return of_jax(key, shape, dtype, out_sharding)
        shape = tuple(map(operator.index, shape if np.ndim(shape) else [shape]))
        if min(shape, default=0) < 0:
            raise ValueError(f"Extents must not be negative. Received: shape={shape}")
        tensor = Tensor(shape, _dtype_of(dtype), *distribution_of(shape))
        _check(tensor)
        if out_sharding is None:
            return _fill_by_key(tensor, key)
        if not isinstance(out_sharding, (NamedSharding, PartitionSpec)):
            raise TypeError("out_sharding must be a NamedSharding, a PartitionSpec or None. "
                            f"Received: out_sharding={out_sharding!r}")
        mesh = out_sharding.mesh if isinstance(out_sharding, NamedSharding) else jax.sharding.get_abstract_mesh()
        return _sharded_fill(tensor, out_sharding, bool(mesh.explicit_axes))(key)

    return init


def key(seed: int, name: str | None = None, *, subsequence: int | None = None) -> jax.Array:
    """The key with which an initializer draws what fanin.draw(..., seed=seed, name=name, subsequence=subsequence) does.

    Numbers are from 0 to 2**64 - 1. It is a key of JAX's implementation "rbg", which has room for both; jax.random takes it
    as any other. Raises ValueError and TypeError.
    """
    if name is not None and subsequence is not None:
        raise ValueError(f"Give name= or subsequence=, not both. Received: name={name!r}, subsequence={subsequence}")
    numbers = {"seed": operator.index(seed),
               "subsequence": operator.index(subsequence or 0) if name is None else _core.subsequence_of(name)}
    for what, number in numbers.items():
        if not 0 <= number < 2**64:
            raise ValueError(f"`{what}` must be from 0 to 2**64 - 1. Received: {what}={number}")
    words = [*divmod(numbers["seed"], 2**32), *divmod(numbers["seed"] ^ numbers["subsequence"], 2**32)]
    return jax.random.wrap_key_data(np.array(words, np.uint32), impl="rbg")


def _checked_scale(scale: float) -> float:
    if not 0 <= scale < math.inf:
        raise ValueError(f"scale must be positive and finite, or 0. Received: scale={scale}")
    return float(scale)


def uniform(scale: float = 1e-2, dtype: typing.Any = None) -> Initializer:
    """Uniform on [0, scale)."""
    return _initializer(lambda shape: ("uniform", (("minval", 0.0), ("maxval", _checked_scale(scale)))), dtype)


def normal(stddev: float = 1e-2, dtype: typing.Any = None) -> Initializer:
    """Normal, with mean 0."""
    drawn = "normal", (("mean", 0.0), ("stddev", float(stddev)))
    return _initializer(lambda shape: drawn, dtype, _normal_of_jax(stddev))


def truncated_normal(stddev: float = 1e-2, dtype: typing.Any = None, lower: float = -2.0, upper: float = 2.0) -> Initializer:
    """Normal with mean 0, cut by rejection at lower * stddev and upper * stddev, both included.

    stddev is that before the cut: nothing makes up for what the cut takes. Any window with lower < upper is allowed; for
    others calls raise ValueError.
    """
    numbers = (("mean", 0.0), ("stddev", float(stddev)), ("lower", float(lower)), ("upper", float(upper)))
    return _initializer(lambda shape: ("truncated_normal", numbers), dtype)


def variance_scaling(scale: float, mode: str, distribution: str, in_axis: int | Sequence[int] = -2,
                     out_axis: int | Sequence[int] = -1, batch_axis: int | Sequence[int] = (),
                     dtype: typing.Any = None) -> Initializer:
    """A distribution whose variance is scale / n, n being "fan_in", "fan_out", their mean "fan_avg" or "fan_geo_avg".

    distribution  "truncated_normal", cut at two standard deviations, with what remains having that variance; "normal";
                  "uniform", on [-sqrt(3 * scale / n), sqrt(3 * scale / n)).
    in_axis       the axes of the inputs,
    out_axis      of the outputs, and
    batch_axis    of what is neither: numbers or sequences of them, negative ones counting from the end. The fans are the
                  products of the inputs' and of the outputs' extents with those of the axes that are not named.

    As jax.nn.initializers.variance_scaling. Calls raise ValueError for what is not allowed.
    """

    def distribution_of(shape: tuple[int, ...]) -> tuple:
        variance = _checked_scale(scale) / _fan(shape, mode, in_axis, out_axis, batch_axis)
        if distribution not in _CLASSES:
            raise ValueError(f"distribution must be one of {', '.join(_CLASSES)}. Received: distribution={distribution!r}")
        if variance == 0:
            return "normal", (("mean", 0.0), ("stddev", 0.0))
        name = "untruncated_normal" if distribution == "normal" else distribution
        # The core's own arithmetic, so that the bits are those of its classes.
        return _distribution_of(_core.describe(_core.VarianceScaling(variance, "fan_in", name, 0), (1, 1)))

    of_jax = _variance_scaling_of_jax(scale, mode, distribution, in_axis, out_axis, batch_axis)
    return _initializer(distribution_of, dtype, of_jax)


def _fan(shape: tuple[int, ...], mode: str, in_axis: int | Sequence[int], out_axis: int | Sequence[int],
         batch_axis: int | Sequence[int]) -> float:
    """n of variance_scaling, as JAX has it."""
    if mode not in ("fan_in", "fan_out", "fan_avg", "fan_geo_avg"):
        raise ValueError(f"invalid mode for variance scaling initializer, must be fan_in, fan_out, fan_avg or fan_geo_avg: {mode}")
    if len(shape) < 2 and in_axis == -2:
        raise ValueError(f"Can't compute input and output sizes of a {len(shape)}-dimensional weights tensor with default in_axis. "
                         f"Must be at least 2D or specify in_axis explicitly. Received: shape={shape}")

    def size(axes: int | Sequence[int]) -> int:
        return math.prod(shape[axis] for axis in ((axes,) if isinstance(axes, int) else axes))

    inputs, outputs, batch = size(in_axis), size(out_axis), size(batch_axis)
    if 0 in shape:
        return 1.0  # nothing is drawn
    receptive_field = Fraction(math.prod(shape), inputs * outputs * batch)  # an axis may be among inputs and outputs
    fan_in, fan_out = inputs * receptive_field, outputs * receptive_field
    if mode == "fan_geo_avg":
        return math.sqrt(fan_in * fan_out)
    return float({"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[mode])


def glorot_normal(in_axis: int | Sequence[int] = -2, out_axis: int | Sequence[int] = -1,
                  batch_axis: int | Sequence[int] = (), dtype: typing.Any = None) -> Initializer:
    """variance_scaling of 1, fan_avg, truncated normal."""
    return variance_scaling(1.0, "fan_avg", "truncated_normal", in_axis, out_axis, batch_axis, dtype)


def glorot_uniform(in_axis: int | Sequence[int] = -2, out_axis: int | Sequence[int] = -1,
                   batch_axis: int | Sequence[int] = (), dtype: typing.Any = None) -> Initializer:
    """variance_scaling of 1, fan_avg, uniform."""
    return variance_scaling(1.0, "fan_avg", "uniform", in_axis, out_axis, batch_axis, dtype)


def he_normal(in_axis: int | Sequence[int] = -2, out_axis: int | Sequence[int] = -1,
              batch_axis: int | Sequence[int] = (), dtype: typing.Any = None) -> Initializer:
    """variance_scaling of 2, fan_in, truncated normal."""
    return variance_scaling(2.0, "fan_in", "truncated_normal", in_axis, out_axis, batch_axis, dtype)


def he_uniform(in_axis: int | Sequence[int] = -2, out_axis: int | Sequence[int] = -1,
               batch_axis: int | Sequence[int] = (), dtype: typing.Any = None) -> Initializer:
    """variance_scaling of 2, fan_in, uniform."""
    return variance_scaling(2.0, "fan_in", "uniform", in_axis, out_axis, batch_axis, dtype)


def lecun_normal(in_axis: int | Sequence[int] = -2, out_axis: int | Sequence[int] = -1,
                 batch_axis: int | Sequence[int] = (), dtype: typing.Any = None) -> Initializer:
    """variance_scaling of 1, fan_in, truncated normal."""
    return variance_scaling(1.0, "fan_in", "truncated_normal", in_axis, out_axis, batch_axis, dtype)


def lecun_uniform(in_axis: int | Sequence[int] = -2, out_axis: int | Sequence[int] = -1,
                  batch_axis: int | Sequence[int] = (), dtype: typing.Any = None) -> Initializer:
    """variance_scaling of 1, fan_in, uniform."""
    return variance_scaling(1.0, "fan_in", "uniform", in_axis, out_axis, batch_axis, dtype)


kaiming_normal = he_normal
kaiming_uniform = he_uniform
xavier_normal = glorot_normal
xavier_uniform = glorot_uniform

__all__ = ["Initializer", "constant", "glorot_normal", "glorot_uniform", "he_normal", "he_uniform", "kaiming_normal",
           "kaiming_uniform", "key", "lecun_normal", "lecun_uniform", "normal", "ones", "truncated_normal", "uniform",
           "variance_scaling", "xavier_normal", "xavier_uniform", "zeros"]
