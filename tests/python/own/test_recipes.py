# SPDX-License-Identifier: Apache-2.0
"""The recipes of examples/models compared with the models that they describe, built by the packages that define them.

Names, shapes and dtypes: at the recipe's own sizes, on PyTorch's meta device, without memory for the weights.
Values: a small model, initialised by the package's code and by `fanin model --constant ...`. Constant tensors are equal; the
others have the same distribution, the same standard deviation and are cut or not. Seeds are fixed, so every run gives the
same answer. With random seeds, a correct recipe would fail a check with probability LEAST; there are fewer than 2,000 checks,
so the probability of a false alarm is below 2e-4 in total.
"""
import dataclasses
import fnmatch
import json
import math
import pathlib
import typing

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
stats = pytest.importorskip("scipy.stats", reason="SciPy is not installed")

MODELS = pathlib.Path(__file__).resolve().parents[3] / "examples" / "models"
LEAST = 1e-7  # a p-value
SEED = 20261129
DTYPES = {"F32": np.float32, "I64": np.int64}


def package(name):
    return pytest.importorskip(name, reason=name + " is not installed")


def heads(c):
    """Attention heads do not change the shapes of Llama's family; their number must divide the widths."""
    return {"num_attention_heads": c["width"] // 16, "num_key_value_heads": c["kv"] // 16, "head_dim": 16}


def llama_like(c):
    return {"num_hidden_layers": c["layers"], "hidden_size": c["width"], "intermediate_size": c["ffn"], "vocab_size": c["vocab"],
            "pad_token_id": None, **heads(c)}


# Each function builds the original for a recipe's constants.
def gpt2(c):
    t = package("transformers")
    return t.GPT2Model(t.GPT2Config(n_layer=c["layers"], n_embd=c["width"], n_head=4, vocab_size=c["vocab"],
                                    n_positions=c["positions"], bos_token_id=0, eos_token_id=0))


def llama_of_transformers(c):
    t = package("transformers")
    return t.LlamaForCausalLM(t.LlamaConfig(**llama_like(c)))


def mixtral(c):
    t = package("transformers")
    return t.MixtralForCausalLM(t.MixtralConfig(num_local_experts=c["experts"], **llama_like(c)))


def olmo2_of_transformers(c):
    t = package("transformers")
    config = llama_like(c)
    config.pop("head_dim")
    return t.Olmo2ForCausalLM(t.Olmo2Config(**config))


def deepseek_of_transformers(c):
    t = package("transformers")
    return t.DeepseekV3ForCausalLM(t.DeepseekV3Config(
        num_hidden_layers=c["layers"], first_k_dense_replace=c["dense"], hidden_size=c["width"], num_attention_heads=c["heads"],
        num_key_value_heads=c["heads"], q_lora_rank=c["q_rank"], kv_lora_rank=c["kv_rank"], qk_nope_head_dim=c["nope"],
        qk_rope_head_dim=c["rope"], v_head_dim=c["value"], intermediate_size=c["ffn"], n_routed_experts=c["experts"],
        moe_intermediate_size=c["expert_ffn"], n_shared_experts=c["shared"], vocab_size=c["vocab"]))


def bert(c):
    t = package("transformers")
    return t.BertForMaskedLM(t.BertConfig(
        num_hidden_layers=c["layers"], hidden_size=c["width"], intermediate_size=c["ffn"], vocab_size=c["vocab"],
        num_attention_heads=4, max_position_embeddings=c["positions"], type_vocab_size=c["types"]))


def t5(c):
    t = package("transformers")
    return t.T5ForConditionalGeneration(t.T5Config(
        num_layers=c["layers"], d_model=c["width"], num_heads=c["heads"], d_kv=c["head"], d_ff=c["ffn"], vocab_size=c["vocab"],
        relative_attention_num_buckets=c["buckets"]))


def whisper(c):
    t = package("transformers")
    return t.WhisperForConditionalGeneration(t.WhisperConfig(
        encoder_layers=c["encoder_layers"], decoder_layers=c["decoder_layers"], d_model=c["width"], encoder_ffn_dim=c["ffn"],
        decoder_ffn_dim=c["ffn"], num_mel_bins=c["mels"], vocab_size=c["vocab"], pad_token_id=c["padding"],
        max_source_positions=c["audio_positions"], max_target_positions=c["text_positions"], encoder_attention_heads=4,
        decoder_attention_heads=4, bos_token_id=0, eos_token_id=0, decoder_start_token_id=0))


def mamba2(c):
    t = package("transformers")
    return t.Mamba2ForCausalLM(t.Mamba2Config(
        num_hidden_layers=c["layers"], hidden_size=c["width"], expand=c["inner"] // c["width"], num_heads=c["heads"],
        head_dim=c["inner"] // c["heads"], state_size=c["state"], n_groups=c["groups"], conv_kernel=c["kernel"],
        vocab_size=c["vocab"], tie_word_embeddings=True, rescale_prenorm_residual=True))


def vit(c):
    models = package("torchvision").models
    return models.VisionTransformer(image_size=c["image"], patch_size=c["patch"], num_layers=c["layers"], num_heads=4,
                                    hidden_dim=c["width"], mlp_dim=c["ffn"], num_classes=c["classes"])


def resnet(c):
    models = package("torchvision").models
    assert c["width"] == 64  # torchvision has no other
    blocks = [c["blocks_%d" % stage] for stage in (1, 2, 3, 4)]
    return models.ResNet(models.resnet.Bottleneck, blocks, num_classes=c["classes"])


def convnext(c):
    models = package("torchvision").models
    widths = [c["width"] * 2 ** stage for stage in range(4)] + [None]
    setting = [models.convnext.CNBlockConfig(widths[i], widths[i + 1], c["depth_%d" % (i + 1)]) for i in range(4)]
    return models.ConvNeXt(setting, num_classes=c["classes"])


def lora(c):
    peft, t = package("peft"), package("transformers")
    base = t.LlamaForCausalLM(t.LlamaConfig(**llama_like({**c, "ffn": 32, "vocab": 16})))
    config = peft.LoraConfig(r=c["rank"], target_modules=["q_proj", "k_proj", "v_proj", "o_proj"])
    return Adapter(peft.get_peft_model(base, config))


class Adapter:
    """The part of a PeftModel that its save_pretrained stores."""

    def __init__(self, model):
        self.model = model

    def state_dict(self):
        return package("peft").get_peft_model_state_dict(self.model)

    def named_parameters(self, **options):
        return list(self.state_dict().items())


def llama(c):
    titan = package("torchtitan.models.llama3")
    config = titan.llama3_configs["8B"]("flex")
    layers = titan._build_llama3_layers(
        n_layers=c["layers"], dim=c["width"], n_heads=c["width"] // 16, n_kv_heads=c["kv"] // 16, hidden_dim=c["ffn"],
        rope=dataclasses.replace(config.layers[0].attention.rope, dim=16), attn_backend="flex")
    config = resized(titan, config, c, layers)
    return Titan(config, titan.Llama3StateDictAdapter(config, None))


def deepseek(c):
    titan = package("torchtitan.models.deepseek_v3")
    config = titan.deepseekv3_configs["671B"]("flex", "standard")
    layers = titan._build_dsv3_layers(
        n_layers=c["layers"], n_dense_layers=c["dense"], dim=c["width"], n_heads=c["heads"], q_lora_rank=c["q_rank"],
        kv_lora_rank=c["kv_rank"], qk_nope_head_dim=c["nope"], qk_rope_head_dim=c["rope"], v_head_dim=c["value"], mscale=1.0,
        dense_hidden_dim=c["ffn"], moe_hidden_dim=c["expert_ffn"], num_experts=c["experts"], num_shared_experts=c["shared"],
        router_top_k=2, router_score_func="sigmoid", attn_backend="flex", moe_comm_backend="standard",
        non_blocking_capacity_factor=None, rope=dataclasses.replace(config.layers[0].attention.rope, dim=c["rope"]))
    config = resized(titan, config, c, layers)
    return Titan(config, titan.DeepSeekV3StateDictAdapter(config, None))


def resized(titan, config, c, layers):
    """A configuration of torchtitan with the recipe's sizes outside the layers."""
    return dataclasses.replace(
        config, dim=c["width"], vocab_size=c["vocab"], layers=layers,
        tok_embeddings=dataclasses.replace(config.tok_embeddings, num_embeddings=c["vocab"], embedding_dim=c["width"]),
        norm=dataclasses.replace(config.norm, normalized_shape=c["width"]),
        lm_head=dataclasses.replace(config.lm_head, in_features=c["width"], out_features=c["vocab"],
                                    param_init=titan._output_linear_init(c["width"])))


class Titan:
    """A model of torchtitan under Hugging Face's names, which torchtitan's own adapter gives."""

    def __init__(self, config, adapter):
        self.model, self.adapter = config.build(), adapter
        if torch.get_default_device().type != "meta":
            with torch.no_grad():
                self.model.init_states()

    def state_dict(self):
        return self.adapter.to_hf(dict(self.model.state_dict()))

    def named_parameters(self, **options):
        return list(self.state_dict().items())


def olmo2(c):
    t = package("olmo_core.nn.transformer")
    config = t.TransformerConfig.llama_like(
        d_model=c["width"], vocab_size=c["vocab"], n_layers=c["layers"], n_heads=c["width"] // 16, hidden_size_multiple_of=1,
        block_name=t.TransformerBlockType.reordered_norm, qk_norm=True)
    model = config.build(init_device="cpu")
    model.init_weights(device=torch.device("cpu"))
    return model


def olmo2_name(name):
    """Our name, which is Hugging Face's, of a tensor of OLMo-core."""
    for theirs, ours in (("blocks.", "layers."), ("attention.w_q.", "self_attn.q_proj."), ("attention.w_k.", "self_attn.k_proj."),
                         ("attention.w_v.", "self_attn.v_proj."), ("attention.w_out.", "self_attn.o_proj."),
                         ("attention.q_norm", "self_attn.q_norm"), ("attention.k_norm", "self_attn.k_norm"),
                         ("feed_forward.w1.", "mlp.gate_proj."), ("feed_forward.w2.", "mlp.down_proj."),
                         ("feed_forward.w3.", "mlp.up_proj."), ("attention_norm.", "post_attention_layernorm."),
                         ("feed_forward_norm.", "post_feedforward_layernorm."), ("embeddings.", "embed_tokens."),
                         ("lm_head.norm.", "norm."), ("lm_head.w_out.", "lm_head.")):
        name = name.replace(theirs, ours)
    return name if name.startswith("lm_head.") else "model." + name


def mamba2_name(name):
    return name.replace("embeddings", "embedding")


class Case(typing.NamedTuple):
    """A recipe and its original."""

    names: typing.Callable  # builds the original, for names and shapes
    small: dict  # the constants of a small model
    values: typing.Callable | None = None  # builds the original that initialises, if that is another one
    rename: typing.Callable = str  # from the names of the second original to ours
    different: tuple = ()  # patterns of tensors for which the original departs from the reference; the recipe's source says how
    computed: dict = {}  # names of computed tensors, and how much binary32 arithmetic moves them


TINY = {"layers": 2, "width": 64, "vocab": 256}
CASES = {
    "bert-base": Case(bert, {**TINY, "ffn": 96, "positions": 32}),
    "convnext-tiny": Case(convnext, {"width": 16, "depth_1": 1, "depth_2": 1, "depth_3": 2, "depth_4": 1, "classes": 10}),
    "deepseek-v3": Case(deepseek_of_transformers, {
        "layers": 4, "dense": 2, "width": 64, "heads": 4, "q_rank": 32, "kv_rank": 16, "nope": 16, "rope": 8, "value": 16,
        "ffn": 96, "experts": 4, "expert_ffn": 32, "shared": 1, "vocab": 256}, deepseek),
    "gpt2": Case(gpt2, {**TINY, "positions": 32}),
    "llama3-8b": Case(llama_of_transformers, {**TINY, "kv": 32, "ffn": 96}, llama),
    "lora": Case(lora, {"layers": 2, "width": 64, "kv": 32, "rank": 8}),
    "mamba2-2.7b": Case(mamba2, {**TINY, "inner": 128, "heads": 128, "state": 16}, None, mamba2_name,
                        ("*.A_log", "*.conv1d.bias", "*.in_proj.weight", "backbone.embedding.weight")),
    "mixtral-8x7b": Case(mixtral, {**TINY, "kv": 32, "ffn": 96, "experts": 4}),
    "olmo2-7b": Case(olmo2_of_transformers, {**TINY, "kv": 64, "ffn": 170}, olmo2, olmo2_name),
    "resnet50": Case(resnet, {}),
    "t5-base": Case(t5, {**TINY, "heads": 2, "head": 16, "ffn": 96}),
    "vit-b-16": Case(vit, {"layers": 2, "width": 64, "ffn": 96, "patch": 4, "image": 16, "classes": 10}),
    "whisper-large-v3": Case(whisper, {
        "encoder_layers": 2, "decoder_layers": 2, "width": 64, "ffn": 96, "mels": 8, "vocab": 256, "padding": 200,
        "audio_positions": 40, "text_positions": 16}, computed={"model.encoder.embed_positions.weight": 1e-5}),
}
recipes = pytest.mark.parametrize("recipe", CASES)


def constants_of(recipe):
    return json.loads((MODELS / (recipe + ".json")).read_text())["constants"]


def parameters_of(model, rename):
    """name -> tensor of the parameters, and the buffers that a checkpoint holds; and the groups of names of one tensor."""
    named = dict(model.named_parameters(remove_duplicate=False))
    for name, tensor in model.state_dict().items():
        named.setdefault(name, tensor)
    skipped = ("running_mean", "running_var", "num_batches_tracked")  # BatchNorm's, which the recipes leave to their module
    named = {rename(name): tensor for name, tensor in named.items() if not name.endswith(skipped)}
    names = {}
    for name, tensor in named.items():
        names.setdefault(id(tensor), set()).add(name)
    return named, {frozenset(group) for group in names.values()}


def stacked(ours, theirs):
    """Our shapes with experts stacked as transformers 5 stores them, if that is what the original has."""
    found = {}
    for name, tensor in ours.items():
        before, expert, after = name.partition(".experts.")
        if not expert or name in theirs:
            found[name] = tensor
    for name in theirs.keys() - ours.keys():
        before, expert, projection = name.partition(".experts.")
        names = {"gate_up_proj": ("gate_proj", "up_proj"), "down_proj": ("down_proj",)}[projection]
        count = sum(key.startswith(before + ".experts.") for key in ours) // 3
        shapes = [ours["%s.experts.%d.%s.weight" % (before, e, p)]["shape"] for e in range(count) for p in names]
        rows = sum(shape[0] for shape in shapes[:len(names)])
        assert all(shape[1] == shapes[0][1] for shape in shapes)
        found[name] = {"shape": [count, rows, shapes[0][1]], "dtype": ours["%s.experts.0.down_proj.weight" % before]["dtype"]}
    return found


@recipes
def test_names_shapes_dtypes_and_ties(recipe, program, tmp_path):
    case = CASES[recipe]
    spec = json.loads((MODELS / (recipe + ".json")).read_text())
    program("model", MODELS / (recipe + ".json"), "--check", "--report", tmp_path / "report.json")
    ours = {tensor["name"]: tensor for tensor in json.loads((tmp_path / "report.json").read_text())["tensors"]}
    dtype = torch.get_default_dtype()
    torch.set_default_dtype(getattr(torch, spec["dtype"]))
    try:
        with torch.device("meta"):
            theirs, groups = parameters_of(case.names(spec["constants"]), case.rename if case.values is None else str)
    finally:
        torch.set_default_dtype(dtype)
    our_groups = {frozenset([name, *tensor.get("ties", [])]) for name, tensor in ours.items()}
    if recipe == "deepseek-v3":
        ours = stacked(ours, theirs)
        our_groups = {frozenset([name]) for name in ours}
    assert our_groups == groups
    for name, tensor in ours.items():
        assert tensor["shape"] == list(theirs[name].shape), name
        assert tensor["dtype"] == str(theirs[name].dtype).partition(".")[2], name


def read(path):
    """name -> array of a safetensors file."""
    data = path.read_bytes()
    end = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:end])
    header.pop("__metadata__")
    return {name: np.frombuffer(data, DTYPES[t["dtype"]], math.prod(t["shape"]), end + t["data_offsets"][0]).reshape(t["shape"])
            for name, t in header.items()}


def is_cut(values):
    """Whether a large sample lies within 3.1 deviations: a normal one of 10,000 does with probability 4e-9."""
    return np.abs(values).max() < 3.1 * values.std()


def compare(name, theirs, ours, tolerance):
    a, b = (np.asarray(x, np.float64).ravel() for x in (theirs, ours))
    assert a.shape == b.shape, name
    if tolerance:
        assert np.allclose(b, a, rtol=0, atol=tolerance), name
        return 0
    if a.min() == a.max():
        assert (np.float32(a[0]) == np.asarray(ours)).all(), (name, a[0], b)
        return 0
    assert np.array_equal(a == 0, b == 0), name  # rows of a padding index, for example
    a, b = (x[x != 0][:1 << 17] for x in (a, b))  # sorting more takes long and tells little
    p = stats.ks_2samp(a, b, method="asymp").pvalue
    assert p > LEAST, (name, p)
    if len(a) < 100:
        return 1
    # The logarithm of a standard deviation varies by (kurtosis - 1) / (4 n).
    kurtosis = [stats.kurtosis(x, fisher=False) for x in (a, b)]
    z = math.log(a.std() / b.std()) / math.sqrt(sum(k - 1 for k in kurtosis) / (4 * len(a)))
    assert abs(z) < stats.norm.isf(LEAST / 2), (name, a.std(), b.std())
    if len(a) < 10000:
        return 2
    assert is_cut(a) == is_cut(b), name
    return 3


def test_the_comparison_rejects_wrong_rules():
    rng = np.random.default_rng(SEED)
    theirs, cut = (0.02 * stats.truncnorm.rvs(-b, b, size=16384, random_state=rng) for b in (100, 3))
    compare("right", theirs, rng.normal(0, 0.02, theirs.shape), None)
    zero_row = rng.normal(0, 0.02, theirs.shape)
    zero_row[:64] = 0
    for wrong in (rng.normal(0, 0.0212, theirs.shape), rng.normal(0.002, 0.02, theirs.shape), cut, zero_row,
                  rng.uniform(-0.02 * math.sqrt(3), 0.02 * math.sqrt(3), theirs.shape), np.zeros_like(theirs)):
        with pytest.raises(AssertionError):
            compare("wrong", theirs, wrong, None)


@recipes
def test_values_of_a_small_model(recipe, program, tmp_path):
    case = CASES[recipe]
    constants = {**constants_of(recipe), **case.small}
    torch.manual_seed(SEED)
    theirs, _ = parameters_of((case.values or case.names)(constants), case.rename)
    arguments = [argument for name, value in case.small.items() for argument in ("--constant", "%s=%s" % (name, value))]
    out = tmp_path / "small.safetensors"
    program("model", MODELS / (recipe + ".json"), "--seed", SEED, "--dtype", "float32", *arguments, "--out", out)
    ours = read(out)
    assert ours.keys() <= theirs.keys()
    checks = 0
    for name, values in ours.items():
        if not any(fnmatch.fnmatchcase(name, pattern) for pattern in case.different):
            checks += compare(name, theirs[name].detach().float().numpy(), values, case.computed.get(name))
    print(recipe, len(ours), "tensors,", checks, "statistical checks")
    assert checks > 4


def test_dit_positions_and_siren_bounds(program, tmp_path):
    """No package has these two, so they are compared with the formulas of their papers' repositories."""
    width, grid = 32, 6
    program("model", MODELS / "dit-xl-2.json", "--seed", SEED, "--constant", "depth=1", "--constant", "width=%d" % width,
            "--constant", "grid=%d" % grid, "--out", tmp_path / "dit.safetensors")
    tensors = read(tmp_path / "dit.safetensors")
    frequencies = 10000.0 ** (-np.arange(width // 4) / (width / 4))
    rows, columns = (np.outer(a.ravel(), frequencies) for a in np.mgrid[:grid, :grid])
    positions = np.concatenate([np.sin(columns), np.cos(columns), np.sin(rows), np.cos(rows)], axis=1)
    assert np.allclose(tensors["pos_embed"][0], positions, rtol=0, atol=1e-7)
    bound = math.sqrt(6 / (width + 4 * 2 * 2))
    assert 0.98 * bound < np.abs(tensors["x_embedder.proj.weight"]).max() < bound
    assert not tensors["final_layer.linear.weight"].any() and not tensors["blocks.0.adaLN_modulation.1.weight"].any()
    program("model", MODELS / "siren.json", "--seed", SEED, "--out", tmp_path / "siren.safetensors")
    tensors = read(tmp_path / "siren.safetensors")
    for name, bound in (("net.net.0.0.weight", 1 / 2), ("net.net.0.0.bias", 1 / math.sqrt(2)), ("net.net.1.0.bias", 1 / 16),
                        ("net.net.3.0.weight", math.sqrt(6 / 256) / 30), ("net.net.4.0.weight", math.sqrt(6 / 256) / 30)):
        assert 0.97 * bound < np.abs(tensors[name]).max() < bound, name


def test_rwkv7(program, tmp_path):
    """No package has its initialisation, so it is compared with the loops of its repository, written as arrays."""
    layers, width, head, vocab = 3, 128, 64, 512
    program("model", MODELS / "rwkv7-0.1b.json", "--seed", SEED, "--constant", "layers=%d" % layers, "--constant",
            "width=%d" % width, "--constant", "vocab=%d" % vocab, "--dtype", "float32", "--out", tmp_path / "rwkv.safetensors")
    tensors = read(tmp_path / "rwkv.safetensors")
    n = np.arange(width)
    linear = n / (width - 1) - 0.5
    zigzag = (n % head - (head - 1) / 2) / ((head - 1) / 2)
    zigzag *= np.abs(zigzag)
    for layer in range(layers):
        rest, place = 1 - layer / layers, layer / (layers - 1)
        att = "blocks.%d.att." % layer
        mixes = zip("rwkvag", (0.2, 0.9, 0.7, 0.7, 0.9, 0.2))
        wanted = {"w0": -6 + 6 * (n / (width - 1)) ** (1 + place ** 0.3) + 0.5 + 2.5 * zigzag,
                  "a0": -0.19 + 0.3 * zigzag + 0.4 * linear, "v0": 0.73 - 0.4 * linear,
                  "k_k": 0.71 - 0.1 * linear, "k_a": np.full(width, 1.02),
                  **{"x_" + x: 1 - (n / width) ** (k * rest) for x, k in mixes}}
        for name, values in wanted.items():
            assert tensors[att + name].shape == (1, 1, width)
            assert np.allclose(tensors[att + name].ravel(), values, rtol=1e-6, atol=1e-6), (layer, name)
        assert np.allclose(tensors["blocks.%d.ffn.x_k" % layer].ravel(), 1 - (n / width) ** rest ** 4, rtol=1e-6, atol=1e-6)
        assert np.allclose(tensors[att + "ln_x.weight"], ((1 + layer) / layers) ** 0.7)
        assert (tensors[att + "r_k"] == np.float32(-0.04)).all() and tensors[att + "r_k"].shape == (width // head, head)
        for name in ("w1", "a1", "v1", "g1", "output.weight", "ln_x.bias"):
            assert not tensors[att + name].any(), name
    for name, gain in (("blocks.0.att.w2", 0.1), ("blocks.1.att.g2", 0.1), ("blocks.2.att.key.weight", 0.1),
                       ("blocks.2.ffn.key.weight", 1), ("blocks.0.att.value.weight", 1),
                       ("head.weight", 0.5 * math.sqrt(vocab / width))):
        matrix = tensors[name] / gain
        product = matrix.T @ matrix if matrix.shape[0] > matrix.shape[1] else matrix @ matrix.T
        assert np.abs(product - np.eye(len(product))).max() < 1e-5, name
    assert 0.99e-4 < np.abs(tensors["emb.weight"]).max() < 1e-4
    assert "blocks.0.ln0.weight" in tensors and "blocks.1.ln0.weight" not in tensors
