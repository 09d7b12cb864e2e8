# SPDX-License-Identifier: Apache-2.0
"""fanin.jax.keyed_params: parameters by their paths, in Flax NNX and Linen, sharded and not. test_jax_devices.py runs it."""
import dataclasses
import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

import fanin
import fanin.jax
from fanin.jax import keyed_params

RULES = {"*.bias": "zeros", "*.scale": "ones", "embed*": fanin.RandomNormal(stddev=0.02), "*kernel": "he_normal"}


def drawn(initializer, shape, name, dtype="float32", seed=42):
    return fanin.draw(initializer, shape, dtype, seed=seed, name=name)


def tree(**shapes):
    return {name: jax.ShapeDtypeStruct(shape, jnp.float32) for name, shape in shapes.items()}


def test_values_are_those_of_names():
    params = {"layers": [tree(kernel=(4, 8), bias=(8,)), tree(kernel=(8, 4), bias=(4,))], "embedding": tree(table=(5, 4))["table"]}
    got = keyed_params(params, 42, RULES)
    assert np.array_equal(got["layers"][1]["kernel"], drawn("he_normal", (8, 4), "layers.1.kernel"))
    assert np.array_equal(got["embedding"], drawn(fanin.RandomNormal(stddev=0.02), (5, 4), "embedding"))
    assert not got["layers"][0]["bias"].any()
    del params["layers"][0]["kernel"]
    fewer = keyed_params({"more": tree(kernel=(3, 3)), **params}, 42, RULES)
    assert np.array_equal(fewer["layers"][1]["kernel"], got["layers"][1]["kernel"])
    part = keyed_params(params["layers"][1], 42, RULES, prefix="layers.1.")
    assert np.array_equal(part["kernel"], got["layers"][1]["kernel"])
    half = keyed_params({"kernel": jax.ShapeDtypeStruct((8, 4), jnp.bfloat16)}, 42, RULES, prefix="layers.1.")
    assert np.array_equal(half["kernel"], drawn("he_normal", (8, 4), "layers.1.kernel", "bfloat16"))


def test_forms_of_rules():
    one = tree(kernel=(4, 8))
    expected = drawn("he_normal", (4, 8), "kernel")
    for rules in ([("*", "he_normal")], {re.compile("k.*"): fanin.HeNormal}, {"*": {"class_name": "HeNormal", "config": {}}},
                  {"*": fanin.jax.he_normal()}, lambda name, leaf: "he_normal"):
        assert np.array_equal(keyed_params(one, 42, rules)["kernel"], expected)
    assert np.array_equal(keyed_params(one, 42, {"*": fanin.HeNormal(7)})["kernel"], drawn("he_normal", (4, 8), "kernel", seed=7))
    of_jax = jax.nn.initializers.he_normal()
    assert np.array_equal(keyed_params(one, 42, {"*": of_jax})["kernel"], of_jax(fanin.jax.key(42, "kernel"), (4, 8)))

    @dataclasses.dataclass
    class Without:  # a hash
        factor: float

        def __call__(self, key, shape, dtype):
            return self.factor * of_jax(key, shape, dtype)

    got = keyed_params(one, 42, {"*": Without(2)})["kernel"]
    assert np.array_equal(got, 2 * of_jax(fanin.jax.key(42, "kernel"), (4, 8)))
    seed = fanin.Seed(42)
    assert np.array_equal(keyed_params(one, seed, {"*": of_jax})["kernel"], of_jax(fanin.jax.key(seed, "kernel"), (4, 8)))
    with pytest.raises(ValueError, match="sequence"):
        keyed_params(one, fanin.Seed.sequence(42), {"*": of_jax})
    here = {"kernel": jnp.full((4, 8), 3.0), "steps": jnp.arange(3)}
    assert (keyed_params(here, 42, {"*": "keep"})["kernel"] == 3).all()
    got = keyed_params(here, 42, lambda name, leaf: None)
    assert (got["kernel"] == 3).all() and np.array_equal(got["steps"], np.arange(3))


@pytest.mark.parametrize("rules, error, message", [
    ({"bias": "zeros"}, ValueError, "No rule matches the parameter 'kernel'"),
    ({"*": "he_normul"}, ValueError, "'kernel'.*he_normul"),
    ({"*": fanin.Identity()}, ValueError, "'kernel'.*custom call draws uniform"),
    ({"*": fanin.TruncatedNormal(0, 1, 1, -3, 3)}, ValueError, "'kernel'.*fanin.jax.truncated_normal"),
    ({"*": fanin.HeNormal(fanin.Seed.sequence(1))}, ValueError, "'kernel'.*sequence of seeds"),
    ({"*": 3}, TypeError, "'kernel'.*function of"),
    ({"*": None}, TypeError, "Received: None"),
    ({3: "zeros"}, TypeError, "A pattern is a glob"),
    ("he_normal", TypeError, "The rules are"),
    ({"*": lambda key, shape, dtype: jnp.zeros(3)}, ValueError, "makes an array"),
])
def test_refusals(rules, error, message):
    with pytest.raises(error, match=message):
        keyed_params(tree(kernel=(4, 8)), 42, rules)


def test_seeds_that_are_no_integers():
    for seed, message in ((1.5, "seed=1.5"), ("a", "seed='a'"), (None, "must be given")):
        with pytest.raises(TypeError, match=message):
            keyed_params(tree(kernel=(4, 8)), seed, RULES)
        with pytest.raises(TypeError, match=message):
            fanin.jax.key(seed)


def test_initializers_of_keras():
    class Initializer:
        """As Keras's, with what fanin knows them by."""

        def get_config(self):
            return {"stddev": 2.0, "seed": 5}

    Initializer.__module__, Initializer.__name__ = "keras.src.initializers.random_initializers", "RandomNormal"
    got = keyed_params(tree(kernel=(4, 8)), 42, {"*": Initializer()})["kernel"]
    assert np.array_equal(got, fanin.draw(fanin.RandomNormal(stddev=2.0), (4, 8), seed=5, name="kernel"))


def test_abstract_integers_are_refused():
    with pytest.raises(ValueError, match="'steps' is abstract and of int32"):
        keyed_params({"steps": jax.ShapeDtypeStruct((), jnp.int32)}, 42, RULES)


def check_shards(array, expected, parts):
    assert len({str(shard.index) for shard in array.addressable_shards}) == parts
    assert np.array_equal(np.asarray(array), expected)


@pytest.mark.parametrize("spec, parts", [(P("x", "y"), 8), (P(None, "x"), 4), (P(("x", "y")), 8), (P(), 1)])
def test_shardings(spec, parts):
    sharding = NamedSharding(jax.make_mesh((4, 2), ("x", "y"), axis_types=(jax.sharding.AxisType.Auto,) * 2), spec)
    expected = drawn("he_normal", (16, 32), "kernel")
    leaf = {"kernel": jax.ShapeDtypeStruct((16, 32), jnp.float32, sharding=sharding)}
    check_shards(keyed_params(leaf, 42, RULES)["kernel"], expected, parts)
    check_shards(keyed_params({"kernel": jax.device_put(np.zeros((16, 32), "f"), sharding)}, 42, RULES)["kernel"], expected, parts)
    make = jax.jit(functools.partial(keyed_params, tree(kernel=(16, 32)), 42, RULES), out_shardings={"kernel": sharding})
    check_shards(make()["kernel"], expected, parts)


def test_flax_nnx():
    nnx = pytest.importorskip("flax.nnx", reason="Flax is not installed")

    class Model(nnx.Module):
        def __init__(self, rngs):
            kernel = nnx.with_partitioning(nnx.initializers.lecun_normal(), (None, "y"))
            self.layers = nnx.List([nnx.Linear(8, 8, kernel_init=kernel, rngs=rngs) for _ in range(3)])
            self.norm = nnx.LayerNorm(8, rngs=rngs)

    @nnx.jit
    def create():
        model = Model(nnx.Rngs(0))
        state = keyed_params(nnx.state(model, nnx.Param), 42, {"norm.*": "keep", **RULES})
        nnx.update(model, jax.lax.with_sharding_constraint(state, nnx.get_partition_spec(state)))
        return model

    with jax.set_mesh(jax.make_mesh((4, 2), ("x", "y"), axis_types=(jax.sharding.AxisType.Auto,) * 2)):
        model = create()
    for number, layer in enumerate(model.layers):
        check_shards(layer.kernel.get_value(), drawn("he_normal", (8, 8), f"layers.{number}.kernel"), 2)
        assert not layer.bias.get_value().any()
    assert (model.norm.scale.get_value() == 1).all()


def test_a_linen_model_in_the_shape_of_maxtext():
    """Logical axes, layers that are scanned into one array, abstract parameters, and the shardings of the mesh."""
    nn = pytest.importorskip("flax.linen", reason="Flax is not installed")

    class Block(nn.Module):
        @nn.compact
        def __call__(self, x, _):
            kernel = nn.with_logical_partitioning(nn.initializers.lecun_normal(), ("embed", "mlp"))
            return x + nn.Dense(8, use_bias=False, kernel_init=kernel, name="mlp")(x), None

    class Decoder(nn.Module):
        @nn.compact
        def __call__(self, tokens):
            table = nn.with_logical_partitioning(nn.initializers.normal(), ("vocab", "embed"))
            x = nn.Embed(16, 8, embedding_init=table, name="embedder")(tokens)
            layers = nn.scan(Block, variable_axes={"params": 0}, split_rngs={"params": True}, length=4,
                             metadata_params={nn.PARTITION_NAME: "layers"})
            return layers(name="layers")(x, None)[0]

    mesh = jax.make_mesh((2, 4), ("fsdp", "tensor"), axis_types=(jax.sharding.AxisType.Auto,) * 2)
    axes = [("embed", "fsdp"), ("mlp", "tensor"), ("vocab", "tensor"), ("layers", None)]
    abstract = jax.eval_shape(Decoder().init, jax.random.key(0), jnp.zeros((1, 3), jnp.int32))
    shardings = nn.logical_to_mesh_sharding(nn.get_partition_spec(abstract), mesh, axes)
    rules = {"*.embedding": fanin.jax.normal(0.02),
             "*.kernel": fanin.jax.lecun_normal(in_axis=-2, out_axis=-1, batch_axis=0)}  # the axis of the layers has no fan
    make = jax.jit(lambda: nn.meta.unbox(keyed_params(abstract, 42, rules)), out_shardings=shardings)
    params = make()["params"]
    kernel = drawn(fanin.VarianceScaling(1, "fan_in", "truncated_normal", 42, input_axes=[1], output_axes=[2]), (4, 8, 8),
                   "params.layers.mlp.kernel")
    check_shards(params["layers"]["mlp"]["kernel"], kernel, 8)
    check_shards(params["embedder"]["embedding"], drawn(fanin.RandomNormal(stddev=0.02), (16, 8), "params.embedder.embedding"), 8)


def test_an_orbax_round_trip(tmp_path):
    checkpoints = pytest.importorskip("orbax.checkpoint", reason="Orbax is not installed")
    here = NamedSharding(jax.make_mesh((len(jax.devices()),), ("x",)), P("x"))
    params = {"layer": {"kernel": jax.ShapeDtypeStruct((8, 4), jnp.bfloat16, sharding=here)}, "bias": tree(bias=(8,))["bias"]}
    made = keyed_params(params, 42, RULES | {"bias": "ones"})
    with checkpoints.StandardCheckpointer() as checkpointer:
        checkpointer.save(tmp_path / "weights", made)
        checkpointer.wait_until_finished()
        restored = checkpointer.restore(tmp_path / "weights", jax.tree.map(jnp.zeros_like, made))
    assert jax.tree.all(jax.tree.map(lambda a, b: bool((a == b).all()) and a.dtype == b.dtype, made, restored))
    assert (restored["layer"]["kernel"] == drawn("he_normal", (8, 4), "layer.kernel", "bfloat16")).all()


def test_constants_are_clamped_as_in_draw():
    for dtype in ("float16", "float8_e4m3fn", "float8_e5m2", "float32"):
        made = fanin.jax.keyed_params({"w": jnp.zeros((2, 3), dtype)}, 1, {"*": fanin.Constant(1e6)})["w"]
        assert made.dtype == dtype
        assert (np.asarray(made).astype(np.float64) == fanin.draw(fanin.Constant(1e6), (2, 3), dtype).astype(np.float64)).all()


def test_complex_parameters_and_orthogonal_names():
    made = fanin.jax.keyed_params({"w": jnp.zeros(2, jnp.complex64)}, 1, {"*": fanin.jax.normal()})["w"]
    assert made.dtype == jnp.complex64 and (made.real != 0).all() and (made.imag != 0).all()
    zeros = {"w": jnp.zeros((4, 3))}
    wanted = fanin.draw(fanin.Orthogonal(), (4, 3), seed=1, name="w")
    for name in ("orthogonal", "jax:orthogonal", "keras:orthogonal"):
        assert (np.asarray(fanin.jax.keyed_params(zeros, 1, {"*": name})["w"]) == wanted).all()
    with pytest.raises(ValueError, match="PyTorch's layout"):
        fanin.jax.keyed_params(zeros, 1, {"*": "torch:orthogonal"})
