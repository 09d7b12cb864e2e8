# SPDX-License-Identifier: Apache-2.0
"""Public reports of initialisation that depends on sharding, the meta device or existing weights.

Each test shows what PyTorch alone does, and that fanin.torch.keyed or materialize_ does what is right. The reports that need
processes run in one group of two.
"""
import copy
import math
import os

import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
pytest.importorskip("torch.distributed.tensor", reason="this PyTorch has no DTensor")
if not torch.distributed.is_available() or not torch.distributed.is_gloo_available():
    pytest.skip("this PyTorch was built without gloo", allow_module_level=True)

import torch.distributed as dist  # noqa: E402
from torch import nn  # noqa: E402
from torch.distributed.device_mesh import init_device_mesh  # noqa: E402
from torch.distributed.tensor import DTensor, Shard, distribute_tensor  # noqa: E402

import fanin  # noqa: E402
import fanin.torch  # noqa: E402

torch.set_num_threads(1)
SEED = 42


def on_meta(make):
    with torch.device("meta"):
        return make()


def whole_of(make):
    """The parameters and buffers that one process makes."""
    model = fanin.torch.materialize_(on_meta(make), SEED)
    return {**dict(model.named_parameters()), **dict(model.named_buffers())}


def assert_whole(model, expected):
    for name, tensor in {**dict(model.named_parameters()), **dict(model.named_buffers())}.items():
        assert torch.equal(tensor.full_tensor() if isinstance(tensor, DTensor) else tensor, expected[name]), name


def sharded(make, **options):
    from torch.distributed.fsdp import fully_shard

    model = on_meta(make)
    fully_shard(model, **options)
    return model


# ---------------------------------------------------------------- with processes

class Truncated(nn.Module):
    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.empty(6, 50))

    def reset_parameters(self):
        nn.init.trunc_normal_(self.w, std=0.02, a=-0.04, b=0.04)


def report_1(rank):
    """pytorch#180088: truncated normals of DTensors with CPU offload never end, or are equal on all ranks."""
    from torch.distributed.fsdp import CPUOffloadPolicy

    mesh = init_device_mesh("cpu", (2,))
    torch.manual_seed(0)
    alone = distribute_tensor(torch.empty(6, 50), mesh, [Shard(0)], src_data_rank=None)
    nn.init.normal_(alone, std=0.02)
    torch.manual_seed(0)
    whole = nn.init.normal_(torch.empty(6, 50), std=0.02)
    assert not torch.equal(alone.full_tensor(), whole)  # PyTorch's shards are not the blocks of the whole

    model = sharded(Truncated, offload_policy=CPUOffloadPolicy(pin_memory=False))
    fanin.torch.materialize_(model, SEED)
    assert_whole(model, whole_of(Truncated))
    first, second = model.w.full_tensor().chunk(2)
    assert not torch.equal(first, second)


class Padded(nn.Module):
    """transformers' way to give padding a row of zeros."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(11, 6, padding_idx=7)

    def init_weights(self):
        nn.init.normal_(self.embedding.weight)
        nn.init.zeros_(self.embedding.weight[self.embedding.padding_idx])
        nn.init.ones_(self.embedding.weight[1:9:3])


def report_2(rank):
    """pytorch#139735, #147570: zeros_(dtensor[:2]) does nothing."""
    mesh = init_device_mesh("cpu", (2,))
    alone = distribute_tensor(torch.ones(11, 6), mesh, [Shard(0)], src_data_rank=None)
    nn.init.zeros_(alone[:2])
    assert (alone.full_tensor() == 1).all()

    for shard_dim in (0, 1):
        model = sharded(Padded, shard_placement_fn=lambda parameter: Shard(shard_dim))
        fanin.torch.materialize_(model, SEED)
        assert_whole(model, whole_of(Padded))
    weight = whole_of(Padded)["embedding.weight"]
    assert (weight[1:9:3] == 1).all() and weight[7].unique().item() == 1  # the last call decides
    assert torch.equal(weight[0], torch.from_numpy(fanin.draw(fanin.RandomNormal(0, 1), (11, 6), seed=SEED,
                                                              name="embedding.weight"))[0])
    held = nn.Module()
    held.w = nn.Parameter(alone)
    expected = torch.ones(11, 6)
    drawn = torch.from_numpy(fanin.draw(fanin.RandomNormal(0, 1), (11, 6), seed=SEED, name="w"))
    expected[2:11:4] = drawn[2:11:4]
    with fanin.torch.keyed(held, SEED), torch.no_grad():
        part = held.w[2::4]
        part.normal_()
        assert torch.equal(part.full_tensor(), drawn[2::4])
        with pytest.raises(ValueError, match="'w': PyTorch gives aten.split"):
            held.w.split(2)[0].zero_()
    assert torch.equal(held.w.full_tensor(), expected)


class Mixer(nn.Module):
    """The state space parameters of Mamba: a random temporary, its function, a copy."""

    def __init__(self):
        super().__init__()
        self.A_log, self.dt_bias = nn.Parameter(torch.empty(9)), nn.Parameter(torch.empty(9))

    def reset_parameters(self):
        with torch.no_grad():
            self.A_log.copy_(torch.log(torch.arange(1, 10)))
            step = torch.exp(torch.rand(9) * (math.log(0.1) - math.log(0.001)) + math.log(0.001))
            self.dt_bias.copy_(step + torch.log(-torch.expm1(-step)))


def report_3(rank):
    """flame#42, fla#753: A_log and dt_bias stay 0 where they are DTensors."""
    mesh = init_device_mesh("cpu", (2,))
    alone = distribute_tensor(torch.zeros(9), mesh, [Shard(0)], src_data_rank=None)
    with pytest.raises(RuntimeError, match="mixed torch.Tensor and DTensor"):
        alone.copy_(torch.rand(9))

    model = sharded(lambda: nn.Sequential(Mixer(), Mixer()))
    fanin.torch.materialize_(model, SEED)
    assert_whole(model, whole_of(lambda: nn.Sequential(Mixer(), Mixer())))
    assert not torch.equal(model[0].dt_bias.full_tensor(), model[1].dt_bias.full_tensor())


class Lora(nn.Module):
    def __init__(self, experts):
        super().__init__()
        self.experts = nn.ModuleDict({str(n): nn.Linear(8, 4, bias=False) for n in experts})

    def init_weights(self):
        for expert in self.experts.values():
            nn.init.kaiming_uniform_(expert.weight, a=math.sqrt(5))


def report_9(rank):
    """Megatron-Bridge#5396, PaddleNLP#9427: LoRA factors differ between replicas, or are equal between experts."""
    torch.manual_seed(0)  # as tensor parallelism needs it for replicas
    alone = Lora([2 * rank, 2 * rank + 1]).experts
    gathered = [torch.empty(4, 8) for _ in range(2)]
    dist.all_gather(gathered, alone[str(2 * rank)].weight.detach())
    assert torch.equal(*gathered)  # expert 0 of one process is expert 2 of the other

    local = fanin.torch.materialize_(on_meta(lambda: Lora([2 * rank, 2 * rank + 1])), SEED)  # expert parallelism
    expected = whole_of(lambda: Lora(range(4)))
    assert_whole(local, expected)
    assert not torch.equal(expected["experts.0.weight"], expected["experts.2.weight"])
    assert_whole(sharded_by_columns(lambda: Lora(range(4))), expected)  # tensor parallelism


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.empty(4, 6))

    def reset_parameters(self):
        nn.init.orthogonal_(self.w, gain=2)


def report_11(rank):
    """pytorch#131991: orthogonal_ of a DTensor is an error."""
    mesh = init_device_mesh("cpu", (2,))
    alone = distribute_tensor(torch.zeros(4, 6), mesh, [Shard(0)], src_data_rank=None)
    with pytest.raises((RuntimeError, NotImplementedError), match="aten.t_"):
        nn.init.orthogonal_(alone)

    expected = whole_of(Recurrent)
    assert torch.allclose(expected["w"] @ expected["w"].t(), 4 * torch.eye(4), atol=1e-5)
    for shard_dim in (0, 1):
        model = sharded(Recurrent, shard_placement_fn=lambda parameter: Shard(shard_dim))
        assert_whole(fanin.torch.materialize_(model, SEED), expected)


def sharded_by_columns(make):
    from torch.distributed.tensor.parallel import ColwiseParallel, parallelize_module

    model = on_meta(make)
    parallelize_module(model, init_device_mesh("cpu", (2,)),
                       {name: ColwiseParallel() for name, part in model.named_modules() if isinstance(part, nn.Linear)})
    return fanin.torch.materialize_(model, SEED)


def run(rank, directory):
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{directory}/store", rank=rank, world_size=2)
    for report in (report_1, report_2, report_3, report_9, report_11):
        report(rank)
    dist.destroy_process_group()
    os._exit(0)  # now and then a thread of gloo's aborts a process whose interpreter ends in the ordinary way


def test_reports_1_2_3_9_11_with_two_processes(tmp_path):
    torch.multiprocessing.spawn(run, (str(tmp_path),), nprocs=2)


# ---------------------------------------------------------------- in one process

class Rotary(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("inv_freq", self.frequencies(), persistent=False)

    @staticmethod
    def frequencies():
        return 10000.0 ** -(torch.arange(8, device=None) / 8)

    def reset_parameters(self):
        self.inv_freq.copy_(self.frequencies())


def test_report_4_rotary_frequencies():
    """transformers#45902, torchtitan#4783: inv_freq is not initialised after meta and to_empty."""
    alone = on_meta(Rotary).to_empty(device="cpu")
    alone.inv_freq.fill_(7)  # what the memory may have held
    assert not torch.equal(alone.inv_freq, Rotary.frequencies())  # and nothing recomputes it
    assert torch.equal(fanin.torch.materialize_(on_meta(Rotary), SEED).inv_freq, Rotary.frequencies())


def test_report_5_loaded_weights():
    """transformers#46620: weights that were loaded are initialised again."""
    loaded = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    kept = copy.deepcopy(loaded[0].weight)
    alone = copy.deepcopy(loaded)
    alone.apply(lambda module: isinstance(module, nn.Linear) and module.reset_parameters())
    assert not torch.equal(alone[0].weight, kept)
    loaded[0].weight._is_hf_initialized = True
    fanin.torch.materialize_(loaded, SEED)
    assert torch.equal(loaded[0].weight, kept)
    assert torch.equal(loaded[1].weight, whole_of(lambda: nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3)))["1.weight"])


def test_report_6_integers():
    """transformers#39366: normal_ of int8 weights is an error."""
    layer = nn.Linear(3, 3)
    layer.weight = nn.Parameter(torch.ones(3, 3, dtype=torch.int8), requires_grad=False)
    with pytest.raises((RuntimeError, NotImplementedError), match="not implemented for 'Char'"):
        nn.init.normal_(layer.weight)
    with fanin.torch.keyed(layer, SEED), pytest.warns(UserWarning, match="'weight' is left as it is"):
        nn.init.normal_(layer.weight)
    assert (layer.weight == 1).all()


def test_report_7_parametrized_weights():
    """pytorch#180968: the initialisation of a parametrized weight is lost."""
    layer = nn.utils.parametrizations.weight_norm(nn.Linear(3, 3))
    before = layer.weight.detach().clone()
    nn.init.normal_(layer.weight)
    assert torch.equal(layer.weight, before)
    with fanin.torch.keyed(nn.Sequential(layer), SEED), pytest.raises(ValueError, match="'0.weight': this weight is computed"):
        nn.init.normal_(layer.weight)
    with fanin.torch.keyed(layer, SEED):
        nn.init.normal_(layer.parametrizations.weight.original1)
    assert not torch.equal(layer.weight, before)


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding, self.head = nn.Embedding(9, 4), nn.Linear(4, 9, bias=False)
        self.head.weight = self.embedding.weight


def test_report_8_ties():
    """Modalities#357, accelerate#3668: the meta device breaks ties."""
    state = {name: torch.ones_like(tensor, device="cpu") for name, tensor in on_meta(Tied).state_dict().items()}
    alone = on_meta(Tied)
    alone.load_state_dict({name: tensor.clone() for name, tensor in state.items()}, assign=True)  # the way off the meta device
    assert alone.head.weight is not alone.embedding.weight
    tied = fanin.torch.materialize_(on_meta(Tied), SEED)
    assert tied.head.weight is tied.embedding.weight


def test_report_10_compiled_truncated_normal():
    """pytorch#194768: trunc_normal_ breaks torch.compile(fullgraph=True)."""
    def init(weight):
        fanin.torch.trunc_normal_(weight, a=-1.0, b=1.0)
        fanin.torch.kaiming_uniform_(weight[:4], mode="fan_out", nonlinearity="relu")
        first, second = torch.zeros(8, 8), torch.zeros(8, 8)
        return fanin.torch.normal_(first, std=0.02), fanin.torch.normal_(second, std=0.02)

    compiled = torch.compile(init, fullgraph=True, backend="aot_eager")
    results = []
    for function in (init, compiled):
        torch.manual_seed(1)
        weight = nn.Parameter(torch.zeros(8, 8))
        with torch.no_grad():
            results.append([weight.detach(), *function(weight)])
    for eager, in_graph in zip(*results):
        assert torch.equal(eager, in_graph)
    assert not torch.equal(results[1][1], results[1][2])  # two draws, not one that the graph uses twice
