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
    (lambda: None, {}, TypeError, "NoneType"),
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
    (lambda: np.zeros((2, 3), np.float32), {"shape": 6}, TypeError, "shape must be a tuple"),
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
    (3, TypeError, "Received: 3"), (None, TypeError, "None"), (fanin.HeNormal, TypeError, "HeNormal"),
    ({}, ValueError, "class_name"), ({"class_name": "HeNormal", "config": {"sed": 1}}, ValueError, "seed"),
    ({"class_name": object()}, TypeError, "JSON"), (lambda shape, dtype: None, TypeError, "function"),
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
    for wrong in ("int32", int, np.int8, np.dtype(">f4"), "float", ml_dtypes.float8_e4m3b11fnuz, object()):
        with pytest.raises(ValueError):
            whole((3,), wrong)


def test_draw_refusals():
    for arguments, options, error in [(((3,),), {"offset": (0,)}, ValueError), (((3,),), {"extent": (0,)}, ValueError),
                                      ((3,), {}, TypeError), (((-3,),), {}, ValueError), (((2**60,),), {}, ValueError),
                                      (((2**55,),), {}, MemoryError), (((3,),), {"stream": 0}, TypeError)]:
        with pytest.raises(error):
            fanin.draw(INIT, *arguments, **options)


def test_limits(dtype):
    """Of fanin.torch's truncated normals: values beyond the limits, of any strides, are the limits."""
    limits = (-0.125, 0.25)
    base = np.zeros((60, 50), numpy_dtype(dtype))
    for target in (base, base[::2, ::-3]):
        assert fanin._core._fill_clamped(target, INIT, limits) is target
        inner = np.clip(whole(target.shape, dtype).astype("f8"), *limits)
        assert (target.astype("f8") == inner).all() and {target.min(), target.max()} == set(limits)
    for init, wrong in [(fanin.RandomUniform(seed=1), limits), (INIT, (1.0, 0.0)), (INIT, (float("nan"), 1.0))]:
        with pytest.raises(ValueError, match="limits"):
            fanin._core._fill_clamped(base, init, wrong)
