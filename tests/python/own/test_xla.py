# SPDX-License-Identifier: Apache-2.0
"""The handlers of XLA's custom call, for memory of the host and of a CUDA device, called as XLA calls them and without it: from
call frames made by hand. An emulator of the CUDA runtime can stand in for a device, as for test_cuda.py."""
import ctypes
from ctypes import POINTER, Structure, byref, c_char_p, c_int, c_int64, c_size_t, c_uint32, c_uint64, c_void_p, pointer, sizeof

import numpy as np
import pytest
from support import DTYPES, numpy_dtype, same_bits

import fanin

TYPES = {"int32": 4, "int64": 5, "uint32": 8, "float16": 10, "float32": 11, "float64": 12, "bfloat16": 16, "float8_e5m2": 19,
         "float8_e4m3fn": 20}
INVALID_ARGUMENT = 3
EXECUTE = 3
CONTEXT, ERROR = 0x1230, 0x4560  # only handed on

INIT = fanin.TruncatedNormal(0.5, 2.0, 0, lower=-2.0, upper=1.5)
NUMBERS = {"distribution": "truncated_normal", "mean": 0.5, "stddev": 2.0, "lower": -2.0, "upper": 1.5}
STREAM = (0x123456789, 0xfedcba9876543210)  # the seed and the subsequence


class Buffer(Structure):
    _fields_ = [("struct_size", c_size_t), ("extensions", c_void_p), ("dtype", c_int), ("data", c_void_p), ("rank", c_int64),
                ("dims", POINTER(c_int64))]


class Buffers(Structure):
    _fields_ = [("struct_size", c_size_t), ("extensions", c_void_p), ("size", c_int64), ("types", POINTER(c_int)),
                ("buffers", POINTER(POINTER(Buffer)))]


class Text(Structure):
    _fields_ = [("data", c_char_p), ("size", c_size_t)]


class Scalar(Structure):
    _fields_ = [("dtype", c_int), ("value", c_void_p)]


class Numbers(Structure):
    _fields_ = [("dtype", c_int), ("size", c_size_t), ("data", c_void_p)]


class Attributes(Structure):
    _fields_ = [("struct_size", c_size_t), ("extensions", c_void_p), ("size", c_int64), ("types", POINTER(c_int)),
                ("names", POINTER(POINTER(Text))), ("values", POINTER(c_void_p))]


class Extension(Structure):
    _fields_ = [("struct_size", c_size_t), ("type", c_int), ("next", c_void_p)]


class Version(Structure):
    _fields_ = [("struct_size", c_size_t), ("extensions", c_void_p), ("major", c_int), ("minor", c_int)]


class Metadata(Structure):
    _fields_ = [("struct_size", c_size_t), ("version", Version), ("traits", c_uint32), ("state_type", c_int64)]


class MetadataExtension(Structure):
    _fields_ = [("base", Extension), ("metadata", POINTER(Metadata))]


class CreateError(Structure):
    _fields_ = [("struct_size", c_size_t), ("extensions", c_void_p), ("message", c_char_p), ("code", c_int)]


class GetStream(Structure):
    _fields_ = [("struct_size", c_size_t), ("extensions", c_void_p), ("context", c_void_p), ("stream", c_void_p)]


CREATE_ERROR = ctypes.CFUNCTYPE(c_void_p, POINTER(CreateError))
GET_STREAM = ctypes.CFUNCTYPE(c_void_p, POINTER(GetStream))


class Api(Structure):
    _fields_ = [("struct_size", c_size_t), ("extensions", c_void_p), ("version", Version), ("internal", c_void_p),
                ("create_error", CREATE_ERROR), ("error_message", c_void_p), ("destroy_error", c_void_p),
                ("register_handler", c_void_p), ("get_stream", GET_STREAM)]


class CallFrame(Structure):
    _fields_ = [("struct_size", c_size_t), ("extensions", c_void_p), ("api", POINTER(Api)), ("context", c_void_p), ("stage", c_int),
                ("operands", Buffers), ("results", Buffers), ("attributes", Attributes)]


class HostArray:
    """As test_cuda.Array, in memory of the host."""

    def __init__(self, shape, dtype="float32", values=None):
        self.shape, self.dtype = shape, numpy_dtype(dtype)
        self.values = np.zeros(shape, self.dtype) if values is None else values.copy()
        self.address = c_void_p(self.values.ctypes.data)

    def get(self):
        return self.values


class Handler:
    """One of the handlers, and the runtime that calls it."""

    def __init__(self, capsule, array):
        get_pointer = ctypes.pythonapi.PyCapsule_GetPointer
        get_pointer.restype, get_pointer.argtypes = c_void_p, [ctypes.py_object, c_char_p]
        self.function = ctypes.CFUNCTYPE(c_void_p, POINTER(CallFrame))(get_pointer(capsule, None))
        self.array = array
        self.stream, self.stream_error = None, None  # what is said when a stream is asked for
        self.error = None                            # the code and the message of the last error made

        def create_error(arguments):
            self.error = arguments.contents.code, arguments.contents.message.decode()
            return ERROR

        def get_stream(arguments):
            if arguments.contents.context == CONTEXT:
                arguments.contents.stream = self.stream
                return self.stream_error
            return ERROR

        self.api = Api(struct_size=sizeof(Api), create_error=CREATE_ERROR(create_error), get_stream=GET_STREAM(get_stream))

    def garbage(self, shape, dtype):
        numpy = numpy_dtype(dtype)
        values = np.full(int(np.prod(shape)) * numpy.itemsize, 0xA5, np.uint8).view(numpy).reshape(shape)
        return self.array(shape, dtype, values)

    def call(self, operands, result, attributes, stage=EXECUTE):
        """Whether it went well."""
        keep = []

        def buffers(arrays):
            made = [Buffer(sizeof(Buffer), None, TYPES[a.dtype.name], a.address, len(a.shape), (c_int64 * len(a.shape))(*a.shape))
                    for a in arrays]
            keep.extend(made)
            return Buffers(sizeof(Buffers), None, len(made), (c_int * len(made))(*[1] * len(made)),
                           (POINTER(Buffer) * len(made))(*map(pointer, made)))

        def attribute(value):
            if isinstance(value, str):
                return 4, Text(value.encode(), len(value))
            numbers = np.array(value, np.float64 if isinstance(value, float) else np.int64)
            keep.append(numbers)
            if numbers.ndim == 0:
                return 3, Scalar(TYPES[numbers.dtype.name], numbers.ctypes.data)
            return 1, Numbers(TYPES[numbers.dtype.name], numbers.size, numbers.ctypes.data)

        names = [Text(name.encode(), len(name)) for name in attributes]
        kinds, values = zip(*map(attribute, attributes.values()))
        keep.append(values)
        n = len(names)
        frame = CallFrame(sizeof(CallFrame), None, pointer(self.api), CONTEXT, stage, buffers(operands), buffers([result]),
                          Attributes(sizeof(Attributes), None, n, (c_int * n)(*kinds), (POINTER(Text) * n)(*map(pointer, names)),
                                     (c_void_p * n)(*map(ctypes.addressof, values))))
        self.error = None
        returned = self.function(byref(frame))
        assert returned in (None, ERROR)
        return returned is None

    def operands(self, streams, number):
        words = np.array(streams, np.uint64).view(np.uint32)  # low words first
        return self.array(words.shape, "uint32", words), self.array((len(number),), "int32", np.array(number, np.int32))

    def block(self, streams, shape, dtype, parts=None, number=None, numbers=NUMBERS):
        """The result of a call."""
        parts = parts or (1,) * len(shape)
        result = self.garbage((*np.shape(streams)[:-1], *extent_of(shape, parts)), dtype)
        attributes = {"shape": list(shape), "parts": list(parts), **numbers}
        assert self.call(self.operands(streams, number or (0,) * len(shape)), result, attributes), self.error
        return result.get()


@pytest.fixture(params=["cpu", "cuda"])
def handler(request):
    if request.param == "cpu":
        return Handler(fanin._core._xla_fill_cpu(), HostArray)
    return request.getfixturevalue("cuda_handler")


@pytest.fixture
def cuda_handler():
    import test_cuda  # skips without a device
    return Handler(fanin._core._xla_fill_cuda(), test_cuda.Array)


def extent_of(shape, parts):
    return [-(-n // k) for n, k in zip(shape, parts)]


def expected(stream, shape, dtype, parts=None, number=None, init=INIT):
    """A block, with zeros where it reaches beyond the tensor."""
    whole = fanin.draw(init, shape, dtype, seed=stream[0], subsequence=stream[1])
    if parts is None:
        return whole
    extent = extent_of(shape, parts)
    padded = np.zeros([n + e for n, e in zip(shape, extent)], whole.dtype)
    padded[tuple(map(slice, shape))] = whole
    begin = [min(k * e, n) for k, e, n in zip(number, extent, shape)]
    return padded[tuple(slice(b, b + e) for b, e in zip(begin, extent))]


def test_metadata():
    for capsule in (fanin._core._xla_fill_cpu(), fanin._core._xla_fill_cuda()):
        metadata = Metadata(sizeof(Metadata), traits=77)
        extension = MetadataExtension(Extension(sizeof(MetadataExtension), 1, None), pointer(metadata))
        other = Extension(sizeof(Extension), 1000, ctypes.addressof(extension))
        frame = CallFrame(struct_size=sizeof(CallFrame), extensions=ctypes.addressof(other))  # and nothing else
        assert Handler(capsule, None).function(byref(frame)) is None
        assert (metadata.version.major, metadata.version.minor, metadata.traits) == (0, 1, 0)


def test_dtypes(handler, dtype):
    assert same_bits(handler.block(STREAM, (40, 30), dtype), expected(STREAM, (40, 30), dtype))


@pytest.mark.parametrize("shape", [(), (1,), (1000,), (3, 3, 8, 16)])
def test_shapes(handler, shape):
    assert same_bits(handler.block(STREAM, shape, "float32"), expected(STREAM, shape, "float32"))


@pytest.mark.parametrize("shape", [(0,), (5, 0, 3)])
def test_nothing(handler, shape):
    assert handler.block(STREAM, shape, "float32").shape == shape
    assert handler.block(np.zeros((0, 2)), (4, 4), "float32").shape == (0, 4, 4)


@pytest.mark.parametrize("numbers, init", [
    ({"distribution": "uniform", "minval": -0.25, "maxval": 3.0}, fanin.RandomUniform(-0.25, 3.0, 0)),
    ({"distribution": "uniform", "minval": -3.0, "maxval": 3.0}, fanin.RandomUniform(-3.0, 3.0, 0)),
    ({"distribution": "uniform", "minval": 3.0, "maxval": 3.0}, fanin.Constant(3.0)),
    ({"distribution": "normal", "mean": 1.0, "stddev": 0.5}, fanin.RandomNormal(1.0, 0.5, 0)),
    ({"distribution": "normal", "mean": 1.0, "stddev": 0.0}, fanin.Constant(1.0)),
    *(({"distribution": "truncated_normal", "mean": 0.0, "stddev": 0.5, "lower": lower, "upper": upper},
       fanin.TruncatedNormal(0.0, 0.5, 0, lower, upper))
      for lower, upper in [(-2.0, 2.0), (-0.5, 1.0), (3.0, np.inf), (-5.0, -4.0)]),
])
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
def test_distributions(handler, numbers, init, dtype):
    for parts, number in [((1, 1), (0, 0)), ((2, 1), (1, 0)), ((2, 2), (1, 1))]:
        assert same_bits(handler.block([STREAM, (1, 0)], (33, 7), dtype, parts, number, numbers),
                         np.stack([expected(stream, (33, 7), dtype, parts, number, init) for stream in (STREAM, (1, 0))]))


# Blocks that cut evenly; then some that reach beyond the tensor in the outer dimension, in inner ones, in all; by so much that
# nothing of them lies in the tensor; blocks of one element in a dimension; and rows of many elements.
@pytest.mark.parametrize("shape, parts", [((8, 6, 10), (2, 2, 2)), ((8, 6, 10), (1, 1, 2)), ((7, 6, 10), (2, 1, 1)),
                                          ((8, 5, 10), (2, 2, 1)), ((8, 6, 11), (2, 1, 3)), ((7, 5, 11), (3, 3, 3)),
                                          ((2, 3), (1, 2)), ((3, 1, 5), (2, 1, 2)), ((5,), (3,)), ((5,), (4,)), ((5, 3), (5, 2)),
                                          ((4, 1), (2, 3)), ((1000, 3), (3, 1)), ((3, 1001), (1, 2)), ((3, 1024), (2, 4))])
def test_blocks(handler, shape, parts):
    # One number more than there are parts: nothing of it lies in the tensor.
    for number in np.ndindex(*[k + (k > 1) for k in parts]):
        assert same_bits(handler.block(STREAM, shape, "float32", parts, number),
                         expected(STREAM, shape, "float32", parts, number)), number


@pytest.mark.parametrize("dtype", DTYPES)
def test_uneven_blocks_of_every_dtype(handler, dtype):
    assert same_bits(handler.block(STREAM, (65, 33), dtype, (2, 2), (1, 1)), expected(STREAM, (65, 33), dtype, (2, 2), (1, 1)))


@pytest.mark.parametrize("shape, parts, number", [((6, 7), (1, 1), (0, 0)), ((6, 7), (2, 1), (1, 0)), ((7, 7), (2, 1), (1, 0)),
                                                  ((7, 7), (2, 2), (1, 1)), ((7, 7), (2, 2), (1, 2)), ((5, 7), (4, 1), (3, 0)),
                                                  ((), (), ())])
def test_batches(handler, shape, parts, number):
    streams = np.array([[STREAM, (1, 0), (1, 2)], [(0, 0), (2**64 - 1, 2**64 - 1), (1, 2)]], np.uint64)
    got = handler.block(streams, shape, "bfloat16", parts, number)
    assert got.shape == (2, 3, *extent_of(shape, parts))
    for place in np.ndindex(2, 3):
        stream = tuple(map(int, streams[place]))
        assert same_bits(got[place], expected(stream, shape, "bfloat16", parts, number)), place


def test_a_large_ensemble(handler):
    streams = np.array([(7, i) for i in range(5000)], np.uint64)
    got = handler.block(streams, (3, 5), "float32")
    for i in (0, 1, 2, 4095, 4096, 4999):
        assert same_bits(got[i], expected((7, i), (3, 5), "float32"))
    assert len({tensor.tobytes() for tensor in got}) == 5000


def test_other_stages_do_nothing(handler):
    result = handler.garbage((4,), "float32")
    for stage in (0, 1, 2):
        assert handler.call(handler.operands(STREAM, (0,)), result, {"shape": [4], "parts": [1], **NUMBERS}, stage)
    assert set(result.get().tobytes()) == {0xA5}


def test_refused(handler):
    attributes = {"shape": [4, 4], "parts": [1, 1], **NUMBERS}
    operands = handler.operands(STREAM, (0, 0))
    result = handler.garbage((4, 4), "float32")
    for message, arguments in [
        *((f"no attribute {name}", (operands, result, {k: v for k, v in attributes.items() if k != name})) for name in attributes),
        ("stddev is no float64", (operands, result, {**attributes, "stddev": "1.0"})),
        ("shape is no array", (operands, result, {**attributes, "shape": 4.0})),
        ("distribution is no string", (operands, result, {**attributes, "distribution": 4.0})),
        ('distribution is "cauchy"', (operands, result, {**attributes, "distribution": "cauchy"})),
        ("stddev", (operands, result, {**attributes, "stddev": -1.0})),
        ("other operands", (operands[:1], result, attributes)),
        ("other elements", (operands[::-1], result, attributes)),
        ("dimensions", (operands, result, {**attributes, "shape": [4, 4, 4]})),
        ("dimensions", (operands, result, {**attributes, "shape": [4], "parts": [1]})),
        ("parts", (operands, result, {**attributes, "parts": [1]})),
        ("not a part", (operands, result, {**attributes, "parts": [2, 1]})),
        ("not a part", (operands, result, {**attributes, "parts": [0, 1]})),
        ("one seed for each", (handler.operands([STREAM, STREAM], (0, 0)), handler.garbage((3, 4, 4), "float32"), attributes)),
        ("data type 4", (operands, handler.garbage((4, 4), "int32"), attributes)),
    ]:
        assert not handler.call(*arguments), message
        code, text = handler.error
        assert code == INVALID_ARGUMENT and message in text
        assert set(arguments[1].get().tobytes()) == {0xA5}, message


# ---------------------------------------------------------------- of a device alone


def test_stream(cuda_handler):
    """Operands are read after what the stream has been given before, and what comes after finds the result."""
    from test_cuda import cuda
    stream = c_void_p()
    cuda("cudaStreamCreateWithFlags", byref(stream), 1)  # it does not wait for the default stream
    cuda_handler.stream = stream
    shape = (41, 31)
    for parts, number in [((1, 1), (0, 0)), ((2, 1), (1, 0)), ((1, 2), (0, 1))]:
        sources = cuda_handler.operands(STREAM, number)
        operands = [cuda_handler.garbage(a.shape, a.dtype.name) for a in sources]
        result, copy = (cuda_handler.garbage(extent_of(shape, parts), "float32") for _ in range(2))
        device_to_device = 3
        for to, source in zip(operands, sources):
            cuda("cudaMemcpyAsync", to.address, source.address, source.bytes, device_to_device, stream)
        assert cuda_handler.call(operands, result, {"shape": shape, "parts": parts, **NUMBERS}), cuda_handler.error
        cuda("cudaMemcpyAsync", copy.address, result.address, result.bytes, device_to_device, stream)
        cuda("cudaStreamSynchronize", stream)
        assert same_bits(copy.get(), expected(STREAM, shape, "float32", parts, number))
    cuda("cudaStreamDestroy", stream)


def test_no_stream(cuda_handler):
    """XLA's error is handed back."""
    result = cuda_handler.garbage((4,), "float32")
    cuda_handler.stream_error = ERROR
    assert not cuda_handler.call(cuda_handler.operands(STREAM, (0,)), result, {"shape": [4], "parts": [1], **NUMBERS})
    assert cuda_handler.error is None and set(result.get().tobytes()) == {0xA5}


def test_memory_of_the_host(cuda_handler):
    result = HostArray((4,))
    assert not cuda_handler.call(cuda_handler.operands(STREAM, (0,)), result, {"shape": [4], "parts": [1], **NUMBERS})
    assert cuda_handler.error[0] == INVALID_ARGUMENT and "device's memory" in cuda_handler.error[1]
    assert not result.get().any()


@pytest.mark.parametrize("streams, shape, parts, number", [
    (STREAM, (40, 30), (1, 1), (0, 0)), ([STREAM, (1, 2), (1, 0)], (40, 30), (1, 1), (0, 0)),
    ([STREAM, (1, 2), (1, 0)], (7, 31), (2, 2), (1, 1)), ([STREAM, (1, 2)], (7, 31), (1, 2), (0, 1))])
def test_one_launch_that_waits_for_nothing(cuda_handler, streams, shape, parts, number):
    """Captured into a graph, a call is one node, which reads its operands when it runs."""
    from test_cuda import Stream, cuda
    fanin.preload(0)
    cuda_handler.stream = Stream().address
    stream = c_void_p(cuda_handler.stream)
    zeros = np.zeros_like(np.array(streams, np.uint64))
    operands = cuda_handler.operands(zeros, np.zeros_like(number))
    result = cuda_handler.garbage((*zeros.shape[:-1], *extent_of(shape, parts)), "float32")
    graph, executable, nodes = c_void_p(), c_void_p(), c_size_t()
    cuda("cudaStreamBeginCapture", stream, 0)
    called = cuda_handler.call(operands, result, {"shape": shape, "parts": parts, **NUMBERS})
    cuda("cudaStreamEndCapture", stream, byref(graph))
    assert called, cuda_handler.error
    cuda("cudaGraphGetNodes", graph, None, byref(nodes))
    assert nodes.value == 1 and set(result.get().tobytes()) == {0xA5}
    cuda("cudaGraphInstantiate", byref(executable), graph, c_uint64(0))
    for operand, source in zip(operands, cuda_handler.operands(streams, number)):
        cuda("cudaMemcpy", operand.address, source.address, source.bytes, 3)
    cuda("cudaDeviceSynchronize")
    cuda("cudaGraphLaunch", executable, stream)
    cuda("cudaStreamSynchronize", stream)
    got = result.get().reshape(-1, *extent_of(shape, parts))
    for values, words in zip(got, np.reshape(np.array(streams, np.uint64), (-1, 2)).tolist()):
        assert same_bits(values, expected(tuple(words), shape, "float32", parts, number))
    cuda("cudaGraphExecDestroy", executable)
    cuda("cudaGraphDestroy", graph)
