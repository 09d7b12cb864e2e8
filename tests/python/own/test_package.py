# SPDX-License-Identifier: Apache-2.0
"""The package itself: its names, stubs and version, and that it imports nothing that a fill does not need."""
import ast
import copy
import gc
import inspect
import pathlib
import pickle
import subprocess
import sys
import weakref

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


@pytest.mark.parametrize("user", ["typed_user.py", "typed_torch_user.py"])
def test_types(user, tmp_path):
    """For mypy --strict, which is not installed with the tests' other requirements."""
    pytest.importorskip("mypy", reason="mypy is not installed")
    if user == "typed_torch_user.py":
        pytest.importorskip("torch", reason="PyTorch is not installed")
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", tmp_path, pathlib.Path(__file__).with_name(user)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


def public_callables():
    for name in fanin.__all__:
        value = getattr(fanin, name)
        if callable(value) and name not in NOT_CALLED:
            yield name, value
        if inspect.isclass(value):
            for member in vars(value):
                if not member.startswith("_") and callable(getattr(value, member)):
                    yield f"{name}.{member}", getattr(value, member)


NOT_CALLED = {"Availability", "Description", "DeviceError", "Initializer", "ModelSpec", "ModelTensor"}  # have no constructor


def test_signatures():
    """The names, kinds and defaults that the stubs say."""
    said = {node.name: node for node in ast.parse(STUB.read_text()).body if isinstance(node, (ast.ClassDef, ast.FunctionDef))}

    def parameters_of(function):
        arguments = function.args
        for argument in [*arguments.args, *arguments.kwonlyargs]:
            argument.annotation = None
        made = eval(f"lambda {ast.unparse(arguments)}: 0", {})
        return [(p.name, p.kind, p.default) for p in inspect.signature(made).parameters.values() if p.name != "self"]

    seen = 0
    for name, value in public_callables():
        scope, _, member = name.partition(".")
        node = said.get(getattr(fanin, scope).__name__)
        if isinstance(node, ast.ClassDef):
            wanted = member or "__init__"
            node = next((one for one in node.body if isinstance(one, ast.FunctionDef) and one.name == wanted), None)
        if node is None:  # inherited
            assert inspect.signature(value)
            continue
        got = [(p.name, p.kind, p.default) for p in inspect.signature(value).parameters.values() if p.name != "self"]
        assert got == parameters_of(node), name
        seen += 1
    assert seen > 60
    assert list(inspect.signature(fanin.HeNormal(1)).parameters)[:2] == ["shape", "dtype"]
    assert "self" not in inspect.signature(fanin.Plan().add).parameters


def test_signatures_of_subclasses():
    class Own(fanin.HeNormal):
        def __init__(self, scale, *, bias=2):
            super().__init__(1)

    class Plain(fanin.HeNormal):
        pass

    assert str(inspect.signature(Own)) == "(scale, *, bias=2)"
    assert inspect.signature(Plain) == inspect.signature(fanin.HeNormal)


def test_functions_are_pickled_by_their_names():
    for function in (fanin.fill, fanin.draw, fanin.describe):
        assert pickle.loads(pickle.dumps(function)) is function


WRONG_ARGUMENTS = [
    (lambda: fanin.fill(bytearray(4), "ones", name="said", seeed=3), "fill() has no argument 'seeed'. Did you mean 'seed'?"),
    (lambda: fanin.draw("ones", (3,), dtpe="float32"), "draw() has no argument 'dtpe'. Did you mean 'dtype'?"),
    (lambda: fanin.HeNormal(sed=3), "HeNormal() has no argument 'sed'. Did you mean 'seed'?"),
    (lambda: fanin.he_normal(axes=3), "HeNormal() has no argument 'axes'."),
    (lambda: fanin.Plan().add(bytearray(4), "ones", nam="x"), "add() has no argument 'nam'. Did you mean 'name'?"),
    (lambda: fanin.Plan().fill(thread=2), "fill() has no argument 'thread'. Did you mean 'threads'?"),
    (lambda: fanin.Seed(vlue=2), "Seed() has no argument 'vlue'. Did you mean 'value'?"),
    (lambda: fanin.Seed.sequence(2, nme="x"), "sequence() has no argument 'nme'. Did you mean 'name'?"),
    (lambda: fanin.HeNormal(1).with_seed(sed=3), "with_seed() has no argument 'sed'. Did you mean 'seed'?"),
    (lambda: fanin.parse_model_spec(SPECIFICATION, constant={}), "has no argument 'constant'. Did you mean 'constants'?"),
    (lambda: fanin.available(device=3), "available() has no argument 'device'. It has: none"),
    (lambda: fanin.fill(bytearray(4)), "fill(): missing a required argument: 'init'"),
    (lambda: fanin.fill(bytearray(4), "ones", 3), "fill(): too many positional arguments"),
    (lambda: fanin.HeNormal(1)(3, "float32", (3,)), "Initializer.__call__(): too many positional arguments"),
    (lambda: fanin.TruncatedNormal(0, 1, 1, 2, 3, 4), "TruncatedNormal(): too many positional arguments"),
    (lambda: fanin.fill(bytearray(4), None), "fill() needs init, an initializer. Received: init=None"),
    (lambda: fanin.draw("ones", None), "draw() needs shape, an integer or a sequence of integers. Received: shape=None"),
    (lambda: fanin.fill(bytearray(4), "ones", threads=1.5), "threads must be an integer. Received: threads=1.5, of type float"),
    (lambda: fanin.fill(bytearray(4), "ones", threads=2**40), "out of range or of a wrong type. Received: threads=1099511627776"),
    (lambda: fanin.RandomNormal(stddev="a"), "stddev must be a number. Received: stddev='a', of type str"),
    (lambda: fanin.VarianceScaling(1.0, 3), "mode must be a string. Received: mode=3, of type int"),
    (lambda: fanin.Plan().add_tensor(bytearray(4), "x"), "tensor must be a fanin.ModelTensor. Received: tensor='x', of type str"),
    (lambda: fanin.Seed.sequence(2, first_call=-1), "out of range or of a wrong type. Received: value=2, first_call=-1"),
    (lambda: fanin.subsequence_of("\ud800"), "name must be a string that UTF-8 can encode. Received: name='\\ud800', of type str"),
    (lambda: fanin.parse_model_spec(SPECIFICATION, constants=[1]), "constants must be a dictionary of names and numbers"),
    (lambda: fanin.parse_model_spec({"tensors": {1, 2}}), "consists of dictionaries, lists, text, numbers"),
    (lambda: fanin.draw("ones", b"ab"), "shape must be a tuple or list of integers. Received: b'ab'"),
]


@pytest.mark.parametrize("call, message", WRONG_ARGUMENTS)
def test_messages_name_the_wrong_argument(call, message):
    with pytest.raises(TypeError) as error:
        call()
    assert message in str(error.value)
    assert "incompatible function arguments" not in str(error.value)


def test_types_of_other_libraries_in_configurations():
    np = pytest.importorskip("numpy")
    config = {"class_name": "RandomNormal", "config": {"stddev": np.float32(2), "seed": np.int64(3)}}
    assert fanin.get(config) == fanin.RandomNormal(stddev=2.0, seed=3)
    for dtype in (np.float16, np.dtype("float16"), "f2", "float16"):
        assert fanin.parse_model_spec(SPECIFICATION, 7, dtype=dtype).tensors[0].dtype == "float16"
    with pytest.raises(TypeError, match="shape must be a tuple or list of integers"):
        fanin.draw("ones", np.array(3))


SPECIFICATION = {"tensors": {"w": [3, 4]}, "rules": [{"match": "*", "initializer": "he_normal"}]}


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickles(protocol):
    def again(value):
        return pickle.loads(pickle.dumps(value, protocol))

    for value in (fanin.Seed(3), fanin.Seed.sequence(4, first_call=2), fanin.HeNormal(1), fanin.HeNormal(),
                  fanin.Formula("n * i[0]", {"n": 2}), fanin.STFT(), fanin.get("torch:kaiming_normal")):
        assert again(value) == value
    assert repr(again(fanin.available())) == repr(fanin.available())
    for init in ("he_normal", "he_uniform", "ones", "identity", "orthogonal", fanin.TruncatedNormal(1, 2, 3, -1, 4),
                 fanin.Formula("z + i[0]")):
        description = fanin.describe(init, (3, 4), "oihw")
        copied = again(description)
        assert str(copied) == str(description)
        assert (copied.bounds, copied.seed, copied.fan_in) == (description.bounds, description.seed, description.fan_in)
    spec = fanin.parse_model_spec(SPECIFICATION, 7, dtype="float16", source="s")
    copied = again(spec)
    assert (copied.seed, len(copied), copied.tensors[0].dtype) == (7, 1, "float16")

    with pytest.raises(TypeError, match="pickle"):
        again(fanin.Plan())  # holds memory
    for value in (fanin.HeNormal(2), fanin.Seed(1), fanin.describe("ones", 3)):
        assert repr(copy.deepcopy(copy.copy(value))) == repr(value)


def test_weak_references():
    values = [fanin.HeNormal(1), fanin.Seed(1), fanin.Plan(), fanin.describe("ones", (3,)), fanin.available(),
              fanin.parse_model_spec(SPECIFICATION, 1)]
    alive = [weakref.ref(value) for value in values]
    assert all(one() is value for one, value in zip(alive, values))
    del values
    gc.collect()
    assert not any(one() for one in alive)


def test_objects_without_init():
    """Whatever is done with an object whose __init__ was not called, a plain exception comes."""
    code = """if True:
        import copy, pickle, warnings, fanin
        warnings.simplefilter("ignore")  # nanobind warns of each
        skipped = {"__class__", "__new__", "__init__", "__setstate__", "__init_subclass__", "__subclasshook__", "__signature__"}
        for name in fanin.__all__:
            cls = getattr(fanin, name)
            if not isinstance(cls, type) or issubclass(cls, Exception):
                continue
            calls = [lambda o, m=m: getattr(o, m)() for m in dir(cls) if m not in skipped]
            calls += [repr, str, hash, pickle.dumps, copy.copy, lambda o: o == o, lambda o: fanin.fill(bytearray(8), o),
                      lambda o: fanin.Plan().add_tensor(bytearray(4), o), fanin.serialize, fanin.HeNormal, fanin.get]
            for call in calls:
                try:
                    call(cls.__new__(cls))
                except Exception as error:
                    assert "bad_cast" not in str(error) and not isinstance(error, (RuntimeError, SystemError)), (name, error)
        """
    subprocess.run([sys.executable, "-c", code], check=True)


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
