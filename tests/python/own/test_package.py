# SPDX-License-Identifier: Apache-2.0
"""The package itself: its names, stubs and version, and that it imports nothing that a fill does not need."""
import ast
import inspect
import pathlib
import subprocess
import sys

import pytest
from support import PROJECT

import fanin

PACKAGE = pathlib.Path(fanin.__file__).parent
STUB = PACKAGE / "_core.pyi"


def test_version():
    header = PROJECT / "include" / "fanin" / "version.h"
    assert f'#define FANIN_VERSION "{fanin.__version__}"' in header.read_text()
    assert f"#define FANIN_CONTRACT_VERSION {fanin.contract_version}\n" in header.read_text()


def test_all_names():
    classes = {"Bilinear", "Constant", "Dirac", "ForgetGateBias", "Formula", "GlorotNormal", "GlorotUniform", "HeNormal",
               "HeUniform", "Identity", "LecunNormal", "LecunUniform", "Ones", "Orthogonal", "RandomNormal", "RandomUniform",
               "SirenFirst", "SirenHidden", "Sparse", "TruncatedNormal", "VarianceScaling", "Zeros"}
    aliases = {"".join("_" + c.lower() if c.isupper() else c for c in name)[1:] for name in classes}
    assert set(fanin.__all__) == classes | aliases | {
        "STFT", "stft", "calculate_gain",
        "Availability", "Description", "DeviceError", "Initializer", "ModelSpec", "ModelTensor", "Plan", "Seed", "__version__",
        "available", "contract_version", "describe", "deserialize", "draw", "fill", "get", "mx_scales", "parse_model_spec",
        "preload", "serialize", "subsequence_of"}
    for name in fanin.__all__:
        assert getattr(fanin, name) is not None
        if name != "__version__" and not name == "contract_version":
            assert getattr(fanin, name).__doc__, name


def test_stubs_say_what_there_is():
    assert (PACKAGE / "py.typed").exists()
    tree = ast.parse(STUB.read_text())
    stubs = {node.name: node for node in tree.body if isinstance(node, (ast.ClassDef, ast.FunctionDef))}
    for name in fanin.__all__:
        value = getattr(fanin._core, name)
        if inspect.isclass(value):
            own = {member for member in vars(value) if not member.startswith("_")}
            said = {node.name for node in stubs[value.__name__].body if isinstance(node, ast.FunctionDef)}
            assert own <= said, name
        elif callable(value):
            arguments = stubs[name].args
            assert len(arguments.args) + len(arguments.kwonlyargs) > 0 or name == "available"
    fill = stubs["fill"].args
    assert [a.arg for a in fill.args] == ["array", "init"]
    assert [a.arg for a in fill.kwonlyargs] == ["seed", "name", "subsequence", "shape", "offset", "layout", "stream",
                                                "threads", "device_seed", "output_scale", "rounding"]


def test_imports_no_array_library():
    code = ("import sys, array, fanin\n"
            "a = array.array('f', [0] * 4)\n"
            "fanin.fill(a, 'he_normal', seed=1)\n"
            "wanted = {'numpy', 'torch', 'jax', 'cupy', 'tensorflow', 'ml_dtypes'} & set(sys.modules)\n"
            "assert not wanted and any(a), wanted\n")
    subprocess.run([sys.executable, "-c", code], check=True)


def test_leaves_nothing_behind():
    code = ("import fanin, numpy\n"
            "kept = [fanin.HeNormal(), fanin.Plan(), fanin.Seed(), fanin.describe('zeros', (3,))]\n"
            "kept[1].add(numpy.zeros(3, 'f'), kept[0])\n"
            "try: fanin.fill(3, kept[0])\n"
            "except TypeError as error: kept.append(error)\n")
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stderr == "" and done.stdout == ""


def test_available():
    there = fanin.available()
    assert there.cuda_devices > 0 or there.reason
    assert there.cuda_built or there.cuda_devices == 0
    assert repr(there).startswith("Availability(cuda_built=")


def test_extension_exports_nothing_else():
    try:
        listing = subprocess.run(["nm", "-D", "--defined-only", fanin._core.__file__], check=True, capture_output=True,
                                 text=True).stdout
    except FileNotFoundError:
        pytest.skip("there is no nm")
    names = [line.split()[-1] for line in listing.splitlines()]
    assert any("PyInit__core" in name for name in names)
    assert not [name for name in names if "fanin" in name]


def test_program():
    def run(*arguments):
        return subprocess.run([sys.executable, "-m", "fanin", *arguments], capture_output=True, text=True)

    if not (PACKAGE / "bin" / "fanin").exists():
        result = run("--version")
        assert result.returncode == 1 and "no program" in result.stderr and not result.stdout
        return
    result = run("describe", "--init", "he_normal", "--shape", "0x")
    assert result.returncode == 2 and "--shape" in result.stderr
    result = run("--version")
    assert result.returncode == 0 and fanin.__version__ in result.stdout
