# SPDX-License-Identifier: Apache-2.0
"""The rules of fanin.torch.init_model_: what a rule may be, and what a module guarantees beyond its rules."""
import functools
import json
import math
import re
import struct

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

from torch import nn  # noqa: E402
from torch.nn.utils import prune  # noqa: E402

import fanin  # noqa: E402
from fanin.torch import init_model_  # noqa: E402

torch.set_num_threads(1)  # threads of PyTorch that wait for each other on a busy machine take minutes


def filled(module, rules, seed=42, **options):
    init_model_(module, seed, rules, **options)
    return {name: parameter.detach().float().numpy() for name, parameter in module.named_parameters()}


def drawn(initializer, shape, name, layout="oihw", seed=42):
    return fanin.draw(initializer, shape, seed=seed, name=name, layout=layout)


class Decoder(nn.Module):
    def __init__(self, layers=3, width=8):
        super().__init__()
        self.embed = nn.Embedding(11, width, padding_idx=2)
        self.layers = nn.ModuleList(nn.ModuleDict({"qkv": nn.Linear(width, 3 * width), "norm": nn.LayerNorm(width)})
                                    for _ in range(layers))
        self.head = nn.Linear(width, 11, bias=False)


SPEC = {
    "name": "decoder",
    "layout": "OI",
    "constants": {"layers": 3, "width": 8},
    "tensors": {
        "embed.weight": [11, "width"],
        "layers.{layer}.qkv.weight": {
            "shape": ["3 * width", "width"], "repeat": {"layer": "layers"},
            "parts": [{"name": "layers.{layer}.%s.weight" % part, "size": "width"} for part in "qkv"]},
        "layers.{layer}.qkv.bias": {"shape": ["3 * width"], "repeat": {"layer": "layers"}},
        "layers.{layer}.norm.weight": {"shape": ["width"], "repeat": {"layer": "layers"}},
        "layers.{layer}.norm.bias": {"shape": ["width"], "repeat": {"layer": "layers"}},
        "head.weight": [11, "width"],
    },
    "rules": [
        {"class": "LayerNorm", "match": "*.weight", "initializer": "ones"},
        {"match": "{m*}.bias", "initializer": "zeros"},
        {"match": "layers.{layer}.{part}.weight",
         "initializer": {"class_name": "RandomNormal", "config": {"stddev": "0.02 / sqrt(2 * (layer + 1))"}}},
        {"match": "*", "initializer": "lecun_normal"},
    ],
}
BY_NAME = {**SPEC, "rules": [{"match": "*.norm.weight", "initializer": "ones"}, *SPEC["rules"][1:]]}  # as the program reads it


@pytest.mark.parametrize("form", ["object", "class", "file", "parsed"])
def test_a_specification(form, tmp_path):
    file = tmp_path / "spec.json"
    file.write_text(json.dumps(BY_NAME))
    spec = {"object": BY_NAME, "class": SPEC, "file": file, "parsed": fanin.parse_model_spec(BY_NAME, 42)}[form]
    got = filled(Decoder(), spec, None if form == "parsed" else 42)
    for layer in range(3):
        normal = fanin.RandomNormal(0, 0.02 / math.sqrt(2 * (layer + 1)))
        parts = [drawn(normal, (8, 8), f"layers.{layer}.{part}.weight") for part in "qkv"]
        assert np.array_equal(got[f"layers.{layer}.qkv.weight"], np.concatenate(parts))
        assert (got[f"layers.{layer}.norm.weight"] == 1).all() and not got[f"layers.{layer}.qkv.bias"].any()
    assert np.array_equal(got["head.weight"], drawn("lecun_normal", (11, 8), "head.weight"))


def test_a_specification_is_the_programs(program, tmp_path):
    (tmp_path / "spec.json").write_text(json.dumps(BY_NAME))
    program("model", tmp_path / "spec.json", "--seed", 7, "--out", tmp_path / "model.safetensors")
    file = (tmp_path / "model.safetensors").read_bytes()
    size = struct.unpack("<Q", file[:8])[0]
    header = json.loads(file[8:8 + size])
    got = filled(Decoder(), tmp_path / "spec.json", 7)
    for name, values in got.items():
        begin, end = header[name]["data_offsets"]
        expected = np.frombuffer(file[8 + size:][begin:end], np.float32).reshape(values.shape).copy()
        if name == "embed.weight":
            expected[2] = 0  # the module guarantees it
        assert np.array_equal(values, expected), name


def test_specifications_that_do_not_fit():
    with pytest.raises(ValueError, match=r"'layers.2.qkv.weight' has the shape \(24, 8\), but \(12, 4\)"):
        narrow = {**BY_NAME, "tensors": {**BY_NAME["tensors"], "layers.2.qkv.weight": [12, 4]}}
        narrow["tensors"]["layers.{layer}.qkv.weight"] = {**SPEC["tensors"]["layers.{layer}.qkv.weight"], "repeat": {"layer": 2}}
        filled(Decoder(), narrow)
    with pytest.raises(ValueError, match="read with the seed 41"):
        filled(Decoder(), fanin.parse_model_spec(BY_NAME, 41))
    with pytest.raises(ValueError, match="has no tensor 'head.weight'"):
        filled(Decoder(), {**BY_NAME, "tensors": {k: v for k, v in BY_NAME["tensors"].items() if k != "head.weight"}})
    with pytest.raises(ValueError, match="rules by a module's class work from Python"):
        fanin.parse_model_spec(SPEC, 42)


def test_ties_by_any_name():
    model = Decoder()
    model.head.weight = model.embed.weight
    spec = {**BY_NAME, "tensors": {**BY_NAME["tensors"], "embed.weight": {"tie": "head.weight"}}}
    expected = drawn("lecun_normal", (11, 8), "head.weight")
    expected[2] = 0
    assert np.array_equal(filled(model, spec)["embed.weight"], expected)


def test_classes():
    class Norm(nn.LayerNorm):
        pass

    model = nn.Sequential(nn.Linear(4, 4), Norm(4), nn.Conv1d(4, 4, 1))
    rules = [{"class": "LayerNorm", "match": "*.weight", "initializer": {"class_name": "Constant", "config": {"value": 3}}},
             {"class": "*.Norm", "initializer": "ones"},  # with the name of its module
             {"class": "Conv?d", "rank": 3, "initializer": "he_normal"},
             (re.compile("0.*"), {"class": "Linear", "initializer": "random_normal"}),
             (re.compile("2.*"), {"class": "Linear", "initializer": "he_normal"}),
             ("*", "zeros")]
    with pytest.warns(UserWarning, match="No parameter takes the rule for re.compile"):
        got = filled(model, rules)
    assert (got["1.weight"] == 3).all() and (got["1.bias"] == 1).all() and not got["2.bias"].any()
    assert np.array_equal(got["2.weight"], drawn("he_normal", (4, 4, 1), "2.weight"))
    assert np.array_equal(got["0.bias"], drawn("random_normal", (4,), "0.bias"))


def test_fans_of_rules():
    model = nn.Module()
    model.experts = nn.Parameter(torch.zeros(4, 8, 32))  # (expert, in, out)
    model.conv1d = nn.Parameter(torch.zeros(8, 32))  # (in, out), as transformers' Conv1D
    model.heads = nn.Parameter(torch.zeros(8, 2, 16))  # (in, head, out)
    got = filled(model, {"experts": {"initializer": "he_normal", "input_axes": [1], "output_axes": [2]},
                         "conv1d": {"initializer": "he_normal", "layout": "IO"},
                         "heads": {"initializer": "glorot_uniform", "input_axes": [0], "output_axes": [1, 2]}})
    assert np.array_equal(got["experts"], drawn(fanin.HeNormal(42, input_axes=[1], output_axes=[2]), (4, 8, 32), "experts"))
    assert np.array_equal(got["conv1d"], drawn("he_normal", (8, 32), "conv1d", "hwio"))
    assert np.array_equal(got["heads"], drawn(fanin.GlorotUniform(42, input_axes=[0], output_axes=[1, 2]), (8, 2, 16), "heads"))


def test_formulas_and_captures():
    model = nn.ModuleList(nn.Linear(4, 4) for _ in range(3))
    got = filled(model, {"{layer}.weight": {"class_name": "RandomNormal", "config": {"stddev": "1 / (layer + 1)"}},
                         "{layer}.bias": {"fan_of": "{layer}.weight", "initializer": {
                             "class_name": "RandomUniform",
                             "config": {"minval": "-1 / sqrt(fan_in)", "maxval": "1 / sqrt(fan_in)"}}}})
    for layer in range(3):
        normal = fanin.RandomNormal(0, 1 / (layer + 1))
        assert np.array_equal(got[f"{layer}.weight"], drawn(normal, (4, 4), f"{layer}.weight"))
        assert np.array_equal(got[f"{layer}.bias"], drawn(fanin.RandomUniform(-0.5, 0.5), (4,), f"{layer}.bias"))


@pytest.mark.parametrize("shape", [(6, 4), (6, 4, 3, 5)])
@pytest.mark.parametrize("function, options", [
    ("uniform_", {"a": -1, "b": 2}), ("normal_", {"std": 0.02}), ("trunc_normal_", {"std": 0.02}),
    ("trunc_normal_", {"mean": 1, "std": 0.5, "a": 0.25, "b": 3}), ("constant_", {"val": 3}), ("ones_", {}), ("zeros_", {}),
    ("xavier_uniform_", {"gain": 2}), ("xavier_normal_", {}), ("kaiming_uniform_", {"a": math.sqrt(5)}),
    ("kaiming_normal_", {"mode": "fan_out", "nonlinearity": "relu"}), ("eye_", {}), ("dirac_", {"groups": 2}),
    ("sparse_", {"sparsity": 0.5}),
])
@pytest.mark.parametrize("library", [torch.nn.init, fanin.torch], ids=["torch", "fanin"])
def test_functions_of_torch(library, function, options, shape):
    if function in ("eye_", "sparse_") and len(shape) > 2 or function == "dirac_" and len(shape) < 3:
        pytest.skip("the function does not take this rank")
    model = nn.Module()
    model.w = nn.Parameter(torch.zeros(shape))
    given = getattr(library, function)
    rule = functools.partial(given, **options) if options else given
    got = filled(model, {"*": rule})["w"]
    assert np.array_equal(got, filled(model, lambda name, parameter, module: rule)["w"])
    plain = torch.zeros(shape)
    if function in ("constant_", "ones_", "zeros_", "eye_", "dirac_"):
        getattr(torch.nn.init, function)(plain, **options)
        assert np.array_equal(got, plain.numpy())
    else:  # the function's own draws for this seed and no name have the same distribution: equal up to the subsequence
        seed, _ = fanin.torch._fill.draw_seed(plain, torch.Generator().manual_seed(3))
        getattr(fanin.torch, function)(plain, generator=torch.Generator().manual_seed(3), **options)
        model.w.data.zero_()
        same = {"initializer": rule}
        config = fanin.torch._rules._of_parameter(rule, fanin.torch._rules.Slot("w", model, "w", model.w))
        config["config"]["seed"] = seed
        fanin.fill(model.w, config)
        assert torch.equal(model.w.detach(), plain), same


def test_the_rule_of_torch_for_biases():
    model = nn.Sequential(nn.Linear(9, 4), nn.Conv2d(4, 6, 5, groups=2))
    got = filled(model, {"*.bias": "torch_bias", "*": functools.partial(torch.nn.init.kaiming_uniform_, a=math.sqrt(5))})
    assert np.array_equal(got["0.bias"], drawn(fanin.RandomUniform(-1 / 3, 1 / 3), (4,), "0.bias"))
    bound = 1 / math.sqrt(2 * 25)  # of PyTorch's _calculate_fan_in_and_fan_out of a kernel (6, 2, 5, 5)
    assert np.array_equal(got["1.bias"], drawn(fanin.RandomUniform(-bound, bound), (6,), "1.bias"))


def test_initializers_of_keras():
    class HeNormal:  # as keras.initializers has it, so that this test needs no Keras
        def get_config(self):
            return {"seed": None}

    HeNormal.__module__ = "keras.src.initializers.random_initializers"
    initializer = type("Initializer", (), {"__module__": "keras.src.initializers.initializer"})
    made = type("HeNormal", (HeNormal, initializer), {"__module__": "keras.src.initializers.random_initializers"})()
    got = filled(nn.Linear(5, 7, bias=False), {"*": made})
    assert np.array_equal(got["weight"], drawn("he_normal", (7, 5), "weight"))


# ---------------------------------------------------------------- what is left alone, and what is loaded

def test_keep():
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    before = model[0].weight.detach().clone()
    got = filled(model, {"0.*": "keep", "*": "ones"})
    assert np.array_equal(got["0.weight"], before.numpy()) and (got["1.weight"] == 1).all()
    got = filled(model, lambda name, parameter, module: None if name.startswith("0") else "zeros")
    assert np.array_equal(got["0.weight"], before.numpy()) and not got["1.weight"].any()
    filled(model, [{"match": "0.*", "initializer": "keep"}, ("*", "ones")])
    assert torch.equal(model[0].weight, before)
    with torch.device("meta"):
        model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    init_model_(model, 1, {"0.*": "keep", "*": "ones"})
    assert model[0].weight.is_meta and not model[1].weight.is_meta


def save(path, tensors):
    header, data = {}, b""
    for name, array in tensors.items():
        header[name] = {"dtype": "F32", "shape": list(array.shape), "data_offsets": [len(data), len(data) + array.nbytes]}
        data += array.tobytes()
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def test_load(tmp_path):
    base = np.arange(33, dtype=np.float32).reshape(11, 3)
    save(tmp_path / "base.safetensors", {"embed": base})
    model = nn.Sequential(nn.Embedding(11, 3, padding_idx=1), nn.Linear(3, 3))
    rules = [{"match": "0.weight", "load": {"file": str(tmp_path / "base.safetensors"), "name": "embed"}}, ("*", "zeros")]
    assert np.array_equal(filled(model, rules)["0.weight"], base)  # the row of padding too
    with pytest.raises(ValueError, match=r'has the shape \[11, 3\].*0.weight'):
        filled(nn.Sequential(nn.Embedding(12, 3)), rules)
    with pytest.raises(ValueError, match="loaded values are not converted"):
        filled(nn.Sequential(nn.Embedding(11, 3).half()), rules)
    spec = {"tensors": {"0.weight": {"shape": [11, 3], "parts": [{"name": "a", "size": 4}, {"name": "b", "size": 7}]},
                        "1.weight": [3, 3], "1.bias": [3]},
            "rules": [{"match": "a", "load": "ab.safetensors"}, {"match": "*", "initializer": "random_normal"}]}
    save(tmp_path / "ab.safetensors", {"a": base[:4]})
    (tmp_path / "spec.json").write_text(json.dumps(spec))
    got = filled(model, tmp_path / "spec.json")["0.weight"]
    assert np.array_equal(got, np.concatenate([base[:4], drawn("random_normal", (7, 3), "b")]))


def test_integers_are_left_alone():
    model = nn.Linear(3, 3)
    model.codes = nn.Parameter(torch.arange(4, dtype=torch.int8), requires_grad=False)
    with pytest.warns(UserWarning, match=r"1 parameters are not of floating-point numbers.*'codes' \(torch.int8\)"):
        init_model_(model, 1, {"*": "ones"})
    assert torch.equal(model.codes, torch.arange(4, dtype=torch.int8)) and (model.weight == 1).all()


@pytest.mark.parametrize("row", [0, 3, -1])
@pytest.mark.parametrize("make", [nn.Embedding, nn.EmbeddingBag])
def test_padding_rows(make, row):
    got = filled(make(7, 5, padding_idx=row), {"*": "random_normal"})["weight"]
    expected = drawn("random_normal", (7, 5), "weight")
    expected[row] = 0
    assert np.array_equal(got, expected)


class Quantised(nn.Module):  # an embedding that is no nn.Embedding, as transformers' QuantEmbedding
    def __init__(self):
        super().__init__()
        self.weight, self.padding_idx = nn.Parameter(torch.ones(7, 5)), 3


@pytest.mark.parametrize("make, name", [
    (Quantised, "weight"),
    (lambda: prune.identity(nn.Embedding(7, 5, padding_idx=3), "weight"), "weight_orig"),
    (lambda: torch.nn.utils.parametrizations.spectral_norm(nn.Embedding(7, 5, padding_idx=3)), "parametrizations.weight.original")])
def test_padding_rows_of_other_embeddings(make, name):
    assert not filled(make(), {"*": "random_normal"})[name][3].any()


def test_padding_rows_that_are_set_later():
    embedding = nn.Embedding(7, 5)
    embedding.padding_idx = -2
    got = filled(embedding, {"*": "random_normal"})["weight"]
    assert not got[-2].any() and got.any(1).sum() == 6


def test_parameters_without_gradient_are_named():
    model = nn.Sequential(nn.Linear(2, 2), nn.Embedding(3, 2))
    model[1].weight.requires_grad_(False)  # as tables of sines are
    with pytest.warns(UserWarning, match=r"1 parameters that need no gradient get their values by rules: '1.weight'"):
        init_model_(model, 1, {"*": "ones"})
    init_model_(model, 1, {"1.weight": "keep", "*": "ones"})
    init_model_(model.requires_grad_(False), 1, {"*": "ones"})  # a model that is not trained


# ---------------------------------------------------------------- layouts that a rule does not say

class Experts(nn.Module):
    def __init__(self):
        super().__init__()
        self.experts = nn.Parameter(torch.zeros(4, 6, 10))


class Conv1D(nn.Module):
    """transformers': (in, out)"""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(6, 10))


Conv1D.__module__ = "transformers.pytorch_utils"


@pytest.mark.parametrize("make", [Experts, Conv1D, lambda: nn.ParameterDict({"dense/kernel": torch.zeros(6, 10)})])
@pytest.mark.parametrize("given", ["he_normal", "torch:kaiming_uniform", fanin.GlorotUniform(), nn.init.xavier_normal_])
def test_fans_of_doubtful_layouts_are_named(make, given):
    for rules in ({"*": given}, lambda name, parameter, module: given):
        with pytest.warns(UserWarning, match="fans that are read as .out, in, .* layout.*(experts|weight|kernel)' of shape"):
            init_model_(make(), 1, rules)


@pytest.mark.parametrize("make, rule", [
    (Experts, {"initializer": "he_normal", "input_axes": [1], "output_axes": [2]}),
    (Experts, {"initializer": "he_normal", "layout": "OI"}),
    (Conv1D, {"initializer": "he_normal", "layout": "IO"}),
    (Experts, fanin.TruncatedNormal(stddev=0.02)), (Experts, nn.init.normal_), (Experts, "zeros"), (Experts, "orthogonal"),
    (lambda: nn.Conv2d(4, 6, 3, bias=False), "he_normal"), (lambda: nn.Bilinear(3, 4, 5, bias=False), "he_normal")])
@pytest.mark.filterwarnings("error")
def test_fans_that_are_sure(make, rule):
    init_model_(make(), 1, {"*": rule})


# ---------------------------------------------------------------- all or nothing

def test_values_that_the_dtype_lacks_are_refused_before_there_is_memory():
    with torch.device("meta"):
        model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2).half())
    with pytest.raises(ValueError, match="1.weight"):
        init_model_(model, 1, {"0.*": "ones", "*": fanin.Constant(1e39)})
    assert all(parameter.is_meta for parameter in model.parameters())
    with pytest.raises(ValueError, match="Parameter '0.weight'"):
        spec = {"dtype": "float64", "tensors": {"0.weight": [2, 2], "0.bias": [2], "1.weight": [2, 2], "1.bias": [2]},
                "rules": [{"match": "*", "initializer": {"class_name": "Constant", "config": {"value": 1e39}}}]}
        init_model_(model, 1, spec)
    assert all(parameter.is_meta for parameter in model.parameters())


def test_overlaps_are_refused_before_there_is_memory():
    model = nn.ParameterList([torch.zeros(4), torch.zeros(4, device="meta")])
    model.append(nn.Parameter(model[0].detach()[1:]))
    with pytest.raises(ValueError, match="Parameter '2': its memory overlaps that of '0'"):
        init_model_(model, 1, {"*": "ones"})
    assert model[1].is_meta and not model[0].any()
    model[2] = nn.Parameter(torch.zeros(10).as_strided((3, 4), (2, 1)))
    with pytest.raises(ValueError, match="Parameter '2': its elements share memory"):
        init_model_(model, 1, {"*": "ones"})
    assert model[1].is_meta and not model[0].any()


@pytest.mark.parametrize("module, options, error, message", [
    (object(), {}, TypeError, "must be a torch.nn.Module"), (nn.Linear(2, 2), {"prefix": 3}, TypeError, "prefix=3"),
    (nn.Linear(2, 2), {"buffers": 3}, TypeError, "buffers= is a dictionary")])
def test_wrong_arguments(module, options, error, message):
    with pytest.raises(error, match=message):
        init_model_(module, 1, {"*": "ones"}, **options)


@pytest.mark.parametrize("layout", [torch.strided, torch.jagged])
def test_nested_parameters(layout):
    model = nn.Module()
    model.w = nn.Parameter(torch.nested.nested_tensor([torch.zeros(2, 3), torch.zeros(4, 3)], layout=layout))
    with pytest.raises(TypeError, match="Parameter 'w'.*nested"):
        init_model_(model, 1, {"*": "ones"})


# ---------------------------------------------------------------- buffers

class Rotary(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.register_buffer("inv_freq", self.frequencies(size), persistent=False)
        self.scale = nn.Parameter(torch.ones(1))
        self.size = size

    @staticmethod
    def frequencies(size):
        return 10000.0 ** -(torch.arange(0, size, 2) / size)


class Pretrained(nn.Module):  # as transformers' models initialise their modules
    def __init__(self):
        super().__init__()
        self.rotary, self.linear = Rotary(8), nn.Linear(2, 2)

    def _init_weights(self, module):
        if isinstance(module, Rotary):
            with torch.no_grad():
                module.inv_freq.copy_(module.frequencies(module.size))
                module.scale.fill_(7)


def test_buffers_by_the_code_of_the_model():
    with torch.device("meta"):
        model = nn.Sequential(Pretrained())
    model[0].rotary.scale = nn.Parameter(torch.full((1,), 5.0))  # loaded
    state = torch.get_rng_state()
    init_model_(model, 1, {"*.scale": "keep", "*": "ones"})
    assert torch.equal(model[0].rotary.inv_freq, Rotary.frequencies(8))
    assert model[0].rotary.scale == 5  # the code that gives the buffer its value does not touch it
    assert torch.equal(torch.get_rng_state(), state)


def test_buffers_that_the_caller_gives():
    def make():
        with torch.device("meta"):
            return nn.Sequential(Rotary(8), Rotary(4))

    frequencies = {"0.inv_freq": Rotary.frequencies(8), "1.inv_freq": Rotary.frequencies(4).tolist()}
    for given in (frequencies, lambda name, buffer, module: module.frequencies(module.size)):
        model = init_model_(make(), 1, {"*": "ones"}, buffers=given)
        assert torch.equal(model[0].inv_freq, Rotary.frequencies(8)) and torch.equal(model[1].inv_freq, Rotary.frequencies(4))
    for given, message in (({**frequencies, "2.inv_freq": 1}, "'2.inv_freq', which is no buffer"),
                           ({"0.inv_freq": frequencies["0.inv_freq"]}, "The buffer '1.inv_freq' is on the meta device"),
                           ({**frequencies, "1.inv_freq": torch.ones(3)}, r"has the shape \(2,\).*\(3,\)")):
        model = make()
        with pytest.raises(ValueError, match=message):
            init_model_(model, 1, {"*": "ones"}, buffers=given)
        assert all(tensor.is_meta for tensor in (*model.parameters(), *model.buffers()))


class Masked(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = nn.LayerNorm(3)
        self.register_buffer("mask", torch.zeros(3))

    def init_non_persistent_buffers(self):  # timm's name; the device is that of a parameter
        self.register_buffer("mask", torch.arange(3.0, device=self.norm.weight.device))


class Unusable(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("mask", torch.zeros(3))

    def _init_weights(self):  # torchvision's MaxVit
        self.mask.fill_(1)


class Failing(Unusable):
    def reset_parameters(self):
        raise ZeroDivisionError("no")


def test_buffers_on_the_device_of_a_parameter():
    with torch.device("meta"):
        model = nn.Sequential(Masked())
    assert torch.equal(init_model_(model, 1, {"*": "ones"})[0].mask, torch.arange(3.0))


@pytest.mark.parametrize("make, message", [(Unusable, "no reset_parameters"), (Failing, "raises ZeroDivisionError: no. Give")])
def test_buffers_that_no_code_gives(make, message):
    with torch.device("meta"):
        model = make()
    with pytest.raises(ValueError, match=f"The buffer 'mask' .*{message}"):
        init_model_(model, 1, {"*": "ones"})
    with pytest.raises(TypeError, match="The value of the buffer 'mask' must be a tensor. Received: 'x'"):
        init_model_(model, 1, {"*": "ones"}, buffers={"mask": "x"})
    assert model.mask.is_meta


def test_numbers_of_other_libraries_in_configurations():
    config = {"class_name": "RandomNormal", "config": {"mean": torch.tensor(1.0), "stddev": np.float32(0.5)}}
    wanted = filled(nn.Linear(3, 3), {"*": fanin.RandomNormal(1, 0.5)})
    for rules in ({"*": config}, lambda name, parameter, module: config,
                  lambda name, parameter, module: {"initializer": config, "input_axes": np.array([0]), "output_axes": []}):
        found = filled(nn.Linear(3, 3), rules)
        assert all((found[name] == wanted[name]).all() for name in wanted)
    with pytest.raises(TypeError, match="Parameter 'weight': A configuration has numbers"):
        filled(nn.Linear(3, 3), lambda name, parameter, module: {"class_name": "RandomNormal", "config": {"mean": object()}})


def test_a_rule_has_no_dtype():
    with pytest.raises(ValueError, match="A parameter has a dtype already"):
        filled(nn.Linear(3, 3), {"*": {"initializer": "normal", "dtype": "float16"}})


def test_the_bias_of_bilinear():
    found = filled(nn.Bilinear(10, 20, 50_000), {"bias": "torch_bias", "weight": "zeros"})["bias"]
    assert 0.999 < abs(found).max() * math.sqrt(10) <= 1
