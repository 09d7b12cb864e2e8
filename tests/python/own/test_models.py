# SPDX-License-Identifier: Apache-2.0
"""A model's specification in Python: the tensors that `fanin model` writes, over arrays of one's own."""
import copy
import json
import pickle

import numpy as np
import pytest
from support import same_bits

import fanin

SPEC = {
    "name": "small",
    "layout": "oihw",
    "constants": {"layers": 2, "width": 8},
    "tensors": {
        "embed.weight": {"shape": [11, "width"], "dtype": "bfloat16"},
        "h.{layer}.qkv.weight": {
            "shape": ["2 * width", "width"], "repeat": {"layer": "layers"}, "axis": 0,
            "parts": [{"name": "h.{layer}.q.weight", "size": "width"}, {"name": "h.{layer}.k.weight", "size": "width"}]},
        "head.weight": {"tie": "embed.weight"},
    },
    "rules": [{"match": "*.weight", "initializer": "he_normal"}],
}


def test_tensors_and_parts():
    spec = fanin.parse_model_spec(json.dumps(SPEC), 42)
    assert repr(spec) == "<ModelSpec small of 3 tensors>" and len(spec) == 3
    embed, first, second = spec.tensors
    assert (embed.name, embed.shape, embed.dtype, embed.ties) == ("embed.weight", (11, 8), "bfloat16", ["head.weight"])
    assert second.parts == ["h.1.q.weight", "h.1.k.weight"] and first.shape == (16, 8)
    assert fanin.parse_model_spec(SPEC, 42).tensors[1].name == "h.0.qkv.weight"  # an object is as good as its text
    assert len(fanin.parse_model_spec(SPEC, constants={"layers": 5})) == 6


def test_plan_has_the_bits_of_the_parts():
    spec = fanin.parse_model_spec(SPEC, 42)
    whole, lower = np.zeros((16, 8), np.float32), np.zeros((5, 3), np.float64)
    plan = fanin.Plan()
    plan.add_tensor(whole, spec.tensors[1])
    plan.add_tensor(lower, spec.tensors[2], offset=(6, 5))
    assert len(plan) == 4  # each array holds pieces of two parts
    plan.fill()
    parts = [fanin.draw("he_normal", (8, 8), seed=42, name=f"h.0.{name}.weight", layout="oihw") for name in "qk"]
    assert same_bits(whole, np.concatenate(parts))
    parts = [fanin.draw("he_normal", (8, 8), np.float64, seed=42, name=f"h.1.{name}.weight", layout="oihw") for name in "qk"]
    assert same_bits(lower, np.concatenate(parts)[6:11, 5:8])
    del spec  # a plan keeps what it needs
    plan.fill()


def test_refusals():
    with pytest.raises(ValueError, match="rulez"):
        fanin.parse_model_spec({"tensors": {}, "rulez": []}, 1)
    tensor = fanin.parse_model_spec(SPEC, 1).tensors[1]
    with pytest.raises(ValueError, match=r"\[16, 8\].*\[8, 8\]"):
        fanin.Plan().add_tensor(np.zeros((8, 8), np.float32), tensor)
    with pytest.raises(ValueError, match="outside the tensor"):
        fanin.Plan().add_tensor(np.zeros((8, 8), np.float32), tensor, offset=(9, 0))
    with pytest.raises(ValueError, match="depth"):
        fanin.parse_model_spec(SPEC, 1, constants={"depth": 3})


def test_copies_have_the_constants_of_the_original():
    constants = {"width": 4}
    spec = fanin.parse_model_spec(SPEC, 1, constants=constants)
    constants["width"] = 5
    for other in (copy.deepcopy(spec), pickle.loads(pickle.dumps(spec))):
        assert other.tensors[0].shape == (11, 4)
    assert pickle.loads(pickle.dumps(fanin.parse_model_spec(SPEC, 1))).tensors[0].shape == (11, 8)


def test_loaded_files_are_beside_the_source(tmp_path):
    header = json.dumps({"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}).encode()
    (tmp_path / "base.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + np.ones(2, np.float32).tobytes())
    spec = {"tensors": {"w": [2]}, "rules": [{"match": "*", "load": "base.safetensors"}]}
    assert fanin.parse_model_spec(spec, 1, source=str(tmp_path / "spec.json")).tensors[0].shape == (2,)
    with pytest.raises(ValueError, match="base.safetensors"):
        fanin.parse_model_spec(spec, 1)
