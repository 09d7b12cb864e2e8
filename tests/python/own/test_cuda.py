# SPDX-License-Identifier: Apache-2.0
"""Device memory behind __cuda_array_interface__, allocated by the CUDA runtime itself: no framework is needed. An emulator of
the runtime can stand in for a device if the extension was built with FANIN_PYTHON_SHARED_CUDART=ON."""
import ctypes

import numpy as np
import pytest
from support import numpy_dtype, same_bits

import fanin

INIT = fanin.HeNormal(42)


def runtime():
    if fanin.available().cuda_devices == 0:
        pytest.skip("no CUDA device: " + fanin.available().reason, allow_module_level=True)
    for name in ("libcudart.so.13", "libcudart.so.12", "libcudart.so"):
        try:
            return ctypes.CDLL(name)
        except OSError:
            pass
    pytest.skip("the shared CUDA runtime is not to be found", allow_module_level=True)


RUNTIME = runtime()


def cuda(function, *arguments):
    assert getattr(RUNTIME, function)(*arguments) == 0


class Array:
    """Device memory of zeros, as CuPy or Numba would show it."""

    def __init__(self, shape, dtype="float32", values=None, **entries):
        self.shape, self.dtype = shape, numpy_dtype(dtype)
        self.bytes = ctypes.c_size_t(int(np.prod(shape)) * self.dtype.itemsize)
        self.address = ctypes.c_void_p()
        cuda("cudaMalloc", ctypes.byref(self.address), self.bytes)
        cuda("cudaMemset", self.address, 0, self.bytes)
        cuda("cudaDeviceSynchronize")
        if values is not None:
            cuda("cudaMemcpy", self.address, ctypes.c_void_p(values.ctypes.data), self.bytes, 1)
        self.__cuda_array_interface__ = {"shape": shape, "typestr": self.dtype.str, "version": 3,
                                         "data": (self.address.value, False), **entries}

    def __del__(self):
        RUNTIME.cudaFree(self.address)

    def get(self):
        host = np.empty(self.shape, self.dtype)
        cuda("cudaDeviceSynchronize")
        cuda("cudaMemcpy", ctypes.c_void_p(host.ctypes.data), self.address, self.bytes, 2)
        return host


class Stream:
    def __init__(self):
        address = ctypes.c_void_p()
        cuda("cudaStreamCreate", ctypes.byref(address))
        self.address = address.value

    def __cuda_stream__(self):
        return (0, self.address)


def test_dtypes(dtype):
    w = Array((40, 30), dtype)
    assert fanin.fill(w, INIT, name="w") is w
    assert same_bits(w.get(), fanin.draw(INIT, (40, 30), dtype, name="w"))


def test_streams_and_blocks():
    stream = Stream()
    for here, given in [({}, stream), ({}, stream.address), ({"stream": stream.address}, None), ({"stream": 1}, None),
                        ({"stream": 2}, None), ({"stream": 1}, stream)]:
        w = Array((8, 7), **here)
        fanin.fill(w, INIT, stream=given, shape=(16, 16), offset=(4, 2))
        assert same_bits(w.get(), fanin.draw(INIT, (16, 16), offset=(4, 2), extent=(8, 7)))


def test_device_seed():
    seed = Array((1,), "uint64", np.array([42], np.uint64))
    for given in (seed, seed.address.value):
        w = Array((8, 8))
        fanin.fill(w, "he_normal", seed=1, device_seed=given)
        assert same_bits(w.get(), INIT((8, 8)))
    with pytest.raises(ValueError, match="device_seed.*float32"):
        fanin.fill(w, INIT, device_seed=w)


def test_plan():
    arrays = [Array((4, 5 + j)) for j in range(600)]
    plan = fanin.Plan()
    for j, w in enumerate(arrays):
        plan.add(w, INIT, subsequence=j)

    def check():
        for j, w in enumerate(arrays):
            assert same_bits(w.get(), INIT(w.shape, subsequence=j))
            cuda("cudaMemset", w.address, 0, w.bytes)
        cuda("cudaDeviceSynchronize")

    plan.fill()
    check()
    size = plan.workspace_size(0)
    assert size > 0
    with pytest.raises(ValueError, match="too small"):
        plan.upload(Array((size - 1,), "uint8"))
    plan.upload(Array((size,), "uint8"))  # which the plan keeps
    plan.fill(stream=Stream())
    check()
    plan.fill(device_seed=Array((1,), "int64", np.array([42], np.int64)))
    check()


def test_plan_of_several_devices():
    if fanin.available().cuda_devices < 2:
        pytest.skip("one CUDA device")
    plan, arrays, streams = fanin.Plan(), [], {}
    for device in (0, 1):
        cuda("cudaSetDevice", device)
        streams[device] = Stream()
        arrays.append(Array((20, 30)))
        plan.add(arrays[-1], INIT, name=str(device))
    cuda("cudaSetDevice", 0)
    for given, message in [(streams[0], "cuda:0 and cuda:1"), ({0: streams[0]}, "0 for cuda:1")]:
        with pytest.raises(ValueError, match=message):
            plan.fill(stream=given)
    assert not any(w.get().any() for w in arrays)
    plan.fill(stream=streams)
    for device, w in enumerate(arrays):
        cuda("cudaSetDevice", device)
        assert same_bits(w.get(), fanin.draw(INIT, (20, 30), name=str(device)))
    cuda("cudaSetDevice", 0)


def test_host_memory_is_refused():
    """Also pinned memory, and where the device could write to ordinary memory: it is not the array that it claims to be."""
    ordinary = np.zeros(2, np.float32)
    pinned = ctypes.c_void_p()
    cuda("cudaMallocHost", ctypes.byref(pinned), ctypes.c_size_t(8))
    ctypes.memset(pinned, 0, 8)
    for address in (ordinary.ctypes.data, pinned.value):
        w = Array((2,), data=(address, False))
        for call in (lambda: fanin.fill(w, INIT), lambda: fanin.Plan().add(w, INIT),
                     lambda: fanin.fill(Array((2,)), INIT, device_seed=Array((1,), "uint64", data=(address, False)))):
            with pytest.raises(ValueError, match="__cuda_array_interface__.*on the host"):
                call()
    assert not ordinary.any() and ctypes.string_at(pinned, 8) == bytes(8)
    cuda("cudaFreeHost", pinned)


def test_refused():
    w = Array((8, 8))
    for error, message, call in [
        (ValueError, "dense and row-major", lambda: fanin.fill(Array((4, 4), strides=(4, 16)), INIT)),
        (ValueError, "read-only", lambda: fanin.fill(Array((4,), data=(w.address.value, True)), INIT)),
        (ValueError, "int64", lambda: fanin.fill(Array((4,), "int64"), INIT)),
        (fanin.DeviceError, "cuda:77", lambda: fanin.preload(77)),
    ]:
        with pytest.raises(error, match=message):
            call()
    assert not w.get().any()


def test_windows_of_values():
    """PyTorch's truncated normals, also where they are uniform or constant."""
    for mean, std, a, b in [(100, 0.01, 99.99, 100.03), (-1e8, 1e8, 0, 1), (1e8, 1, -2, 2)]:
        config = {"mean": float(mean), "std": float(std), "a": float(a), "b": float(b), "seed": 42}
        init = fanin.get({"class_name": "torch:trunc_normal", "config": config})
        for dtype in ("float32", "float64", "float16"):
            w = Array((80, 80), dtype)
            fanin.fill(w, init)
            assert same_bits(w.get(), init((80, 80), dtype)), config


class DLPack:
    def __init__(self, w):
        self.w, self.asked = w, []

    def __dlpack_device__(self):
        return (2, 0)

    def __dlpack__(self, stream=None, **keywords):
        self.asked.append(stream)
        raise BufferError("only asked")


def test_dlpack_is_told_the_stream():
    stream, exporter = Stream(), DLPack(Array((3,)))
    for given in (None, stream):
        with pytest.raises(BufferError):
            fanin.fill(exporter, INIT, stream=given)
    assert exporter.asked == [1, stream.address]
