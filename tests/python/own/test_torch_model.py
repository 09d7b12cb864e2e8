# SPDX-License-Identifier: Apache-2.0
"""fanin.torch.init_model_: names, rules, wrappers, ties, the meta device."""
import json
import re
import struct
import warnings

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

from torch import nn  # noqa: E402
from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import checkpoint_wrapper  # noqa: E402

import fanin  # noqa: E402
from fanin.torch import init_model_  # noqa: E402

torch.set_num_threads(1)  # threads of PyTorch that wait for each other on a busy machine take minutes
RULES = {"*.bias": "zeros", "norm.weight": "ones", "*": "he_normal"}


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(20, 12)
        self.body = nn.Sequential(nn.Conv1d(12, 16, 3), nn.ReLU())
        self.norm = nn.BatchNorm1d(16)
        self.head = nn.Linear(12, 20)
        self.head.weight = self.embedding.weight  # tied


def weights(module):
    return {name: parameter.detach().clone() for name, parameter in module.named_parameters()}


def assert_same(a, b):
    assert a.keys() == b.keys()
    for name in a:
        assert torch.equal(a[name], b[name]), name


EXPECTED = weights(init_model_(Net(), 42, RULES))


def test_names_are_the_keys():
    assert list(EXPECTED) == ["embedding.weight", "body.0.weight", "body.0.bias", "norm.weight", "norm.bias", "head.bias"]
    for name in ("embedding.weight", "body.0.weight"):
        expected = fanin.draw("he_normal", EXPECTED[name].shape, seed=42, name=name, layout="oihw")
        assert np.array_equal(EXPECTED[name].numpy(), expected)
    assert (EXPECTED["norm.weight"] == 1).all() and not EXPECTED["head.bias"].any()


def test_order_and_neighbours_do_not_matter():
    model = nn.ModuleDict({"head": nn.Linear(12, 20), "body": nn.Sequential(nn.Conv1d(12, 16, 3))})
    init_model_(model, 42, {"*.bias": "zeros", "*": "he_normal"})
    assert torch.equal(model["body"][0].weight, EXPECTED["body.0.weight"])


def test_the_program_makes_the_same_model(program, dtype, tmp_path):
    if not hasattr(torch, dtype):
        pytest.skip(f"this PyTorch has no {dtype}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = init_model_(Net().to(getattr(torch, dtype)), 7, RULES)
    rules = [{"match": glob, "initializer": initializer} for glob, initializer in RULES.items()]
    spec = {"layout": "oihw", "dtype": dtype, "rules": rules,
            "tensors": {name: list(parameter.shape) for name, parameter in model.named_parameters()}}
    (tmp_path / "spec.json").write_text(json.dumps(spec))
    program("model", tmp_path / "spec.json", "--seed", 7, "--out", tmp_path / "model.safetensors")
    file = (tmp_path / "model.safetensors").read_bytes()
    size = struct.unpack("<Q", file[:8])[0]
    header = json.loads(file[8:8 + size])
    for name, parameter in model.named_parameters():
        begin, end = header[name]["data_offsets"]
        assert file[8 + size:][begin:end] == bytes(parameter.detach().contiguous().view(torch.uint8).numpy()), name
    init_model_(model, 7, spec["rules"])  # the specification's form


@pytest.mark.parametrize("wrap", [
    nn.DataParallel,
    torch.compile,
    checkpoint_wrapper,
    torch.optim.swa_utils.AveragedModel,
    lambda model: torch.compile(nn.DataParallel(checkpoint_wrapper(model))),
], ids=["DataParallel", "compile", "checkpoint", "AveragedModel", "three"])
def test_wrappers_do_not_change_names(wrap):
    model = Net()
    model.body = checkpoint_wrapper(model.body)
    wrapped = wrap(model)
    assert init_model_(wrapped, 42, RULES) is wrapped
    got = [parameter for parameter in wrapped.parameters()]
    for parameter, expected in zip(got, EXPECTED.values()):
        assert torch.equal(parameter, expected)


def test_distributed_data_parallel(tmp_path):
    if not torch.distributed.is_available() or not torch.distributed.is_gloo_available():
        pytest.skip("this PyTorch was built without gloo")
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    try:
        wrapped = nn.parallel.DistributedDataParallel(Net())
        init_model_(wrapped, 42, RULES)
        assert_same(weights(wrapped.module), EXPECTED)
    finally:
        torch.distributed.destroy_process_group()


def test_a_submodule_that_is_called_module():
    class Pair(nn.Module):
        def __init__(self):
            super().__init__()
            self.module, self.other = nn.Linear(2, 3), nn.Linear(2, 3)

    pair = Pair()
    init_model_(nn.DataParallel(pair), 1, {"*.bias": "zeros", "*": "he_normal"})
    assert np.array_equal(pair.module.weight.detach().numpy(),
                          fanin.draw("he_normal", (3, 2), seed=1, name="module.weight", layout="oihw"))
    with pytest.raises(ValueError, match="Two parameters are called 'weight'"):
        clash = nn.Module()
        clash._orig_mod, clash.weight = nn.Linear(2, 2), nn.Parameter(torch.zeros(2))
        init_model_(clash, 1, {"*": "zeros"})


@pytest.mark.parametrize("rules", [
    [("*.bias", "zeros"), ("norm.weight", fanin.Ones()), ("*", fanin.HeNormal())],
    [{"match": "*.bia?", "initializer": "zeros"}, {"match": "norm.*", "initializer": {"class_name": "Ones"}},
     {"match": "*", "initializer": {"class_name": "HeNormal", "config": {"seed": None}}}],
    {re.compile(r".*\.bias"): fanin.Zeros, re.compile("norm.weight"): "ones", re.compile(".*"): fanin.HeNormal(42)},
    lambda name, parameter, module: ("zeros" if name.endswith("bias") else
                                     "ones" if isinstance(module, nn.BatchNorm1d) else "he_normal"),
])
def test_forms_of_rules(rules):
    assert_same(weights(init_model_(Net(), fanin.Seed(42), rules)), EXPECTED)


def test_a_rules_own_seed_stays():
    model = init_model_(nn.Sequential(nn.Linear(3, 4)), 42, {"*": fanin.RandomNormal(seed=5)})
    assert np.array_equal(model[0].weight.detach().numpy(), fanin.RandomNormal(seed=5)((4, 3), name="0.weight"))


def test_prefix():
    whole = Net()
    init_model_(whole.body, 42, {"*.bias": "zeros", "*": "he_normal"}, prefix="body.")
    assert torch.equal(whole.body[0].weight, EXPECTED["body.0.weight"])


@pytest.mark.parametrize("seed, rules, error, message", [
    (1, {"*.bias": "zeros"}, ValueError, r"No rule matches the parameter 'embedding.weight' of shape \(20, 12\)"),
    (1, lambda name, parameter, module: torch.nn.init.calculate_gain, ValueError,
     "'embedding.weight': torch.nn.init.calculate_gain is no rule"),
    (1, {"*": "he_normul"}, ValueError, "he_normul"),
    (1, {"*": None}, TypeError, "Received: None"),
    (1, {"*": fanin.Identity()}, ValueError, r"the rules: rules\[0\].initializer: Identity.*body.0.weight"),
    (1, {"*": fanin.HeNormal(fanin.Seed.sequence(1))}, ValueError, "order of the parameters"),
    (fanin.Seed.sequence(1), {"*": "he_normal"}, ValueError, "order of the parameters"),
    (None, {"*": "he_normal"}, TypeError, "seed must be given"),
    (-1, {"*": "he_normal"}, ValueError, "seed"),
    (1, "he_normal", TypeError, "The rules are a dictionary"),
    (1, [("*",)], TypeError, "A rule is a pattern and an initializer"),
    (1, [{"match": "*"}], ValueError, "A rule has the keys"),
    (1, [{"match": "*", "initializer": "zeros", "load": "x"}], ValueError, "A rule has the keys"),
    (1, {"*": print}, TypeError, "A rule's function is one of torch.nn.init"),
    (1, {"*": {"initializer": torch.nn.init.xavier_normal_, "batch_axes": [0]}}, ValueError, "are PyTorch's"),
    (1, {"*": torch.nn.init.xavier_normal_}, ValueError, "'body.0.bias': Fan in and fan out can not be computed"),
    (1, {"*.bias": "torch_bias", "*": "ones"}, ValueError, "'norm.bias': \"torch_bias\" takes the fan"),
    (1, [{"class": "BatchNorm1d", "initializer": "ones"}], ValueError, "No rule matches the parameter 'embedding.weight'"),
    (1, {"tensors": {}, "rules": []}, ValueError, "The specification model has no tensor 'embedding.weight'"),
    (1, {3: "zeros"}, TypeError, "A pattern is a glob"),
])
def test_refusals_leave_the_model_alone(seed, rules, error, message):
    model = Net()
    before = weights(model)
    with pytest.raises(error, match=message):
        init_model_(model, seed, rules)
    assert_same(weights(model), before)


def test_parameters_that_cannot_be_filled():
    with pytest.raises(TypeError, match="Parameter 'weight': fanin fills .* Received: torch.complex64"):
        init_model_(nn.Linear(2, 2, dtype=torch.complex64), 1, {"*": "he_normal"})
    with pytest.raises(ValueError, match="Parameter 'weight': it is not initialised and has no shape yet"):
        init_model_(nn.LazyLinear(3), 1, {"*": "he_normal"})
    odd = nn.ParameterDict({"complex": torch.zeros(2, dtype=torch.complex64), "scale": torch.zeros(2, dtype=torch.float8_e8m0fnu),
                            "plain": torch.zeros(2)})
    odd["lazy"] = nn.parameter.UninitializedParameter()
    init_model_(odd, 1, {"plain": "ones", "*": "keep"})
    assert odd["plain"].tolist() == [1, 1] and odd["complex"].tolist() == [0, 0]
    init_model_(odd, 1, lambda name, tensor, owner: "zeros" if name == "plain" else None)
    assert odd["plain"].tolist() == [0, 0]
    shared = nn.ParameterList([torch.zeros(4)])
    shared.append(nn.Parameter(shared[0].detach()[1:]))
    with pytest.raises(ValueError, match="Parameter '1'.*overlaps"):
        init_model_(shared, 1, {"*": "zeros"})


def test_the_meta_device_as_the_default():
    with torch.device("meta"):
        model = nn.Linear(3, 3)
        with pytest.raises(ValueError, match="would stay there.*Give device="):
            init_model_(model, 1, {"*": "ones"})
        assert model.weight.is_meta
        init_model_(model, 1, {"*": "ones"}, device="cpu")
    assert model.weight.sum() == 9


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated")
def test_torchscript():
    plain = nn.Sequential(nn.Linear(2, 2))
    scripted = torch.jit.script(nn.Sequential(nn.Linear(2, 2)))
    init_model_(plain, 1, {"*": "normal"})
    init_model_(scripted, 1, {"*": "normal"})
    assert_same(dict(scripted.named_parameters()), dict(plain.named_parameters()))


def test_an_unused_rule_is_warned_of():
    with pytest.warns(UserWarning, match="No parameter takes the rule for 'boddy") as caught:
        init_model_(Net(), 1, {"boddy.*": "zeros", "*": "random_normal"})
    assert caught[0].filename == __file__


# ---------------------------------------------------------------- memory

def test_meta_modules_get_memory_once():
    with torch.device("meta"):
        model = Net()
    model.head.bias.requires_grad_(False)
    model.norm.weight.note = "kept"
    assert model.head.weight is model.embedding.weight
    init_model_(model, 42, RULES, device="cpu")
    assert_same(weights(model), EXPECTED)
    assert model.head.weight is model.embedding.weight and isinstance(model.head.weight, nn.Parameter)
    assert not model.head.bias.requires_grad and model.norm.weight.note == "kept"
    assert torch.equal(model.norm.running_var, torch.ones(16)) and model.norm.num_batches_tracked == 0
    model.body(torch.zeros(1, 12, 5)).sum().backward()


def test_partly_meta():
    model = Net()
    model.body.to("meta")
    embedding = model.embedding.weight
    init_model_(model, 42, RULES)
    assert_same(weights(model), EXPECTED)
    assert model.embedding.weight is embedding


def test_meta_buffers():
    class Rotary(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("frequencies", torch.arange(4.0))

    with torch.device("meta"):
        model = nn.Sequential(nn.Linear(2, 2), Rotary())
    with pytest.raises(ValueError, match="The buffer '1.frequencies' is on the meta device, and its module, a Rotary"):
        init_model_(model, 1, {"*": "zeros"})
    assert model[0].weight.is_meta
    Rotary.reset_parameters = lambda self: self.frequencies.copy_(torch.arange(4.0))
    init_model_(model, 1, {"*": "zeros"})
    assert torch.equal(model[1].frequencies, torch.arange(4.0))
    class Masked(nn.Linear):  # resets, but not its buffer
        def __init__(self):
            super().__init__(2, 2)
            self.register_buffer("mask", torch.ones(2, 2))

    with torch.device("meta"):
        model = Masked()
    with pytest.raises(ValueError, match="The buffer 'mask' is on the meta device.*gives it no value"):
        init_model_(model, 1, {"*": "zeros"})
    assert model.weight.is_meta and model.mask.is_meta
    init_model_(model, 1, {"*": "zeros"}, buffers={"mask": torch.eye(2)})
    assert torch.equal(model.mask, torch.eye(2))
    model = Net()  # buffers that are somewhere stay as they are
    model.norm.running_mean.fill_(3)
    init_model_(model, 42, RULES)
    assert (model.norm.running_mean == 3).all()


def test_strided_parameters():
    conv = nn.Conv2d(5, 6, 3).to(memory_format=torch.channels_last)
    init_model_(conv, 42, {"bias": "zeros", "*": "he_normal"})
    assert not conv.weight.is_contiguous()
    assert np.array_equal(conv.weight.detach().numpy(),
                          fanin.draw("he_normal", (6, 5, 3, 3), seed=42, name="weight", layout="oihw"))


def test_autograd_sees_the_change():
    model = nn.Linear(3, 3)
    loss = (model(torch.ones(3, requires_grad=True)) ** 2).sum()
    init_model_(model, 1, {"*": "random_normal"})
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


@pytest.mark.skipif(not torch.cuda.is_available() or not fanin.available().cuda_devices,
                    reason="needs a CUDA device, and CUDA in PyTorch and in fanin")
def test_cuda():
    with torch.device("meta"):
        model = Net()
    init_model_(model, 42, RULES, device="cuda")
    assert model.head.weight.is_cuda
    assert_same({name: tensor.cpu() for name, tensor in weights(model).items()}, EXPECTED)


def test_nothing_is_filled_where_one_parameter_cannot_be():
    model = nn.Module()
    model.a = nn.Parameter(torch.zeros(10))
    model.b = nn.Parameter(torch.zeros(3).expand(2, 3))
    with pytest.raises(ValueError, match="'b': its elements share memory"):
        init_model_(model, 1, {"*": "random_normal"})
    assert (model.a == 0).all()


def test_a_parameter_that_is_not_aligned():
    model = nn.Module()
    model.a = nn.Parameter(torch.frombuffer(bytearray(41), dtype=torch.float32, offset=1, count=10))
    init_model_(model, 1, {"*": "random_normal"})
    assert (model.a.detach().numpy() == fanin.draw("random_normal", (10,), seed=1, name="a")).all()


def test_outline_of_a_module():
    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.embed = torch.nn.Embedding(11, 4)
            self.layers = torch.nn.ModuleList(torch.nn.Linear(4, 4, bias=False) for _ in range(3))
            self.head = torch.nn.Linear(4, 11, bias=False)
            self.head.weight = self.embed.weight
            self.register_buffer("scale", torch.ones(2, dtype=torch.float64))
            self.register_buffer("cache", torch.ones(2), persistent=False)
            self.register_buffer("steps", torch.tensor(0))

    with torch.device("meta"):
        net = Net()
    expected = {"embed.weight": [11, 4], "layers.{layer}.weight": {"shape": [4, 4], "repeat": {"layer": 3}},
                "scale": {"shape": [2], "dtype": "float64"}, "head.weight": {"tie": "embed.weight"}}
    for module in (net, torch.nn.DataParallel(net)):  # wrappers do not change names
        outline = json.loads(fanin.torch.spec_of(module, name="net"))
        assert outline["name"] == "net" and outline["dtype"] == "float32" and outline["layout"] == "OI"
        assert outline["tensors"] == expected
    for rule in outline["rules"]:
        rule["initializer"] = "he_normal"
    spec = fanin.parse_model_spec(outline, 1)
    assert [tensor.name for tensor in spec.tensors] == ["embed.weight", *(f"layers.{n}.weight" for n in range(3)), "scale"]
    assert spec.tensors[0].ties == ["head.weight"]
