# SPDX-License-Identifier: Apache-2.0
"""The random initializers of keras.initializers, and STFT, with fanin's values, for Keras 3 on any back end.

    keras.layers.Dense(256, kernel_initializer=fanin.keras.HeNormal(42))
    fanin.keras.install()  # from here on "he_normal" and keras.initializers.HeNormal are fanin's
    fanin.keras.install(seed=42)  # and every variable has draws of its own, by its path

Each class is a subclass of the Keras class of its name. A call returns the bits of `fanin.draw`, on TensorFlow, JAX, PyTorch
and NumPy, inside and outside of traced functions. docs/keras.md has examples.
"""
from __future__ import annotations

import contextlib
import functools
import math
import operator
import sys
import threading
import typing
import warnings

import keras

if int(keras.__version__.split(".")[0]) < 3:
    raise ImportError(f"fanin.keras needs Keras 3. Found: Keras {keras.__version__}")

import ml_dtypes
import numpy as np
from keras.initializers import Constant, Identity, Initializer, Ones, Zeros, constant, identity, ones, zeros

from . import _core
from ._seeds import number_of

# Those that Keras knows.
_DTYPES = {name: np.dtype(getattr(ml_dtypes, name, name))
           for name in ("float32", "float64", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2")}
_BACKEND = keras.backend.backend()
if _BACKEND == "jax":
    import jax

    from . import jax as _jax
_ALIGNMENT = 64  # bytes; TensorFlow and JAX use the memory of arrays that are aligned so, and copy others


def _outside_of_traces() -> contextlib.AbstractContextManager:
    """In this context operations run at once, also while a function is traced."""
    if _BACKEND == "tensorflow":
        import tensorflow
        return tensorflow.init_scope()
    if _BACKEND == "jax":
        return jax.ensure_compile_time_eval()
    return contextlib.nullcontext()


def _dtype_of(dtype: object) -> str:
    """The name of the dtype in Keras; None is floatx. Raises ValueError for dtypes that fanin does not support."""
    try:
        name = keras.backend.standardize_dtype(dtype)
    except ValueError:  # "f4", "double", which NumPy knows
        try:
            name = np.dtype(typing.cast(typing.Any, dtype)).name
        except TypeError:
            name = ""
    if name not in _DTYPES:
        raise ValueError(f"dtype must be one of {', '.join(_DTYPES)}. Received: dtype={dtype}")
    if name == "float64" and _BACKEND == "jax":
        name = str(jax.dtypes.canonicalize_dtype(name))  # float32 unless jax_enable_x64 is set
    return name


def _extents(shape: typing.SupportsIndex | typing.Iterable[typing.SupportsIndex]) -> tuple[int, ...]:
    return tuple(map(operator.index, shape)) if isinstance(shape, typing.Iterable) else (operator.index(shape),)


def _numbers_of(seed: int | keras.random.SeedGenerator) -> tuple[typing.Any, typing.Any]:
    """The seed and the subsequence: a number and 0, or the state [seed, counter] of a generator, which advances.

    Two integers, or two scalar uint32 arrays on JAX if the state is traced.
    """
    if isinstance(seed, keras.random.SeedGenerator):
        state = seed.next()
        if _BACKEND == "jax" and isinstance(state, jax.core.Tracer):
            return tuple(state.astype("uint32"))
        try:
            numbers = keras.ops.convert_to_numpy(state)
        except Exception as error:
            raise ValueError(
                "The state of a SeedGenerator is not known while this function is traced, and fanin can draw later only on JAX. "
                f"Give the initializer an integer, or call it outside of the function. Received: seed={seed}") from error
        # Some back ends store the two numbers as signed 32-bit integers.
        return tuple(int(number) % 2**(8 * number.itemsize) for number in numbers)
    if not -2**63 <= seed < 2**64:
        raise OverflowError(f"`seed` must be from -2**63 to 2**64 - 1. Received: seed={seed}")
    return int(seed) % 2**64, 0


def _aligned(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    size = math.prod(shape) * dtype.itemsize
    memory = np.empty(size + _ALIGNMENT, np.uint8)
    begin = -memory.ctypes.data % _ALIGNMENT
    return memory[begin:begin + size].view(dtype).reshape(shape)


def _tensor_of(array: np.ndarray) -> typing.Any:
    """A tensor of the back end on its current device, without a copy where the back end allows it."""
    if _BACKEND == "numpy":
        return array
    own_dtype = array.dtype.isbuiltin == 1  # False for ml_dtypes, which PyTorch and DLPack do not accept from NumPy
    if _BACKEND == "torch":
        import torch
        raw = array if own_dtype else array.view(f"i{array.itemsize}")
        return keras.ops.convert_to_tensor(torch.from_numpy(raw).view(getattr(torch, array.dtype.name)))
    if _BACKEND == "jax":
        return jax.device_put(array)
    if _BACKEND == "tensorflow" and own_dtype and array.size:
        import tensorflow
        if tensorflow.executing_eagerly():
            there = tensorflow.experimental.dlpack.from_dlpack(array.__dlpack__())
            return tensorflow.identity(there)  # on the current device, without a copy if that is the host
    return keras.ops.convert_to_tensor(array)


def _is_traced() -> bool:
    """Whether jax.jit or tf.function traces a function, or Keras computes the shapes of a model."""
    if _BACKEND == "jax" and isinstance(jax.numpy.zeros(()), jax.core.Tracer):
        return True
    if _BACKEND == "tensorflow":
        import tensorflow
        if tensorflow.inside_function():
            return True
    backend = sys.modules["keras.src.backend"]
    return any(getattr(backend, name, bool)() for name in ("in_stateless_scope", "in_symbolic_scope"))


def _with_numbers(constructor: typing.Callable) -> typing.Callable:
    """A constructor that takes a fixed fanin.Seed for an integer."""
    def number(value: typing.Any) -> typing.Any:
        return number_of(value) if isinstance(value, _core.Seed) else value

    @functools.wraps(constructor)
    def construct(self: typing.Any, *arguments: typing.Any, **keywords: typing.Any) -> None:
        constructor(self, *map(number, arguments), **{name: number(value) for name, value in keywords.items()})

    return construct


class _Drawn:
    """Replaces __call__ of Keras's classes. Constructors, configurations and their errors are Keras's."""

    seed: typing.Any  # an integer or a SeedGenerator, of Keras's constructors
    _was_called = False

    def __init_subclass__(cls, **kwargs: typing.Any) -> None:
        super().__init_subclass__(**kwargs)
        base = cls.__bases__[-1]
        cls.__doc__ = cls.__doc__ or base.__doc__  # of the Keras class
        # Keras's constructors know no fanin.Seed. A class of a user's has another base last, or its own constructor.
        if issubclass(base, Initializer) and not issubclass(base, _Drawn) and "__init__" not in vars(cls):
            cls.__init__ = _with_numbers(base.__init__)  # type: ignore[method-assign]

    def _with_seed(self, seed: int) -> _core.Initializer:
        raise NotImplementedError

    def _check(self, shape: tuple[int, ...]) -> None:
        """Raises Keras's errors for shapes that do not fit the initializer."""

    def _warn_of_equal_values(self) -> None:
        if self._was_called and getattr(self, "_init_seed", 0) is None:
            warnings.warn(f"This {type(self).__name__} is unseeded and being called multiple times, which gives tensors of one "
                          "shape the same values. Make an initializer for each, or give it a SeedGenerator.", stacklevel=3)
        self._was_called = True

    def __call__(self, shape: typing.Sequence[int], dtype: object = None, *,
                 partition_shape: typing.Sequence[int] | None = None,
                 partition_offset: typing.Sequence[int] | None = None) -> typing.Any:
        """A new tensor of the back end, on its current device.

        shape             the shape of the whole tensor: integers, also when a function is traced.
        dtype             a floating-point dtype, by name or of any framework. None is keras.config.floatx().
        partition_shape   with partition_offset, both as long as shape: return only this block of the tensor. Its values are the
        partition_offset  slice of the whole tensor's, and the scale follows from the whole tensor's fans. As in TF 2.

        Raises ValueError for dtypes and parameters that are not allowed, IndexError for axes outside the shape, OverflowError
        for seeds outside [-2**63, 2**64), and TypeError. Warns when an initializer without a seed is called again, as TF 2.10
        did.
        """
        made = self._tensor(shape, dtype, partition_shape, partition_offset, lambda: _numbers_of(self.seed))
        if not _is_traced():
            self._warn_of_equal_values()
        return made

    def _tensor(self, shape: typing.Sequence[int], dtype: object, partition_shape: typing.Sequence[int] | None,
                partition_offset: typing.Sequence[int] | None, numbers: typing.Callable[[], tuple]) -> typing.Any:
        """A call with the seed and the subsequence that numbers gives."""
        shape = _extents(shape)
        part = shape if partition_shape is None else _extents(partition_shape)
        if min(shape + part, default=0) < 0:
            raise ValueError(f"Extents must not be negative. Received: shape={shape}, partition_shape={partition_shape}")
        if (partition_shape is None) != (partition_offset is None):
            raise ValueError("partition_shape and partition_offset belong together: give both or neither. "
                             f"Received: partition_shape={partition_shape}, partition_offset={partition_offset}")
        name = _dtype_of(dtype)
        self._check(shape)
        traced = _is_traced()
        with _outside_of_traces():
            seed, subsequence = numbers()
        # Outside of traced functions the call happens once, and compiling it would take longer.
        in_trace = _BACKEND == "jax" and traced and partition_shape is None and not isinstance(self, STFT)
        if in_trace and _jax.is_supported(isinstance(self, Orthogonal)):
            return _jax.fill(_jax.tensor_of(self._with_seed(0), shape, name), _jax.words_of(seed, subsequence))
        with _outside_of_traces():
            array = _aligned(part, _DTYPES[name])
            _core.fill(array, self._with_seed(seed), subsequence=subsequence, shape=shape, offset=partition_offset,
                       layout="hwio")
            return _tensor_of(array)


class VarianceScaling(_Drawn, keras.initializers.VarianceScaling):
    def _axes(self) -> tuple[typing.Any, typing.Any]:
        return getattr(self, "input_axes", None), getattr(self, "output_axes", None)  # since Keras 3.15

    def _check(self, shape: tuple[int, ...]) -> None:
        if None not in self._axes():
            for axis in (*self._axes()[0], *self._axes()[1]):
                if not -len(shape) <= axis < len(shape):
                    raise IndexError(f"Axis {axis} is outside shape {shape}")

    def _with_seed(self, seed: int) -> _core.Initializer:
        return _core.VarianceScaling(float(self.scale), self.mode, self.distribution, seed, *self._axes())


class RandomNormal(_Drawn, keras.initializers.RandomNormal):
    def _with_seed(self, seed: int) -> _core.Initializer:
        return _core.RandomNormal(float(self.mean), float(self.stddev), seed)


class TruncatedNormal(_Drawn, keras.initializers.TruncatedNormal):
    def _with_seed(self, seed: int) -> _core.Initializer:
        return _core.TruncatedNormal(float(self.mean), float(self.stddev), seed)


class RandomUniform(_Drawn, keras.initializers.RandomUniform):
    def _with_seed(self, seed: int) -> _core.Initializer:
        return _core.RandomUniform(float(self.minval), float(self.maxval), seed)


class GlorotNormal(VarianceScaling, keras.initializers.GlorotNormal):
    pass


class GlorotUniform(VarianceScaling, keras.initializers.GlorotUniform):
    pass


class HeNormal(VarianceScaling, keras.initializers.HeNormal):
    pass


class HeUniform(VarianceScaling, keras.initializers.HeUniform):
    pass


class LecunNormal(VarianceScaling, keras.initializers.LecunNormal):
    pass


class LecunUniform(VarianceScaling, keras.initializers.LecunUniform):
    pass


class Orthogonal(_Drawn, keras.initializers.Orthogonal):
    def _check(self, shape: tuple[int, ...]) -> None:
        if len(shape) < 2:
            raise ValueError("The tensor to initialize must be at least two-dimensional. "
                             f"Received: shape={shape} of rank {len(shape)}.")

    def _with_seed(self, seed: int) -> _core.Initializer:
        return _core.Orthogonal(float(self.gain), seed)


class STFT(_Drawn, keras.initializers.STFT):
    seed = 0  # of no effect

    def _warn_of_equal_values(self) -> None:
        """They are meant to be equal."""

    def _with_seed(self, seed: int) -> _core.Initializer:
        return _core.STFT(self.side, self.window, self.scaling, self.periodic)


OrthogonalInitializer = Orthogonal  # as in Keras
STFTInitializer = STFT
stft = STFT
glorot_normal = GlorotNormal
glorot_uniform = GlorotUniform
he_normal = HeNormal
he_uniform = HeUniform
lecun_normal = LecunNormal
lecun_uniform = LecunUniform
orthogonal = Orthogonal
random_normal = RandomNormal
random_uniform = RandomUniform
truncated_normal = TruncatedNormal
variance_scaling = VarianceScaling

# The names in the module keras.initializers, and those that configurations may use.
_EXPORTED = {name: value for name, value in globals().items() if isinstance(value, type) and issubclass(value, _Drawn)}
del _EXPORTED["_Drawn"]
_IDENTIFIERS = {**_EXPORTED, "normal": RandomNormal, "uniform": RandomUniform}

for _class in set(_EXPORTED.values()):
    keras.saving.register_keras_serializable(package="fanin")(_class)
del _class


def serialize(initializer: Initializer) -> dict[str, typing.Any]:
    """keras.initializers.serialize: a dictionary, in which fanin's classes are registered as "fanin>HeNormal" and so on."""
    return keras.initializers.serialize(initializer)


def deserialize(config: dict[str, typing.Any] | str, custom_objects: dict[str, typing.Any] | None = None) -> typing.Any:
    """keras.initializers.deserialize, except that configurations of Keras's own random classes also give fanin's classes.

    Raises ValueError and TypeError as Keras does.
    """
    if isinstance(config, str) and config in _IDENTIFIERS and config not in (custom_objects or {}):
        return _IDENTIFIERS[config]()  # given the class, Keras would return that
    if isinstance(config, dict) and config.get("class_name") in _IDENTIFIERS and not config.get("registered_name"):
        # The keys that say that the class is Keras's would have precedence over custom objects.
        config = {"class_name": config["class_name"], "config": config.get("config") or {}}
    return keras.initializers.deserialize(config, {**_IDENTIFIERS, **(custom_objects or {})})


def get(identifier: typing.Any) -> typing.Any:
    """keras.initializers.get, except that names and configurations of Keras's random initializers give fanin's.

    For example "he_normal", "HeNormal", "normal", {"class_name": "HeNormal", "config": {"seed": 42}}. Initializers that fanin
    does not have, such as "zeros", are Keras's. Raises ValueError and TypeError as Keras does.
    """
    if isinstance(identifier, str) and identifier in _IDENTIFIERS:
        return _IDENTIFIERS[identifier]()
    if isinstance(identifier, dict):
        return keras.initializers.get(deserialize(identifier))
    return keras.initializers.get(identifier)


class _Keyed:
    """The initializer of one variable, whose path gives the subsequence."""

    def __init__(self, initializer: _Drawn, seed: int, path: str) -> None:
        self._initializer = initializer
        self._numbers = seed, _core.subsequence_of(path)

    def __call__(self, shape: typing.Sequence[int], dtype: object = None) -> typing.Any:
        return self._initializer._tensor(shape, dtype, None, None, lambda: self._numbers)


def _keyed(initializer: typing.Any, seed: int, path: str) -> typing.Any:
    """The initializer with draws of its own for the variable with this path, if it is one of fanin's or has a twin there."""
    own_seed = getattr(initializer, "_init_seed", None)
    if isinstance(own_seed, keras.random.SeedGenerator):
        return initializer
    if not isinstance(initializer, _Drawn):
        twin = next((twin for twin in _EXPORTED.values() if twin.__bases__[-1] is type(initializer)), None)
        if twin is None or twin is STFT:  # which draws nothing
            return initializer
        initializer = typing.cast(typing.Any, twin).from_config({**initializer.get_config(), "seed": 0})
    return _Keyed(initializer, seed if own_seed is None else _numbers_of(own_seed)[0], path)


_lock = threading.Lock()
_installed_forever = False
_scopes = 0
_replaced: list[tuple[typing.Any, str, typing.Any]] = []  # a dictionary, a key in it, and the value before
_seed_forever: int | None = None
_seeds: dict[object, int] = {}  # of the contexts that have one, the innermost last
_METHOD = "_initialize_with_initializer"  # of variables, with which Keras calls an initializer
_ABSENT = object()
_method_before: typing.Any = None  # of the back end's class of variables, while _METHOD is replaced there


def _update() -> None:
    """Installs or removes fanin's classes and keys, as the variables above say. The caller holds _lock."""
    wanted = _installed_forever or _scopes > 0
    if wanted and not _replaced:
        targets = [(vars(keras.initializers), _EXPORTED), (keras.saving.get_custom_objects(), _IDENTIFIERS)]
        if "keras._tf_keras.keras.initializers" in sys.modules:  # tf.keras.initializers
            targets.append((vars(sys.modules["keras._tf_keras.keras.initializers"]), _EXPORTED))
        for target, names in targets:
            for name, value in names.items():
                _replaced.append((target, name, target.get(name)))
                target[name] = value
    elif not wanted:
        for target, name, before in _replaced:
            if before is None:
                target.pop(name, None)
            else:
                target[name] = before
        _replaced.clear()
    _update_keys()


def _update_keys() -> None:
    global _method_before
    variable = sys.modules["keras.src.backend"].Variable
    wanted = _seed_forever is not None or bool(_seeds)
    if wanted and _method_before is None:
        original = getattr(variable, _METHOD)

        def initialize(self: typing.Any, initializer: typing.Any) -> None:
            seed = next(reversed(_seeds.values()), _seed_forever)
            original(self, initializer if seed is None else _keyed(initializer, seed, self.path))

        _method_before = vars(variable).get(_METHOD, _ABSENT)
        setattr(variable, _METHOD, initialize)
    elif not wanted and _method_before is not None:
        if _method_before is _ABSENT:
            delattr(variable, _METHOD)
        else:
            setattr(variable, _METHOD, _method_before)
        _method_before = None


def _checked(seed: int | _core.Seed | None) -> int | None:
    if seed is None:
        return None
    if not hasattr(sys.modules["keras.src.backend"].Variable, _METHOD):
        raise NotImplementedError(f"The variables of Keras {keras.__version__} cannot be keyed by their paths. A newer Keras's can")
    return number_of(seed)


def install(seed: int | _core.Seed | None = None) -> None:
    """Makes Keras's names of the random initializers mean fanin's, in all threads, until uninstall().

    The names are the identifiers that layers accept ("he_normal", "HeNormal", "normal" and so on) and the classes in the module
    keras.initializers. Existing initializers and layers do not change, nor names that were imported with "from
    keras.initializers import HeNormal", nor configurations that name keras.initializers as the module of the class. A second
    call replaces the seed.

    seed    an integer in [0, 2**64), or a fixed fanin.Seed: every variable that gets its values from here on draws from this seed,
            or from the integer that its initializer was given, and with a subsequence of its own, the hash of its path, such as
            "block/dense/kernel". So its values do not depend on other layers, on the order in which layers are built, or on
            keras.distribution. This also holds for existing layers and initializers of Keras's classes. Initializers with a
            SeedGenerator, and those that fanin does not have, stay as they are. Raises ValueError, TypeError, and
            NotImplementedError for a Keras whose variables cannot be keyed.
    """
    global _installed_forever, _seed_forever
    checked = _checked(seed)
    with _lock:
        _installed_forever, _seed_forever = True, checked
        _update()


def uninstall() -> None:
    """Undoes install(), or does nothing if there was none. Within installed() it takes effect when that ends."""
    global _installed_forever, _seed_forever
    with _lock:
        _installed_forever, _seed_forever = False, None
        _update()


@contextlib.contextmanager
def installed(seed: int | _core.Seed | None = None) -> typing.Iterator[None]:
    """A context manager that installs for the length of a with statement, in all threads. Contexts may be nested: the innermost
    seed counts."""
    global _scopes
    checked, scope = _checked(seed), object()
    with _lock:
        _scopes += 1
        if checked is not None:
            _seeds[scope] = checked
        _update()
    try:
        yield
    finally:
        with _lock:
            _scopes -= 1
            _seeds.pop(scope, None)
            _update()


__all__ = [*_EXPORTED, "Constant", "Identity", "Initializer", "Ones", "Zeros", "constant", "deserialize", "get", "identity",
           "install", "installed", "ones", "serialize", "uninstall", "zeros"]
