#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The rivals of bench/peers/run. Run as a program, this file is one rival in its own process, with its own environment, threads
and memory. measure.py starts it and sends requests to its standard input, a line of JSON each:

    rivals.py NAME CORES MOST_ELEMENTS      CORES: "3,2,1"; runs on one thread use the first

    {"prepare": [CASE, ROWS, COLUMNS, THREADS]}               compiles, warms up, answers the seconds of a run after that
    {"run": [CASE, ROWS, COLUMNS, THREADS], "repeats": N}     answers the seconds of one of N runs, elapsed and on a core

The first answer is a list of cases; CASE is a position in it.
"""
import ctypes
import glob
import importlib.metadata
import json
import os
import pathlib
import platform
import signal
import sys
import time
from collections.abc import Callable
from typing import NamedTuple

PROJECT = pathlib.Path(__file__).resolve().parent.parent.parent
NATIVE = PROJECT / "build/peers/fanin/bench/libpeers_native.so"
MKL_KERNELS = PROJECT / "build/peers/fanin/bench/libpeers_mkl_kernels.so"

TRUNCATED, NORMAL, UNIFORM = "truncated normal", "normal", "uniform"
STDDEV, LIMIT = 0.05, 0.05  # Keras's defaults
DTYPES = {"float32": 4, "bfloat16": 2, "float16": 2, "float64": 8, "float8_e4m3fn": 1, "float8_e5m2": 1}

# All rivals get one thread and warm memory. The allocator keeps freed memory and requests huge pages, so that a rival that
# allocates its result gets warm pages of the same kind as one that writes to existing memory.
ENVIRONMENT = {
    "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1",
    "MKL_THREADING_LAYER": "SEQUENTIAL",
    "TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "3",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1", "JAX_PLATFORMS": "cpu",
    "CUDA_VISIBLE_DEVICES": "",
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1:glibc.malloc.arena_max=1:glibc.malloc.mmap_max=0:"
                      "glibc.malloc.trim_threshold=68719476736",
}


class Case(NamedTuple):
    what: str  # TRUNCATED, NORMAL, UNIFORM, "memory" for the ceilings, "zeros" for a memset of zeros
    how: str   # the rival's method
    prepare: Callable  # (rows, columns, threads) -> a function of the repeats that returns the seconds of all of them
    dtype: str = "float32"
    threads: bool = False  # can use several threads
    curve: bool = True  # measured at every size, not only at the largest


class Rival(NamedTuple):
    start: Callable  # (most elements) -> (version, cases)
    environment: dict = {}
    title: str = ""  # if it differs from the name


def memory_of(size):
    """Touched memory of that many bytes, aligned to a huge page."""
    import numpy as np
    page = 1 << 21
    memory = np.empty(size + page, np.uint8)
    start = -memory.ctypes.data % page
    memory[:] = 1
    return memory[start:start + size]


def timed(call):
    """A measurement of a Python function, for prepare."""
    def run(repeats):
        start = time.perf_counter()
        for _ in range(repeats):
            call()
        return time.perf_counter() - start
    return run


# ---------------------------------------------------------------- in C++


def native():
    library = ctypes.CDLL(str(NATIVE))
    size, number, text, address = ctypes.c_size_t, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p
    for name in ("memset", "memset_zeros", "stream"):
        getattr(library, "peers_" + name).argtypes = [address, size, number, number]
    library.peers_std_normal.argtypes = [address, size, number]
    library.peers_fanin.argtypes = [text, text, address, size, ctypes.c_int64, ctypes.c_int64, number, number]
    library.peers_mkl.argtypes = [address, address, number, address, number, ctypes.c_float, ctypes.c_float, number]
    for name in ("memset", "memset_zeros", "stream", "std_normal", "fanin", "mkl"):
        getattr(library, "peers_" + name).restype = ctypes.c_double
    library.peers_error.restype = library.peers_fanin_version.restype = text
    library.peers_has_stream.restype = ctypes.c_bool

    def checked(seconds):
        if seconds < 0:
            raise RuntimeError(library.peers_error().decode())
        return seconds
    return library, checked


def ceiling(most):
    library, _ = native()
    memory = memory_of(most * 4)

    def case(what, how, function):
        def prepare(rows, columns, threads):
            return lambda repeats: function(memory.ctypes.data, rows * columns * 4, threads, repeats)
        return Case(what, how, prepare, threads=True)
    cases = [case("memory", "memset", library.peers_memset), case("zeros", "memset of zeros", library.peers_memset_zeros)]
    if library.peers_has_stream():
        cases.append(case("memory", "streaming stores", library.peers_stream))
    return " ".join(platform.libc_ver()), cases


def fanin(most):
    library, checked = native()
    memory = memory_of(most * 8)

    def case(what, name, dtype):
        def prepare(rows, columns, threads):
            return lambda repeats: checked(library.peers_fanin(
                name.encode(), dtype.encode(), memory.ctypes.data, memory.size, rows, columns, threads, repeats))
        return Case(what, name, prepare, dtype, threads=True, curve=dtype == "float32")
    names = ((TRUNCATED, "he_normal"), (NORMAL, "random_normal"), (UNIFORM, "random_uniform"))
    return (library.peers_fanin_version().decode(),
            [case(what, name, dtype) for dtype in DTYPES for what, name in names])


def std_normal(most):
    library, _ = native()
    memory = memory_of(most * 4)

    def prepare(rows, columns, threads):
        return lambda repeats: library.peers_std_normal(memory.ctypes.data, rows * columns, repeats)
    return "g++", [Case(NORMAL, "std::normal_distribution, mt19937", prepare)]


def mkl(most):
    library, checked = native()
    found = glob.glob(sys.prefix + "/lib/libmkl_rt.so*")
    if not found:
        raise RuntimeError("PyPI's package mkl is not installed")
    memory = memory_of(most * 4)
    vsl = ctypes.CDLL(found[0], mode=ctypes.RTLD_GLOBAL)
    text = ctypes.create_string_buffer(200)
    vsl.MKL_Get_Version_String(text, len(text))
    # mkl_vsl_defines.h: VSL_BRNG_..., VSL_RNG_METHOD_...
    engines = {"Philox4x32-10": 16 << 20, "MCG59": 4 << 20, "SFMT19937": 13 << 20, "ARS5": 15 << 20}
    ways = ((UNIFORM, "vsRngUniform", "", 0, -LIMIT, LIMIT),
            (NORMAL, "vsRngGaussian", ", ICDF", 2, 0, STDDEV), (NORMAL, "vsRngGaussian", ", Box-Muller 2", 1, 0, STDDEV))

    def case(engine, number, what, function, suffix, method, a, b):
        stream = ctypes.c_void_p()
        if vsl.vslNewStream(ctypes.byref(stream), number, ctypes.c_uint(1)):
            return None  # this processor lacks the instructions
        generate = ctypes.cast(getattr(vsl, function), ctypes.c_void_p)

        def prepare(rows, columns, threads):
            return lambda repeats: checked(library.peers_mkl(
                generate, stream, method, memory.ctypes.data, rows * columns, a, b, repeats))
        return Case(what, engine + suffix, prepare, curve=method != 1)
    cases = [case(engine, number, *way) for engine, number in engines.items() for way in ways]
    cases = [c for c in cases if c is not None]
    cases[0].prepare(1, 1024, 1)(1)  # loads the kernels
    with open("/proc/self/maps") as maps:
        kernels = sorted({line.split("libmkl_vml_")[1].split(".")[0] for line in maps if "libmkl_vml_" in line})
    return f"{importlib.metadata.version('mkl')}, kernels: {kernels[0]}", cases


# ---------------------------------------------------------------- in Python


def numpy(most):
    import numpy as np
    memory = memory_of(most * 4).view(np.float32)

    def cases(engine):
        generator = np.random.Generator(getattr(np.random, engine)(1))

        def normal(rows, columns, threads):
            out = memory[:rows * columns]
            return timed(lambda: generator.standard_normal(out=out, dtype=np.float32))

        def uniform(rows, columns, threads):
            out = memory[:rows * columns]
            return timed(lambda: generator.random(out=out, dtype=np.float32))
        curve = engine == "SFC64"
        return [Case(NORMAL, engine + ".standard_normal", normal, curve=curve),
                Case(UNIFORM, engine + ".random", uniform, curve=curve)]
    return np.__version__, cases("Philox") + cases("PCG64") + cases("SFC64")


def pytorch(most):
    import numpy as np
    import torch
    torch.set_num_threads(1)
    memory = torch.from_numpy(memory_of(most * 4).view(np.float32))
    init = torch.nn.init

    def case(what, how, fill):
        def prepare(rows, columns, threads):
            out = memory[:rows * columns].view(rows, columns)
            return timed(lambda: fill(out))
        return Case(what, how, prepare)
    # trunc_normal_'s bounds are absolute: two standard deviations, as for HeNormal
    return torch.__version__, [
        case(TRUNCATED, "trunc_normal_", lambda out: init.trunc_normal_(out, 0, STDDEV, -2 * STDDEV, 2 * STDDEV)),
        case(NORMAL, "normal_", lambda out: init.normal_(out, 0, STDDEV)),
        case(UNIFORM, "uniform_", lambda out: init.uniform_(out, -LIMIT, LIMIT))]


def pytorch_compiled(most):
    import torch
    torch.set_num_threads(1)
    init = torch.nn.init

    # trunc_normal_ is left out: it reads numbers back in the middle, so it does not compile to one graph
    def case(what, how, fill):
        def prepare(rows, columns, threads):
            out = torch.ones(rows, columns)
            compiled = torch.compile(fill, fullgraph=True, dynamic=False)
            return timed(lambda: compiled(out))
        return Case(what, how, prepare, curve=False)
    return torch.__version__, [
        case(NORMAL, "normal_ under torch.compile", lambda out: init.normal_(out, 0, STDDEV)),
        case(UNIFORM, "uniform_ under torch.compile", lambda out: init.uniform_(out, -LIMIT, LIMIT))]


def jax(most):
    import jax
    makers = {
        (TRUNCATED, "he_normal"): lambda key, shape: jax.nn.initializers.he_normal()(key, shape),
        (NORMAL, "random.normal"): lambda key, shape: STDDEV * jax.random.normal(key, shape),
        (UNIFORM, "random.uniform"): lambda key, shape: jax.random.uniform(key, shape, minval=-LIMIT, maxval=LIMIT)}

    def case(what, how, make, engine):
        key = jax.random.key(1, impl=engine)

        def prepare(rows, columns, threads):
            compiled = jax.jit(lambda key: make(key, (rows, columns)))
            return timed(lambda: compiled(key).block_until_ready())
        return Case(what, f"{how}, jitted, {engine}", prepare, curve=engine == "threefry2x32")
    return jax.__version__, [case(what, how, make, engine) for engine in ("threefry2x32", "rbg")
                             for (what, how), make in makers.items()]


def keras(most):
    import keras as library
    backend = library.backend.backend()
    wait = {"jax": lambda values: values.block_until_ready(), "tensorflow": lambda values: values.numpy(),
            "torch": lambda values: values}[backend]
    if backend == "torch":
        import torch
        torch.set_num_threads(1)

    def case(what, initializer, compiled):
        def prepare(rows, columns, threads):
            def make():
                return initializer((rows, columns), dtype="float32")
            function = make
            if compiled and backend == "jax":
                import jax
                function = jax.jit(make)
            elif compiled:
                import tensorflow
                function = tensorflow.function(make, autograph=False)
            return timed(lambda: wait(function()))
        name = type(initializer).__name__
        suffix = {"jax": ", jitted", "tensorflow": ", tf.function"}[backend] if compiled else ""
        return Case(what, name + suffix, prepare, curve=not compiled)
    init = library.initializers
    which = ((TRUNCATED, init.HeNormal(seed=1)), (NORMAL, init.RandomNormal(0, STDDEV, seed=1)),
             (UNIFORM, init.RandomUniform(-LIMIT, LIMIT, seed=1)))
    package = {"jax": "jax", "torch": "torch", "tensorflow": "tensorflow"}[backend]
    version = sys.modules[package].__version__
    return f"{library.__version__} on {package} {version}", [
        case(*pair, compiled) for compiled in (False, True) for pair in which if not (compiled and backend == "torch")]


X86 = platform.machine() in ("x86_64", "AMD64")
TARGETS = ("portable", "sse4", "avx2", "avx512", "avx512_vbmi") if X86 else ("portable", "neon", "sve")


def wide_kernels():
    """The widest of MKL's kernels that this processor can run; peers_mkl_kernels takes its name."""
    with open("/proc/cpuinfo") as file:
        flags = next((line.split() for line in file if line.startswith("flags")), [])
    return "avx512" if {"avx512f", "avx512dq", "avx512bw", "avx512vl"} <= set(flags) else "avx2"


RIVALS = {"memory": Rival(ceiling), "fanin": Rival(fanin)}
for _target in TARGETS:
    RIVALS["fanin " + _target] = Rival(fanin, {"FANIN_CPU_TARGET": _target})
RIVALS["MKL"] = Rival(mkl)
# Only for processors on which MKL itself takes its slowest kernels; measure.py leaves it out on others.
RIVALS["MKL forced"] = Rival(mkl, {"LD_PRELOAD": str(MKL_KERNELS), "PEERS_MKL_KERNELS": wide_kernels() if X86 else ""})
RIVALS["NumPy"] = Rival(numpy)
RIVALS["PyTorch"] = Rival(pytorch)
RIVALS["PyTorch compiled"] = Rival(pytorch_compiled)
RIVALS["JAX"] = Rival(jax)
for _backend, _title in (("tensorflow", "TensorFlow"), ("jax", "JAX"), ("torch", "PyTorch")):
    RIVALS["Keras on " + _title] = Rival(keras, {"KERAS_BACKEND": _backend})
RIVALS["C++"] = Rival(std_normal)


def serve(name, cores, most):
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # so that libraries' messages are not taken for answers
    cores = [int(core) for core in cores.split(",")]
    os.sched_setaffinity(0, cores[:1])  # before a library counts cores and starts threads

    def answer(value):
        answers.write(json.dumps(value) + "\n")
        answers.flush()
    try:
        version, cases = RIVALS[name].start(most)
    except Exception as problem:  # the other rivals can still be measured
        answer({"error": f"{type(problem).__name__}: {problem}"})
        return
    answer({"version": version, "cases": [[c.what, c.how, c.dtype, c.threads, c.curve] for c in cases]})
    runs = {}
    for line in sys.stdin:
        question = json.loads(line)
        try:
            which = tuple(question.get("prepare") or question["run"])
            case, rows, columns, threads = which
            os.sched_setaffinity(0, cores[:threads])
            if "prepare" in question:
                runs[which] = cases[case].prepare(rows, columns, threads)
                runs[which](1)
                answer({"seconds": runs[which](1)})
            else:
                repeats = question["repeats"]
                before = time.process_time()
                seconds = runs[which](repeats)
                answer({"seconds": seconds / repeats, "on core": (time.process_time() - before) / repeats})
        except Exception as problem:
            answer({"error": f"{type(problem).__name__}: {problem}"})


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # measure.py ends this process by closing the pipe
    serve(sys.argv[1], sys.argv[2], int(sys.argv[3]))
