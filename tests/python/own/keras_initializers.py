# SPDX-License-Identifier: Apache-2.0
"""The initializers of fanin.keras. test_keras_backends.py runs this file once for each back end, in a process of its own."""
import contextlib
import json
import math
import sys
import threading
import warnings

import keras
import ml_dtypes
import numpy as np
import pytest
from support import KERAS, check_distribution

import fanin
import fanin.keras as ours

BACKEND = keras.backend.backend()
theirs = {name: getattr(keras.initializers, name) for name in ours.__all__ if hasattr(keras.initializers, name)}
CLASSES = ["GlorotNormal", "GlorotUniform", "HeNormal", "HeUniform", "LecunNormal", "LecunUniform", "RandomNormal",
           "RandomUniform", "TruncatedNormal", "VarianceScaling"]
DTYPES = ["float32", "float16", "bfloat16", "float64", "float8_e4m3fn", "float8_e5m2"]
KERAS_3_15 = tuple(int(part) for part in keras.__version__.split(".")[:2]) >= (3, 15)


def array_of(tensor):
    """The values as a NumPy array of the tensor's dtype."""
    name = keras.backend.standardize_dtype(tensor.dtype)
    if BACKEND == "torch" and name in ("bfloat16", "float8_e4m3fn", "float8_e5m2"):
        import torch
        raw = tensor.detach().view(torch.int16 if name == "bfloat16" else torch.uint8).numpy()
        return raw.view(getattr(ml_dtypes, name))
    if BACKEND == "tensorflow":
        return tensor.numpy()  # Keras makes float32 of bfloat16
    return np.asarray(keras.ops.convert_to_numpy(tensor))


def same(tensor, array):
    got = array_of(tensor)
    return got.shape == array.shape and got.dtype == array.dtype and got.tobytes() == array.tobytes()


def drawn_dtype(dtype):
    return "float32" if BACKEND == "jax" and dtype == "float64" else dtype  # JAX's default


def traced(function):
    """The function of no arguments, compiled as the back end does it."""
    if BACKEND == "jax":
        import jax
        return jax.jit(function)
    if BACKEND == "tensorflow":
        import tensorflow
        return tensorflow.function(function)
    if BACKEND == "torch":
        import torch
        return torch.compile(function, backend="eager")
    pytest.skip("NumPy's back end does not trace")


# ---------------------------------------------------------------- values

@pytest.mark.parametrize("dtype", DTYPES)
def test_orthogonal(dtype):
    for shape in ((5, 5), (64, 33), (3, 3, 5, 80), (0, 4)):
        expected = fanin.draw(fanin.Orthogonal(0.5, seed=42), shape, drawn_dtype(dtype))
        init = ours.Orthogonal(0.5, 42)
        assert same(init(shape, dtype), expected)
        if BACKEND != "numpy":
            assert same(traced(lambda init=init, shape=shape: init(shape, dtype))(), expected)
    assert same(ours.orthogonal(0.5, 42)((64, 33), dtype, partition_shape=(4, 33), partition_offset=(8, 0)),
                fanin.draw(fanin.Orthogonal(0.5, seed=42), (64, 33), drawn_dtype(dtype))[8:12])
    assert ours.Orthogonal(0.5, 42).get_config() == keras.initializers.Orthogonal(0.5, 42).get_config()
    assert type(ours.get(keras.initializers.serialize(keras.initializers.Orthogonal(seed=1)))) is ours.Orthogonal


@pytest.mark.parametrize("side, window, scaling, periodic", [
    ("real", "hann", "density", False), ("imag", "hamming", "spectrum", True), ("real", None, None, False),
    ("imag", [0.5, 1.0, 2.0, 1.0, 0.5, 0.25, 3.0, 1.0], "density", False)])
def test_stft(side, window, scaling, periodic):
    init = ours.STFT(side, window, scaling, periodic)
    shape = (8, 1, 9)
    expected = fanin.draw(fanin.STFT(side, window, scaling, periodic), shape)
    assert same(init(shape), expected) and same(init(shape), expected)
    np.testing.assert_allclose(expected, array_of(keras.initializers.STFT(side, window, scaling, periodic)(shape)), atol=2e-6)
    if BACKEND != "numpy":
        assert same(traced(lambda: init(shape))(), expected)
    assert same(init(shape, partition_shape=(3, 1, 4), partition_offset=(2, 0, 5)), expected[2:5, :, 5:].copy())
    assert init.get_config() == keras.initializers.STFT(side, window, scaling, periodic).get_config()
    assert type(ours.get(keras.initializers.serialize(keras.initializers.STFT()))) is ours.STFT is ours.stft
    with ours.installed(seed=1):
        assert isinstance(keras.initializers.get("stft"), ours.STFT)
    with pytest.raises(ValueError, match="frame_length"):
        init((8, 2, 9))
    with pytest.raises(ValueError, match="window"):
        ours.STFT("real", "kaiser")((8, 1, 9))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", CLASSES)
def test_bits_are_the_librarys(name, dtype):
    core = getattr(fanin, name)(seed=42)
    for shape in ((), (7,), (64, 33), (3, 3, 5, 8), (0, 4)):
        made = getattr(ours, name)(seed=42)(shape, dtype)
        assert keras.ops.is_tensor(made) and keras.backend.standardize_dtype(made.dtype) == drawn_dtype(dtype)
        assert same(made, fanin.draw(core, shape, drawn_dtype(dtype)))


def test_large_tensors_keep_their_memory():
    """They are made in memory that the back end takes over, so it must live as long as the tensor."""
    tensors = [ours.HeNormal(seed)((1024, 1024)) for seed in range(8)]
    for seed, tensor in enumerate(tensors):
        assert same(tensor, fanin.draw("he_normal", (1024, 1024), seed=seed))


def test_bits_in_traced_functions():
    init = ours.HeNormal(1)
    expected = fanin.draw("he_normal", (16, 8), seed=1)
    function = traced(lambda: keras.ops.add(init((16, 8)), 0.0))
    assert same(function(), expected) and same(function(), expected)
    assert same(traced(lambda: init((16, 8)))(), expected)


def test_compiled_by_xla():
    if BACKEND != "tensorflow":
        pytest.skip("TensorFlow's")
    import tensorflow
    function = tensorflow.function(lambda x: x + ours.HeNormal(1)((16, 8)), jit_compile=True)
    assert same(function(tensorflow.constant(0.0)), fanin.draw("he_normal", (16, 8), seed=1))


def test_exported_with_a_graph(tmp_path):
    if BACKEND != "tensorflow":
        pytest.skip("TensorFlow's")
    import tensorflow
    module = tensorflow.Module()
    module.f = tensorflow.function(lambda x: x + ours.HeNormal(1)((100, 100)),
                                   input_signature=[tensorflow.TensorSpec((), "float32")])
    tensorflow.saved_model.save(module, str(tmp_path))
    loaded = tensorflow.saved_model.load(str(tmp_path))
    assert same(loaded.f(tensorflow.constant(0.0)), fanin.draw("he_normal", (100, 100), seed=1))


def test_seeds():
    for seed, number in ((0, 0), (2**64 - 1, 2**64 - 1), (-1, 2**64 - 1), (True, 1)):
        assert same(ours.RandomNormal(seed=seed)((5,)), fanin.draw(fanin.RandomNormal(), (5,), seed=number))
    for seed in (2**64, -2**63 - 1):
        with pytest.raises(OverflowError):
            ours.RandomNormal(seed=seed)((5,))
    for seed in ("a", 1.0, np.int64(1)):
        for cls in (ours.HeNormal, theirs["HeNormal"]):
            with pytest.raises(ValueError, match="`seed` argument should be an instance of"):
                cls(seed)


def test_no_seed_follows_set_random_seed():
    keras.utils.set_random_seed(7)
    first, second = ours.HeNormal(), ours.HeUniform()
    assert first.seed != second.seed and first.get_config()["seed"] is None
    assert same(first((9,)), fanin.draw("he_normal", (9,), seed=first.seed))
    assert (array_of(first((9,))) == array_of(first((9,)))).all()
    assert (array_of(first.clone()((9,))) != array_of(first((9,)))).all()  # draws a seed of its own, as in Keras
    keras.utils.set_random_seed(7)
    assert theirs["HeNormal"]().seed == first.seed and theirs["HeUniform"]().seed == second.seed


def test_calls_without_a_seed():
    """Equal weights that nobody asked for are warned of, as by TF 2.10; not what Keras does when it builds a model."""
    for init in (ours.HeNormal(), ours.RandomUniform(seed=None)):
        init((5, 4))
        with pytest.warns(UserWarning, match="unseeded and being called multiple times"):
            init((5, 4))
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*multiple times.*")
        for init in (ours.HeNormal(1), ours.HeNormal(keras.random.SeedGenerator(1)), ours.HeNormal().clone()):
            init((5, 4))
        if BACKEND in ("jax", "tensorflow"):
            init = ours.HeNormal()
            for _ in range(2):  # traced again
                traced(lambda: init((5, 4)))()
            init((5, 4))
        ours.HeNormal(1)((5, 4))
        with ours.installed():
            model = keras.Sequential([keras.layers.Bidirectional(keras.layers.LSTM(3)), keras.layers.Dense(2)])
            model(np.zeros((1, 6, 4), "float32"))
            model = keras.Sequential([keras.layers.Dense(3), keras.layers.Dense(2)])
            if BACKEND != "numpy":
                model.compile("sgd", "mse")
                model.fit(np.zeros((8, 4)), np.zeros((8, 2)), verbose=0)


def test_seed_generators():
    generator = keras.random.SeedGenerator(1337)
    init, other = ours.HeNormal(generator), ours.HeUniform(generator)
    for call, expected in enumerate([init, other, init]):
        core = "he_normal" if expected is init else "he_uniform"
        assert same(expected((50,)), fanin.draw(core, (50,), seed=1337, subsequence=call))
    keras.random.normal((2,), seed=generator)  # another user of it
    assert array_of(generator.state).tolist() == [1337, 4]
    assert same(init((50,)), fanin.draw("he_normal", (50,), seed=1337, subsequence=4))

    again = keras.initializers.deserialize(keras.initializers.serialize(init))
    assert isinstance(again.seed, keras.random.SeedGenerator)
    assert same(again((50,)), fanin.draw("he_normal", (50,), seed=1337))


def test_seed_generators_in_traced_functions():
    generator = keras.random.SeedGenerator(3)
    init = ours.HeNormal(generator)
    function = traced(lambda: init((6,)))
    if BACKEND == "torch":
        with pytest.MonkeyPatch.context() as patch:  # what is not traced is run, every time
            patch.setattr("torch._dynamo.config.suppress_errors", True)
            assert same(function(), fanin.draw("he_normal", (6,), seed=3))
        return
    for _ in range(2):  # drawn when it was traced
        assert same(function(), fanin.draw("he_normal", (6,), seed=3))
    assert same(init((6,)), fanin.draw("he_normal", (6,), seed=3, subsequence=1))


def test_state_that_is_an_argument():
    if BACKEND != "jax":
        pytest.skip("JAX's")
    import jax
    generator = keras.random.SeedGenerator(3)

    @jax.jit
    def function(state):
        with keras.StatelessScope([(generator.state, state)]) as scope:
            values = ours.HeNormal(generator)((6,)), ours.HeNormal(generator)((6,))
        return values, scope.get_current_value(generator.state)

    state = generator.state.value
    for call in (0, 2):
        values, state = function(state)
        for tensor, subsequence in zip(values, (call, call + 1)):
            assert same(tensor, fanin.draw("he_normal", (6,), seed=3, subsequence=subsequence))
    assert array_of(state).tolist() == [3, 4] and array_of(generator.state).tolist() == [3, 0]


def test_partitions():
    init = ours.HeNormal(5)
    whole = array_of(init((24, 10)))
    part = init((24, 10), partition_shape=(6, 10), partition_offset=(12, 0))
    assert same(part, np.ascontiguousarray(whole[12:18]))
    with pytest.raises(TypeError, match="unexpected keyword"):
        init((24, 10), partition=(6, 10))
    for half in ({"partition_shape": (6, 10)}, {"partition_offset": (0, 0)}):
        with pytest.raises(ValueError, match="both or neither"):
            init((24, 10), **half)
    with pytest.raises(ValueError):
        init((24, 10), partition_shape=(6, 10), partition_offset=(20, 0))


@pytest.mark.skipif(not KERAS_3_15, reason="Keras has axes from 3.15 on")
@pytest.mark.parametrize("axes", [([0], [1, 2]), ([0, 1], [2]), ([0], None), (None, [1]), ([-3], [-1]), ([], []),
                                  ([0, 0], [1]), ((0,), (1, 2))])
def test_axes_are_keras(axes):
    from keras.src.initializers.random_initializers import compute_fans
    shape = (32, 4, 16)
    fan_in, fan_out = compute_fans(shape, *axes)
    for mode, fan in (("fan_in", fan_in), ("fan_out", fan_out), ("fan_avg", (fan_in + fan_out) / 2)):
        init = ours.VarianceScaling(3.0, mode, "uniform", 1, *axes)
        limit = math.sqrt(3 * 3.0 / max(1.0, fan))
        assert same(init(shape), fanin.draw(fanin.RandomUniform(-limit, limit), shape, seed=1))
        assert init.get_config()["input_axes"] == axes[0]


@pytest.mark.skipif(not KERAS_3_15, reason="Keras has axes from 3.15 on")
def test_axes_outside_the_shape():
    for cls in (ours.HeNormal, theirs["HeNormal"]):
        with pytest.raises(IndexError):
            cls(1, [0], [3])((4, 4, 4))


# ---------------------------------------------------------------- distributions

PARAMETERS = {"RandomNormal": [{}, dict(mean=1.0, stddev=2.0)], "TruncatedNormal": [{}, dict(mean=-0.5, stddev=0.25)],
              "RandomUniform": [{}, dict(minval=-1.0, maxval=3.0)],
              "VarianceScaling": [dict(scale=2.0, mode=mode, distribution=distribution)
                                  for mode in ("fan_in", "fan_out", "fan_avg")
                                  for distribution in ("truncated_normal", "untruncated_normal", "uniform")]}
CASES = [(name, parameters) for name in CLASSES for parameters in PARAMETERS.get(name, [{}])]


def expected_of(name, parameters, shape):
    """Mean, standard deviation, lower and upper bound, by Keras's documentation."""
    if name == "RandomUniform":
        low, high = parameters.get("minval", -0.05), parameters.get("maxval", 0.05)
        return (low + high) / 2, (high - low) / math.sqrt(12), low, high
    mean, stddev = parameters.get("mean", 0.0), parameters.get("stddev", 0.05)
    if name == "RandomNormal":
        return mean, stddev, -math.inf, math.inf
    if name == "TruncatedNormal":
        return mean, stddev * 0.87962566103423978, mean - 2 * stddev, mean + 2 * stddev
    receptive = math.prod(shape[:-2])
    fans = (shape[0], shape[0]) if len(shape) == 1 else (shape[-2] * receptive, shape[-1] * receptive)
    scale, mode, distribution = {
        "He": (2.0, "fan_in"), "Le": (1.0, "fan_in"), "Gl": (1.0, "fan_avg"),
        "Va": (parameters.get("scale"), parameters.get("mode"))}[name[:2]] + (
            parameters.get("distribution") or ("uniform" if name.endswith("Uniform") else "truncated_normal"),)
    stddev = math.sqrt(scale / {"fan_in": fans[0], "fan_out": fans[1], "fan_avg": sum(fans) / 2}[mode])
    bound = {"uniform": math.sqrt(3) * stddev, "untruncated_normal": math.inf,
             "truncated_normal": 2 * stddev / 0.87962566103423978}[distribution]
    return 0.0, stddev, -bound, bound


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name, parameters", CASES,
                         ids=lambda x: x if isinstance(x, str) else "-".join(map(str, x.values())))
def test_distribution(name, parameters, dtype):
    for shape in ((13_007,), (64, 200), (3, 5, 24, 37)):
        values = array_of(getattr(ours, name)(**parameters, seed=11)(shape, dtype)).astype(np.float64).ravel()
        coarse = dtype.startswith("float8")  # which no framework draws
        live = array_of(theirs[name](**parameters, seed=12)(shape, "float32" if coarse else dtype))
        live = live.astype(getattr(ml_dtypes, dtype) if coarse else live.dtype).astype(np.float64).ravel()
        # Rounded, a framework's values reach the interval's end or leave it, and those of 8 bits have nowhere else to go.
        check_distribution(values, *expected_of(name, parameters, shape), np.clip(live, values.min(), values.max()), coarse)


def test_check_can_fail():
    values = np.random.default_rng(1).standard_normal(12_800) * 0.05
    live = np.random.default_rng(2).standard_normal(12_800) * 0.05
    expected = expected_of("RandomNormal", {}, (64, 200))
    check_distribution(values, *expected, live)
    for wrong in (values * 1.05, values + 0.005, values.clip(-0.08, 0.08), np.sign(values) * 0.05):
        with pytest.raises(AssertionError):
            check_distribution(wrong, *expected, live)


def test_a_seed_of_fanins():
    """A fixed or drawn fanin.Seed is its number; a sequence is what Keras has SeedGenerator for."""
    seed = fanin.Seed(42)
    for init in (ours.HeNormal(seed), ours.RandomNormal(stddev=0.1, seed=seed), ours.Orthogonal(seed=seed)):
        assert init.seed == 42 and init.get_config()["seed"] == 42
        assert (array_of(init((6, 5))) == array_of(type(init).from_config(init.get_config())((6, 5)))).all()
    drawn = fanin.Seed()
    assert ours.GlorotUniform(seed=drawn).seed == drawn.value
    with pytest.raises(ValueError, match="sequence"):
        ours.HeNormal(seed=fanin.Seed.sequence(1))
    with pytest.raises(ValueError, match="sequence"):
        ours.install(seed=fanin.Seed.sequence(1))


# ---------------------------------------------------------------- Keras's ways

@pytest.mark.parametrize("name", CLASSES)
def test_configurations_are_keras(name):
    import inspect
    cls, base = getattr(ours, name), theirs[name]
    assert issubclass(cls, base) and issubclass(cls, keras.initializers.Initializer)
    assert issubclass(cls, ours.VarianceScaling) == issubclass(base, theirs["VarianceScaling"])
    assert inspect.signature(cls) == inspect.signature(base)
    for seed in (None, 42):
        init = cls(seed=seed)
        assert init.get_config() == base(seed=seed).get_config()
        assert list(init.get_config()) == list(base(seed=seed).get_config())
        saved = json.loads(json.dumps(ours.serialize(init)))
        assert saved["registered_name"] == f"fanin>{name}" and saved["class_name"] == name
        for again in (keras.initializers.deserialize(saved), keras.saving.deserialize_keras_object(saved),
                      ours.deserialize(saved), keras.initializers.get(saved), ours.get(saved), init.clone(),
                      cls.from_config(init.get_config())):
            assert type(again) is cls and again.get_config() == init.get_config()
            assert seed is None or same(again((20,)), array_of(init((20,))))


def test_recorded_configurations():
    recorded = json.loads((KERAS / "keras_configs.json").read_text())
    seen = 0
    for instance in recorded["instances"]:
        if instance["cls"] in CLASSES and KERAS_3_15 and "SeedGenerator" not in str(instance):
            init = ours.deserialize(instance["serialize"])
            assert type(init) is getattr(ours, instance["cls"]) and init.get_config() == instance["get_config"]
            seen += 1
    assert seen >= 10 or not KERAS_3_15


def test_identifiers():
    for name in CLASSES:
        snake = "".join("_" + c.lower() if c.isupper() else c for c in name)[1:]
        for identifier in (name, snake, getattr(ours, name), {"class_name": name, "config": {}},
                           {"class_name": snake, "config": None}, {"class_name": name},
                           keras.initializers.serialize(theirs[name](seed=1))):
            assert type(ours.get(identifier)) is getattr(ours, name)
        assert getattr(ours, snake) is getattr(ours, name)
        assert type(keras.initializers.get(name)) is theirs[name]
    assert type(ours.get("normal")) is ours.RandomNormal and type(ours.get("uniform")) is ours.RandomUniform
    assert ours.get(None) is None and type(ours.get("zeros")) is keras.initializers.Zeros
    assert type(ours.get("OrthogonalInitializer")) is ours.OrthogonalInitializer is ours.Orthogonal
    init = ours.HeNormal(1)
    assert ours.get(init) is init and ours.Zeros is keras.initializers.Zeros
    values = np.ones((2, 2), "float32")
    assert same(ours.get(values)((2, 2)), values)


@pytest.mark.parametrize("make", [
    lambda k: k.VarianceScaling(0), lambda k: k.VarianceScaling(-1.0), lambda k: k.VarianceScaling(mode="FAN_IN"),
    lambda k: k.VarianceScaling(distribution="gauss"), lambda k: k.VarianceScaling(bogus=1), lambda k: k.HeNormal("a"),
    lambda k: k.HeNormal(1)(None), lambda k: k.HeNormal(1)((4, None)),
    lambda k: k.HeNormal.from_config({"bogus": 1}), lambda k: k.get("typo"), lambda k: k.get(3), lambda k: k.get({"a": 1}),
    lambda k: k.deserialize({"class_name": "HeNormal", "config": {"bogus": 1}}), lambda k: k.HeNormal(1)()])
def test_errors_are_keras(make):
    with pytest.raises(Exception) as expected:
        make(keras.initializers)
    with pytest.raises((ValueError, TypeError)) as got:
        make(ours)
    # What the framework below Keras refuses, it refuses in words and types of its own.
    if type(expected.value) in (ValueError, TypeError):
        assert got.type is expected.type


def test_errors_of_our_own():
    for call in (lambda: ours.HeNormal(1)((4, 4), "int32"), lambda: ours.HeNormal(1)((4, 4), "nonsense"),
                 lambda: ours.HeNormal(1)((-1, -4)),
                 lambda: ours.RandomNormal(stddev=-1.0)((4,)), lambda: ours.RandomNormal(stddev=math.nan)((4,)),
                 lambda: ours.RandomUniform(1.0, 0.0)((4,))):
        with pytest.raises(ValueError):
            call()
    for shape in ((), (3,)):
        with pytest.raises(ValueError, match="at least two-dimensional"):
            ours.Orthogonal(1)(shape)


def test_names_are_deserialized_as_objects():
    assert type(ours.deserialize("he_normal")) is ours.HeNormal and isinstance(ours.deserialize("zeros"), ours.Zeros)
    assert type(ours.deserialize("he_normal", {"he_normal": ours.HeUniform})) is not ours.HeNormal


def test_dtypes_that_keras_lacks():
    known = "float32, float64, float16, bfloat16, float8_e4m3fn, float8_e5m2"
    for name in ("float6_e2m3fn", "float4_e2m1fn", "float8_e4m3fnuz", "int32"):
        with pytest.raises(ValueError, match=f"dtype must be one of {known}. "):
            ours.HeNormal(1)((4, 4), name)


def test_dtypes_of_the_framework():
    keras.config.set_floatx("float16")
    try:
        assert same(ours.HeNormal(1)((4, 4)), fanin.draw("he_normal", (4, 4), "float16", seed=1))
    finally:
        keras.config.set_floatx("float32")
    for name, known_as in (("f4", "float32"), ("half", "float16"), (np.float16, "float16")):
        assert same(ours.HeNormal(1)((4, 4), name), fanin.draw("he_normal", (4, 4), known_as, seed=1))
    dtype = keras.ops.zeros((), "bfloat16").dtype
    assert same(ours.HeNormal(1)([4, 4], dtype), fanin.draw("he_normal", (4, 4), "bfloat16", seed=1))


def test_one_integer_is_a_shape():
    assert same(ours.HeNormal(1)(5), array_of(ours.HeNormal(1)((5,))))
    with pytest.raises(TypeError, match="float"):
        ours.HeNormal(1)((2.5,))


def test_the_core_takes_initializers_of_keras():
    for module in (keras.initializers, ours):
        assert fanin.get(module.HeNormal(3)) == fanin.HeNormal(3)
        drawn = fanin.draw(module.RandomNormal(1.0, 2.0, seed=3), (5,))
        assert (drawn == fanin.draw(fanin.RandomNormal(1.0, 2.0, 3), (5,))).all()
    assert fanin.get(keras.initializers.Zeros) == fanin.Zeros()


def test_seeds_that_are_no_integers():
    for seed in (1.5, "a"):
        with pytest.raises(TypeError, match=f"The seed must be an integer.*seed={seed!r}"):
            ours.install(seed)


def test_parameters_may_be_tensors():
    init = ours.RandomNormal(keras.ops.convert_to_tensor(0.5), keras.ops.convert_to_tensor(0.25), seed=1)
    assert same(init((9,)), fanin.draw(fanin.RandomNormal(0.5, 0.25), (9,), seed=1))


# ---------------------------------------------------------------- layers and models

def test_inside_layers():
    layer = keras.layers.Dense(64, kernel_initializer=ours.HeNormal(1))
    layer.build((None, 32))
    assert same(layer.kernel.value, fanin.draw("he_normal", (32, 64), seed=1))
    layer = keras.layers.Conv2D(8, 3, kernel_initializer=ours.GlorotUniform(2), dtype="bfloat16")
    layer.build((None, 16, 16, 4))
    assert same(layer.kernel.value, fanin.draw("glorot_uniform", (3, 3, 4, 8), "bfloat16", seed=2))
    variable = keras.Variable(ours.LecunNormal(3), shape=(5, 6), dtype="float32")
    assert same(variable.value, fanin.draw("lecun_normal", (5, 6), seed=3))


def test_trained_weights_are_nobody_elses():
    """Training writes to the tensor's memory where the back end may."""
    if BACKEND == "numpy":
        pytest.skip("NumPy's back end does not train")
    init = ours.HeNormal(1)
    model = keras.Sequential([keras.Input((256,)), keras.layers.Dense(128, kernel_initializer=init)])
    kept = init((256, 128))
    model.compile("sgd", "mse")
    x = np.random.default_rng(1).standard_normal((64, 256)).astype("float32")
    model.fit(x, np.ones((64, 128), "float32"), epochs=3, verbose=0)
    expected = fanin.draw("he_normal", (256, 128), seed=1)
    assert (array_of(model.layers[0].kernel.value) != expected).mean() > 0.99
    assert same(kept, expected) and same(init((256, 128)), expected)


@pytest.mark.skipif(not KERAS_3_15, reason="Keras has axes from 3.15 on")
def test_einsum_dense_sets_the_axes():
    layer = keras.layers.MultiHeadAttention(8, 16, kernel_initializer=ours.LecunNormal(4))
    layer.build((None, 10, 32), (None, 10, 32))
    kernel = array_of(layer.query_dense.kernel.value)
    assert kernel.shape == (32, 8, 16)
    assert kernel.tobytes() == fanin.draw(fanin.LecunNormal(4, [0], [1, 2]), (32, 8, 16)).tobytes()


def test_saved_models(tmp_path):
    inits = ours.HeNormal(1), ours.VarianceScaling(2, seed=keras.random.SeedGenerator(2))
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(5, kernel_initializer=inits[0]),
                              keras.layers.Dense(4, kernel_initializer=inits[1])])
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    for before, after in zip(model.layers, loaded.layers):
        assert type(after.kernel_initializer) is type(before.kernel_initializer)
        assert after.kernel_initializer.__class__.__module__ == "fanin.keras"
        assert after.kernel_initializer.get_config() == before.kernel_initializer.get_config()
        assert same(after.kernel.value, array_of(before.kernel.value))
    fresh = keras.models.clone_model(model)
    assert same(fresh.layers[0].kernel.value, fanin.draw("he_normal", (6, 5), seed=1))


def test_sharded_over_devices():
    """Keras makes sharded variables by tracing the initializer with jax.jit."""
    if BACKEND != "jax":
        pytest.skip("JAX's")
    import jax
    assert len(jax.devices()) == 4  # test_keras_backends.py asks for them
    mesh = keras.distribution.DeviceMesh((2, 2), ("batch", "model"))
    layouts = keras.distribution.LayoutMap(mesh)
    layouts[".*kernel"] = (None, "model")
    with keras.distribution.ModelParallel(layout_map=layouts, batch_dim_name="batch").scope():
        layer = keras.layers.Dense(64, kernel_initializer=ours.HeNormal(1))
        layer.build((None, 32))
    assert len({str(shard.index) for shard in layer.kernel.value.addressable_shards}) == 2
    assert same(layer.kernel.value, fanin.draw("he_normal", (32, 64), seed=1))


# ---------------------------------------------------------------- install

def is_installed():
    inits = [keras.layers.Dense(3, kernel_initializer=name).kernel_initializer
             for name in ("he_normal", "HeNormal", "normal")]
    inits += [keras.initializers.get({"class_name": "HeNormal", "config": {"seed": 1}}), keras.initializers.HeNormal(1),
              keras.initializers.he_normal(1), keras.layers.Dense(3).kernel_initializer]
    is_ours = {type(init).__module__ == "fanin.keras" for init in inits}
    assert len(is_ours) == 1
    assert type(keras.initializers.get("zeros")).__module__.startswith("keras.")
    return is_ours.pop()


def test_install():
    objects = dict(keras.saving.get_custom_objects())
    module = dict(vars(keras.initializers))
    assert not is_installed()
    ours.uninstall()  # nothing to take back
    ours.install()
    ours.install()
    assert is_installed()
    with ours.installed():
        ours.uninstall()
        assert is_installed()
    assert not is_installed()
    with contextlib.suppress(KeyError), ours.installed(), ours.installed():
        assert is_installed()
        found = []
        thread = threading.Thread(target=lambda: found.append(is_installed()))
        thread.start()
        thread.join()
        assert found == [True]
        raise KeyError
    assert not is_installed()
    with ours.installed():
        ours.install()
    assert is_installed()
    ours.uninstall()
    assert dict(keras.saving.get_custom_objects()) == objects and dict(vars(keras.initializers)) == module


def test_install_in_tensorflow():
    if BACKEND != "tensorflow":
        pytest.skip("TensorFlow's")
    import tensorflow
    before = tensorflow.keras.initializers.HeNormal
    with ours.installed():
        assert tensorflow.keras.initializers.HeNormal is ours.HeNormal
        assert type(tensorflow.keras.layers.Dense(3).kernel_initializer) is ours.GlorotUniform
    assert tensorflow.keras.initializers.HeNormal is before


def test_install_in_a_model(tmp_path):
    with ours.installed():
        keras.utils.set_random_seed(3)
        model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(5, kernel_initializer="he_normal")])
    init = model.layers[0].kernel_initializer
    assert same(model.layers[0].kernel.value, fanin.draw("he_normal", (6, 5), seed=init.seed))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")  # without being installed
    assert type(loaded.layers[0].kernel_initializer) is ours.HeNormal


def test_other_threads():
    init = ours.HeNormal(1)
    expected = fanin.draw("he_normal", (100, 100), seed=1)
    right = []
    threads = [threading.Thread(target=lambda: right.append(all(same(init((100, 100)), expected) for _ in range(20))))
               for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert right == [True] * 4


# ---------------------------------------------------------------- variables with draws of their own

def network(extra=False, initializer="he_normal"):
    layers = [keras.layers.Dense(16, "relu", kernel_initializer=initializer, name=f"dense{number}") for number in range(3)]
    if extra:
        layers.insert(1, keras.layers.Dense(8, kernel_initializer=initializer, name="extra"))
        layers.insert(2, keras.layers.Dense(16, kernel_initializer=initializer, name="wide"))
    return keras.Sequential([keras.Input((16,)), *layers], name="net")


def kernels(model):
    return {variable.path: array_of(variable.value) for variable in model.weights if variable.path.endswith("kernel")}


def draws(path, shape, initializer="he_normal", seed=42):
    return fanin.draw(initializer, shape, seed=seed, name=path)


def test_keys():
    with ours.installed(seed=42):
        plain = network()
        more = network(extra=True)
        own = network(initializer=theirs["HeNormal"](7))  # Keras's class, and a seed of its own
    got, with_more = kernels(plain), kernels(more)
    assert len(got) == 3 and set(got) < set(with_more)
    for path, values in got.items():
        assert np.array_equal(values, draws(path, (16, 16)))
        assert np.array_equal(with_more[path], values)  # the others' weights do not change
    for path, values in kernels(own).items():
        assert np.array_equal(values, draws(path, (16, 16), seed=7))
    generator = keras.random.SeedGenerator(3)
    with ours.installed(seed=42):
        for call in range(2):  # a generator's draws stay in the order of the calls
            layer = keras.layers.Dense(4, kernel_initializer=ours.HeNormal(generator))
            kernel, = kernels(keras.Sequential([keras.Input((4,)), layer])).values()
            assert np.array_equal(kernel, fanin.draw("he_normal", (4, 4), seed=3, subsequence=call))
        layer = keras.layers.Dense(4, kernel_initializer="orthogonal")
        kernel, = kernels(keras.Sequential([keras.Input((4,)), layer])).values()
    assert np.allclose(kernel.T @ kernel, np.eye(4), atol=1e-5)


def test_the_innermost_seed_counts():
    def kernel():
        return next(iter(kernels(network()).values()))

    with ours.installed(seed=1):
        with ours.installed(seed=2):
            with ours.installed(seed=1):
                first = kernel()
            second = kernel()
        outer = kernel()
    assert np.array_equal(first, draws("net/dense0/kernel", (16, 16), seed=1)) and np.array_equal(first, outer)
    assert np.array_equal(second, draws("net/dense0/kernel", (16, 16), seed=2))
    with ours.installed(seed=1), pytest.raises(OverflowError, match="`seed` must be from"):
        network(initializer=ours.HeNormal(2**70))


def test_subclasses_of_users():
    class Mixin:
        pass

    class Mine(ours.HeNormal, Mixin):
        pass

    class Own(ours.HeNormal, Mixin):
        def __init__(self, factor):
            super().__init__(seed=factor * 2)

    for init in (Mine(fanin.Seed(6)), Own(3)):
        assert same(init((4, 4)), fanin.draw("he_normal", (4, 4), seed=6))


def test_keys_come_and_go():
    def first():
        return array_of(keras.Variable(ours.RandomNormal(), shape=(5,), name="w").value)

    keyed = fanin.draw("random_normal", (5,), seed=1, name="w")
    ours.install(seed=1)
    try:
        assert np.array_equal(first(), keyed)
        with ours.installed(seed=2), ours.installed():
            assert np.array_equal(first(), fanin.draw("random_normal", (5,), seed=2, name="w"))
        assert np.array_equal(first(), keyed)
        ours.install()
        assert not np.array_equal(first(), keyed)
        ours.install(seed=1)
    finally:
        ours.uninstall()
    assert not np.array_equal(first(), keyed)
    for seed, error in ((-1, ValueError), (2**64, ValueError), ("a", TypeError), (1.5, TypeError)):
        with pytest.raises(error):
            ours.install(seed=seed)
    assert not is_installed()


def test_keyed_models_are_saved(tmp_path):
    with ours.installed(seed=42):
        model = network()
        model.save(tmp_path / "model.keras")
        loaded = keras.models.load_model(tmp_path / "model.keras")
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), loaded.get_weights()))
    model.save_weights(tmp_path / "model.weights.h5")
    other = network()
    other.load_weights(tmp_path / "model.weights.h5")
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), other.get_weights()))


@pytest.mark.skipif(BACKEND != "jax", reason="keras.distribution shards on JAX")
@pytest.mark.parametrize("at_once", [False, True])
def test_keys_under_a_distribution(tmp_path, monkeypatch, at_once):
    # Keras makes large variables by a compiled initializer, and shards small ones afterwards.
    monkeypatch.setattr(sys.modules["keras.src.backend.jax.core"], "should_shard_at_init", lambda layout, shape: at_once)

    def build():
        with ours.installed(seed=42):
            return network()

    plain = kernels(build())
    mesh = keras.distribution.DeviceMesh((1, 4), ["batch", "model"], keras.distribution.list_devices()[:4])
    layout = keras.distribution.LayoutMap(mesh)
    layout[".*dense.*kernel"] = (None, "model")
    keras.distribution.set_distribution(keras.distribution.ModelParallel(layout_map=layout, batch_dim_name="batch"))
    try:
        model = build()
    finally:
        keras.distribution.set_distribution(None)
    sharded = {variable.path: variable.value for variable in model.weights if variable.path.endswith("kernel")}
    assert sharded.keys() == plain.keys()
    for path, array in sharded.items():
        assert len({str(shard.index) for shard in array.addressable_shards}) == 4
        assert np.array_equal(np.asarray(array), plain[path])
    checkpoint = pytest.importorskip("orbax.checkpoint", reason="orbax-checkpoint is not installed")
    tree = {path.replace("/", "."): array for path, array in sharded.items()}
    with checkpoint.StandardCheckpointer() as saver:
        saver.save(tmp_path / "weights", tree)
        saver.wait_until_finished()
        restored = saver.restore(tmp_path / "weights", tree)
    assert all(np.array_equal(np.asarray(restored[name]), np.asarray(tree[name])) for name in tree)
