# SPDX-License-Identifier: Apache-2.0
"""Files of `fanin model`, read by the libraries that models come from."""
import json

import numpy as np
import pytest

TENSORS = {"transformer.wte.weight": [50, 16], "transformer.wpe.weight": [8, 16], "transformer.ln_f.weight": [16],
           "transformer.ln_f.bias": [16]}
for layer in range(2):
    TENSORS.update({f"transformer.h.{layer}.{name}": shape for name, shape in (
        ("ln_1.weight", [16]), ("ln_1.bias", [16]), ("attn.c_attn.weight", [16, 48]), ("attn.c_attn.bias", [48]),
        ("attn.c_proj.weight", [16, 16]), ("attn.c_proj.bias", [16]), ("ln_2.weight", [16]), ("ln_2.bias", [16]),
        ("mlp.c_fc.weight", [16, 64]), ("mlp.c_fc.bias", [64]), ("mlp.c_proj.weight", [64, 16]), ("mlp.c_proj.bias", [16]))})
SPEC = {"tensors": TENSORS,
        "rules": [{"match": "*.bias", "initializer": "zeros"}, {"match": "*.ln_*", "initializer": "ones"},
                  {"match": "*", "initializer": {"class_name": "RandomNormal", "config": {"stddev": 0.02}}}]}


@pytest.fixture
def written(program, tmp_path):
    """A file and a directory with the same tensors."""
    spec = tmp_path / "spec.json"
    spec.write_text(json.dumps(SPEC))
    program("model", spec, "--seed", 3, "--out", tmp_path / "model.safetensors")
    program("model", spec, "--seed", 3, "--out", tmp_path / "sharded", "--shard-size", "10KB")
    return tmp_path


def test_safetensors_reads_files_and_shards(written):
    numpy = pytest.importorskip("safetensors.numpy")
    whole = numpy.load_file(written / "model.safetensors")
    assert {name: list(array.shape) for name, array in whole.items()} == TENSORS
    shards = sorted((written / "sharded").glob("*.safetensors"))
    assert len(shards) > 1
    parts = {}
    for shard in shards:
        parts |= numpy.load_file(shard)
    assert set(parts) == set(whole)
    assert all(np.array_equal(parts[name], whole[name]) for name in whole)


def test_verify_reads_what_safetensors_writes(written, program):
    numpy = pytest.importorskip("safetensors.numpy")
    numpy.save_file(numpy.load_file(written / "model.safetensors"), written / "again.safetensors")
    program("verify", written / "again.safetensors", "--spec", written / "spec.json", "--seed", 3)


def test_pytorch_reads_and_writes(written, program):
    pytest.importorskip("torch")
    torch_files = pytest.importorskip("safetensors.torch")
    state = torch_files.load_file(written / "model.safetensors")
    assert {name: list(tensor.shape) for name, tensor in state.items()} == TENSORS
    torch_files.save_file(state, written / "torch.safetensors")
    program("verify", written / "torch.safetensors", "--spec", written / "spec.json", "--seed", 3)


def test_transformers_loads_the_directory(written):
    transformers = pytest.importorskip("transformers")
    torch_files = pytest.importorskip("safetensors.torch")
    config = transformers.GPT2Config(n_layer=2, n_embd=16, n_head=2, vocab_size=50, n_positions=8, bos_token_id=0, eos_token_id=0)
    config.architectures = ["GPT2LMHeadModel"]
    config.save_pretrained(written / "sharded")
    model, info = transformers.GPT2LMHeadModel.from_pretrained(written / "sharded", output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"]
    state = model.state_dict()
    for name, tensor in torch_files.load_file(written / "model.safetensors").items():
        assert np.array_equal(state[name].numpy(), tensor.numpy()), name
