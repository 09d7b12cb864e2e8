# SPDX-License-Identifier: Apache-2.0
"""DTensors: every process fills what it holds, and together they hold the tensor that one process would make.

One group of four processes runs all cases, on meshes of 1 to 4 of them. What a process should hold is cut from the whole
tensor by PyTorch's own distribute_tensor.
"""
import gc
import os
import warnings

import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
pytest.importorskip("torch.distributed.tensor", reason="this PyTorch has no DTensor")
if not torch.distributed.is_available() or not torch.distributed.is_gloo_available():
    pytest.skip("this PyTorch was built without gloo", allow_module_level=True)

import torch.distributed as dist  # noqa: E402
from torch import nn  # noqa: E402
from torch.distributed.device_mesh import DeviceMesh  # noqa: E402
from torch.distributed.tensor import Partial, Replicate, Shard, distribute_tensor, zeros  # noqa: E402
from torch.distributed.tensor.placement_types import _StridedShard  # noqa: E402

import fanin  # noqa: E402
import fanin.torch  # noqa: E402

PROCESSES = 4
SHAPES = [(7, 5), (6, 4, 3), (3, 2), (5,), (1, 9)]  # uneven, even, some processes with nothing


def by_plan(tensor):
    plan = fanin.Plan()
    plan.add(tensor, "he_normal", seed=6)
    plan.fill()


FILLS = {
    "normal": fanin.torch.normal_,
    "uniform": lambda t, generator: fanin.torch.uniform_(t, -1, 3, generator=generator),
    "trunc": lambda t, generator: fanin.torch.trunc_normal_(t, generator=generator),
    "narrow": lambda t, generator: fanin.torch.trunc_normal_(t, 0, 1, 1, 2, generator=generator),
    "kaiming": lambda t, generator: fanin.torch.kaiming_normal_(t, generator=generator) if t.dim() > 1 else None,
    "fill": lambda t, generator: fanin.fill(t, "he_normal", seed=5),
    "plan": lambda t, generator: by_plan(t),
    "xavier": lambda t, generator: fanin.torch.xavier_uniform_(t, generator=generator) if t.dim() > 1 else None,
}
RULES = {"*.bias": "zeros", "*norm.weight": "ones", "*": "he_normal"}


def seeded():
    return torch.Generator().manual_seed(5)


class Net(nn.Module):
    def __init__(self, sizes=(7, 12, 5)):  # uneven over FSDP's processes
        super().__init__()
        self.first = nn.Linear(sizes[0], sizes[1])
        self.norm = nn.LayerNorm(sizes[1])
        self.second = nn.Linear(sizes[1], sizes[2])
        self.register_buffer("scale", torch.ones(3))

    def reset_parameters(self):  # gives the buffer its value
        self.scale.fill_(1)

    def forward(self, x):
        return self.second(torch.relu(self.norm(self.first(x)))) * self.scale[0]


def distribute(tensor, mesh, placements):
    return distribute_tensor(tensor, mesh, placements, src_data_rank=None)  # all have it: nothing is sent


def check_functions(mesh, placements):
    for shape in SHAPES:
        if any(isinstance(p, (Shard, _StridedShard)) and p.dim >= len(shape) for p in placements):
            continue
        for name, fill in FILLS.items():
            for dtype in (torch.float32, torch.bfloat16, torch.float64):
                whole = torch.zeros(shape, dtype=dtype)
                fill(whole, generator=seeded())
                expected = distribute(whole, mesh, placements).to_local()
                sharded = distribute(torch.zeros(shape, dtype=dtype), mesh, placements)
                fill(sharded, generator=seeded())
                assert torch.equal(sharded.to_local(), expected), (name, shape, dtype, mesh, placements)


def check_parameters(model, plain):
    expected = dict(plain.named_parameters())
    for name, parameter in model.named_parameters():
        if hasattr(parameter, "full_tensor"):
            parameter = parameter.full_tensor()
        assert torch.equal(parameter, expected[name]), name


def check_fully_shard(mesh, tensor_parallel=None):
    """Built on the meta device, sharded, filled where it will stay, and used."""
    from torch.distributed.fsdp import fully_shard
    from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module

    sizes = (8, 12, 8) if tensor_parallel else (7, 12, 5)
    plain = fanin.torch.init_model_(Net(sizes), 42, RULES)
    with torch.device("meta"):
        model = Net(sizes)
    if tensor_parallel:  # the norm would see a shard of its input: only the parameters are looked at
        parallelize_module(model, tensor_parallel, {"first": ColwiseParallel(), "second": RowwiseParallel()})
        fully_shard(model.first, mesh=mesh)
        fully_shard(model.second, mesh=mesh)
        assert type(model.first.weight.placements[0]) is _StridedShard
    else:
        fully_shard(model, mesh=mesh)
    fanin.torch.init_model_(model, 42, RULES)
    check_parameters(model, plain)
    assert torch.equal(model.scale, torch.ones(3))
    if not tensor_parallel:
        x = torch.arange(14.0).reshape(2, 7)
        assert torch.allclose(model(x), plain(x), rtol=1e-5, atol=1e-6)
        model.reshard()
        check_parameters(model, plain)  # still, after FSDP has gathered and freed them


def check_flattened(mesh):
    from torch.distributed.fsdp import FullyShardedDataParallel as FSDP

    plain = fanin.torch.init_model_(Net(), 42, RULES)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for use_orig_params in (True, False):
            model = FSDP(Net(), device_id=torch.device("cpu"), use_orig_params=use_orig_params)
            with pytest.raises(ValueError, match="summon_full_params"):
                fanin.torch.init_model_(model, 42, RULES)
            with FSDP.summon_full_params(model):
                fanin.torch.init_model_(model, 42, RULES)
            with FSDP.summon_full_params(model, writeback=False):
                for (_, got), expected in zip(model.named_parameters(), plain.parameters()):
                    assert torch.equal(got, expected)


def check_all(rank):
    for count in range(1, PROCESSES + 1):
        mesh = DeviceMesh("cpu", list(range(count)))
        if rank < count:
            for placement in (Replicate(), Shard(0), Shard(1), Shard(2)):
                check_functions(mesh, [placement])
    square = DeviceMesh("cpu", [[0, 1], [2, 3]], mesh_dim_names=("data", "model"))
    for placements in ([Shard(0), Shard(1)], [Shard(1), Shard(0)], [Shard(0), Shard(0)], [Replicate(), Shard(0)],
                       [Shard(1), Replicate()], [Replicate(), Replicate()]):
        check_functions(square, placements)
    partial = zeros(4, 4, device_mesh=square, placements=[Replicate(), Replicate()])
    partial = partial.from_local(partial.to_local(), square, [Partial(), Replicate()])
    with pytest.raises(ValueError, match="Redistribute it first"):
        fanin.torch.normal_(partial)
    line = DeviceMesh("cpu", list(range(PROCESSES)))
    check_fully_shard(line)
    check_fully_shard(square["data"], square["model"])
    check_flattened(line)


def run(rank, directory):
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{directory}/store", rank=rank, world_size=PROCESSES)
    check_all(rank)
    gc.collect()
    dist.destroy_process_group()
    os._exit(0)  # now and then a thread of gloo's aborts a process whose interpreter ends in the ordinary way


def test_dtensors(tmp_path):
    torch.multiprocessing.spawn(run, (str(tmp_path),), nprocs=PROCESSES)
