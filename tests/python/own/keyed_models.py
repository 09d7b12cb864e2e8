# SPDX-License-Identifier: Apache-2.0
"""Models that people train, made tiny, and whether fanin.torch.materialize_ gives them the same weights under any parallelism.

    python tests/python/own/keyed_models.py            # the table of docs/keyed.md
    python tests/python/own/keyed_models.py llama vit  # some models

Each model is built on the meta device, sharded in each of the ways of LAYOUTS by processes that gloo connects, and filled by
its own code within materialize_. What the processes hold together is compared bit by bit with the model that one process makes,
and that one in distribution with the initialisation that the model's package gives it.
"""
from __future__ import annotations

import collections
import json
import math
import os
import pathlib
import sys
import tempfile
import time
import typing
import warnings

import torch
from torch import nn

import fanin.torch

SEED = 42
ALARM = 1e-7  # probability of a false alarm of each comparison of distributions


def _transformers(name: str, **sizes) -> typing.Callable[[], nn.Module]:
    def build():
        import transformers

        architecture = getattr(transformers, name)
        return architecture(architecture.config_class(**sizes))

    build.package = "transformers"
    return build


def _siglip():
    import transformers

    sizes = dict(hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2)
    return transformers.SiglipModel(transformers.SiglipConfig(
        text_config=dict(sizes, vocab_size=96, max_position_embeddings=16), vision_config=dict(sizes, image_size=32, patch_size=8)))


def _torchvision(name: str, *arguments, init: typing.Callable[[nn.Module], None], **options) -> typing.Callable[[], nn.Module]:
    def build():
        import torchvision

        return getattr(torchvision.models, name)(*arguments, **options)

    build.package, build.init = "torchvision", init
    return build


def _convnext():
    from torchvision.models.convnext import CNBlockConfig, ConvNeXt

    return ConvNeXt([CNBlockConfig(24, 48, 2), CNBlockConfig(48, None, 2)], num_classes=10)


# The initialisations of torchvision's and timm's models that are in their constructors, where nothing can call them again.

@torch.no_grad()
def _init_resnet(model):
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


@torch.no_grad()
def _init_vit(model):
    nn.init.zeros_(model.class_token)
    nn.init.trunc_normal_(model.conv_proj.weight, std=(3 * 8 * 8)**-0.5)
    nn.init.zeros_(model.conv_proj.bias)
    nn.init.normal_(model.encoder.pos_embedding, std=0.02)
    _init_mlps(model)
    nn.init.zeros_(model.heads.head.weight)
    nn.init.zeros_(model.heads.head.bias)


@torch.no_grad()
def _init_mlps(model):
    from torchvision.ops import MLP

    for module in model.modules():
        if isinstance(module, MLP):
            for linear in module.children():
                if isinstance(linear, nn.Linear):
                    nn.init.xavier_uniform_(linear.weight)
                    nn.init.normal_(linear.bias, std=1e-6)


@torch.no_grad()
def _init_convnext(model):
    for name, parameter in model.named_parameters():
        if name.endswith("layer_scale"):
            nn.init.constant_(parameter, 1e-6)
    for module in model.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            nn.init.trunc_normal_(module.weight, std=0.02)
            nn.init.zeros_(module.bias)


@torch.no_grad()
def _init_swin(model):
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.trunc_normal_(module.weight, std=0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        if hasattr(module, "define_relative_position_index"):
            module.define_relative_position_index()
            nn.init.trunc_normal_(module.relative_position_bias_table, std=0.02)
    for stage in model.features:  # MLPs are made after their layers' default
        for name, module in stage.named_modules():
            if name.endswith("mlp"):
                for linear in (module[0], module[3]):
                    nn.init.trunc_normal_(linear.weight, std=0.02)


@torch.no_grad()
def _init_timm_convnext(model):
    for name, parameter in model.named_parameters():
        if name.endswith("gamma"):
            nn.init.constant_(parameter, 1e-6)
    for module in model.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            nn.init.trunc_normal_(module.weight, std=0.02)
            nn.init.zeros_(module.bias)


def _timm(name: str, *, init: typing.Callable[[nn.Module], None] | None = None, **options) -> typing.Callable[[], nn.Module]:
    def build():
        import timm

        return timm.create_model(name, **options)

    build.package, build.init = "timm", init
    return build


def _lora():
    import peft

    model = MODELS["llama"]()
    return peft.get_peft_model(model, peft.LoraConfig(r=4, target_modules=["q_proj", "v_proj"]))


_siglip.package, _lora.package, _convnext.package, _convnext.init = "transformers", "peft", "torchvision", _init_convnext


class TitanBlock(nn.Module):
    """One layer in torchtitan's manner: init_weights() with arguments, and scales that depend on the depth."""

    def __init__(self, width: int, depth: int):
        super().__init__()
        self.std = 0.02 / (2 * (depth + 1)) ** 0.5
        self.norm = nn.RMSNorm(width)
        self.wqkv, self.wo = nn.Linear(width, 3 * width, bias=False), nn.Linear(width, width, bias=False)
        self.experts = nn.Parameter(torch.empty(4, width, width))
        self.decay = nn.Parameter(torch.empty(width))

    def init_weights(self, std: float):
        self.norm.reset_parameters()
        nn.init.trunc_normal_(self.wqkv.weight, std=std)
        nn.init.trunc_normal_(self.wo.weight, std=self.std)
        for expert in range(4):
            nn.init.normal_(self.experts[expert], std=std)
        with torch.no_grad():
            self.decay.copy_(torch.log(1 + 15 * torch.rand(self.decay.shape)))


class Titan(nn.Module):
    """A decoder in torchtitan's manner: the constructor allocates, init_weights() gives the values, rotary tables too."""

    def __init__(self, width: int = 32, depth: int = 2, vocabulary: int = 96):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width)
        self.layers = nn.ModuleDict({str(n): TitanBlock(width, n) for n in range(depth)})
        self.norm = nn.RMSNorm(width)
        self.output = nn.Linear(width, vocabulary, bias=False)
        self.register_buffer("frequencies", torch.empty(8), persistent=False)
        self.init_weights()

    def init_weights(self):
        with torch.no_grad():
            self.frequencies.copy_(10000.0 ** -(torch.arange(8) / 8))
        nn.init.normal_(self.embedding.weight)
        for layer in self.layers.values():
            layer.init_weights(0.02)
        self.norm.reset_parameters()
        std = self.output.in_features**-0.5
        nn.init.trunc_normal_(self.output.weight, std=std, a=-3 * std, b=3 * std)


Titan.package = "torch"

DECODER = dict(vocab_size=96, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
               num_key_value_heads=2)
MODELS: dict[str, typing.Callable[[], nn.Module]] = {
    "llama": _transformers("LlamaForCausalLM", **DECODER),
    "mixtral": _transformers("MixtralForCausalLM", **DECODER, num_local_experts=4),
    "deepseek_v3": _transformers("DeepseekV3ForCausalLM", **{**DECODER, "num_key_value_heads": 4}, moe_intermediate_size=16,
                                 n_routed_experts=4, n_group=2, topk_group=1, num_experts_per_tok=2, first_k_dense_replace=1,
                                 q_lora_rank=16, kv_lora_rank=16, qk_rope_head_dim=8, qk_nope_head_dim=8, v_head_dim=8),
    "gpt2": _transformers("GPT2LMHeadModel", vocab_size=96, n_positions=32, n_embd=32, n_layer=2, n_head=4),
    "bert": _transformers("BertForMaskedLM", vocab_size=96, hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
                          intermediate_size=64, max_position_embeddings=32),
    "t5": _transformers("T5ForConditionalGeneration", vocab_size=96, d_model=32, d_kv=8, d_ff=64, num_layers=2, num_heads=4),
    "vit": _transformers("ViTForImageClassification", hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
                         intermediate_size=64, image_size=32, patch_size=8),
    "whisper": _transformers("WhisperForConditionalGeneration", vocab_size=96, d_model=32, encoder_layers=2, decoder_layers=2,
                             encoder_attention_heads=4, decoder_attention_heads=4, encoder_ffn_dim=64, decoder_ffn_dim=64,
                             num_mel_bins=16, max_source_positions=32, max_target_positions=32, pad_token_id=0, bos_token_id=1,
                             eos_token_id=2, decoder_start_token_id=1),
    "mamba2": _transformers("Mamba2ForCausalLM", vocab_size=96, hidden_size=32, num_heads=8, head_dim=8, state_size=16,
                            num_hidden_layers=2, n_groups=2),
    "qwen3_next": _transformers("Qwen3NextForCausalLM", **DECODER, head_dim=8, linear_num_value_heads=4, linear_num_key_heads=2,
                                linear_key_head_dim=8, linear_value_head_dim=8, num_experts=4, num_experts_per_tok=2,
                                moe_intermediate_size=16, shared_expert_intermediate_size=16,
                                layer_types=["linear_attention", "full_attention"]),
    "rwkv": _transformers("RwkvForCausalLM", vocab_size=96, hidden_size=32, attention_hidden_size=32, num_hidden_layers=2),
    "siglip": _siglip,
    "torchvision resnet50": _torchvision("resnet50", num_classes=10, init=_init_resnet),
    "torchvision vit": _torchvision("VisionTransformer", 32, 8, 2, 4, 32, 64, num_classes=10, init=_init_vit),
    "torchvision convnext": _convnext,
    "torchvision swin": _torchvision("SwinTransformer", [4, 4], 24, [2, 2], [2, 4], [4, 4], num_classes=10, init=_init_swin),
    "timm vit": _timm("vit_tiny_patch16_224", num_classes=10, img_size=32, patch_size=8, depth=2),
    "timm resnet": _timm("resnet18", num_classes=10),
    "timm convnext": _timm("convnext_atto", num_classes=10, init=_init_timm_convnext),
    "peft lora": _lora,
    "torchtitan's shape": Titan,
}


# ------------------------------------------------------------------ layouts


def _shard(model: nn.Module, mesh, **options) -> None:
    from torch.distributed.fsdp import fully_shard

    for layers in [module for module in model.modules() if isinstance(module, nn.ModuleList)][::-1]:  # the inner ones first
        for layer in layers:
            if any(True for _ in layer.parameters()) and hasattr(layer, "forward"):
                fully_shard(layer, mesh=mesh, **options)
    fully_shard(model, mesh=mesh, **options)


def _parallelize(model: nn.Module, mesh) -> None:
    """Rows or columns of every Linear, by the model's plan where it has one for the module, else columns.

    Not of those with tied parameters, because parallelize_module would give them parameters of their own.
    """
    from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module

    rowwise = {name.rsplit(".", 1)[-1] for name, style in (getattr(model, "tp_plan", None) or {}).items() if style == "rowwise"}
    uses = collections.Counter(id(parameter) for _, parameter in model.named_parameters(remove_duplicate=False))
    plan = {}
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear) and all(uses[id(parameter)] == 1 for parameter in module.parameters()):
            plan[name] = RowwiseParallel() if name.rsplit(".", 1)[-1] in rowwise else ColwiseParallel()
    parallelize_module(model, mesh, plan)


def _offloaded(model: nn.Module, meshes) -> None:
    from torch.distributed.fsdp import CPUOffloadPolicy

    _shard(model, meshes["line"], offload_policy=CPUOffloadPolicy(pin_memory=False))


def _both(model: nn.Module, meshes) -> None:
    _parallelize(model, meshes["square"]["model"])
    _shard(model, meshes["square"]["data"])


def _hybrid(model: nn.Module, meshes) -> None:
    _shard(model, meshes["square"])


LAYOUTS: dict[tuple[int, str], typing.Callable[[nn.Module, dict], None]] = {
    (2, "FSDP2 (2)"): lambda model, meshes: _shard(model, meshes["line"]),
    (2, "FSDP2 (2), CPU offload"): _offloaded,
    (2, "TP (2)"): lambda model, meshes: _parallelize(model, meshes["line"]),
    (4, "FSDP2 (4)"): lambda model, meshes: _shard(model, meshes["line"]),
    (4, "HSDP (2, 2)"): _hybrid,
    (4, "FSDP2 x TP (2, 2)"): _both,
}


def materialized(name: str, shard: typing.Callable[[nn.Module], None] = lambda model: None) -> tuple[nn.Module, float]:
    """The model, built on the meta device, sharded and filled, and the seconds that materialize_ took."""
    with torch.device("meta"):
        model = MODELS[name]()
    shard(model)
    start = time.perf_counter()
    fanin.torch.materialize_(model, SEED, init=getattr(MODELS[name], "init", None))
    return model, time.perf_counter() - start


def tensors_of(model: nn.Module) -> dict[str, torch.Tensor]:
    named = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    return {name: (tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor).detach() for name, tensor in named.items()}


def differences(model: nn.Module, expected: dict[str, torch.Tensor]) -> list[str]:
    got = tensors_of(model)
    return [name for name in got.keys() | expected.keys()
            if name not in got or name not in expected or not torch.equal(got[name], expected[name])]


def other_distributions(name: str) -> list[str]:
    """Parameters and buffers whose values are not distributed as the package's own initialisation, in one process.

    A tensor is compared by its standard deviation and by the two-sample Kolmogorov-Smirnov distance; a constant must be equal.
    """
    expected = {key: value.double().flatten() for key, value in tensors_of(materialized(name)[0]).items()}
    torch.manual_seed(0)
    own = {key: value.double().flatten() for key, value in tensors_of(MODELS[name]()).items()}
    assert own.keys() == expected.keys()
    return [key for key in own if not _same_distribution(own[key], expected[key])]


def _same_distribution(a: torch.Tensor, b: torch.Tensor) -> bool:
    if a.numel() < 2 or (a == a[0]).all() or torch.equal(a, b):
        return torch.equal(a, b) or a.numel() < 2
    n = a.numel()
    a, b = a.sort().values, b.sort().values
    at = torch.cat([a, b])
    distance = (torch.searchsorted(a, at, right=True) - torch.searchsorted(b, at, right=True)).abs().max().item() / n
    # The variance of a sample's standard deviation is about (kurtosis - 1) / (4n) of the variance; 6 of its deviations.
    kurtosis = ((a - a.mean()) ** 4).mean() / a.var(unbiased=False) ** 2
    spread = 6 * a.std() * ((kurtosis - 1) / (2 * n)) ** 0.5
    return distance < (-math.log(ALARM / 2) / n) ** 0.5 and abs(a.std() - b.std()) <= spread


# ------------------------------------------------------------------ processes


def _work(rank: int, processes: int, names: list[str], directory: str) -> None:
    import torch.distributed as dist
    from torch.distributed.device_mesh import DeviceMesh

    warnings.simplefilter("ignore")
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{directory}/store{processes}", rank=rank, world_size=processes)
    meshes = {"line": DeviceMesh("cpu", list(range(processes)))}
    if processes == 4:
        meshes["square"] = DeviceMesh("cpu", [[0, 1], [2, 3]], mesh_dim_names=("data", "model"))
    for name in names:
        expected = tensors_of(materialized(name)[0])
        for (count, layout), shard in LAYOUTS.items():
            if count != processes:
                continue
            try:
                model, seconds = materialized(name, lambda model: shard(model, meshes))
                wrong = differences(model, expected)
            except Exception as error:
                wrong, seconds = [f"{type(error).__name__}: {error}"], math.nan
            if rank == 0 or wrong:
                row = json.dumps([name, layout, sorted(wrong)[:3], seconds])
                pathlib.Path(directory, f"{names.index(name)}-{layout}-{rank}.json").write_text(row)
    dist.barrier()
    dist.destroy_process_group()
    os._exit(0)  # now and then a thread of gloo's aborts a process whose interpreter ends in the ordinary way


def check(names: list[str], counts: typing.Sequence[int] = (2, 4)) -> list[tuple[str, str, list[str], float]]:
    """For each model and layout of these numbers of processes: what differs from one process, and materialize_'s seconds."""
    with tempfile.TemporaryDirectory() as directory:
        for processes in counts:
            torch.multiprocessing.spawn(_work, (processes, names, directory), nprocs=processes)
        rows = [tuple(json.loads(file.read_text())) for file in sorted(pathlib.Path(directory).glob("*.json"))]
    worst: dict[tuple[str, str], tuple] = {}
    for row in rows:  # what any process found wrong
        if row[:2] not in worst or row[2]:
            worst[row[:2]] = row
    return list(worst.values())


def main() -> None:
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    names = [name for name in MODELS if not sys.argv[1:] or name in sys.argv[1:]]
    columns = [layout for _, layout in LAYOUTS]
    results = {(name, layout): (wrong, seconds) for name, layout, wrong, seconds in check(names)}
    print("| model | " + " | ".join(columns) + " | distribution |")
    print("| --- " * (len(columns) + 2) + "|")
    for name in names:
        cells = []
        for layout in columns:
            wrong, seconds = results.get((name, layout), (["did not run"], math.nan))
            cells.append("differs: " + ", ".join(wrong) if wrong else f"equal, {1000 * seconds:.0f} ms")
        others = other_distributions(name)
        cells.append("differs: " + ", ".join(others[:3]) if others else "equal")
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
