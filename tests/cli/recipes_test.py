#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compares the recipes of examples/models with an independent reading of the same files (model_oracle.py): the tensors,
their shapes, dtypes, parts and ties, the distribution of each, and windows of values deep in the large models.

    recipes_test.py PROGRAM MODEL_WINDOW
"""
import json
import math
import os
import pathlib
import random
import subprocess
import sys
import tempfile

try:
    import numpy as np
except ImportError:
    print("skipped: no NumPy for", sys.executable)
    sys.exit(77)

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "data" / "contract")]
import oracle  # noqa: E402
from model_oracle import Model  # noqa: E402

MODELS = HERE.parent.parent / "examples" / "models"
# The numbers of parameters, counted by the originals where a package has them (tests/python/own/test_recipes.py).
PARAMETERS = {
    "bert-base": 109_514_298, "convnext-tiny": 28_589_128, "deepseek-v3": 671_026_419_200, "dit-xl-2": 675_129_632,
    "gpt2": 124_439_808, "llama3-8b": 8_030_261_248, "lora": 13_631_488, "mamba2-2.7b": 2_702_599_680,
    "mixtral-8x7b": 46_702_792_704, "olmo2-7b": 7_298_617_344, "resnet50": 25_557_032, "rwkv7-0.1b": 191_084_544, "siren": 198_401, "t5-base": 222_903_552,
    "vit-b-16": 86_567_656, "whisper-large-v3": 1_543_490_560,
}
SEED = 20261129
WINDOW = 48
ITEM = {"float32": np.float32, "bfloat16": np.uint16}


def distribution(model, name, index):
    """The contract's kind and numbers of a part; None: computed values."""
    kind, config = model.numbers(name, index)
    fan_in, fan_out = model.fans_of(name, index)
    if kind in ("zeros", "ones", "Constant"):
        return {"kind": "constant", "value": {"zeros": 0.0, "ones": 1.0}.get(kind, config.get("value"))}
    if kind == "RandomNormal":
        return {"kind": "normal", "mean": config.get("mean", 0.0), "stddev": config["stddev"], "lower": None, "upper": None}
    if kind == "TruncatedNormal":
        return {"kind": "truncated_normal", "mean": 0.0, **config}
    if kind == "RandomUniform":
        return {"kind": "uniform", "low": config["minval"], "high": config["maxval"]}
    if kind in ("Formula", "Orthogonal"):  # no distribution of one element
        return None
    if kind == "glorot_uniform":
        config = {"scale": 1.0, "mode": "fan_avg", "distribution": "uniform"}
    else:
        assert kind == "VarianceScaling", kind
    fan = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[config["mode"]]
    if config["distribution"] == "uniform":
        limit = math.sqrt(3 * config["scale"] / fan)
        return {"kind": "uniform", "low": -limit, "high": limit}
    assert config["distribution"] == "untruncated_normal"
    return {"kind": "normal", "mean": 0.0, "stddev": math.sqrt(config["scale"] / fan), "lower": None, "upper": None}


def same_number(a, b):
    return a == b or (None not in (a, b) and math.isclose(a, b, rel_tol=1e-15, abs_tol=0))


def check_listing(recipe, model, reported):
    wider_first = sorted(model.tensors, key=lambda name: -np.dtype(ITEM[model.tensors[name]["dtype"]]).itemsize)
    assert [tensor["name"] for tensor in reported] == wider_first, recipe
    for tensor in reported:
        name, wanted = tensor["name"], model.tensors[tensor["name"]]
        assert tensor["shape"] == wanted["shape"] and tensor["dtype"] == wanted["dtype"], (recipe, tensor, wanted)
        assert sorted(tensor.get("ties", [])) == sorted(tie for tie, of in model.ties.items() if of == name), (recipe, name)
        parts = tensor.get("parts", [tensor])
        assert [(part["name"], part["shape"]) for part in parts] == [(part["name"], part["shape"]) for part in wanted["parts"]], name
        for index, part in enumerate(parts):
            for key, value in (distribution(model, name, index) or {}).items():
                assert same_number(part[key], value), (recipe, part["name"], key, part[key], value)


def windows_of(model, rng, count):
    """Windows anywhere in random tensors, and at the end of the last one."""
    names = rng.sample(list(model.tensors), count - 1) + [list(model.tensors)[-1]]
    for name in names:
        elements = math.prod(model.tensors[name]["shape"])
        first = elements - WINDOW if name == names[-1] else rng.randrange(max(1, elements - WINDOW))
        yield name, first, min(WINDOW, elements - first)


def expected(model, name, first, count):
    """The oracle's values of a window of a tensor whose parts follow each other in memory."""
    tensor, out, begin = model.tensors[name], [], 0
    assert tensor["axis"] == 0
    for index, part in enumerate(tensor["parts"]):
        end = begin + math.prod(part["shape"])
        low, high = max(first, begin), min(first + count, end)
        if low < high:
            spec = {"seed": SEED, "subsequence": oracle.fnv1a(part["name"]), "start": low - begin, "count": high - low,
                    "dtype": tensor["dtype"], **distribution(model, name, index)}
            if spec["kind"] == "constant":
                spec.update(kind="normal", mean=spec.pop("value"), stddev=0.0)
            out.append(oracle.fill({k: v for k, v in spec.items() if spec["kind"] != "normal" or k not in ("lower", "upper")}))
        begin = end
    return np.concatenate(out)


def check_windows(window_program, recipe, model, windows):
    arguments = [str(argument) for window in windows for argument in window]
    path = str(MODELS / (recipe + ".json"))
    data = subprocess.run([window_program, path, str(SEED), *arguments], check=True, stdout=subprocess.PIPE).stdout
    for name, first, count in windows:
        wanted = expected(model, name, first, count)
        got, data = data[:wanted.nbytes], data[wanted.nbytes:]
        assert got == wanted.tobytes(), (recipe, name, first, count)
    assert not data


def main():
    program, window_program = sys.argv[1:]
    assert sorted(path.stem for path in MODELS.glob("*.json")) == sorted(PARAMETERS)
    assert sum("llama" in name for name in PARAMETERS) == 1 and sum("mixtral" in name for name in PARAMETERS) == 1
    rng = random.Random(SEED)
    with tempfile.TemporaryDirectory() as folder:
        report = os.path.join(folder, "report.json")
        for recipe, parameters in PARAMETERS.items():
            path = MODELS / (recipe + ".json")
            model = Model(path)
            assert model.count() == parameters, (recipe, model.count())
            run = subprocess.run([program, "model", str(path), "--check", "--report", report], capture_output=True, text=True)
            assert run.returncode == 0 and not run.stderr, (recipe, run.stderr)
            found = json.loads(pathlib.Path(report).read_text())
            assert found["elements"] == parameters, (recipe, found["elements"])
            check_listing(recipe, model, found["tensors"])
            if recipe in ("llama3-8b", "deepseek-v3", "mixtral-8x7b"):
                check_windows(window_program, recipe, model, list(windows_of(model, rng, 40)))
            print(recipe, len(model.tensors), "tensors,", parameters, "parameters")


if __name__ == "__main__":
    main()
