# SPDX-License-Identifier: Apache-2.0
"""The random initializers of keras.initializers with fanin's values, for Keras 3 on any back end.

    keras.layers.Dense(256, kernel_initializer=fanin.keras.HeNormal(42))
    fanin.keras.install()  # from here on "he_normal" and keras.initializers.HeNormal are fanin's

The classes are subclasses of Keras's of the same names, and differ in what a call returns: the same bits on TensorFlow, JAX,
PyTorch and NumPy, traced or not, and those of `fanin.draw`. docs/keras.md has examples.
"""
from __future__ import annotations

import contextlib
import math
import sys
import threading
import typing
import warnings

import keras

if int(keras.__version__.split(".")[0]) < 3:
    raise ImportError(f"fanin.keras needs Keras 3. Found: Keras {keras.__version__}")

import ml_dtypes
import numpy as np
from keras.initializers import Constant, Identity, Initializer, Ones, Zeros

from . import _core

_DTYPES = {name: np.dtype(getattr(ml_dtypes, name, name))
           for name in ("float16", "bfloat16", "float32", "float64", "float8_e4m3fn", "float8_e5m2")}
_BACKEND = keras.backend.backend()
if _BACKEND == "jax":
    import jax

    from . import jax as _jax
_ALIGNMENT = 64  # bytes: TensorFlow and JAX take an array's memory over from there on, and copy it otherwise


def _outside_of_traces() -> contextlib.AbstractContextManager:
    """Within it operations are run at once, whatever function is being traced."""
    if _BACKEND == "tensorflow":
        import tensorflow
        return tensorflow.init_scope()
    if _BACKEND == "jax":
        return jax.ensure_compile_time_eval()
    return contextlib.nullcontext()


def _dtype_of(dtype: object) -> str:
    """The dtype's name in Keras, None being floatx; raises ValueError if it is none that fanin has."""
    name = keras.backend.standardize_dtype(dtype)
    if name not in _DTYPES:
        raise ValueError(f"dtype must be one of {', '.join(_DTYPES)}. Received: dtype={dtype}")
    if name == "float64" and _BACKEND == "jax":
        name = str(jax.dtypes.canonicalize_dtype(name))  # float32 unless jax_enable_x64 is set
    return name


def _numbers_of(seed: int | keras.random.SeedGenerator) -> tuple[typing.Any, typing.Any]:
    """The core's seed and subsequence: a generator's state [seed, counter], and it goes on; of a number itself and 0.

    They are integers; or, on JAX, scalar arrays of uint32 if the state is not known while a function is traced.
    """
    if isinstance(seed, keras.random.SeedGenerator):
        state = seed.next()
        if _BACKEND == "jax" and isinstance(state, jax.core.Tracer):
            return tuple(state.astype("uint32"))
        try:
            numbers = keras.ops.convert_to_numpy(state)
        except Exception as error:
            raise ValueError(
                "The state of a SeedGenerator is not known while this function is traced, and fanin draws then, but on JAX. Give "
                f"the initializer an integer, or call it outside of the function. Received: seed={seed}") from error
        # Some back ends keep the two as signed numbers of 32 bits.
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
    """The back end's tensor on its current device; in the array's memory where that is possible."""
    if _BACKEND == "numpy":
        return array
    own_dtype = array.dtype.isbuiltin == 1  # not one of ml_dtypes, which PyTorch and DLPack do not take from NumPy
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
    """Whether a function is being traced, by JAX's jit or as TensorFlow's function, or Keras goes through a model for shapes."""
    if _BACKEND == "jax" and isinstance(jax.numpy.zeros(()), jax.core.Tracer):
        return True
    if _BACKEND == "tensorflow":
        import tensorflow
        if tensorflow.inside_function():
            return True
    backend = sys.modules["keras.src.backend"]
    return any(getattr(backend, name, bool)() for name in ("in_stateless_scope", "in_symbolic_scope"))


class _Drawn:
    """What the classes below have in place of Keras's __call__; constructors, configurations and errors are Keras's."""

    _was_called = False

    def _with_seed(self, seed: int) -> _core.Initializer:
        raise NotImplementedError

    def _check(self, shape: tuple[int, ...]) -> None:
        """Raises Keras's errors for shapes that the initializer does not go with."""

    def _warn_of_equal_values(self) -> None:
        if self._was_called and getattr(self, "_init_seed", 0) is None:
            warnings.warn(f"This {type(self).__name__} is unseeded and being called multiple times, which gives tensors of one shape "
                          "the same values. Make an initializer for each, or give it a SeedGenerator.", stacklevel=3)
        self._was_called = True

    def __call__(self, shape: typing.Sequence[int], dtype: object = None, *,
                 partition_shape: typing.Sequence[int] | None = None,
                 partition_offset: typing.Sequence[int] | None = None) -> typing.Any:
        """A tensor of the back end, on its current device.

        shape             of the whole tensor; numbers, which are known when a function is traced.
        dtype             a floating-point dtype by name or of any framework; None is keras.config.floatx().
        partition_shape   with partition_offset, both as long as shape: only this part of the tensor is made. Its values are
        partition_offset  the slice of the whole tensor's, whose fans give the scale. From TF 2.

        Raises ValueError for dtypes and parameters that are not allowed, IndexError for axes outside the shape, OverflowError
        for seeds of more than 64 bits, and TypeError. Warns when an initializer without a seed is called again, as TF 2.10 did.
        """
        shape = tuple(int(extent) for extent in shape)
        part = shape if partition_shape is None else tuple(int(extent) for extent in partition_shape)
        if min(shape + part, default=0) < 0:
            raise ValueError(f"Extents must not be negative. Received: shape={shape}, partition_shape={partition_shape}")
        if (partition_shape is None) != (partition_offset is None):
            raise ValueError("A part of a tensor has a partition_shape and a partition_offset: give both or neither. "
                             f"Received: partition_shape={partition_shape}, partition_offset={partition_offset}")
        name = _dtype_of(dtype)
        self._check(shape)
        traced = _is_traced()
        if not traced:
            self._warn_of_equal_values()
        with _outside_of_traces():
            seed, subsequence = _numbers_of(self.seed)
        # What is called once is not worth compiling.
        if _BACKEND == "jax" and traced and partition_shape is None and _jax.is_supported():
            return _jax.fill(_jax.tensor_of(self._with_seed(0), shape, name), _jax.stream_of(seed, subsequence))
        with _outside_of_traces():
            array = _aligned(part, _DTYPES[name])
            _core.fill(array, self._with_seed(seed), subsequence=subsequence, shape=shape, offset=partition_offset)
            return _tensor_of(array)


class VarianceScaling(_Drawn, keras.initializers.VarianceScaling):
    __doc__ = keras.initializers.VarianceScaling.__doc__

    def _axes(self) -> tuple[typing.Any, typing.Any]:
        return getattr(self, "input_axes", None), getattr(self, "output_axes", None)  # Keras has them from 3.15 on

    def _check(self, shape: tuple[int, ...]) -> None:
        if None not in self._axes():
            for axis in (*self._axes()[0], *self._axes()[1]):
                if not -len(shape) <= axis < len(shape):
                    raise IndexError(f"Axis {axis} is outside shape {shape}")

    def _with_seed(self, seed: int) -> _core.Initializer:
        return _core.VarianceScaling(float(self.scale), self.mode, self.distribution, seed, *self._axes())


class RandomNormal(_Drawn, keras.initializers.RandomNormal):
    __doc__ = keras.initializers.RandomNormal.__doc__

    def _with_seed(self, seed: int) -> _core.Initializer:
        return _core.RandomNormal(float(self.mean), float(self.stddev), seed)


class TruncatedNormal(_Drawn, keras.initializers.TruncatedNormal):
    __doc__ = keras.initializers.TruncatedNormal.__doc__

    def _with_seed(self, seed: int) -> _core.Initializer:
        return _core.TruncatedNormal(float(self.mean), float(self.stddev), seed)


class RandomUniform(_Drawn, keras.initializers.RandomUniform):
    __doc__ = keras.initializers.RandomUniform.__doc__

    def _with_seed(self, seed: int) -> _core.Initializer:
        return _core.RandomUniform(float(self.minval), float(self.maxval), seed)


class GlorotNormal(VarianceScaling, keras.initializers.GlorotNormal):
    __doc__ = keras.initializers.GlorotNormal.__doc__


class GlorotUniform(VarianceScaling, keras.initializers.GlorotUniform):
    __doc__ = keras.initializers.GlorotUniform.__doc__


class HeNormal(VarianceScaling, keras.initializers.HeNormal):
    __doc__ = keras.initializers.HeNormal.__doc__


class HeUniform(VarianceScaling, keras.initializers.HeUniform):
    __doc__ = keras.initializers.HeUniform.__doc__


class LecunNormal(VarianceScaling, keras.initializers.LecunNormal):
    __doc__ = keras.initializers.LecunNormal.__doc__


class LecunUniform(VarianceScaling, keras.initializers.LecunUniform):
    __doc__ = keras.initializers.LecunUniform.__doc__


glorot_normal = GlorotNormal
glorot_uniform = GlorotUniform
he_normal = HeNormal
he_uniform = HeUniform
lecun_normal = LecunNormal
lecun_uniform = LecunUniform
random_normal = RandomNormal
random_uniform = RandomUniform
truncated_normal = TruncatedNormal
variance_scaling = VarianceScaling
constant = Constant
identity = Identity
ones = Ones
zeros = Zeros

# The names that keras.initializers has, in its module and in configurations.
_EXPORTED = {name: value for name, value in globals().items() if isinstance(value, type) and issubclass(value, _Drawn)}
del _EXPORTED["_Drawn"]
_IDENTIFIERS = {**_EXPORTED, "normal": RandomNormal, "uniform": RandomUniform}

for _name in _EXPORTED:
    if _name[0].isupper():
        keras.saving.register_keras_serializable(package="fanin")(_EXPORTED[_name])
del _name


def serialize(initializer: Initializer) -> dict[str, typing.Any]:
    """The configuration as a dictionary: keras.initializers.serialize, in which ours are registered as "fanin>HeNormal"."""
    return keras.initializers.serialize(initializer)


def deserialize(config: dict[str, typing.Any] | str, custom_objects: dict[str, typing.Any] | None = None) -> typing.Any:
    """keras.initializers.deserialize, where configurations of Keras's own random classes give fanin's too.

    The rest is as in Keras: raises ValueError and TypeError.
    """
    if isinstance(config, dict) and config.get("class_name") in _IDENTIFIERS and not config.get("registered_name"):
        # What says that the class is Keras's comes before custom objects.
        config = {"class_name": config["class_name"], "config": config.get("config") or {}}
    return keras.initializers.deserialize(config, {**_IDENTIFIERS, **(custom_objects or {})})


def get(identifier: typing.Any) -> typing.Any:
    """keras.initializers.get, where names and configurations of Keras's random initializers give fanin's.

    "he_normal", "HeNormal", "normal", ..., {"class_name": "HeNormal", "config": {"seed": 42}}; what fanin does not have,
    "orthogonal" say, Keras's. Raises ValueError and TypeError as Keras does.
    """
    if isinstance(identifier, str) and identifier in _IDENTIFIERS:
        return _IDENTIFIERS[identifier]()
    if isinstance(identifier, dict):
        return keras.initializers.get(deserialize(identifier))
    return keras.initializers.get(identifier)


_lock = threading.Lock()
_installed_forever = False
_scopes = 0
_replaced: list[tuple[typing.Any, str, typing.Any]] = []  # dictionary, key, and what was there


def _update() -> None:
    """Puts fanin's classes in Keras's place or takes them out, as _installed_forever and _scopes say. Under _lock."""
    wanted = _installed_forever or _scopes > 0
    if wanted and not _replaced:
        targets = [(vars(keras.initializers), _EXPORTED), (keras.saving.get_custom_objects(), _IDENTIFIERS)]
        if "keras._tf_keras.keras.initializers" in sys.modules:  # what tf.keras.initializers is
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


def install() -> None:
    """From here on, in all threads, Keras's names of the random initializers mean fanin's.

    These are the identifiers that layers take, "he_normal", "HeNormal", "normal" and so on, and the classes in
    keras.initializers. What is there already stays as it is: initializers, layers, names that were imported with
    "from keras.initializers import HeNormal", and configurations in which the class is said to be keras.initializers's.
    A second call changes nothing; uninstall() takes it back.
    """
    global _installed_forever
    with _lock:
        _installed_forever = True
        _update()


def uninstall() -> None:
    """Takes install() back; within a scope of installed() when that ends. Without install() it changes nothing."""
    global _installed_forever
    with _lock:
        _installed_forever = False
        _update()


@contextlib.contextmanager
def installed() -> typing.Iterator[None]:
    """install() for the length of a with statement; scopes may be within each other. It applies to all threads."""
    global _scopes
    with _lock:
        _scopes += 1
        _update()
    try:
        yield
    finally:
        with _lock:
            _scopes -= 1
            _update()


__all__ = [*_EXPORTED, "Constant", "Identity", "Initializer", "Ones", "Zeros", "constant", "deserialize", "get", "identity",
           "install", "installed", "ones", "serialize", "uninstall", "zeros"]
