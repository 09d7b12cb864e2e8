# SPDX-License-Identifier: Apache-2.0
"""The random initializers of jax.nn.initializers with fanin's values.

    kernel_init = fanin.jax.he_normal()
    w = kernel_init(jax.random.key(42), (512, 2048))  # the bits of fanin.draw("he_normal", (512, 2048), seed=42)

The functions have the names, arguments and defaults of jax.nn.initializers. A fill is a custom call of XLA: jax.jit compiles it,
jax.vmap batches it over keys, and each device of a sharded array fills its own part in place. docs/jax.md has examples.
"""
from __future__ import annotations

import functools
import math
import operator
import re
import typing
from collections.abc import Callable, Hashable, Sequence
from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental.custom_partitioning import custom_partitioning
from jax.nn.initializers import Initializer, constant, ones, zeros
from jax.nn.initializers import orthogonal as _orthogonal_of_jax
from jax.sharding import NamedSharding, PartitionSpec

from . import _core
from ._patterns import pattern_of
from ._seeds import number_of

_TARGET = "fanin_fill"
_CLASSES: dict[str, Callable[..., _core.Initializer]] = {
    "uniform": _core.RandomUniform, "normal": _core.RandomNormal, "truncated_normal": _core.TruncatedNormal,
    "orthogonal": _core.Orthogonal}

# Complex numbers in polar coordinates, of two uniform draws, as pairs of their parts along the last axis: docs/VALUES.md, section
# 7. The modulus is `scale` times the square root of 2 u[0], or of an exponential's draw below 4.
_DIRECTION = "if(i[-1] == 0, cos(2 * pi * u[1]), sin(2 * pi * u[1]))"
_DISK = f"scale * sqrt(2 * u[0]) * {_DIRECTION}"
_TRUNCATED_DISK = f"scale * sqrt(-log1p(expm1(-4) * u[0])) * {_DIRECTION}"
_FORMULAS = (_DISK, _TRUNCATED_DISK)

_DTYPES = _core._dtypes[:_core._dtypes.index("float8_e5m2fnuz") + 1]  # the XLA calls write no others
_SCALED = ("uniform", "normal", "truncated_normal")  # the distributions of variance_scaling

jax.ffi.register_ffi_target(_TARGET, _core._xla_fill_cpu(), platform="cpu")
jax.ffi.register_ffi_target(_TARGET, _core._xla_fill_cuda(), platform="CUDA")


class Tensor(typing.NamedTuple):
    """Everything that determines the values, except the seed and the subsequence."""

    shape: tuple[int, ...]
    dtype: str
    distribution: str  # one of _CLASSES or of _FORMULAS
    numbers: tuple[tuple[str, float], ...]  # names and values of the arguments of the class


def _call(tensor: Tensor, parts: tuple[int, ...], words: jax.Array, number: jax.Array) -> jax.Array:
    """The custom call: one block of each tensor, which is cut into so many parts along each dimension.

    words    uint32[..., 4], the words of each tensor's seed and subsequence
    number   int32[rank], which part of each dimension the block is
    """
    extent = tuple(-(-n // k) for n, k in zip(tensor.shape, parts))  # XLA pads the last parts to this size
    result = jax.ShapeDtypeStruct((*words.shape[:-1], *extent), tensor.dtype)
    numbers = {name: np.float64(value) for name, value in tensor.numbers}
    distribution = f"formula: {tensor.distribution}" if tensor.distribution in _FORMULAS else tensor.distribution
    return jax.ffi.ffi_call(_TARGET, result)(words, number, shape=np.array(tensor.shape, np.int64),
                                             parts=np.array(parts, np.int64), distribution=distribution, **numbers)


def _whole(tensor: Tensor, words: jax.Array) -> jax.Array:
    rank = len(tensor.shape)
    return _call(tensor, (1,) * rank, words, jnp.zeros(rank, jnp.int32))


# Before it is partitioned, a program contains only the types of the operands and of the result. JAX's compilation cache would
# take programs for equal that differ in other fields of the tensor, so these are an operand too, which nothing reads.
@functools.partial(custom_partitioning, static_argnums=(0,))
def _partitioned(tensor: Tensor, words: jax.Array, text: jax.Array) -> jax.Array:
    return _whole(tensor, words)


def _blocks(sharding: jax.sharding.Sharding, rank: int) -> tuple[list[jax.Device], tuple[int, ...], np.ndarray]:
    """The device of each partition, the number of parts of each dimension, and the number of the part in each partition."""
    count = len(sharding.device_set)  # a multiple of every number of parts
    indices = sharding.devices_indices_map((count,) * rank)
    begin, end = (np.array([[part.indices(count)[k] for part in index] for index in indices.values()], np.int32)
                  .reshape(count, rank) for k in (0, 1))
    return list(indices), tuple((count // (end - begin)[0]).tolist()), begin // (end - begin)


def _partition(tensor: Tensor, mesh: typing.Any, operands: typing.Any, result: typing.Any) -> tuple:
    """The program of each device, for the sharding of the result that the partitioner has chosen."""
    batch = len(result.shape) - len(tensor.shape)
    words, _ = operands
    devices, parts, numbers = _blocks(result.sharding, len(result.shape))
    tensors = tuple(-(-n // k) for n, k in zip(result.shape[:batch], parts))  # of which each device has parts
    # Whether each device has the words of the tensors of which it has parts. If not, every device gets all words.
    together = np.array_equal(_blocks(words.sharding, batch + 1)[2], np.pad(numbers[:, :batch], ((0, 0), (0, 1))))
    partitions = jax.sharding.Mesh(np.array(devices), "partition")  # one axis, whose index is XLA's partition number
    everywhere = NamedSharding(partitions, PartitionSpec())

    def fill(words: jax.Array, text: jax.Array) -> jax.Array:
        number = jnp.array(numbers)[jax.lax.axis_index("partition")]
        if not together:
            padding = [(0, n * k - m) for n, k, m in zip(tensors, parts, words.shape)]
            first = number[:batch] * np.array(tensors, np.int32)
            words = jax.lax.dynamic_slice(jnp.pad(words, [*padding, (0, 0)]), [*first, 0], (*tensors, 4))
        return _call(tensor, parts[batch:], words, number[batch:])

    return partitions, fill, result.sharding, (words.sharding if together else everywhere, everywhere)


def _infer_sharding(tensor: Tensor, mesh: typing.Any, operands: typing.Any, result: typing.Any) -> NamedSharding:
    return NamedSharding(mesh, PartitionSpec(*operands[0].sharding.spec[:len(result.shape) - len(tensor.shape)]))


def _sharding_rule(tensor: Tensor, mesh: typing.Any, operands: typing.Any, results: typing.Any) -> tuple:
    dimensions = [f"d{i}" for i in range(results[0].rank)]
    batch = dimensions[:len(dimensions) - len(tensor.shape)]
    return f"{' '.join(batch)} words, text -> {' '.join(dimensions)}", {"need_replication_factors": ("words", "text")}


_partitioned.def_partition(_partition, infer_sharding_from_operands=_infer_sharding, sharding_rule=_sharding_rule)


def _batch(tensor: Tensor, words: jax.Array) -> jax.Array:
    """The tensors of all words: an array of shape words.shape[:-1] + tensor.shape."""
    function = functools.partial(_partitioned, tensor, text=np.frombuffer(repr(tensor).encode(), np.uint8))
    if jax.sharding.get_abstract_mesh().manual_axes:
        # Within jax.shard_map the array is local to the device, and is not partitioned.
        function = functools.partial(_whole, tensor)
    batch = jax.typeof(words).sharding.spec[:-1]
    if any(batch):  # axes of type Explicit, along which the result is sharded too
        function = jax.sharding.auto_axes(function, out_sharding=PartitionSpec(*batch, *[None] * len(tensor.shape)))
    fill = jax.custom_batching.custom_vmap(lambda words: function(words))
    fill.def_vmap(lambda size, batched, words: (_batch(tensor, words), True))
    return fill(words)


@functools.partial(jax.jit, static_argnums=0)
def fill(tensor: Tensor, words: jax.Array) -> jax.Array:
    """The tensor. words are those of the seed and the subsequence, from words_of: uint32[4]."""
    return _batch(tensor, words)


def words_of(seed: int | jax.Array, subsequence: int | jax.Array) -> jax.Array | np.ndarray:
    """The seed and the subsequence as uint32[4], low words first. They are integers below 2**64 or scalar arrays of uint32."""
    if isinstance(seed, int) and isinstance(subsequence, int):
        return np.array([number >> shift & 0xFFFFFFFF for number in (seed, subsequence) for shift in (0, 32)], np.uint32)
    return jnp.stack([seed, jnp.zeros_like(seed), subsequence, jnp.zeros_like(seed)])


def _words_of_key(key: jax.Array) -> jax.Array:
    """The words of the seed and the subsequence that the key stands for. Raises TypeError and ValueError for other objects."""
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
        jax.random.bits(key, ())  # tells the checker that the fill consumes the key
    return fill(tensor, _words_of_key(key))


@functools.lru_cache(maxsize=1024)  # JAX caches compiled programs by function
def _sharded_fill(tensor: Tensor, sharding: NamedSharding | PartitionSpec, explicit: bool) -> Callable[[jax.Array], jax.Array]:
    unsharded = functools.partial(_fill_by_key, tensor)
    if explicit:
        return jax.jit(jax.sharding.auto_axes(unsharded, out_sharding=sharding))
    return jax.jit(unsharded, out_shardings=sharding)


def tensor_of(initializer: _core.Initializer, shape: tuple[int, ...], dtype: str) -> Tensor:
    """The Tensor of a random initializer of the core, truncated at two standard deviations or not at all. Raises ValueError."""
    drawn = _core.describe(initializer, shape)
    if drawn.distribution == "orthogonal":
        if drawn.layout == "oihw":
            raise ValueError('The matrix of "torch:orthogonal" has PyTorch\'s layout. Use "jax:orthogonal"')
        config = initializer.get_config()
        tensor = Tensor(shape, dtype, "orthogonal", (("gain", config["scale"] if "scale" in config else config["gain"]),))
    else:
        tensor = Tensor(shape, dtype, *_distribution_of(drawn))
    _check(tensor)
    return tensor


def _distribution_of(drawn: _core.Description) -> tuple[str, tuple[tuple[str, float], ...]]:
    """Tensor.distribution and Tensor.numbers."""
    if drawn.distribution == "uniform":
        return "uniform", tuple(zip(("minval", "maxval"), drawn.bounds))
    cut = (("lower", -2.0), ("upper", 2.0)) if drawn.distribution == "truncated_normal" else ()
    return drawn.distribution, (("mean", drawn.mean), ("stddev", drawn.untruncated_stddev), *cut)


@functools.lru_cache(maxsize=1024)
def _check(tensor: Tensor) -> None:
    """Raises ValueError where the custom call would fail when the program runs."""
    if tensor.distribution in _FORMULAS:
        initializer: _core.Initializer = _core.Formula(tensor.distribution, dict(tensor.numbers), 0)
    else:
        initializer = _CLASSES[tensor.distribution](seed=0, **dict(tensor.numbers))
    nothing = (0,) * len(tensor.shape)
    _core.draw(initializer, tensor.shape, tensor.dtype, offset=nothing, extent=nothing)


def is_supported(by_host: bool = False) -> bool:
    """Whether the custom call works on JAX's default back end; by_host: for values that the host computes."""
    backend = jax.default_backend()
    return backend == "cpu" or backend == "gpu" and not by_host and _core.available().cuda_devices > 0


def _dtype_of(dtype: typing.Any) -> str:
    """The dtype that JAX uses for it; None is JAX's default. Raises TypeError, and ValueError for dtypes that fanin lacks."""
    asked = np.dtype(float if dtype is None else dtype)
    name = jax.dtypes.canonicalize_dtype(asked).name
    if name != asked.name and dtype is not None:
        name = jnp.zeros((), dtype).dtype.name  # JAX warns that float64 is float32 unless jax_enable_x64 is set
    if name not in _DTYPES:
        raise ValueError(f"dtype must be one of {', '.join(_DTYPES)}. Received: dtype={name}")
    return name


def _with_pairs(sharding: typing.Any, rank: int) -> typing.Any:
    """The sharding of an array with another axis, which is not sharded."""
    if isinstance(sharding, NamedSharding):
        return NamedSharding(sharding.mesh, _with_pairs(sharding.spec, rank))
    return PartitionSpec(*sharding, *[None] * (rank + 1 - len(sharding))) if isinstance(sharding, PartitionSpec) else sharding


def _initializer(distribution_of: Callable[[tuple[int, ...]], tuple], default: typing.Any,
                 pairs_of: Callable[[tuple[int, ...]], tuple] | None = None) -> Initializer:
    """The initializer that draws from the distribution that distribution_of(shape) gives, as _distribution_of does.

    pairs_of(shape) gives the distribution of the two parts of complex numbers. None: there are no complex tensors.
    """

    def init(key: jax.Array, shape: Sequence[int], dtype: typing.Any = default,
             out_sharding: NamedSharding | PartitionSpec | None = None) -> jax.Array:
        """A new array of this shape.

        key            a key of JAX, typed or raw. Its first two words are the seed. Of a key with four words, the last two, XORed
                       with the first two, are the subsequence. See fanin.jax.key.
        dtype          a floating-point dtype; None is JAX's default. All dtypes hold the same draws, rounded once. A complex
                       tensor, of the initializers that have one, is a real one with the two parts along a last axis.
        out_sharding   the sharding of the array. Each device fills its own part and allocates no more.

        Raises ValueError for arguments that are not allowed, TypeError, and IndexError for axes outside the shape.
        """
        extents: typing.Any = shape if np.ndim(shape) else [shape]
        shape = tuple(map(operator.index, extents))
        if min(shape, default=0) < 0:
            raise ValueError(f"Extents must not be negative. Received: shape={shape}")
        if pairs_of is not None and dtype is not None and jnp.issubdtype(dtype, jnp.complexfloating):
            pairs = _initializer(lambda _: pairs_of(shape), None)(key, (*shape, 2), jnp.zeros((), dtype).real.dtype,
                                                                 _with_pairs(out_sharding, len(shape)))
            return jax.lax.complex(pairs[..., 0], pairs[..., 1])
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


def key(seed: int | _core.Seed, name: str | None = None, *, subsequence: int | None = None) -> jax.Array:
    """The key with which an initializer draws the values of fanin.draw(..., seed=seed, name=name, subsequence=subsequence).

    seed and subsequence are integers in [0, 2**64); seed may also be a fixed fanin.Seed. The key is of JAX's implementation
    "rbg", whose four words hold both, and jax.random accepts it as any other key. Raises ValueError and TypeError.
    """
    if name is not None and subsequence is not None:
        raise ValueError(f"Give name= or subsequence=, not both. Received: name={name!r}, subsequence={subsequence}")
    numbers = {"seed": number_of(seed),
               "subsequence": operator.index(subsequence or 0) if name is None else _core.subsequence_of(name)}
    for what, number in numbers.items():
        if not 0 <= number < 2**64:
            raise ValueError(f"`{what}` must be from 0 to 2**64 - 1. Received: {what}={number}")
    words = [*divmod(numbers["seed"], 2**32), *divmod(numbers["seed"] ^ numbers["subsequence"], 2**32)]
    return jax.random.wrap_key_data(np.array(words, np.uint32), impl="rbg")


# ------------------------------------------------------------------ whole models


def keyed_params(params: typing.Any, seed: int | _core.Seed, rules: typing.Any, *, prefix: str = "") -> typing.Any:
    """The parameters of a model, each with the values that follow from the seed and its own path.

    params   a pytree of arrays or of jax.ShapeDtypeStruct, with or without a NamedSharding: an nnx.State of Flax NNX, what
             jax.eval_shape makes of the init of a Linen module, with its boxes of metadata, or nested dictionaries.
    seed     an integer in [0, 2**64) or a fixed fanin.Seed, for the rules whose initializer has none.
    rules    the initializer of each parameter: a dictionary from patterns to initializers, or a list of such pairs, whose first
             match decides; or a function of (name, parameter) that returns an initializer, or None to leave the parameter
             alone. A pattern is a glob, in which * stands for any characters and ? for one, or a compiled regular expression; it
             must match the whole name. An initializer is one of fanin.jax or jax.nn.initializers, a function of (key, shape,
             dtype); or a fanin.Initializer, a name such as "he_normal", or a configuration of Keras's; or "keep", to leave the
             parameter alone.
    prefix   is put before the names.

    Returns a tree of the same structure. A name is the path of the parameter with dots, "layers.0.mlp.kernel", and its hash is
    the subsequence: the values are those of fanin.draw(..., seed=seed, name=name), in Keras's layout, which is JAX's. They do
    not depend on the other parameters, on the order of modules, or on the sharding. A sharding of params is that of the
    result; each device fills its own part. Within jax.jit its out_shardings and with_sharding_constraint have the same effect.
    Arrays of integers and of keys are returned as they are. Raises ValueError and TypeError, before anything is drawn, with the
    name of the parameter.
    """
    leaves, tree = jax.tree_util.tree_flatten_with_path(params)
    named = [(prefix + _name_of(path), leaf) for path, leaf in leaves]
    if len({name for name, _ in named}) < len(named):
        raise ValueError(f"Two parameters have the same path. Received: {sorted(name for name, _ in named)}")
    initializer_of = rules if callable(rules) else _first_match([(pattern_of(name), given) for name, given in _pairs(rules)])
    make = functools.lru_cache(maxsize=None)(_init_of)  # one initializer for a rule, so that programs are compiled once for it
    drawn = [_drawing(name, leaf, initializer_of, make, number_of(seed)) for name, leaf in named]
    return jax.tree_util.tree_unflatten(tree, [draw() for draw in drawn])


def _drawing(name: str, leaf: typing.Any, initializer_of: Callable, make: Callable, seed: int) -> Callable[[], typing.Any]:
    """What returns the new value of a parameter, after everything about it has been checked."""
    if not hasattr(leaf, "dtype") or not jnp.issubdtype(leaf.dtype, jnp.inexact):
        if isinstance(leaf, jax.ShapeDtypeStruct):
            raise ValueError(f"The parameter {name!r} is abstract and of {leaf.dtype}, which has no initializer. Leave it out of "
                             "params")
        return lambda: leaf
    given = initializer_of(name, leaf)
    if given is None or isinstance(given, str) and given == "keep":
        return lambda: leaf
    if callable(given) and not isinstance(given, Hashable):
        given = functools.partial(given)
    try:
        init, own_seed = make(_core.get(given) if isinstance(given, dict) else given)
        checked = jax.eval_shape(functools.partial(init, shape=leaf.shape, dtype=leaf.dtype), key(seed, name))
    except (ValueError, TypeError, IndexError) as error:
        raise type(error)(f"The parameter {name!r} of shape {tuple(leaf.shape)}: {error}") from error
    if checked.shape != leaf.shape or checked.dtype != leaf.dtype:
        raise ValueError(f"The initializer of the parameter {name!r} makes an array of {checked.dtype} {checked.shape}. Expected: "
                         f"{leaf.dtype} {tuple(leaf.shape)}")
    own_key = key(seed if own_seed is None else own_seed, name)
    sharding = None if isinstance(leaf, jax.core.Tracer) else getattr(leaf, "sharding", None)
    if not isinstance(sharding, NamedSharding):
        return lambda: init(own_key, leaf.shape, leaf.dtype)
    return lambda: _sharded_init(init, tuple(leaf.shape), leaf.dtype, sharding)(own_key)


@functools.lru_cache(maxsize=1024)
def _sharded_init(init: Callable, shape: tuple[int, ...], dtype: typing.Any, sharding: NamedSharding) -> Callable:
    return jax.jit(functools.partial(init, shape=shape, dtype=dtype), out_shardings=sharding)


def _name_of(path: tuple) -> str:
    """The keys of a path with dots, without the attributes of what holds one value: variables of NNX and boxes of Linen."""
    names = []
    for entry in path:
        if isinstance(entry, jax.tree_util.GetAttrKey) and entry.name in ("value", "raw_value"):
            continue
        name = next((getattr(entry, field) for field in ("key", "name", "idx") if hasattr(entry, field)), entry)
        names.append(str(name))
    return ".".join(names)


def _pairs(rules: typing.Any) -> list[tuple]:
    pairs: list = list(rules.items()) if isinstance(rules, dict) else list(rules) if isinstance(rules, (list, tuple)) else [None]
    if any(not isinstance(pair, (list, tuple)) or len(pair) != 2 for pair in pairs):
        raise TypeError("The rules are a dictionary from patterns to initializers, a list of such pairs, or a function. Received: "
                        f"{rules!r}")
    return [(pattern, _core.get(given) if isinstance(given, dict) else given) for pattern, given in pairs]


def _first_match(rules: list[tuple[re.Pattern, typing.Any]]) -> Callable[[str, typing.Any], typing.Any]:
    def initializer_of(name: str, leaf: typing.Any) -> typing.Any:
        for pattern, given in rules:
            if pattern.fullmatch(name):
                if given is None:
                    raise TypeError('A rule gives an initializer, or "keep" to leave the parameter alone. Received: None')
                return given
        raise ValueError(f"No rule matches the parameter {name!r} of shape {tuple(leaf.shape)}")

    return initializer_of


def _init_of(given: typing.Any) -> tuple[Initializer, int | None]:
    """A function of (key, shape, dtype), and the seed that the initializer has of its own."""
    if not isinstance(given, (str, type, _core.Initializer)) and not hasattr(given, "get_config"):  # Keras's have that
        if not callable(given):
            raise TypeError("An initializer is a function of (key, shape, dtype), a fanin.Initializer, a name or a configuration. "
                            f"Received: {given!r}")
        return given, None
    initializer = typing.cast(_core.Initializer, _core.get(given))
    if initializer.seed_kind == "sequence":
        raise ValueError("With a sequence of seeds the values would depend on the order of the parameters. Received: "
                         f"{initializer!r}")
    own_seed = initializer.seed if initializer.seed_kind == "fixed" and isinstance(initializer.seed, int) else None

    def init(key: jax.Array, shape: Sequence[int], dtype: typing.Any = None) -> jax.Array:
        shape = tuple(shape)
        drawn = _core.describe(initializer, shape)
        if drawn.distribution == "constant":
            if jnp.issubdtype(dtype, jnp.complexfloating):
                return jnp.full(shape, drawn.mean, dtype)
            return jnp.full(shape, _core.draw(initializer, (1,), _dtype_of(dtype))[0], dtype)  # clamped to the dtype
        if drawn.distribution not in _CLASSES:
            raise ValueError(f"A custom call draws uniform and normal values. Received: {initializer!r}")
        if drawn.distribution == "truncated_normal":
            ends = tuple(drawn.mean + sign * 2 * drawn.untruncated_stddev for sign in (-1, 1))
            if drawn.bounds != ends:
                raise ValueError("Other bounds than two standard deviations are those of fanin.jax.truncated_normal. Received: "
                                 f"{initializer!r}")
        return _fill_by_key(tensor_of(initializer, shape, _dtype_of(dtype)), key)

    return init, own_seed


def _checked_scale(scale: float) -> float:
    if not 0 <= scale < math.inf:
        raise ValueError(f"scale must be positive and finite, or 0. Received: scale={scale}")
    return float(scale)


def uniform(scale: float = 1e-2, dtype: typing.Any = None) -> Initializer:
    """A uniform distribution on [0, scale), scale >= 0 and finite."""
    return _initializer(lambda shape: ("uniform", (("minval", 0.0), ("maxval", _checked_scale(scale)))), dtype)


def normal(stddev: float = 1e-2, dtype: typing.Any = None) -> Initializer:
    """A normal distribution with mean 0, not truncated. Each part of a complex number has half of the variance."""

    def of(stddev: float) -> tuple:
        return "normal", (("mean", 0.0), ("stddev", stddev))

    return _initializer(lambda shape: of(float(stddev)), dtype, lambda shape: of(float(stddev) / math.sqrt(2)))


def truncated_normal(stddev: float = 1e-2, dtype: typing.Any = None, lower: float = -2.0, upper: float = 2.0) -> Initializer:
    """A normal distribution with mean 0, truncated to [lower * stddev, upper * stddev] by rejection.

    stddev is the standard deviation before truncation, and is not corrected for it. Calls raise ValueError unless
    lower < upper.
    """
    numbers = (("mean", 0.0), ("stddev", float(stddev)), ("lower", float(lower)), ("upper", float(upper)))
    return _initializer(lambda shape: ("truncated_normal", numbers), dtype)


def variance_scaling(scale: float, mode: str, distribution: str, in_axis: int | Sequence[int] = -2,
                     out_axis: int | Sequence[int] = -1, batch_axis: int | Sequence[int] = (),
                     dtype: typing.Any = None) -> Initializer:
    """A distribution of variance scale / n, where mode says what n is.

    mode          "fan_in", "fan_out", their mean "fan_avg", or their geometric mean "fan_geo_avg".
    distribution  "truncated_normal": truncated at two standard deviations, and of that variance after truncation; "normal"; or
                  "uniform" on [-limit, limit), limit = sqrt(3 * scale / n).
    in_axis       the axes of the inputs, a number or a sequence. Negative numbers count from the end.
    out_axis      the axes of the outputs.
    batch_axis    the axes of neither. fan_in and fan_out are the product of the extents of the inputs or of the outputs, times
                  the extents of the axes that are not named.

    Complex tensors are uniform on a disk, normal, or normal and truncated at a modulus of two standard deviations. The variance of
    the truncated ones is 1.9 % larger than said, because JAX divides by 0.9531, and by 0.9620 would be right. The host computes
    those on a disk and the truncated ones; a call that runs on a GPU fails.

    As jax.nn.initializers.variance_scaling. Calls raise ValueError for arguments that are not allowed.
    """

    def variance_of(shape: tuple[int, ...]) -> float:
        if distribution not in _SCALED:
            raise ValueError(f"distribution must be one of {', '.join(_SCALED)}. Received: distribution={distribution!r}")
        return _checked_scale(scale) / _fan(shape, mode, in_axis, out_axis, batch_axis)

    def pairs_of(shape: tuple[int, ...]) -> tuple:
        stddev = math.sqrt(variance_of(shape))
        if distribution == "normal" or stddev == 0:
            return "normal", (("mean", 0.0), ("stddev", stddev / math.sqrt(2)))
        if distribution == "uniform":
            return _DISK, (("scale", stddev),)
        return _TRUNCATED_DISK, (("scale", stddev / .95311164380491208),)  # JAX's number

    def distribution_of(shape: tuple[int, ...]) -> tuple:
        variance = variance_of(shape)
        if variance == 0:
            return "normal", (("mean", 0.0), ("stddev", 0.0))
        name = "untruncated_normal" if distribution == "normal" else distribution
        # The core computes the parameters, so that the bits are those of its classes.
        return _distribution_of(_core.describe(_core.VarianceScaling(variance, "fan_in", name, 0), (1, 1)))

    return _initializer(distribution_of, dtype, pairs_of)


def _fan(shape: tuple[int, ...], mode: str, in_axis: int | Sequence[int], out_axis: int | Sequence[int],
         batch_axis: int | Sequence[int]) -> float:
    """n of variance_scaling, by JAX's formula."""
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
    # A fraction: an axis may be among the inputs and the outputs.
    receptive_field = Fraction(math.prod(shape), inputs * outputs * batch)
    fan_in, fan_out = inputs * receptive_field, outputs * receptive_field
    if mode == "fan_geo_avg":
        return math.sqrt(fan_in * fan_out)
    return float({"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[mode])


def orthogonal(scale: float = 1.0, column_axis: int = -1, dtype: typing.Any = None) -> Initializer:
    """A uniformly distributed matrix with orthonormal columns, or rows if there are fewer, times scale.

    The columns are along column_axis; the other axes, in their order, are the rows. The host computes the whole matrix, also for
    each part of a sharded array; a call that runs on a GPU fails. Calls raise ValueError for fewer than two axes, IndexError for
    an axis outside the shape, and NotImplementedError for an out_sharding unless the columns are along the last axis.
    """
    drawn = "orthogonal", (("gain", float(scale)),)
    fill_matrix = _initializer(lambda shape: drawn, dtype)
    of_jax = _orthogonal_of_jax(scale, column_axis)

    def init(key: jax.Array, shape: Sequence[int], dtype: typing.Any = dtype,
             out_sharding: NamedSharding | PartitionSpec | None = None) -> jax.Array:
        if jnp.issubdtype(dtype, jnp.complexfloating):
            return of_jax(key, shape, dtype, out_sharding)
        shape = tuple(map(operator.index, shape))
        if len(shape) < 2:
            raise ValueError(f"orthogonal initializer requires at least a 2D shape. Received: shape={shape}")
        axis = range(len(shape))[column_axis]
        if axis == len(shape) - 1:
            return fill_matrix(key, shape, dtype, out_sharding)
        if out_sharding is not None:
            raise NotImplementedError(f"out_sharding needs column_axis=-1. Received: column_axis={column_axis}")
        matrix = fill_matrix(key, (*shape[:axis], *shape[axis + 1:], shape[axis]), dtype)
        return jnp.moveaxis(matrix, -1, axis)

    return init


def delta_orthogonal(scale: float = 1.0, column_axis: int = -1, dtype: typing.Any = None) -> Initializer:
    """A kernel of a convolution in 1 to 3 dimensions, (..., in, out) with in <= out: scale times a uniformly distributed matrix
    with orthonormal rows at its centre, 0 elsewhere.

    Xiao et al., "Dynamical isometry and a mean field theory of CNNs", 2018. Calls raise ValueError for other shapes.
    column_axis is of the matrix, as in orthogonal.
    """
    matrix = orthogonal(scale, column_axis, dtype)

    def init(key: jax.Array, shape: Sequence[int], dtype: typing.Any = dtype,
             out_sharding: NamedSharding | PartitionSpec | None = None) -> jax.Array:
        if out_sharding is not None:
            raise NotImplementedError("delta_orthogonal takes no out_sharding, as in JAX")
        shape = tuple(map(operator.index, shape))
        if len(shape) not in (3, 4, 5):
            raise ValueError(f"Delta orthogonal initializer requires a 3D, 4D or 5D shape. Received: shape={shape}")
        if shape[-1] < shape[-2]:
            raise ValueError(f"`fan_in` must be less or equal than `fan_out`. Received: shape={shape}")
        centre = matrix(key, shape[-2:], dtype)
        return jnp.zeros(shape, centre.dtype).at[tuple((extent - 1) // 2 for extent in shape[:-2])].set(centre)

    return init


class _ScaledInitializer(typing.Protocol):
    def __call__(self, in_axis: int | Sequence[int] = -2, out_axis: int | Sequence[int] = -1,
                 batch_axis: int | Sequence[int] = (), dtype: typing.Any = None) -> Initializer: ...


def _scaled(name: str, scale: float, mode: str, distribution: str) -> _ScaledInitializer:
    def make(in_axis: int | Sequence[int] = -2, out_axis: int | Sequence[int] = -1, batch_axis: int | Sequence[int] = (),
             dtype: typing.Any = None) -> Initializer:
        return variance_scaling(scale, mode, distribution, in_axis, out_axis, batch_axis, dtype)

    make.__name__ = make.__qualname__ = name
    make.__doc__ = f"variance_scaling({scale}, {mode!r}, {distribution!r}, in_axis, out_axis, batch_axis, dtype)"
    return make


glorot_normal = _scaled("glorot_normal", 1.0, "fan_avg", "truncated_normal")
glorot_uniform = _scaled("glorot_uniform", 1.0, "fan_avg", "uniform")
he_normal = _scaled("he_normal", 2.0, "fan_in", "truncated_normal")
he_uniform = _scaled("he_uniform", 2.0, "fan_in", "uniform")
lecun_normal = _scaled("lecun_normal", 1.0, "fan_in", "truncated_normal")
lecun_uniform = _scaled("lecun_uniform", 1.0, "fan_in", "uniform")
kaiming_normal = he_normal
kaiming_uniform = he_uniform
xavier_normal = glorot_normal
xavier_uniform = glorot_uniform

__all__ = ["Initializer", "constant", "delta_orthogonal", "glorot_normal", "glorot_uniform", "he_normal", "he_uniform",
           "kaiming_normal", "kaiming_uniform", "key", "keyed_params", "lecun_normal", "lecun_uniform", "normal", "ones",
           "orthogonal", "truncated_normal", "uniform", "variance_scaling", "xavier_normal", "xavier_uniform", "zeros"]
