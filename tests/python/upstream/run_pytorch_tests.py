# SPDX-License-Identifier: Apache-2.0
"""Runs PyTorch's own tests of torch.nn.init with fanin's functions in its place:

    run_pytorch_tests.py .../pytorch/test/nn/test_init.py SEED

The file is not part of PyTorch's packages. SEED is what PyTorch's generators are seeded with before each test, 1234 in
PyTorch's CI. The tests need expecttest, and SciPy for most of them. "PyTorch" after the seed runs them on torch.nn.init as
it is, for comparison.
"""
import os
import runpy
import sys

import torch.nn.init

import fanin.torch

REPLACED = [name for name in fanin.torch.__all__ if hasattr(torch.nn.init, name)]

if __name__ == "__main__":
    path, seed, *torch_itself = sys.argv[1:]
    if not torch_itself:
        for name in REPLACED:
            setattr(torch.nn.init, name, getattr(fanin.torch, name))
        print("replaced:", *REPLACED)
    os.environ["PYTORCH_TEST_WITH_SLOW"] = "1"  # one of them is called slow
    from torch.testing._internal import common_utils
    common_utils.SEED = int(seed)
    sys.argv = [path]
    runpy.run_path(path, run_name="__main__")
