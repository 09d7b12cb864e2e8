# SPDX-License-Identifier: Apache-2.0
"""A launch as recorder.cpp wrote it down, and its execution."""

import dataclasses
import struct

from . import machine
from .disassembly import Refused

GLOBALS = 0x700000000000  # where the module's own data lies
PARAMETERS = 0x7A0000000000  # where a thread that has their address finds constant bank 0
STACK = 0x100000  # what the driver hands a thread as its stack pointer
WORD = 0xFFFFFFFF


@dataclasses.dataclass
class Launch:
    kernel: str
    grid: int
    threads: int
    shared: int  # dynamic, bytes
    parameters: bytes
    base: int = 0  # of the recorded memory
    memory: bytes = b""


def read(path):
    """All launches of a record."""
    data, at, found = open(path, "rb").read(), 0, []

    def number():
        nonlocal at
        at += 8
        return struct.unpack_from("<Q", data, at - 8)[0]

    def block():
        nonlocal at
        size = number()
        at += size
        return data[at - size:at]

    while at < len(data):
        name = block().decode()
        grid, block_shape = [number() for _ in range(3)], [number() for _ in range(3)]
        if grid[1:] != [1, 1] or block_shape[1:] != [1, 1]:
            raise Refused(f"{name} was launched with more than one dimension")
        shared = number()
        parameters, base = block(), number()
        found.append(Launch(name, grid[0], block_shape[0], shared, parameters, base, block()))
    return found


def execute(launch, function, cubin, architecture, blocks, before):
    """(counts, memory): what some blocks issue, and the recorded memory as they leave it. `before` has addresses and what stands
    there before."""
    memory = machine.Memory()
    for name in (".nv.global.init", ".nv.global"):
        index = cubin.find(name)
        if index is not None:
            at = GLOBALS if name == ".nv.global.init" else GLOBALS + (1 << 32)
            memory.add(at, bytearray(cubin.contents(index)))
    work = bytearray(launch.memory)
    for at, contents in before:
        work[at - launch.base:at - launch.base + len(contents)] = contents
    if work:
        memory.add(launch.base, work)

    def address(symbol):
        section = cubin.sections[symbol["section"]]["name"]
        if section not in (".nv.global.init", ".nv.global"):
            raise Refused(f"a relocation to {symbol['name']} in {section}")
        return (GLOBALS if section == ".nv.global.init" else GLOBALS + (1 << 32)) + symbol["value"]

    constants = {}
    for index, section in enumerate(cubin.sections):
        name = section["name"]
        if not name.startswith(".nv.constant"):
            continue
        bank, _, owner = name[len(".nv.constant"):].partition(".")
        if owner and owner != function.name:
            continue
        data = bytearray(cubin.contents(index))
        for where, kind, symbol, addend in cubin.relocations(index):
            if kind != 2:  # R_CUDA_64
                raise Refused(f"relocation of type {kind} in {name}")
            struct.pack_into("<Q", data, where, address(symbol) + addend)
        constants[int(bank)] = data
    parameters, base = cubin.parameters(function.name)
    bank = constants[0]
    at = 0
    for offset, size in parameters:
        bank[base + offset:base + offset + size] = launch.parameters[at:at + size]
        at += size
    memory.add(PARAMETERS, bank)
    # sm_80 is told where constant bank 0 is, later ones where the parameters in it are.
    address_of_parameters = PARAMETERS + (0 if architecture.shared_base == 0 else base)
    words = {"block": (launch.threads, 1, 1), "grid": (launch.grid, 1, 1), "stack": (STACK,), "parameters": (address_of_parameters & WORD, address_of_parameters >> 32),
             "local": (0, machine.LOCAL_WINDOW), "shared": (0, machine.SHARED_WINDOW)}
    for name, at in architecture.driver.items():
        struct.pack_into(f"<{len(words[name])}I", bank, at, *words[name])
    # Since sm_90 the section's size includes the KiB that the system keeps.
    size = max(cubin.static_shared(function.name), architecture.shared_base) - architecture.shared_base + launch.shared
    counts = machine.run(function, constants, blocks, launch.threads, architecture.shared_base, size, memory)
    return counts, work
