# SPDX-License-Identifier: Apache-2.0
"""Initializers whose kernels have a structure of their own, and names with a framework's meaning."""
import copy
import json
import math
import pickle

import numpy as np
import pytest
from support import KERAS

import fanin

STRUCTURED = [(fanin.Dirac(2), (4, 3, 3)), (fanin.Bilinear(), (3, 3, 4, 4)), (fanin.ForgetGateBias(2, 0, 2), (6,)),
              (fanin.Sparse(0.3, 0.5, 7), (9, 8)), (fanin.SirenFirst(7), (3, 8)), (fanin.SirenHidden(20, 7), (8, 3)),
              (fanin.STFT("imag", [1, 2, 3], None), (3, 1, 4)), (fanin.STFT("real", None), (3, 1, 4)),
              (fanin.Constant([[1.0], [2.0]]), (2, 5))]


@pytest.mark.parametrize("init, shape", STRUCTURED, ids=lambda value: repr(value)[:20])
def test_they_are_initializers_like_the_others(init, shape):
    assert eval(repr(init), vars(fanin)) == init
    assert pickle.loads(pickle.dumps(init)) == copy.deepcopy(init) == init
    assert type(init).from_config(init.get_config()) == init
    assert fanin.deserialize(fanin.serialize(init)) == init and type(fanin.get(fanin.serialize(init))) is type(init)
    whole = fanin.draw(init, shape, "float64", layout="oihw")
    last = fanin.draw(init, shape, "float64", layout="oihw", offset=(0,) * (len(shape) - 1) + (1,),
                      extent=(*shape[:-1], shape[-1] - 1))
    assert (last == whole[..., 1:]).all()
    plan, copied = fanin.Plan(), np.empty(shape)
    plan.add(copied, init, layout="oihw")
    plan.fill()
    assert (copied == whole).all()


def test_parameters_are_attributes():
    assert (fanin.Dirac(2).groups, fanin.ForgetGateBias(2, 0, 2).gates, fanin.SirenHidden(20).w0) == (2, 2, 20)
    assert (fanin.Sparse(0.3).sparsity, fanin.Sparse(0.3).stddev) == (0.3, 0.01)
    stft = fanin.STFT("imag", [1, 2], None, True)
    assert (stft.side, stft.window, stft.scaling, stft.periodic) == ("imag", [1.0, 2.0], None, True)
    assert fanin.Constant([[1, 2]]).value == [[1.0, 2.0]] and fanin.Constant(2).value == 2.0
    assert fanin.STFT().get_config() == {"side": "real", "window": "hann", "periodic": False, "scaling": "density"}
    for wrong in (lambda: fanin.Constant("one"), lambda: fanin.Constant([1, None, "x"]), lambda: fanin.STFT(window=3.5j)):
        with pytest.raises(TypeError):
            wrong()
    for wrong in (lambda: fanin.Dirac(0), lambda: fanin.Sparse(2), lambda: fanin.STFT("both"), lambda: fanin.Constant([]),
                  lambda: fanin.STFT(window=[]), lambda: fanin.STFT(window=[[1, 2], [3, 4]]),
                  lambda: fanin.STFT(window=[math.nan])):
        with pytest.raises(ValueError):
            wrong()


def test_windows_are_scipys():
    windows = pytest.importorskip("scipy.signal.windows", reason="SciPy is not installed")
    for name in ("barthann", "bartlett", "blackman", "blackmanharris", "bohman", "boxcar", "cosine", "exponential", "flattop",
                 "hamming", "hann", "lanczos", "nuttall", "parzen", "taylor", "triang", "tukey"):
        for periodic in (False, True):
            for length in (1, 2, 3, 8, 9, 64, 101):
                got = fanin.draw(fanin.STFT("real", name, None, periodic), (length, 1, 2), "float64")[:, 0, 0]  # times cos(0)
                np.testing.assert_allclose(got, windows.get_window(name, length, periodic), atol=1e-14, err_msg=name)


def test_forget_gates_are_keras_and_pytorchs(monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "numpy")  # unless Keras is imported already; the default, TensorFlow, may be missing
    keras = pytest.importorskip("keras", reason="Keras is not installed")
    layer = keras.layers.LSTM(5)
    layer.build((None, 3, 2))
    bias = next(np.asarray(keras.ops.convert_to_numpy(w)) for w in layer.weights if w.name == "bias")
    assert (fanin.draw("forget_gate_bias", bias.shape) == bias).all()


# ---------------------------------------------------------------- conventions


@pytest.mark.parametrize("nonlinearity", ["linear", "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d",
                                          "conv_transpose3d", "sigmoid", "tanh", "relu", "leaky_relu", "selu"])
def test_gains_are_pytorchs(nonlinearity):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    for param in (None, 0, 0.2, math.sqrt(5)):
        assert fanin.calculate_gain(nonlinearity, param) == torch.nn.init.calculate_gain(nonlinearity, param)
    with pytest.raises(ValueError, match="selu"):
        fanin.calculate_gain("gelu")
    for param in (True, [1], "0.2", math.nan):  # as PyTorch, which takes NaN
        with pytest.raises(ValueError, match="slope of leaky_relu"):
            fanin.calculate_gain("leaky_relu", param)


@pytest.mark.parametrize("shape", [(64, 48), (32, 16, 3, 5)])
def test_names_of_pytorch_are_fanin_torchs_functions(shape):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    import fanin.torch as ours

    def seed():
        return int(torch.randint(-2**63, 2**63 - 1, (), dtype=torch.int64, generator=torch.Generator().manual_seed(5))) % 2**64

    for name, arguments in {
            "uniform": {"a": -1.0, "b": 2.0}, "normal": {"mean": 1.0, "std": 2.0}, "trunc_normal": {"std": 0.5},
            "constant": {"val": 3.0}, "ones": {}, "zeros": {}, "xavier_uniform": {"gain": 2.0}, "xavier_normal": {},
            "kaiming_uniform": {"a": math.sqrt(5)}, "kaiming_normal": {"mode": "fan_out", "nonlinearity": "relu"},
            "orthogonal": {"gain": 0.5}, "eye": {}, "dirac": {"groups": 2}, "sparse": {"sparsity": 0.25, "std": 2.0}}.items():
        if name in ("eye", "sparse") and len(shape) > 2 or name == "dirac" and len(shape) == 2:
            continue
        init = fanin.get({"class_name": f"torch:{name}", "config": arguments}).with_seed(seed())
        is_random = name not in ("constant", "ones", "zeros", "eye", "dirac")
        options = {"generator": torch.Generator().manual_seed(5)} if is_random else {}
        expected = getattr(ours, f"{name}_")(torch.empty(shape), **arguments, **options).numpy()
        assert (fanin.draw(init, shape) == expected).all(), name
    for mean, std, a, b in ((100.0, 0.01, 99.99, 100.03), (0.1, 0.3, -0.2, 0.7), (0.0, 2.0, -math.inf, 1.0),
                            (1.0, 1.0, -math.inf, math.inf)):
        config = {"mean": mean, "std": std, "a": a, "b": b}
        init = fanin.get({"class_name": "torch:trunc_normal", "config": config}).with_seed(seed())
        assert init == pickle.loads(pickle.dumps(init)) and fanin.describe(init, shape).bounds == (a, b)
        assert pickle.loads(pickle.dumps(fanin.describe(init, shape))).bounds == (a, b)
        for dtype in ("float32", "float64", "float16"):
            expected = ours.trunc_normal_(torch.empty(shape, dtype=getattr(torch, dtype)), mean, std, a, b,
                                          generator=torch.Generator().manual_seed(5)).numpy()
            assert (fanin.draw(init, shape, dtype) == expected).all() and a <= expected.min() and expected.max() <= b
    linear = torch.nn.Linear(48, 64).weight
    assert fanin.describe("torch:linear", (64, 48)).bounds[1] == pytest.approx(1 / math.sqrt(48))
    assert linear.abs().max() <= 1 / math.sqrt(48)


def test_names_of_jax_are_fanin_jaxs_functions():
    jax = pytest.importorskip("jax", reason="JAX is not installed")
    import fanin.jax as ours
    key, shape = jax.random.key(42), (64, 48)
    for name, arguments in {
            "uniform": {"scale": 2.0}, "normal": {"stddev": 3.0}, "truncated_normal": {"stddev": 2.0, "lower": -1.0, "upper": 3.0},
            "variance_scaling": {"scale": 3.0, "mode": "fan_geo_avg", "distribution": "normal"}, "orthogonal": {"scale": 2.0},
            **{f"{scheme}_{kind}": {} for scheme in ("glorot", "xavier", "he", "kaiming", "lecun")
               for kind in ("normal", "uniform")}}.items():
        init = fanin.get({"class_name": f"jax:{name}", "config": arguments}).with_seed(42)
        assert (fanin.draw(init, shape) == np.asarray(getattr(ours, name)(**arguments)(key, shape))).all(), name


def test_names_of_keras():
    names = json.loads((KERAS / "keras_configs.json").read_text())["get_ok"]
    for name, class_name in names.items():
        if hasattr(fanin, class_name) and class_name != "Initializer":
            assert type(fanin.get(f"keras:{name}")).__name__ == class_name
    for name in ("formula", "dirac", "torch:normal"):
        with pytest.raises(ValueError, match="keras"):
            fanin.get(name, convention="keras")


def test_names_are_initializers():
    init = fanin.get("torch:kaiming_normal").with_seed(3)
    assert type(init) is fanin.Initializer and init == fanin.get("kaiming_normal", "torch").with_seed(3)
    assert eval(repr(init), vars(fanin)) == init and pickle.loads(pickle.dumps(init)) == copy.copy(init) == init
    assert init != fanin.get("torch:kaiming_uniform").with_seed(3)
    assert init.get_config() == {"seed": 3, "a": 0.0, "mode": "fan_in", "nonlinearity": "leaky_relu"}
    assert init.describe((8, 4)).layout == "oihw" and init.describe((8, 4), "hwio").fan_in == 8
    array = np.empty((8, 4), np.float32)
    assert (fanin.fill(array, init) == fanin.draw(init, (8, 4), layout="oihw")).all()
    assert (init((8, 4)) == array).all()
    with pytest.raises(ValueError, match="two dimensions"):
        init((8,))
    with pytest.raises(ValueError, match='no convention "flax"'):
        fanin.get("flax:he_normal")
    with pytest.raises(TypeError, match="convention"):
        fanin.get(init, "torch")
