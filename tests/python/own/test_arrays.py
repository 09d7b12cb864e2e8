# SPDX-License-Identifier: Apache-2.0
"""What can be filled: arrays of any strides, alignment and library in host memory; and what is refused, untouched."""
import array
import ctypes

import numpy as np
import pytest
from support import numpy_dtype, same_bits

import fanin

INIT = fanin.HeNormal(42)


def whole(shape, dtype="float32", **options):
    return fanin.draw(INIT, shape, dtype, **options)


def test_returns_the_array_filled():
    w = np.zeros((5, 7), np.float32)
    assert fanin.fill(w, INIT) is w
    assert same_bits(w, whole((5, 7)))
    assert np.count_nonzero(w) == w.size


VIEWS = {
    "transposed": lambda a: a.T,
    "Fortran order": lambda a: a.T.copy(order="F"),
    "every other row": lambda a: a[::2],
    "every third column": lambda a: a[:, ::3],
    "backwards": lambda a: a[::-1, ::-1],
    "backwards, with steps": lambda a: a[-2::-3, 40:3:-2],
    "some columns": lambda a: a[:, 3:17],
    "with an axis of one": lambda a: a[:, None, 5:6, None],
    "swapped of four": lambda a: a.reshape(20, 3, 5, 10).transpose(2, 0, 3, 1),
    "diagonal": lambda a: a.reshape(-1)[: 51 * 40 : 51],
    "one element": lambda a: a[3:4, 5:6].T,
    "a scalar": lambda a: a[3, 5, ...],
    "nothing": lambda a: a[:0, ::2],
}


@pytest.mark.parametrize("view", VIEWS)
def test_strided(dtype, view):
    base = np.zeros((60, 50), numpy_dtype(dtype))
    target = VIEWS[view](base)
    untouched = np.ones(base.shape, bool)
    VIEWS[view](untouched)[...] = False
    assert same_bits(fanin.fill(target, INIT).copy(order="C"), whole(target.shape, dtype))
    if np.shares_memory(base, target):
        assert not base[untouched].view(np.uint8).any()


def test_strided_of_many_pieces():
    base = np.zeros((3, 70_001, 2), np.float64)  # of 64 KiB
    target = base[::-1, ::-1, 1]
    assert same_bits(fanin.fill(target, INIT).copy(), whole(target.shape, "float64"))
    assert not base[:, :, 0].any()


def test_unaligned(dtype):
    count = 1000
    type_ = numpy_dtype(dtype)
    memory = np.zeros(count * type_.itemsize + 1, np.uint8)
    target = memory[1:].view(type_)
    assert same_bits(fanin.fill(target, INIT), whole((count,), dtype))
    assert memory[0] == 0


def test_fields_of_records():
    records = np.zeros(100, np.dtype([("tag", "u1"), ("weight", "f4")]))
    assert same_bits(fanin.fill(records["weight"], INIT).copy(), whole((100,)))
    assert not records["tag"].any()


@pytest.mark.parametrize("step", [1, 2])
def test_blocks(step):
    full = whole((12, 9, 7), name="w")
    block = np.zeros((4, 5, 2 * step), np.float32)[:, :, ::step]
    fanin.fill(block, INIT, shape=(12, 9, 7), offset=(3, 2, 5), name="w")
    assert same_bits(block.copy(), full[3:7, 2:7, 5:7].copy())


def test_another_shape_with_as_many_elements():
    flat = np.zeros(512 * 64, np.float32)
    fanin.fill(flat, "he_normal", seed=3, shape=(512, 64))
    assert same_bits(flat.reshape(512, 64), fanin.draw("he_normal", (512, 64), seed=3))
    assert not same_bits(flat, fanin.draw("he_normal", (512 * 64,), seed=3))  # other fans
    with pytest.raises(ValueError, match=r"as many elements.*\[32768\].*\[512, 63\]"):
        fanin.fill(flat, INIT, shape=(512, 63))


def test_the_seed_that_is_given_counts():
    assert same_bits(whole((9,), seed=7), fanin.draw("he_normal", (9,), seed=7))
    sequence = fanin.HeNormal(fanin.Seed.sequence(42))
    fanin.draw(sequence, (9,))
    assert same_bits(fanin.draw(sequence, (9,), seed=7), fanin.draw("he_normal", (9,), seed=7))
    assert sequence.calls == 1
    assert same_bits(fanin.draw({"class_name": "HeNormal", "config": {"seed": 3}}, (9,), seed=42), whole((9,)))
    assert not same_bits(fanin.draw("he_normal", (9,)), fanin.draw("he_normal", (9,)))  # drawn


def test_layout():
    a = fanin.draw("he_normal", (8, 4, 3, 3), seed=1, layout="oihw")
    assert same_bits(a, fanin.draw("he_normal", (8, 4, 9), seed=1, layout="oihw").reshape(a.shape))
    assert np.allclose(a * np.sqrt(36), fanin.draw("he_normal", (8, 4, 3, 3), seed=1) * np.sqrt(8 * 4 * 3))


def test_buffers():
    numbers = array.array("f", bytes(4 * 1000))
    fanin.fill(numbers, INIT)
    assert numbers.tobytes() == whole((1000,)).tobytes()
    doubles = (ctypes.c_double * 6)()
    fanin.fill(doubles, INIT)
    assert bytes(doubles) == whole((6,), "float64").tobytes()
    memory = bytearray(24)
    fanin.fill(memoryview(memory).cast("f", (2, 3)), INIT)
    assert bytes(memory) == whole((2, 3)).tobytes()
    memory.append(0)  # the buffer was given back


def test_small():
    assert fanin.fill(np.zeros((), np.float32), "ones") == 1
    assert fanin.fill(np.zeros((0, 3), np.float32), INIT).shape == (0, 3)
    assert same_bits(fanin.fill(np.zeros((), np.float64), INIT), whole((), "float64"))


class DLPack:
    """Another library's array: NumPy's memory behind DLPack alone, in the old protocol or the new one."""

    def __init__(self, array, new=True, readonly=False):
        self.array, self.new = array, new
        self.array.flags.writeable = not readonly

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()

    def __dlpack__(self, stream=None, **keywords):
        if keywords and not self.new:
            raise TypeError("unexpected keyword")
        assert not self.new or keywords == {"max_version": (1, 1), "copy": False}
        return self.array.__dlpack__(**keywords)


@pytest.mark.parametrize("new", [False, True])
@pytest.mark.parametrize("name", ["float16", "float32", "float64"])
def test_dlpack(new, name):
    if new and np.lib.NumpyVersion(np.__version__) < "2.1.0":
        pytest.skip("NumPy before 2.1 does not speak DLPack 1")
    base = np.zeros((30, 20), name)
    fanin.fill(DLPack(base, new), INIT)
    assert same_bits(base, whole((30, 20), name))
    fanin.fill(DLPack(base[::2, ::-3], new), INIT, seed=1)
    assert same_bits(base[::2, ::-3].copy(), whole((15, 7), name, seed=1))


def test_dlpack_read_only():
    if np.lib.NumpyVersion(np.__version__) < "2.1.0":
        pytest.skip("NumPy before 2.1 does not speak DLPack 1")
    with pytest.raises(ValueError, match="read-only"):
        fanin.fill(DLPack(np.zeros(3, np.float32), readonly=True), INIT)


class Device(ctypes.Structure):
    _fields_ = [("type", ctypes.c_int32), ("number", ctypes.c_int32)]


class Tensor(ctypes.Structure):
    """DLTensor of dlpack.h."""

    _fields_ = [("data", ctypes.c_void_p), ("device", Device), ("ndim", ctypes.c_int32), ("code", ctypes.c_uint8),
                ("bits", ctypes.c_uint8), ("lanes", ctypes.c_uint16), ("shape", ctypes.POINTER(ctypes.c_int64)),
                ("strides", ctypes.POINTER(ctypes.c_int64)), ("byte_offset", ctypes.c_uint64)]


class Capsule:
    """An exporter of DLPack whose tensor has the given members, of a correct one of float32 [4, 6] for the others."""

    class Old(ctypes.Structure):
        _fields_ = [("tensor", Tensor), ("context", ctypes.c_void_p), ("deleter", ctypes.c_void_p)]

    class New(ctypes.Structure):
        _fields_ = [("major", ctypes.c_uint32), ("minor", ctypes.c_uint32), ("context", ctypes.c_void_p),
                    ("deleter", ctypes.c_void_p), ("flags", ctypes.c_uint64), ("tensor", Tensor)]

    def __init__(self, shape=(4, 6), strides=None, device=(1, 0), major=None, name=None, **members):
        def numbers(values):
            return None if values is None else (ctypes.c_int64 * len(values))(*values)

        self.memory = np.zeros((4, 6), np.float32)
        self.device = device
        self.managed = self.Old() if major is None else self.New(major=major)
        self.name = name or (b"dltensor" if major is None else b"dltensor_versioned")
        correct = {"data": self.memory.ctypes.data, "device": Device(1, 0), "ndim": 2, "code": 2, "bits": 32, "lanes": 1,
                   "shape": numbers(shape), "strides": numbers(strides)}
        for member, value in {**correct, **members}.items():
            setattr(self.managed.tensor, member, value)

    def __dlpack_device__(self):
        return self.device

    def __dlpack__(self, **_):
        new = ctypes.pythonapi.PyCapsule_New
        new.restype, new.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
        return new(ctypes.addressof(self.managed), self.name, None)


@pytest.mark.parametrize("major", [None, 1])
@pytest.mark.parametrize("members, error, message", [
    ({"ndim": 2**30}, ValueError, "ndim=1073741824"), ({"ndim": -1}, ValueError, "ndim=-1"), ({"ndim": 65}, ValueError, "0 to 64"),
    ({"shape": None}, ValueError, "null pointer"), ({"shape": (-4, 6)}, ValueError, "negative"),
    ({"shape": (2**40, 2**40)}, ValueError, "2\\^56"), ({"data": None}, ValueError, "address is null"),
    ({"strides": (2**62, 1)}, ValueError, "in memory"), ({"strides": (-2**63, 1)}, ValueError, "in memory"),
    ({"strides": (2**60, 1)}, ValueError, "in memory"), ({"byte_offset": 2**64 - 1}, ValueError, "byte_offset"),
    ({"byte_offset": 2**63}, ValueError, "byte_offset"), ({"bits": 0}, ValueError, "0 bits"),
    ({"code": 250}, ValueError, "type code 250"), ({"lanes": 0}, ValueError, "dtypes"),
    ({"device": "cpu"}, TypeError, "two integers.*'cpu'"), ({"device": ("1", "0")}, TypeError, "two integers"),
    ({"device": (1,)}, TypeError, "two integers"), ({"device": 5}, TypeError, "two integers"),
    ({"device": (2**70, 0)}, TypeError, "two integers"), ({"device": (2, -5)}, TypeError, "two integers"),
    ({"device": (3, 0)}, ValueError, "device that __dlpack_device__ gives"), ({"name": b"used_dltensor"}, TypeError, "unused"),
    ({"name": b"other"}, TypeError, "capsule of DLPack")])
def test_dlpack_that_lies(major, members, error, message):
    liar = Capsule(major=major, **members)
    with pytest.raises(error, match=message):
        fanin.fill(liar, INIT)
    assert not liar.memory.any()


def test_dlpack_that_is_honest():
    for major in (None, 1):
        honest = Capsule(major=major)
        fanin.fill(honest, INIT)
        assert same_bits(honest.memory, whole((4, 6)))
    with pytest.raises(ValueError, match="version 2"):
        fanin.fill(Capsule(major=2), INIT)


class Interface:
    """NumPy's array interface with the given entries."""

    dtype = np.dtype(np.float32)

    def __init__(self, **entries):
        self.memory = np.zeros((4, 6), np.float32)
        self.__array_interface__ = {**self.memory.__array_interface__, **entries}


@pytest.mark.parametrize("entries, error, message", [
    ({"shape": (2**40, 2**40)}, ValueError, "2\\^56"), ({"shape": None}, TypeError, "shape"),
    ({"shape": (4, -6)}, ValueError, "-6"), ({"shape": [1] * 65}, ValueError, "64 dimensions"),
    ({"strides": (24,)}, ValueError, "a stride for each"),
    ({"strides": (2**62, 4)}, ValueError, "in memory"), ({"strides": (-2**63, 4)}, ValueError, "in memory"),
    ({"data": None}, TypeError, "pair"), ({"data": ("a", False)}, TypeError, "integer"), ({"data": (-1, False)}, ValueError, "-1"),
    ({"data": (0, False)}, ValueError, "null")])
def test_array_interfaces_that_lie(entries, error, message):
    liar = Interface(**entries)
    with pytest.raises(error, match=message):
        fanin.fill(liar, INIT)
    assert not liar.memory.any()
    assert same_bits(fanin.fill(Interface(), INIT).memory, whole((4, 6)))


class OtherDevice(DLPack):
    def __dlpack_device__(self):
        return (self.kind, 0)


def test_dlpack_of_other_types():
    with pytest.raises(ValueError, match="int32"):
        fanin.fill(DLPack(np.zeros(3, np.int32), new=False), INIT)
    with pytest.raises(ValueError, match="type code 5 with 64 bits"):
        fanin.fill(DLPack(np.zeros(3, np.complex64), new=False), INIT)


@pytest.mark.parametrize("kind, error, message", [(10, ValueError, "device type 10"), (2, fanin.DeviceError, "cuda:0")])
def test_dlpack_elsewhere(kind, error, message):
    if kind == 2 and fanin.available().cuda_devices:
        pytest.skip("there is a CUDA device")
    there = OtherDevice(np.zeros(3, np.float32))
    there.kind = kind
    with pytest.raises(error, match=message):
        fanin.fill(there, INIT)


class Cuda:
    """What says of itself that it is in device memory."""

    def __init__(self, **entries):
        self.memory = np.zeros((4, 6), np.float32)
        self.__cuda_array_interface__ = {"shape": (4, 6), "typestr": "<f4", "data": (self.memory.ctypes.data, False),
                                         "version": 3, **entries}


@pytest.mark.skipif(fanin.available().cuda_devices > 0, reason="there is a CUDA device")
@pytest.mark.parametrize("entries", [{}, {"stream": 1}, {"strides": (24, 4)}, {"data": (0, False)}])
def test_cuda_without_a_device(entries):
    there = Cuda(**entries)
    assert fanin.available().reason
    with pytest.raises(fanin.DeviceError, match="cuda:0"):
        fanin.fill(there, INIT)
    with pytest.raises(fanin.DeviceError, match="cuda:0"):
        fanin.Plan().add(there, INIT)
    with pytest.raises(RuntimeError, match="cuda:0"):
        fanin.preload()
    assert not there.memory.any()


@pytest.mark.parametrize("entries, error, message", [
    ({"data": (8, True)}, ValueError, "read-only"),
    ({"typestr": "<i4"}, ValueError, "<i4"),
    ({"typestr": ">f4"}, ValueError, ">f4"),
    ({"strides": (48, 8)}, ValueError, "dense and row-major"),
    ({"mask": object()}, ValueError, "mask"),
    ({"data": None}, TypeError, "data"),
    ({"shape": 3}, TypeError, "shape"),
])
def test_cuda_refusals(entries, error, message):
    with pytest.raises(error, match=message):
        fanin.fill(Cuda(**entries), INIT)


REFUSED = [
    (lambda: [1.0, 2.0], {}, TypeError, "Received: a list"),
    (lambda: 3.0, {}, TypeError, "Received: a float"),
    (lambda: None, {}, TypeError, "needs array"),
    (lambda: b"12345678", {}, ValueError, "read-only"),
    (lambda: bytearray(8), {}, ValueError, "uint8"),
    (lambda: np.zeros(3, np.int32), {}, ValueError, "int32"),
    (lambda: np.zeros(3, bool), {}, ValueError, "bool"),
    (lambda: np.zeros(3, np.int8), {}, ValueError, "int8"),
    (lambda: np.zeros(3, np.uint64), {}, ValueError, "uint64"),
    (lambda: np.zeros(3, np.complex64), {}, ValueError, "Zf"),
    (lambda: np.zeros(3, np.longdouble), {}, ValueError, np.dtype(np.longdouble).name),
    (lambda: np.zeros(3, object), {}, ValueError, "buffer format"),
    (lambda: np.zeros(3, ">f4"), {}, ValueError, "big-endian float32"),
    (lambda: np.float32(3), {}, ValueError, "read-only"),
    (lambda: np.broadcast_to(np.zeros(3, np.float32), (2, 3)), {}, ValueError, "read-only"),
    (lambda: np.lib.stride_tricks.as_strided(np.zeros(3, np.float32), (2, 3), (0, 4)), {}, ValueError, "share memory"),
    (lambda: np.lib.stride_tricks.as_strided(np.zeros(9, np.float32), (7, 3), (4, 4)), {}, ValueError, "share memory"),
    (lambda: np.zeros((2, 3), np.float32), {"offset": (0, 0)}, ValueError, "shape="),
    (lambda: np.zeros((2, 3), np.float32), {"shape": (4, 4), "offset": (3, 0)}, ValueError, "outside the tensor"),
    (lambda: np.zeros((2, 3), np.float32), {"shape": (4, 4), "offset": (0,)}, ValueError, "each dimension"),
    (lambda: np.zeros((2, 3), np.float32), {"shape": 7}, ValueError, "as many elements"),
    (lambda: np.zeros((2, 3), np.float32), {"shape": "6"}, TypeError, "shape must be a tuple"),
    (lambda: np.zeros((2, 3), np.float32), {"shape": ("a", 2)}, TypeError, "shape must be a tuple"),
    (lambda: np.zeros((2, 3), np.float32), {"shape": (2**64, 2)}, ValueError, "18446744073709551616"),
    (lambda: np.zeros((2, 3), np.float32), {"shape": (-2, -3)}, ValueError, "-2"),
    (lambda: np.zeros((2, 3), np.float32), {"seed": -1}, ValueError, "18446744073709551615"),
    (lambda: np.zeros((2, 3), np.float32), {"seed": 2**64}, ValueError, "18446744073709551616"),
    (lambda: np.zeros((2, 3), np.float32), {"seed": 1.0}, TypeError, "seed=1.0"),
    (lambda: np.zeros((2, 3), np.float32), {"seed": "1"}, TypeError, "seed='1'"),
    (lambda: np.zeros((2, 3), np.float32), {"name": 7}, TypeError, "subsequence="),
    (lambda: np.zeros((2, 3), np.float32), {"name": "w", "subsequence": 7}, ValueError, "not both"),
    (lambda: np.zeros((2, 3), np.float32), {"subsequence": -7}, ValueError, "-7"),
    (lambda: np.zeros((2, 3), np.float32), {"subsequence": 0.5}, TypeError, "0.5"),
    (lambda: np.zeros((2, 3), np.float32), {"layout": "nchw"}, ValueError, "nchw"),
    (lambda: np.zeros((2, 3), np.float32), {"layout": 3}, TypeError, "layout"),
    (lambda: np.zeros((2, 3), np.float32), {"threads": -1}, ValueError, "threads=-1"),
    (lambda: np.zeros((3, 2), np.float32).T, {"threads": -1}, ValueError, "threads=-1"),
    (lambda: np.zeros((2, 3), np.float32), {"stream": "s"}, TypeError, "stream"),
    (lambda: np.zeros((2, 3), np.float32), {"device_seed": 4096}, ValueError, "seed in device memory"),
    (lambda: np.zeros((3, 2), np.float32).T, {"device_seed": 4096}, ValueError, "seed in device memory"),
    (lambda: np.zeros((2, 3), np.float32), {"device_seed": np.zeros(1, np.uint64)}, ValueError, "in device memory"),
    (lambda: np.zeros((2, 3), np.float32), {"device_seed": "1"}, TypeError, "str"),
    (lambda: np.zeros((2, 3), np.float32), {"dtype": "float32"}, TypeError, "dtype"),
]


@pytest.mark.parametrize("number", range(len(REFUSED)))
def test_refused(number):
    make, options, error, message = REFUSED[number]
    target = make()
    before = bytes(target.tobytes()) if isinstance(target, np.ndarray) and target.dtype != object else None
    sequence = fanin.HeNormal(fanin.Seed.sequence(1))
    with pytest.raises(error, match=message):
        fanin.fill(target, sequence, **options)
    assert sequence.calls == 0
    if before is not None:
        assert target.tobytes() == before


@pytest.mark.parametrize("init, error, message", [
    ("he_norml", ValueError, "he_normal"), ("torch:he_normal", ValueError, "kaiming_normal"),
    (3, TypeError, "Received: 3"), (None, TypeError, "None"), (int, TypeError, "int"),
    ({}, ValueError, "class_name"), ({"class_name": "HeNormal", "config": {"sed": 1}}, ValueError, "seed"),
    ({"class_name": object()}, TypeError, "dictionaries, lists, text"), (lambda shape, dtype: None, TypeError, "function"),
    (fanin.Constant.from_config({"value": float("nan")}), ValueError, "finite|NaN|number")])
def test_wrong_initializers(init, error, message):
    w = np.zeros((2, 3), np.float32)
    with pytest.raises(error, match=message):
        fanin.fill(w, init)
    assert not w.any()


def test_draw_dtypes():
    assert whole((3,), None).dtype == np.float32
    for name, kinds in {"float32": [np.float32, np.dtype("float32")], "float64": [np.float64, np.dtype("float64")],
                        "float16": [np.float16]}.items():
        for kind in kinds:
            assert same_bits(whole((3,), kind), whole((3,), name))
    ml_dtypes = pytest.importorskip("ml_dtypes")
    assert same_bits(whole((3,), ml_dtypes.bfloat16), whole((3,), "bfloat16"))
    assert same_bits(whole((3,), np.dtype(ml_dtypes.float8_e5m2)), whole((3,), "float8_e5m2"))
    for wrong in ("int32", int, np.int8, np.dtype(">f4"), ">f4", "flaot", "longdouble", ml_dtypes.float8_e4m3b11fnuz, object()):
        with pytest.raises(ValueError):
            whole((3,), wrong)


@pytest.mark.parametrize("given, name", [("f4", "float32"), ("<f8", "float64"), ("f2", "float16"), ("single", "float32"),
                                         ("double", "float64"), ("half", "float16"), (float, "float64"), ("float", "float64")])
def test_numpys_names_of_dtypes(given, name):
    assert same_bits(whole((3,), given), whole((3,), name))


def test_dtypes_of_other_libraries():
    torch = pytest.importorskip("torch")
    assert same_bits(whole((3,), torch.float64), whole((3,), "float64"))
    jnp = pytest.importorskip("jax.numpy")
    assert same_bits(whole((3,), jnp.float16), whole((3,), "float16"))
    assert same_bits(whole((3,), jnp.zeros(1, "float32").dtype), whole((3,), "float32"))


def test_one_extent():
    assert same_bits(fanin.draw(INIT, 5), whole((5,)))
    assert same_bits(INIT(np.int64(5)), whole((5,)))
    assert fanin.describe(INIT, 5).shape == INIT.describe(5).shape == (5,)
    assert same_bits(fanin.fill(np.zeros((2, 3), np.float32), INIT, shape=6).reshape(6), whole((6,)))


def test_draw_refusals():
    for arguments, options, error in [(((3,),), {"offset": (0,)}, ValueError), (((3,),), {"extent": (0,)}, ValueError),
                                      (("3",), {}, TypeError), ((-3,), {}, ValueError), (((-3,),), {}, ValueError),
                                      (((2**60,),), {}, ValueError),
                                      (((2**55,),), {}, MemoryError), (((3,),), {"stream": 0}, TypeError)]:
        with pytest.raises(error):
            fanin.draw(INIT, *arguments, **options)


def test_windows_of_values(dtype):
    """PyTorch's truncated normals, in arrays of any strides: values beyond the ends are the ends."""
    init = fanin.get({"class_name": "torch:trunc_normal", "config": {"std": 0.125, "a": -0.125, "b": 0.25, "seed": 42}})
    base = np.zeros((60, 50), numpy_dtype(dtype))
    for target in (base, base[::2, ::-3]):
        assert fanin.fill(target, init) is target
        assert same_bits(target, fanin.draw(init, target.shape, dtype))
        assert -0.125 <= target.min() < -0.06 and 0.12 < target.max() <= 0.25


def test_one_integer_is_a_shape_an_offset_and_an_extent():
    expected = fanin.draw(INIT, (7,))
    assert same_bits(fanin.draw(INIT, 7, offset=2, extent=np.int64(3)), expected[2:5])
    assert same_bits(INIT(7, partition_offset=2, partition_shape=3), expected[2:5])
    assert same_bits(fanin.fill(np.zeros(3, np.float32), INIT, shape=7, offset=2), expected[2:5])
    assert fanin.HeNormal(1, 0, 1) == fanin.HeNormal(1, [0], [1])


def test_a_class_is_an_initializer():
    assert same_bits(fanin.draw(fanin.HeNormal, (7,), seed=42), fanin.draw(INIT, (7,)))


def test_a_class_that_makes_classes_is_no_initializer():
    class Endless(type):
        def __call__(cls):
            return cls

    for call in (fanin.get, lambda init: fanin.draw(init, 3)):
        with pytest.raises(TypeError, match="must make an initializer"):
            call(Endless("Endless", (), {}))
