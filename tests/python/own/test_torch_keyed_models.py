# SPDX-License-Identifier: Apache-2.0
"""Models of keyed_models.py: equal weights for two processes, however they share them, and the packages' distributions."""
import importlib.util

import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
pytest.importorskip("torch.distributed.fsdp", reason="this PyTorch has no FSDP2")
if not torch.distributed.is_available() or not torch.distributed.is_gloo_available():
    pytest.skip("this PyTorch was built without gloo", allow_module_level=True)

import keyed_models  # noqa: E402

NAMES = ["torchtitan's shape", "llama", "bert", "mamba2"]


def test_models(request):
    of_all = request.config.getoption("--all-models")
    wanted = list(keyed_models.MODELS) if of_all else NAMES
    names = [name for name in wanted if importlib.util.find_spec(keyed_models.MODELS[name].package)]
    rows = keyed_models.check(names, counts=[2, 4] if of_all else [2])
    assert {row[0] for row in rows} == set(names) and len(rows) == (6 if of_all else 3) * len(names)
    assert not [row for row in rows if row[2]]
    for name in names:
        assert not keyed_models.other_distributions(name), name
    if len(names) < len(wanted):
        missing = {keyed_models.MODELS[name].package for name in wanted} - {keyed_models.MODELS[name].package for name in names}
        pytest.skip(f"{', '.join(sorted(missing))} cannot be imported, so of {len(wanted)} models {len(names)} were tested")
