# SPDX-License-Identifier: Apache-2.0
"""Initializers as objects: Keras's configurations and calls, equality, reprs, pickles, seeds, descriptions."""
import copy
import json
import math
import pickle

import numpy as np
import pytest
from support import KERAS, same_bits

import fanin

NAMES = ["HeNormal", "HeUniform", "LecunNormal", "LecunUniform", "GlorotNormal", "GlorotUniform", "VarianceScaling",
         "TruncatedNormal", "RandomNormal", "RandomUniform", "Constant", "Zeros", "Ones", "Identity"]
SCALED = NAMES[:7]
DETERMINISTIC = NAMES[-4:]
KERAS_FILES = ["keras_configs.json", "keras_configs_tensorflow.json", "keras_configs_torch.json"]


def made(name, **arguments):
    return getattr(fanin, name)(**arguments)


# ---------------------------------------------------------------- Keras's own


def keras(file):
    contents = json.loads((KERAS / file).read_text())
    return contents, [i for i in contents["instances"] if i["cls"] in NAMES]


def negative_seed(config):
    return isinstance(config.get("seed"), int) and config["seed"] < 0


def same(a, b):
    """Equal, a NaN to a NaN too."""
    return a == b or json.dumps(a, sort_keys=True) == json.dumps(b, sort_keys=True)


@pytest.mark.parametrize("file", KERAS_FILES)
def test_keras_configs_round_trip(file):
    read = 0
    for instance in keras(file)[1]:
        config, serialized = instance["get_config"], instance["serialize"]
        class_ = getattr(fanin, instance["cls"])
        if negative_seed(config):
            for call in (lambda: fanin.deserialize(serialized), lambda: class_.from_config(config)):
                with pytest.raises(ValueError, match="18446744073709551615"):
                    call()
            continue
        for initializer in (fanin.deserialize(serialized), fanin.get(serialized), class_.from_config(config)):
            assert type(initializer) is class_
            assert same(initializer.get_config(), config)
            assert same(fanin.serialize(initializer), serialized)
        again = fanin.deserialize(json.loads(json.dumps(fanin.serialize(initializer))))
        if config.get("seed", 0) is not None:
            assert again == initializer and hash(again) == hash(initializer)
        read += 1
    assert read == 92


@pytest.mark.parametrize("file", KERAS_FILES)
def test_keras_constructors_and_attributes(file):
    compared = 0
    for instance in keras(file)[1]:
        config, arguments = instance["get_config"], dict(instance["kwargs"])
        if negative_seed(config):
            continue
        for key, value in arguments.items():  # tuples and SeedGenerators are there as their repr
            if isinstance(value, str) and value.startswith(("<", "(")):
                arguments[key] = config[key]
        if isinstance(arguments.get("seed"), dict):
            generator = arguments["seed"]["config"]
            arguments["seed"] = fanin.Seed.sequence(generator["seed"], generator["name"])
        if "value" in arguments and not isinstance(arguments["value"], (int, float)):
            continue  # an array
        initializer = made(instance["cls"], **arguments)
        expected = dict(config)
        if config.get("input_axes") is None and config.get("output_axes") is None:
            expected = {k: v for k, v in config.items() if not k.endswith("_axes")}  # Keras before 3.15 has none
        if instance["cls"] == "Identity" and "gain" in arguments:
            expected["gain"] = arguments["gain"]  # which Keras 3 forgets
        assert same(initializer.get_config(), expected)
        for key, value in instance["attrs"].items():
            ours = getattr(initializer, key, None)
            if isinstance(value, (int, float)) and key.strip("_") not in ("seed", "init_seed"):
                assert same(ours, value) or math.isnan(value), key
            if key in ("mode", "distribution"):
                assert ours == value
        compared += 1
    assert compared >= 90


@pytest.mark.parametrize("file", KERAS_FILES)
def test_keras_identifiers(file):
    contents = keras(file)[0]
    known = 0
    for identifier, name in contents["get_ok"].items():
        if name in NAMES:
            assert type(fanin.get(identifier)).__name__ == name
            known += 1
    assert known > 25


def test_get():
    assert fanin.get(None) is None
    init = fanin.HeNormal(1)
    assert fanin.get(init) is init
    assert isinstance(fanin.get(fanin.HeUniform), fanin.HeUniform)
    assert fanin.get("tf.keras.initializers.he_normalV2").get_config() == {"seed": None}
    with pytest.raises(ValueError, match="he_normal"):
        fanin.get("kaiming_normal_")
    for wrong in (3, lambda shape: 0, b"he_normal", [("class_name", "HeNormal")]):
        with pytest.raises(TypeError):
            fanin.get(wrong)
    with pytest.raises(TypeError):
        fanin.deserialize(None)
    with pytest.raises(TypeError):
        fanin.serialize("he_normal")


def test_tf2_form():
    assert fanin.serialize(fanin.HeNormal(3), "tf2") == {"class_name": "HeNormal", "config": {"seed": 3}}
    assert fanin.Identity(1.0).get_config("tf2") == {"gain": 1.0}
    with pytest.raises(ValueError, match="input_axes"):
        fanin.HeNormal(3, [0], [1]).get_config("tf2")
    with pytest.raises(ValueError, match="keras3"):
        fanin.HeNormal(3).get_config("keras2")


# ---------------------------------------------------------------- as Keras's classes


def test_factories_and_classes():
    for name in NAMES:
        snake = "".join("_" + c.lower() if c.isupper() else c for c in name)[1:]
        assert getattr(fanin, snake) is getattr(fanin, name)
        assert issubclass(getattr(fanin, name), fanin.Initializer)
        assert issubclass(getattr(fanin, name), fanin.VarianceScaling) == (name in SCALED)
        assert getattr(fanin, name).__module__ == "fanin"
    assert fanin.he_normal(42).seed == 42  # the first argument, as in Keras
    assert fanin.VarianceScaling(2.0, "fan_out", "uniform", 5).get_config() == {
        "seed": 5, "scale": 2.0, "mode": "fan_out", "distribution": "uniform"}
    assert fanin.TruncatedNormal(1, 2, 3).get_config() == {"seed": 3, "mean": 1, "stddev": 2}
    with pytest.raises(TypeError):
        fanin.Initializer()


def test_call():
    init = fanin.HeNormal(7)
    w = init((6, 8), "float64", name="w")
    assert isinstance(w, np.ndarray)
    assert same_bits(w, fanin.draw("he_normal", (6, 8), "float64", seed=7, name="w"))
    part = init((6, 8), dtype="float64", name="w", partition_shape=(2, 3), partition_offset=(4, 5))
    assert same_bits(part, w[4:, 5:].copy())
    with pytest.raises(TypeError, match=r"Unknown keyword arguments: sed.*'partition_shape', 'partition_offset'"):
        init((6, 8), sed=3)
    assert (fanin.Identity()((4, 4), partition_shape=(2, 3), partition_offset=(2, 0)) == np.eye(4)[2:, :3]).all()
    with pytest.raises(ValueError, match="2D"):
        fanin.Identity()((3, 3, 3))
    assert (fanin.Identity(2.0)((2, 3)) == [[2, 0, 0], [0, 2, 0]]).all()
    assert (fanin.Constant(0.5)((2,)) == 0.5).all()


@pytest.mark.parametrize("make, error, message", [
    (lambda: fanin.VarianceScaling(scale=0), ValueError, "scale"),
    (lambda: fanin.VarianceScaling(mode="FAN_IN"), ValueError, "fan_in"),
    (lambda: fanin.VarianceScaling(distribution="cauchy"), ValueError, "cauchy"),
    (lambda: fanin.VarianceScaling("2"), TypeError, "scale must be a number"),
    (lambda: fanin.HeNormal(-1), ValueError, "seed=-1"),
    (lambda: fanin.HeNormal("a"), TypeError, "seed='a'"),
    (lambda: fanin.HeNormal(1, input_axes="3"), TypeError, "input_axes"),
    (lambda: fanin.RandomUniform(1, -1), ValueError, "minval"),
    (lambda: fanin.RandomNormal(stddev=-1), ValueError, "stddev"),
    (lambda: fanin.TruncatedNormal(lower=3, upper=2), ValueError, "lower"),
    (lambda: fanin.Constant("1"), TypeError, "array of numbers"),
    (lambda: fanin.Zeros(1), TypeError, "Zeros"),
    (lambda: fanin.HeNormal.from_config({"sed": 3}), ValueError, "seed"),
    (lambda: fanin.HeNormal.from_config(3), TypeError, "dict"),
])
def test_wrong_arguments(make, error, message):
    with pytest.raises(error) as raised:
        make()
    assert message in str(raised.value)


@pytest.mark.parametrize("init, text", [
    (fanin.HeNormal(42), "HeNormal(seed=42)"),
    (fanin.HeUniform(1, [0], [1, 2]), "HeUniform(seed=1, input_axes=[0], output_axes=[1, 2])"),
    (fanin.VarianceScaling(seed=3), "VarianceScaling(scale=1.0, mode='fan_in', distribution='truncated_normal', seed=3)"),
    (fanin.TruncatedNormal(0, 1, 3, -3, 3), "TruncatedNormal(mean=0.0, stddev=1.0, seed=3, lower=-3.0, upper=3.0)"),
    (fanin.RandomUniform(seed=fanin.Seed.sequence(7, "g", 2)),
     "RandomUniform(minval=-0.05, maxval=0.05, seed=Seed.sequence(7, name='g', first_call=2))"),
    (fanin.LecunNormal(fanin.Seed.drawn(9)), "LecunNormal(seed=Seed.drawn(9))"),
    (fanin.Zeros(), "Zeros()"), (fanin.Constant(2), "Constant(value=2.0)"), (fanin.Identity(3), "Identity(gain=3.0)")])
def test_repr_says_how_to_make_it(init, text):
    assert repr(init) == text
    assert eval(text, vars(fanin)) == init


def test_repr_of_a_frameworks_name_has_the_drawn_seed():
    init = fanin.get("torch:kaiming_normal")
    assert ".with_seed(Seed.drawn(" in repr(init) and eval(repr(init), vars(fanin)) == init
    init = init.with_seed(7)
    assert "with_seed" not in repr(init) and eval(repr(init), vars(fanin)) == init


def test_equality():
    assert fanin.HeNormal(1) == fanin.he_normal(1) != fanin.HeNormal(2)
    assert fanin.HeNormal(1) != fanin.HeUniform(1)
    assert fanin.HeNormal(1) != fanin.VarianceScaling(2, seed=1)
    assert fanin.HeNormal(1) != fanin.HeNormal(fanin.Seed.sequence(1))
    assert fanin.HeNormal() != fanin.HeNormal()
    assert fanin.HeNormal(1) == fanin.HeNormal.from_config({"seed": 1, "input_axes": None, "output_axes": None})
    assert fanin.Constant(1) == fanin.Constant.from_config({"value": 1})
    assert fanin.HeNormal(1) != "he_normal" and fanin.HeNormal(1) != None  # noqa: E711
    assert len({fanin.HeNormal(1), fanin.HeNormal(1), fanin.HeNormal(2), fanin.Zeros(), fanin.Zeros()}) == 3


class Named(fanin.HeNormal):
    """A class of a user's."""

    def __init__(self, label, seed=None):
        super().__init__(seed)
        self.label = label


COPIES = [lambda x: pickle.loads(pickle.dumps(x)), lambda x: pickle.loads(pickle.dumps(x, 2)), copy.copy, copy.deepcopy]


@pytest.mark.parametrize("duplicate", COPIES)
def test_copies(duplicate):
    originals = [fanin.HeNormal(2**64 - 1), fanin.HeNormal(), fanin.VarianceScaling(3, "fan_out", "uniform", 1, [0], [1]),
                 fanin.TruncatedNormal(0, 1, 2, -math.inf, 3), fanin.Constant(0.1), fanin.Zeros(), fanin.Identity(2.0),
                 fanin.HeNormal(fanin.Seed.sequence(4, "generator")), Named("x", 3), Named("x")]
    for original in originals:
        twin = duplicate(original)
        assert type(twin) is type(original) and twin == original and twin is not original
        assert twin.get_config() == original.get_config()
        assert same_bits(twin((5, 5)), original((5, 5)))
    assert duplicate(Named("x", 3)).label == "x"
    for seed in (fanin.Seed(5), fanin.Seed(), fanin.Seed.sequence(7, "g", 3)):
        assert duplicate(seed) == seed


# ---------------------------------------------------------------- seeds


def test_seed_kinds():
    assert fanin.HeNormal(5).seed == 5 and fanin.HeNormal(np.uint64(2**64 - 1)).seed == 2**64 - 1
    assert fanin.HeNormal(fanin.Seed(5)) == fanin.HeNormal(5)
    drawn = fanin.HeNormal()
    assert drawn.seed_kind == "none" and 0 <= drawn.seed < 2**63
    assert drawn.get_config() == {"seed": None}
    assert same_bits(drawn((4,)), fanin.HeNormal(drawn.seed)((4,)))
    assert fanin.Zeros().seed is None
    seed = fanin.Seed.sequence(3, "generator")
    assert (seed.kind, seed.value, seed.name, seed.first_call) == ("sequence", 3, "generator", 0)
    assert fanin.HeNormal(seed).seed == seed
    assert fanin.HeNormal(seed).get_config()["seed"]["class_name"] == "SeedGenerator"
    with pytest.raises(ValueError):
        fanin.Seed.sequence(-3)


@pytest.mark.parametrize("duplicate", COPIES)
def test_sequence(duplicate):
    init = fanin.HeNormal(fanin.Seed.sequence(3))
    expected = [fanin.draw("he_normal", (9,), seed=3, subsequence=100 + call) for call in range(4)]
    for call in range(2):
        assert same_bits(init((9,), subsequence=100), expected[call])
    twin = duplicate(init)
    assert twin.calls == 2
    for going_on in (init, twin):
        w = np.zeros((9, 2), np.float32)[:, 0]
        assert same_bits(fanin.fill(w, going_on, subsequence=100).copy(), expected[2])
        assert same_bits(going_on((9,), subsequence=100), expected[3])
    assert init.with_seed(fanin.Seed.sequence(3)).calls == 0
    assert init.with_seed(None).seed_kind == "none"


# ---------------------------------------------------------------- descriptions


def test_describe():
    d = fanin.describe("he_normal", (3, 3, 64, 128))
    assert (d.initializer, d.shape, d.layout, d.fan_in, d.fan_out) == ("HeNormal", (3, 3, 64, 128), "hwio", 576, 1152)
    assert d.distribution == "truncated_normal" and d.mean == 0
    assert math.isclose(d.stddev, math.sqrt(2 / 576), rel_tol=1e-12)
    assert math.isclose(d.untruncated_stddev, math.sqrt(2 / 576) / 0.87962566103423978, rel_tol=1e-15)
    assert d.bounds == (-2 * d.untruncated_stddev, 2 * d.untruncated_stddev)
    assert "sqrt(2 / 576)" in d.derivation and d.derivation in repr(d) and "fan" in str(d)
    assert fanin.HeNormal(5).describe((64, 3, 7, 7), layout="oihw").fan_in == 147
    assert fanin.describe(fanin.HeNormal(5), (2, 2)).seed == 5
    u = fanin.describe("glorot_uniform", (10, 20))
    assert u.distribution == "uniform" and u.bounds == (-math.sqrt(6 / 30), math.sqrt(6 / 30))
    assert fanin.describe("random_normal", (3,)).bounds == (-math.inf, math.inf)
    assert fanin.describe("ones", (3,)).bounds == (1, 1) and fanin.describe("identity", (3, 3)).bounds == (0, 1)
    sequence = fanin.HeNormal(fanin.Seed.sequence(3))
    assert sequence.describe((3,)).seed_kind == "sequence" and sequence.calls == 0
    with pytest.raises(ValueError):
        fanin.describe("he_normal", (-3,))


def test_a_shape_that_changes_while_it_is_read():
    shape = []

    class Shrinks:
        def __index__(self):
            shape.clear()
            return 2

    shape.extend([Shrinks()] + [1] * 1000)
    assert fanin.draw("zeros", shape[:1]).shape == (2,)
    shape.extend([Shrinks()] + [1] * 1000)
    with pytest.raises(ValueError):  # 1001 dimensions: more than NumPy has
        fanin.draw("zeros", shape)


def test_states_that_are_none():
    for state in [(), ("{}",), ("{}", ("fixed", 1))]:
        with pytest.raises(ValueError, match="no state of an initializer"):
            fanin.HeNormal.__new__(fanin.HeNormal).__setstate__(state)
    with pytest.raises(ValueError, match="no state of a seed"):
        fanin.Seed.__new__(fanin.Seed).__setstate__(("sequence", 3))


def test_texts_that_utf8_cannot_hold():
    for call in [lambda: fanin.draw("zeros", (2,), name="\ud800"), lambda: fanin.get("\ud800"),
                 lambda: fanin.draw("zeros", (2,), "\ud800"), lambda: fanin.draw("zeros", (2,), layout="\ud800")]:
        with pytest.raises(ValueError, match="ud800"):
            call()
