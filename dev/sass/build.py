# SPDX-License-Identifier: Apache-2.0
"""Builds the library, takes its machine code out of it, and finds the disassembler."""

import pathlib
import shlex
import shutil
import struct
import subprocess
import sys

from .disassembly import Refused

HERE = pathlib.Path(__file__).resolve().parent
PROJECT = HERE.parent.parent
BUILD = PROJECT / "build" / "count"


class Missing(Refused):
    """A tool that cannot be had here."""


def run(command, **more):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, **more)
    if done.returncode != 0:
        raise Refused(f"{shlex.join(map(str, command))} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def find_nvcc():
    nvcc = shutil.which("nvcc")
    if not nvcc:
        raise Missing("nvcc is not on the PATH: install the CUDA toolkit, or the PyPI packages nvidia-cuda-nvcc and nvidia-cuda-crt")
    return pathlib.Path(nvcc)


def find_nvdisasm(given=None, install=True):
    """As given, on the PATH, beside nvcc, or from PyPI in a virtual environment below build/."""
    places = [given] if given else [shutil.which("nvdisasm"), find_nvcc().resolve().parent / "nvdisasm"]
    for place in places:
        if place and pathlib.Path(place).is_file():
            return pathlib.Path(place)
    if given:
        raise Refused(f"{given} is not there")
    package, venv = "nvidia-cuda-nvdisasm", BUILD / "venv"

    def installed():
        return next(iter(sorted(venv.glob("lib/python*/site-packages/nvidia/*/bin/nvdisasm"), reverse=True)), None)

    if not installed() and install:
        print(f"installing {package} below {venv}", file=sys.stderr)
        try:
            subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True, capture_output=True)
            subprocess.run([str(venv / "bin" / "pip"), "install", "--quiet", package], check=True, capture_output=True)
        except subprocess.CalledProcessError as e:
            raise Missing(f"nvdisasm is not there, and could not be installed:\n{e.stderr.decode()}\nIt comes with the CUDA toolkit "
                          f"and with the PyPI package {package}; --nvdisasm names one.") from e
    found = installed()
    if not found:
        raise Missing(f"nvdisasm is not there; PyPI's {package} has it")
    return found


def build(architectures):
    """(the workload program, by architecture the cubins that the library consists of). The program is linked with recorder.cpp
    instead of the CUDA runtime."""
    nvcc, directory = find_nvcc(), BUILD / "library"
    options = ["-DFANIN_TESTS=OFF", "-DFANIN_TOOLS=OFF", "-DFANIN_EXAMPLES=OFF", "-DFANIN_CUDA=ON", "-DFANIN_MPFR=OFF",
               "-DBUILD_SHARED_LIBS=OFF", "-DCMAKE_BUILD_TYPE=Release", "-DCMAKE_CUDA_FLAGS=-lineinfo --no-compress",
               "-DCMAKE_CUDA_ARCHITECTURES=" + ";".join(f"{a}-real" for a in architectures)]
    if shutil.which("ccache"):
        options += [f"-DCMAKE_{language}_COMPILER_LAUNCHER=ccache" for language in ("CXX", "CUDA")]
    run(["cmake", "-S", PROJECT, "-B", directory, "-G", "Ninja"] + options)
    run(["cmake", "--build", directory, "--target", "fanin"])
    library, program = directory / "libfanin.a", BUILD / "workload"
    run(["g++", "-std=c++17", "-O1", f"-I{PROJECT / 'include'}", f"-I{nvcc.resolve().parent.parent / 'include'}",
         HERE / "workload.cpp", HERE / "recorder.cpp", library, "-lpthread", "-o", program])
    found = {a: [] for a in architectures}
    for old in BUILD.glob("*.cubin"):
        old.unlink()
    for architecture, cubin in machine_code(library.read_bytes()):
        if architecture in found and b".nv.info._Z" in cubin:  # it has kernels
            path = BUILD / f"{len(found[architecture])}-sm_{architecture}.cubin"
            path.write_bytes(cubin)
            found[architecture].append(path)
    for architecture, cubins in found.items():
        if not cubins:
            raise Refused(f"the library has no kernels for sm_{architecture}")
    return program, found


def machine_code(data):
    """(architecture, cubin) of every fat binary in an archive of objects. A fat binary has a header of 16 bytes with its size; each
    of its entries a header with its kind (2: a cubin), the header's and the contents' size, at 28 the architecture."""
    magic = struct.pack("<IHH", 0xBA55ED50, 1, 16)
    at = data.find(magic)
    while at >= 0:
        size, = struct.unpack_from("<Q", data, at + 8)
        entry, end = at + 16, at + 16 + size
        while entry < end:
            kind, _, header, length = struct.unpack_from("<HHIQ", data, entry)
            architecture, = struct.unpack_from("<I", data, entry + 28)
            contents = data[entry + header:entry + header + length]
            if kind == 2:
                if contents[:4] != b"\x7fELF":
                    raise Refused("the library's machine code is compressed")
                yield architecture, contents
            entry += header + length
        at = data.find(magic, end)
