# SPDX-License-Identifier: Apache-2.0
"""The initializers of fanin.jax. test_jax_devices.py runs this file with 8 host devices, and the shardings also with 1, 2 and 4."""
import itertools
import math
import re
import threading

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P
from support import check_distribution, same_bits

import fanin
import fanin.jax as ours

theirs = jax.nn.initializers
KEY = jax.random.key(42)
DTYPES = ["float32", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2"]
ALL_DTYPES = [*DTYPES, "float8_e4m3fnuz", "float8_e5m2fnuz"]
SCALED = ["glorot_normal", "glorot_uniform", "he_normal", "he_uniform", "lecun_normal", "lecun_uniform"]
SHAPES = [(1, 7), (64, 33), (3, 3, 5, 8), (0, 4)]
DEVICES = len(jax.devices())
AXES = {1: (1,), 2: (2,), 4: (2, 2), 8: (2, 2, 2)}[DEVICES]
needs_all_devices = pytest.mark.skipif(DEVICES < 8, reason="needs 8 devices")


def mesh(kind=AxisType.Auto):
    return jax.make_mesh(AXES, tuple("xyz"[:len(AXES)]), axis_types=(kind,) * len(AXES))


def same(array, expected):
    return same_bits(np.asarray(array), expected)


def compiled(function, *arguments):
    return function.lower(*arguments).compile()


# ---------------------------------------------------------------- values

@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", SCALED)
def test_bits_are_the_librarys(name, dtype):
    init = getattr(ours, name)()
    for shape in SHAPES:
        expected = fanin.draw(name, shape, dtype, seed=42)
        array = init(KEY, shape, dtype)
        assert isinstance(array, jax.Array) and array.dtype == dtype
        assert same(array, expected)
        assert same(jax.jit(init, static_argnums=(1, 2))(KEY, shape, dtype), expected)
        assert same(getattr(ours, name)(dtype=dtype)(KEY, list(shape)), expected)


@pytest.mark.parametrize("dtype", ALL_DTYPES)
def test_bits_of_plain_distributions(dtype):
    assert ours.normal()(KEY, 7).shape == (7,)
    for shape in [(), (7,), (2, 3, 4)]:
        for init, core in [(ours.normal(), fanin.RandomNormal(0, 1e-2)), (ours.normal(2.0), fanin.RandomNormal(0, 2)),
                           (ours.uniform(), fanin.RandomUniform(0, 1e-2)), (ours.uniform(3), fanin.RandomUniform(0, 3)),
                           (ours.truncated_normal(), fanin.TruncatedNormal(0, 1e-2)),
                           (ours.truncated_normal(0.5, lower=-1, upper=3), fanin.TruncatedNormal(0, 0.5, None, -1, 3)),
                           *((ours.truncated_normal(1, lower=lower, upper=upper), fanin.TruncatedNormal(0, 1, None, lower, upper))
                             for lower, upper in [(-math.inf, 2), (0.5, 0.625), (-1, 1), (1, 2), (-8, -4), (2, math.inf)])]:
            assert same(init(KEY, shape, dtype), fanin.draw(core, shape, dtype, seed=42))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_orthogonal(dtype):
    init = ours.orthogonal()
    for shape in [(1, 1), (64, 33), (33, 64), (3, 3, 5, 8), (0, 4)]:
        expected = fanin.draw(fanin.Orthogonal(seed=42), shape, dtype)
        assert same(init(KEY, shape, dtype), expected)
        assert same(jax.jit(init, static_argnums=(1, 2))(KEY, shape, dtype), expected)
    moved = np.moveaxis(fanin.draw(fanin.Orthogonal(2.0, seed=42), (3, 5, 8), dtype), -1, 0)
    assert same(ours.orthogonal(2.0, column_axis=0)(KEY, (8, 3, 5), dtype), np.ascontiguousarray(moved))
    sharding = NamedSharding(mesh(), P("x"))
    assert same(init(KEY, (64, 33), dtype, sharding), fanin.draw(fanin.Orthogonal(seed=42), (64, 33), dtype))
    stacked = jax.vmap(lambda key: init(key, (6, 4), dtype))(jax.random.split(KEY, 3))
    assert same(stacked[1], np.asarray(init(jax.random.split(KEY, 3)[1], (6, 4), dtype)))
    kernel = np.asarray(ours.delta_orthogonal()(KEY, (3, 4, 5, 6), dtype))
    assert same(kernel[1, 1], fanin.draw(fanin.Orthogonal(seed=42), (5, 6), dtype)) and np.count_nonzero(kernel) <= 30
    for make, shape in ((ours.orthogonal(), (3,)), (ours.delta_orthogonal(), (3, 3)), (ours.delta_orthogonal(), (3, 4, 2))):
        with pytest.raises(ValueError):
            make(KEY, shape)
        with pytest.raises(ValueError):
            getattr(theirs, "orthogonal" if shape == (3,) else "delta_orthogonal")()(KEY, shape)


def test_aliases_and_constants():
    assert ours.kaiming_normal is ours.he_normal and ours.kaiming_uniform is ours.he_uniform
    assert ours.xavier_normal is ours.glorot_normal and ours.xavier_uniform is ours.glorot_uniform
    assert ours.zeros is theirs.zeros and ours.ones is theirs.ones and ours.constant is theirs.constant
    assert isinstance(ours.he_normal(), theirs.Initializer)


def test_float64():
    with pytest.warns(UserWarning, match="float64"):  # JAX's own
        assert same(ours.he_normal()(KEY, (4, 5), "float64"), fanin.draw("he_normal", (4, 5), seed=42))
    with jax.enable_x64(True):
        expected = fanin.draw("he_normal", (4, 5), "float64", seed=42)
        assert same(ours.he_normal()(KEY, (4, 5), jnp.float64), expected)
        assert same(jax.jit(lambda key: ours.he_normal()(key, (4, 5)))(KEY), expected)  # the default then
    assert same(ours.he_normal()(KEY, (4, 5)), fanin.draw("he_normal", (4, 5), seed=42))


def test_nothing_to_draw():
    assert same(ours.variance_scaling(0.0, "fan_in", "normal")(KEY, (3, 2)), np.zeros((3, 2), "float32"))
    assert same(ours.normal(0.0)(KEY, (3, 2)), np.zeros((3, 2), "float32"))
    for distribution in ("normal", "truncated_normal", "uniform"):
        assert ours.variance_scaling(1.0, "fan_avg", distribution)(KEY, (0, 3, 2)).shape == (0, 3, 2)


def complex_of(pairs):
    return pairs[..., 0] + 1j * pairs[..., 1]


def test_complex_tensors_are_pairs():
    shape = (40, 50)
    scale = math.sqrt(1 / 40)
    normal = ours.variance_scaling(1.0, "fan_in", "normal")(KEY, shape, "complex64")
    assert normal.dtype == "complex64"
    assert same(normal, complex_of(fanin.draw(fanin.RandomNormal(0, scale / math.sqrt(2)), (*shape, 2), seed=42)))
    assert same(ours.normal(0.5)(KEY, shape, "complex64"),
                complex_of(fanin.draw(fanin.RandomNormal(0, 0.5 / math.sqrt(2)), (*shape, 2), seed=42)))
    u = fanin.draw(fanin.Formula("u"), (*shape, 2), "float64", seed=42)
    direction = np.exp(2j * np.pi * u[..., 1])
    disk = ours.variance_scaling(1.0, "fan_in", "uniform")(KEY, shape, "complex64")
    np.testing.assert_allclose(disk, scale * np.sqrt(2 * u[..., 0]) * direction, rtol=2e-7, atol=1e-8)
    # JAX's formula: 1 - t = 1 - (1 - exp(-4)) u
    modulus = np.sqrt(-np.log(1 - (1 - np.exp(-4.0)) * u[..., 0])) * scale / .95311164380491208
    cut = ours.variance_scaling(1.0, "fan_in", "truncated_normal")(KEY, shape, "complex64")
    np.testing.assert_allclose(cut, modulus * direction, rtol=2e-7, atol=1e-8)
    assert same(jax.jit(ours.he_normal(), static_argnums=(1, 2))(KEY, shape, "complex64"),
                np.asarray(ours.he_normal()(KEY, shape, "complex64")))
    assert not np.asarray(ours.variance_scaling(0.0, "fan_in", "uniform")(KEY, (3, 2), "complex64")).any()
    with jax.enable_x64(True):
        double = ours.he_normal()(KEY, shape, "complex128")
        assert double.dtype == "complex128"
        np.testing.assert_allclose(double, ours.he_normal()(KEY, shape, "complex64"), rtol=3e-7, atol=1e-9)


@pytest.mark.parametrize("distribution", ["normal", "uniform", "truncated_normal"])
def test_complex_distributions_are_jaxs(distribution):
    """Variance and modulus: each bound is 5 standard errors, so a false alarm has a probability of 1e-6. The seed is fixed."""
    shape = (200, 200)
    ours_, theirs_ = (np.asarray(module.variance_scaling(2.0, "fan_in", distribution)(KEY, shape, "complex64")).ravel()
                      for module in (ours, theirs))
    squares = np.abs(ours_) ** 2
    # The mean square of a complex normal that is truncated at 2 is 1 - 4 / (e^4 - 1); JAX divides by another number.
    variance = 2 / 200 * ((1 - 4 / math.expm1(4)) / .95311164380491208 ** 2 if distribution == "truncated_normal" else 1)
    assert abs(squares.mean() - variance) < 5 * squares.std() / 200
    assert abs(ours_.mean()) < 5 * math.sqrt(2 / 200) / 200
    for part in (0.25, 0.5, 0.75):
        quantile = np.quantile(np.abs(theirs_), part)
        assert abs((np.abs(ours_) < quantile).mean() - part) < 5 * math.sqrt(2 * part * (1 - part)) / 200
    if distribution != "normal":
        assert np.abs(ours_).max() <= np.abs(theirs_).max() * 1.001


@needs_all_devices
def test_complex_sharding():
    sharding = NamedSharding(mesh(), P("x", "y"))
    array = ours.he_uniform()(KEY, (8, 6), "complex64", out_sharding=sharding)
    assert array.sharding.is_equivalent_to(sharding, 2)
    assert same(array, np.asarray(ours.he_uniform()(KEY, (8, 6), "complex64")))


def test_many_threads():
    init, failed = ours.he_normal(), []

    def work(number):
        for shape in [(40 + number, 30), (500, 400)]:
            if not same(init(jax.random.key(number), shape), fanin.draw("he_normal", shape, seed=number)):
                failed.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed


# ---------------------------------------------------------------- keys

def test_keys_of_jax():
    init, expected = ours.he_normal(), fanin.draw("he_normal", (6, 5), seed=42)
    for key in [jax.random.PRNGKey(42), jax.random.key(42, impl="rbg"), jax.random.key(42, impl="unsafe_rbg"),
                np.array([0, 42], np.uint32)]:
        assert same(init(key, (6, 5)), expected)
    for key in jax.random.split(KEY, 3):
        high, low = map(int, jax.random.key_data(key))
        assert same(init(key, (6, 5)), fanin.draw("he_normal", (6, 5), seed=high << 32 | low))
    words = np.array([1, 2, 30, 40], np.uint32)
    expected = fanin.draw("he_normal", (6, 5), seed=1 << 32 | 2, subsequence=(1 ^ 30) << 32 | 2 ^ 40)
    assert same(init(jax.random.wrap_key_data(words, impl="rbg"), (6, 5)), expected)


def test_keys_of_names():
    for arguments in [dict(), dict(name="h.0.attn.weight"), dict(name=""), dict(subsequence=2**64 - 1), dict(subsequence=7)]:
        for seed in (0, 42, 2**63 + 5, 2**64 - 1):
            key = ours.key(seed, **arguments)
            assert same(ours.he_normal()(key, (6, 5)), fanin.draw("he_normal", (6, 5), seed=seed, **arguments))
    assert jax.random.normal(ours.key(1, "w"), (2,)).shape == (2,) and jax.random.split(ours.key(1), 3).shape == (3,)
    for error, arguments in [(ValueError, dict(seed=-1)), (ValueError, dict(seed=2**64)), (TypeError, dict(seed=1.5)),
                             (ValueError, dict(seed=1, subsequence=-1)), (ValueError, dict(seed=1, name="a", subsequence=0))]:
        with pytest.raises(error):
            ours.key(**arguments)


@pytest.mark.parametrize("key", [jax.random.split(KEY, 2), jnp.zeros(2, jnp.int32), jnp.zeros(3, jnp.uint32), 3, 1.5,
                                 jnp.zeros((5, 2), jnp.uint32)], ids=str)
def test_what_is_no_key(key):
    for init in (ours.he_normal(), theirs.he_normal()):
        with pytest.raises((TypeError, ValueError)):
            init(key, (2, 3))


def test_checker_of_reuse():
    """Equal keys give equal draws, so JAX's checker must see what an initializer uses up."""
    with jax.debug_key_reuse(True):
        for of in (ours, theirs):
            key = jax.random.key(0)
            of.he_normal()(key, (2, 3))
            with pytest.raises(jax.errors.KeyReuseError):
                of.he_normal()(key, (2, 3))
            with pytest.raises(jax.errors.KeyReuseError):
                jax.jit(lambda key: of.he_normal()(key, (2, 3)) + of.normal()(key, (2, 3)))(jax.random.key(0))


# ---------------------------------------------------------------- distributions

def expected_of(name, arguments, shape):
    """Mean, standard deviation, lower and upper bound, by JAX's documentation."""
    if name == "uniform":
        high = arguments.get("scale", 1e-2)
        return high / 2, high / math.sqrt(12), 0.0, high
    if name in ("normal", "truncated_normal"):
        stddev = arguments.get("stddev", 1e-2)
        cut = name == "truncated_normal"
        return 0.0, stddev * (0.87962566103423978 if cut else 1), *((-2 * stddev, 2 * stddev) if cut else (-math.inf, math.inf))
    axes = {which: (value,) if isinstance(value, int) else value
            for which, value in ((which, arguments.get(which, default))
                                 for which, default in (("in_axis", -2), ("out_axis", -1), ("batch_axis", ())))}
    inputs, outputs, batch = (math.prod(shape[axis] for axis in axes[which]) for which in ("in_axis", "out_axis", "batch_axis"))
    receptive_field = math.prod(shape) / inputs / outputs / batch
    fans = inputs * receptive_field, outputs * receptive_field
    scale, mode = {"he": (2.0, "fan_in"), "lecun": (1.0, "fan_in"), "glorot": (1.0, "fan_avg"),
                   "variance": (arguments.get("scale"), arguments.get("mode"))}[name.split("_")[0]]
    distribution = arguments.get("distribution") or {"normal": "truncated_normal", "uniform": "uniform"}[name.split("_")[1]]
    stddev = math.sqrt(scale / {"fan_in": fans[0], "fan_out": fans[1], "fan_avg": sum(fans) / 2,
                                "fan_geo_avg": math.sqrt(fans[0] * fans[1])}[mode])
    bounds = {"uniform": math.sqrt(3) * stddev, "normal": math.inf, "truncated_normal": 2 * stddev / 0.87962566103423978}
    bound = bounds[distribution]
    return 0.0, stddev, -bound, bound


MATRICES = [(64, 200), (3, 5, 24, 37)]
CASES = [(name, {}, MATRICES) for name in SCALED] + [
    (name, arguments, [(13_007,), *MATRICES]) for name, arguments in [
        ("uniform", {}), ("uniform", dict(scale=3.0)), ("normal", {}), ("normal", dict(stddev=0.3)), ("truncated_normal", {}),
        ("truncated_normal", dict(stddev=1.5))]] + [
    ("variance_scaling", dict(scale=1.5, mode=mode, distribution=distribution), MATRICES)
    for mode in ("fan_in", "fan_out", "fan_avg", "fan_geo_avg") for distribution in ("truncated_normal", "normal", "uniform")] + [
    ("variance_scaling", dict(scale=1.0, mode="fan_in", distribution="normal", **axes), [shape]) for axes, shape in [
        (dict(in_axis=0, out_axis=1), (10, 20, 8, 9)), (dict(in_axis=(0, 1), out_axis=(-2, -1)), (10, 20, 8, 9)),
        (dict(in_axis=1, out_axis=2, batch_axis=0), (10, 20, 8, 9)),
        (dict(in_axis=-1, out_axis=(0,), batch_axis=(1, 2)), (10, 20, 8, 9)),
        (dict(in_axis=0, out_axis=()), (13_007,)), (dict(out_axis=0), (200, 64))]]  # the last is Flax's Embed


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name, arguments, shapes", CASES,
                         ids=lambda x: x if isinstance(x, str) else "-".join(map(str, x.values())) if isinstance(x, dict) else "")
def test_distribution(name, arguments, shapes, dtype):
    coarse = dtype.startswith("float8")  # which JAX does not draw
    for shape in shapes:
        values = np.asarray(getattr(ours, name)(**arguments)(jax.random.key(11), shape, dtype)).astype(np.float64).ravel()
        live = np.asarray(getattr(theirs, name)(**arguments)(jax.random.key(12), shape, "float32" if coarse else dtype))
        live = live.astype(getattr(ml_dtypes, dtype) if coarse else live.dtype).astype(np.float64).ravel()
        # Rounded, JAX's values reach the interval's end or leave it, and those of 8 bits have nowhere else to go.
        check_distribution(values, *expected_of(name, arguments, shape), np.clip(live, values.min(), values.max()), coarse)


def test_check_can_fail():
    shape, arguments = (64, 200), dict(scale=2.0, mode="fan_in", distribution="truncated_normal")
    values = np.asarray(ours.variance_scaling(**arguments)(KEY, shape)).astype(np.float64).ravel()
    live = np.asarray(theirs.variance_scaling(**arguments)(KEY, shape)).astype(np.float64).ravel()
    expected = expected_of("variance_scaling", arguments, shape)
    check_distribution(values, *expected, live)
    for wrong in (values * 0.87962566103423978, values * 1.05, values + 0.02, np.sign(values) * values.std()):
        with pytest.raises(AssertionError):
            check_distribution(wrong, *expected, live)
    for name, value in [("mode", "fan_out"), ("scale", 1.8)]:  # 64 for 200 inputs
        with pytest.raises(AssertionError):
            check_distribution(values, *expected_of("variance_scaling", {**arguments, name: value}, shape), live)


# ---------------------------------------------------------------- transformations

def test_vmap():
    init = ours.he_normal()
    keys = jax.random.split(KEY, 6).reshape(2, 3)
    expected = np.array([[np.asarray(init(key, (5, 4))) for key in row] for row in keys])
    fill = lambda key: init(key, (5, 4))  # noqa: E731
    assert same(jax.vmap(jax.vmap(fill))(keys), expected)
    assert same(jax.jit(jax.vmap(jax.vmap(fill)))(keys), expected)
    assert same(jax.vmap(jax.vmap(fill), in_axes=1)(keys), expected.swapaxes(0, 1))
    assert same(jax.vmap(fill, out_axes=2)(keys[0]), np.moveaxis(expected[0], 0, 2))
    assert same(jax.vmap(lambda key, x: fill(key) + x, in_axes=(None, 0))(KEY, jnp.zeros(3))[2],
                fanin.draw("he_normal", (5, 4), seed=42))
    text = compiled(jax.jit(jax.vmap(jax.vmap(fill))), keys).as_text()
    assert len(re.findall("fanin_fill", text)) == 1 and "while" not in text  # one call for all of them


def test_in_programs():
    init, expected = ours.he_normal(), fanin.draw("he_normal", (5, 4), seed=42)
    assert jax.eval_shape(lambda key: init(key, (5, 4), "bfloat16"), KEY) == jax.ShapeDtypeStruct((5, 4), "bfloat16")
    keys = jax.random.split(KEY, 3)
    scanned = jax.lax.scan(lambda carry, key: (carry, init(key, (5, 4))), 0, keys)[1]
    assert same(scanned, np.array([np.asarray(init(key, (5, 4))) for key in keys]))
    loss = lambda x: (x * init(KEY, (5, 4))).sum()  # noqa: E731
    for gradient in (jax.grad(loss), jax.jit(jax.grad(loss)), jax.grad(jax.checkpoint(loss)), jax.jacfwd(loss)):
        assert gradient(2.0) == pytest.approx(float(expected.sum()), rel=1e-5)
    assert same(jax.lax.cond(True, lambda key: init(key, (5, 4)), lambda key: jnp.zeros((5, 4)), KEY), expected)
    with jax.disable_jit():
        assert same(init(KEY, (5, 4)), expected)


def test_export():
    pytest.importorskip("flatbuffers", reason="JAX needs flatbuffers to serialise programs")
    check = jax.export.DisabledSafetyCheck.custom_call("fanin_fill")
    exported = jax.export.export(jax.jit(lambda key: ours.he_normal()(key, (5, 4))), disabled_checks=[check])(jax.random.PRNGKey(0))
    again = jax.export.deserialize(exported.serialize())
    assert same(again.call(jax.random.PRNGKey(42)), fanin.draw("he_normal", (5, 4), seed=42))


def test_no_copy_and_no_constant():
    """What is compiled holds the call, and neither the values nor memory for more of them than the result's."""
    fill = compiled(jax.jit(lambda key: ours.he_normal()(key, (1024, 1024))), KEY)
    memory = fill.memory_analysis()
    assert memory.output_size_in_bytes == 4 * 1024**2
    assert memory.temp_size_in_bytes < 1024 and memory.generated_code_size_in_bytes < 2**20
    assert " copy(" not in fill.as_text()


# ---------------------------------------------------------------- shardings

def every_sharding(rank):
    """All ways to cut a tensor's dimensions along the mesh's axes, in any order of those."""
    names = mesh().axis_names
    specs = set()
    for count in range(len(names) + 1):
        for used in itertools.permutations(names, count):
            for dimensions in itertools.product(range(rank), repeat=count):
                spec = tuple(tuple(name for name, at in zip(used, dimensions) if at == d) or None for d in range(rank))
                specs.add(spec)
    return sorted(specs, key=str)


def in_place(array, expected):
    """Whether each device has its part of the whole's bits."""
    return all(same(part.data, np.ascontiguousarray(expected[part.index])) for part in array.addressable_shards)


def test_every_sharding_of_a_tensor():
    shape, init = (8, 16, 24), ours.he_normal()
    expected = fanin.draw("he_normal", shape, seed=42)
    specs = every_sharding(3)
    assert len(specs) == {1: 4, 2: 4, 4: 19, 8: 106}[DEVICES]
    for spec in specs:
        sharding = NamedSharding(mesh(), P(*spec))
        fill = jax.jit(lambda key: init(key, shape), out_shardings=sharding)
        array = fill(KEY)
        assert array.sharding.is_equivalent_to(sharding, 3) and in_place(array, expected), spec
        program = compiled(fill, KEY)
        local = ",".join(map(str, sharding.shard_shape(shape)))
        assert f"f32[{local}]{{2,1,0}} custom-call" in program.as_text(), spec
        assert not re.findall(r"all-\w+\(|collective", program.as_text()) and program.memory_analysis().temp_size_in_bytes < 1024


@pytest.mark.parametrize("kind", [AxisType.Auto, AxisType.Explicit], ids=str)
def test_out_sharding(kind):
    expected = fanin.draw("he_uniform", (16, 24), "bfloat16", seed=42)
    init = ours.he_uniform(dtype=jnp.bfloat16)
    names = mesh().axis_names
    with jax.set_mesh(mesh(kind)):
        for spec in [P(), P("x"), P(None, names), P(names[-1], names[0] if DEVICES > 2 else None)]:
            sharding = NamedSharding(jax.sharding.get_mesh(), spec)
            for array in (init(KEY, (16, 24), out_sharding=spec), init(KEY, (16, 24), out_sharding=sharding),
                          jax.jit(lambda key: init(key, (16, 24), out_sharding=spec))(KEY)):
                assert array.sharding.is_equivalent_to(sharding, 2) and in_place(array, expected), spec
        assert same(init(KEY, (16, 24)), expected)
    if kind == AxisType.Auto:  # no mesh is set
        assert in_place(init(KEY, (16, 24), out_sharding=NamedSharding(mesh(), P("x"))), expected)


@needs_all_devices
def test_inside_of_programs_for_several_devices():
    """Where no boundary of the program names a mesh, and where parts are unequal, which XLA pads."""
    for shape in [(8, 16, 24), (7, 5, 9), (3, 5, 9), (1, 1, 1), (0, 3, 4)]:
        expected = fanin.draw("he_normal", shape, seed=42)
        for spec in [P("x", "y", "z"), P(("x", "y", "z")), P(None, ("z", "x")), P(None, None, ("y", "z")), P("y", None, "x")]:
            constrain = lambda array: jax.lax.with_sharding_constraint(array, NamedSharding(mesh(), spec))  # noqa: E731
            fill = jax.jit(lambda key: 1.0 * constrain(ours.he_normal()(key, shape)))
            assert same(fill(KEY), expected), (shape, spec)
            total = jax.jit(lambda key: constrain(ours.he_normal()(key, shape)).sum())(KEY)
            assert float(total) == pytest.approx(float(expected.sum(dtype=np.float64)), abs=1e-4)


@needs_all_devices
def test_sharded_keys():
    keys = jax.random.split(KEY, 8)
    expected = np.array([np.asarray(ours.he_normal()(key, (8, 6))) for key in keys])
    sharded = jax.device_put(keys, NamedSharding(mesh(), P(("x", "y"))))
    for spec, local in [(P(("x", "y")), True), (P(("x", "y"), "z"), True), (P("z", "x"), False), (P(None, "x"), False),
                        (P(), False)]:
        fill = jax.jit(jax.vmap(lambda key: ours.he_normal()(key, (8, 6))), out_shardings=NamedSharding(mesh(), spec))
        assert in_place(fill(sharded), expected), spec
        assert in_place(fill(keys), expected), spec
        assert ("all-gather" in compiled(fill, sharded).as_text()) != local  # of the keys
    five = jax.jit(lambda keys: 1.0 * jax.lax.with_sharding_constraint(
        jax.vmap(lambda key: ours.he_normal()(key, (7, 6)))(keys), NamedSharding(mesh(), P("x", "y", "z"))))(keys[:5])
    assert same(five, np.array([np.asarray(ours.he_normal()(key, (7, 6))) for key in keys[:5]]))
    with jax.set_mesh(mesh(AxisType.Explicit)):
        sharded = jax.device_put(keys, P("x"))
        array = jax.vmap(lambda key: ours.he_normal()(key, (8, 6), out_sharding=P(None, "y")))(sharded)
        assert array.sharding.spec == P("x", None, "y") and in_place(array, expected)
        ensemble = jax.vmap(lambda key: ours.he_normal()(key, (8, 6)))
        for fill in (ensemble, jax.jit(ensemble)):
            array = fill(sharded)  # as the keys are
            assert jax.typeof(array).sharding.spec == P("x", None, None) and in_place(array, expected)


@needs_all_devices
def test_compilation_cache(tmp_path):
    """Programs that differ in a number alone must not be taken for one another. Before it is partitioned, JAX shows of a call
    an address that is soon another's."""
    settings = {"jax_compilation_cache_dir": str(tmp_path), "jax_persistent_cache_min_compile_time_secs": 0.0,
                "jax_persistent_cache_min_entry_size_bytes": -1, "jax_remove_custom_partitioning_ptr_from_cache_key": True}
    before = {name: getattr(jax.config, name) for name in settings}
    sharding = NamedSharding(mesh(), P(("x", "y", "z")))
    try:
        for name, value in settings.items():
            jax.config.update(name, value)
        for number in range(1, 13):
            fill = jax.jit(lambda key: ours.normal(number)(key, (16, 4)), out_shardings=sharding)
            assert in_place(fill(KEY), fanin.draw(fanin.RandomNormal(0, number), (16, 4), seed=42)), number
            del fill
        assert len(list(tmp_path.glob("*-cache"))) >= 12
    finally:
        for name, value in before.items():
            jax.config.update(name, value)


@needs_all_devices
def test_shard_map():
    init, expected = ours.he_normal(), fanin.draw("he_normal", (8, 6), seed=42)
    everywhere = jax.shard_map(lambda key: init(key, (8, 6)), mesh=mesh(), in_specs=P(), out_specs=P())
    assert same(jax.jit(everywhere)(KEY), expected)
    own = jax.shard_map(lambda keys: init(keys[0], (8, 6))[None], mesh=mesh(), in_specs=P(("x", "y", "z")),
                        out_specs=P(("x", "y", "z")))
    keys = jax.random.split(KEY, 8)
    assert same(jax.jit(own)(keys), np.array([np.asarray(init(key, (8, 6))) for key in keys]))
    partly = jax.shard_map(lambda key: jax.lax.with_sharding_constraint(init(key, (8, 6)), P("y")), mesh=mesh(), in_specs=P(),
                           out_specs=P("x"), axis_names={"x"}, check_vma=False)
    with jax.set_mesh(mesh()):
        assert same(jax.jit(partly)(KEY), np.concatenate([expected, expected]))


@needs_all_devices
@pytest.mark.filterwarnings("ignore")
def test_the_older_partitioner():
    jax.config.update("jax_use_shardy_partitioner", False)
    try:
        expected = fanin.draw("he_normal", (8, 8, 4), seed=42)
        for spec in [P("x", "y", "z"), P(None, ("y", "x")), P("z")]:
            fill = jax.jit(lambda key: ours.he_normal()(key, (8, 8, 4)), out_shardings=NamedSharding(mesh(), spec))
            assert in_place(fill(KEY), expected)
        keys = jax.device_put(jax.random.split(KEY, 8), NamedSharding(mesh(), P("x")))
        fill = jax.jit(jax.vmap(lambda key: ours.he_normal()(key, (8, 6))), out_shardings=NamedSharding(mesh(), P("y", "x")))
        assert in_place(fill(keys), np.array([np.asarray(ours.he_normal()(key, (8, 6))) for key in keys]))
    finally:
        jax.config.update("jax_use_shardy_partitioner", True)


# ---------------------------------------------------------------- errors

@pytest.mark.parametrize("error, make", [
    (ValueError, lambda of: of.he_normal()(KEY, (5,))),
    (ValueError, lambda of: of.he_normal()(KEY, ())),
    (ValueError, lambda of: of.variance_scaling(1.0, "fan", "normal")(KEY, (2, 3))),
    (ValueError, lambda of: of.variance_scaling(1.0, "fan_in", "cauchy")(KEY, (2, 3))),
    (ValueError, lambda of: of.he_normal()(KEY, (2, 3), "int32")),
    (ValueError, lambda of: of.uniform()(KEY, (2, 3), "complex64")),
    (IndexError, lambda of: of.he_normal(in_axis=5)(KEY, (2, 3))),
    (TypeError, lambda of: of.normal()(KEY, (2, 1.5))),
    (TypeError, lambda of: of.normal()(KEY, (2, 3), "no such dtype")),
    ((TypeError, ValueError), lambda of: of.normal()(KEY, (2, 3), None, "x")),
], ids=str)
def test_errors_are_jaxs(error, make):
    for of in (ours, theirs):
        with pytest.raises(error):
            make(of)


@pytest.mark.parametrize("words, make", [
    ("scale", lambda: ours.variance_scaling(-1.0, "fan_in", "normal")(KEY, (2, 3))),
    ("scale", lambda: ours.variance_scaling(math.nan, "fan_in", "normal")(KEY, (2, 3))),
    ("stddev", lambda: ours.normal(-1.0)(KEY, (2, 3))),
    ("stddev becomes zero", lambda: ours.normal(1e-60)(KEY, (2, 3))),
    ("scale", lambda: ours.uniform(-1.0)(KEY, (2, 3))),
    ("`lower` must be less", lambda: ours.truncated_normal(1.0, lower=2.0, upper=1.0)(KEY, (2, 3))),
    ("negative", lambda: ours.normal()(KEY, (2, -3))),
    ("2\\^56", lambda: jax.eval_shape(lambda: ours.normal()(KEY, (2**30, 2**30)))),
], ids=str)
def test_errors_of_our_own(words, make):
    with pytest.raises(ValueError, match=words):
        make()


def call(stream=(42, 0, 0, 0), place=(0, 0), result=((4, 3), "float32"), **attributes):
    attributes = {"shape": np.array([4, 3]), "parts": np.array([1, 1]), "distribution": "normal", "mean": np.float64(0),
                  "stddev": np.float64(1), **attributes}
    fill = jax.ffi.ffi_call("fanin_fill", jax.ShapeDtypeStruct(*result))
    attributes = {k: v for k, v in attributes.items() if v is not None}
    return fill(jnp.array(stream, jnp.uint32), jnp.array(place, jnp.int32), **attributes)


@pytest.mark.parametrize("wrong", [
    dict(stddev=None), dict(stddev=np.int64(7)), dict(stddev="1"), dict(distribution="cauchy"), dict(distribution=np.float64(1)),
    dict(shape=np.array([4, 3], np.int32)), dict(shape="4,3"), dict(shape=np.array([-4, 3])), dict(place=(-1, 0)),
    dict(parts=None), dict(parts=np.array([2, 1])), dict(parts=np.array([0, 1])), dict(parts=np.array([1])),
    dict(shape=np.array([4, 3, 2])), dict(stream=(42, 0, 0)),
    dict(place=(0,)), dict(result=((4, 3), "int32")), dict(stream=((42, 0, 0, 0),)), dict(stddev=np.float64(-1))], ids=str)
def test_calls_of_others(wrong):
    """The custom call has a name, by which anybody can call it: it refuses what it does not know."""
    assert same(call(), fanin.draw(fanin.RandomNormal(0, 1, 42), (4, 3)))
    with pytest.raises(Exception, match="fanin.jax|stddev"):
        call(**wrong).block_until_ready()


# ---------------------------------------------------------------- Flax

def test_flax():
    nnx = pytest.importorskip("flax.nnx", reason="Flax is not installed")
    layer = nnx.Linear(12, 5, kernel_init=ours.he_normal(), rngs=nnx.Rngs(0))
    key = jax.random.fold_in(jax.random.key(0), 0)  # of the first parameter
    assert same(layer.kernel.get_value(), np.asarray(ours.he_normal()(key, (12, 5))))
    convolution = nnx.Conv(3, 8, (3, 3), kernel_init=ours.he_normal(), param_dtype=jnp.bfloat16, rngs=nnx.Rngs(1))
    assert convolution.kernel.get_value().dtype == jnp.bfloat16
    embedding = nnx.Embed(50, 8, embedding_init=ours.variance_scaling(1.0, "fan_in", "normal", out_axis=0), rngs=nnx.Rngs(2))
    assert np.asarray(embedding.embedding.get_value()).std() == pytest.approx(8**-0.5, rel=0.2)
