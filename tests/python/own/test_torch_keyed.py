# SPDX-License-Identifier: Apache-2.0
"""fanin.torch.keyed and materialize_ in one process: names, places, distributions, refusals, memory."""
import copy
import math
import threading
import warnings

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

from torch import nn  # noqa: E402
from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import checkpoint_wrapper  # noqa: E402
from torch.nn.utils import prune  # noqa: E402

import fanin  # noqa: E402
from fanin.torch import keyed, materialize_  # noqa: E402

torch.set_num_threads(1)  # threads of PyTorch that wait for each other on a busy machine take minutes
SEED = 42


def expected(initializer, shape, name, dtype="float32"):
    return torch.from_numpy(fanin.draw(initializer, shape, seed=SEED, name=name, dtype=dtype, layout="oihw"))


NORMAL, UNIT = fanin.RandomNormal(0, 1), fanin.RandomUniform(0, 1)


def one_weight(shape=(7, 5), dtype=torch.float32):
    module = nn.Module()
    module.w = nn.Parameter(torch.zeros(shape, dtype=dtype))
    return module


# ---------------------------------------------------------------- draws

@pytest.mark.parametrize("fill, initializer", [
    (lambda w: nn.init.normal_(w, 1, 0.5), fanin.RandomNormal(1, 0.5)),
    (lambda w: nn.init.uniform_(w, -1, 3), fanin.RandomUniform(-1, 3)),
    (lambda w: nn.init.trunc_normal_(w, std=0.02, a=-0.04, b=0.04), fanin.TruncatedNormal(0, 0.02)),
    (lambda w: nn.init.trunc_normal_(w, std=0.02), fanin.TruncatedNormal(0, 0.02, None, -100, 100)),  # bounds are values
    (lambda w: nn.init.kaiming_normal_(w), fanin.VarianceScaling(2, "fan_in", "untruncated_normal")),
    (lambda w: nn.init.kaiming_uniform_(w, a=math.sqrt(5)), fanin.VarianceScaling(1 / 3, "fan_in", "uniform")),
    (lambda w: nn.init.xavier_uniform_(w), fanin.GlorotUniform()),
    (lambda w: w.data.normal_(), NORMAL),
    (lambda w: w.detach().uniform_(), UNIT),
    (lambda w: nn.init.normal_(w, generator=torch.Generator().manual_seed(3)), NORMAL),
    (lambda w: fanin.torch.normal_(w), NORMAL),
    (lambda w: torch.randn(7, 5, out=w.data), NORMAL),
    (lambda w: nn.init.normal_(w, 3, 0), fanin.Constant(3)),
    (lambda w: nn.init.zeros_(w), fanin.Zeros()),
    (lambda w: nn.init.eye_(w), fanin.Identity()),
])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float64"])
def test_first_draw(fill, initializer, dtype):
    torch_dtype = getattr(torch, dtype)
    module = one_weight(dtype=torch_dtype)
    with keyed(module, SEED):
        fill(module.w)
    want = expected(initializer, (7, 5), "w", "float64" if dtype == "float64" else "float32").to(torch_dtype)
    assert torch.allclose(module.w, want, rtol=2**-7 if dtype == "bfloat16" else 1e-6, atol=0)  # PyTorch computes some scales
    if initializer in (NORMAL, UNIT):
        assert torch.equal(module.w, want)


def test_later_draws_and_names():
    model = nn.Sequential(nn.Linear(3, 4), checkpoint_wrapper(nn.Linear(4, 2)))
    with keyed(torch.compile(model), SEED, prefix="encoder."):
        for _ in range(3):
            for parameter in model.parameters():
                nn.init.normal_(parameter)
    for name, parameter in (("0.weight", model[0].weight), ("1.bias", model[1]._checkpoint_wrapped_module.bias)):
        assert torch.equal(parameter, expected(NORMAL, parameter.shape, f"encoder.{name}#2"))


def test_ties_buffers_and_order():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 4)
            self.b.weight = self.a.weight
            self.register_buffer("noise", torch.zeros(5))

    first, second = Net(), Net()
    with keyed(first, SEED), torch.no_grad():
        first.noise.normal_()
        first.b.weight.normal_()
    with keyed(second, SEED), torch.no_grad():
        second.a.weight.normal_()
        second.noise.normal_()
    assert torch.equal(first.a.weight, second.a.weight) and torch.equal(first.noise, second.noise)
    assert torch.equal(first.a.weight, expected(NORMAL, (4, 4), "a.weight"))


VIEWS = {
    "rows": lambda w: w[2:5],
    "row": lambda w: w[3],
    "columns": lambda w: w[:, 1:3],
    "transposed": lambda w: w.t(),
    "part of the transposed": lambda w: w.t()[1:3],
    "steps": lambda w: w[::2, ::2],
    "flat": lambda w: w.view(-1)[3:9],
    "diagonal": lambda w: w.diagonal(),
    "nothing": lambda w: w[3:3],
    "one": lambda w: w[2, 2],
}


@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)
@pytest.mark.parametrize("strides", ["dense", "transposed", "part"])
def test_views_get_their_part_of_the_whole(view, strides):
    module = one_weight()
    if strides == "transposed":
        module.w = nn.Parameter(torch.zeros(5, 7).t())
    if strides == "part":
        module.w = nn.Parameter(torch.zeros(9, 8)[1:8, 2:7])
    view = (lambda w: w.reshape(7, 5)[3:, :2]) if strides != "dense" and "view(-1)" in view.__code__.co_names else view
    if strides != "dense" and view is VIEWS["flat"]:
        pytest.skip("this weight has no flat view")
    whole = expected(NORMAL, (7, 5), "w")
    want = torch.zeros(7, 5)
    view(want).copy_(view(whole))
    with keyed(module, SEED), torch.no_grad():
        view(module.w).normal_()
    assert torch.equal(module.w, want)


def test_several_parameters_in_one_memory():
    flat = torch.zeros(20)
    module = nn.Module()
    module.a, module.b = nn.Parameter(flat[:8].view(2, 4)), nn.Parameter(flat[8:])
    with keyed(module, SEED):
        nn.init.normal_(module.b)
        nn.init.normal_(flat[:4])
        with pytest.raises(ValueError, match="more than one parameter has no name.* 'a', 'b'"):
            flat.normal_()
    assert torch.equal(module.b, expected(NORMAL, (12,), "b"))
    assert torch.equal(module.a[0], expected(NORMAL, (2, 4), "a")[0]) and not module.a[1].any()


def test_complex_numbers():
    module = one_weight(dtype=torch.complex64)
    with keyed(module, SEED):
        nn.init.normal_(module.w)
    assert torch.equal(torch.view_as_real(module.w), expected(fanin.RandomNormal(0, math.sqrt(0.5)), (7, 5, 2), "w"))


@pytest.mark.parametrize("fill, mean, std", [
    (lambda w: w.exponential_(4), 0.25, 0.25),
    (lambda w: w.log_normal_(0, 0.5), math.exp(0.125), math.sqrt((math.exp(0.25) - 1) * math.exp(0.25))),
    (lambda w: w.geometric_(0.25), 4, math.sqrt(12)),
    (lambda w: w.bernoulli_(0.3), 0.3, math.sqrt(0.21)),
    (lambda w: w.random_(3, 9), 5.5, math.sqrt(35 / 12)),
    (lambda w: w.cauchy_(2, 0.1).sub_(2).sign_(), 0, 1),
])
def test_other_distributions(fill, mean, std):
    """Means of 40,000 values within 6 of their standard deviations: a false alarm in 5e8 runs."""
    module = one_weight((200, 200))
    halves = one_weight((200, 200))
    with keyed(module, SEED), torch.no_grad():
        fill(module.w)
    with keyed(halves, SEED), torch.no_grad():
        fill(halves.w[:, 50:])
    assert torch.equal(halves.w[:, 50:], module.w[:, 50:]) and not halves.w[:, :50].any()
    assert abs(module.w.mean().item() - mean) < 6 * std / 200
    assert torch.unique(module.w).numel() > 1


def test_random_state_of_pytorch_is_not_used():
    module = one_weight()
    before = torch.get_rng_state()
    with keyed(module, SEED):
        module.apply(lambda part: part.w.data.copy_(torch.rand(7, 5)))
        nn.init.trunc_normal_(module.w)
    assert torch.equal(torch.get_rng_state(), before)


# ---------------------------------------------------------------- temporaries

def test_temporaries_have_the_names_of_modules():
    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.decay, self.order = nn.Parameter(torch.zeros(6)), nn.Parameter(torch.zeros(6))

    def init(module):
        if isinstance(module, Block):
            with torch.no_grad():
                module.decay.copy_(torch.rand(6).log())
                module.order.copy_(torch.randperm(6) + torch.empty(6).normal_())

    model = nn.ModuleDict({"x": Block(), "y": Block()})
    with keyed(model, SEED):
        model.apply(init)
    assert torch.equal(model["y"].decay, expected(UNIT, (6,), "y").log())
    permutation = torch.argsort(expected(UNIT, (6,), "y#1", "float64"))
    assert torch.equal(model["y"].order, permutation + expected(NORMAL, (6,), "y#2"))
    alone = nn.ModuleDict({"y": Block()})  # a pipeline stage
    with keyed(alone, SEED):
        alone.apply(init)
    assert torch.equal(alone["y"].order, model["y"].order)


@pytest.mark.parametrize("make", [
    lambda: torch.rand(3), lambda: torch.randn(3), lambda: torch.randint(4, (3,)), lambda: torch.empty(3).normal_(),
    lambda: torch.normal(torch.zeros(3), 1.0), lambda: torch.bernoulli(torch.full((3,), 0.5)),
    lambda: torch.rand_like(torch.empty(3)),
])
def test_temporaries_elsewhere_are_refused(make):
    with keyed(one_weight(), SEED):
        with pytest.raises(ValueError, match="nothing says which parameter it is for"):
            make()
    make()


def test_operators_without_a_sampler_are_refused():
    module = one_weight()
    with keyed(module, SEED):
        with pytest.raises(ValueError, match="fanin cannot draw what aten.multinomial"):
            torch.multinomial(torch.ones(3), 2)
        with pytest.raises(ValueError, match="fanin cannot draw what aten.poisson"):
            torch.poisson(torch.ones(3))
        x = torch.ones(1, 2, 3, 4)
        nn.functional.scaled_dot_product_attention(x, x, x)  # draws nothing without dropout
        nn.functional.dropout(x, 0.0)


# ---------------------------------------------------------------- refusals

def test_computed_weights_are_refused():
    cases = [nn.utils.parametrizations.weight_norm(nn.Linear(3, 4)), nn.utils.parametrizations.orthogonal(nn.Linear(3, 3))]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cases.append(nn.utils.weight_norm(nn.Linear(3, 4)))
    cases.append(prune.l1_unstructured(nn.Linear(3, 4), "weight", 0.5))
    for layer in cases:
        model = nn.Sequential(layer)
        with keyed(model, SEED):
            for fill in (nn.init.normal_, nn.init.zeros_, lambda w: w.data.uniform_(), nn.init.trunc_normal_, nn.init.orthogonal_):
                with pytest.raises(ValueError, match="'0.weight': this weight is computed from other parameters"):
                    fill(layer.weight)
            nn.init.normal_(layer.bias)


def test_fills_of_copies_are_refused():
    module = one_weight()
    with keyed(module, SEED), pytest.raises(ValueError, match="'w': a list of indices or a mask makes a copy"):
        nn.init.normal_(module.w[[1, 2]])


def test_memory_is_needed():
    with torch.device("meta"):
        module = one_weight()
    for fill in (nn.init.normal_, nn.init.trunc_normal_):
        with keyed(module, SEED), pytest.raises(ValueError, match="'w' cannot be filled: it is on the meta device"):
            fill(module.w)
    with torch._subclasses.FakeTensorMode():
        module = one_weight()
    with keyed(module, SEED), pytest.raises(ValueError, match="'w' cannot be filled: it is a FakeTensor"):
        nn.init.normal_(module.w)
    with torch.device("meta"):
        module = one_weight()
    with keyed(module, SEED):  # memory within the block
        module.to_empty(device="cpu")
        nn.init.normal_(module.w)
    assert torch.equal(module.w, expected(NORMAL, (7, 5), "w"))


def test_integers_are_left_alone():
    module = one_weight()
    module.w = nn.Parameter(torch.ones(7, 5, dtype=torch.int8), requires_grad=False)
    with keyed(module, SEED):
        for fill in (nn.init.normal_, nn.init.trunc_normal_, nn.init.uniform_):
            with pytest.warns(UserWarning, match="'w' is left as it is: it has torch.int8 numbers"):
                fill(module.w)
    assert (module.w == 1).all()


def test_wrong_arguments_are_pytorchs_errors():
    module = one_weight()
    with keyed(module, SEED):
        with pytest.raises(RuntimeError, match="std >= 0"):
            module.w.data.normal_(0, -1)
        with pytest.raises(RuntimeError, match="uniform_"):
            module.w.data.uniform_(2, 1)
        with pytest.raises(RuntimeError, match="leaf Variable"):
            module.w.normal_()
        nn.init.normal_(module.w)
    assert torch.equal(module.w, expected(NORMAL, (7, 5), "w"))  # they were no draws
    with pytest.raises(TypeError, match="seed must be given"), keyed(module, None):
        pass


# ---------------------------------------------------------------- blocks

def test_nothing_changes_outside():
    before = nn.Module.apply, nn.init._no_grad_trunc_normal_
    with pytest.raises(KeyError), keyed(one_weight(), SEED):
        raise KeyError
    assert (nn.Module.apply, nn.init._no_grad_trunc_normal_) == before
    torch.manual_seed(0)
    want = nn.init.trunc_normal_(torch.empty(5))
    torch.manual_seed(0)
    assert torch.equal(nn.init.trunc_normal_(torch.empty(5)), want)


def test_nested_blocks():
    outer, inner = one_weight(), one_weight()
    with keyed(outer, 1):
        with keyed(inner, SEED):
            nn.init.trunc_normal_(outer.w)
            nn.init.normal_(inner.w)
            outer.apply(lambda module: module.w.data.add_(torch.rand(7, 5)))
        with pytest.raises(ValueError, match="'w' belongs to the module of an outer keyed block"), keyed(outer, 2):
            pass
    want = fanin.draw(fanin.TruncatedNormal(0, 1), (7, 5), seed=1, name="w") + fanin.draw(UNIT, (7, 5), seed=1, name="")
    assert np.array_equal(outer.w.detach(), want)
    assert torch.equal(inner.w, expected(NORMAL, (7, 5), "w"))


def test_other_threads_see_pytorch():
    module, drawn = one_weight(), []
    torch.manual_seed(5)
    want = [nn.init.trunc_normal_(torch.empty(9)), torch.rand(3)]

    def work():
        torch.manual_seed(5)
        drawn.extend([nn.init.trunc_normal_(torch.empty(9)), torch.rand(3)])

    with keyed(module, SEED):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    assert all(torch.equal(a, b) for a, b in zip(drawn, want)) and len(drawn) == 2


def test_blocks_in_several_threads():
    modules = [one_weight((50, 40)) for _ in range(4)]

    def work(module):
        for _ in range(20):
            with keyed(module, SEED):
                nn.init.trunc_normal_(module.w)

    threads = [threading.Thread(target=work, args=(module,)) for module in modules]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for module in modules:
        assert torch.equal(module.w, expected(fanin.TruncatedNormal(0, 1), (50, 40), "w"))


# ---------------------------------------------------------------- materialize_

class Rotary(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("frequencies", torch.empty(4), persistent=False)
        self.reset_parameters()

    def reset_parameters(self):
        with torch.no_grad():
            self.frequencies.copy_(10000.0 ** -(torch.arange(4) / 4))


class Net(nn.Module):
    """The own code gives the weights of linear layers; the rest is the layers' default."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(20, 12, padding_idx=3)
        self.body = nn.Sequential(nn.Linear(12, 12), nn.BatchNorm1d(12), nn.MultiheadAttention(12, 2))
        self.head = nn.Linear(12, 20)
        self.head.weight = self.embedding.weight
        self.rotary = Rotary()

    def init_weights(self):
        nn.init.normal_(self.body[0].weight, std=0.5)


def on_meta(make):
    with torch.device("meta"):
        return make()


def test_own_code_then_defaults():
    model = materialize_(on_meta(Net), SEED)
    assert model.head.weight is model.embedding.weight and isinstance(model.head.weight, nn.Parameter)
    assert torch.equal(model.body[0].weight, expected(fanin.RandomNormal(0, 0.5), (12, 12), "body.0.weight"))
    bound = 12**-0.5
    assert torch.allclose(model.body[0].bias, expected(fanin.RandomUniform(-bound, bound), (12,), "body.0.bias"), rtol=1e-6)
    want = expected(NORMAL, (20, 12), "embedding.weight")
    want[3] = 0
    assert torch.equal(model.embedding.weight, want)
    assert torch.equal(model.body[1].running_var, torch.ones(12)) and model.body[1].num_batches_tracked == 0
    assert not model.body[2].in_proj_bias.any() and not model.body[2].out_proj.bias.any()
    assert torch.equal(model.rotary.frequencies, Rotary().frequencies)
    again = materialize_(copy.deepcopy(model), SEED)  # where it has memory already
    assert all(torch.equal(a, b) for a, b in zip(again.parameters(), model.parameters()))
    assert not any(name in vars(part) for part in model.modules() for name in ("init_weights", "reset_parameters"))


def test_keep():
    model = Net()
    nn.init.ones_(model.body[0].weight)
    nn.init.zeros_(model.head.bias)
    materialize_(model, SEED, keep=["body.0.*", "head.bias"])
    assert (model.body[0].weight == 1).all() and not model.head.bias.any()
    assert not torch.equal(model.body[2].in_proj_weight, Net().body[2].in_proj_weight)
    materialize_(model, SEED, keep=lambda name, tensor: tensor.dim() == 2)
    assert (model.body[0].weight == 1).all()
    with pytest.warns(UserWarning, match="No parameter or buffer is called 'bodi"):
        materialize_(model, SEED, keep="bodi.*")


@pytest.mark.filterwarnings("ignore:`torch.nn.utils.weight_norm` is deprecated")
@pytest.mark.parametrize("weight_norm", [nn.utils.weight_norm, nn.utils.parametrizations.weight_norm])
def test_keep_what_a_weight_is_computed_from(weight_norm):
    def make():
        return nn.Sequential(weight_norm(nn.Conv1d(3, 4, 2)), nn.Linear(3, 4))

    model = make()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    sources = [name for name in before if name.startswith("0.") and name != "0.bias"]
    for init in (None, lambda model: nn.init.orthogonal_(model[0].weight),
                 lambda model: nn.init.trunc_normal_(model[0].weight).data.mul_(2)):
        materialize_(model, SEED, keep=sources, init=init)
        assert all(torch.equal(model.state_dict()[name], before[name]) for name in sources)
    assert not torch.equal(model[1].weight, before["1.weight"])
    with pytest.raises(ValueError, match="'0.weight': this weight is computed"):
        materialize_(model, SEED, keep=sources[:1])
    model = materialize_(on_meta(make), SEED, keep=sources)
    assert {name for name, tensor in model.state_dict().items() if tensor.is_meta} == set(sources)

    def init(model):  # the bias is left to reset_parameters(), which fills the weight too
        for name in sources:
            nn.init.constant_(dict(model.named_parameters())[name], 3)

    materialize_(model, SEED, init=init)
    assert all((model.state_dict()[name] == 3).all() for name in sources) and model[0].bias.any()


def test_what_nothing_fills_is_an_error():
    class Bare(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.ones(3))
            self.register_buffer("table", torch.ones(3))

    with pytest.raises(ValueError, match="no value to '1.scale', '1.table'"):
        materialize_(on_meta(lambda: nn.Sequential(nn.Linear(3, 3), Bare())), SEED)

    def init(model):
        nn.init.ones_(model[1].scale)
        model[1].table = torch.ones(3)

    model = materialize_(on_meta(lambda: nn.Sequential(nn.Linear(3, 3), Bare())), SEED, init=init)
    assert (model[1].scale == 1).all() and (model[1].table == 1).all()
    assert torch.equal(model[0].weight, materialize_(on_meta(lambda: nn.Sequential(nn.Linear(3, 3))), SEED)[0].weight)
    with pytest.raises(ValueError, match="sets a part of 'w'"):
        materialize_(on_meta(one_weight), SEED, init=lambda model: nn.init.ones_(model.w[:5]))
    with pytest.raises(ValueError, match="'weight' is not initialised and has no shape yet"):
        materialize_(nn.LazyLinear(3), SEED)


def test_quantised_parameters_wait_for_their_values():
    def make():
        model = nn.Sequential(nn.Linear(3, 3))
        model[0].weight = nn.Parameter(torch.ones(3, 3, dtype=torch.int8), requires_grad=False)
        return model

    with pytest.warns(UserWarning, match="zeros until they are loaded: '0.weight'"):
        model = materialize_(on_meta(make), SEED)
    assert model[0].weight.dtype == torch.int8 and not model[0].weight.any() and model[0].bias.any()


def test_orthogonal_matrices():
    """The matrix of the parameter's name; one of its own for a view; references made before the block are seen."""
    from torch.nn.init import orthogonal_

    lstm = nn.LSTM(5, 7).bfloat16()  # PyTorch's orthogonal_ has no bfloat16
    wide = nn.Linear(9, 4)
    model = nn.ModuleDict({"lstm": lstm, "wide": wide})
    with fanin.torch.keyed(model, seed=SEED):
        orthogonal_(wide.weight, gain=2)
        orthogonal_(lstm.weight_ih_l0)
        for gate in lstm.weight_hh_l0.chunk(4):
            nn.init.orthogonal_(gate)
        fanin.torch.orthogonal_(wide.weight.data[:, :3])
    expected = fanin.draw(fanin.Orthogonal(2), (4, 9), layout="oihw", seed=SEED, name="wide.weight")
    assert np.array_equal(wide.weight.detach().numpy()[:, 3:], expected[:, 3:])
    columns = wide.weight.detach()[:, :3]
    assert torch.allclose(columns.T @ columns, torch.eye(3), atol=1e-5)
    gates = lstm.weight_hh_l0.detach().float().chunk(4)
    for number, gate in enumerate(gates):
        name = "lstm.weight_hh_l0" + (f"#{number}" if number else "")
        whole = fanin.draw(fanin.Orthogonal(), (7, 7), layout="oihw", seed=SEED, name=name)
        assert torch.equal(gate, torch.from_numpy(whole).bfloat16().float())
    before = orthogonal_.__code__
    with fanin.torch.keyed(wide, seed=SEED):
        assert orthogonal_.__code__ is not before
    assert orthogonal_.__code__ is before
    torch.manual_seed(0)
    alone = orthogonal_(torch.empty(3, 3))
    torch.manual_seed(0)
    assert torch.equal(nn.init.orthogonal_(torch.empty(3, 3)), alone)


def materialized(make, **options):
    """The same model on the CPU and from the meta device."""
    plain = fanin.torch.materialize_(make(), 42, **options)
    with torch.device("meta"):
        model = make()
    fanin.torch.materialize_(model, 42, **options)
    for name, value in plain.state_dict().items():
        assert torch.equal(model.state_dict()[name], value), name
    return model


def test_materialize_keeps_what_code_assigns_to_data():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(64, 64, dtype=torch.bfloat16)

        def init_weights(self):
            weight = self.linear.weight
            weight.data = nn.init.trunc_normal_(weight.data.float(), std=0.02).to(weight.dtype)
            self.linear.bias.data = torch.full_like(self.linear.bias, -4.5)

    model = materialized(Net)
    assert (model.linear.bias == -4.5).all() and model.linear.weight.abs().max() < 0.1


def test_materialize_sees_what_fanin_fills():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.convolution = nn.Conv1d(2, 2, 1, bias=False)
            self.matrix = nn.Parameter(torch.full((2, 2), 7.))

        def init_weights(self):
            fanin.torch.dirac_(self.convolution.weight)
            fanin.torch.eye_(self.matrix)

    model = materialized(Net)
    assert model.convolution.weight.flatten().tolist() == model.matrix.flatten().tolist() == [1, 0, 0, 1]
    assert (fanin.torch.materialize_(Net(), 42, keep="matrix").matrix == 7).all()


def test_materialize_refuses_to_change_what_has_no_value():
    for change, message in ((lambda weight: weight.mul_(0.1), "'head.weight': aten.* changes values that the code has not set"),
                            (lambda weight: weight[0].add_(1), "'head.weight': aten.* changes values that the code has not set"),
                            (lambda weight: weight.fill_diagonal_(1), "sets a part of 'head.weight'"),
                            (lambda weight: weight[0].zero_(), "sets a part of 'head.weight'")):
        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.head = nn.Linear(4, 4, bias=False)

            def init_weights(self):
                change(self.head.weight.data)

        with torch.device("meta"):
            model = Net()
        with pytest.raises(ValueError, match=message):
            fanin.torch.materialize_(model, 42)
        fanin.torch.materialize_(Net(), 42)


def test_the_first_owner_of_a_tied_parameter_gives_its_value():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = nn.Embedding(100, 4, padding_idx=0)
            self.head = nn.Linear(4, 100, bias=False)
            self.head.weight = self.embedding.weight

    model = materialized(Net)
    assert model.head.weight is model.embedding.weight
    assert (model.embedding.weight[0] == 0).all() and 0.9 < model.embedding.weight[1:].std() < 1.1
